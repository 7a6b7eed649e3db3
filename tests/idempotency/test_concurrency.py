"""However many ask at once, and wherever the records lie, the work is done once."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest
from starlette.requests import Request
from starlette.responses import Response

from gatewright import Gate, Result, ok
from gatewright._core.storage.opening import Storage
from gatewright.idempotency import idempotent
from gatewright.testing import EventList, Reply, call
from tests.idempotency.kit import KEY, reasons, replayed, short
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

# redis-py knows asyncio only.
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Slow:
    """A handler that works until it is told to end."""

    def __init__(self, **settings: Any) -> None:
        self.done = 0
        self.entered = anyio.Event()
        self.leave = anyio.Event()

        @idempotent(**settings)
        async def handler(request: Request) -> Result[int]:
            self.done += 1
            self.entered.set()
            await self.leave.wait()
            return ok(self.done)

        self.handler = handler

    async def post(self, gate: Gate) -> Reply:
        """Send one request."""
        return await call(self.handler, method="POST", headers=KEY, gate=gate)


async def _hundred_at_once(*gates: Gate) -> None:
    slow, replies = Slow(), list[Reply]()

    async def client(number: int) -> None:
        replies.append(await slow.post(gates[number % len(gates)]))
        if len(replies) == 99:
            slow.leave.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(client, number)
    assert slow.done == 1
    refused = [short(reply) for reply in replies if reply.status != 200]
    assert refused == [(409, "idempotency_key_in_use")] * 99
    for gate in gates:
        reply = await slow.post(gate)
        assert (reply.json["data"], replayed(reply)) == (1, True)


async def test_of_a_hundred_at_once_one_works_in_memory() -> None:
    """The others are told to come back, and then get its answer."""
    await _hundred_at_once(Gate(log=EventList()))


@pytest.fixture
def storage(redis_url: str) -> Storage:
    """Give a corner of the server to this test alone; patient, because many ask at once on a slow machine."""
    return Storage(redis_url, prefix=f"test-{uuid4().hex}", deadline=10)


@pytest.mark.redis
@ON_ASYNCIO
async def test_of_a_hundred_at_once_one_works_on_redis(storage: Storage) -> None:
    """From several processes, which share nothing but the server."""
    gates = [Gate(log=EventList(), storage=storage) for _ in range(4)]
    await _hundred_at_once(*gates)
    for gate in gates:
        await gate.close()


@pytest.mark.redis
@ON_ASYNCIO
async def test_a_cancelled_request_frees_the_key_on_redis(storage: Storage) -> None:
    """The release goes out although everything around it is cancelled."""
    gate, first, second = Gate(log=EventList(), storage=storage), Slow(), Slow()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.post, gate)
        await first.entered.wait()
        tasks.cancel_scope.cancel()
    second.leave.set()
    assert (await second.post(gate)).status == 200
    await gate.close()


@pytest.mark.redis
@ON_ASYNCIO
async def test_a_request_that_is_cancelled_while_it_claims_strands_no_key(storage: Storage) -> None:
    """The claim may have been made; it is heard of, and given back."""
    gate, slow = Gate(log=EventList(), storage=storage), Slow()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow.post, gate)
        # By now it waits for the server.
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    slow.leave.set()
    assert (await slow.post(gate)).status == 200
    await gate.close()


@pytest.mark.redis
@ON_ASYNCIO
async def test_without_a_server_nothing_is_done(own_redis: RedisServer) -> None:
    """503 with when to come back: what cannot be claimed might be done twice."""
    gate, slow = Gate(log=EventList(), storage=Storage(own_redis.url, retry_after=1000)), Slow()
    slow.leave.set()
    own_redis.kill()
    for _ in range(2):
        reply = await slow.post(gate)
        assert (reply.status, slow.done) == (503, 0)
        assert 1 <= int(reply.headers["retry-after"]) <= 1000
    await gate.close()


@pytest.mark.redis
@ON_ASYNCIO
async def test_a_server_that_dies_while_the_work_is_done_takes_no_answer_away(own_redis: RedisServer) -> None:
    """It is sent; the log says that a retry may do the work again."""
    events = EventList()
    gate, slow, replies = Gate(log=events, storage=own_redis.url), Slow(), list[Reply]()

    async def first() -> None:
        replies.append(await slow.post(gate))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await slow.entered.wait()
        own_redis.kill()
        slow.leave.set()
    assert (replies[0].status, replies[0].json["data"]) == (200, 1)
    assert reasons(events) == ["ServiceUnavailable of the storage"]
    await gate.close()


@pytest.mark.redis
@ON_ASYNCIO
@pytest.mark.parametrize("which", ["the same gate", "another"])
async def test_an_answer_outlives_the_process_that_gave_it(storage: Storage, which: str) -> None:
    """Any bytes of it."""
    done: list[str] = []

    @idempotent()
    async def handler(request: Request) -> Response:
        done.append("work")
        return Response(bytes(range(256)), 201, {"Location": "/1"}, "application/x-bytes")

    gates = [Gate(log=EventList(), storage=storage) for _ in range(2)]
    replies = [
        await call(handler, method="POST", headers=KEY, gate=gates[0 if which == "the same gate" else turn])
        for turn in range(2)
    ]
    assert [(reply.status, reply.body, replayed(reply)) for reply in replies] == [
        (201, bytes(range(256)), False),
        (201, bytes(range(256)), True),
    ]
    assert (replies[1].headers["location"], replies[1].headers["content-type"]) == ("/1", "application/x-bytes")
    assert done == ["work"]
    for gate in gates:
        await gate.close()
