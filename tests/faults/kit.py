"""Databases that are really asked, each through every driver, in one way of speaking."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import aiomysql
import aiosqlite
import asyncpg
import psycopg
import pymysql
import pytest
from anyio.to_thread import run_sync
from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

__all__ = ["SCHEMA", "WAYS", "Dialect", "Place", "Talk", "Way", "engine_of", "raised_by", "url_of", "ways_to"]

Dialect = Literal["postgres", "mariadb", "sqlite"]


_TABLES = (
    "create table users (id int primary key, email varchar(20) not null, age int,"
    " constraint uq_email unique (email), constraint adult check (age > 17))",
    # Named by its author for what it is: an index (deer-flow#5026).
    "create table members (email varchar(20))",
    "create unique index ix_members_email on members (email)",
    "create table posts (id int primary key, author int,"
    " constraint fk_author foreign key (author) references users (id))",
    "create table pairs (a int, b int, constraint uq_pair unique (a, b))",
    "create table counters (id int primary key, n int)",
    "insert into users values (1, 'ada@example.org', 36)",
    "insert into users values (2, 'bob@example.org', 40)",
    "insert into members values ('ada@example.org')",
    "insert into posts values (1, 1)",
    "insert into pairs values (1, 1)",
    "insert into counters values (1, 0)",
    "insert into counters values (2, 0)",
)
SCHEMA: dict[Dialect, tuple[str, ...]] = {
    "postgres": (
        *_TABLES,
        "create table bookings (during int4range, constraint no_overlap exclude using gist (during with &&))",
        "insert into bookings values ('[1,5)')",
    ),
    "mariadb": _TABLES,
    # Writers and readers do not wait for one another.
    "sqlite": ("pragma journal_mode = wal", *_TABLES),
}


@dataclass(frozen=True)
class Place:
    """A database: on a server, or in a file.

    Args:
        dialect: what it speaks.
        host: of the server; for PostgreSQL it may be the folder of its socket.
        port: of the server.
        user: who asks; needs no password.
        name: of the database; of the file, for SQLite.
    """

    dialect: Dialect
    host: str
    port: int
    user: str
    name: str


class Talk(Protocol):
    """One connection, which commits each statement unless it is told BEGIN."""

    async def run(self, sql: str, *values: Any) -> Any:
        """Run a statement, in which `?` stands for a value; return the first column of the first row, if any."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


@dataclass
class _Talk:
    _run: Callable[..., Awaitable[Any]]
    _close: Callable[[], Awaitable[Any]]
    _mark: str

    async def run(self, sql: str, *values: Any) -> Any:
        for number in range(1, len(values) + 1):
            sql = sql.replace("?", self._mark.format(number), 1)
        return await self._run(sql, values)

    async def close(self) -> None:
        await self._close()


async def _asyncpg(place: Place) -> Talk:
    connection = await asyncpg.connect(host=place.host, port=place.port, user=place.user, database=place.name)

    async def run(sql: str, values: tuple[Any, ...]) -> Any:
        return await connection.fetchval(sql, *values)

    return _Talk(run, connection.close, "${}")


def _conninfo(place: Place) -> dict[str, Any]:
    return {"host": place.host, "port": place.port, "user": place.user, "dbname": place.name, "autocommit": True}


def _first(cursor: Any) -> Any:
    row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


async def _psycopg(place: Place) -> Talk:
    connection = await run_sync(lambda: psycopg.connect(**_conninfo(place)))

    async def run(sql: str, values: tuple[Any, ...]) -> Any:
        return await run_sync(lambda: _first(connection.execute(sql, values or None)))  # type: ignore[call-overload]

    async def close() -> None:
        connection.close()

    return _Talk(run, close, "%s")


async def _psycopg_async(place: Place) -> Talk:
    connection = await psycopg.AsyncConnection.connect(**_conninfo(place))

    async def run(sql: str, values: tuple[Any, ...]) -> Any:
        cursor = await connection.execute(sql, values or None)  # type: ignore[call-overload]
        row = await cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    return _Talk(run, connection.close, "%s")


def _mysql(place: Place) -> dict[str, Any]:
    return {"host": place.host, "port": place.port, "user": place.user, "database": place.name, "autocommit": True}


async def _pymysql(place: Place) -> Talk:
    connection = await run_sync(lambda: pymysql.connect(**_mysql(place)))

    def ask(sql: str, values: tuple[Any, ...]) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return _first(cursor)

    async def run(sql: str, values: tuple[Any, ...]) -> Any:
        return await run_sync(ask, sql, values)

    async def close() -> None:
        if connection.open:
            connection.close()

    return _Talk(run, close, "%s")


async def _aiomysql(place: Place) -> Talk:
    connection = await aiomysql.connect(place.host, place.user, "", place.name, place.port, autocommit=True)

    async def run(sql: str, values: tuple[Any, ...]) -> Any:
        async with connection.cursor() as cursor:
            await cursor.execute(sql, values or None)
            row = await cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    async def close() -> None:
        connection.close()

    return _Talk(run, close, "%s")


async def _sqlite(place: Place) -> Talk:
    connection = sqlite3.connect(place.name, isolation_level=None, check_same_thread=False, timeout=0)
    connection.execute("PRAGMA foreign_keys = on")

    async def run(sql: str, values: tuple[Any, ...]) -> Any:
        return await run_sync(lambda: _first(connection.execute(sql, values)))

    async def close() -> None:
        connection.close()

    return _Talk(run, close, "?")


async def _aiosqlite(place: Place) -> Talk:
    connection = await aiosqlite.connect(place.name, isolation_level=None, timeout=0)
    await connection.execute("PRAGMA foreign_keys = on")

    async def run(sql: str, values: tuple[Any, ...]) -> Any:
        async with connection.execute(sql, values) as cursor:
            row = await cursor.fetchone()
            return row[0] if row else None

    return _Talk(run, connection.close, "?")


def url_of(place: Place, driver: str) -> URL:
    """Return where it is, for SQLAlchemy with this driver."""
    if place.dialect == "sqlite":
        return URL.create(f"sqlite+{driver}", database=place.name)
    if place.dialect == "postgres":
        query = {"host": place.host, "port": str(place.port)}
        return URL.create(f"postgresql+{driver}", username=place.user, database=place.name, query=query)
    return URL.create(f"mysql+{driver}", place.user, host=place.host, port=place.port, database=place.name)


def engine_of(place: Place, driver: str, **options: Any) -> Any:
    """Return an engine of SQLAlchemy's: the synchronous one, or that of asyncio."""
    make: Any = create_async_engine if driver in ("asyncpg", "aiomysql", "aiosqlite") else create_engine
    if place.dialect == "sqlite":
        options["connect_args"] = {"timeout": 0}
    return make(url_of(place, driver), **options)


def _marked(values: tuple[Any, ...]) -> dict[str, Any]:
    return {f"v{number}": value for number, value in enumerate(values, 1)}


def _by_engine(driver: str) -> Callable[[Place], Awaitable[Talk]]:
    async def open_one(place: Place) -> Talk:
        engine = engine_of(place, driver, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        connection = await run_sync(engine.connect)

        def ask(sql: str, values: tuple[Any, ...]) -> Any:
            result = connection.execute(text(sql), _marked(values))
            return result.scalar() if result.returns_rows else None

        async def run(sql: str, values: tuple[Any, ...]) -> Any:
            return await run_sync(ask, sql, values)

        async def close() -> None:
            await run_sync(connection.close)

        return await _prepared(_Talk(run, close, ":v{}"), place)

    return open_one


def _by_async_engine(driver: str) -> Callable[[Place], Awaitable[Talk]]:
    async def open_one(place: Place) -> Talk:
        engine = engine_of(place, driver, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        connection = await engine.connect()

        async def run(sql: str, values: tuple[Any, ...]) -> Any:
            result = await connection.execute(text(sql), _marked(values))
            return result.scalar() if result.returns_rows else None

        async def close() -> None:
            await connection.close()

        return await _prepared(_Talk(run, close, ":v{}"), place)

    return open_one


async def _prepared(talk: Talk, place: Place) -> Talk:
    if place.dialect == "sqlite":
        await talk.run("PRAGMA foreign_keys = on")
    return talk


@dataclass(frozen=True)
class Way:
    """A way to a database: one driver, bare or below SQLAlchemy."""

    name: str
    dialect: Dialect
    open: Callable[[Place], Awaitable[Talk]]

    def __str__(self) -> str:
        return self.name


WAYS = (
    Way("asyncpg", "postgres", _asyncpg),
    Way("psycopg", "postgres", _psycopg),
    Way("psycopg-async", "postgres", _psycopg_async),
    Way("sqlalchemy-asyncpg", "postgres", _by_async_engine("asyncpg")),
    Way("sqlalchemy-psycopg", "postgres", _by_engine("psycopg")),
    Way("pymysql", "mariadb", _pymysql),
    Way("aiomysql", "mariadb", _aiomysql),
    Way("sqlalchemy-pymysql", "mariadb", _by_engine("pymysql")),
    Way("sqlalchemy-aiomysql", "mariadb", _by_async_engine("aiomysql")),
    Way("sqlite3", "sqlite", _sqlite),
    Way("aiosqlite", "sqlite", _aiosqlite),
    Way("sqlalchemy-sqlite3", "sqlite", _by_engine("pysqlite")),
    Way("sqlalchemy-aiosqlite", "sqlite", _by_async_engine("aiosqlite")),
)


def ways_to(*dialects: Dialect) -> list[Way]:
    """Return the ways to databases of these dialects."""
    return [way for way in WAYS if way.dialect in dialects]


async def raised_by(talk: Talk, sql: str, *values: Any) -> Exception:
    """Return what a statement raises: something, of whichever driver."""
    with pytest.raises(Exception) as caught:  # that it is told apart is what is tested
        await talk.run(sql, *values)
    return caught.value
