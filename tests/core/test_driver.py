"""The drivers' frame around a request: one call, one event, afterthoughts, streams, lifespans, websockets."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright import Call, ConfigurationError, Forbidden, Gate, NotFound, Principal, Result, ok
from gatewright._core.decorate import guarded_by
from gatewright._core.driver import Driver
from gatewright._core.guard import Answer, Guard
from gatewright._core.phase import Phase
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.starlette import GuardedRoute
from gatewright.testing import EventList, Handshake, Reply, call, chunked, disconnecting, handshake, make_call
from tests.core.kit import AsyncStep, Enclose, Step, printed, requests, through
from tests.toys import Identify, Refuse, Trace

pytestmark = pytest.mark.anyio

Handler = Callable[..., Any]


# The hosts: the same function behind the same guards, served in each of the ways that there are.


def _plain(handler: Handler, gate: Gate) -> ASGIApp:
    """Behind a gate, yet on a route that knows nothing of guards: the function driver."""
    return gate.wrap(Starlette(routes=[Route("/", handler, methods=["GET", "POST"])]))


def _installed(handler: Handler, gate: Gate) -> ASGIApp:
    app = Starlette(routes=[Route("/", handler, methods=["GET", "POST"])])
    gate.install(app)
    return app


def _guarded_route(handler: Handler, gate: Gate) -> ASGIApp:
    return gate.wrap(Starlette(routes=[GuardedRoute("/", handler, methods=["GET", "POST"])]))


def _fastapi(handler: Handler, gate: Gate) -> ASGIApp:
    app = FastAPI()
    app.api_route("/", methods=["GET", "POST"])(handler)
    return gate.wrap(app)


def _fastapi_route(handler: Handler, gate: Gate) -> ASGIApp:
    router = APIRouter(route_class=FastAPIRoute)
    router.api_route("/", methods=["GET", "POST"])(handler)
    app = FastAPI()
    app.include_router(router)
    return gate.wrap(app)


def _fastapi_installed(handler: Handler, gate: Gate) -> ASGIApp:
    app = FastAPI()
    app.api_route("/", methods=["GET", "POST"])(handler)
    gate.install(app)
    return app


def _app(handler: Handler, gate: Gate) -> ASGIApp:
    """The guards in front of the app that the bare handler is in."""
    app = Starlette(routes=[Route("/", handler.handler, methods=["GET", "POST"])])  # type: ignore[attr-defined]
    return gate.wrap(guarded_by(*handler.pipeline.guards)(app))  # type: ignore[attr-defined]


HOSTS = [_plain, _installed, _guarded_route, _fastapi, _fastapi_route, _fastapi_installed, _app]
ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS, ids=[host.__name__.strip("_") for host in HOSTS])


class Wire:
    """A connection at the level of ASGI messages, for what a client library cannot do."""

    def __init__(self, app: ASGIApp, body: Sequence[Message] = (), *, kind: str = "http") -> None:
        self.app = app
        self.sent: list[Message] = []
        self._body = list(body) or [{"type": "http.request", "body": b"", "more_body": False}]
        self.gone = anyio.Event()
        self.scope: Scope = {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "https",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"testserver"), (b"content-type", b"application/octet-stream")],
            "client": ("203.0.113.7", 50000),
            "server": ("testserver", 443),
        }

    async def receive(self) -> Message:
        """Give the body, and a disconnect once the client has gone."""
        if self._body:
            return self._body.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Keep what is sent, and let others run."""
        self.sent.append(message)
        await anyio.lowlevel.checkpoint()

    async def run(self) -> None:
        """Serve the request."""
        await self.app(self.scope, self.receive, self.send)

    @property
    def chunks(self) -> list[bytes]:
        """Return the non-empty parts of the body so far."""
        return [m["body"] for m in self.sent if m["type"] == "http.response.body" and m["body"]]


class Endless:
    """A body without end; an object, so that nothing is left unfinished when a client leaves."""

    def __init__(self, reached: anyio.Event | None = None) -> None:
        self.reached = reached

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        if self.reached is not None:
            self.reached.set()
        return b"more"


# One event for each request


@ON_EVERY_HOST
async def test_a_request_is_one_event(host: Callable[[Handler, Gate], ASGIApp]) -> None:
    """Method, template, status, duration, ids, address and the guards, once."""

    @guarded_by(Identify())
    async def handler(request: Request) -> Response:
        return JSONResponse({"fine": True})

    events = EventList()
    reply = await call(host(handler, Gate(log=events)), method="POST", headers={"x-caller": "u1"})
    assert (reply.status, reply.json) == (200, {"fine": True})
    (event,) = events
    assert event["event"] == "request"
    assert (event["method"], event["status"], event["principal"]) == ("POST", 200, "u1")
    assert (event["route"], event["client"]) == (None if host is _app else "/", "203.0.113.7")
    assert event["request_id"] == reply.headers["x-request-id"]
    assert event["guards"] == {"identify": "passed"}
    assert event["duration_ms"] >= 0


@ON_EVERY_HOST
async def test_an_exception_after_the_head_was_sent_is_still_one_event(
    host: Callable[[Handler, Gate], ASGIApp],
) -> None:
    """The head cannot be taken back: server, log and monitor are told, and the event has the status that was sent."""
    told: list[Exception] = []

    async def broken() -> AsyncIterator[bytes]:
        yield b"first"
        raise ValueError("hunter2")

    @guarded_by(Step())
    async def handler(request: Request) -> Response:
        return StreamingResponse(broken())

    events = EventList()
    wire = Wire(host(handler, Gate(log=events, on_unhandled=lambda exc, call: told.append(exc))))
    with pytest.raises(ValueError, match="hunter2"):
        await wire.run()
    assert wire.chunks == [b"first"]
    (event,) = requests(events)
    assert event["status"] == 200
    assert [type(exc) for exc in told] == [ValueError]
    assert [event["event"] for event in events].count("unhandled_exception") == 1


@ON_EVERY_HOST
async def test_a_cancelled_request_is_still_one_event(host: Callable[[Handler, Gate], ASGIApp]) -> None:
    """A server that gives up in the middle of a handler finds one line in the log, without a status."""
    started = anyio.Event()

    @guarded_by(Step())
    async def handler(request: Request) -> Response:
        started.set()
        await anyio.sleep_forever()
        raise AssertionError

    events = EventList()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Wire(host(handler, Gate(log=events))).run)
        await started.wait()
        tasks.cancel_scope.cancel()
    (event,) = events
    assert (event["event"], event["status"]) == ("request", None)


@pytest.mark.parametrize(
    "host", [host for host in HOSTS if host is not _app], ids=lambda host: host.__name__.strip("_")
)
async def test_a_client_that_leaves_is_still_one_event(host: Callable[[Handler, Gate], ASGIApp]) -> None:
    """A body that ends early is answered with a 400 that nobody reads, and is no fault of ours."""

    @guarded_by(Step())
    async def handler(request: Request) -> Response:
        return Response(await request.body())

    events = EventList()
    reply = await call(host(handler, Gate(log=events)), data=disconnecting(b"half"), method="POST")
    assert reply.status == 400
    envelope = reply.json["detail"] if host is _fastapi else reply.json
    assert envelope["code"] == "client_disconnected"
    assert [event["event"] for event in events] == ["request"]


async def test_without_a_gate_the_function_driver_writes_the_event(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The process's default gate logs, success and refusal alike, once each."""

    @guarded_by(Identify())
    async def handler(request: Request) -> Result[None]:
        return ok()

    app = Starlette(routes=[Route("/items/{item}", handler)])
    await call(app, path="/items/1", headers={"x-caller": "u1"})
    await call(app, path="/items/1")
    events = printed(capsysbinary)
    assert [(event["event"], event["status"], event["route"]) for event in events] == [
        ("request", 200, "/items/{item}"),
        ("request", 401, "/items/{item}"),
    ]


async def test_without_a_gate_a_cancelled_request_is_one_event(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The function driver closes its call when it is cancelled, in the handler or while it sends."""
    reached = anyio.Event()

    @guarded_by(Step())
    async def sleeps(request: Request) -> Response:
        reached.set()
        await anyio.sleep_forever()
        raise AssertionError

    @guarded_by(Step())
    async def streams(request: Request) -> Response:
        return StreamingResponse(Endless(reached))

    for handler, status in ((sleeps, None), (streams, 200)):
        reached = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Wire(Starlette(routes=[Route("/", handler, methods=["POST"])])).run)
            await reached.wait()
            tasks.cancel_scope.cancel()
        (event,) = printed(capsysbinary)
        assert (event["event"], event["status"]) == ("request", status)


async def test_a_request_leaves_nothing_for_the_garbage_collector() -> None:
    """Scope and call let go of each other, so a busy server frees them as it goes."""
    calls: list[weakref.ref[Call]] = []

    @guarded_by(Step(Phase.ADMIT, lambda call: calls.append(weakref.ref(call))))
    async def handler(request: Request) -> Result[None]:
        return ok()

    gate = Gate(log=EventList())
    apps = [_installed(handler, gate), _guarded_route(handler, gate), Starlette(routes=[Route("/", handler)])]
    for app in apps:
        await call(app)
    gc.collect()
    gc.disable()
    try:
        calls.clear()
        for app in apps:
            await call(app)
        await anyio.lowlevel.checkpoint()
        assert [reference() for reference in calls] == [None] * 3
    finally:
        gc.enable()


# Afterthoughts


def _leaving(order: list[str]) -> tuple[Guard, ...]:
    """Return guards that leave a sync, a failing and an async afterthought, in this order."""

    def fail() -> None:
        order.append("fails")
        raise ValueError("hunter2")

    async def takes_its_time() -> None:
        await anyio.lowlevel.checkpoint()
        order.append("async")

    def leave(call: Call) -> None:
        call.afterwards(lambda: order.append("sync"))
        call.afterwards(fail)
        call.afterwards(takes_its_time)

    return (Step(Phase.ADMIT, leave),)


@ON_EVERY_HOST
async def test_afterthoughts_run_last_left_first_after_the_last_byte(host: Callable[[Handler, Gate], ASGIApp]) -> None:
    """One that fails is logged and stops neither the others nor the answer."""
    order: list[str] = []

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"two"):
            order.append(part.decode())
            yield part

    async def background() -> None:
        order.append("background")

    @guarded_by(*_leaving(order))
    async def handler(request: Request) -> Response:
        order.append("handler")
        return StreamingResponse(parts(), background=BackgroundTask(background))

    events = EventList()
    wire = Wire(host(handler, Gate(log=events)))
    await wire.run()
    assert wire.chunks == [b"one", b"two"]
    assert order == ["handler", "one", "two", "background", "async", "fails", "sync"]
    assert [event["event"] for event in events] == ["unhandled_exception", "request"]
    assert events[0]["where"] == "afterthought"


@ON_EVERY_HOST
async def test_afterthoughts_run_when_the_request_is_cancelled(host: Callable[[Handler, Gate], ASGIApp]) -> None:
    """Shielded: a refund that has to await something is not cancelled along."""
    order: list[str] = []
    started = anyio.Event()

    @guarded_by(*_leaving(order))
    async def handler(request: Request) -> Response:
        started.set()
        await anyio.sleep_forever()
        raise AssertionError

    app = host(handler, Gate(log=EventList()))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Wire(app).run)
        await started.wait()
        tasks.cancel_scope.cancel()
    assert order == ["async", "fails", "sync"]


@ON_EVERY_HOST
async def test_afterthoughts_run_when_the_client_leaves(host: Callable[[Handler, Gate], ASGIApp]) -> None:
    """In the middle of a body, and in the middle of an answer."""
    order: list[str] = []

    @guarded_by(*_leaving(order))
    async def handler(request: Request) -> Response:
        await request.body()
        return StreamingResponse(Endless())

    app = host(handler, Gate(log=EventList()))
    leaving = call(app, data=disconnecting(b"half"), method="POST")
    if host is _app:
        # The bare handler's own exception, which Starlette hands on to the server.
        with pytest.raises(ClientDisconnect):
            await leaving
    else:
        await leaving
    assert order == ["async", "fails", "sync"]
    order.clear()

    wire = Wire(app)

    async def broken_pipe(message: Message) -> None:
        await wire.send(message)
        if len(wire.chunks) == 3:
            raise OSError("the client has gone")

    with pytest.raises((ClientDisconnect, OSError)):
        await app(wire.scope, wire.receive, broken_pipe)
    assert order == ["async", "fails", "sync"]


async def test_afterthoughts_run_without_a_gate() -> None:
    """The function driver and plain FastAPI keep the same promise."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"

    for framework in (Starlette, FastAPI):
        order: list[str] = []

        @guarded_by(*_leaving(order))
        async def handler(request: Request) -> Response:
            return StreamingResponse(parts(), background=BackgroundTask(order.append, "background"))  # noqa: B023

        app = framework()
        if isinstance(app, FastAPI):
            app.post("/")(handler)
        else:
            app.router.routes.append(Route("/", handler, methods=["POST"]))
        await Wire(app).run()
        assert order == ["background", "async", "fails", "sync"]


async def test_an_afterthought_may_leave_another() -> None:
    """It runs next."""
    order: list[str] = []

    def leave(call: Call) -> None:
        call.afterwards(lambda: order.append("first left"))
        call.afterwards(lambda: call.afterwards(lambda: order.append("left at the end")))

    await call(guarded_by(Step(Phase.ADMIT, leave))(JSONResponse({})), gate=Gate(log=EventList()))
    assert order == ["left at the end", "first left"]


# Streams stay streams


@ON_EVERY_HOST
async def test_the_first_chunk_is_sent_before_the_second_is_made(host: Callable[[Handler, Gate], ASGIApp]) -> None:
    """Nothing between handler and server collects a stream."""
    made: list[str] = []

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        made.append(f"two after {b' '.join(wire.chunks).decode()}")
        yield b"two"

    @guarded_by(Trace(Phase.ADMIT))
    async def handler(request: Request) -> Response:
        return StreamingResponse(parts())

    wire = Wire(host(handler, Gate(log=EventList())))
    await wire.run()
    assert wire.chunks == [b"one", b"two"]
    assert made == ["two after one"]
    assert (b"x-trace-t", b"ADMIT") in wire.sent[0]["headers"]


# The gate in front of an app


async def test_a_lifespan_passes_through() -> None:
    """Startup and shutdown are the app's."""
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        order.append("up")
        yield
        order.append("down")

    installed = Starlette(lifespan=lifespan)
    Gate(log=EventList()).install(installed)
    wrapped = Gate(log=EventList()).wrap(guarded_by(Refuse())(Starlette(lifespan=lifespan)))
    for app in (installed, wrapped):
        assert await _lifespan(app) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert order == ["up", "down"] * 2


async def _lifespan(app: ASGIApp) -> list[str]:
    received = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> Message:
        return next(received)

    async def send(message: Message) -> None:
        sent.append(f"{message['type']}{': ' + message['message'] if 'message' in message else ''}")

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    return sent


def _mistaken() -> Starlette:
    """Return an app with a gate, and a route added since that wants what nobody provides."""

    @guarded_by(Trace(Phase.ADMIT))
    async def handler(principal: Principal) -> Result[None]:
        return ok()

    app = Starlette()
    Gate(log=EventList()).install(app)
    app.router.routes.append(Route("/", handler))
    return app


async def test_a_lifespan_that_finds_a_mistake_fails_the_start() -> None:
    """The server is told, with the explanation, even one that is lenient about lifespans."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ConfigurationError):
        await _mistaken()({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "principal is filled by @with_auth" in sent[0]["message"]


async def test_without_a_lifespan_every_request_finds_the_mistake() -> None:
    """A fixed text outside, and it stays so until it is mended."""
    app = _mistaken()
    for _ in range(2):
        reply = await call(app)
        assert (reply.status, reply.json["error"]) == (500, "Internal server error")


async def test_what_is_no_request_passes_through() -> None:
    """A scope of a type that nobody knows is the app's own business."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await guarded_by(Refuse())(app)({"type": "mqtt"}, None, None)  # type: ignore[arg-type]  # it asks for neither
    assert seen == ["mqtt"]


def test_a_guarded_app_prints_what_it_is() -> None:
    """Guards first, then the app."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    assert repr(guarded_by(Refuse())(app)).startswith("<GuardedApp ADMIT Refuse() > <function")


async def test_a_driver_has_no_end_of_its_own() -> None:
    """What stands behind the pipeline is for subclasses to say."""
    with pytest.raises(NotImplementedError):
        await Driver(None).finish(make_call())  # type: ignore[arg-type]  # no plans are needed for that


async def test_a_refused_app_is_not_asked() -> None:
    """A guard that refuses or answers stands in front of everything in the app."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    reply = await call(guarded_by(Refuse())(app), gate=Gate(log=EventList()))
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")
    answering = AsyncStep(Phase.ADMIT, lambda call: Answer(JSONResponse({"early": True})))
    assert (await call(guarded_by(answering)(app), gate=Gate(log=EventList()))).json == {"early": True}


async def test_gates_nest_and_the_nearest_wins() -> None:
    """The inner gate rules inside; the request is one event, in the log of the outermost; outside, the outer rules."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["gatewright.call"].gate.storage.url)
        raise NotFound

    inner_events, outer_events = EventList(), EventList()
    inner = Gate(storage="memory://inner", log=inner_events)
    outer = Gate(storage="memory://outer", log=outer_events)
    left = Step(Phase.ADMIT, lambda call: seen.append(call.gate.storage.url))
    between = Starlette(routes=[Mount("/", inner.wrap(app))])
    reply = await call(outer.wrap(guarded_by(left)(between)))
    assert (reply.status, reply.json["code"]) == (404, "not_found")
    assert seen == ["memory://outer", "memory://inner"]
    assert (len(outer_events), len(inner_events)) == (1, 0)
    assert [name for name, _ in reply.raw_headers].count(b"x-request-id") == 1


async def test_an_inner_gate_rules_no_longer_than_its_app() -> None:
    """An app that asks two others in turn: the second is not ruled by the first one's gate, nor spared its guards."""
    seen: list[str] = []
    trace = guarded_by(Step(Phase.ADMIT, lambda call: seen.append(call.gate.storage.url)))

    async def silent(scope: Scope, receive: Receive, send: Send) -> None: ...

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({})(scope, receive, send)

    first = Gate(storage="memory://first", log=EventList()).wrap(trace(silent))
    second = trace(answering)

    async def cascade(scope: Scope, receive: Receive, send: Send) -> None:
        await first(scope, receive, send)
        await second(scope, receive, send)

    await call(Gate(storage="memory://outer", log=EventList()).wrap(cascade))
    assert seen == ["memory://first", "memory://outer"]


async def test_wrapping_folds_into_one() -> None:
    """A gate and guards in front of one app are one `GuardedApp`, and a second gate encloses the first."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({})(scope, receive, send)

    gate, trace = Gate(log=EventList()), Trace(Phase.ADMIT)
    guarded = guarded_by(trace)(gate.wrap(app))
    assert (guarded.app, guarded.gate, guarded.pipeline.guards) == (app, gate, (trace,))
    again = Gate(log=EventList()).wrap(guarded)
    assert again.app is guarded


# What may stand between two drivers


class Copies:
    """A middleware that hands on a copy of the scope, and wraps `receive` and `send`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap everything."""

        async def received() -> Message:
            message = await receive()
            return {**message, "body": message["body"].upper()} if message.get("body") else message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-between", b"yes")]}
            await send(message)

        await self.app({**scope, "headers": [*scope["headers"], (b"x-caller", b"u1")]}, received, sending)


class Reads(BaseHTTPMiddleware):
    """Starlette's own kind of middleware, reading the body as it passes."""

    async def dispatch(self, request: Request, call_next: Callable[[Request], Any]) -> Response:
        """Read, go on, and add a header."""
        length = len(await request.body())
        response: Response = await call_next(request)
        response.headers["x-length"] = str(length)
        return response


class Look(AsyncStep):
    """A guard that reads the body."""

    async def enter(self, call: Call) -> None:
        """Read, and tell what was read."""
        self.does(await call.body())  # type: ignore[arg-type]  # told the body, not the call


@pytest.mark.parametrize("read_outside", [False, True])
@pytest.mark.parametrize("read_by_guard", [False, True])
@pytest.mark.parametrize("route", [Route, GuardedRoute])
async def test_a_middleware_may_wrap_the_messages(read_outside: bool, read_by_guard: bool, route: type[Route]) -> None:
    """Inner guards and handler get the body that it hands on, whether an outer guard read the body or not."""
    seen: list[bytes] = []
    inner = (Look(Phase.PARSE, seen.append),) if read_by_guard else (Trace(Phase.PARSE),)

    @guarded_by(*inner)
    async def handler(request: Request) -> Response:
        return Response(await request.body())

    outer = Look(Phase.VERIFY, seen.append) if read_outside else Trace(Phase.ADMIT)
    inside = Starlette(routes=[route("/", handler, methods=["POST"])], middleware=[Middleware(Copies)])
    events = EventList()
    reply = await call(guarded_by(outer)(inside), data=chunked(b"hello", 2), method="POST", gate=Gate(log=events))
    assert (reply.status, reply.body, reply.headers["x-between"]) == (200, b"HELLO", "yes")
    assert seen == [b"hello"] * read_outside + [b"HELLO"] * read_by_guard
    (event,) = events
    assert event["route"] == "/"


@pytest.mark.parametrize("route", [Route, GuardedRoute])
async def test_a_middleware_may_change_the_headers(route: type[Route]) -> None:
    """What it adds to its copy of the scope is what inner guards see; it may translate a credential."""

    @guarded_by(Identify())
    async def handler(principal: Principal) -> Result[str]:
        return ok(principal.sub)

    inside = Starlette(routes=[route("/", handler)], middleware=[Middleware(Copies)])
    events = EventList()
    reply = await call(guarded_by(Trace(Phase.ADMIT))(inside), gate=Gate(log=events))
    assert (reply.status, events[0]["principal"]) == (200, "u1")


@pytest.mark.parametrize("read_outside", [False, True])
@pytest.mark.parametrize("host", [_installed, _guarded_route, _plain, _fastapi_route, _fastapi_installed, _fastapi])
async def test_a_base_http_middleware_may_stand_between(
    host: Callable[[Handler, Gate], Any], read_outside: bool
) -> None:
    """It reads the body, and the handler gets it all the same; a refusal inside passes through it; one event each."""

    @guarded_by(Identify(), Look(Phase.PARSE))
    async def handler(request: Request) -> Response:
        return Response(await request.body())

    events = EventList()
    gate = Gate(log=events)
    app = host(handler, gate)
    inside = app if isinstance(app, Starlette) else app.app
    inside.user_middleware.append(Middleware(Reads))  # innermost: inside the gate
    if read_outside:
        app = guarded_by(Look(Phase.VERIFY))(app)
    reply = await call(
        app, data=b"hello", headers={"x-caller": "u1"}, method="POST", gate=gate if read_outside else None
    )
    assert (reply.status, reply.body, reply.headers["x-length"]) == (200, b"hello", "5")
    refused = await call(app, data=b"hello", method="POST", gate=gate if read_outside else None)
    assert (refused.status, refused.headers["x-length"]) == (401, "5")
    assert len(requests(events)) == 2
    for answer in (reply, refused):
        assert [name for name, _ in answer.raw_headers].count(b"x-request-id") == 1


# Websockets


async def _echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def _refusing_websockets() -> list[Callable[[], ASGIApp]]:
    def app() -> ASGIApp:
        return guarded_by(Identify())(Starlette(routes=[WebSocketRoute("/", _echo)]))

    def function() -> ASGIApp:
        return Starlette(routes=[WebSocketRoute("/", guarded_by(Identify())(_echo))])

    def installed() -> ASGIApp:
        inner = Starlette(routes=[WebSocketRoute("/", guarded_by(Identify())(_echo))])
        Gate(log=EventList()).install(inner)
        return inner

    return [app, function, installed]


SOCKETS = pytest.mark.parametrize("build", _refusing_websockets(), ids=lambda build: build.__name__)


@SOCKETS
async def test_a_websocket_is_refused_before_it_is_accepted(build: Callable[[], ASGIApp]) -> None:
    """With a denial response where the server has it: the envelope and the headers of any refusal, each once."""
    refused: Handshake = await handshake(build())
    assert (refused.accepted, refused.status) == (False, 401)
    start, body = refused.messages
    names = [name for name, _ in start["headers"]]
    assert len(names) == len(set(names))
    assert dict(start["headers"])[b"www-authenticate"] == b"Toy"
    assert b'"code":"unauthorized"' in body["body"]


@SOCKETS
async def test_a_websocket_is_closed_where_there_is_no_denial(build: Callable[[], ASGIApp]) -> None:
    """Policy violation, 1008; the server turns it into a 403."""
    refused = await handshake(build(), denial=False)
    assert (refused.accepted, refused.status, refused.code) == (False, None, 1008)
    assert [message["type"] for message in refused.messages] == ["websocket.close"]


@SOCKETS
async def test_a_websocket_that_may_is_accepted(build: Callable[[], ASGIApp]) -> None:
    """The handler gets it as it came."""
    assert (await handshake(build(), headers={"x-caller": "u1"})).accepted


@pytest.mark.parametrize(
    ("guard", "status", "body"),
    [
        (Step(Phase.ADMIT, lambda call: Answer(ok(status=202))), 202, b'{"success":true,"data":null}'),
        (AsyncStep(Phase.ADMIT, lambda call: Answer(JSONResponse({"early": True}))), 200, b'{"early":true}'),
    ],
)
async def test_a_guard_may_answer_a_handshake(guard: Guard, status: int, body: bytes) -> None:
    """Its answer is a denial with its status, on an app and on a function."""
    for target in (
        guarded_by(guard)(Starlette(routes=[WebSocketRoute("/", _echo)])),
        Starlette(routes=[WebSocketRoute("/", guarded_by(guard)(_echo))]),
    ):
        answered = await handshake(target)
        assert (answered.accepted, answered.status) == (False, status)
        assert answered.messages[1]["body"] == body


async def test_a_websocket_is_one_event() -> None:
    """Accepted, refused, or failed after it was accepted."""

    @guarded_by(Identify())
    async def failing(websocket: WebSocket) -> None:
        await websocket.accept()
        raise ValueError("hunter2")

    events = EventList()
    routes = [WebSocketRoute("/fine", guarded_by(Identify())(_echo)), WebSocketRoute("/failing", failing)]
    app = Starlette(routes=routes)
    Gate(log=events).install(app)
    await handshake(app, path="/fine", headers={"x-caller": "u1"})
    await handshake(app, path="/fine")
    with pytest.raises(ValueError, match="hunter2"):
        await handshake(app, path="/failing", headers={"x-caller": "u1"})
    assert [(event["route"], event["status"]) for event in requests(events)] == [
        ("/fine", 101),
        ("/fine", 401),
        ("/failing", 101),
    ]


async def test_without_a_gate_a_websocket_is_one_event(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The function driver closes its call once, however the handler ends, and runs the afterthoughts."""
    order: list[str] = []

    @guarded_by(Identify(), *_leaving(order))
    async def failing(websocket: WebSocket) -> None:
        await websocket.accept()
        raise ValueError("hunter2")

    app = Starlette(
        routes=[WebSocketRoute("/fine", guarded_by(Identify())(_echo)), WebSocketRoute("/failing", failing)]
    )
    await handshake(app, path="/fine", headers={"x-caller": "u1"})
    assert [event["status"] for event in requests(printed(capsysbinary))] == [101]
    await handshake(app, path="/fine")
    assert [event["status"] for event in requests(printed(capsysbinary))] == [401]
    with pytest.raises(ValueError, match="hunter2"):
        await handshake(app, path="/failing", headers={"x-caller": "u1"})
    assert order == ["async", "fails", "sync"]
    assert [event["status"] for event in requests(printed(capsysbinary))] == [101]


async def test_an_app_behind_a_surround_serves_websockets() -> None:
    """A surround is about an answer; a handshake that is accepted has none, and goes through."""
    app = guarded_by(Enclose(through))(Starlette(routes=[WebSocketRoute("/", _echo)]))
    assert (await handshake(app, gate=Gate(log=EventList()))).accepted


async def test_a_mounted_app_is_inside_the_gate() -> None:
    """Its errors come in the envelope of the gate that was installed outside, its route's template is whole."""

    @guarded_by(Step())
    async def handler(request: Request) -> Result[None]:
        raise Forbidden

    events = EventList()
    app = Starlette(routes=[Mount("/in", Starlette(routes=[Route("/{item}", handler)]))])
    Gate(log=events).install(app)
    reply: Reply = await call(app, path="/in/1")
    assert (reply.status, reply.json["code"]) == (403, "forbidden")
    assert events[0]["route"] == "/in/{item}"
