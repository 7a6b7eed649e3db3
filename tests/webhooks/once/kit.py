"""Workers that handle deliveries, wherever those are remembered, and the places themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
from pydantic import BaseModel
from sqlalchemy import Column, MetaData, String, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gatewright import Gate, ok
from gatewright._core.storage.opening import Storage
from gatewright.testing import EventList, FrozenClock, Reply, call, signed
from gatewright.webhooks import Claim, Event, Once, stripe, verify_webhook
from gatewright.webhooks.once.sql import SqlDeliveries
from tests.servers import ServerProcess

__all__ = ["LEASE", "SECRET", "Paid", "Place", "Slow", "Worker", "nothing"]

SECRET = "whsec_" + "o" * 32
LEASE = 60.0

Work = Callable[[], Awaitable[object]]


class Paid(BaseModel):
    """What Stripe says when somebody paid."""

    id: str
    type: Literal["invoice.paid"] = "invoice.paid"


async def nothing() -> None:
    """Work that is done at once."""


class Slow:
    """Work that goes on until it is told to end."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.end = anyio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        await self.end.wait()


@dataclass
class Place:
    """Somewhere to remember deliveries, and what was done for them.

    Args:
        url: where; of the gate's storage, or for SQLAlchemy.
        name: keeps one test apart from the others.
        joined: whether handlers write their payments and finish their claims in one transaction.
        clock: the one that all workers look at.
        age: lets what a server remembers be so many seconds older, where it has a clock of its own.
        server: the server, where there is one.
        patience: seconds for which a file is waited for while another writes it.

    Attributes:
        runs: the events that handlers were called with.
        written: the payments of those that have no database.
    """

    url: str = "memory://"
    name: str = "test"
    joined: bool = False
    clock: FrozenClock = field(default_factory=FrozenClock)
    age: Callable[[float], None] = lambda seconds: None
    server: ServerProcess | None = None
    patience: float = 10.0
    runs: list[str] = field(default_factory=list[str])
    written: list[str] = field(default_factory=list[str])

    @property
    def is_sql(self) -> bool:
        """Say whether it is the application's own database."""
        return self.url.startswith(("sqlite", "postgresql"))

    @property
    def is_shared(self) -> bool:
        """Say whether several workers see it."""
        return self.url != "memory://"

    def let_pass(self, seconds: float) -> None:
        """Let time pass, for everybody."""
        self.clock.advance(seconds)
        self.age(seconds)

    def delivery(self, event_id: str = "evt_1", secret: str = SECRET) -> dict[str, Any]:
        """Return a delivery of Stripe's, signed now."""
        return signed(stripe(), secret, json={"id": event_id, "type": "invoice.paid"}, clock=self.clock)


class Worker:
    """One process of an application: a gate, a hardened handler, and a connection to its database.

    Attributes:
        work: what the handler does before it writes a payment down.
        inside: what it does in its transaction, once that is finished.
        answer: what it returns.
    """

    def __init__(self, place: Place, **verify: Any) -> None:
        self.place = place
        self.events = EventList()
        self.engine: AsyncEngine | None = None
        self.deliveries: SqlDeliveries | None = None
        storage = Storage(place.url, prefix=place.name, deadline=5.0) if not place.is_sql else "memory://"
        self.gate = Gate(clock=place.clock, log=self.events, storage=storage)
        if place.is_sql:
            is_file = place.url.startswith("sqlite")
            options = {"connect_args": {"timeout": place.patience}} if is_file else {"pool_pre_ping": True}
            self.engine = create_async_engine(place.url, **options)
            self.deliveries = SqlDeliveries(self.engine, table=f"deliveries_{place.name}", clock=place.clock)
        self.payments = Table(f"payments_{place.name}", MetaData(), Column("event", String(64)))
        self.work: Work = nothing
        self.inside: Work = nothing
        self.answer: Any = ok()
        self.hook = self.endpoint(**verify)

    def endpoint(self, *, once: Mapping[str, Any] | None = None, **verify: Any) -> Any:
        """Return a hardened handler."""
        rules = Once(self.deliveries, **{"lease": LEASE, **(once or {})})
        options = {"scheme": stripe(), "secrets": SECRET, "once": rules, **verify}

        @verify_webhook(options.pop("scheme"), **options)
        async def hook(event: Event[Paid], claim: Claim) -> Any:
            self.place.runs.append(event.id)
            await self.work()
            if self.place.joined:
                await self._joined(event, claim)
            else:
                self.place.written.append(event.id)
            return self.answer

        return hook

    async def _joined(self, event: Paid, claim: Claim) -> None:
        assert self.engine is not None
        assert self.deliveries is not None
        async with self.engine.begin() as connection:
            await connection.execute(insert(self.payments).values(event=event.id))
            await self.deliveries.finish(claim, connection)
            await self.inside()

    async def take(self, sent: Mapping[str, Any], **more: Any) -> Reply:
        """Take a delivery."""
        return await call(self.hook, gate=self.gate, **{**sent, **more})

    async def effects(self) -> list[str]:
        """Return the payments, of all workers."""
        if self.engine is None or not self.place.joined:
            return self.place.written
        async with self.engine.begin() as connection:
            return list((await connection.execute(select(self.payments.c.event))).scalars())

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return what was logged under a name."""
        return [entry for entry in self.events if entry["event"] == event]

    async def prepare(self) -> None:
        """Make the tables, where there is a database."""
        if self.engine is not None and self.deliveries is not None:
            await self.deliveries.create_table()
            async with self.engine.begin() as connection:
                await connection.run_sync(self.payments.metadata.create_all)

    async def close(self) -> None:
        """Let go of connections."""
        await self.gate.close()
        if self.engine is not None:
            await self.engine.dispose()
