"""How often a handler may be called: counted by address before anybody is known, by principal after."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, ClassVar, Self, cast

from gatewright._core.address import network_key
from gatewright._core.buckets import Charge, Limit, Standing, Store
from gatewright._core.call import Call
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.gate import Gate
from gatewright._core.guard import Entering, Guard
from gatewright._core.handler import Handler
from gatewright._core.phase import Phase
from gatewright._core.principal import Principal
from gatewright.errors import ConfigurationError, TooManyRequests

__all__ = ["by_address", "by_principal", "metered", "with_rate_limit"]

By = Callable[[Call], str | Awaitable[str]]


# Who is counted


@dataclass(frozen=True)
class Metered:
    """Tell callers apart by what is known of them once they are identified."""

    by: By

    def __call__(self, call: Call) -> str | Awaitable[str]:
        return self.by(call)


def metered(by: By) -> Metered:
    """Say of a function for `with_rate_limit(by=...)` that it wants to know the principal: it runs after `with_auth`.

    Args:
        by: returns who is counted, never an empty string; may be async.
    """
    return Metered(by)


def by_address(call: Call) -> str:
    """Count by the client's address, or by the /64 of an IPv6 one.

    Raises:
        ConfigurationError: where there is no address, so that all clients would be one.
    """
    client = call.client
    if client is None:
        raise ConfigurationError(
            "by_address: the server gives no client address, as behind a Unix socket; write "
            'Gate(trusted_proxies=["unix"]) and let the proxy in front send X-Forwarded-For'
        )
    return network_key(client)


@metered
def by_principal(call: Call) -> str:
    """Count by the principal's `sub`; an anonymous caller, where authentication is optional, by address."""
    if call.principal is None:
        return f"address {by_address(call)}"
    return call.principal.sub and f"sub {call.principal.sub}"


# The decorator


def with_rate_limit(limit: str, *more: str, by: By = by_address, cost: int = 1, scope: str | None = None) -> Decorator:
    """Refuse, with 429 and `Retry-After`, a caller who calls more often than all of the limits allow.

    A window starts with a caller's first call. A refused call costs nothing, whichever limit refused it, and several
    decorators decide as one. Every answer carries `RateLimit-Policy` and `RateLimit`
    (draft-ietf-httpapi-ratelimit-headers-10); of limits in both phases, the later phase's.

    Args:
        limit: such as `"100/minute"`, or several: `"1000/day; 100/minute"`.
        more: further limits.
        by: who is counted: `by_address`, `by_principal`, or your function of the call, which returns a str and may be
            async. It runs before anybody is identified, unless it is marked with `metered`.
        cost: what one call takes.
        scope: a name under which handlers of one gate share their counters; without it each handler, on each of its
            routes, counts for itself, and apps that are limited as a whole count together.

    Raises:
        ConfigurationError: for a limit that cannot be read, or that the cost of one call exceeds.
    """
    from gatewright._core.storage import parse_limits

    limits = tuple(sorted({parsed for text in (limit, *more) for parsed in parse_limits(text)}))
    if not callable(by):
        raise ConfigurationError(f"by={by!r}: write by=by_address, by=by_principal, or a function of the call")
    if type(cost) is not int or not 0 < cost <= min(one.amount for one in limits):
        raise ConfigurationError(f"cost={cost!r}: write a number from 1 up to the smallest of the limits")
    if scope is not None and not scope:
        raise ConfigurationError('scope="": write a name, or nothing')
    rule = Rule(limits, by, cost, scope)
    return guarded_by(MeteredRateLimit((rule,)) if isinstance(by, Metered) else RateLimit((rule,)))


@dataclass(frozen=True)
class Rule:
    """What one `with_rate_limit` says."""

    limits: tuple[Limit, ...]
    by: By
    cost: int
    scope: str | None

    def __repr__(self) -> str:
        said = [repr(str(limit)) for limit in self.limits]
        said += [f"by={_name(self.by).rpartition('.')[2]}"]
        said += [f"cost={self.cost}"] if self.cost != 1 else []
        said += [f"scope={self.scope!r}"] if self.scope is not None else []
        return f"with_rate_limit({', '.join(said)})"

    def charges(self, place: tuple[str | None, ...]) -> list[Charge]:
        """Return what a call at *place* takes from the buckets of the caller."""
        where = place if self.scope is None else (self.scope,)
        # A repr, so that no two tuples make one name.
        return [Charge(limit, repr((*where, str(limit), _name(self.by))), self.cost) for limit in self.limits]


# The guard


@dataclass(frozen=True, eq=False)
class RateLimit(Guard):
    """Hold all the limits of one phase."""

    name = "with_rate_limit"
    phase = Phase.ADMIT

    rules: tuple[Rule, ...]
    handler: str = "app"

    def __repr__(self) -> str:
        return " & ".join(map(repr, self.rules))

    def merge(self, others: Sequence[Self]) -> Sequence[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]  # Self is this class
        """Decide once, so that no limit is charged for what another one refuses."""
        rules: list[Rule] = []
        for guard in (self, *others):
            rules += [rule for rule in guard.rules if rule not in rules]
        rules.sort(key=lambda rule: (rule.limits, _name(rule.by), rule.scope or "", rule.cost))
        buckets = [(limit, _name(rule.by), rule.scope) for rule in rules for limit in rule.limits]
        if len(set(buckets)) < len(buckets):
            raise ConfigurationError(
                f"{' and '.join(map(repr, rules))} would share a bucket; give one a scope=... of its own"
            )
        return (replace(self, rules=tuple(rules)),)

    def seal(self, handler: Handler) -> Guard:
        """Take the handler's name, module and all, for the names of its buckets."""
        return replace(self, handler=handler.name)

    def bind(self, gate: Gate) -> Guard:
        """Take the gate's store; wait only where the store, or a function that says who is counted, is async."""
        waits = _is_async(gate.store.hit) or any(_is_async(rule.by) for rule in self.rules)
        limits = [limit for rule in self.rules for limit in rule.limits]
        titles = list(zip(_titles(limits), limits, strict=True))
        policy = b", ".join([b"%b;q=%d;w=%d" % (title, limit.amount, limit.seconds) for title, limit in titles])
        states = tuple(title + b";r=%d;t=%d" for title, _ in titles)
        names = tuple(str(limit) for limit in limits)
        counting = _Waiting if waits else _Counting
        return counting(self.phase, self.rules, self.handler, gate.store, policy, states, names)


class MeteredRateLimit(RateLimit):
    """Hold all the limits that want to know the principal."""

    phase = Phase.METER
    needs: ClassVar[tuple[Hashable, ...]] = (Principal,)


Payments = list[tuple[By, list[Charge]]]


@dataclass(frozen=True, eq=False)
class _Counting(Guard):
    """Count in a store that answers at once.

    Args:
        phase: as the rate limit has it.
        rules: what was said, in canonical order.
        handler: the handler's name.
        store: where to count.
        policy: the value of `RateLimit-Policy`.
        states: the parts of `RateLimit`, with places for what is left and for the seconds.
        names: the limits as they were written, for the log.
        payments: who pays what, by route.
    """

    name = RateLimit.name

    phase: Phase
    rules: tuple[Rule, ...]
    handler: str
    store: Store
    policy: bytes
    states: tuple[bytes, ...]
    names: tuple[str, ...]
    payments: dict[str | None, Payments] = field(default_factory=dict["str | None", Payments])

    def enter(self, call: Call) -> Entering:
        """Charge the caller, or refuse."""
        charges: list[tuple[Charge, str]] = []
        for by, own in self.payments.get(call.route) or self.at(call.route):
            who = by(call)
            if not who or not isinstance(who, str):
                raise _nobody(who, by)
            for charge in own:
                charges.append((charge, who))
        self.settle(call, cast("Sequence[Standing]", self.store.hit(charges)))
        return None

    def at(self, route: str | None) -> Payments:
        """Return who pays what on a route, worked out when it is first met."""
        place = (route, self.handler)
        return self.payments.setdefault(route, [(_plain(rule.by), rule.charges(place)) for rule in self.rules])

    def settle(self, call: Call, standings: Sequence[Standing]) -> None:
        """Tell the caller how the buckets stand, the one closest to empty first; refuse where one has too little."""
        call.add_header(b"ratelimit-policy", self.policy)
        if len(standings) == 1:
            allowed, remaining, reset_after = standings[0]
            call.add_header(b"ratelimit", self.states[0] % (remaining, ceil(reset_after)))
        else:
            ranked = sorted(zip(standings, self.states, strict=True))
            allowed = ranked[0][0][0]
            said = [state % (remaining, ceil(reset_after)) for (_, remaining, reset_after), state in ranked]
            call.add_header(b"ratelimit", b", ".join(said))
        if not allowed:
            raise self.refusal(standings)

    def refusal(self, standings: Sequence[Standing]) -> TooManyRequests:
        """Return the refusal: come back when every bucket that has too little is full again."""
        over = [(reset, name) for (allowed, _, reset), name in zip(standings, self.names, strict=True) if not allowed]
        wait = ceil(max(over)[0])
        return TooManyRequests(
            headers={"Retry-After": str(wait)}, reason=f"over {', '.join([name for _, name in over])}"
        )


class _Waiting(_Counting):
    """Count in a store, or by a function, that does I/O."""

    async def enter(self, call: Call) -> None:
        """Charge the caller, or refuse."""
        charges: list[tuple[Charge, str]] = []
        for by, own in self.payments.get(call.route) or self.at(call.route):
            who = by(call)
            named = await who if inspect.isawaitable(who) else who
            if not named or not isinstance(named, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # a promise
                raise _nobody(named, by)
            charges += [(charge, named) for charge in own]
        standings = self.store.hit(charges)
        self.settle(call, await standings if inspect.isawaitable(standings) else standings)


def _nobody(who: object, by: By) -> ConfigurationError:
    if inspect.iscoroutine(who):
        who.close()
    said = "an empty string" if who == "" else f"a {type(who).__name__}"
    return ConfigurationError(f"{_name(by)} returned {said}; return a str that names the caller, or write `async def`")


def _titles(limits: Sequence[Limit]) -> tuple[bytes, ...]:
    """Name limits for the headers, as strings of structured fields (RFC 9651); of equal ones, the second is `-2`."""
    names = [str(limit).replace("/", "-per-").replace(" ", "-") for limit in limits]
    counts = [names[:at].count(name) for at, name in enumerate(names)]
    return tuple(
        f'"{name}-{count + 1}"'.encode() if count else f'"{name}"'.encode()
        for name, count in zip(names, counts, strict=True)
    )


def _plain(by: By) -> By:
    return by.by if isinstance(by, Metered) else by


def _function(by: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function inside: without the mark, without `partial`."""
    while isinstance(by, (Metered, functools.partial)):
        by = by.by if isinstance(by, Metered) else by.func
    return by


def _name(by: By) -> str:
    function = _function(by)
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _is_async(function: Callable[..., Any]) -> bool:
    function = _function(function)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
