"""Places in which deliveries are remembered: in memory, on Redis, and in two databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gatewright.testing import FrozenClock
from tests.servers import PostgresServer, RedisServer, ServerProcess, found_binaries
from tests.webhooks.once.kit import Place, Worker

REDIS = found_binaries("redis-server", "valkey-server")
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")

ON_A_SERVER = [
    *(pytest.param(name, marks=pytest.mark.redis) for name in REDIS),
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("postgres", "postgres, joined")),
]
EVERYWHERE = ["memory", "sqlite", "sqlite, joined", *ON_A_SERVER]


@pytest.fixture
def anyio_backend() -> str:
    """Neither redis-py nor SQLAlchemy runs on trio."""
    return "asyncio"


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[str], ServerProcess]]:
    """Return what starts a server, of each kind one; it may be killed, since it forgets nothing."""
    servers: dict[str, ServerProcess] = {}
    with ExitStack() as stack:

        def start(kind: str) -> ServerProcess:
            if kind not in servers:
                pytest.importorskip("asyncpg" if kind == "postgres" else "redis")
                server = PostgresServer() if kind == "postgres" else RedisServer(kind, *DURABLE)
                servers[kind] = stack.enter_context(server)
            return servers[kind]

        yield start


@pytest.fixture(params=EVERYWHERE)
def place(
    request: pytest.FixtureRequest, tmp_path: Path, prefix: str, server_of: Callable[[str], ServerProcess]
) -> Place:
    """Remember deliveries in each of these places."""
    kind, _, joined = request.param.partition(", ")
    more: dict[str, Any] = {"joined": bool(joined), "name": prefix.removeprefix("test-")[:16]}
    if kind == "memory":
        return Place(**more)
    if kind == "sqlite":
        pytest.importorskip("aiosqlite")
        return Place(f"sqlite+aiosqlite:///{tmp_path}/app.db", **more)
    server: Any = server_of(kind)
    age = partial(_age, server, more["name"]) if kind in REDIS else lambda seconds: None
    return Place(server.url, age=age, server=server, **more)


def _age(server: RedisServer, prefix: str, seconds: float) -> None:
    """Let the keys of one test be older: the server's clock is nobody's to move."""
    for name in server.keys(prefix):
        server.ask("PEXPIRE", name, server.ask("PTTL", name) - int(seconds * 1000))


@pytest.fixture
async def hire(place: Place) -> AsyncIterator[Callable[..., Worker]]:
    """Return what makes another worker at the place; in memory there is room for but one."""
    async with AsyncExitStack() as stack:

        def make(**verify: Any) -> Worker:
            worker = Worker(place, **verify)
            stack.push_async_callback(worker.close)
            return worker

        await make().prepare()
        yield make


@pytest.fixture
def worker(hire: Callable[..., Worker]) -> Worker:
    """Return a worker."""
    return hire()


@pytest.fixture
def colleague(place: Place, worker: Worker, hire: Callable[..., Worker]) -> Worker:
    """Return another worker; where there is room for one, the same."""
    return hire() if place.is_shared else worker


@pytest.fixture
def clock(place: Place) -> FrozenClock:
    """Return the clock of all workers."""
    return place.clock
