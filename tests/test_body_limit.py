"""`@limit_body`: how much body one handler takes, however it reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright import Call, ConfigurationError, FromBody, Gate, PayloadTooLarge, Result, limit_body, ok, validate
from gatewright._core.answering import nowhere
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, Reply, call, chunked, enter, make_call

pytestmark = pytest.mark.anyio
JSON = {"content-type": "application/json"}
FITS = b'{"name": "' + b"x" * 80 + b'"}'
OVER = b'{"name": "' + b"x" * 90 + b'"}'  # 102 bytes


class Item(BaseModel):
    """A body."""

    name: str


@limit_body(100)
@validate
async def by_guard(body: FromBody[Item]) -> Result[int]:
    """Let a guard read."""
    return ok(len(body.name))


@limit_body(100)
async def by_handler(request: Request) -> Result[int]:
    """Read the whole body."""
    return ok(len(await request.body()))


@limit_body(100)
async def by_stream(request: Request) -> Result[int]:
    """Read a stream."""
    return ok(sum([len(part) async for part in request.stream()]))


def _function(handler: Any) -> Callable[[], ASGIApp]:
    def build() -> ASGIApp:
        return Starlette(routes=[Route("/", handler, methods=["POST"])])

    return build


def _installed(handler: Any) -> Callable[[], ASGIApp]:
    def build() -> ASGIApp:
        app = Starlette(routes=[Route("/", handler, methods=["POST"])])
        Gate(log=EventList()).install(app)
        return app

    return build


def _fastapi(how: str) -> Callable[[], ASGIApp]:
    def build() -> ASGIApp:
        router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()

        @router.post("/")
        @limit_body(100)
        async def handler(item: Item) -> Result[int]:
            return ok(len(item.name))

        app = FastAPI()
        app.include_router(router)
        if how == "installed":
            Gate(log=EventList()).install(app)
        return app

    return build


def _raw() -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        await PlainTextResponse(str(len(body)))(scope, receive, send)

    return limit_body(100)(app)


READERS: dict[str, Callable[[], ASGIApp]] = {
    "guard": _function(by_guard),
    "handler": _function(by_handler),
    "stream": _function(by_stream),
    "guard, installed": _installed(by_guard),
    "handler, installed": _installed(by_handler),
    "stream, installed": _installed(by_stream),
    "FastAPI, route class": _fastapi("route class"),
    "FastAPI, installed": _fastapi("installed"),
    "raw app": _raw,
}


@pytest.mark.parametrize("build", READERS.values(), ids=READERS.keys())
async def test_a_declared_length_over_the_cap_is_refused_unread(build: Callable[[], ASGIApp]) -> None:
    """413, and not a byte was taken."""
    reply: Reply = await call(build(), data=OVER, headers=JSON)
    assert (reply.status, reply.json["code"], reply.consumed) == (413, "payload_too_large", 0)
    assert reply.headers["connection"] == "close"


@pytest.mark.parametrize("build", READERS.values(), ids=READERS.keys())
async def test_a_body_of_undeclared_length_is_cut_off_at_the_cap(build: Callable[[], ASGIApp]) -> None:
    """However it is read, and by whom: no more than the cap and one chunk are taken."""
    reply = await call(build(), method="POST", data=chunked(OVER * 50, 20), headers=JSON)
    assert reply.status == 413
    assert reply.consumed <= 120


@pytest.mark.parametrize("build", READERS.values(), ids=READERS.keys())
async def test_a_body_under_the_cap_is_taken(build: Callable[[], ASGIApp]) -> None:
    """In one piece and in many."""
    for data in (FITS, chunked(FITS, 20)):
        reply = await call(build(), method="POST", data=data, headers=JSON)
        assert reply.status == 200


async def test_a_handler_may_take_more_than_its_gate() -> None:
    """The gate's cap is the default, the nearest word counts."""
    gate = Gate(body_limit=10, log=EventList())
    assert (await call(by_handler, data=b"x" * 100, gate=gate)).json["data"] == 100
    assert (await call(by_handler, data=b"x" * 101, gate=gate)).status == 413


async def test_zero_takes_no_body_at_all() -> None:
    """A handler that wants none says so."""

    @limit_body(0)
    async def handler(request: Request) -> Response:
        return PlainTextResponse(await request.body())

    assert (await call(handler, data=b"x")).status == 413
    assert (await call(handler, method="POST", data=chunked(b"x", 1))).status == 413
    assert (await call(handler, method="POST")).status == 200


async def test_an_inner_cap_holds_for_a_body_that_was_read_before() -> None:
    """An app's guard may have read it under a larger cap."""
    made = make_call(data=chunked(b"x" * 10, 5))
    assert await made.body() == b"x" * 10
    await enter(limit_body(10), made)
    assert await made.body() == b"x" * 10
    await enter(limit_body(9), made)
    with pytest.raises(PayloadTooLarge):
        await made.body()


async def test_a_websocket_has_no_body() -> None:
    """It goes on as the object that it is, which keeps the state of the handshake."""
    wire = make_call().receive()
    websocket = WebSocket({"type": "websocket", "headers": []}, wire, nowhere)
    made = Call(Gate(log=EventList()), websocket.scope, wire, nowhere)
    made.adopt(websocket)
    await enter(limit_body(0), made)
    assert made.connection is websocket


@pytest.mark.parametrize("length", ["-1", "x", "1 1", "9" * 20, "+5"])
async def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    """RFC 9110, section 8.6."""
    reply = await call(by_handler, data=b"x", headers={"content-length": length})
    assert (reply.status, reply.json["code"]) == (400, "bad_request")


async def test_the_guard_by_itself() -> None:
    """It sets the cap that readers keep to."""
    made = make_call(data=b"x" * 10)
    assert await enter(limit_body(10), made) is None
    assert made.body_limit == 10
    with pytest.raises(PayloadTooLarge):
        await enter(limit_body(9), made)


def test_a_negative_size_is_refused_when_decorating() -> None:
    """The message says what to write."""
    with pytest.raises(ConfigurationError, match=r"limit_body\(-1\): write a number of bytes, 0 or more"):
        limit_body(-1)


def test_two_limits_are_refused() -> None:
    """One handler, one cap."""
    with pytest.raises(ConfigurationError, match="two limit_body"):
        limit_body(1)(by_handler)
