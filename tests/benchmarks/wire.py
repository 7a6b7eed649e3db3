"""Requests made in process: what a server hands to an app, and what it gets back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle, islice
from time import process_time
from typing import Any

from starlette.types import ASGIApp, Message

from tests.benchmarks.method import Work
from tests.benchmarks.work import BODY, PATH, USERS, Served

__all__ = ["LOOP", "Ask", "Exchange", "Headers", "altered", "forged", "headers_of", "running", "serving", "signed"]
__all__ += ["working"]

Headers = list[tuple[bytes, bytes]]

LOOP = "asyncio" if find_spec("uvloop") is None else "uvloop"
"""The event loop: uvloop's where it is installed."""


class Exchange:
    """One request and its answer.

    Args:
        sends: the body.
        method: the method.
        path: what is asked for.
        query: with which query.

    Attributes:
        status: the status of the answer; 0 before there is one.
        headers: its headers.
        body: its body.
    """

    __slots__ = ("_given", "_method", "_path", "_query", "_sends", "body", "headers", "status")

    def __init__(self, sends: bytes, method: str = "POST", path: str = PATH, query: bytes = b"") -> None:
        self._sends = sends
        self._method = method
        self._path = path
        self._query = query
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
            "method": self._method,
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": self._query,
            "root_path": "",
            "headers": headers.copy(),
            "client": (f"10.0.0.{user + 1}", 40000),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        await app(scope, self.receive, self.send)
        return self


Ask = Callable[[int, Headers], Coroutine[Any, Any, Exchange]]
"""Makes the request of a user with these headers."""


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
    return altered(served.cookie(user))


def altered(credential: bytes) -> bytes:
    """Return a credential that differs in one character near its end."""
    at = len(credential) - 10
    return credential[:at] + (b"A" if credential[at : at + 1] != b"A" else b"B") + credential[at + 1 :]


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
        sessions = [headers_of(cookie(served, user)) for user in USERS]

        def headers(user: int) -> Headers:
            return headers_of(cookie(served, USERS[user])) if new_sessions else sessions[user]

        yield working(runner, partial(_post, served.app), status, headers)


def _post(app: ASGIApp, user: int, headers: Headers) -> Coroutine[Any, Any, Exchange]:
    return Exchange(BODY).run(app, user, headers)


def working(runner: asyncio.Runner, ask: Ask, status: int, headers: Callable[[int], Headers]) -> Work:
    """Return the work of requests of all users in turn; each of them has asked once by then.

    Args:
        runner: runs them.
        ask: makes one of them.
        status: the status that every answer has to have.
        headers: returns what a user sends; asked before the clock starts.
    """

    async def ask_all(requests: list[tuple[int, Headers]]) -> tuple[float, set[int]]:
        spawn = asyncio.get_running_loop().create_task
        statuses: set[int] = set()
        started = process_time()
        for user, sent in requests:
            exchange = await spawn(ask(user, sent))
            statuses.add(exchange.status)
        return (process_time() - started) / len(requests), statuses

    def requests_of(count: int) -> list[tuple[int, Headers]]:
        return [(user, headers(user)) for user in islice(cycle(range(len(USERS))), count)]

    def work(count: int) -> float:
        seconds, statuses = runner.run(ask_all(requests_of(count)))
        if statuses != {status}:
            raise RuntimeError(f"answered {statuses}, where {status} was due")
        return seconds

    # Everybody once: caches fill, and a limit of one call is used up.
    runner.run(ask_all(requests_of(len(USERS))))
    return work
