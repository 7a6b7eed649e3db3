"""Databases that are too slow, hang up, are gone, are full, or do not let one in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import asyncpg
import pytest
from anyio.to_thread import run_sync

from gatewright import ErrorMapper
from gatewright.errors import ApiError
from gatewright.faults import FaultKind, classify
from tests.faults.kit import Dialect, Place, Talk, Way, engine_of, raised_by, ways_to
from tests.servers import MariaDbServer, PostgresServer, free_port

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Open = Callable[[], Awaitable[Talk]]
on_servers = pytest.mark.parametrize("way", ways_to("postgres", "mariadb"), ids=str)


def _told(exc: BaseException) -> tuple[FaultKind, bool] | None:
    fault = classify(exc)
    return None if fault is None else (fault.kind, fault.retryable)


def _answer(exc: Exception) -> ApiError:
    answer = ErrorMapper().map(exc)
    assert answer is not None
    assert answer.details == {}
    return answer


def _is_unavailable(exc: Exception) -> None:
    """Hold that the client may come back, and that nothing is run again: the commit may have come through."""
    assert _told(exc) == ("unavailable", False)
    answer = _answer(exc)
    assert (answer.status_code, answer.headers) == (503, {"Retry-After": "5"})


@on_servers
async def test_a_statement_that_takes_too_long(way: Way, talk: Talk) -> None:
    """The server gives it up: 504, and it is not asked to do the same once more."""
    slow = "set statement max_statement_time = 0.05 for select sleep(30)"
    if way.dialect == "postgres":
        await talk.run("set statement_timeout = 50")
        slow = "select pg_sleep(30)"
    exc = await raised_by(talk, slow)
    assert _told(exc) == ("timeout", False)
    assert _answer(exc).status_code == 504


@on_servers
async def test_what_one_may_not_do_is_a_mistake_of_ours(way: Way, talk: Talk) -> None:
    """The application's user lacks a right: no client can help that, and the log has all of it."""
    forbidden = "insert into information_schema.tables values ()"
    if way.dialect == "postgres":
        await talk.run("set role pg_monitor")
        forbidden = "select * from users"
    exc = await raised_by(talk, forbidden)
    assert _told(exc) == ("internal", False)
    assert ErrorMapper().map(exc) is None


ME = {"postgres": "select pg_backend_pid()", "mariadb": "select connection_id()"}
KILL = {"postgres": "select pg_terminate_backend({})", "mariadb": "kill {}"}
SLEEP = {"postgres": "select pg_sleep(30)", "mariadb": "select sleep(30)"}
ASLEEP = {
    "postgres": "select count(*) from pg_stat_activity where pid = {} and query like 'select pg_sleep%'",
    "mariadb": "select count(*) from information_schema.processlist where id = {} and info like 'select sleep%'",
}


@on_servers
async def test_a_connection_that_is_ended_while_it_waits(way: Way, talk: Talk, opened: Open) -> None:
    """An administrator, or a failover."""
    me, other = await talk.run(ME[way.dialect]), await opened()
    failures: list[Exception] = []

    async def sleep() -> None:
        failures.append(await raised_by(talk, SLEEP[way.dialect]))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleep)
            while not await other.run(ASLEEP[way.dialect].format(me)):
                pass
            await other.run(KILL[way.dialect].format(me))
    _is_unavailable(failures[0])


@on_servers
async def test_a_connection_that_was_ended_before(way: Way, talk: Talk, opened: Open) -> None:
    """One from a pool that did not look; and once more, where the driver knows by then."""
    me, other = await talk.run(ME[way.dialect]), await opened()
    await other.run(KILL[way.dialect].format(me))
    _is_unavailable(await raised_by(talk, "select 1"))
    if not way.name.startswith("sqlalchemy"):
        _is_unavailable(await raised_by(talk, "select 1"))


@pytest.mark.fault
@pytest.mark.parametrize("server_class", [PostgresServer, MariaDbServer])
async def test_a_server_that_is_gone(server_class: type[PostgresServer | MariaDbServer]) -> None:
    """Whoever was connected, and whoever wants to be."""
    dialect: Dialect = "postgres" if server_class is PostgresServer else "mariadb"
    user, name = ("postgres", "postgres") if dialect == "postgres" else ("root", "mysql")
    with await run_sync(server_class) as server:
        place = Place(dialect, server.host, server.port, user, name)
        async with AsyncExitStack() as stack:
            talks = []
            for way in ways_to(dialect):
                talks.append(await way.open(place))
                stack.push_async_callback(talks[-1].close)
            await run_sync(server.kill)
            for talk in talks:
                _is_unavailable(await raised_by(talk, "select 1"))
        for way in ways_to(dialect):
            _is_unavailable(await _refused(way, place))


async def _refused(way: Way, place: Place) -> Exception:
    with pytest.raises(Exception) as caught:  # of whichever driver
        await way.open(place)
    return caught.value


@on_servers
async def test_nobody_listens(way: Way) -> None:
    """asyncpg lets the `ConnectionRefusedError` of Python out; it is no less the database's."""
    _is_unavailable(await _refused(way, Place(way.dialect, "127.0.0.1", free_port(), "nobody", "nothing")))


@pytest.mark.fault
async def test_a_server_that_is_full() -> None:
    """MariaDB says it with a number."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(await run_sync(MariaDbServer))
        place = Place("mariadb", server.host, server.port, "root", "mysql")
        way = ways_to("mariadb")[0]
        first = await way.open(place)
        stack.push_async_callback(first.close)
        await first.run("set global max_connections = 10")
        with pytest.raises(Exception) as caught:  # of the driver, once it is full
            for _ in range(20):
                stack.push_async_callback((await way.open(place)).close)
        _is_unavailable(caught.value)


@asynccontextmanager
async def _engine(place: Place, driver: str) -> AsyncIterator[Any]:
    engine = engine_of(place, driver, pool_size=1, max_overflow=0, pool_timeout=0.05)
    yield engine
    disposed = engine.dispose()
    if disposed is not None:
        await disposed


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_pool_of_sqlalchemys_that_is_exhausted(driver: str, postgres: Place) -> None:
    """All connections are lent, and none comes back in time."""
    async with _engine(postgres, driver) as engine:
        if driver == "asyncpg":
            async with engine.connect():
                with pytest.raises(Exception) as caught:  # whichever it is
                    await engine.connect()
        else:
            with engine.connect(), pytest.raises(Exception) as caught:  # whichever it is
                engine.connect()
    _is_unavailable(caught.value)


async def test_a_pool_of_asyncpgs_that_is_exhausted(postgres: Place) -> None:
    """It raises the `TimeoutError` that a handler may have raised as well; whose it is shows in where it comes from."""
    options: dict[str, Any] = {"host": postgres.host, "port": postgres.port, "user": postgres.user}
    async with asyncpg.create_pool(min_size=1, max_size=1, database=postgres.name, **options) as pool:
        lent = await pool.acquire()
        with pytest.raises(TimeoutError) as caught:
            await pool.acquire(timeout=0.05)
        await pool.release(lent)
    _is_unavailable(caught.value)
    with pytest.raises(asyncpg.InterfaceError) as closed:
        await pool.acquire()
    _is_unavailable(closed.value)


async def test_a_deadline_of_asyncpgs(postgres: Place) -> None:
    """`timeout=` of a statement: the database was too slow."""
    connection = await asyncpg.connect(
        host=postgres.host, port=postgres.port, user=postgres.user, database=postgres.name
    )
    for run in (connection.fetch, connection.execute):
        with pytest.raises(TimeoutError) as caught:
            await run("select pg_sleep(30)", timeout=0.05)
        assert _told(caught.value) == ("timeout", False)
        assert _answer(caught.value).status_code == 504
    await connection.close()


async def test_a_deadline_of_the_handlers_own_is_its_own(postgres: Place) -> None:
    """It was the handler that gave up, around whatever it did."""
    connection = await asyncpg.connect(
        host=postgres.host, port=postgres.port, user=postgres.user, database=postgres.name
    )
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.05):
            await connection.fetch("select pg_sleep(30)")
    assert _told(caught.value) is None
    with pytest.raises(TimeoutError) as caught, anyio.fail_after(0.05):
        await connection.fetch("select pg_sleep(30)")
    assert _told(caught.value) is None
    await connection.close()


async def test_one_connection_used_by_two_at_once_is_a_mistake_of_ours(postgres: Place) -> None:
    """asyncpg raises the class that it raises for a closed connection; waiting helps only with that one."""
    talk = await ways_to("postgres")[0].open(postgres)
    failures: list[Exception] = []

    async def sleep() -> None:
        try:
            await talk.run("select pg_sleep(0.1)")
        except Exception as exc:
            failures.append(exc)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep)
        tasks.start_soon(sleep)
    await talk.close()
    assert [ErrorMapper().map(exc) for exc in failures] == [None]
