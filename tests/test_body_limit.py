"""`@limit_body`: how much body one handler takes, however it reads it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import anyio
import pytest
from fastapi import APIRouter, FastAPI, File, HTTPException, UploadFile
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright import (
    Call,
    ConfigurationError,
    ErrorMapper,
    FromBody,
    Gate,
    NotFound,
    PayloadTooLarge,
    Result,
    compose,
    limit_body,
    ok,
    security_headers,
    validate,
)
from gatewright._core.answering import nowhere
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Proceed
from gatewright._core.outcome import Outcome
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, Reply, call, chunked, enter, make_call
from tests.core.kit import Collect, Enclose, through
from tests.core.test_driver import Wire

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


@pytest.mark.parametrize("size", [-1, "1MB", 1.5, True, by_handler])
def test_what_is_no_size_is_refused_when_decorating(size: Any) -> None:
    """The message says what to write; a forgotten pair of parentheses hands the handler over."""
    with pytest.raises(ConfigurationError, match=r"limit_body\(.+\): write a number of bytes, 0 or more"):
        limit_body(size)


def test_two_limits_are_refused() -> None:
    """One handler, one cap."""
    with pytest.raises(ConfigurationError, match="two limit_body"):
        limit_body(1)(by_handler)


# What is over the cap stays over it, whoever swallows the refusal

Serve = Callable[[Request], Any]
POST = {"method": "POST", "headers": JSON}
LARGE = b"x" * 500


async def _swallow(request: Request) -> Response:
    """Take the body for a detail."""
    try:
        await request.body()
    except Exception:
        return PlainTextResponse("no matter")
    return PlainTextResponse("fits")


async def _retry(request: Request) -> Response:
    """Ask until somebody gives in."""
    for _ in range(3):
        try:
            await request.body()
        except (PayloadTooLarge, ClientDisconnect):
            continue
        return PlainTextResponse("fits")
    return PlainTextResponse("no matter")


async def _convert(request: Request) -> Response:
    """Make another error of it, as a form parser does."""
    try:
        await request.body()
    except Exception as exc:
        raise HTTPException(400, "There was an error parsing the body") from exc
    return PlainTextResponse("fits")


async def _stream(request: Request) -> Response:
    """Answer with a stream, which on this server listens for a disconnect, and so reads on."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"no "
        yield b"matter"

    await _swallow(request)
    return StreamingResponse(parts())


async def _background(request: Request) -> Response:
    await _swallow(request)
    return PlainTextResponse("no matter", background=BackgroundTask(str))


SWALLOWING: list[Serve] = [_swallow, _retry, _convert, _stream, _background]


def _on_starlette(handler: Any, gate: Gate) -> ASGIApp:
    return Starlette(routes=[Route("/", handler, methods=["POST"])])


def _on_installed(handler: Any, gate: Gate) -> ASGIApp:
    app = Starlette(routes=[Route("/", handler, methods=["POST"])])
    gate.install(app)
    return app


def _on_wrapped(handler: Any, gate: Gate) -> ASGIApp:
    return gate.wrap(Starlette(routes=[Route("/", handler, methods=["POST"])]))


def _on_fastapi(handler: Any, gate: Gate) -> ASGIApp:
    app = FastAPI()
    app.post("/", response_model=None)(handler)
    gate.install(app)
    return app


def _on_route_class(handler: Any, gate: Gate) -> ASGIApp:
    router = APIRouter(route_class=GuardedRoute)
    router.post("/", response_model=None)(handler)
    app = FastAPI()
    app.include_router(router)
    return gate.wrap(app)


def _on_app(handler: Any, gate: Gate) -> ASGIApp:
    app = Starlette(routes=[Route("/", handler.handler, methods=["POST"])])
    guarded: ASGIApp = guarded_by(*handler.pipeline.guards)(app)
    return gate.wrap(guarded)


HOSTS = [_on_starlette, _on_installed, _on_wrapped, _on_fastapi, _on_route_class, _on_app]
SURROUNDS = {"bare": compose(), "enclosed": guarded_by(Enclose(through)), "collected": guarded_by(Collect(through))}
ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS, ids=[host.__name__.strip("_") for host in HOSTS])
ENCLOSED = pytest.mark.parametrize("around", SURROUNDS.values(), ids=SURROUNDS.keys())


@ON_EVERY_HOST
@ENCLOSED
@pytest.mark.parametrize("swallow", SWALLOWING, ids=[handler.__name__.strip("_") for handler in SWALLOWING])
async def test_story_starlette_max_body_size_swallowed(
    host: Callable[[Any, Gate], ASGIApp], around: Decorator, swallow: Serve
) -> None:
    """Starlette's cap answers 200 when the handler swallows its error (as Hono's did, GHSA-9vqf-7f2p-gf9v)."""
    handler = compose(limit_body(100), around)(swallow)
    reply = await call(host(handler, Gate(log=EventList())), data=chunked(LARGE, 20), **POST)
    assert reply.status == 413
    assert b"matter" not in reply.body
    # A stream of the function driver listens on the framework's own wire, and takes one part from it.
    assert reply.consumed <= 140
    if host is not _on_app or swallow is not _convert:
        assert (reply.json["code"], reply.headers["connection"]) == ("payload_too_large", "close")
    assert reply.headers["x-content-type-options"] == "nosniff"


@ON_EVERY_HOST
@ENCLOSED
@pytest.mark.parametrize("swallow", SWALLOWING, ids=[handler.__name__.strip("_") for handler in SWALLOWING])
async def test_what_swallows_nothing_is_answered(
    host: Callable[[Any, Gate], ASGIApp], around: Decorator, swallow: Serve
) -> None:
    """The same handlers under their cap."""
    handler = compose(limit_body(100), around)(swallow)
    reply = await call(host(handler, Gate(log=EventList())), data=chunked(b"x" * 100, 20), **POST)
    assert reply.status == 200


@pytest.mark.parametrize("host", [_on_installed, _on_wrapped, _on_fastapi, _on_route_class])
async def test_the_gate_s_cap_is_as_sticky(host: Callable[[Any, Gate], ASGIApp]) -> None:
    """A guarded handler of any framework is under it, without a word; so is what FastAPI reads for one."""
    gate = Gate(body_limit=100, log=EventList())
    app = host(security_headers()(_swallow), gate)
    assert (await call(app, data=chunked(LARGE, 20), **POST)).status == 413
    assert (await call(app, data=chunked(b"x" * 100, 20), **POST)).body == b"fits"


@pytest.mark.parametrize("declared", [True, False])
async def test_a_call_s_body_that_was_refused_stays_refused(declared: bool) -> None:
    """A handler, or a guard of one's own, that asks the call for it and does not mind."""

    @limit_body(1000)
    async def handler(call: Call) -> Result[None]:
        call.body_limit = 100
        for _ in range(2):
            with pytest.raises((PayloadTooLarge, ClientDisconnect)):
                await call.body()
        return ok()

    data = LARGE if declared else chunked(LARGE, 20)
    assert (await call(handler, data=data, **POST)).status == 413


# FastAPI


def _uploads(how: str) -> ASGIApp:
    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()

    @router.post("/file")
    @limit_body(500)
    async def file(upload: Annotated[UploadFile, File()]) -> Result[int]:
        return ok(len(await upload.read()))

    @router.post("/optional")
    @limit_body(500)
    async def optional(upload: Annotated[UploadFile | None, File()] = None) -> Result[int]:
        return ok(0 if upload is None else 1)

    @router.post("/model")
    @limit_body(100)
    async def model(item: Item) -> Result[int]:
        return ok(len(item.name))

    app = FastAPI()
    app.include_router(router)
    if how == "installed":
        Gate(log=EventList()).install(app)
    return app


def _multipart(size: int) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="upload"; filename="a"\r\n\r\n'
    return head + b"x" * size + b"\r\n--b--\r\n"


FORM = {"content-type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("how", ["route class", "installed"])
@pytest.mark.parametrize(
    ("path", "small", "large", "headers"),
    [
        ("/file", _multipart(300), _multipart(3000), FORM),
        ("/optional", _multipart(300), _multipart(3000), FORM),
        ("/model", FITS, OVER, JSON),
    ],
)
async def test_what_fastapi_parses_is_capped(
    how: str, path: str, small: bytes, large: bytes, headers: dict[str, str]
) -> None:
    """Files, forms and models: FastAPI makes "There was an error parsing the body" of what its parser does not know."""
    for data in (large, chunked(large, 50)):
        reply = await call(_uploads(how), method="POST", path=path, data=data, headers=headers)
        assert (reply.status, reply.json["code"]) == (413, "payload_too_large")
    for data in (small, chunked(small, 50)):
        assert (await call(_uploads(how), method="POST", path=path, data=data, headers=headers)).status == 200


async def test_a_refusal_that_was_swallowed_rolls_back_behind_a_surround() -> None:
    """It sees the refusal, and not the answer that nobody gets; so it commits nothing, and keeps nothing."""
    seen: list[str] = []

    async def transaction(call: Call, proceed: Proceed) -> Outcome:
        try:
            outcome = await proceed()
        except PayloadTooLarge:
            seen.append("rolled back")
            raise
        seen.append("committed")
        return outcome

    handler = compose(limit_body(100), guarded_by(Enclose(transaction)))(_swallow)
    for host in HOSTS:
        reply = await call(host(handler, Gate(log=EventList())), data=chunked(LARGE, 20), **POST)
        assert reply.status == 413
    assert seen == ["rolled back"] * len(HOSTS)


# Apps


def _in_front(app: ASGIApp, *around: Decorator) -> ASGIApp:
    guarded: ASGIApp = compose(limit_body(100), *around)(app)
    return Gate(log=EventList()).wrap(guarded)


async def _careless(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        while (await receive()).get("more_body", False):
            pass
    except Exception:
        await PlainTextResponse("no matter")(scope, receive, send)


async def _silent(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        while (await receive()).get("more_body", False):
            pass
    except Exception:
        return


@ENCLOSED
async def test_a_raw_app_that_swallows_the_refusal(around: Decorator) -> None:
    """Its answer is overruled."""
    reply = await call(_in_front(_careless, around), data=chunked(LARGE, 20), **POST)
    assert (reply.status, reply.json["code"], reply.consumed) == (413, "payload_too_large", 120)


@ENCLOSED
async def test_a_raw_app_that_takes_the_refusal_for_a_disconnect(around: Decorator) -> None:
    """It answers nothing, and the server would say 500."""
    reply = await call(_in_front(_silent, around), data=chunked(LARGE, 20), **POST)
    assert (reply.status, reply.json["code"]) == (413, "payload_too_large")


async def test_the_rest_of_an_overruled_answer_goes_nowhere() -> None:
    """To the app the client has left: `send` fails as it does then, and `receive` says so. One head, one body."""
    refused: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(PayloadTooLarge):
            await receive()
        head: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]}
        for message in (head, {"type": "http.response.body", "body": b"no matter"}):
            with pytest.raises(OSError, match="nowhere to go"):
                await send(message)
            refused.append(message["type"])
        assert (await receive())["type"] == "http.disconnect"
        raise RuntimeError("nobody listens to me")

    events = EventList()
    guarded: ASGIApp = limit_body(100)(app)
    wire = Wire(Gate(log=events).wrap(guarded), [{"type": "http.request", "body": LARGE, "more_body": True}])
    await wire.run()
    assert refused == ["http.response.start", "http.response.body"]
    assert [message["type"] for message in wire.sent] == refused
    assert wire.sent[0]["status"] == 413
    assert [(event["event"], event["status"], event["error"]) for event in events] == [
        ("request", 413, "payload_too_large")
    ]


async def test_a_handler_s_own_mistake_is_still_logged() -> None:
    """Whoever makes another error of the refusal hears of that; the client of the refusal."""

    @limit_body(100)
    async def handler(request: Request) -> Response:
        try:
            await request.body()
        except PayloadTooLarge as exc:
            raise ValueError("hunter2") from exc
        raise AssertionError

    events = EventList()
    for host in (_on_installed, _on_wrapped):
        reply = await call(host(handler, Gate(log=events)), data=chunked(LARGE, 20), **POST)
        assert (reply.status, reply.json["code"]) == (413, "payload_too_large")
    assert [event["event"] for event in events] == ["unhandled_exception", "request"] * 2


async def test_what_fails_around_a_refused_handler_fails_as_any_other() -> None:
    """Only what the handler's own answer came to is no news."""

    class Broken:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)
            raise ValueError("hunter2")

    app = Starlette(routes=[Route("/", limit_body(100)(_swallow), methods=["POST"])], middleware=[Middleware(Broken)])
    events = EventList()
    Gate(log=events).install(app)
    wire = Wire(app, [{"type": "http.request", "body": LARGE, "more_body": True}])
    with pytest.raises(ValueError, match="hunter2"):
        await wire.run()
    assert wire.sent[0]["status"] == 413
    assert [event["event"] for event in events] == ["unhandled_exception", "request"]


async def test_an_answer_that_fails_after_its_own_413_fails_as_any_other() -> None:
    """It was let out, so it is the app's."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(PayloadTooLarge):
            await receive()
        await send({"type": "http.response.start", "status": 413, "headers": []})
        raise ValueError("hunter2")

    wire = Wire(_in_front(app), [{"type": "http.request", "body": LARGE, "more_body": True}])
    with pytest.raises(ValueError, match="hunter2"):
        await wire.run()
    assert [message["status"] for message in wire.sent] == [413]


@pytest.mark.parametrize("swallowed", [True, False])
async def test_an_answer_of_413_is_the_app_s_own(swallowed: bool) -> None:
    """Who refuses in other words is not corrected; neither is who is asked to, by the app's author."""

    async def handler(request: Request) -> Response:
        try:
            await request.body()
        except PayloadTooLarge:
            if not swallowed:
                raise
            return JSONResponse({"own": "words"}, 413)
        raise AssertionError

    def too_large(request: Request, exc: Exception) -> Response:
        return JSONResponse({"own": "words"}, 413)

    app = Starlette(routes=[Route("/", handler, methods=["POST"])], exception_handlers={413: too_large})
    reply = await call(_in_front(app), data=chunked(LARGE, 20), **POST)
    assert (reply.status, reply.json) == (413, {"own": "words"})


async def test_a_gate_may_say_it_with_another_status() -> None:
    """What its mapper makes of the refusal is made of a swallowed one too."""
    errors = ErrorMapper().register(PayloadTooLarge, lambda exc: PayloadTooLarge("Less, please", status=422))
    for handler in (by_handler, limit_body(100)(_swallow)):
        reply = await call(handler, data=chunked(LARGE, 20), gate=Gate(errors=errors, log=EventList()), **POST)
        assert (reply.status, reply.json["error"]) == (422, "Less, please")


# What nobody reads


@pytest.mark.parametrize("read", [0, 3])
@ON_EVERY_HOST
async def test_a_body_that_the_handler_never_reads_is_weighed(host: Callable[[Any, Gate], ASGIApp], read: int) -> None:
    """Over the cap it is a 413, and the handler's answer goes nowhere; one that fits changes nothing."""

    @limit_body(100)
    async def handler(request: Request) -> Response:
        parts = request.stream()
        for _ in range(read):
            await anext(parts)
        await parts.aclose()
        return PlainTextResponse("not read")

    app = host(handler, Gate(log=EventList()))
    over = await call(app, data=chunked(LARGE, 20), **POST)
    assert (over.status, over.json["code"], over.consumed) == (413, "payload_too_large", 120)
    fits = await call(app, data=chunked(b"x" * 100, 20), **POST)
    assert (fits.status, fits.body, fits.consumed) == (200, b"not read", 100)


async def test_what_was_weighed_can_still_be_read() -> None:
    """An app that reads while it answers finds every byte."""

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    reply = await call(limit_body(100)(echo), data=chunked(b"0123456789" * 10, 7), **POST)
    assert (reply.status, reply.body) == (200, b"0123456789" * 10)


async def test_an_answer_does_not_wait_for_a_client_that_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may send on only once it sees the head: patience has an end, and the answer stands."""
    monkeypatch.setattr("gatewright.body_limit._PATIENCE", 0.01)
    head = anyio.Event()

    @limit_body(100)
    async def handler() -> Result[None]:
        return ok()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 20
        await head.wait()
        yield LARGE

    app = Gate(log=EventList()).wrap(Starlette(routes=[Route("/", handler, methods=["POST"])]))

    async def seen(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            head.set()
            await send(message)

        await app(scope, receive, sending)

    assert (await call(seen, data=body(), **POST)).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refusal_waits_for_nothing(method: str) -> None:
    """What is refused anyway is refused at once, and a GET has no body to wait for."""

    @limit_body(100)
    async def handler() -> Result[None]:
        if method == "POST":
            raise NotFound
        return ok()

    reply = await call(handler, method=method, data=chunked(LARGE, 20))
    assert (reply.status, reply.consumed) == (404 if method == "POST" else 200, 0)


async def test_once_the_answer_has_begun_the_wire_breaks_off() -> None:
    """There is nothing left to refuse, and no traceback: to who reads on, the client has left."""
    left: list[str] = []

    @security_headers()
    async def echo(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            try:
                async for part in request.stream():
                    yield part
            except ClientDisconnect:
                left.append("left")

        return StreamingResponse(parts())

    app = Gate(log=EventList(), body_limit=100).wrap(Starlette(routes=[Route("/", echo, methods=["POST"])]))
    wire = Wire(app, [{"type": "http.request", "body": b"x" * 60, "more_body": True}] * 3)
    await wire.run()
    assert (wire.sent[0]["status"], wire.chunks, left) == (200, [b"x" * 60], ["left"])


@pytest.mark.parametrize("host", [_on_installed, _on_fastapi, _on_route_class, _on_app])
@ENCLOSED
async def test_a_stream_that_listens_for_a_disconnect_may_come_upon_the_cap(
    host: Callable[[Any, Gate], ASGIApp], around: Decorator
) -> None:
    """Starlette reads on while it streams, where a server tells of a disconnect that way: a 413, and no traceback."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"no matter"
        await anyio.sleep_forever()

    async def handler(request: Request) -> Response:
        return StreamingResponse(parts())

    app = host(compose(limit_body(100), around)(handler), Gate(log=EventList()))
    wire = Wire(app, [{"type": "http.request", "body": b"x" * 60, "more_body": True}] * 3)
    wire.scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}
    await wire.run()
    assert (wire.sent[0]["status"], len(wire.sent)) == (413, 2)


async def test_a_client_that_left_is_not_answered_for_its_body() -> None:
    """A body that broke off under the cap is no body over it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard: list[Message] = [await receive(), await receive()]
        assert [message["type"] for message in heard] == ["http.request", "http.disconnect"]
        await PlainTextResponse("to nobody")(scope, receive, send)

    wire = Wire(_in_front(app), [{"type": "http.request", "body": b"x", "more_body": True}])
    wire.gone.set()
    await wire.run()
    assert wire.sent[0]["status"] == 200


async def test_a_refused_body_leaves_nothing_for_the_garbage_collector() -> None:
    """A flood of large bodies must not wait for it."""
    calls: list[weakref.ref[Call]] = []

    @limit_body(100)
    async def handler(request: Request, call: Call) -> Result[None]:
        calls.append(weakref.ref(call))
        try:
            await request.body()
        except PayloadTooLarge:
            return ok()
        raise AssertionError

    app = _on_installed(handler, Gate(log=EventList()))
    gc.disable()
    try:
        reply = await call(app, data=chunked(LARGE, 20), **POST)
        await anyio.lowlevel.checkpoint()
        assert (reply.status, calls[0]()) == (413, None)
    finally:
        gc.enable()
