"""A synchronous browser for tests, over `gatewright.testing`: it keeps cookies, and needs no HTTP client library."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import anyio
from starlette.types import ASGIApp

from gatewright.testing import Handshake, Reply, call, handshake

__all__ = ["Browser"]


class Browser:
    """Send requests to an app, one after another, on the event loop that a test wants."""

    def __init__(self, app: ASGIApp, backend: str = "asyncio") -> None:
        self.app = app
        self.backend = backend
        self.cookies: dict[str, str] = {}

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        **more: Any,
    ) -> Reply:
        """Send one request, and keep the cookies of the reply."""
        path, _, query = path.partition("?")
        cookies = None if headers and "cookie" in headers else self.cookies
        send = partial(
            call,
            self.app,
            method=method,
            path=path,
            query=query,
            headers=headers or {},
            data=content,
            cookies=cookies,
            **more,
        )
        reply: Reply = anyio.run(send, backend=self.backend)
        for name, value in reply.cookies.items():
            self.cookies[name] = value
            if not value:
                del self.cookies[name]
        return reply

    def get(self, path: str, **more: Any) -> Reply:
        """Send a GET."""
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> Reply:
        """Send a POST."""
        return self.request("POST", path, **more)

    def handshake(self, path: str, **more: Any) -> Handshake:
        """Offer a websocket."""
        return anyio.run(partial(handshake, self.app, path=path, **more), backend=self.backend)
