"""Who comes second may wait for what the first is told: a browser shows the answer to the second of two clicks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any
from uuid import uuid4

import anyio
import pytest
import trio
import trio.testing
from starlette.requests import Request
from starlette.responses import StreamingResponse

from gatewright import Gate, err, redirect
from gatewright._core.storage.contract import Claimed, Kept, Pending, Records
from gatewright._core.storage.opening import Storage
from gatewright.idempotency import idempotent
from gatewright.testing import EventList, FrozenClock, Reply, call
from tests.forms import urlencoded
from tests.idempotency.kit import replayed, short
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

LONG = 60.0
"""Seconds that no test waits."""


class Watched:
    """A gate's records, and how often a key was found in use."""

    def __init__(self, gate: Gate) -> None:
        records = gate.records("a test")
        self._records: Records = records
        self.looks = 0
        self.told: list[Callable[[], object]] = []
        self.keep = records.keep
        self.release = records.release
        vars(gate)["backend"] = replace(gate.backend, records=self)

    async def claim(self, key: str, fingerprint: str, lease: float, /) -> Claimed | Pending | Kept:
        """Count, and tell."""
        found = await self._records.claim(key, fingerprint, lease)
        if isinstance(found, Pending):
            self.looks += 1
            for told in self.told:
                told()
        return found

    async def looked(self, times: int) -> None:
        """Wait until it was so often."""
        if self.looks < times:
            enough = anyio.Event()
            self.told.append(lambda: enough.set() if self.looks == times else None)
            await enough.wait()


class Desk:
    """A handler that works until it is told to end, and then answers as it is told to; and who sends it one form."""

    def __init__(self, gate: Gate, *answers: Callable[[], Any], **settings: Any) -> None:
        self.gate = gate
        self.watched = Watched(gate)
        self.form = {"_once": uuid4().hex, "item": "tea"}
        self.done = 0
        self.entered, self.again = anyio.Event(), anyio.Event()
        self.leave = anyio.Event()
        self.replies: list[Reply] = []
        left = [*answers, lambda: redirect(f"/orders/{self.done}")]

        @idempotent(**{"field": "_once", "wait": LONG, **settings})
        async def handler(request: Request) -> Any:
            self.done += 1
            (self.entered if self.done == 1 else self.again).set()
            await self.leave.wait()
            return (left.pop(0) if len(left) > 1 else left[0])()

        self.handler = handler

    async def post(self, **entries: str) -> None:
        """Send the form, and keep what is answered."""
        sent = urlencoded(*{**self.form, **entries}.items())
        headers = {"content-type": sent.kind}
        self.replies.append(await call(self.handler, method="POST", headers=headers, data=sent.body, gate=self.gate))

    async def twice(self) -> None:
        """Send the form twice at the same time; end the work when the second has looked for an answer, and again."""
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.post)
                await self.entered.wait()
                tasks.start_soon(self.post)
                await self.watched.looked(2)
                self.leave.set()

    @property
    def answers(self) -> list[tuple[int, str | None, bool]]:
        """Return status, place, and whether it is one of before, of each reply in the order in which they came."""
        return [(reply.status, reply.headers.get("location"), replayed(reply)) for reply in self.replies]


# Whatever the storage


async def two_clicks(gate: Gate) -> None:
    """The work is done once, and both are led to it."""
    desk = Desk(gate)
    await desk.twice()
    assert desk.done == 1
    assert desk.answers == [(303, "/orders/1", False), (303, "/orders/1", True)]


async def twenty_clicks(gate: Gate) -> None:
    """They are one, too; but four wait for it, and no more: who sends one key a thousand times holds nothing."""
    desk = Desk(gate)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(desk.post)
            await desk.watched.looked(40)
            assert [short(reply) for reply in desk.replies] == [(409, "idempotency_key_in_use")] * 15
            desk.leave.set()
    assert desk.done == 1
    assert sorted(desk.answers[15:]) == [(303, "/orders/1", False), *[(303, "/orders/1", True)] * 4]


async def clicks_after_one_that_left(gate: Gate) -> None:
    """A place to wait at is free again when who had it leaves."""
    desk = Desk(gate)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.post)
            await desk.entered.wait()
            for round_ in range(1, 3):
                async with anyio.create_task_group() as waiting:
                    for _ in range(4):
                        waiting.start_soon(desk.post)
                    await desk.watched.looked(desk.watched.looks + 12)
                    await desk.post()
                    assert [short(reply) for reply in desk.replies] == [(409, "idempotency_key_in_use")] * round_
                    waiting.cancel_scope.cancel()
            tasks.start_soon(desk.post)
            await desk.watched.looked(desk.watched.looks + 3)
            desk.leave.set()
    assert [status for status, *_ in desk.answers] == [409, 409, 303, 303]


def _broken() -> Any:
    raise RuntimeError("the database went away")


async def the_first_fails(gate: Gate) -> None:
    """The key is free then: the second does the work, and only its work counts."""
    for fails, status in ((_broken, 500), (lambda: err("Not now", status=503), 503)):
        desk = Desk(gate, fails)
        await desk.twice()
        assert desk.done == 2
        assert desk.answers == [(status, None, False), (303, "/orders/2", False)]


async def the_first_is_refused(gate: Gate) -> None:
    """What is wrong with it is wrong with the second: that is final, and nothing is tried again."""
    desk = Desk(gate, lambda: err("Sold out", status=422))
    await desk.twice()
    assert desk.done == 1
    assert desk.answers == [(422, None, False), (422, None, True)]


async def the_first_is_cancelled(gate: Gate) -> None:
    """As a server does that stops, or a timeout further out: the second does the work."""
    desk = Desk(gate)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks, anyio.create_task_group() as first:
            first.start_soon(desk.post)
            await desk.entered.wait()
            tasks.start_soon(desk.post)
            await desk.watched.looked(2)
            first.cancel_scope.cancel()
            desk.leave.set()
    assert desk.done == 2
    assert desk.answers == [(303, "/orders/2", False)]


async def the_second_is_cancelled(gate: Gate) -> None:
    """It takes nothing with it: the first ends its work, and a third is told what came of that."""
    desk = Desk(gate)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.post)
            await desk.entered.wait()
            async with anyio.create_task_group() as second:
                second.start_soon(desk.post)
                await desk.watched.looked(2)
                second.cancel_scope.cancel()
            desk.leave.set()
    await desk.post()
    assert desk.done == 1
    assert desk.answers == [(303, "/orders/1", False), (303, "/orders/1", True)]


async def something_else(gate: Gate) -> None:
    """Another form under the same key is refused at once: it would not be told anything else later."""
    desk = Desk(gate)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.post)
            await desk.entered.wait()
            await desk.post(item="coffee")
            assert short(desk.replies[0]) == (422, "idempotency_key_reused")
            desk.leave.set()
    assert desk.done == 1


async def a_stream(gate: Gate) -> None:
    """It is at work until its last byte."""
    more = anyio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"one, "
        await more.wait()
        yield b"two"

    desk = Desk(gate, lambda: StreamingResponse(parts()))
    desk.leave.set()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.post)
            await desk.entered.wait()
            tasks.start_soon(desk.post)
            await desk.watched.looked(2)
            more.set()
    assert [(reply.body, replayed(reply)) for reply in desk.replies] == [(b"one, two", False), (b"one, two", True)]


RULES = [
    two_clicks,
    twenty_clicks,
    clicks_after_one_that_left,
    the_first_fails,
    the_first_is_refused,
    the_first_is_cancelled,
    the_second_is_cancelled,
    something_else,
    a_stream,
]
Rule = Callable[[Gate], Awaitable[None]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
async def test_in_memory(rule: Rule) -> None:
    """Each rule, on both event loops; the gate's clock stands still, because waiting is the loop's time."""
    await rule(Gate(log=EventList(), clock=FrozenClock()))


@pytest.mark.redis
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
async def test_on_redis(rule: Rule, redis_url: str, prefix: str) -> None:
    """Each rule, on a real server."""
    gate = Gate(log=EventList(), storage=Storage(redis_url, prefix=prefix, deadline=10))
    await rule(gate)
    await gate.close()


@pytest.mark.redis
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_two_clicks_may_come_to_two_processes(redis_url: str, prefix: str) -> None:
    """Which share nothing but the server."""
    gates = [Gate(log=EventList(), storage=Storage(redis_url, prefix=prefix, deadline=10)) for _ in range(2)]
    first, second = [Desk(gate) for gate in gates]
    second.form = first.form
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.post)
            await first.entered.wait()
            tasks.start_soon(second.post)
            await second.watched.looked(2)
            first.leave.set()
    assert (first.done, second.done) == (1, 0)
    assert second.answers == [(303, "/orders/1", True)]
    for gate in gates:
        await gate.close()


@pytest.mark.redis
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_storage_that_dies_ends_the_waiting(own_redis: RedisServer) -> None:
    """503: whether the work is done, nobody can tell."""
    gate = Gate(log=EventList(), storage=own_redis.url)
    desk = Desk(gate)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.post)
            await desk.entered.wait()
            async with anyio.create_task_group() as second:
                second.start_soon(desk.post)
                await desk.watched.looked(2)
                own_redis.kill()
            assert [reply.status for reply in desk.replies] == [503]
            desk.leave.set()
    assert desk.done == 1
    await gate.close()


# How long


def test_nobody_waits_for_ever_nor_asks_all_the_time() -> None:
    """After *wait* seconds it is the 409 of before; a quick answer is found at once, a slow one costs few questions."""
    looks: list[float] = []

    async def main() -> None:
        desk = Desk(Gate(log=EventList(), clock=FrozenClock()), wait=3.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.post)
            await desk.entered.wait()
            desk.watched.told.append(lambda: looks.append(trio.current_time() - began))
            began = trio.current_time()
            await desk.post()
            nursery.cancel_scope.cancel()
        assert short(desk.replies[0]) == (409, "idempotency_key_in_use")
        assert desk.replies[0].json["error"] == "This form was sent already, and that is still being worked on"
        assert "retry-after" in desk.replies[0].headers

    # The loop's time, which jumps to the next thing that somebody waits for.
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert (looks[0], looks[-1]) == (0, pytest.approx(3.0))
    pauses = [later - earlier for earlier, later in pairwise(looks)]
    assert len(looks) <= 25
    assert max(pauses) <= 0.25 + 1e-6
    assert all(pause <= since + 0.01 + 1e-6 for since, pause in zip(looks, pauses, strict=False))


@pytest.mark.parametrize("wait", [0.0, 0.05])
async def test_it_is_a_409_in_the_end(wait: float) -> None:
    """On both event loops; at once where no waiting was asked for."""
    desk = Desk(Gate(log=EventList()), wait=wait)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.post)
            await desk.entered.wait()
            await desk.post()
            assert short(desk.replies[0]) == (409, "idempotency_key_in_use")
            assert wait or desk.watched.looks == 1
            desk.leave.set()
    assert desk.done == 1


async def test_a_lease_that_runs_out_ends_the_waiting() -> None:
    """Its process may be gone; so whoever waits does the work."""
    clock = FrozenClock()
    desk = Desk(Gate(log=EventList(), clock=clock), lease=10)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.post)
            await desk.entered.wait()
            tasks.start_soon(desk.post)
            await desk.watched.looked(2)
            assert desk.done == 1
            clock.advance(11)
            await desk.again.wait()
            desk.leave.set()
    assert desk.done == 2
