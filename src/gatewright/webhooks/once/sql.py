"""Deliveries in the application's own database, so that an event's effect and its memory are one transaction."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

try:
    from sqlalchemy import Boolean, Column, Double, MetaData, String, Table, and_, delete, insert, or_, select, update
    from sqlalchemy.exc import IntegrityError
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
    from sqlalchemy.schema import CreateTable
except ImportError as _missing:  # pragma: no cover  # the tests install SQLAlchemy
    raise ImportError('SqlDeliveries needs SQLAlchemy: pip install "gatewright[sql]"') from _missing

from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright.errors import ConfigurationError
from gatewright.webhooks.once.contract import Busy, Claim, ClaimLost, Done

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, CursorResult, Executable

__all__ = ["SqlDeliveries"]

# A claim whose lease ended may still be committed, as long as nobody else took it.
_ABANDONED = 86_400.0


class SqlDeliveries:
    """Remember deliveries in a table beside the handler's own.

    ::

        deliveries = SqlDeliveries(sessions)

        @verify_webhook(stripe(), secrets=SECRET, once=deliveries)
        async def hook(event: Event[Paid], claim: Claim) -> Result[None]:
            async with sessions.begin() as session:
                session.add(Payment(event.data.object.id))
                await deliveries.finish(claim, session)
            return ok()

    Whether the payment is in the database and whether the event was handled is then one question. Let the transaction
    end before the handler does. Without `finish` the delivery is remembered as elsewhere: after the handler.

    Claims are transactions of their own. Who is first is decided by the primary key and by the number of rows that an
    UPDATE finds; no isolation is needed beyond the database's default. Several workers need clocks that agree to within
    what the lease has to spare.

    Args:
        database: where the table is.
        table: its name.
        clock: tells the time of day.
        entropy: returns n random bytes, for the fences of claims.

    Attributes:
        table: for migrations.
        metadata: holds nothing but the table; `target_metadata = [Base.metadata, deliveries.metadata]` for Alembic.
    """

    def __init__(
        self,
        database: AsyncEngine | async_sessionmaker[AsyncSession],
        *,
        table: str = "gatewright_deliveries",
        clock: Clock = SYSTEM_CLOCK,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if not isinstance(database, (AsyncEngine, async_sessionmaker)):  # pyright: ignore[reportUnnecessaryIsInstance]  # a promise
            raise ConfigurationError(
                f"SqlDeliveries({type(database).__name__}): write an engine of create_async_engine(...), "
                "or an async_sessionmaker(...)"
            )
        self._begin = database.begin
        self._clock = clock
        self._entropy = entropy
        self.metadata: MetaData = MetaData()
        self.table: Table = Table(
            table,
            self.metadata,
            Column("key", String(64), primary_key=True),
            Column("fence", String(32), nullable=False),
            Column("done", Boolean, nullable=False),
            # Unix seconds: the end of the lease or, once it is done, of the memory.
            Column("until", Double, nullable=False),
        )
        self._columns = self.table.c
        # By their fences; what is finished in a transaction that is still open cannot be looked at.
        self._finished: set[str] = set()

    def __repr__(self) -> str:
        return f"<SqlDeliveries {self.table.name}>"

    async def create_table(self) -> None:
        """Create the table, where it is not there yet; with migrations, leave it to them."""
        async with self._begin() as database:
            await database.execute(CreateTable(self.table, if_not_exists=True))

    async def claim(self, key: str, lease: float, keep: float, /) -> Claim | Busy | Done:
        """Claim a delivery."""
        found = select(self._columns.done, self._columns.until).where(self._columns.key == key)
        async with self._begin() as database:
            row = (await database.execute(found)).one_or_none()
        now = self._clock.time()
        if row is not None and now < row.until:
            return Done() if row.done else Busy(row.until - now)
        claim = Claim(key, self._entropy(16).hex(), keep)
        until = now + lease
        won = await (self._insert(claim, until) if row is None else self._take_over(claim, now, until))
        # Where somebody was faster, it is theirs for as long as it would have been ours.
        return claim if won else Busy(lease)

    async def _insert(self, claim: Claim, until: float) -> bool:
        row = insert(self.table).values(key=claim.key, fence=claim.fence, done=False, until=until)
        try:
            async with self._begin() as database:
                await database.execute(row)
        except IntegrityError:
            return False
        return True

    async def _take_over(self, claim: Claim, now: float, until: float) -> bool:
        """Claim what was abandoned, or remembered for long enough."""
        over = and_(self._columns.key == claim.key, self._columns.until <= now)
        return await self._changed(update(self.table).where(over).values(fence=claim.fence, done=False, until=until))

    async def commit(self, claim: Claim, /) -> bool:
        """Remember that it was handled; what `finish` remembered stays."""
        if claim.fence in self._finished:
            self._finished.discard(claim.fence)
            return True
        return await self._changed(self._finishing(claim, self._ours(claim)))

    async def release(self, claim: Claim, /) -> None:
        """Give the claim up."""
        self._finished.discard(claim.fence)
        await self._changed(delete(self.table).where(self._free(claim), self._columns.done.is_(False)))

    async def finish(self, claim: Claim, database: AsyncSession | AsyncConnection) -> None:
        """Remember, in the handler's own transaction, that the delivery was handled: both come true, or neither.

        Args:
            claim: the handler's.
            database: in a transaction of the database that has the table.

        Raises:
            ClaimLost: where the lease ran out and another worker has the claim; let it roll the transaction back.
        """
        if await _rows(database, self._finishing(claim, self._ours(claim))) != 1:
            raise ClaimLost(headers={"Retry-After": "1"}, reason="the lease ran out, and another worker has the claim")
        self._finished.add(claim.fence)

    async def purge(self) -> int:
        """Delete what is over, and return how much that was; call it now and then."""
        now, until, done = self._clock.time(), self._columns.until, self._columns.done
        over = or_(and_(done.is_(True), until <= now), until <= now - _ABANDONED)
        async with self._begin() as database:
            return await _rows(database, delete(self.table).where(over))

    def _finishing(self, claim: Claim, which: ColumnElement[bool]) -> Executable:
        return update(self.table).where(which).values(done=True, until=self._clock.time() + claim.keep)

    def _ours(self, claim: Claim) -> ColumnElement[bool]:
        return and_(self._columns.key == claim.key, self._columns.fence == claim.fence)

    def _free(self, claim: Claim) -> ColumnElement[bool]:
        """Return what finds the claim where no transaction holds it, and waits for none: that one may wait for us."""
        unlocked = select(self._columns.key).where(self._ours(claim)).with_for_update(skip_locked=True).subquery()
        return and_(self._ours(claim), self._columns.key.in_(select(unlocked.c.key)))

    async def _changed(self, statement: Executable) -> bool:
        async with self._begin() as database:
            return await _rows(database, statement) == 1


async def _rows(database: AsyncSession | AsyncConnection, statement: Executable) -> int:
    """Return how many rows a statement changed."""
    result = cast("CursorResult[Any]", await database.execute(statement))
    return result.rowcount
