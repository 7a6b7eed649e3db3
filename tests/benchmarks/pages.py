"""A page deep in a long list: by its number, which the database counts to, and by a cursor, which it looks up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any

from sqlalchemy import DateTime, Index, String, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from gatewright import CursorParams, PageParams
from gatewright.pagination.sql import cursor_page_of, page_of
from tests.benchmarks.method import Effort, Figures, Setup, Work, measure
from tests.benchmarks.table import Table, micro, ratio
from tests.benchmarks.wire import running
from tests.servers import PostgresServer

__all__ = ["DEPTHS", "WAYS", "found", "furnished", "table"]

ROWS = 1_000_000
DEPTHS = (0.0, 0.5, 0.99)
_LIMIT, _ORDER = 10, ("-created_at", "id")


class _Base(DeclarativeBase):
    pass


class _Post(_Base):
    """A million of them, four in each second."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    title: Mapped[str] = mapped_column(String(100))


Index("in_order", _Post.created_at.desc(), _Post.id)

_TABLE: Any = _Post.__table__
_IN_ORDER = select(_TABLE).order_by(_TABLE.c.created_at.desc(), _TABLE.c.id)
Ask = Callable[[AsyncConnection], Awaitable[list[int]]]


@dataclass(frozen=True)
class Way:
    """A way to ask for a page.

    Args:
        ask: returns the ids of the page that begins after so many rows, the last of which is at a position.
        share: how much of the effort it is worth; what takes a thousand times as long is asked less often.
    """

    ask: Callable[[int, tuple[object, ...]], Ask]
    share: float = 1


def _by_offset(skipped: int, position: tuple[object, ...]) -> Ask:
    async def ask(connection: AsyncConnection) -> list[int]:
        return [row.id for row in await connection.execute(_IN_ORDER.limit(_LIMIT).offset(skipped))]

    return ask


def _by_number(skipped: int, position: tuple[object, ...]) -> Ask:
    page = PageParams(skipped // _LIMIT + 1, _LIMIT, skipped)

    async def ask(connection: AsyncConnection) -> list[int]:
        return [row.id for row in (await page_of(connection, _IN_ORDER, page)).items]

    return ask


def _by_cursor(skipped: int, position: tuple[object, ...], *, backward: bool = False) -> Ask:
    cursor = CursorParams(_LIMIT, _ORDER, position, backward)

    async def ask(connection: AsyncConnection) -> list[int]:
        return [row.id for row in (await cursor_page_of(connection, select(_TABLE), cursor)).items]

    return ask


_CURSOR = "`cursor_page_of`, after"
WAYS = {
    _CURSOR: Way(_by_cursor),
    "`cursor_page_of`, before": Way(partial(_by_cursor, backward=True)),
    "SQLAlchemy, `limit` and `offset`": Way(_by_offset, 0.02),
    "`page_of`, which counts": Way(_by_number, 0.005),
}
"""Who takes part."""


@contextmanager
def furnished(rows: int = ROWS) -> Generator[str, None, None]:
    """Start a server with so many posts, and return where it is."""

    async def furnish(url: str) -> None:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(_Base.metadata.create_all)
            posts = "select n, timestamp '2026-01-01' + n / 4 * interval '1 second', 'Post ' || n"
            await connection.execute(text(f"insert into posts {posts} from generate_series(1, {rows}) n"))
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(text("vacuum analyze posts"))
        await engine.dispose()

    with PostgresServer() as server:
        asyncio.run(furnish(server.url))
        yield server.url


def found(way: str, url: str, skipped: int) -> list[int]:
    """Return the ids of the page that comes after so many rows."""
    with running() as runner:

        async def ask() -> list[int]:
            engine = create_async_engine(url)
            async with engine.connect() as connection:
                asked = await WAYS[way].ask(skipped, await _position(connection, skipped))(connection)
            await engine.dispose()
            return asked

        return runner.run(ask())


async def _position(connection: AsyncConnection, skipped: int) -> tuple[object, ...]:
    """Return where the last row before a page is; nothing before the first one."""
    if not skipped:
        return ()
    row = (await connection.execute(_IN_ORDER.limit(1).offset(skipped - 1))).one()
    return (row.created_at, row.id)


@contextmanager
def _asking(way: str, url: str, skipped: int) -> Generator[Work, None, None]:
    with running() as runner:
        engine = create_async_engine(url)
        connection = runner.run(engine.connect().__aenter__())
        ask = WAYS[way].ask(skipped, runner.run(_position(connection, skipped)))

        async def ask_all(count: int) -> float:
            started = perf_counter()
            for _ in range(count):
                await ask(connection)
            return (perf_counter() - started) / count

        yield lambda count: runner.run(ask_all(max(1, round(count * WAYS[way].share))))
        runner.run(connection.close())
        runner.run(engine.dispose())


_COLUMNS = ("10 of 10⁶ rows, at depth", "min µs", "median µs", "÷ its own first page", "÷ the cursor's first page")
_NOTE = (
    "Wall-clock time of one question after the other to PostgreSQL over a socket, through SQLAlchemy and asyncpg, on "
    "`(created_at DESC, id)`, indexed so, with four rows to a second. Ratios are of the minima. `limit` and `offset` "
    "read the index up to the page; `page_of` counts all rows, too, on every page; a cursor reads the eleven rows that "
    "it needs. Its first page has no condition, which SQLAlchemy would have to write."
)


def table(effort: Effort, rows: int = ROWS) -> Table:
    """Measure pages at the start, in the middle and at the end."""
    with furnished(rows) as url:
        setups: dict[str, Setup] = {
            f"{way}, {depth:.0%}": partial(_asking, way, url, int(rows * depth)) for way in WAYS for depth in DEPTHS
        }
        figures = measure(setups, effort)
    base = figures[f"{_CURSOR}, 0%"]
    return Table("Pages", _COLUMNS, [_row(way, depth, figures, base) for way in WAYS for depth in DEPTHS], _NOTE)


def _row(way: str, depth: float, figures: dict[str, Figures], base: Figures) -> tuple[str, ...]:
    own, first = figures[f"{way}, {depth:.0%}"], figures[f"{way}, 0%"]
    ratios = ratio(own.minimum, first.minimum), ratio(own.minimum, base.minimum)
    return f"{way}, {depth:.0%}", micro(own.minimum), micro(own.median), *ratios
