"""The limiter in memory, with one caller and with a million."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from random import Random
from time import process_time

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from gatewright._core.storage.contract import Bucket
from gatewright._core.storage.limit import Limit
from gatewright._core.storage.memory import MemoryStore
from gatewright.testing import FrozenClock
from tests.benchmarks.method import Effort, Figures, Setup, Work, measure
from tests.benchmarks.table import Table, ratio
from tests.benchmarks.wire import running

__all__ = ["table"]

_OURS, _LIMITS, _HARNESS = "gatewright", "`limits.aio`", "(the harness alone)"
_SIZES = [(_OURS, 1), (_OURS, 1_000), (_OURS, 100_000), (_OURS, 1_000_000), (_LIMITS, 1), (_LIMITS, 1_000)]
_COLUMNS = (
    "hits",
    "min µs",
    "median µs",
    "÷ one key, min",
    "÷ one key, median",
    "without harness, min",
    "bytes a key",
    "longest hit ÷ one key, min",
)
_NOTE = (
    "One hit of one fixed window of an hour by a caller picked at random. Each hit is a task, as it is in a request: "
    "that is when the sweep of `limits.aio` runs, over all keys. The longest hit is that of 20,000 while all windows "
    "end and are dropped: for so long the event loop stands still. Targets: 10⁶ keys ÷ one key ≤ 1.5, ≤ 150 bytes each."
)
_HOUR = 3600

Hit = Callable[[str], Awaitable[object]]


def _caller(number: int) -> str:
    return f"sub user-{number}"


def _ours() -> Hit:
    return _hit_of(MemoryStore())


def _hit_of(store: MemoryStore) -> Hit:
    hit, bucket = store.hit, Bucket(Limit(_HOUR * 1000, 1_000_000_000), "POST /posts")

    async def hit_one(caller: str) -> None:
        hit([(bucket, caller, 1)])

    return hit_one


def _limits() -> Hit:
    limiter, item = FixedWindowRateLimiter(MemoryStorage()), parse("1000000000/hour")
    return lambda caller: limiter.hit(item, "POST /posts", caller)


def _nothing() -> Hit:
    async def hit_none(caller: str) -> None:
        pass

    return hit_none


_HITS: dict[str, Callable[[], Hit]] = {_OURS: _ours, _LIMITS: _limits, _HARNESS: _nothing}


@contextmanager
def _hits(who: str, keys: int) -> Generator[Work, None, None]:
    """Prepare hits of a limiter in which *keys* callers are known."""
    hit, chance = _HITS[who](), Random(keys)

    async def hit_all(callers: list[str]) -> float:
        spawn = asyncio.get_running_loop().create_task
        started = process_time()
        for caller in callers:
            await spawn(_hit(hit, caller))
        return (process_time() - started) / len(callers)

    with running() as runner:
        runner.run(_fill(hit, keys))
        # As from a request: each name is a new str, whose hash nobody knows yet.
        yield lambda count: runner.run(hit_all([_caller(chance.randrange(keys)) for _ in range(count)]))


async def _hit(hit: Hit, caller: str) -> None:
    await hit(caller)


async def _fill(hit: Hit, keys: int) -> None:
    for number in range(keys):
        await hit(_caller(number))


def _bytes_per_key(who: str, keys: int) -> str:
    tracemalloc.start()
    try:
        hit = _HITS[who]()
        before, _ = tracemalloc.get_traced_memory()
        asyncio.run(_fill(hit, keys))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return f"{(after - before) / keys:.0f}"


def _longest(keys: int, hits: int) -> float:
    """Return the CPU time of the slowest hit while *keys* windows end."""
    clock = FrozenClock()
    hit = _hit_of(MemoryStore(clock))
    slowest = 0.0

    async def go() -> None:
        nonlocal slowest
        await _fill(hit, keys)
        for turn in range(hits):
            # Three times as long as a window in all: everything that was there is dropped on the way.
            clock.advance(3 * _HOUR / hits)
            started = process_time()
            await hit(_caller(turn % keys))
            slowest = max(slowest, process_time() - started)

    gc.disable()
    try:
        asyncio.run(go())
    finally:
        gc.enable()
    return slowest


def table(effort: Effort, most: int = 1_000_000) -> Table:
    """Measure hits and memory with up to *most* keys."""
    sizes = [(who, keys) for who, keys in _SIZES if keys <= most]
    setups: dict[str, Setup] = {_name(who, keys): partial(_hits, who, keys) for who, keys in sizes}
    figures = measure({**setups, _HARNESS: partial(_hits, _HARNESS, 1)}, effort)
    rows: list[tuple[str, ...]] = []
    for who, keys in sizes:
        own, one = figures[_name(who, keys)], figures[_name(who, 1)]
        rows.append(
            (
                *_row(_name(who, keys), own, one, figures[_HARNESS]),
                "" if keys == 1 else _bytes_per_key(who, keys),
                ratio(min(_longest(keys, most // 50) for _ in range(3)), one.minimum) if who == _OURS else "",
            )
        )
    rows.append((_HARNESS, _time(figures[_HARNESS].minimum), _time(figures[_HARNESS].median), *[""] * 5))
    return Table("The limiter in memory", _COLUMNS, rows, _NOTE)


def _row(name: str, own: Figures, one: Figures, harness: Figures) -> tuple[str, ...]:
    least = harness.minimum
    return (
        name,
        _time(own.minimum),
        _time(own.median),
        ratio(own.minimum, one.minimum),
        ratio(own.median, one.median),
        f"{_time(own.minimum - least)} ({ratio(own.minimum - least, one.minimum - least)})",
    )


def _name(who: str, keys: int) -> str:
    return f"{who}, {keys:,} {'key' if keys == 1 else 'keys'}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.2f}"
