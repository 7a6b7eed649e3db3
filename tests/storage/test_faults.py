"""A real server fails, hangs or lies behind a real gate: requests go on being answered, limits go on being held."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import gatewright
from gatewright import Gate, Ok, Result, idempotent, limit_concurrency, ok, with_rate_limit
from gatewright._core.storage.opening import Storage
from gatewright.errors import ServiceUnavailable
from gatewright.testing import EventList, Reply, call
from tests.servers import RedisServer, eventually, free_port
from tests.storage.kit import charge

pytestmark = [pytest.mark.anyio, pytest.mark.fault, pytest.mark.redis]

DEADLINE = 0.4
# What a request may take at the longest: a busy machine is no failure.
BOUND = 5 * DEADLINE
OURS = str(Path(gatewright.__file__).parent)


@pytest.fixture
def anyio_backend() -> str:
    """redis-py runs on asyncio only."""
    return "asyncio"


@with_rate_limit("3/hour")
async def limited() -> Ok[str]:
    """Count in the store or, while it is down, here."""
    return ok("served")


@with_rate_limit("1000000/hour")
async def busy() -> Ok[str]:
    """Never refuse, so that each request has something to ask."""
    return ok("served")


@with_rate_limit("3/hour", on_error="open")
async def opened() -> Ok[str]:
    """Let pass while the store is down."""
    return ok("served")


@with_rate_limit("3/hour", on_error="closed")
async def closed() -> Ok[str]:
    """Refuse while the store is down."""
    return ok("served")


async def healthy(request: Request) -> Response:
    """Need no store."""
    return PlainTextResponse("well")


class House:
    """An app behind a gate, and what its log says about the storage."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.log = EventList()
        self.gate = Gate(storage=Storage(url, **{"deadline": DEADLINE, "retry_after": 0.05, **settings}), log=self.log)
        handlers = (limited, busy, opened, closed, healthy)
        self.app = Starlette(routes=[Route(f"/{handler.__name__}", handler) for handler in handlers])
        self.gate.install(self.app)

    @property
    def outages(self) -> list[str]:
        """Return what became of the storage."""
        return [event["event"] for event in self.log if event["event"].startswith("storage_")]

    async def get(self, path: str) -> Reply:
        """Ask, and see that the answer comes in time, without a 5xx that nobody asked for."""
        started = monotonic()
        reply = await call(self.app, path=path)
        assert monotonic() - started < BOUND
        return reply

    async def statuses(self, path: str, times: int) -> list[int]:
        """Ask several times."""
        return [(await self.get(path)).status for _ in range(times)]

    async def recovers(self) -> None:
        """Ask until the store is used again, for a bounded number of times."""
        for _ in range(400):
            assert (await self.get("/busy")).status == 200
            if self.outages[-1] == "storage_up":
                return
            await asyncio.sleep(0.025)
        raise AssertionError("the storage is not used again")


@asynccontextmanager
async def house(url: str, **settings: Any) -> AsyncIterator[House]:
    """Build an app, and leave no task of ours behind."""
    built = House(url, **settings)
    yield built
    await built.gate.close()
    running = [task.get_coro() for task in asyncio.all_tasks()]
    assert not [coro for coro in running if OURS in coro.cr_code.co_filename]  # type: ignore[union-attr]


# What a server may do, and how it is mended


def _kill(server: RedisServer) -> Callable[[], None]:
    server.kill()
    return server.start


def _stop(server: RedisServer) -> Callable[[], None]:
    server.stop()
    return server.resume


def _fill(server: RedisServer) -> Callable[[], None]:
    server.ask("SET", "ballast", "x" * (4 << 20))
    server.config_set(maxmemory_policy="noeviction", maxmemory="1mb")
    return partial(server.config_set, maxmemory=0)


def _demote(server: RedisServer) -> Callable[[], None]:
    server.ask("REPLICAOF", "127.0.0.1", free_port())
    return partial(server.ask, "REPLICAOF", "NO", "ONE")


def _lock(server: RedisServer) -> Callable[[], None]:
    unlock = server.client()
    unlock.ping()
    server.config_set(requirepass="secret")
    unlock.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def heal() -> None:
        unlock.execute_command("CONFIG", "SET", "requirepass", "")
        unlock.close()

    return heal


def _forbid(server: RedisServer) -> Callable[[], None]:
    server.ask("ACL", "SETUSER", "default", "-@scripting")
    return partial(server.ask, "ACL", "SETUSER", "default", "+@scripting")


def _want_replicas(server: RedisServer) -> Callable[[], None]:
    server.config_set(min_replicas_to_write=1)
    return partial(server.config_set, min_replicas_to_write=0)


HURTS = [_kill, _stop, _fill, _demote, _lock, _forbid, _want_replicas]


@pytest.mark.parametrize("hurt", HURTS)
async def test_story_slowapi_253_fides_2034_a_store_that_fails_fails_no_request(
    own_redis: RedisServer, hurt: Callable[[RedisServer], Callable[[], None]]
) -> None:
    """slowapi#253, fides#2034, plyr.fm#1787, fastapi-limiter#54, flask-limiter#319: a dead store was a 500 everywhere.

    Here it is one event in the log, limits hold in this process, and afterwards the store is used again.
    """
    async with house(own_redis.url) as built:
        assert await built.statuses("/limited", 1) == [200]
        heal = await asyncio.to_thread(hurt, own_redis)
        assert await built.statuses("/limited", 6) == [200, 200, 200, 429, 429, 429]
        assert await built.statuses("/opened", 5) == [200] * 5
        assert await built.statuses("/closed", 2) == [503] * 2
        assert await built.statuses("/healthy", 2) == [200] * 2
        assert built.outages == ["storage_down"]
        await asyncio.to_thread(heal)
        await built.recovers()
        assert built.outages == ["storage_down", "storage_up"]
        before = own_redis.calls("evalsha")
        assert await built.statuses("/limited", 1) == [200]
        assert await built.statuses("/opened", 4) == [200, 200, 200, 429]
        assert own_redis.calls("evalsha") - before == 5
        assert built.outages == ["storage_down", "storage_up"]


async def _peek(gate: Gate) -> None:
    await with_rate_limit("9/hour", scope="peeked").peek(gate, "203.0.113.7")


async def _reset(gate: Gate) -> None:
    await with_rate_limit("9/hour", scope="peeked").reset(gate, "203.0.113.7")


async def _knock(gate: Gate) -> None:
    """Be refused, by the server each time, which has nothing to write then."""
    answer: Any = gate.store.hit([charge("1/hour", scope="knocked", adjusted=True)])
    await answer


async def _give(gate: Gate) -> None:
    await gate.leases.give("k", "nobody")


async def _release(gate: Gate) -> None:
    await gate.records("this test").release("k", "nobody")


@pytest.mark.parametrize("hurt", [_fill, _demote, _want_replicas])
@pytest.mark.parametrize("question", [_peek, _reset, _knock, _give, _release])
async def test_what_only_reads_does_not_end_an_outage(
    own_redis: RedisServer,
    hurt: Callable[[RedisServer], Callable[[], None]],
    question: Callable[[Gate], Awaitable[None]],
) -> None:
    """A full server or a replica still answers some questions; if they ended the outage, it would begin each second."""
    async with house(own_redis.url, retry_after=0.001) as built:
        await question(built.gate)
        heal = await asyncio.to_thread(hurt, own_redis)
        await built.statuses("/busy", 1)
        for _ in range(5):
            await asyncio.sleep(0.02)
            await question(built.gate)
        assert built.outages == ["storage_down"]
        await asyncio.to_thread(heal)
        await built.recovers()


async def test_while_it_hangs_nobody_waits_for_it(own_redis: RedisServer) -> None:
    """The first request takes the deadline; a hundred after it take less together than two of them would."""
    async with house(own_redis.url, retry_after=60.0) as built:
        await built.statuses("/busy", 1)
        own_redis.stop()
        await built.get("/busy")
        started = monotonic()
        assert await built.statuses("/busy", 100) == [200] * 100
        assert monotonic() - started < BOUND
        assert built.outages == ["storage_down"]


async def test_those_who_come_while_it_begins_to_hang(own_redis: RedisServer) -> None:
    """Fifty at once wait for one deadline, together, and are one event."""
    async with house(own_redis.url, retry_after=60.0) as built:
        await built.statuses("/limited", 1)
        own_redis.stop()
        replies = await asyncio.gather(*(built.get("/limited") for _ in range(50)))
        assert sorted(reply.status for reply in replies) == [200] * 3 + [429] * 47
        assert built.outages == ["storage_down"]


async def test_what_the_answers_say_meanwhile(own_redis: RedisServer) -> None:
    """A 503 says when to come back, a local 429 as well; what nobody counts is not said."""
    async with house(own_redis.url, retry_after=20.0) as built:
        await asyncio.to_thread(own_redis.kill)
        refused = await built.get("/closed")
        assert (refused.status, refused.headers["retry-after"]) == (503, "20")
        assert "ratelimit" not in (await built.get("/opened")).headers
        await built.statuses("/limited", 3)
        refused = await built.get("/limited")
        assert refused.status == 429
        assert 3500 < int(refused.headers["retry-after"]) <= 3600


async def test_the_event_says_what_happened_and_no_secret(own_redis: RedisServer) -> None:
    """With the cause, and without the password of the URL."""
    url = own_redis.url.replace("redis://", "redis://user:s3cr3t@")
    async with house(url) as built:
        await built.statuses("/busy", 1)
        (event,) = [event for event in built.log if event["event"] == "storage_down"]
        assert (event["level"], event["storage"]) == ("error", "redis")
        assert "error" in event
        assert "exception" in event
        assert "s3cr3t" not in repr(built.log)


async def test_a_share_of_each_limit_is_granted(own_redis: RedisServer) -> None:
    """A third of three is one."""
    async with house(own_redis.url, local_share=0.34) as built:
        await asyncio.to_thread(own_redis.kill)
        assert await built.statuses("/limited", 3) == [200, 429, 429]


async def test_connections_that_are_cut_are_not_noticed(own_redis: RedisServer) -> None:
    """A load balancer that ends idle connections, or a restart in between, costs nobody anything."""
    async with house(own_redis.url, deadline=5) as built:
        for at in range(5):
            assert await built.statuses("/busy", 1) == [200]
            if at % 2:
                await asyncio.to_thread(own_redis.restart)
            else:
                await asyncio.to_thread(own_redis.ask, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert built.outages == []


async def test_clients_who_leave_do_not_disturb_the_others(own_redis: RedisServer) -> None:
    """Cancelled requests are no outage, hold no connection, and mix up no answers."""
    async with house(own_redis.url, deadline=5) as built:
        for _ in range(20):
            leaving = [asyncio.create_task(built.get("/busy")) for _ in range(10)]
            await asyncio.sleep(random.random() / 1000)
            for task in leaving:
                task.cancel()
            await asyncio.wait(leaving)
            assert (await built.get("/busy")).status == 200
        assert built.outages == []
        assert own_redis.ask("INFO", "clients")["connected_clients"] <= 12


# What else may be at the other end


@asynccontextmanager
async def _liar(says: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Any]:
    """Serve something that is no Redis; yield its port, and the list of who came."""
    visits: list[None] = []
    handlers: set[asyncio.Task[None]] = set()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(None)
        handlers.add(asyncio.current_task())  # type: ignore[arg-type]  # it is one
        try:
            await says(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], visits
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


def _answering(answer: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Give the same answer to each command, as far as one can tell commands apart: by their `*`."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            commands = data.count(b"\r\n*") + data.startswith(b"*")
            writer.write(answer * commands)
            await writer.drain()

    return say


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing, and hang up."""


async def _closes_after_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 16)


async def _speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 16)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


async def _rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(random.Random(7).randbytes(4096))
    await writer.drain()
    await asyncio.Event().wait()


async def _never_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()
        await asyncio.sleep(0)


async def _drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"+OK\r\n" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


LIARS = {
    "silence": _silence,
    "closes at once": _closes,
    "closes after reading": _closes_after_reading,
    "http": _speaks_http,
    "rubbish": _rubbish,
    "never ends": _never_ends,
    "drips": _drips,
    "ok": _answering(b"+OK\r\n"),
    "one": _answering(b":1\r\n"),
    "nothing": _answering(b"$-1\r\n"),
    "empty list": _answering(b"*0\r\n"),
    "list of words": _answering(b"*4\r\n+a\r\n+b\r\n+c\r\n+d\r\n"),
    "list of lists": _answering(b"*4\r\n*0\r\n*0\r\n*0\r\n*0\r\n"),
    "too short": _answering(b"*2\r\n:1\r\n:1\r\n"),
    "a long text": _answering(b"$999999999\r\nx"),
    "a longer list": _answering(b"*999999999\r\n:1\r\n"),
    "error": _answering(b"-ERR unknown command\r\n"),
    "no length": _answering(b"$abc\r\n"),
    "unknown script for ever": _answering(b"-NOSCRIPT no\r\n"),
}


@pytest.mark.parametrize("name", LIARS)
async def test_something_else_is_on_the_port(name: str) -> None:
    """An HTTP server, one that says nothing, or anything: limits hold here, and it is asked once, and not again."""
    async with _liar(LIARS[name]) as (port, visits), house(f"redis://127.0.0.1:{port}", retry_after=60.0) as built:
        assert await built.statuses("/limited", 6) == [200, 200, 200, 429, 429, 429]
        assert await built.statuses("/closed", 2) == [503, 503]
        assert built.outages == ["storage_down"]
        assert len(visits) == 1


@pytest.mark.parametrize("name", LIARS)
async def test_nothing_is_claimed_on_the_word_of_something_else(name: str) -> None:
    """Work that would be done twice is not begun, whatever the answer looks like; slots are lent here."""
    async with _liar(LIARS[name]) as (port, _), house(f"redis://127.0.0.1:{port}", retry_after=60.0) as built:
        records = built.gate.records("this test")
        with pytest.raises(ServiceUnavailable):
            await records.claim("k", "print", 5.0)
        assert [await built.gate.leases.take("k", holder, 1) for holder in "ab"] == [True, False]


# Nobody at the other end


@contextmanager
def _refusing() -> Iterator[str]:
    yield f"redis://127.0.0.1:{free_port()}"


@contextmanager
def _accepting_nobody() -> Iterator[str]:
    """Listen, with a queue that is full: as behind a firewall that drops packets, connecting never ends."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}"
        for one in waiting:
            one.close()


@contextmanager
def _no_socket() -> Iterator[str]:
    yield f"redis+unix:///nowhere/{os.getpid()}"


@pytest.mark.parametrize("place", [_refusing, _accepting_nobody, _no_socket])
async def test_nobody_is_there(place: Callable[[], Any]) -> None:
    """Refused, dropped, not there: as good as dead."""
    with place() as url:
        async with house(url) as built:
            assert await built.statuses("/limited", 5) == [200, 200, 200, 429, 429]
            assert await built.statuses("/closed", 1) == [503]
            assert built.outages == ["storage_down"]


@pytest.mark.parametrize("hangs", [False, True])
async def test_the_name_is_not_found(monkeypatch: pytest.MonkeyPatch, hangs: bool) -> None:
    """Neither a resolver that says no, nor one that says nothing, holds up a request."""

    async def lookup(*_: object, **__: object) -> list[object]:
        if hangs:
            await asyncio.Event().wait()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    async with house("redis://redis.invalid:6379") as built:
        assert await built.statuses("/limited", 5) == [200, 200, 200, 429, 429]
        assert built.outages == ["storage_down"]


# Event loops


async def test_the_lifespan_closes_the_connections(own_redis: RedisServer) -> None:
    """`install` and `wrap`: with the app's end, nothing is left open, on the server either."""
    for front in ("install", "wrap"):
        built = House(own_redis.url, deadline=5)
        app: Any = built.app if front == "install" else built.gate.wrap(Starlette(routes=built.app.routes))
        async with _lifespan(app):
            assert (await call(app, path="/busy")).status == 200
            assert await built.gate.leases.take("k", "a", 1)
            assert own_redis.ask("INFO", "clients")["connected_clients"] == 2
        eventually(lambda: own_redis.ask("INFO", "clients")["connected_clients"] == 1, "a connection stays open")
        assert built.outages == []
        await built.gate.leases.give("k", "a")
        await built.gate.close()


@pytest.mark.parametrize("hurt", [_kill, _stop])
async def test_closing_does_not_wait_for_a_server_that_is_gone(
    own_redis: RedisServer, hurt: Callable[[RedisServer], object]
) -> None:
    """An app ends though its storage hangs."""
    built = House(own_redis.url, deadline=5)
    async with _lifespan(built.app):
        await built.get("/busy")
        hurt(own_redis)
        started = monotonic()
    assert monotonic() - started < BOUND


@asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    """Start an app and end it, as a server does."""
    said: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan", "asgi": {}, "state": {}}, said.get, heard.put))
    for kind in ("startup", "shutdown"):
        await said.put({"type": f"lifespan.{kind}"})
        assert (await heard.get())["type"] == f"lifespan.{kind}.complete"
        if kind == "startup":
            yield
    await running


def test_a_second_event_loop_uses_the_same_gate(own_redis: RedisServer) -> None:
    """`asyncio.run` twice, as scripts and test suites do: no "event loop is closed", no hang, one count."""
    built = House(own_redis.url, deadline=5)

    async def visit() -> list[int]:
        found = await built.statuses("/limited", 2)
        assert await built.gate.leases.take("k", "a", 1)
        await built.gate.close()
        return found

    assert [asyncio.run(visit()) for _ in range(3)] == [[200, 200], [200, 429], [429, 429]]
    assert built.outages == []
    eventually(lambda: own_redis.ask("INFO", "clients")["connected_clients"] == 1, "a connection stays open")


def test_closing_on_one_loop_leaves_the_others_alone(own_redis: RedisServer) -> None:
    """Two loops in two threads may share a gate; each closes what is its own."""
    built = House(own_redis.url, deadline=5)

    async def visit() -> list[int]:
        assert await built.gate.leases.take("k", "a", 1)
        return await built.statuses("/limited", 1)

    async def leave() -> None:
        await built.gate.close()

    with asyncio.Runner() as here, asyncio.Runner() as there:
        assert here.run(visit()) == [200]
        there.run(leave())
        before = own_redis.ask("INFO", "stats")["total_connections_received"]
        assert here.run(visit()) == [200]
        # The only new connection is that of the question.
        assert own_redis.ask("INFO", "stats")["total_connections_received"] == before + 1
        assert there.run(visit()) == [200]
        there.run(leave())
        here.run(leave())
    assert built.outages == []


NEGLECT = """
import asyncio, gc, sys
from gatewright import Gate
from gatewright._core.storage.contract import Bucket
from gatewright._core.storage.limit import Limit

gate = Gate(storage=sys.argv[1])

async def visit():
    assert await gate.leases.take("k", "a", 1)
    return [(await gate.store.hit([(Bucket(Limit(3_600_000, 3), "here"), "ann", 1)]))[0][0] for _ in range(2)]

assert [asyncio.run(visit()) for _ in range(3)] == [[True, True], [True, False], [False, False]]
gc.collect()
input("neglected")
asyncio.run(gate.close())
gc.collect()
input("closed")
"""


def test_a_loop_that_ended_without_a_word(own_redis: RedisServer) -> None:
    """Nobody closed the gate: Python may warn, but the next loop works, and the old connections are not kept."""

    def few(most: int) -> bool:
        return int(own_redis.ask("INFO", "clients")["connected_clients"]) - 1 <= most

    # A process of its own, since pytest keeps what was being warned of.
    command = [sys.executable, "-c", NEGLECT, own_redis.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for said, most in ((b"neglected", 1), (b"closed", 0)):
            assert child.stdout.read(len(said)) == said
            eventually(partial(few, most), f"connections are kept when all is {said.decode()}")
            child.stdin.write(b"\n")
            child.stdin.flush()
    assert child.returncode == 0


def test_trio_is_a_mistake_that_is_told(own_redis: RedisServer) -> None:
    """500 and the explanation in the log, for every request: never counted in this process without a word."""
    built = House(own_redis.url, deadline=5)

    async def visit() -> list[int]:
        found = [(await call(built.app, path="/limited")).status for _ in range(5)]
        await built.gate.close()
        return found

    assert anyio.run(visit, backend="trio") == [500] * 5
    explained = [event for event in built.log if "on trio, write storage=" in repr(event)]
    assert len(explained) == 5
    assert built.outages == []


def test_a_gate_that_is_gone_is_not_kept_by_its_handlers() -> None:
    """Handlers at module level hold the storage of each gate they met; that does not hold the gate and its app."""

    @with_rate_limit("5/minute")
    @limit_concurrency(2)
    @idempotent()
    async def handler() -> Result[None]:
        return ok()

    async def visit() -> weakref.ref[Gate]:
        gate = Gate(storage="redis://127.0.0.1:1", log=EventList())
        assert (await call(handler, gate=gate)).status == 200
        await gate.close()
        return weakref.ref(gate)

    seen = asyncio.run(visit())
    gc.collect()
    assert seen() is None
