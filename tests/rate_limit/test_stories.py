"""Ways in which limiters of others break the app that they protect; each is told once, and does not happen here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute

from gatewright import ConfigurationError, Gate, with_rate_limit
from gatewright.testing import EventList, call, handshake

pytestmark = pytest.mark.anyio


@pytest.fixture
def quiet() -> Gate:
    return Gate(log=EventList())


async def test_story_a_limiter_above_the_route_is_no_silent_no_op(quiet: Gate) -> None:
    """slowapi #39: written above the route's decorator it limits nothing; here the app does not start."""
    app = FastAPI()

    @with_rate_limit("1/minute")
    @app.get("/")
    async def handler() -> str:
        return "x"

    with pytest.raises(ConfigurationError, match="write the route's decorator first"):
        quiet.install(app)


async def test_story_a_handler_needs_no_request_argument_and_may_return_a_dict(quiet: Gate) -> None:
    """slowapi #177, #34 (an argument called `request`) and #18, #33 (a dict with headers switched on is a 500)."""
    app = FastAPI()

    @app.get("/")
    @with_rate_limit("1/minute")
    async def handler() -> dict[str, str]:
        return {"a": "b"}

    quiet.install(app)
    first, second = await call(app), await call(app)
    assert (first.status, first.json, second.status) == (200, {"a": "b"}, 429)
    assert first.headers["ratelimit"].startswith('"1-per-minute";r=0;')


async def test_story_a_stream_has_one_head(quiet: Gate) -> None:
    """slowapi #225: its middleware sends `http.response.start` before every chunk; here once, with the headers."""

    @with_rate_limit("5/minute")
    async def handler(request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield b"x"

        return StreamingResponse(parts())

    app = Starlette(routes=[Route("/", handler)])
    quiet.install(app)
    reply = await call(app)  # which fails for more than one head
    assert reply.chunks[:4] == [b"x"] * 4
    assert reply.headers["ratelimit"].startswith('"5-per-minute";r=4;')


async def test_story_a_websocket_beside_a_limited_route_lives(quiet: Gate) -> None:
    """fastapi-limiter #61: a websocket on the same path crashes; here each is counted for itself."""

    @with_rate_limit("1/minute")
    async def plain(request: Request) -> Any:
        return "x"

    @with_rate_limit("1/minute")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    app = Starlette(routes=[Route("/", plain), WebSocketRoute("/", talk)])
    quiet.install(app)
    assert [(await call(app)).status for _ in range(2)] == [200, 429]
    assert [(await handshake(app)).accepted for _ in range(2)] == [True, False]
