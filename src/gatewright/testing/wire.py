"""A request as ASGI messages, and the reply that they bring."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope

from gatewright.testing.bodies import Body, Disconnect

__all__ = ["Headers", "Query", "Reply", "RequestDraft"]

Headers = Mapping[str, str] | Sequence[tuple[str, str]]
Query = str | Mapping[str, Any] | Sequence[tuple[str, Any]]


@dataclass(slots=True)
class Reply:
    """What came back.

    Attributes:
        status: the HTTP status.
        raw_headers: the headers as they were sent.
        body: the whole body.
        chunks: the body's messages.
        consumed: how many bytes of the request body were taken.
    """

    status: int
    raw_headers: list[tuple[bytes, bytes]]
    chunks: list[bytes] = field(default_factory=list[bytes])
    consumed: int = 0

    @property
    def body(self) -> bytes:
        """Return the whole body."""
        return b"".join(self.chunks)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers by lower-case name; of repeated ones, joined by commas."""
        joined: dict[str, str] = {}
        for name, value in self.raw_headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            joined[key] = f"{joined[key]}, {text}" if key in joined else text
        return joined

    @property
    def cookies(self) -> dict[str, str]:
        """Return the cookies that were set, by name."""
        pairs = (value.decode("latin-1").split(";")[0] for name, value in self.raw_headers if name == b"set-cookie")
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def json(self) -> Any:
        """Return the parsed body."""
        return json_module.loads(self.body)


@dataclass(slots=True)
class RequestDraft:
    """A request before it is sent; the fields are the arguments of `call`."""

    method: str | None
    path: str
    query: Query
    headers: Headers
    cookies: Mapping[str, str] | None
    json: Any
    form: Mapping[str, Any] | None
    data: Body | None
    path_params: Mapping[str, Any] | None
    client: str | None
    scheme: str
    consumed: int = 0

    def _body(self) -> tuple[Body, str | None]:
        if self.json is not ...:
            return json_module.dumps(self.json).encode(), "application/json"
        if self.form is not None:
            return urlencode(self.form, doseq=True).encode(), "application/x-www-form-urlencoded"
        return self.data if self.data is not None else b"", None

    def scope(self) -> Scope:
        """Return the scope of the request."""
        body, content_type = self._body()
        pairs = self.headers.items() if isinstance(self.headers, Mapping) else self.headers
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        named = {name for name, _ in raw}
        if content_type is not None and b"content-type" not in named:
            raw.append((b"content-type", content_type.encode()))
        if isinstance(body, bytes) and body and b"content-length" not in named:
            raw.append((b"content-length", b"%d" % len(body)))
        if b"host" not in named:
            raw.append((b"host", b"testserver"))
        if self.cookies:
            raw.append((b"cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items()).encode("latin-1")))
        query = self.query if isinstance(self.query, str) else urlencode(self.query, doseq=True)
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method or ("POST" if body else "GET"),
            "scheme": self.scheme,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": raw,
            "client": None if self.client is None else (self.client, 50000),
            "server": ("testserver", 443),
            "path_params": dict(self.path_params or {}),
            "extensions": {},
        }

    def receive(self, answered: anyio.Event | None = None) -> Receive:
        """Return the `receive` that gives the body as it was drafted, and a disconnect when *answered*."""
        body, _ = self._body()
        parts = _Once(body) if isinstance(body, bytes) else aiter(body)
        ended = left = False

        async def receive() -> Message:
            nonlocal ended, left
            if ended and not left and answered is not None:
                await answered.wait()
            if ended:
                return {"type": "http.disconnect"}
            try:
                part = await anext(parts)
            except StopAsyncIteration:
                ended = True
                return {"type": "http.request", "body": b"", "more_body": False}
            except Disconnect:
                ended = left = True
                return {"type": "http.disconnect"}
            self.consumed += len(part)
            ended = isinstance(body, bytes)
            return {"type": "http.request", "body": part, "more_body": not ended}

        return receive

    async def send(self, app: ASGIApp) -> Reply:
        """Send the request to *app*; the client stays until the answer is complete."""
        heads: list[Message] = []
        answered = anyio.Event()
        reply = Reply(0, [])

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                heads.append(message)
                reply.status, reply.raw_headers = message["status"], list(message.get("headers", ()))
            elif message["type"] == "http.response.body":
                reply.chunks.append(message.get("body", b""))
                if not message.get("more_body", False):
                    answered.set()

        try:
            await app(self.scope(), self.receive(answered), send)
        finally:
            close = getattr(self.data, "aclose", None)
            if close is not None:
                await close()
        if len(heads) != 1:
            raise AssertionError(f"the app sent {len(heads)} heads; an answer has one")
        reply.consumed = self.consumed
        return reply


class _Once:
    """Give the one part that there is: what an async generator does, without the need to be closed."""

    def __init__(self, part: bytes) -> None:
        self._part = part

    async def __anext__(self) -> bytes:
        return self._part
