"""Proof (d): one surround that skips the handler, on a function, on a stream and on FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright import Gate, Result, ok
from gatewright._core.decorate import Decorator, guarded_by
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, call
from tests.toys import Replay

pytestmark = pytest.mark.anyio


def _function(replay: Decorator, ran: list[str]) -> ASGIApp:
    @replay
    async def handler(request: Request) -> Result[str]:
        ran.append("ran")
        return ok("done", status=201)

    app = Starlette(routes=[Route("/", handler, methods=["POST"])])
    Gate(log=EventList()).install(app)
    return app


def _plain_function(replay: Decorator, ran: list[str]) -> ASGIApp:
    @replay
    def handler(request: Request) -> Result[str]:
        ran.append("ran")
        return ok("done", status=201)

    return Starlette(routes=[Route("/", handler, methods=["POST"])])


def _stream(replay: Decorator, ran: list[str]) -> ASGIApp:
    async def parts() -> AsyncIterator[bytes]:
        yield b'{"success":true,'
        yield b'"data":"done"}'

    async def app(scope: object, receive: object, send: object) -> None:
        ran.append("ran")
        response = StreamingResponse(parts(), status_code=201, media_type="application/json")
        await response(scope, receive, send)  # type: ignore[arg-type]  # an app written without types

    return Gate(log=EventList()).wrap(replay(app))


def _fastapi(replay: Decorator, ran: list[str]) -> ASGIApp:
    router = APIRouter(route_class=GuardedRoute)

    @router.post("/", status_code=201)
    @replay
    async def handler() -> Result[str]:
        ran.append("ran")
        return ok("done")

    app = FastAPI()
    app.include_router(router)
    return app


@pytest.mark.parametrize("build", [_function, _plain_function, _stream, _fastapi])
async def test_the_second_request_is_a_replay(build: object) -> None:
    """The handler runs once; status, body and the dressed headers are the same, and the replay says that it is one."""
    ran: list[str] = []
    app = build(guarded_by(Replay({})), ran)  # type: ignore[operator]  # one of the four above
    first, second, other = [await call(app, method="POST", headers={"idempotency-key": key}) for key in ("a", "a", "b")]
    assert ran == ["ran", "ran"]
    assert first.status == second.status == other.status == 201
    assert first.json == second.json == {"success": True, "data": "done"}
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert "x-request-id" in second.headers
    assert second.headers["x-content-type-options"] == "nosniff"
