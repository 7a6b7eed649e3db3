"""Databases to fail in: on servers that the tests start, or that were found running, and in files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, closing
from uuid import uuid4

import anyio
import psycopg
import pymysql
import pytest

from tests.faults.kit import SCHEMA, Dialect, Place, Talk, Way, ways_to
from tests.servers import HOST, MariaDbServer, PostgresServer, listens

STANDARD_PORT = {"postgres": 5432, "mariadb": 3306}
USER = {"postgres": "postgres", "mariadb": "root"}


@pytest.fixture
def anyio_backend() -> str:
    """Let these run on asyncio: no driver but psycopg's runs elsewhere."""
    return "asyncio"


@pytest.fixture(scope="session")
def place_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Dialect], Place]]:
    """Return what makes a database, of each dialect one, with tables and a few rows; nothing is left of it."""
    places: dict[Dialect, Place] = {}
    with ExitStack() as stack:

        def make(dialect: Dialect) -> Place:
            if dialect not in places:
                place = _file(tmp_path_factory) if dialect == "sqlite" else _on_a_server(dialect, stack)
                anyio.run(_furnish, place)
                places[dialect] = place
            return places[dialect]

        yield make


def _file(folders: pytest.TempPathFactory) -> Place:
    return Place("sqlite", "", 0, "", str(folders.mktemp("faults") / "app.db"))


def _on_a_server(dialect: Dialect, stack: ExitStack) -> Place:
    host, port = _server(dialect, stack)
    # Of a name that nobody else has: the server may be somebody's.
    place = Place(dialect, host, port, USER[dialect], f"gatewright_{uuid4().hex}")
    _ask(place, f"create database {place.name}" + (" character set utf8mb4" if dialect == "mariadb" else ""))
    stack.callback(_ask, place, f"drop database {place.name}" + (" with (force)" if dialect == "postgres" else ""))
    return place


def _server(dialect: Dialect, stack: ExitStack) -> tuple[str, int]:
    """Return a server of our own; where none is installed, the one that listens where it usually does."""
    own: type[PostgresServer | MariaDbServer] = PostgresServer if dialect == "postgres" else MariaDbServer
    if not own.is_installed() and listens(STANDARD_PORT[dialect]):
        return HOST, STANDARD_PORT[dialect]
    server = stack.enter_context(own())
    return server.host, server.port


def _ask(place: Place, sql: str) -> None:
    """Run a statement outside of the database."""
    if place.dialect == "postgres":
        with psycopg.connect(host=place.host, port=place.port, user=place.user, autocommit=True) as connection:
            connection.execute(sql)
        return
    with closing(pymysql.connect(host=place.host, port=place.port, user=place.user)) as mariadb:
        mariadb.cursor().execute(sql)


async def _furnish(place: Place) -> None:
    talk = await ways_to(place.dialect)[0].open(place)
    for statement in SCHEMA[place.dialect]:
        await talk.run(statement)
    await talk.close()


@pytest.fixture
def place(way: Way, place_of: Callable[[Dialect], Place]) -> Place:
    """Return the database that a way leads to."""
    return place_of(way.dialect)


@pytest.fixture
async def opened(way: Way, place: Place) -> AsyncIterator[Callable[[], Awaitable[Talk]]]:
    """Return what opens a connection, which is closed in the end."""
    async with AsyncExitStack() as stack:

        async def open_one() -> Talk:
            talk = await way.open(place)
            stack.push_async_callback(talk.close)
            return talk

        yield open_one


@pytest.fixture
async def talk(opened: Callable[[], Awaitable[Talk]]) -> Talk:
    """Return a connection."""
    return await opened()


@pytest.fixture
def postgres(place_of: Callable[[Dialect], Place]) -> Place:
    """Return a database of PostgreSQL's."""
    return place_of("postgres")
