"""A table of accounts in a real database, and a second connection that sees what is committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anyio import to_thread
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, event, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker

__all__ = ["Bank"]


class Bank:
    """Accounts of a test's own.

    Args:
        url: where the database is, and its driver.
        table: the name of the table.
        pool: options of the engine.

    Attributes:
        blocking: whether its sessions have plain methods.
        sessions: the factory that handlers get.
        accounts: the table.
    """

    def __init__(self, url: str, table: str = "accounts", **pool: Any) -> None:
        self.url = make_url(url)
        self.blocking = "+aio" not in url and "asyncpg" not in url
        self.accounts = Table(
            table,
            MetaData(),
            Column("name", String(40), primary_key=True),
            Column("amount", Integer, nullable=False),
            mysql_engine="InnoDB",
        )
        options = {"connect_args": {"timeout": 5.0}, **pool} if self.is_file else pool
        make: Callable[..., Any] = create_engine if self.blocking else create_async_engine
        self.engine = make(url, **options)
        self.sessions: Any = (sessionmaker if self.blocking else async_sessionmaker)(self.engine)
        if self.is_file:
            _begin_by_ourselves(self.engine if self.blocking else self.engine.sync_engine)

    @property
    def is_file(self) -> bool:
        """Say whether it is SQLite."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def is_postgres(self) -> bool:
        """Say whether it is PostgreSQL."""
        return self.url.get_backend_name() == "postgresql"

    # What handlers do, on either kind of session

    async def run(self, db: Any, statement: Any) -> Any:
        """Execute a statement."""
        return db.execute(statement) if self.blocking else await db.execute(statement)

    async def open(self, db: Any, name: str, amount: int = 0) -> None:
        """Open an account."""
        await self.run(db, insert(self.accounts).values(name=name, amount=amount))

    async def amount(self, db: Any, name: str) -> int:
        """Return what is in an account."""
        found = await self.run(db, select(self.accounts.c.amount).where(self.accounts.c.name == name))
        amount: int = found.scalar_one()
        return amount

    async def put(self, db: Any, name: str, amount: int) -> None:
        """Set what is in an account."""
        await self.run(db, update(self.accounts).where(self.accounts.c.name == name).values(amount=amount))

    # A violation that the database finds when it commits

    async def defer_a_violation(self) -> None:
        """Prepare it."""
        await self.elsewhere(
            lambda db: db.execute(text(f"CREATE TABLE IF NOT EXISTS {self._known} (name VARCHAR(40) PRIMARY KEY)"))
        )
        refers = f"name VARCHAR(40) REFERENCES {self._known} DEFERRABLE INITIALLY DEFERRED"
        await self.elsewhere(lambda db: db.execute(text(f"CREATE TABLE IF NOT EXISTS {self._referring} ({refers})")))

    async def violate(self, db: Any) -> None:
        """Refer to what is not there."""
        if self.is_file:
            await self.run(db, text("PRAGMA defer_foreign_keys = ON"))
        await self.run(db, text(f"INSERT INTO {self._referring} VALUES ('nobody')"))

    @property
    def _known(self) -> str:
        return f"{self.accounts.name}_known"

    @property
    def _referring(self) -> str:
        return f"{self.accounts.name}_refs"

    # What others see

    async def seen(self) -> dict[str, int]:
        """Return what is committed, by another connection."""
        return await self.elsewhere(lambda db: dict(iter(db.execute(select(self.accounts)))))

    async def create(self, **amounts: int) -> None:
        """Make the table, with accounts in it."""

        def make(db: Any) -> None:
            self.accounts.metadata.create_all(db)
            if amounts:
                db.execute(insert(self.accounts), [{"name": name, "amount": each} for name, each in amounts.items()])

        await self.elsewhere(make)

    async def elsewhere(self, work: Callable[[Any], Any]) -> Any:
        """Return what is found, or do what is to be there before, on another connection."""
        driver = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
        engine = create_engine(self.url.set(drivername=driver[self.url.get_backend_name()]))

        def look() -> Any:
            try:
                with engine.begin() as connection:
                    return work(connection)
            finally:
                engine.dispose()

        return await to_thread.run_sync(look)

    @property
    def checked_out(self) -> int:
        """Return how many connections are in use."""
        out: int = self.engine.pool.checkedout()
        return out

    async def close(self) -> None:
        """Let go of connections."""
        done = self.engine.dispose()
        if not self.blocking:
            await done


def _begin_by_ourselves(engine: Any) -> None:
    """Let SQLite's driver begin no transactions by itself: savepoints need it (SQLAlchemy, *SQLite*)."""

    @event.listens_for(engine, "connect")
    def leave_it(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")
