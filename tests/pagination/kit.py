"""A blog's tables, and a database to ask about them from tests that do not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic_core import from_json, to_json
from sqlalchemy import DateTime as PlainDateTime
from sqlalchemy import ForeignKey, String, delete, event
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.pool import StaticPool

from gatewright.pagination import CursorPage, CursorParams
from gatewright.pagination.values import pack, unpack

__all__ = ["Author", "Database", "Post", "Tag", "params_of", "walked"]

T = TypeVar("T")

# In the order of code points, as Python has it.
_Text = String(20, collation="C").with_variant(String(20, collation="utf8mb4_bin"), "mysql", "mariadb")
_Text = _Text.with_variant(String(20), "sqlite")
_Time = PlainDateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")


class Base(DeclarativeBase):
    """SQLAlchemy's base."""


class Author(Base):
    """Who writes."""

    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(_Text)


class Tag(Base):
    """What a post is about; a post has any number of them."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"))


class Post(Base):
    """What is listed: columns with ties, without NULLs and with them."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    rank: Mapped[int] = mapped_column(default=0)
    score: Mapped[int | None]
    title: Mapped[str | None] = mapped_column(_Text)
    written: Mapped[datetime | None] = mapped_column(_Time)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("authors.id"))
    author: Mapped[Author | None] = relationship()
    tags: Mapped[list[Tag]] = relationship()

    @hybrid_property
    def height(self) -> int:
        """Return something that no column has."""
        return self.rank + 100


class Database:
    """One database, asked from one event loop.

    Args:
        url: where it is, for SQLAlchemy.
    """

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {"poolclass": StaticPool} if url.startswith("sqlite") else {}
        self._runner = asyncio.Runner()
        self.engine: AsyncEngine = create_async_engine(url, **options)
        self.name: str = self.engine.dialect.name
        self.statements: list[tuple[str, Any]] = []
        event.listen(self.engine.sync_engine, "before_cursor_execute", self._heard)
        self._runner.run(self._create())

    def _heard(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        self.statements.append((statement, parameters))

    async def _create(self) -> None:
        async with self.engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)

    def run(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Return what *work* returns of a session."""

        async def session() -> T:
            async with AsyncSession(self.engine) as opened:
                return await work(opened)

        return self._runner.run(session())

    def fill(self, *rows: Base) -> None:
        """Let the tables have these rows, and no others."""

        async def work(session: AsyncSession) -> None:
            for table in (Tag, Post, Author):
                await session.execute(delete(table))
            session.add_all(rows)
            await session.commit()

        self.run(work)

    def close(self) -> None:
        """Let go of it."""
        self._runner.run(self.engine.dispose())
        self._runner.close()


def params_of(
    order: Sequence[str], limit: int, position: tuple[object, ...] = (), *, backward: bool = False
) -> CursorParams:
    """Return what the guard would provide."""
    return CursorParams(limit, tuple(order), position, backward)


Pages = Callable[[CursorParams], CursorPage[T]]


def walked(ask: Pages[T], order: Sequence[str], limit: int, *, backward: bool = False) -> list[CursorPage[T]]:
    """Return every page from one edge to the other, in the order in which they were asked for."""
    pages = [ask(params_of(order, limit, backward=backward))]
    while (position := pages[-1].prev if backward else pages[-1].next) is not None:
        assert len(pages) < 500, "the walk has no end"
        pages.append(ask(params_of(order, limit, _sent(position), backward=backward)))
    return pages


def _sent(position: tuple[object, ...]) -> tuple[object, ...]:
    """Send a position to a client and back."""
    return unpack(from_json(to_json(pack(position))))
