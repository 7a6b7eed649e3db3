"""Deliver many events, one in a hundred twice, and count what was handled: `python -m tests.webhooks.deliveries`.

Through a whole app in process, 64 at a time, in memory and on a Redis server that is started for it. Of the duplicates
one half comes together with its original, byte for byte the same, and the other half later, signed anew. What is
refused because it is in flight is sent again, as senders do. Every event has to be handled, and none of them twice.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.routing import Route

from gatewright import Gate
from gatewright._core.storage.opening import Storage
from gatewright.testing import FrozenClock
from gatewright.webhooks import Delivery, Event, stripe, verify_webhook
from tests.benchmarks.method import unheard
from tests.benchmarks.wire import Exchange, running
from tests.servers import RedisServer
from tests.webhooks.once.kit import SECRET, Paid

__all__ = ["Figures", "figures", "main"]

STORES = ("memory", "redis")
_AT_ONCE = 64
_ONE_IN = 100
_RECEIVED = b'{"received":true}'


@dataclass(frozen=True)
class Figures:
    """What came of all deliveries.

    Attributes:
        store: where they were remembered.
        deliveries: how many were sent, those aside that were refused and sent again.
        duplicates: how many of them brought an event that another brought as well.
        handled: how often the handler ran.
        twice: the events for which it ran more than once.
        missing: how many events it never ran for.
        answers: how often each status was answered.
        received: how often a sender was told that there was nothing left to do.
        seconds: how long it took.
    """

    store: str
    deliveries: int
    duplicates: int
    handled: int
    twice: Sequence[str]
    missing: int
    answers: Mapping[int, int]
    received: int
    seconds: float

    @property
    def is_right(self) -> bool:
        """Say whether each event was handled once, each duplicate answered, and some met their originals at work."""
        once = not self.twice and not self.missing and self.handled == self.deliveries - self.duplicates
        answered = self.answers[200] == self.deliveries and self.received == self.duplicates
        return once and answered and set(self.answers) == {200, 409}

    def row(self) -> str:
        """Return the figures as a row of a table."""
        rate = self.deliveries / self.seconds
        cells = (
            self.store,
            self.deliveries,
            self.duplicates,
            self.handled,
            self.answers[200],
            self.answers.get(409, 0),
        )
        return " | ".join(["", *map(str, cells), f"{self.seconds:.1f}", f"{rate:.0f}", ""]).strip()


class _Traffic:
    """A sender, and the endpoint that it sends to."""

    def __init__(self, storage: Storage) -> None:
        self.clock = FrozenClock()
        self.gate = Gate(storage=storage, clock=self.clock)
        self.handled: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.received = 0
        self.later: deque[bytes] = deque()

        @verify_webhook(stripe(), secrets=SECRET, once=True)
        async def hook(event: Event[Paid]) -> None:
            self.handled[event.id] += 1
            # Others get their turn, as they would while a database is asked.
            await asyncio.sleep(0)

        self.app = Starlette(routes=[Route("/hooks", hook, methods=["POST"])])
        self.gate.install(self.app)

    async def send(self, sent: Delivery) -> None:
        """Deliver, and if it is in flight, put it off."""
        headers = [*sent.headers, (b"content-length", b"%d" % len(sent.body))]
        answer = await Exchange(sent.body, path="/hooks").run(self.app, 0, headers)
        self.answers[answer.status] += 1
        self.received += answer.body == _RECEIVED
        if answer.status == 409:
            self.later.append(sent.body)

    def signed(self, body: bytes) -> Delivery:
        """Return a delivery that is signed now."""
        return stripe().sign(body, SECRET, self.clock.time())

    def deliveries(self, events: int, duplicates: int) -> Iterator[Delivery]:
        """Yield all deliveries, each duplicate right behind its original or much later; then what was put off."""
        every = events // duplicates
        for number in range(events):
            sent = self.signed(to_json({"id": f"evt_{number}", "type": "invoice.paid"}))
            yield sent
            turn, rest = divmod(number, every)
            if rest == 0 and turn < duplicates:
                if turn % 2:
                    self.later.append(sent.body)
                else:
                    yield sent
            if len(self.later) > _AT_ONCE:
                # A second later the signature is another.
                self.clock.advance(1)
                yield self.signed(self.later.popleft())

    async def run(self, events: int, duplicates: int) -> None:
        """Deliver everything, so many at a time."""
        coming = self.deliveries(events, duplicates)

        async def sender() -> None:
            for sent in coming:
                await self.send(sent)

        await asyncio.gather(*(sender() for _ in range(_AT_ONCE)))
        while self.later:
            await self.send(self.signed(self.later.popleft()))
        await self.gate.close()


def figures(store: str, count: int) -> Figures:
    """Send *count* deliveries, and return what came of them.

    Args:
        store: "memory", or "redis" for a server that is started and ended here.
        count: how many deliveries; one in a hundred is a duplicate.
    """
    duplicates = count // _ONE_IN
    events = count - duplicates
    with ExitStack() as stack:
        url = "memory://" if store == "memory" else stack.enter_context(RedisServer()).url
        # Patient, because 64 wait for each other.
        traffic = _Traffic(Storage(url, deadline=10.0))
        stack.enter_context(unheard())
        runner = stack.enter_context(running())
        started = perf_counter()
        runner.run(traffic.run(events, duplicates))
        seconds = perf_counter() - started
    return Figures(
        store=store,
        deliveries=count,
        duplicates=duplicates,
        handled=traffic.handled.total(),
        twice=[event for event, times in traffic.handled.items() if times > 1],
        missing=events - len(traffic.handled),
        answers=traffic.answers,
        received=traffic.received,
        seconds=seconds,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of each store; return 1 where an event was not handled exactly once."""
    parser = argparse.ArgumentParser(prog="python -m tests.webhooks.deliveries", description="Handle each event once.")
    parser.add_argument("--count", type=int, default=100_000, help="deliveries for each store; 200 or more")
    parser.add_argument("--store", choices=STORES, action="append", help="by itself, one after the other")
    wanted = parser.parse_args(arguments)
    if wanted.count < 2 * _ONE_IN:
        parser.error(f"--count {wanted.count}: write {2 * _ONE_IN} or more, for one duplicate of each kind")
    print("| store | deliveries | duplicates | handled | 200 | 409 | seconds | deliveries/s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    wrong = 0
    for store in wanted.store or STORES:
        found = figures(store, wanted.count)
        print(found.row(), flush=True)
        if not found.is_right:
            print(f"not each event was handled once: {found}")
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
