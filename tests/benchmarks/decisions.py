"""One decision in memory with what is told of it, for one limit and for three."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from time import process_time
from typing import Any, cast

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.requests import Request
from starlette.responses import Response

from gatewright import Gate, with_rate_limit
from gatewright._core.call import Call
from gatewright.testing import make_call
from tests.benchmarks.method import Effort, Setup, Work, measure
from tests.benchmarks.table import Table, ratio
from tests.benchmarks.wire import running

__all__ = ["LIMITS", "table"]

LIMITS = ("1000000000/hour", "1000000000/minute", "1000000000/day")
_COLUMNS = ("decision with headers", "1 limit, min µs", "3 limits, min µs", "1 limit ÷ ours", "3 limits ÷ ours")
_NOTE = (
    "One caller; what is left and when it is full again is written into headers. `limits` counts (`hit`) and then asks "
    "(`get_window_stats`), for each limit; slowapi does both behind its decorator. Each decision is a task of its own, "
    "whose cost is in all figures."
)

Decide = Callable[[], Awaitable[object]]


def _ours(limits: tuple[str, ...]) -> Decide:
    decorator = with_rate_limit(*limits)

    async def handler() -> None: ...

    call: Call = make_call(gate=Gate())
    (guard,) = decorator(handler).pipeline.guards
    enter = guard.bind(call.gate).enter

    async def decide() -> None:
        call.provided, call.added = None, []
        enter(call)

    return decide


def _limits(limits: tuple[str, ...]) -> Decide:
    limiter, items = FixedWindowRateLimiter(MemoryStorage()), [parse(limit) for limit in limits]

    async def decide() -> None:
        headers: list[tuple[bytes, bytes]] = []
        for item in items:
            await limiter.hit(item, "POST /posts", "10.0.0.1")
            stats = await limiter.get_window_stats(item, "POST /posts", "10.0.0.1")
            headers.append((b"ratelimit", b"r=%d;t=%d" % (stats.remaining, stats.reset_time)))

    return decide


def _slowapi(limits: tuple[str, ...]) -> Decide:
    from slowapi import Limiter

    limiter = Limiter(key_func=lambda: "10.0.0.1", headers_enabled=True)

    def endpoint(request: Request, response: Response) -> None: ...

    endpoint.__module__ = __name__
    limited: Any = endpoint
    for limit in limits:
        limited = limiter.limit(limit)(limited)
    app = type("App", (), {"state": type("State", (), {"limiter": limiter})()})()
    scope = {"type": "http", "method": "POST", "path": "/posts", "headers": [], "query_string": b"", "app": app}

    async def decide() -> None:
        limited(request=Request(scope), response=Response())

    return decide


_CANDIDATES: dict[str, Callable[[tuple[str, ...]], Decide]] = {
    "gatewright": _ours,
    "`limits.aio`, hit and stats": _limits,
    "slowapi's decorator": _slowapi,
}


@contextmanager
def _decisions(who: str, number: int) -> Generator[Work, None, None]:
    with running() as runner:

        async def made() -> Decide:
            return _CANDIDATES[who](LIMITS[:number])

        decide = runner.run(made())

        async def decide_all(count: int) -> float:
            spawn = asyncio.get_running_loop().create_task
            started = process_time()
            for _ in range(count):
                await spawn(cast("Any", decide()))
            return (process_time() - started) / count

        yield lambda count: runner.run(decide_all(count))


def table(effort: Effort) -> Table:
    """Measure decisions in memory."""
    setups: dict[str, Setup] = {
        f"{who} {number}": partial(_decisions, who, number) for who in _CANDIDATES for number in (1, 3)
    }
    figures = measure(setups, effort)
    rows: list[tuple[str, ...]] = []
    for who in _CANDIDATES:
        own = [figures[f"{who} {number}"].minimum for number in (1, 3)]
        ours = [figures[f"gatewright {number}"].minimum for number in (1, 3)]
        rows.append(
            (who, *(f"{one * 1e6:.2f}" for one in own), *(ratio(one, our) for one, our in zip(own, ours, strict=True)))
        )
    return Table("One decision in memory", _COLUMNS, rows, _NOTE)
