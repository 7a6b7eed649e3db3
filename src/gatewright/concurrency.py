"""How many calls may be at work at the same time, of everybody or of each caller."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

from gatewright._core.call import Call
from gatewright._core.callers import By, Metered, caller_of, function_name
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.gate import Gate
from gatewright._core.guard import Guard
from gatewright._core.handler import Handler
from gatewright._core.phase import Phase
from gatewright._core.principal import Principal
from gatewright._core.problems import QUOTA_EXCEEDED, REDUCED_CAPACITY
from gatewright._core.storage.contract import Leases
from gatewright.errors import ApiError, ConfigurationError, ServiceUnavailable, TooManyRequests

__all__ = ["limit_concurrency"]


def limit_concurrency(n: int, *, by: By | None = None, scope: str | None = None) -> Decorator:
    """Let at most *n* calls be at work at the same time; refuse one more, with `Retry-After`.

    A slot is held until the call is over: the last byte of a stream, the end of a websocket's conversation, the last
    background task, a disconnect, a cancellation. A refusal is 503 or, where each caller has slots of his own, 429,
    and says what the limit is (draft-ietf-httpapi-ratelimit-headers-10, "concurrent-requests").

    Args:
        n: how many at once.
        by: whose calls are counted: `by_address`, `by_principal`, or your function of the call, which may be async;
            everybody's together without it. It runs before anybody is identified, unless it is marked with `metered`.
        scope: a name under which handlers of one gate share slots; each lets in what leaves no more than its own *n*
            taken. Without it each handler, on each of its routes, has its own, and apps that are limited as a whole
            share them.

    Raises:
        ConfigurationError: for an *n* that is no number from 1, a *by* that is no function, an empty scope.
    """
    if type(n) is not int or n < 1:
        raise ConfigurationError(f"limit_concurrency({n!r}): write how many calls may be at work at once, 1 or more")
    if by is not None and not callable(by):
        raise ConfigurationError(f"by={by!r}: write by=by_address, by=by_principal, or a function of the call")
    if scope == "":
        raise ConfigurationError('scope="": write a name, or nothing')
    if by is None:
        return guarded_by(LimitConcurrency(n, None, scope))
    if not isinstance(by, Metered):
        return guarded_by(LimitCaller(n, by, scope))
    return guarded_by(LimitCaller(n, by, scope, Phase.METER, (Principal,) if by.needs_principal else ()))


@dataclass(frozen=True, repr=False)
class LimitConcurrency(Guard):
    """Lend so many slots to everybody together."""

    name = "limit_concurrency"
    # After what refuses without a slot, such as a limit on how often; and after the slots of each caller, so that one
    # who has none left takes none of everybody's.
    rank = 2
    error: ClassVar[type[ApiError]] = ServiceUnavailable
    message: ClassVar[str] = "The service is busy"
    problem: ClassVar[str] = REDUCED_CAPACITY

    most: int
    by: By | None
    scope: str | None
    phase: Phase = Phase.ADMIT
    needs: tuple[Hashable, ...] = ()
    handler: str = "app"

    @property
    def whose(self) -> str:
        """Return the full name of the function that says whose calls are counted; nothing for everybody's."""
        return "" if self.by is None else function_name(self.by)

    def __repr__(self) -> str:
        said = [str(self.most)]
        said += [] if self.by is None else [f"by={self.whose.rpartition('.')[2]}"]
        said += [] if self.scope is None else [f"scope={self.scope!r}"]
        return f"limit_concurrency({', '.join(said)})"

    def merge(self, others: Sequence[Self]) -> Sequence[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]  # Self is this class
        """Refuse two that would take the same slots: one call would take two."""
        guards = (self, *others)
        if len({(guard.whose, guard.scope) for guard in guards}) < len(guards):
            raise ConfigurationError(
                f"{' and '.join(map(repr, guards))} would share slots; write one, or give one a scope=... of its own"
            )
        return guards

    def seal(self, handler: Handler) -> Guard:
        """Take the handler's name, module and all, for the name of its slots."""
        return replace(self, handler=handler.name)

    def bind(self, gate: Gate) -> Guard:
        """Take what lends slots."""
        return _Lending(self, self.phase, self.whose, gate.leases, gate.entropy)

    def refusal(self) -> ApiError:
        """Return the refusal: nobody knows when a slot will be free, so it is worth another try soon."""
        policy = f"{self.most}-at-once"
        return self.error(
            self.message,
            headers={
                "Retry-After": "1",
                "RateLimit-Policy": f'"{policy}";q={self.most};qu="concurrent-requests"',
                "RateLimit": f'"{policy}";r=0',
            },
            reason=repr(self),
            problem_type=self.problem,
            facts={"violated-policies": [policy]},
        )


class LimitCaller(LimitConcurrency):
    """Lend so many slots to each caller."""

    rank = 1
    error: ClassVar[type[ApiError]] = TooManyRequests
    message: ClassVar[str] = "Too many requests at the same time"
    problem: ClassVar[str] = QUOTA_EXCEEDED


@dataclass(frozen=True, eq=False)
class _Lending(Guard):
    """Lend the slots of one gate.

    Args:
        limit: what was said.
        phase: as the limit has it.
        whose: as the limit has it.
        leases: lends them.
        entropy: returns n random bytes.
    """

    name = LimitConcurrency.name

    limit: LimitConcurrency
    phase: Phase
    whose: str
    leases: Leases
    entropy: Callable[[int], bytes]

    async def enter(self, call: Call) -> None:
        """Take a slot and leave its return for the end of the call, or refuse."""
        if call.is_preflight:
            return
        key, holder = await self._key(call), self._holder(call)
        taken = True
        try:
            taken = await self.leases.take(key, holder, self.limit.most)
        finally:
            # True also for who is cancelled while he asks: he may have been given one all the same.
            if taken:
                call.afterwards(partial(self.leases.give, key, holder))
        if not taken:
            raise self.limit.refusal()

    async def _key(self, call: Call) -> str:
        limit, who = self.limit, ""
        place = (call.route, limit.handler) if limit.scope is None else (limit.scope,)
        if limit.by is not None:
            who = await caller_of(call, limit.by)
        # A repr, so that no two tuples make one name.
        return repr((*place, self.whose, who))

    def _holder(self, call: Call) -> str:
        """Return a name that no other call has: not the request's id, which a client may choose.

        Here by identity, because a call lives as long as its slot; elsewhere by chance.
        """
        return f"{self.entropy(8).hex()}-{id(call):x}"
