"""Databases for transactions: SQLite, PostgreSQL and MariaDB, by drivers that wait and drivers that block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.servers import MariaDbServer, PostgresServer, ServerProcess
from tests.transactions.bank import Bank
from tests.transactions.kit import Desk

DRIVERS = {
    "aiosqlite": "sqlite+aiosqlite",
    "sqlite": "sqlite",
    "asyncpg": "postgresql+asyncpg",
    "psycopg": "postgresql+psycopg",
    "aiomysql": "mysql+aiomysql",
    "pymysql": "mysql+pymysql",
}
SERVERS: dict[str, Callable[[], ServerProcess]] = {"postgresql": PostgresServer, "mysql": MariaDbServer}


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[str], Any]]:
    """Return what starts a server, of each kind one."""
    servers: dict[str, ServerProcess] = {}
    with ExitStack() as stack:

        def start(kind: str) -> ServerProcess:
            if kind not in servers:
                servers[kind] = stack.enter_context(SERVERS[kind]())
            return servers[kind]

        yield start


@pytest.fixture
async def bank_of(tmp_path: Path, prefix: str, server_of: Callable[[str], Any]) -> AsyncIterator[Callable[..., Bank]]:
    """Return what makes accounts with a driver."""
    banks: list[Bank] = []

    def make(driver: str, **pool: Any) -> Bank:
        pytest.importorskip(driver if driver != "sqlite" else "sqlite3")
        name = DRIVERS[driver]
        kind = name.partition("+")[0]
        url = f"{name}:///{tmp_path}/bank.db"
        if kind != "sqlite":
            at: str = server_of(kind).url
            url = f"{name}{at[at.index('://') :]}"
        banks.append(Bank(url, f"accounts_{prefix[-12:]}", **pool))
        return banks[-1]

    yield make
    for bank in banks:
        await bank.close()


def with_drivers(*drivers: str) -> Any:
    """Run a test with each of these drivers, by default with all."""
    return pytest.mark.parametrize(
        "bank",
        [pytest.param(each, marks=[] if "sqlite" in each else pytest.mark.slow) for each in drivers or DRIVERS],
        indirect=True,
    )


@pytest.fixture
async def bank(request: pytest.FixtureRequest, bank_of: Callable[..., Bank]) -> Bank:
    """Return accounts with a driver: one with 100 in it."""
    made = bank_of(request.param)
    await made.create(ada=100)
    return made


@pytest.fixture
def desk() -> Desk:
    """Return a gate whose log is in view."""
    return Desk()
