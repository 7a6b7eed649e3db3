"""Many callers at once get exactly the limit: in one event loop, and from several processes on one server."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from gatewright._core.clock import SYSTEM_CLOCK
from gatewright._core.storage.contract import Bucket, Charge, Standing
from gatewright._core.storage.limit import parse_limits
from gatewright._core.storage.memory import MemoryStore
from gatewright._core.storage.opening import Storage, open_backend

CALLERS, LIMIT, PROCESSES = 100, 40, 4

# Windows so long that nothing comes back while the test runs; the first limit of each is the tightest.
DECISIONS = {
    "fixed": ["40/year"],
    "sliding": ["40/year sliding"],
    "gcra": ["40/year burst 40"],
    "fixed and two more": ["40/year", "60/year sliding", "80/year burst 80"],
    "sliding and two more": ["40/year sliding", "60/year burst 60", "80/year"],
    "gcra and two more": ["40/year burst 40", "60/year", "80/year sliding"],
}

decisions = pytest.mark.parametrize("texts", DECISIONS.values(), ids=DECISIONS)


def charges_for(texts: list[str]) -> list[Charge]:
    # The tightest comes last, so that what it refuses has been paid to the others by then.
    return [(Bucket(parse_limits(text)[0], "posts"), "ann", 1) for text in reversed(texts)]


def passes(standings: list[Standing]) -> bool:
    return all(allowed for allowed, *_ in standings)


def capacities(texts: list[str]) -> list[int]:
    return [charge[0].limit.capacity for charge in charges_for(texts)]


@pytest.mark.anyio
@decisions
async def test_many_tasks_get_exactly_the_limit(texts: list[str]) -> None:
    """A decision in memory is one step of the event loop, so nobody comes between its parts."""
    store, charges, answers = MemoryStore(), charges_for(texts), list[bool]()

    async def call() -> None:
        await anyio.lowlevel.checkpoint()
        answers.append(passes(store.hit(charges)))
        await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for _ in range(CALLERS):
            group.start_soon(call)
    assert answers.count(True) == LIMIT and len(answers) == CALLERS
    assert [left for _, left, _, _ in store.look(charges)] == [capacity - LIMIT for capacity in capacities(texts)]


@pytest.mark.parametrize("text", [DECISIONS[name][0] for name in ("fixed", "sliding", "gcra")])
def test_threads_at_once_do_no_harm(text: str) -> None:
    """Event loops in several threads are not promised the exact limit: nobody is refused too early, nothing breaks."""
    store, charges = MemoryStore(max_keys=500), charges_for([text])

    async def calls(thread: int) -> int:
        paid = 0
        for n in range(200):
            paid += passes(store.hit(charges))
            store.hit([(charges[0][0], f"{thread} {n}", 1)])
            await asyncio.sleep(0)
        return paid

    with ThreadPoolExecutor(8) as threads:
        paid = sum(threads.map(lambda thread: asyncio.run(calls(thread)), range(8)))
    assert paid >= LIMIT
    assert not passes(store.hit(charges)), "and in the end the limit holds"


# On a server

_together: Barrier


def _begin(barrier: Barrier) -> None:
    global _together
    _together = barrier


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Start processes that share nothing but the moment at which they begin."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, spawn, _begin, (spawn.Barrier(PROCESSES),)) as pool:
        yield pool


def _calls(url: str, prefix: str, texts: list[str]) -> tuple[int, list[int]]:
    """Call often at once, in one of the processes; return how often that passed, and what was left afterwards."""
    return asyncio.run(_call_often(url, prefix, charges_for(texts)))


async def _call_often(url: str, prefix: str, charges: list[Charge]) -> tuple[int, list[int]]:
    said = list[str]()
    backend = open_backend(
        Storage(url, prefix=prefix, deadline=20), SYSTEM_CLOCK, os.urandom, lambda _, event, /, **__: said.append(event)
    )

    async def hit() -> bool:
        return passes(cast("list[Standing]", await backend.store.hit(charges)))  # type: ignore[misc]  # it does I/O

    try:
        await backend.store.look(charges)  # type: ignore[misc]  # it does I/O
        _together.wait(60)
        paid = sum(await asyncio.gather(*(hit() for _ in range(CALLERS // PROCESSES))))
        _together.wait(60)
        standings = cast("list[Standing]", await backend.store.look(charges))  # type: ignore[misc]  # it does I/O
    finally:
        await backend.close()
    assert not said, "nobody had to count by himself"
    return paid, [left for _, left, _, _ in standings]


@pytest.mark.redis
@decisions
def test_many_processes_get_exactly_the_limit(
    texts: list[str], redis_url: str, processes: ProcessPoolExecutor, request: pytest.FixtureRequest
) -> None:
    """Four processes with 25 callers each: what one took the others see, and what was refused is charged to nobody."""
    prefix = f"many-{os.getpid()}-{abs(hash(request.node.nodeid))}"
    found = [processes.submit(_calls, redis_url, prefix, texts) for _ in range(PROCESSES)]
    answers = [one.result(120) for one in found]
    assert sum(paid for paid, _ in answers) == LIMIT
    assert [left for _, left in answers] == [[capacity - LIMIT for capacity in capacities(texts)]] * PROCESSES
