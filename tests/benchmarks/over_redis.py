"""One decision over Redis, against a PING of the same client; and what a request costs while Redis hangs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from limits import parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from gatewright import Gate, Storage, ok, with_rate_limit
from gatewright._core.callers import by_address
from gatewright._core.storage.limit import parse_limits
from gatewright._core.storage.opening import open_backend
from gatewright.rate_limit.rule import Rule
from gatewright.testing import EventList, FrozenClock, call
from tests.benchmarks.decisions import LIMITS
from tests.benchmarks.method import Effort, Setup, Work, measure
from tests.benchmarks.table import Table, ratio
from tests.benchmarks.wire import running
from tests.servers import RedisServer

__all__ = ["outage", "table"]

_COLUMNS = ("over Redis", "min µs", "median µs", "÷ PING, min", "÷ PING, median")
_NOTE = (
    "Wall-clock time of one question after the other over loopback, through redis-py, deadline and circuit breaker "
    "included. `limits` counts (`hit`) and then asks (`get_window_stats`), for each limit. Target: ≤ 1.3 PINGs, "
    "whatever the number of limits."
)
_PING = "PING"

Ask = Callable[[], Awaitable[object]]


def _ping(url: str) -> Ask:
    import redis.asyncio

    client: Any = redis.asyncio.Redis.from_url(url)
    return lambda: client.execute_command("PING")


def _ours(url: str, number: int) -> Ask:
    gate = Gate(storage=Storage(url, prefix=f"benchmark-{os.getpid()}"))
    rule = Rule(tuple(limit for text in LIMITS[:number] for limit in parse_limits(text)), by_address)
    charges = [(bucket, "10.0.0.1", 1) for bucket in rule.buckets(rule.limits, "/posts", "handler", False)]
    store: Any = open_backend(gate.storage, gate.clock, gate.entropy, gate.log.event).store
    return lambda: store.hit(charges)


def _limits(url: str, number: int) -> Ask:
    limiter = FixedWindowRateLimiter(RedisStorage(f"async+{url}", implementation="redispy"))
    items = [parse(limit) for limit in LIMITS[:number]]

    async def ask() -> None:
        for item in items:
            await limiter.hit(item, "POST /posts", "10.0.0.1")
            await limiter.get_window_stats(item, "POST /posts", "10.0.0.1")

    return ask


_CANDIDATES: dict[str, Callable[[str], Ask]] = {
    _PING: _ping,
    "gatewright, 1 limit": partial(_ours, number=1),
    "gatewright, 3 limits": partial(_ours, number=3),
    "`limits.aio` with redis-py, 1 limit": partial(_limits, number=1),
    "`limits.aio` with redis-py, 3 limits": partial(_limits, number=3),
}


@contextmanager
def _asking(who: str, url: str) -> Generator[Work, None, None]:
    with running() as runner:
        ask = _CANDIDATES[who](url)

        async def ask_all(count: int) -> float:
            started = perf_counter()
            for _ in range(count):
                await ask()
            return (perf_counter() - started) / count

        yield lambda count: runner.run(ask_all(count))


def table(effort: Effort) -> Table:
    """Measure decisions over Redis."""
    with RedisServer() as server:
        setups: dict[str, Setup] = {who: partial(_asking, who, server.url) for who in _CANDIDATES}
        figures = measure(setups, effort)
    ping = figures[_PING]
    rows = [
        (
            who,
            f"{own.minimum * 1e6:.1f}",
            f"{own.median * 1e6:.1f}",
            ratio(own.minimum, ping.minimum),
            ratio(own.median, ping.median),
        )
        for who, own in figures.items()
    ]
    return Table("One decision over Redis", _COLUMNS, rows, _NOTE)


# While Redis hangs

_DEADLINE = 0.1
_OUTAGE_NOTE = (
    f"Wall-clock time of whole requests in process. Redis is stopped (SIGSTOP): it takes connections, and answers "
    f"nothing. The first request waits for the deadline of {_DEADLINE * 1000:.0f} ms, and nobody after it: the breaker "
    "is open. The gate's clock stands still, so that it does not ask again meanwhile."
)


async def _requests(gate: Gate, count: int) -> list[float]:
    @with_rate_limit("1000000/minute")
    async def handler() -> Any:
        return ok()

    taken: list[float] = []
    for _ in range(count):
        started = perf_counter()
        reply = await call(handler, gate=gate)
        taken.append(perf_counter() - started)
        assert reply.status == 200
    return taken


async def _outage(server: RedisServer, count: int) -> dict[str, float]:
    gate = Gate(storage=Storage(server.url, deadline=_DEADLINE), log=EventList(), clock=FrozenClock())
    up = await _requests(gate, count)
    server.stop()
    down = await _requests(gate, count)
    memory = await _requests(Gate(log=EventList(), clock=FrozenClock()), count)
    server.resume()
    await gate.close()
    return {
        "in memory": median(memory),
        "over Redis": median(up),
        "Redis stopped, the first request": down[0],
        "Redis stopped, the following ones": median(down[1:]),
    }


def outage(effort: Effort) -> Table:
    """Measure requests while Redis hangs."""
    with RedisServer() as server:
        seen = asyncio.run(_outage(server, max(2, effort.count)))
    memory = seen["in memory"]
    rows = [
        (what, f"{seconds * 1e6:.0f}", ratio(seconds, memory), ratio(seconds, _DEADLINE))
        for what, seconds in seen.items()
    ]
    return Table("While Redis hangs", ("a request", "median µs", "÷ in memory", "÷ deadline"), rows, _OUTAGE_NOTE)
