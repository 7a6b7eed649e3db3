"""The decorator."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple, Protocol

from gatewright._core.call import Call
from gatewright._core.callers import By, Metered, by_address, function_name
from gatewright._core.decorate import Decorator, Fold
from gatewright._core.gate import Gate
from gatewright._core.pipeline import Pipeline
from gatewright._core.principal import Principal
from gatewright._core.storage.contract import Charge, OnError
from gatewright._core.storage.limit import Limit, parse_limits
from gatewright.errors import ConfigurationError
from gatewright.rate_limit.credentials import CredentialLimit
from gatewright.rate_limit.guard import MeteredRateLimit, RateLimit
from gatewright.rate_limit.rule import Cost, Count, Rule, Tier

__all__ = ["Allowance", "RateLimiter", "with_rate_limit"]


class Allowance(NamedTuple):
    """How one limit stands for one caller.

    Attributes:
        limit: the limit as it is written.
        remaining: what is left to spend.
        reset_after: in how many seconds it is full again.
    """

    limit: str
    remaining: int
    reset_after: float


class RateLimiter(Decorator, Protocol):
    """A decorator that can be asked about the callers whom it counts, where it has a `scope`."""

    async def peek(self, gate: Gate, who: str) -> list[Allowance]:
        """Return how each limit stands for a caller; nothing is charged.

        Args:
            gate: whose storage.
            who: the caller, as `by` names him: "203.0.113.7" by address, "sub ada" by principal.

        Raises:
            ConfigurationError: for a limiter without a scope, or with tiers.
        """
        ...

    async def reset(self, gate: Gate, who: str) -> None:
        """Make a caller's limits full again; the arguments are those of `peek`."""
        ...


def with_rate_limit(
    limit: str | Tier,
    *more: str,
    by: By = by_address,
    cost: int | Cost = 1,
    scope: str | None = None,
    count: Count = "all",
    unit: str = "requests",
    shadow: bool = False,
    charge_refused: bool = False,
    on_error: OnError = "local",
    legacy_headers: bool = False,
) -> RateLimiter:
    """Refuse, with 429 and `Retry-After`, a caller who calls more often than all of the limits allow.

    A refused call costs nothing, whichever limit refused it, and several decorators decide as one. Every answer carries
    `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).

    Args:
        limit: such as `"100/minute"`, `"100/minute sliding"`, `"100/minute burst 20"`, or several:
            `"1000/day; 100/minute"`; or a function of the call, which may be async, that returns one, or None for
            no limit.
        more: further limits.
        by: who is counted: `by_address`, `by_principal`, `by_principal_or_address`, `by_header(...)`, or your function
            of the call, which returns a str and may be async. It runs before anybody is identified, unless it is
            marked with `metered`; those limits also charge an address for each 401.
        cost: what one call takes; or a function of the call, which may be async, that returns it, 0 for nothing.
        scope: a name under which handlers of one gate share their counters; without it each handler, on each of its
            routes, counts for itself, and apps that are limited as a whole count together.
        count: which answers are charged: `"all"`, `"failures"` (of status 400 or more), or those for which a function
            of the answer's `Head` says True. A call is charged when it comes, and gets it back when it is answered.
        unit: what is counted, for `RateLimit-Policy` and for a handler's `Meter`.
        shadow: only note in the log what would have been refused.
        charge_refused: charge refused calls too, so that a caller who does not stop stays blocked.
        on_error: while the storage does not answer: `"local"` counts in this process, `"open"` lets pass, `"closed"`
            refuses with 503.
        legacy_headers: send `X-RateLimit-Limit`, `-Remaining` and `-Reset` (Unix seconds) too.

    Raises:
        ConfigurationError: for a limit that cannot be read, or that the cost of one call exceeds.
    """
    tier: Tier | None = None
    limits: tuple[Limit, ...] = ()
    if callable(limit):
        tier = _checked(limit, more)
    else:
        limits = tuple(sorted({parsed for text in (limit, *more) for parsed in parse_limits(text)}))
    rule = Rule(limits, by, tier, cost, scope, count, unit, shadow, charge_refused, on_error, legacy_headers)
    return _Limiter(rule)


def _checked(tier: Tier, more: tuple[str, ...]) -> Tier:
    """Return *tier*, if it is one: it takes a call, as no handler does that was decorated by mistake."""
    parameters = inspect.signature(tier).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(needed) != 1 or needed[0].annotation not in (needed[0].empty, Call, "Call"):
        raise ConfigurationError(
            f'{function_name(tier)} is no rate limit; write with_rate_limit("100/minute"), or a function of the call '
            "that returns a limit or None"
        )
    if more:
        raise ConfigurationError("a function says all limits of a call; write with_rate_limit(function) alone")
    return tier


class _Limiter(Fold):
    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        if isinstance(rule.by, Metered):
            watching = (CredentialLimit(rule),) if rule.limits and not rule.shadow else ()
            needs = (Principal,) if rule.by.needs_principal else ()
            super().__init__(Pipeline().with_(MeteredRateLimit((rule,), needs), *watching))
        else:
            super().__init__(Pipeline().with_(RateLimit((rule,))))

    async def peek(self, gate: Gate, who: str) -> list[Allowance]:
        """Return how each limit stands for a caller."""
        charges = self._charges(who)
        standings: Any = gate.store.look(charges)
        if inspect.isawaitable(standings):
            standings = await standings
        return [
            Allowance(str(bucket.limit), remaining, seconds)
            for (bucket, _, _), (_, remaining, seconds, _) in zip(charges, standings, strict=True)
        ]

    async def reset(self, gate: Gate, who: str) -> None:
        """Make a caller's limits full again."""
        forgotten = gate.store.forget(self._charges(who))
        if forgotten is not None:
            await forgotten

    def _charges(self, who: str) -> list[Charge]:
        rule = self._rule
        if rule.scope is None or not rule.limits:
            raise ConfigurationError(
                f'{rule!r} counts by route or by tier; write scope="a name" and limits that are no function, to ask it'
            )
        return [(bucket, who, 1) for bucket in rule.buckets(rule.limits, None, "", False)]
