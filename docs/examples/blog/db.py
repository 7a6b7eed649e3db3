"""The database: SQLite through SQLAlchemy's asyncio."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import URL, ForeignKey, event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from blog import settings
from gatewright import Transaction


class Base(DeclarativeBase):
    """Collect the tables."""


class User(Base):
    """An account."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: uuid4().hex)
    name: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    is_admin: Mapped[bool] = mapped_column(default=False)
    is_supporter: Mapped[bool] = mapped_column(default=False)


class Post(Base):
    """A post; it goes when its author goes."""

    __tablename__ = "posts"
    __table_args__ = ({"sqlite_autoincrement": True},)  # the number of a deleted post is not given out again

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    text: Mapped[str]
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[str] = mapped_column(default=lambda: datetime.now(UTC).isoformat())


engine = create_async_engine(URL.create("sqlite+aiosqlite", database=settings.DATABASE))

sessions = async_sessionmaker(engine, expire_on_commit=False)

# What a handler asks for that changes something: the session of its transaction, which `@transactional(sessions)` ends.
Database = Transaction[AsyncSession]

# For what is looked up: `async with transaction() as db:` commits at the end, and rolls back when something is raised.
transaction = sessions.begin


@event.listens_for(engine.sync_engine, "connect")
def enforce_foreign_keys(connection: Any, _: object) -> None:
    """Switch on what SQLite leaves off."""
    connection.execute("PRAGMA foreign_keys = ON")


async def create_tables() -> None:
    """Create the tables that are not there yet."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
