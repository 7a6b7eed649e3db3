"""`call`: one request to a handler or an app, and the reply."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio.lowlevel
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gatewright import ConfigurationError, FromPath, Gate, Principal, Result, ok, validate
from gatewright._core.decorate import guarded_by
from gatewright._core.phase import Phase
from gatewright.testing import EventList, Reply, call, chunked, disconnecting
from tests.core.kit import Step
from tests.toys import Identify, Trace

pytestmark = pytest.mark.anyio


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Say what came."""
    request = Request(scope, receive)
    body = await request.body()
    told = {
        "method": request.method,
        "path": request.url.path,
        "scheme": request.url.scheme,
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
        "cookies": request.cookies,
        "client": None if request.client is None else request.client.host,
        "params": scope["path_params"],
        "body": body.decode(),
    }
    await JSONResponse(told)(scope, receive, send)


async def _echoed(**request: Any) -> dict[str, Any]:
    reply = await call(echo, **request)
    told: dict[str, Any] = reply.json
    return told


# The request


async def test_a_request_has_sensible_defaults() -> None:
    """GET, no body, HTTPS, a documentation address (RFC 5737)."""
    assert await _echoed() == {
        "method": "GET",
        "path": "/",
        "scheme": "https",
        "query": "",
        "headers": [["host", "testserver"]],
        "cookies": {},
        "client": "203.0.113.7",
        "params": {},
        "body": "",
    }


@pytest.mark.parametrize(
    ("given", "sent", "content_type"),
    [
        ({"json": {"a": [1, None]}}, '{"a": [1, null]}', "application/json"),
        ({"json": None}, "null", "application/json"),
        ({"form": {"a": "1 2", "b": ["x", "y"]}}, "a=1+2&b=x&b=y", "application/x-www-form-urlencoded"),
        ({"data": b"raw"}, "raw", None),
    ],
)
async def test_a_body_is_posted(given: dict[str, Any], sent: str, content_type: str | None) -> None:
    """With its type where that is known, and its length."""
    told = await _echoed(**given)
    headers = dict(told["headers"])
    assert (told["method"], told["body"], headers.get("content-type")) == ("POST", sent, content_type)
    assert headers["content-length"] == str(len(sent))


async def test_what_is_said_is_sent() -> None:
    """Method, path, query, scheme, address, path parameters."""
    told = await _echoed(
        method="PUT", path="/a/b", query="x=1&x=2", scheme="http", client=None, path_params={"id": 7}, data=b""
    )
    assert (told["method"], told["path"], told["query"], told["scheme"]) == ("PUT", "/a/b", "x=1&x=2", "http")
    assert (told["client"], told["params"]) == (None, {"id": 7})


@pytest.mark.parametrize("query", [{"a": "1 2", "b": [3, 4]}, [("a", "1 2"), ("b", 3), ("b", 4)]])
async def test_a_query_may_be_a_mapping_or_pairs(query: Any) -> None:
    """It is encoded then."""
    assert (await _echoed(query=query))["query"] == "a=1+2&b=3&b=4"


async def test_headers_are_sent_as_they_are_repeated_ones_too() -> None:
    """In lower case, as a server passes them; one that is given is not added."""
    pairs = [
        ("X-One", "1"),
        ("X-One", "2"),
        ("Host", "example.org"),
        ("Content-Type", "text/x"),
        ("Content-Length", "9"),
    ]
    told = await _echoed(headers=pairs, json=1, cookies={"a": "1", "b": "é"})
    assert told["headers"] == [
        ["x-one", "1"],
        ["x-one", "2"],
        ["host", "example.org"],
        ["content-type", "text/x"],
        ["content-length", "9"],
        ["cookie", "a=1; b=é"],
    ]
    assert (await _echoed(headers={"X-One": "1"}))["headers"][0] == ["x-one", "1"]


async def test_a_body_in_chunks_has_no_length() -> None:
    """As with chunked transfer."""
    told = await _echoed(data=chunked(b"hello", 2), method="POST")
    assert told["body"] == "hello"
    assert "content-length" not in dict(told["headers"])


async def test_a_body_in_chunks_is_posted() -> None:
    """There is a body, so POST is the default."""
    assert (await _echoed(data=chunked(b"hello", 2)))["method"] == "POST"


async def test_a_client_may_leave() -> None:
    """The app hears of it where it reads."""
    with pytest.raises(ClientDisconnect):
        await call(echo, data=disconnecting(b"half"), method="POST")


async def test_how_much_was_taken_is_told() -> None:
    """A refusal that reads nothing shows it; so does one in the middle."""

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({})(scope, receive, send)

    async def first(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await JSONResponse({})(scope, receive, send)

    assert (await call(nothing, data=b"x" * 100)).consumed == 0
    assert (await call(first, data=chunked(b"x" * 100, 10))).consumed == 10
    assert (await call(echo, data=b"x" * 100)).consumed == 100


# The reply


async def test_a_reply_tells_all() -> None:
    """Status, headers by name and as they were sent, cookies, the parsed body, its parts."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = JSONResponse({"a": 1}, status_code=201, headers={"X-One": "1"})
        response.raw_headers.append((b"x-one", b"2"))
        response.set_cookie("crumb", "c")
        response.raw_headers.append((b"set-cookie", b"other=a=b; Path=/"))
        await response(scope, receive, send)

    reply = await call(app)
    assert (reply.status, reply.json, reply.body) == (201, {"a": 1}, b'{"a":1}')
    assert reply.headers["x-one"] == "1, 2"
    assert (b"x-one", b"2") in reply.raw_headers
    assert reply.cookies == {"crumb": "c", "other": "a=b"}
    assert Reply(200, []).body == b""


@pytest.mark.parametrize("kind", ["app", "function", "FastAPI"])
async def test_a_stream_is_taken_to_its_end(kind: str) -> None:
    """A client that has sent its body stays for the answer, however long that takes, and for background tasks."""
    order: list[str] = []

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"two", b"three"):
            await anyio.lowlevel.checkpoint()
            yield part

    async def handler(request: Request) -> Response:
        return StreamingResponse(parts(), background=BackgroundTask(order.append, "background"))

    target: Any
    if kind == "app":
        target = Starlette(routes=[Route("/", handler, methods=["POST"])])
    elif kind == "FastAPI":
        target = FastAPI()
        target.post("/")(handler)
    else:
        target = guarded_by(Step())(handler)
    for body in (b"", b"body"):
        reply = await call(target, method="POST", data=body, gate=Gate(log=EventList()))
        assert reply.body == b"onetwothree"
    assert order == ["background"] * 2


async def test_an_app_that_waits_for_a_disconnect_hears_of_it_at_the_end() -> None:
    """Once its answer is out."""
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await PlainTextResponse("done")(scope, receive, send)
        heard.append((await receive())["type"])
        heard.append((await receive())["type"])

    assert (await call(app, data=b"x")).body == b"done"
    assert heard == ["http.disconnect"] * 2


@pytest.mark.parametrize("heads", [0, 2])
async def test_an_answer_has_one_head(heads: int) -> None:
    """An app that sends none, or two, is told so."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(heads):
            await PlainTextResponse("")(scope, receive, send)

    with pytest.raises(AssertionError, match=f"the app sent {heads} heads"):
        await call(app)


async def test_messages_of_another_kind_are_no_part_of_the_reply() -> None:
    """Trailers and the like."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.debug", "info": {}})
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    reply = await call(app)
    assert (reply.status, reply.body, reply.raw_headers) == (204, b"", [])


# Targets


@guarded_by(Identify(), Trace(Phase.ADMIT))
async def whoami(request: Request, principal: Principal) -> Result[str]:
    """Say who is calling."""
    return ok(principal.sub)


async def test_a_handler_is_called_by_itself() -> None:
    """Behind its guards, with the gate that is given; without one, the process's default."""
    events = EventList()
    reply = await call(whoami, headers={"x-caller": "alice"}, path="/where", gate=Gate(log=events))
    assert (reply.json["data"], events[0]["route"]) == ("alice", "/where")
    assert (await call(whoami)).status == 401


async def test_a_principal_stands_in_for_authentication() -> None:
    """The guard that would find one is not asked; the others are."""
    reply = await call(whoami, principal=Principal("bob"))
    assert reply.json["data"] == "bob"
    assert "x-trace-t" in reply.headers
    assert (await call(whoami)).status == 401


async def test_a_principal_for_a_handler_that_identifies_nobody() -> None:
    """It may still be given."""

    @guarded_by(Step())
    async def handler(request: Request) -> Result[str]:
        return ok(request.scope["gatewright.call"].principal.sub)

    assert (await call(handler, principal=Principal("bob"))).json["data"] == "bob"


async def test_calling_a_handler_leaves_it_as_it_was() -> None:
    """A stand-in is put in front of a copy."""
    before = vars(whoami.handler).copy()
    await call(whoami, principal=Principal("bob"))
    assert vars(whoami.handler) == before


async def test_a_principal_for_an_app_is_refused() -> None:
    """Apps identify callers by themselves."""
    with pytest.raises(ConfigurationError, match="send an app a credential instead"):
        await call(echo, principal=Principal("bob"))


async def test_an_app_may_be_given_a_gate() -> None:
    """It is wrapped for this call."""
    events = EventList()
    assert "x-request-id" in (await call(echo, gate=Gate(log=events))).headers
    assert len(events) == 1


async def test_path_parameters_reach_a_handler() -> None:
    """As a route would have found them."""

    @validate
    async def handler(item: FromPath[int]) -> Result[int]:
        return ok(item)

    assert (await call(handler, path_params={"item": "7"})).json["data"] == 7
