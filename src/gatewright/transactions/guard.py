"""The surround that keeps what a successful handler did, and nothing of any other."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import anyio
from starlette.exceptions import HTTPException

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Guard, Proceed, Surround
from gatewright._core.handler import Handler, Kind
from gatewright._core.outcome import Outcome
from gatewright._core.phase import Phase
from gatewright._core.undisturbed import undisturbed
from gatewright.errors import ConfigurationError
from gatewright.faults import classify
from gatewright.transactions.current import Current
from gatewright.transactions.factory import SessionFactory, check_factory
from gatewright.transactions.marker import TransactionMarker
from gatewright.transactions.unit import Savepoint, Unit, Whole

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Isolation", "Transactional", "transactional"]

Isolation = Literal["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "SNAPSHOT"]

_PAUSE, _LONGEST = 0.02, 0.5
_YIELDING = (Kind.GENERATOR, Kind.ASYNC_GENERATOR)


def transactional(
    session_factory: SessionFactory,
    *,
    read_only: bool = False,
    retries: int = 0,
    isolation: Isolation | None = None,
) -> Decorator:
    """Run a handler in one transaction: commit where it succeeds, before the first byte of its answer leaves.

    A success is an answer below 400, a redirect too. `err(...)`, any other answer, an exception, and a cancellation
    (a timeout, a client that left) roll back. A commit that fails is what is answered, by the gate's `ErrorMapper`;
    nothing of the handler's answer leaves then. A stream begins after the commit, and background tasks run after it:
    load what they need before.

    A handler that asks for `Transaction[AsyncSession]` is given the session; other code has `call.get(AsyncSession)`.
    Within an app that is `transactional` on the same factory, a handler's own is a savepoint.

    Args:
        session_factory: `async_sessionmaker(...)`, `sessionmaker(...)`, or a function that returns an object with
            `commit`, `rollback` and `close`. Where these are plain methods, each runs in a thread.
        read_only: never commit, and so take GET too; on PostgreSQL, have the database refuse writes.
        retries: how often the whole handler is run again where the database says that this helps, as it does for a
            serialization failure or a deadlock. Only for a handler that does nothing outside of its transaction.
        isolation: the isolation level, for SQLAlchemy's sessions.

    Raises:
        ConfigurationError: for what makes no sessions, for numbers and levels that cannot be meant, for a handler that
            yields; when its route is installed, for one that serves a safe method.
    """
    check_factory(session_factory)
    if type(retries) is not int or retries < 0:
        raise ConfigurationError(f"transactional(retries={retries!r}): write a number of further tries, 0 or more")
    if isolation is not None and isolation not in get_args(Isolation):
        levels = ", ".join(get_args(Isolation))
        raise ConfigurationError(f"transactional(isolation={isolation!r}): write one of {levels}")
    return guarded_by(Transactional(session_factory, bool(read_only), retries, isolation))


@dataclass(frozen=True, repr=False)
class Transactional(Surround):
    """What `transactional` says.

    Attributes:
        names: the handler's parameters that take the session.
    """

    name = "transactional"
    phase = Phase.ENCLOSE
    provides: ClassVar[tuple[Hashable, ...]] = (TransactionMarker,)
    single = True

    factory: SessionFactory
    read_only: bool = False
    retries: int = 0
    isolation: Isolation | None = None
    names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        said = [
            *(["read_only=True"] if self.read_only else []),
            *([f"retries={self.retries}"] if self.retries else []),
            *([f"isolation={self.isolation!r}"] if self.isolation else []),
        ]
        return f"transactional({', '.join(said)})"

    @property
    def changes(self) -> bool:  # type: ignore[override]  # read, never set
        """Say whether anything is committed."""
        return not self.read_only

    @property
    def undoes(self) -> bool:  # type: ignore[override]  # read, never set
        """Say whether the work behind it may be rolled back after its answer is known."""
        return not self.read_only

    @property
    def repeats(self) -> bool:  # type: ignore[override]  # read, never set
        """Say whether the handler was declared safe to be run again."""
        return self.retries > 0

    def same_as(self, other: Guard) -> bool:
        """Say that none in front of an app does this one's work: within it, this one is a savepoint."""
        return False

    def seal(self, handler: Handler) -> Transactional:
        """Look which parameters take the session."""
        if handler.kind in _YIELDING:
            raise ConfigurationError(
                f"{handler.name}: it yields, so its work would begin after the commit; load first, "
                "and return a StreamingResponse"
            )
        return replace(self, names=tuple(want.name for want in handler.wanting(TransactionMarker)))

    async def around(self, call: Call, proceed: Proceed) -> Outcome:
        """Proceed in a transaction; again, where the database asks for it and the handler may be repeated."""
        outer = Current.of(call).around(self)
        if outer is not None:
            return await self._within(Savepoint(outer), call, proceed)
        if self.repeats:
            # Read once, it is there again for the next try.
            await call.body()
        begin_anew = call.mark()
        for tried in range(self.retries):
            try:
                return await self._within(self._whole(call), call, proceed)
            except Exception as exc:
                fault = classify(exc)
                if fault is None or not fault.retryable:
                    raise
            call.note(transaction_retries=tried + 1)
            begin_anew()
            await anyio.sleep(_pause(call, tried))
        return await self._within(self._whole(call), call, proceed)

    def _whole(self, call: Call) -> Whole:
        options: dict[str, Any] = {}
        if self.isolation is not None:
            options["isolation_level"] = self.isolation
        if self.read_only:
            options["postgresql_readonly"] = True
        return Whole(self.factory, options, self.isolation is not None, call)

    async def _within(self, unit: Unit, call: Call, proceed: Proceed) -> Outcome:
        try:
            with Current.of(call).entered(self, await unit.begin()):
                outcome = await proceed()
        except BaseException as exc:
            await undisturbed(unit.end(keep=self.changes and _is_redirect(exc)))
            raise
        await undisturbed(unit.end(keep=self.changes and outcome.status < 400 and not call.failed))
        return outcome


def _is_redirect(exc: BaseException) -> bool:
    """Say whether it is an answer below 400, raised by its author: inside FastAPI nobody could tell the two apart."""
    return isinstance(exc, HTTPException) and exc.status_code < 400


def _pause(call: Call, tried: int) -> float:
    """Return the seconds until the next try: at random, so that those who collided do not collide again."""
    share = int.from_bytes(call.gate.entropy(2)) / 0x10000
    return min(_PAUSE * 2.0**tried, _LONGEST) * share
