"""Transactions on real databases, by drivers that wait and drivers that block."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import anyio
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from starlette.responses import PlainTextResponse

from gatewright import Call, Conflict, ErrorMapper, FromQuery, Result, Transaction, err, ok, transactional, validate
from gatewright.testing import call
from gatewright.timeout import timeout
from tests.transactions.bank import Bank
from tests.transactions.conftest import with_drivers
from tests.transactions.kit import Desk, served

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """SQLAlchemy does not run on trio."""
    return "asyncio"


# What is kept


@with_drivers()
@pytest.mark.parametrize("host", ["starlette", "fastapi installed"])
async def test_what_succeeds_is_kept_and_what_fails_is_not(bank: Bank, desk: Desk, host: str) -> None:
    """Whatever kind of failure it is; as another connection sees it once the answer is there."""

    @transactional(bank.sessions)
    async def write(call: Call, db: Transaction[Any]) -> Any:
        how = call.header(b"x-how")
        await bank.open(db, (how or b"").decode())
        if how == b"err":
            return err("no")
        if how == b"response":
            return PlainTextResponse("no", 503)
        if how == b"raises":
            raise Conflict
        if how == b"breaks":
            raise ZeroDivisionError
        return PlainTextResponse("fine")

    app = served(host, write, desk)
    statuses = [(await desk.post(app, headers={"X-How": how})).status for how in ("err", "response", "raises")]
    statuses += [(await desk.post(app, headers={"X-How": how})).status for how in ("breaks", "works")]
    assert statuses == [400, 503, 409, 500, 200]
    assert await bank.seen() == {"ada": 100, "works": 0}


@with_drivers("sqlite", "psycopg", "pymysql")
async def test_plain_handlers_work_in_threads(bank: Bank, desk: Desk) -> None:
    """With sessions that block; ten at a time."""

    @transactional(bank.sessions)
    @validate
    def write(name: FromQuery[str], db: Transaction[Session]) -> Result[None]:
        db.execute(bank.accounts.insert().values(name=name, amount=1))
        return ok() if name < "5" else err("no")

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(lambda n: desk.post(write, query={"name": str(n)}), number)
    assert await bank.seen() == {"ada": 100, **{str(number): 1 for number in range(5)}}
    assert bank.checked_out == 0


@with_drivers()
async def test_a_violation_is_answered_wherever_it_is_found(bank: Bank, desk: Desk) -> None:
    """In the handler, or by the flush that is part of a commit: 409, and nothing of the rest is kept."""

    class Account:
        def __init__(self, name: str) -> None:
            self.name, self.amount = name, 0

    from sqlalchemy.orm import registry

    registry().map_imperatively(Account, bank.accounts)

    @transactional(bank.sessions)
    @validate
    async def register(late: FromQuery[bool], db: Transaction[Any]) -> Result[str]:
        await bank.open(db, "bob")
        if late:
            db.add(Account("ada"))
        else:
            await bank.open(db, "ada")
        return ok("welcome")

    for late in ("true", "false"):
        reply = await desk.post(register, query={"late": late})
        assert (reply.status, reply.json["code"]) == (409, "conflict")
        assert b"accounts" not in reply.body
        assert b"INSERT" not in reply.body
    assert (await bank.seen(), bank.checked_out) == ({"ada": 100}, 0)


@with_drivers("aiosqlite", "sqlite", "asyncpg", "psycopg")
async def test_what_the_database_finds_when_it_commits(bank: Bank, desk: Desk) -> None:
    """A constraint that is deferred: the handler was through, and the client is told nevertheless."""
    await bank.defer_a_violation()
    ran: list[str] = []

    @transactional(bank.sessions)
    async def register(db: Transaction[Any], call: Call) -> Result[str]:
        await bank.open(db, "bob")
        await bank.violate(db)
        call.invalidate("accounts")
        ran.append("to the end")
        return ok("welcome")

    reply = await desk.post(register)
    assert (reply.status, ran) == (409, ["to the end"])
    assert (await bank.seen(), desk.told, bank.checked_out) == ({"ada": 100}, [], 0)


@with_drivers()
async def test_who_is_told_of_what_is_stale_finds_the_change(bank: Bank) -> None:
    """The cache is told after the commit, and before the answer leaves: a read in between fills it with the new."""
    found: list[dict[str, int]] = []

    async def forget(names: Any) -> None:
        found.append(await bank.seen())

    @transactional(bank.sessions)
    async def write(db: Transaction[Any], call: Call) -> Result[None]:
        call.invalidate("accounts")
        await bank.put(db, "ada", 101)
        return ok()

    desk = Desk(on_invalidate=forget)
    seen_when_answered: list[int] = []

    async def seeing(scope: Any, receive: Any, send: Any) -> None:
        async def observed(message: Any) -> None:
            seen_when_answered.append(len(found))
            await send(message)

        await served("starlette", write, desk)(scope, receive, observed)

    await call(seeing, method="POST")
    assert found == [{"ada": 101}]
    assert seen_when_answered == [1, 1]


# Read-only, and isolation


@with_drivers()
async def test_read_only_reads(bank: Bank, desk: Desk) -> None:
    """By GET; what is written all the same is dropped, and PostgreSQL refuses it."""

    @transactional(bank.sessions, read_only=True)
    @validate
    async def look(db: Transaction[Any], write: FromQuery[bool] = False) -> Result[int]:
        if write:
            await bank.put(db, "ada", 1)
        return ok(await bank.amount(db, "ada"))

    read = await call(look, gate=desk.gate)
    wrote = await call(look, query={"write": "true"}, gate=desk.gate)
    assert (read.status, read.json["data"]) == (200, 100)
    assert wrote.status == (500 if bank.is_postgres else 200)
    assert (await bank.seen(), bank.checked_out) == ({"ada": 100}, 0)


@with_drivers("asyncpg", "psycopg")
async def test_read_only_is_over_with_the_transaction(bank_of: Any, bank: Bank, desk: Desk) -> None:
    """The connection writes again for the next one."""
    pool = bank_of("psycopg" if bank.blocking else "asyncpg", pool_size=1, max_overflow=0)

    @transactional(pool.sessions, read_only=True)
    async def look(db: Transaction[Any]) -> Result[int]:
        return ok(await bank.amount(db, "ada"))

    @transactional(pool.sessions)
    async def write(db: Transaction[Any]) -> None:
        await bank.put(db, "ada", 7)

    statuses = [(await call(look, gate=desk.gate)).status, (await desk.post(write)).status]
    assert (statuses, await bank.seen()) == ([200, 200], {"ada": 7})


@with_drivers("asyncpg", "psycopg")
async def test_isolation_is_asked_for(bank: Bank, desk: Desk) -> None:
    """For this transaction, and for no other on the same connection."""
    levels: list[str] = []

    def reading(**said: Any) -> Any:
        @transactional(bank.sessions, **said)
        async def look(db: Transaction[Any]) -> None:
            levels.append((await bank.run(db, text("SHOW transaction_isolation"))).scalar_one())

        return look

    for said in ({}, {"isolation": "SERIALIZABLE"}, {}, {"isolation": "REPEATABLE READ", "read_only": True}):
        await desk.post(reading(**said))
    assert levels == ["read committed", "serializable", "read committed", "repeatable read"]


# Retries


@with_drivers("asyncpg", "psycopg")
async def test_increments_at_once_are_all_counted(bank: Bank, desk: Desk) -> None:
    """At SERIALIZABLE the database refuses most of them at first; each is run again until it counts."""
    tries: list[int] = []
    column = bank.accounts.c.amount

    @transactional(bank.sessions, isolation="SERIALIZABLE", retries=50)
    async def increment(db: Transaction[AsyncSession]) -> None:
        tries.append(1)
        amount = (await db.execute(select(column))).scalar_one()
        await db.execute(update(bank.accounts).values(amount=amount + 1))

    @transactional(bank.sessions, isolation="SERIALIZABLE", retries=50)
    def increment_plainly(db: Transaction[Session]) -> None:
        tries.append(1)
        amount = db.execute(select(column)).scalar_one()
        db.execute(update(bank.accounts).values(amount=amount + 1))

    statuses: Counter[int] = Counter()

    async def one() -> None:
        statuses[(await desk.post(increment_plainly if bank.blocking else increment)).status] += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(one)
    assert statuses == {200: 12}
    assert await bank.seen() == {"ada": 112}
    assert len(tries) > 12


@with_drivers("asyncpg")
async def test_without_retries_a_serialization_failure_is_a_503(bank: Bank, desk: Desk) -> None:
    """With `Retry-After`; of two that read before either wrote, one wins."""
    both = anyio.Event()
    read: list[int] = []

    @transactional(bank.sessions, isolation="SERIALIZABLE")
    async def increment(db: Transaction[AsyncSession]) -> None:
        read.append(await bank.amount(db, "ada"))
        if len(read) == 2:
            both.set()
        await both.wait()
        await bank.put(db, "ada", read[0] + 1)

    replies: list[Any] = []

    async def one() -> None:
        replies.append(await desk.post(increment))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        tasks.start_soon(one)
    assert sorted(reply.status for reply in replies) == [200, 503]
    (refused,) = [reply for reply in replies if reply.status == 503]
    assert "retry-after" in refused.headers
    assert await bank.seen() == {"ada": 101}


@with_drivers("aiomysql")
async def test_a_deadlock_is_run_again(bank: Bank, desk: Desk) -> None:
    """Two that take the same rows the other way round: the database gives one up, and both are done in the end."""
    await bank.elsewhere(lambda db: db.execute(bank.accounts.insert().values(name="bob", amount=100)))
    both = anyio.Event()
    begun: list[str] = []

    @transactional(bank.sessions, retries=3)
    @validate
    async def move(to: FromQuery[str], db: Transaction[AsyncSession]) -> None:
        other = "bob" if to == "ada" else "ada"
        await bank.put(db, other, 90)
        begun.append(to)
        if len(begun) == 2:
            both.set()
        await both.wait()
        await bank.put(db, to, 110)

    async with anyio.create_task_group() as tasks:
        for to in ("ada", "bob"):
            tasks.start_soon(lambda to: desk.post(move, query={"to": to}), to)
    assert len(begun) == 3
    assert sorted((await bank.seen()).values()) == [90, 110]


# Nothing is left open


@with_drivers()
async def test_hundreds_of_mixed_endings_leak_no_connection(bank_of: Any, bank: Bank) -> None:
    """A pool of one connection, which every request needs: none waits for one that was never given back."""
    driver = bank.engine.dialect.driver
    small: Bank = bank_of({"pysqlite": "sqlite"}.get(driver, driver), pool_size=1, max_overflow=0, pool_timeout=20)
    desk = Desk(errors=ErrorMapper())
    number = 0

    async def ending(db: Any) -> Any:
        nonlocal number
        number += 1
        await small.open(db, str(number))
        how = number % 6
        if how == 1:
            return err("no")
        if how == 2:
            raise ZeroDivisionError
        if how == 3:
            await small.open(db, "ada")
        if how == 4:
            await anyio.sleep_forever()
        return ok() if how else PlainTextResponse("no", 500)

    @transactional(small.sessions)
    async def mixed(db: Transaction[Any]) -> Any:
        return await ending(db)

    async def one(cancelled: bool) -> None:
        with anyio.move_on_after(0.005 if cancelled else 100):
            await desk.post(mixed)

    rounds = 240 if bank.is_file else 120
    for at in range(1, rounds + 1):
        await one(cancelled=at % 6 == 4)
    assert small.checked_out == 0
    assert set(await bank.seen()) == {"ada", *(str(at) for at in range(1, rounds + 1) if at % 6 == 5)}


@with_drivers("sqlite", "psycopg")
async def test_a_commit_needs_no_thread_of_the_pool(bank_of: Any, bank: Bank, desk: Desk) -> None:
    """Where every thread waits for a connection, the one who has it can give it back (fastapi#3205)."""
    small: Bank = bank_of("psycopg" if bank.is_postgres else "sqlite", pool_size=1, max_overflow=0, pool_timeout=20)
    threads = anyio.to_thread.current_default_thread_limiter()
    before, threads.total_tokens = threads.total_tokens, 2

    @transactional(small.sessions)
    @validate
    def write(name: FromQuery[str], db: Transaction[Session]) -> None:
        db.execute(small.accounts.insert().values(name=name, amount=0))

    try:
        with anyio.fail_after(15):
            async with anyio.create_task_group() as tasks:
                for at in range(8):
                    tasks.start_soon(lambda at: desk.post(write, query={"name": str(at)}), at)
    finally:
        threads.total_tokens = before
    assert len(await bank.seen()) == 9


@with_drivers("aiosqlite", "asyncpg")
async def test_a_timeout_in_the_middle_of_a_statement(bank: Bank, desk: Desk) -> None:
    """504, the statement is given up, and the connection serves the next."""

    @timeout(first_byte=0.05)
    @transactional(bank.sessions)
    async def slow(db: Transaction[AsyncSession]) -> None:
        await bank.put(db, "ada", 1)
        if bank.is_postgres:
            await db.execute(text("SELECT pg_sleep(20)"))
        await asyncio.sleep(20)

    reply = await desk.post(slow)
    assert (reply.status, await bank.seen(), bank.checked_out) == (504, {"ada": 100}, 0)
