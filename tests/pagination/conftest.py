"""Databases to page through: in memory, and on servers that the tests start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pagination.kit import Database
from tests.servers import MariaDbServer, PostgresServer


@pytest.fixture(scope="session")
def sqlite() -> Iterator[Database]:
    """Return a database in memory."""
    database = Database("sqlite+aiosqlite://")
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Database]:
    """Return a database of PostgreSQL."""
    with PostgresServer() as server:
        database = Database(server.url)
        yield database
        database.close()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Database]:
    """Return a database of MariaDB."""
    with MariaDbServer() as server:
        database = Database(server.url)
        yield database
        database.close()


@pytest.fixture(scope="session", params=["sqlite", "postgres", "mariadb"])
def database(request: pytest.FixtureRequest) -> Database:
    """Return each of them in turn."""
    found: Database = request.getfixturevalue(request.param)
    return found
