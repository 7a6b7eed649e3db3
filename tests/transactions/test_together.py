"""Transactions beside what else stands in front of a handler: deliveries, replays, ownership."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any

import fastapi
import pytest
from fastapi import Depends, FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse

from gatewright import (
    Call,
    Conflict,
    Gate,
    Owned,
    Principal,
    Result,
    Transaction,
    err,
    idempotent,
    ok,
    owned,
    require,
    transactional,
)
from gatewright.testing import EventList, FrozenClock, Reply, call, signed
from gatewright.webhooks import Claim, Event, Once, stripe, verify_webhook
from gatewright.webhooks.once.sql import SqlDeliveries
from tests.transactions.bank import Bank
from tests.transactions.conftest import with_drivers
from tests.transactions.kit import Desk, Ledger, WaitingSession
from tests.webhooks.once.kit import SECRET, Paid

_FASTAPI = tuple(map(int, fastapi.__version__.split(".")[:2]))

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """SQLAlchemy does not run on trio."""
    return "asyncio"


# A delivery is handled and remembered in one transaction


class Shop:
    """Take Stripe's payments into a bank, once each."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.clock = FrozenClock()
        self.gate = Gate(clock=self.clock, log=EventList())
        self.deliveries = SqlDeliveries(bank.sessions, table=f"{bank.accounts.name}_d", clock=self.clock)
        self.ends: list[str] = []
        self.runs = 0

        @verify_webhook(stripe(), secrets=SECRET, once=Once(self.deliveries))
        @transactional(bank.sessions, retries=1)
        async def hook(event: Event[Paid], claim: Claim, db: Transaction[AsyncSession]) -> Any:
            self.runs += 1
            end = self.ends.pop(0) if self.ends else "ok"
            await bank.open(db, f"{event.id} {self.runs}")
            await self.deliveries.finish(claim, db)
            if end == "fails to commit":
                await bank.violate(db)
            if end == "raises":
                raise Conflict
            return err("no") if end == "err" else ok()

        self.hook = hook

    async def take(self, event_id: str = "evt_1") -> Reply:
        """Take a delivery."""
        body = {"id": event_id, "type": "invoice.paid"}
        return await call(self.hook, gate=self.gate, **signed(stripe(), SECRET, json=body, clock=self.clock))


@with_drivers("aiosqlite", "asyncpg")
async def test_a_delivery_is_handled_and_remembered_together(bank: Bank) -> None:
    """A second one of the same event changes nothing, after the first lease too."""
    shop = Shop(bank)
    await shop.deliveries.create_table()
    statuses = [(await shop.take()).status, (await shop.take()).status]
    shop.clock.advance(120)
    statuses.append((await shop.take()).status)
    assert (statuses, shop.runs) == ([200, 200, 200], 1)
    assert await bank.seen() == {"ada": 100, "evt_1 1": 0}


@with_drivers("aiosqlite", "asyncpg")
@pytest.mark.parametrize("end", ["err", "raises", "fails to commit"])
async def test_what_was_rolled_back_is_delivered_again(bank: Bank, end: str) -> None:
    """`finish` was rolled back with the rest, so the claim is free at once, and the retry is handled."""
    shop = Shop(bank)
    await shop.deliveries.create_table()
    if end == "fails to commit":
        await bank.defer_a_violation()
    shop.ends = [end]
    assert (await shop.take()).status in (400, 409)
    assert await bank.seen() == {"ada": 100}
    assert (await shop.take()).status == 200
    assert (await bank.seen(), shop.runs) == ({"ada": 100, "evt_1 2": 0}, 2)
    assert (await shop.take()).status == 200
    assert shop.runs == 2


# A replay is of what was committed


async def test_what_is_replayed_was_committed() -> None:
    """A commit that fails with what is no answer leaves the key free, and the next request does the work."""
    ledger, desk = Ledger(commit=RuntimeError()), Desk()

    @idempotent()
    @transactional(ledger)
    async def create(db: Transaction[WaitingSession]) -> Result[int]:
        db.add("row")
        return ok(len(ledger.sessions), status=201)

    replies = [await desk.post(create, headers={"Idempotency-Key": "k"}) for _ in range(3)]
    assert [reply.status for reply in replies] == [500, 201, 201]
    assert replies[1].body == replies[2].body
    assert (ledger.rows, len(ledger.sessions)) == (["row"], 2)


# Ownership is looked at inside


class Account:
    """An account that somebody owns."""

    def __init__(self, name: str, amount: int) -> None:
        self.name, self.amount = name, amount


@with_drivers("aiosqlite", "asyncpg")
async def test_a_finder_reads_in_the_transaction(bank: Bank, desk: Desk) -> None:
    """`owned(...)` runs inside of it: its finder has the session of the handler from the call."""
    await bank.elsewhere(lambda db: db.execute(bank.accounts.insert().values(name="u1", amount=1)))
    sessions: list[AsyncSession] = []

    async def find(name: str, call: Call) -> Account | None:
        db = call.get(AsyncSession)
        sessions.append(db)
        row = (await db.execute(select(bank.accounts).where(bank.accounts.c.name == name))).one_or_none()
        return None if row is None else Account(row.name, row.amount)

    @require(owned(find, owner="name"))
    @transactional(bank.sessions)
    async def add(account: Owned[Account], db: Transaction[AsyncSession], principal: Principal) -> Result[int]:
        sessions.append(db)
        await bank.put(db, account.name, account.amount + 1)
        return ok(account.amount + 1)

    ada = Principal(sub="u1")
    replies = [
        await call(add, method="POST", path_params={"name": name}, principal=ada, gate=desk.gate)
        for name in ("u1", "ada")
    ]
    assert [reply.status for reply in replies] == [200, 404]
    assert sessions[0] is sessions[1]
    assert await bank.seen() == {"ada": 100, "u1": 2}


# What happens beside it on FastAPI


@pytest.mark.skipif(_FASTAPI < (0, 118), reason="before 0.118, FastAPI's dependencies end before the answer leaves")
@with_drivers("aiosqlite")
async def test_fastapi_2066_a_dependency_commits_too_late_and_this_does_not(bank: Bank) -> None:
    """A dependency with `yield` commits after the answer has gone (since 0.118), so its failure tells nobody."""
    order: list[str] = []

    async def session() -> AsyncIterator[AsyncSession]:
        async with bank.sessions() as db:
            yield db
            order.append("dependency commits")

    app = FastAPI()

    @app.post("/theirs")
    async def theirs(db: AsyncSession = Depends(session)) -> None: ...  # noqa: B008  # FastAPI's way

    @app.post("/ours")
    @transactional(bank.sessions)
    async def ours(db: Transaction[AsyncSession]) -> Result[None]:
        # Until the commit nobody else sees it.
        await bank.open(db, "bob")
        assert await bank.seen() == {"ada": 100}
        return ok()

    Gate(log=EventList()).install(app)

    async def seeing(scope: Any, receive: Any, send: Any) -> None:
        async def observed(message: Any) -> None:
            if message["type"] == "http.response.start":
                order.append(f"head, {len(await bank.seen())} accounts")
            await send(message)

        await app(scope, receive, observed)

    await call(seeing, method="POST", path="/theirs")
    await call(seeing, method="POST", path="/ours")
    assert order == ["head, 1 accounts", "dependency commits", "head, 2 accounts"]


async def test_an_error_that_somebody_catches_rolls_back_all_the_same() -> None:
    """A decorator that never throws makes an answer of an error; the status says what it was (fastapi#11143)."""
    ledger, desk = Ledger(), Desk()

    def never_throws(handler: Any) -> Any:
        @functools.wraps(handler)
        async def safe(*args: Any, **kwargs: Any) -> Any:
            try:
                return await handler(*args, **kwargs)
            except Exception:
                return JSONResponse({"error": "taken"}, 409)

        return safe

    @transactional(ledger)
    @never_throws
    async def create(db: Transaction[WaitingSession]) -> Any:
        db.add("row")
        raise ZeroDivisionError

    reply = await desk.post(create)
    assert (reply.status, ledger.steps) == (409, ["open", "rollback", "close"])
