"""A database that dies under a handler: a mapped 503, nothing half done, and work again once it is back."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from gatewright import Call, Result, Transaction, ok, transactional
from tests.servers import MariaDbServer, PostgresServer
from tests.transactions.bank import Bank
from tests.transactions.conftest import DRIVERS
from tests.transactions.kit import Desk

pytestmark = [pytest.mark.anyio, pytest.mark.fault, pytest.mark.slow]


@pytest.fixture
def anyio_backend() -> str:
    """SQLAlchemy does not run on trio."""
    return "asyncio"


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "aiomysql", "pymysql"])
async def test_a_server_that_dies_between_the_work_and_the_commit(driver: str) -> None:
    """`kill -9` once the handler has written: 503, nothing is stale, no connection is lost; then it goes on."""
    with PostgresServer() if DRIVERS[driver].startswith("postgresql") else MariaDbServer() as server:
        url = DRIVERS[driver] + server.url[server.url.index("://") :]
        bank, desk = Bank(url, pool_size=1, max_overflow=0, pool_timeout=5), Desk()
        await bank.create(ada=100)
        tries: list[int] = []

        @transactional(bank.sessions, retries=2)
        async def write(db: Transaction[Any], call: Call) -> Result[str]:
            tries.append(1)
            call.invalidate("accounts")
            await bank.put(db, "ada", 1)
            await bank.open(db, "bob")
            if len(tries) == 1:
                await anyio.to_thread.run_sync(server.kill)
            return ok("done")

        reply = await desk.post(write)
        assert reply.status == 503
        assert len(tries) == 1
        assert "retry-after" in reply.headers
        assert (desk.told, bank.checked_out) == ([], 0)
        await anyio.to_thread.run_sync(server.start)
        assert await bank.seen() == {"ada": 100}
        assert (await desk.post(write)).status in (200, 503)
        assert (await desk.post(write)).status in (200, 409)
        assert await bank.seen() == {"ada": 1, "bob": 0}
        await bank.close()
