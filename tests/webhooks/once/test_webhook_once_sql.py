"""Deliveries in a database: who is first, whose transaction it is, and what a table forgets."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, rule, run_state_machine_as_test
from sqlalchemy import create_engine, func, inspect, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool

from gatewright import ConfigurationError, Gate, Result, ok
from gatewright.testing import EventList, FrozenClock, Reply, call, signed
from gatewright.webhooks import Busy, Claim, Done, Event, stripe, verify_webhook
from gatewright.webhooks.once.contract import ClaimLost
from gatewright.webhooks.once.sql import SqlDeliveries
from tests.servers import ServerProcess
from tests.webhooks.once.kit import LEASE, SECRET, Paid, Slow

pytestmark = pytest.mark.anyio

KEEP = 1000.0
DAY = 86_400.0
POSTGRES = pytest.mark.parametrize("shelf", [pytest.param("postgres", marks=pytest.mark.slow)], indirect=True)


class Shelf:
    """A database, and stores on it, each of a process of its own."""

    def __init__(self, url: str, table: str) -> None:
        self.url = url
        self.table = table
        self.clock = FrozenClock()
        self.engines: list[AsyncEngine] = []

    @property
    def is_file(self) -> bool:
        """Say whether it has one writer at a time."""
        return self.url.startswith("sqlite")

    def engine(self) -> AsyncEngine:
        """Return another connection to it."""
        options = {"connect_args": {"timeout": 5.0}} if self.is_file else {}
        self.engines.append(create_async_engine(self.url, **options))
        return self.engines[-1]

    def store(self, database: Any = None) -> SqlDeliveries:
        """Return a store of another process."""
        return SqlDeliveries(database or self.engine(), table=self.table, clock=self.clock)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
async def shelf(
    request: pytest.FixtureRequest, tmp_path: Path, prefix: str, server_of: Callable[[str], ServerProcess]
) -> AsyncIterator[Shelf]:
    """Make a table in each kind of database."""
    server: Any = server_of("postgres") if request.param == "postgres" else None
    url = server.url if server else f"sqlite+aiosqlite:///{tmp_path}/app.db"
    made = Shelf(url, f"deliveries_{prefix[-12:]}")
    await made.store().create_table()
    yield made
    for engine in made.engines:
        await engine.dispose()


@pytest.fixture
def store(shelf: Shelf) -> SqlDeliveries:
    """Return a store."""
    return shelf.store()


async def claimed(store: SqlDeliveries, key: str = "k", lease: float = LEASE) -> Claim:
    """Claim a key that is free."""
    found = await store.claim(key, lease, KEEP)
    assert isinstance(found, Claim)
    return found


async def kinds(store: SqlDeliveries, key: str = "k") -> type:
    """Say what a claim would find; a claim that it makes is given up."""
    found = await store.claim(key, LEASE, KEEP)
    if isinstance(found, Claim):
        await store.release(found)
    return type(found)


# Who is first


async def _race(stores: Sequence[SqlDeliveries]) -> Claim:
    """Let all claim one key, each several times at once; return the one claim."""
    found: list[Claim | Busy | Done | Exception] = []

    async def claim(store: SqlDeliveries) -> None:
        try:
            found.append(await store.claim("k", LEASE, KEEP))
        except Exception as problem:
            # All are to end: a driver that is cancelled at work may hang.
            found.append(problem)

    async with anyio.create_task_group() as tasks:
        for store in [*stores] * 4:
            tasks.start_soon(claim, store)
    (won,) = [each for each in found if isinstance(each, Claim)]
    assert set(found) - {won} == {Busy(LEASE)}
    return won


async def test_of_many_who_claim_at_once_one_has_it(shelf: Shelf) -> None:
    """When nobody did before, when a lease was left to run out, and when what was done is forgotten."""
    stores = [shelf.store() for _ in range(3)]
    late = await _race(stores)
    for _ in range(8):
        shelf.clock.advance(LEASE)
        claim = await _race(stores)
        assert not await stores[0].commit(late)
        assert await stores[0].commit(claim)
        shelf.clock.advance(KEEP)
        late = await _race(stores)
    await stores[0].release(late)
    await _race(stores)


class Interrupted(FrozenClock):
    """A clock at whose look somebody else is faster."""

    def __init__(self, interrupt: Callable[[], None]) -> None:
        super().__init__()
        self.interrupt = interrupt

    def time(self) -> float:
        """Return the time, after what happens meanwhile."""
        self.interrupt()
        return super().time()


@pytest.mark.parametrize("there", [False, True])
async def test_who_is_slower_is_told_that_somebody_was_faster(tmp_path: Path, there: bool) -> None:
    """Between the look and the claim another one claims: no error, no second claim, and nothing is overwritten."""
    now = FrozenClock().time()
    path = tmp_path / "app.db"

    def rival() -> None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("DELETE FROM deliveries")
            other.execute("INSERT INTO deliveries VALUES ('k', 'theirs', false, ?)", [now + LEASE])
            other.commit()

    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    store = SqlDeliveries(engine, table="deliveries", clock=Interrupted(rival))
    await store.create_table()
    if there:
        with closing(sqlite3.connect(path)) as other:
            other.execute("INSERT INTO deliveries VALUES ('k', 'nobody', false, ?)", [now - 1])
            other.commit()
    assert await store.claim("k", LEASE, KEEP) == Busy(LEASE)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT fence FROM deliveries").fetchall() == [("theirs",)]
    await engine.dispose()


async def test_a_claim_says_how_long_it_is_held(shelf: Shelf, store: SqlDeliveries) -> None:
    """By whichever process it was made."""
    await claimed(store)
    shelf.clock.advance(10)
    assert await shelf.store().claim("k", LEASE, KEEP) == Busy(LEASE - 10)


async def test_each_claim_has_a_fence_of_its_own(shelf: Shelf) -> None:
    """From entropy that a test can repeat."""
    store = SqlDeliveries(shelf.engine(), table=shelf.table, clock=shelf.clock, entropy=lambda size: b"\x01" * size)
    assert await claimed(store) == Claim("k", "01" * 16, KEEP)


# Against a model, in any order


class _Modelled(RuleBasedStateMachine):
    """Claims, commits and releases of three keys, as a table of them ought to take them."""

    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock()
        self.runner = asyncio.Runner()
        self.engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        self.store = SqlDeliveries(self.engine, clock=self.clock)
        self.runner.run(self.store.create_table())
        # By key: the fence, whether it is done, and until when that holds.
        self.model: dict[str, tuple[str, bool, float]] = {}
        # The fences of claims that a handler finished: what becomes of them is its transaction's business.
        self.finished: set[str] = set()

    def _holds(self, claim: Claim) -> bool:
        return self.model.get(claim.key, ("", False, 0.0))[0] == claim.fence

    @rule(target=claims, key=st.sampled_from("abc"), lease=st.sampled_from([10.0, 60.0]))
    def claim(self, key: str, lease: float) -> Any:
        """Claim a key: free, or over."""
        found = self.runner.run(self.store.claim(key, lease, KEEP))
        _, done, until = self.model.get(key, ("", False, 0.0))
        if self.clock.time() < until:
            assert found == (Done() if done else Busy(until - self.clock.time()))
            return multiple()
        assert isinstance(found, Claim)
        self.model[key] = (found.fence, False, self.clock.time() + lease)
        return found

    @rule(claim=claims)
    def commit(self, claim: Claim) -> None:
        """Commit a claim, however late; what was finished is not asked about again."""
        if claim.fence in self.finished:
            assert self.runner.run(self.store.commit(claim))
            self.finished.remove(claim.fence)
            return
        assert self.runner.run(self.store.commit(claim)) == self._holds(claim)
        self._done(claim)

    @rule(claim=claims, ends=st.booleans())
    def finish(self, claim: Claim, ends: bool) -> None:
        """Finish a claim in a transaction, which may be rolled back."""
        assert self.runner.run(self._finish(claim, ends)) == self._holds(claim)
        if self._holds(claim):
            self.finished.add(claim.fence)
        if ends:
            self._done(claim)

    async def _finish(self, claim: Claim, ends: bool) -> bool:
        async with self.engine.connect() as connection:
            try:
                await self.store.finish(claim, connection)
            except ClaimLost:
                return False
            await (connection.commit() if ends else connection.rollback())
            return True

    def _done(self, claim: Claim) -> None:
        if self._holds(claim):
            self.model[claim.key] = (claim.fence, True, self.clock.time() + KEEP)

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        """Release a claim, whatever became of it."""
        self.finished.discard(claim.fence)
        self.runner.run(self.store.release(claim))
        if self._holds(claim) and not self.model[claim.key][1]:
            del self.model[claim.key]

    @rule(seconds=st.sampled_from([1.0, 10.0, 60.0, KEEP, DAY]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    @rule()
    def purge(self) -> None:
        """Delete what is over."""
        now = self.clock.time()
        over = [key for key, (_, done, until) in self.model.items() if until + (0 if done else DAY) <= now]
        assert self.runner.run(self.store.purge()) == len(over)
        for key in over:
            del self.model[key]

    def teardown(self) -> None:
        """Let go of the database."""
        self.runner.run(self.engine.dispose())
        self.runner.close()


def test_a_table_keeps_the_rules_in_any_order() -> None:
    """One claim at a time, fenced; what is done stays done; what is over is free."""
    run_state_machine_as_test(
        _Modelled,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


# The handler's own transaction


class Base(DeclarativeBase):
    """Collect the tables."""


class Payment(Base):
    """What an event leaves behind."""

    __tablename__ = "payments"

    id: Mapped[int] = mapped_column(primary_key=True)
    event: Mapped[str]


class Till:
    """An application as its documentation shows it: sessions, a store on them, and a hardened handler."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.engine = shelf.engine()
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.deliveries = shelf.store(self.sessions)
        self.gate = Gate(log=EventList(), clock=shelf.clock)
        self.fails = False
        deliveries, sessions = self.deliveries, self.sessions

        @verify_webhook(stripe(), secrets=SECRET, once=deliveries)
        async def hook(event: Event[Paid], claim: Claim) -> Result[None]:
            async with sessions.begin() as session:
                session.add(Payment(event=event.id))
                await deliveries.finish(claim, session)
                if self.fails:
                    raise OSError("the disk is full")
            return ok()

        self.hook = hook

    async def take(self) -> Reply:
        """Take a delivery."""
        sent = signed(stripe(), SECRET, json={"id": "evt_1", "type": "invoice.paid"}, clock=self.shelf.clock)
        return await call(self.hook, gate=self.gate, **sent)

    async def payments(self) -> int:
        """Return how many payments there are."""
        async with self.sessions() as session:
            return int((await session.execute(select(func.count()).select_from(Payment))).scalar_one())


@pytest.fixture
async def till(shelf: Shelf) -> AsyncIterator[Till]:
    """Make the application's tables."""
    made = Till(shelf)
    async with made.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield made
    async with made.engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)


async def test_the_payment_and_the_memory_are_one(till: Till) -> None:
    """What goes wrong after both takes both back; the retry is handled at once, and once."""
    till.fails = True
    assert (await till.take()).status == 500
    assert await till.payments() == 0
    till.fails = False
    assert (await till.take()).json == {"success": True, "data": None}
    assert (await till.take()).json == {"received": True}
    assert await till.payments() == 1


async def test_what_was_finished_is_finished_whatever_the_answer_was(shelf: Shelf, store: SqlDeliveries) -> None:
    """A handler that commits and then fails has done its work: releasing the claim forgets nothing."""
    claim = await claimed(store)
    async with shelf.engine().begin() as connection:
        await store.finish(claim, connection)
    await store.release(claim)
    assert await kinds(store) is Done
    assert await store.commit(claim)
    shelf.clock.advance(KEEP)
    assert await kinds(store) is Claim


async def test_a_transaction_that_rolls_back_takes_the_memory_along(shelf: Shelf, store: SqlDeliveries) -> None:
    """The claim is what it was before: in flight, and to be released."""
    claim = await claimed(store)
    async with shelf.engine().connect() as connection:
        await store.finish(claim, connection)
    assert await kinds(shelf.store()) is Busy
    await store.release(claim)
    assert await kinds(shelf.store()) is Claim


async def test_who_lost_his_claim_finishes_nothing(shelf: Shelf, store: SqlDeliveries) -> None:
    """Taken over by another, done by another, or gone: his transaction has to roll back."""
    first = await claimed(store)
    shelf.clock.advance(LEASE)
    second = await claimed(shelf.store())
    await _refused(shelf, store, first)
    assert await store.commit(second)
    await _refused(shelf, store, first)
    shelf.clock.advance(KEEP)
    assert await store.purge() == 1
    await _refused(shelf, store, first)


async def _refused(shelf: Shelf, store: SqlDeliveries, claim: Claim) -> None:
    async with shelf.engine().connect() as connection:
        with pytest.raises(ClaimLost) as refused:
            await store.finish(claim, connection)
    assert (refused.value.status_code, refused.value.headers) == (409, {"Retry-After": "1"})


@POSTGRES
async def test_nobody_takes_over_what_is_being_finished(shelf: Shelf, store: SqlDeliveries) -> None:
    """The lease ran out in the middle of the transaction: who claims waits for its end, and then finds it done."""
    claim, slow = await claimed(store), Slow()
    found: list[object] = []

    async def finish() -> None:
        async with shelf.engine().begin() as connection:
            await store.finish(claim, connection)
            await slow()

    async def take_over() -> None:
        found.append(await shelf.store().claim("k", LEASE, KEEP))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(finish)
            await slow.begun.wait()
            shelf.clock.advance(LEASE)
            tasks.start_soon(take_over)
            await _until_somebody_waits(shelf)
            slow.end.set()
    assert found == [Busy(LEASE)]
    assert await kinds(store) is Done


async def _until_somebody_waits(shelf: Shelf) -> None:
    async with shelf.engine().connect() as connection:
        question = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not (await connection.execute(question)).scalar_one():
            await connection.rollback()


@POSTGRES
@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_a_transaction_that_is_left_open_is_not_waited_for(shelf: Shelf, store: SqlDeliveries, ends: str) -> None:
    """A dependency may close its session only when the answer is sent, and the answer waits for us."""
    claim = await claimed(store)
    with anyio.fail_after(30):
        async with shelf.engine().connect() as connection:
            await store.finish(claim, connection)
            assert await store.commit(claim)
            await store.release(claim)
            await getattr(connection, ends)()
    assert await kinds(store) is (Done if ends == "commit" else Busy)


# A file has one writer


async def test_a_file_that_is_locked_is_a_store_that_is_down(tmp_path: Path) -> None:
    """Nobody is told that a delivery is in flight, or was handled, because nobody could look."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/app.db", connect_args={"timeout": 0.01})
    store = SqlDeliveries(engine)
    await store.create_table()
    claim = await claimed(store)
    with closing(sqlite3.connect(tmp_path / "app.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        for question in (store.claim("another", LEASE, KEEP), store.commit(claim), store.release(claim), store.purge()):
            with pytest.raises(OperationalError, match="database is locked"):
                await question
        # To look needs no lock.
        assert isinstance(await store.claim("k", LEASE, KEEP), Busy)
    assert await store.commit(claim)
    await engine.dispose()


# The table


@pytest.mark.parametrize("by", ["engine", "sessions"])
async def test_a_store_works_on_an_engine_and_on_sessions(shelf: Shelf, by: str) -> None:
    """In transactions of its own, whatever the handler's session does."""
    engine = shelf.engine()
    store = shelf.store(async_sessionmaker(engine) if by == "sessions" else engine)
    await store.create_table()
    claim = await claimed(store)
    assert await kinds(store) is Busy
    await store.release(claim)
    claim = await claimed(store)
    async with AsyncSession(engine) as session, session.begin():
        await store.finish(claim, session)
    assert await store.commit(claim)
    assert await kinds(store) is Done


async def test_what_is_over_is_purged(shelf: Shelf, store: SqlDeliveries) -> None:
    """What is remembered stays, and so does a claim whose lease has just run out: its worker may still finish."""
    assert await store.commit(await claimed(store, "done"))
    await claimed(store, "late")
    await claimed(store, "gone", lease=1.0)
    shelf.clock.advance(KEEP - 0.5)
    assert await store.purge() == 0
    shelf.clock.advance(0.5)
    assert await store.purge() == 1
    shelf.clock.advance(DAY - KEEP + 1)
    assert await store.purge() == 1
    shelf.clock.advance(LEASE)
    assert await store.purge() == 1


async def test_the_table_may_be_made_by_migrations(tmp_path: Path) -> None:
    """It stands alone in its metadata, under the name that was given, and making it again does nothing."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/app.db")
    store = SqlDeliveries(engine, table="hooks")
    assert list(store.metadata.tables.values()) == [store.table]
    assert repr(store) == "<SqlDeliveries hooks>"
    async with engine.begin() as connection:
        await connection.run_sync(store.metadata.create_all)
        columns = await connection.run_sync(lambda sync: inspect(sync).get_columns("hooks"))
    assert {column["name"]: column["nullable"] for column in columns} == {
        "key": False,
        "fence": False,
        "done": False,
        "until": False,
    }
    claim = await claimed(store)
    await store.create_table()
    assert await store.commit(claim)
    assert SqlDeliveries(engine).table.name == "gatewright_deliveries"
    await engine.dispose()


@pytest.mark.parametrize("database", [None, "sqlite://", create_engine("sqlite://"), AsyncSession])
def test_what_is_no_database_is_refused(database: Any) -> None:
    """With what to write: it is not asked for before the first delivery comes."""
    with pytest.raises(ConfigurationError, match=r"an engine of create_async_engine\(...\), or an async_sessionmaker"):
        SqlDeliveries(database)
