"""Sessions that write down what happens to them, and handlers on every host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright import Gate
from gatewright.testing import EventList, Reply, call
from tests.hosts import fastapi, fastapi_route, plain_route, starlette, starlette_route

__all__ = ["HOSTS", "BlockingSession", "Desk", "Host", "Ledger", "WaitingSession", "served"]

Host = Callable[[Any, Gate], ASGIApp]


class Ledger:
    """A database of words, whose sessions write down what happens to them.

    Args:
        blocking: whether the sessions have plain methods.
        fails: what a step fails with, by its name; taken out when it was raised.

    Attributes:
        steps: what happened.
        rows: what is committed.
        sessions: all that were opened.
        kind: the class of the next one.
    """

    def __init__(self, *, blocking: bool = False, **fails: Exception) -> None:
        self.fails = fails
        self.steps: list[str] = []
        self.rows: list[str] = []
        self.sessions: list[Any] = []
        self.kind: type[BlockingSession] = BlockingSession if blocking else WaitingSession

    def __call__(self) -> Any:
        """Open a session."""
        self.take("open")
        self.sessions.append(self.kind(self))
        return self.sessions[-1]

    def take(self, step: str) -> None:
        """Write a step down, and fail where that was asked for."""
        self.steps.append(step)
        if step in self.fails:
            raise self.fails.pop(step)


class BlockingSession:
    """A session with plain methods.

    Attributes:
        written: what was written, and is not committed yet.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.written: list[str] = []

    def add(self, row: str) -> None:
        """Write something."""
        self.written.append(row)

    def commit(self) -> None:
        """Keep it."""
        self.ledger.take("commit")
        self.ledger.rows += self.written
        self.written = []

    def rollback(self) -> None:
        """Drop it."""
        self.ledger.take("rollback")
        self.written = []

    def close(self) -> None:
        """Be over."""
        self.ledger.take("close")


class WaitingSession(BlockingSession):
    """A session whose methods wait."""

    async def commit(self) -> None:  # type: ignore[override]
        """Keep it."""
        super().commit()

    async def rollback(self) -> None:  # type: ignore[override]
        """Drop it."""
        super().rollback()

    async def close(self) -> None:  # type: ignore[override]
        """Be over."""
        super().close()


class Desk:
    """A gate whose log is in view.

    Attributes:
        events: the log.
        gate: the gate.
        told: what was said to be stale.
    """

    def __init__(self, **gate: Any) -> None:
        self.events = EventList()
        self.told: list[str] = []
        options = {"on_invalidate": self.told.extend, "entropy": lambda size: bytes(size), **gate}
        self.gate = Gate(log=self.events, **options)

    async def post(self, target: Any, **more: Any) -> Reply:
        """Send one POST to a handler, or to an app that has this gate already."""
        gate = {} if isinstance(target, (Starlette, Served)) else {"gate": self.gate}
        return await call(target, **{"method": "POST", **gate, **more})

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return what was logged under a name."""
        return [entry for entry in self.events if entry["event"] == event]

    @property
    def request(self) -> dict[str, Any]:
        """Return the one line of the access log."""
        (line,) = self.logged("request")
        return line


class Served:
    """An app that has its gate."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


def _endpoint_class(handler: Any, gate: Gate) -> ASGIApp:
    """The handler as a method; what it asks for by position comes after `self`."""
    endpoint = type("Page", (HTTPEndpoint,), {"post": staticmethod(handler)})
    return gate.wrap(Starlette(routes=[Route("/", endpoint)]))


HOSTS: dict[str, Host] = {
    "starlette": plain_route,
    "starlette guarded": starlette_route,
    "starlette installed": starlette,
    "starlette class": _endpoint_class,
    "fastapi installed": fastapi,
    "fastapi guarded": fastapi_route,
}


def served(host: str, handler: Any, desk: Desk) -> Served:
    """Serve a handler on a host, behind a gate."""
    return Served(HOSTS[host](handler, desk.gate))
