"""Requests made in process: what a server hands to an app, and what it gets back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle, islice
from time import process_time
from typing import Any

from starlette.types import ASGIApp, Message

from tests.benchmarks.method import Work
from tests.benchmarks.work import BODY, PATH, USERS, Served

__all__ = ["LOOP", "Exchange", "Headers", "forged", "headers_of", "running", "serving", "signed"]

Headers = list[tuple[bytes, bytes]]

LOOP = "asyncio" if find_spec("uvloop") is None else "uvloop"
"""The event loop: uvloop's where it is installed."""


class Exchange:
    """One request and its answer.

    Attributes:
        status: the status of the answer; 0 before there is one.
        headers: its headers.
        body: its body.
    """

    __slots__ = ("_given", "_sends", "body", "headers", "status")

    def __init__(self, sends: bytes) -> None:
        self._sends = sends
        self._given = False
        self.status = 0
        self.headers: Headers = []
        self.body = b""

    async def receive(self) -> Message:
        """Give the body in one piece, and then nothing: the client waits for its answer."""
        if self._given:
            await asyncio.get_running_loop().create_future()
        self._given = True
        return {"type": "http.request", "body": self._sends, "more_body": False}

    async def send(self, message: Message) -> None:
        """Take the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = message["headers"]
        else:
            self.body += message.get("body", b"")

    async def run(self, app: ASGIApp, user: int, headers: Headers) -> Exchange:
        """Ask *app* from the address of a user."""
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers.copy(),
            "client": (f"10.0.0.{user + 1}", 40000),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        await app(scope, self.receive, self.send)
        return self


def headers_of(cookie: bytes | None, body: bytes = BODY) -> Headers:
    """Return the headers of a request."""
    headers = [
        (b"host", b"api.example"),
        (b"user-agent", b"benchmark"),
        (b"accept", b"*/*"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    return headers if cookie is None else [*headers, (b"cookie", cookie)]


def signed(served: Served, user: str) -> bytes:
    """Return a user's cookie."""
    return served.cookie(user)


def forged(served: Served, user: str) -> bytes:
    """Return a user's cookie with a signature that differs in one character."""
    cookie = served.cookie(user)
    at = len(cookie) - 10
    return cookie[:at] + (b"A" if cookie[at : at + 1] != b"A" else b"B") + cookie[at + 1 :]


@contextmanager
def running() -> Generator[asyncio.Runner, None, None]:
    """Run coroutines in an event loop of their own."""
    with asyncio.Runner(loop_factory=import_module(LOOP).new_event_loop) as runner:
        yield runner


@contextmanager
def serving(
    make: Callable[[], Served],
    status: int,
    cookie: Callable[[Served, str], bytes] = signed,
    new_sessions: bool = False,
) -> Generator[Work, None, None]:
    """Prepare requests of all users in turn.

    Args:
        make: makes the candidate.
        status: the status that every answer has to have.
        cookie: makes the cookie of a user.
        new_sessions: whether each request comes with a cookie that was never seen before.
    """
    with running() as runner:
        served = make()
        users = range(len(USERS))
        sessions = [headers_of(cookie(served, user)) for user in USERS]

        async def ask(requests: list[tuple[int, Headers]]) -> tuple[float, set[int]]:
            spawn = asyncio.get_running_loop().create_task
            statuses: set[int] = set()
            started = process_time()
            for user, headers in requests:
                exchange = await spawn(Exchange(BODY).run(served.app, user, headers))
                statuses.add(exchange.status)
            return (process_time() - started) / len(requests), statuses

        def work(count: int) -> float:
            requests = list(zip(islice(cycle(users), count), cycle(sessions), strict=False))
            if new_sessions:
                requests = [(user, headers_of(cookie(served, USERS[user]))) for user, _ in requests]
            seconds, statuses = runner.run(ask(requests))
            if statuses != {status}:
                raise RuntimeError(f"answered {statuses}, where {status} was due")
            return seconds

        # Everybody once: caches fill, and a limit of one call is used up.
        runner.run(ask(list(zip(users, sessions, strict=True))))
        yield work
