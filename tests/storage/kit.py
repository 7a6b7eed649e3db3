"""What the tests of storages share: backends that report to a list, and a store that fails when it is told to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from gatewright import Gate
from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright._core.storage.contract import Backend, Bucket, Change, Charge, OnError, Standing
from gatewright._core.storage.limit import parse_limits
from gatewright._core.storage.opening import Storage, open_backend
from gatewright.testing import EventList

__all__ = ["Events", "FakeStore", "aging", "allowed", "bucket", "charge", "opened"]


class Events(EventList):
    """Take what a line reports, as a gate's log would."""

    def __call__(self, level: str, event: str, /, **fields: object) -> None:
        getattr(self, level)(event, **fields)

    @property
    def names(self) -> list[str]:
        """Return what happened, in order."""
        return [event["event"] for event in self]


@asynccontextmanager
async def opened(
    url: str, prefix: str = "test", *, clock: Clock = SYSTEM_CLOCK, events: Events | None = None, **settings: Any
) -> AsyncIterator[Backend]:
    """Open what a URL names, patiently, since a test's machine may be busy; close it at the end."""
    storage = Storage(url, prefix=prefix, **{"deadline": 5.0, **settings})
    backend = open_backend(storage, clock, os.urandom, Events() if events is None else events)
    try:
        yield backend
    finally:
        await backend.close()


def bucket(
    text: str,
    scope: str = "here",
    *,
    shadow: bool = False,
    penal: bool = False,
    adjusted: bool = False,
    on_error: OnError = "local",
) -> Bucket:
    """Return the bucket of one limit."""
    (limit,) = parse_limits(text)
    return Bucket(limit, scope, shadow, penal, adjusted, on_error)


def charge(text: str, who: str = "ann", cost: int = 1, **more: Any) -> Charge:
    """Return what one caller pays into one bucket."""
    return bucket(text, **more), who, cost


def allowed(standings: Sequence[Standing]) -> list[bool]:
    """Return which charges passed."""
    return [standing[0] for standing in standings]


class FakeStore:
    """Answer what it is told to, or fail with it; remember each question.

    Attributes:
        answer: what the next questions get: standings, an exception, or a function that decides.
        asked: the questions.
    """

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Sequence[Any]]] = []

    async def hit(self, charges: Sequence[Charge], /) -> Sequence[Standing]:
        return await self._ask("hit", charges)

    async def look(self, charges: Sequence[Charge], /) -> Sequence[Standing]:
        return await self._ask("look", charges)

    async def adjust(self, changes: Sequence[Change], /) -> None:
        await self._ask("adjust", changes)

    async def forget(self, charges: Sequence[Charge], /) -> None:
        await self._ask("forget", charges)

    def barred(self, charge: Charge, /) -> Standing | None:
        raise AssertionError("what stands in front knows by itself")

    def check(self, bucket: Bucket, /) -> None:
        self.asked.append(("check", [bucket]))

    async def _ask(self, how: str, what: Sequence[Any]) -> Any:
        self.asked.append((how, what))
        answer = self.answer
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            decide: Callable[[], Awaitable[Any]] = answer
            return await decide()
        return [(True, 1, 1.0, 7.0) for _ in what] if answer is None else answer


@contextmanager
def aging(url: str) -> Iterator[tuple[Gate, asyncio.Runner, Callable[[float], None]]]:
    """Yield a gate on a server, a loop to ask it on, and what lets all its keys be that much older.

    The server's clock is nobody's to move.
    """
    import redis

    prefix = f"test-{os.urandom(8).hex()}"
    gate = Gate(storage=Storage(url, prefix=prefix, deadline=5), log=EventList())
    with redis.Redis.from_url(url) as client, asyncio.Runner() as runner:

        def let_pass(seconds: float) -> None:
            for name in client.scan_iter(match=f"{prefix}:*", count=1000):
                client.pexpire(name, client.pttl(name) - int(seconds * 1000))

        yield gate, runner, let_pass
        let_pass(1e9)
        runner.run(gate.close())
