"""Clients of four kinds, hosts of five, and a gate whose log and invalidations are in view."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright import ActionState, Call, Gate
from gatewright.testing import EventList, FrozenClock, Reply, call
from tests.hosts import fastapi, fastapi_route, starlette, starlette_route

__all__ = [
    "BROWSER",
    "CLIENTS",
    "HOSTS",
    "HTMX",
    "PROBLEM",
    "PROGRAM",
    "Blog",
    "Host",
    "PostIn",
    "PostOut",
    "form_page",
]

Host = Callable[[Any, Gate], ASGIApp]

PROGRAM = {"accept": "*/*"}
PROBLEM = {"accept": "application/problem+json"}
BROWSER = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "sec-fetch-mode": "navigate",
    "sec-fetch-site": "same-origin",
    "origin": "https://testserver",
    "referer": "https://testserver/posts/new",
}
HTMX = {"accept": "*/*", "hx-request": "true", "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}
CLIENTS = {"program": PROGRAM, "problem": PROBLEM, "browser": BROWSER, "htmx": HTMX}


class PostIn(BaseModel):
    """What a form sends."""

    title: str
    stars: int = 0


class PostOut(BaseModel):
    """What comes of it."""

    id: int
    title: str


async def form_page(call: Call, state: ActionState) -> str:
    """Show what a page would show, in a form that tests can compare."""
    errors = {path: list(texts) for path, texts in state.errors.items()}
    return f"<form id=form>{state.status} {state.code}: {state.message} | {dict(state.values)} | {errors}"


class Blog:
    """A gate, what it was told, and a place to send forms to."""

    def __init__(self, **gate: Any) -> None:
        self.events = EventList()
        self.stale: list[Sequence[str]] = []
        options: dict[str, Any] = {"log": self.events, "clock": FrozenClock(), "on_invalidate": self.stale.append}
        self.gate = Gate(**{**options, **gate})

    async def post(self, target: Any, *, client: Mapping[str, str] = BROWSER, **more: Any) -> Reply:
        """Send one form to a handler, or to an app."""
        headers = {**client, **more.pop("headers", {})}
        return await call(target, **{"method": "POST", "gate": self.gate, "headers": headers, **more})

    @property
    def unhandled(self) -> list[dict[str, Any]]:
        """Return what the log was told of unexpected exceptions."""
        return [event for event in self.events if event["event"] == "unhandled_exception"]


HOSTS: dict[str, Host] = {
    "starlette": partial(starlette, path="/posts"),
    "starlette_route": partial(starlette_route, path="/posts"),
    "nothing_installed": lambda handler, gate: Starlette(routes=[Route("/posts", handler, methods=["POST"])]),
    "fastapi": partial(fastapi, path="/posts"),
    "fastapi_route": partial(fastapi_route, path="/posts"),
}
