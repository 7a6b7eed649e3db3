"""Cancelled at every point where a transaction waits: it is kept as a whole or dropped as a whole, and closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import sqlalchemy
from anyio.lowlevel import checkpoint

from gatewright import Result, Transaction, ok, transactional
from gatewright.testing import Reply
from tests.transactions.bank import Bank
from tests.transactions.conftest import with_drivers
from tests.transactions.kit import Desk, Ledger, WaitingSession, served

pytestmark = pytest.mark.anyio

KEPT, DROPPED = ["open", "commit", "committed", "close"], ["open", "rollback", "close"]


class SlowSession(WaitingSession):
    """A session that waits before each step and after it."""

    async def commit(self) -> None:  # type: ignore[override]
        """Keep it: where this is abandoned in the middle, nobody knows what came of it."""
        await checkpoint()
        await super().commit()
        await checkpoint()
        self.ledger.take("committed")

    async def rollback(self) -> None:  # type: ignore[override]
        """Drop it."""
        await checkpoint()
        await super().rollback()
        await checkpoint()

    async def close(self) -> None:  # type: ignore[override]
        """Be over."""
        await checkpoint()
        await super().close()


async def _cancelled_after(turns: int, work: Callable[[], Any], native: bool) -> Reply | None:
    """Return the reply of work that is cancelled after so many turns of the loop; None where there was none."""
    replies: list[Reply] = []

    async def run() -> None:
        replies.append(await work())

    if native:
        task = asyncio.create_task(run())
        for _ in range(turns):
            await checkpoint()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    else:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            for _ in range(turns):
                await checkpoint()
            tasks.cancel_scope.cancel()
    return replies[0] if replies else None


@pytest.mark.parametrize("host", ["starlette", "fastapi installed"])
@pytest.mark.parametrize("native", [False, True], ids=["anyio", "asyncio.Task.cancel"])
async def test_at_every_point(host: str, native: bool, anyio_backend: str) -> None:
    """Once the commit has begun it comes to its end; before, everything is dropped; a session is always closed."""
    if native and anyio_backend == "trio":
        # There is nothing of the kind.
        native = False
    endings: set[str] = set()
    for turns in range(50):
        ledger, desk = Ledger(), Desk()
        ledger.kind = SlowSession

        @transactional(ledger)
        async def write(db: Transaction[SlowSession]) -> Result[None]:
            await checkpoint()
            db.add("row")
            await checkpoint()
            return ok()

        app = served(host, write, desk)
        reply = await _cancelled_after(turns, lambda app=app, desk=desk: desk.post(app), native)  # type: ignore[misc]
        if ledger.steps:
            assert ledger.steps == (KEPT if ledger.rows else DROPPED), turns
        if reply is not None:
            assert (reply.status, ledger.rows) == (200, ["row"])
        endings.add("answered" if reply else "kept" if ledger.rows else "dropped" if ledger.steps else "not begun")
    assert {"dropped", "answered"} <= endings


# Not aiosqlite: where its opening is cancelled, the file stays open until the garbage collector comes.
@with_drivers("asyncpg", "aiomysql")
async def test_at_many_points_on_real_databases(bank_of: Any, bank: Bank, anyio_backend: str) -> None:
    """By a task's own cancellation, as a server does it; the one connection of the pool serves the next each time."""
    driver = bank.engine.dialect.driver
    if sqlalchemy.__version__ < "2.1":
        pytest.skip("SQLAlchemy 2.0.40 loses a connection whose opening was cancelled; seen closed with 2.1")
    small: Bank = bank_of(driver, pool_size=1, max_overflow=0, pool_timeout=20)
    answered: set[str] = set()
    tried = range(0, 120, 3)
    for turns in tried:
        desk = Desk()

        @transactional(small.sessions)
        async def write(db: Transaction[Any], turns: int = turns) -> Result[None]:
            await small.open(db, f"first of {turns}")
            await small.open(db, f"second of {turns}")
            return ok()

        reply = await _cancelled_after(turns, lambda desk=desk, write=write: desk.post(write), native=True)  # type: ignore[misc]
        if reply is not None and reply.status == 200:
            answered.add(f"of {turns}")
        assert small.checked_out == 0, turns
    seen = set(await bank.seen()) - {"ada"}
    assert {name.removeprefix("first ") for name in seen if name.startswith("first")} == {
        name.removeprefix("second ") for name in seen if name.startswith("second")
    }
    assert answered <= {name.removeprefix("first ") for name in seen}


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops; SQLAlchemy knows one of them."""
    return "asyncio" if "real" in request.node.name else str(getattr(request, "param", "asyncio"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the one test of sessions that are nobody's run on trio, too."""
    if metafunc.function is test_at_every_point:
        metafunc.parametrize("anyio_backend", ["asyncio", "trio"], indirect=True)
