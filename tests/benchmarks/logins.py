"""How long the event loop stands still while many log in at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from starlette.concurrency import run_in_threadpool

from gatewright.auth.passwords.argon2 import argon2id
from gatewright.auth.passwords.hasher import Hasher
from gatewright.auth.passwords.passwords import Passwords
from tests.benchmarks.method import Effort
from tests.benchmarks.table import Table, ratio
from tests.benchmarks.wire import running

__all__ = ["table"]

_TICK = 0.001
_PASSWORD = "correct horse battery staple"
_IDLE, _OURS = "(nobody logs in)", "gatewright, `Passwords`"
_COLUMNS = ("where it is hashed", "stall, min ms", "stall, median ms", "all, median ms", "stall ÷ ours", "all ÷ ours")
_NOTE = (
    "Wall-clock time. All come at the same moment with the right password, and argon2id's hash of it is compared. A "
    "task sleeps for a millisecond again and again; the stall is the longest that it was away, and so long every other "
    "request waits. “All” is until the last one is in. `asyncio.to_thread` has as many threads as there are cores and "
    "four more; `run_in_threadpool` has 40, as `def` endpoints of Starlette and FastAPI have; `Passwords` as many as "
    "there are cores. Each hash takes 64 MiB while it is made, so that 16 at once take a gigabyte."
)

Compare = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class _Seen:
    """What was seen while all logged in, in seconds."""

    stall: float
    total: float


def table(effort: Effort, hasher: Hasher | None = None, logins: int = 16) -> Table:
    """Measure stalls in turns, in one process: what is measured is how its threads and its loop get along.

    Args:
        effort: how many turns.
        hasher: what hashes.
        logins: how many log in at once.
    """
    ways = _ways(hasher or argon2id())
    seen: dict[str, list[_Seen]] = {way: [] for way in ways}
    # Nothing to warm: one hash has been made.
    for turn in range(effort.rounds):
        for way in list(ways) if turn % 2 else reversed(ways):
            with running() as runner:
                seen[way].append(runner.run(_watched(ways[way], logins)))
    ours = seen[_OURS]
    rows = [
        (
            way,
            f"{min(one.stall for one in own) * 1e3:.1f}",
            f"{median(one.stall for one in own) * 1e3:.1f}",
            f"{median(one.total for one in own) * 1e3:.0f}",
            ratio(median(one.stall for one in own), median(one.stall for one in ours)),
            "" if way == _IDLE else ratio(median(one.total for one in own), median(one.total for one in ours)),
        )
        for way, own in seen.items()
    ]
    return Table(f"{logins} logins at once", _COLUMNS, rows, _NOTE)


def _ways(hasher: Hasher) -> dict[str, Compare]:
    password = _PASSWORD.encode()
    stored = hasher.hash(password)
    passwords = Passwords((hasher,))

    async def idle() -> bool:
        await asyncio.sleep(0.1)
        return True

    async def on_the_loop() -> bool:
        return hasher.matches(stored, password)

    async def to_thread() -> bool:
        return await asyncio.to_thread(hasher.matches, stored, password)

    async def in_threadpool() -> bool:
        return await run_in_threadpool(hasher.matches, stored, password)

    async def ours() -> bool:
        return bool(await passwords.verify_and_update(stored, _PASSWORD))

    return {
        _IDLE: idle,
        "on the event loop": on_the_loop,
        "`asyncio.to_thread`": to_thread,
        "`run_in_threadpool`": in_threadpool,
        _OURS: ours,
    }


async def _watched(compare: Compare, logins: int) -> _Seen:
    """Let everybody log in, while a task watches the loop."""
    over = asyncio.Event()
    watch = asyncio.create_task(_longest_stall(over))
    # It watches already when the first one comes.
    await asyncio.sleep(10 * _TICK)
    started = perf_counter()
    let_in = await asyncio.gather(*(compare() for _ in range(logins)))
    total = perf_counter() - started
    over.set()
    if not all(let_in):
        raise RuntimeError("somebody was not let in who knows the password")
    return _Seen(await watch, total)


async def _longest_stall(over: asyncio.Event) -> float:
    longest = 0.0
    while not over.is_set():
        asked = perf_counter()
        await asyncio.sleep(_TICK)
        longest = max(longest, perf_counter() - asked)
    return longest
