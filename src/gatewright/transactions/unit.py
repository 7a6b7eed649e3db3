"""One unit of work on a session: begun, handed out, and kept or dropped; a whole transaction, or a savepoint in one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from anyio import CapacityLimiter, to_thread

from gatewright._core.functions import is_async
from gatewright.errors import ConfigurationError
from gatewright.transactions.factory import Session, SessionFactory, opened

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Open", "Savepoint", "Unit", "Whole"]


class Open:
    """A session that is open, and the way in which its methods are called.

    Args:
        session: the session.
        call: whose it is.

    Attributes:
        kind: its class, by which others find it on the call.
    """

    def __init__(self, session: Session, call: Call) -> None:
        self.session: Any = session
        self.kind: Hashable = cast("Hashable", type(session))
        self._call = call
        self._blocks = not is_async(session.commit)

    async def do(self, step: Callable[..., Any], **options: Any) -> Any:
        """Take a step: a method that blocks gets a thread of its own.

        Its own, because those of the pool may all be taken by handlers that wait for the connection which this step
        would give back.
        """
        work = partial(step, **options)
        done = await to_thread.run_sync(work, limiter=CapacityLimiter(1)) if self._blocks else work()
        return await done if inspect.isawaitable(done) else done

    async def settle(self, work: Any, keep: bool) -> None:
        """Commit *work*, a session or a savepoint, or roll it back; what cannot be committed is rolled back, too."""
        if keep:
            try:
                await self.do(work.commit)
            except BaseException:
                await self._quietly(work.rollback)
                raise
        else:
            await self._quietly(work.rollback)

    async def close(self) -> None:
        """Give the connection back."""
        await self._quietly(self.session.close)

    async def _quietly(self, step: Callable[[], Any]) -> None:
        """Take a step whose failure must not hide what went before."""
        try:
            await self.do(step)
        except Exception as exc:
            self._failed(exc)

    @property
    def is_left(self) -> bool:
        """Say whether a plain handler, which was given up, still works with it in its thread."""
        return self._blocks and self._call.abandoned is not None and self._call.abandoned.is_running

    def leave(self) -> bool:
        """Let the session be dropped in the thread of a handler that was given up, once it ends there."""
        errand = self._call.abandoned
        return self._blocks and errand is not None and errand.then(self._drop)

    def _drop(self) -> None:
        for step in (self.session.rollback, self.session.close):
            try:
                step()
            except Exception as exc:
                self._failed(exc)

    def _failed(self, exc: Exception) -> None:
        self._call.gate.log.unhandled(exc, {"request_id": self._call.request_id, "where": "transactional"})


class Unit(Protocol):
    """Work that is kept or dropped as a whole."""

    async def begin(self) -> Open:
        """Begin, and return the session to work with."""
        ...

    async def end(self, keep: bool) -> None:
        """Keep what was done, or drop it."""
        ...


class Whole:
    """A transaction on a session of its own.

    Args:
        factory: makes the session.
        options: what SQLAlchemy is to be told about the connection, such as its isolation.
        required: whether a session that cannot be told does not do.
        call: whose it is.
    """

    def __init__(self, factory: SessionFactory, options: Mapping[str, Any], required: bool, call: Call) -> None:
        self._factory = factory
        self._options = options
        self._required = required
        self._call = call
        self._open: Open | None = None

    async def begin(self) -> Open:
        """Open a session."""
        self._open = Open(await opened(self._factory), self._call)
        if self._options:
            await self._set(self._open)
        return self._open

    async def _set(self, open_: Open) -> None:
        connection = getattr(open_.session, "connection", None)
        if connection is not None:
            await open_.do(connection, execution_options=self._options)
        elif self._required:
            raise ConfigurationError(
                f"transactional(isolation=...) is for SQLAlchemy's sessions, and not for {type(open_.session).__name__}"
            )

    async def end(self, keep: bool) -> None:
        """Commit or roll back, and close the session."""
        open_ = self._open
        if open_ is None:
            return
        if open_.leave():
            if keep:
                raise RuntimeError("a handler that was given up still works with the session of this transaction")
            return
        try:
            await open_.settle(open_.session, keep)
        finally:
            await open_.close()


class Savepoint:
    """A part of a transaction that is dropped without the rest.

    Args:
        outer: the session of the transaction.
    """

    def __init__(self, outer: Open) -> None:
        self._open = outer
        self._point: Any = None

    async def begin(self) -> Open:
        """Set the savepoint."""
        begin_nested = getattr(self._open.session, "begin_nested", None)
        if begin_nested is None:
            raise ConfigurationError(
                f"transactional() within transactional(): {type(self._open.session).__name__} has no begin_nested() "
                "for a savepoint; take one of the two away"
            )
        self._point = await self._open.do(begin_nested)
        return self._open

    async def end(self, keep: bool) -> None:
        """Release the savepoint, or roll back to it."""
        if self._point is None or self._open.is_left:
            return
        await self._open.settle(self._point, keep)
