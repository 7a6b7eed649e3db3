"""`@timeout`: a body that does not arrive, and an answer that does not begin.

What must run into a limit waits for ever; what must not takes no time, and has `AMPLE` of it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from math import inf, nan
from typing import Any

import anyio
import pytest
from anyio import to_thread
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from gatewright import (
    Call,
    ConfigurationError,
    FromBody,
    Gate,
    RequestTimeout,
    Result,
    ServiceUnavailable,
    compose,
    limit_body,
    ok,
    validate,
)
from gatewright._core.answering import nowhere
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Proceed
from gatewright._core.outcome import Outcome
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, Reply, call, chunked, enter, handshake, make_call
from gatewright.timeout import Arrival, timeout
from tests.core.kit import Collect, Enclose, requests, through
from tests.core.test_driver import Wire

pytestmark = pytest.mark.anyio

SOON = 0.02
AMPLE = 0.15
LONGER = 0.2
NEVER_REACHED = 60
JSON = {"content-type": "application/json"}
POST = {"method": "POST", "headers": JSON}
WHOLE = b'{"name": "ada"}'

Host = Callable[[Any, Gate], ASGIApp]


class Item(BaseModel):
    """A body."""

    name: str


async def unfinished() -> AsyncIterator[bytes]:
    """Send the first part of a body, and no more."""
    yield WHOLE[:4]
    await anyio.sleep_forever()


async def dripping() -> AsyncIterator[bytes]:
    """Send a byte now and then, for ever: each is in time."""
    while True:
        await anyio.sleep(SOON / 10)
        yield b" "


async def late() -> AsyncIterator[bytes]:
    """Send the second part of a body late."""
    yield WHOLE[:4]
    await anyio.sleep(LONGER)
    yield WHOLE[4:]


# The hosts


def _on_starlette(handler: Any, gate: Gate) -> ASGIApp:
    return Starlette(routes=[Route("/", handler, methods=["GET", "POST"])])


def _on_installed(handler: Any, gate: Gate) -> ASGIApp:
    app = Starlette(routes=[Route("/", handler, methods=["GET", "POST"])])
    gate.install(app)
    return app


def _on_wrapped(handler: Any, gate: Gate) -> ASGIApp:
    return gate.wrap(_on_starlette(handler, gate))


def _on_fastapi(handler: Any, gate: Gate) -> ASGIApp:
    app = FastAPI()
    app.api_route("/", methods=["GET", "POST"], response_model=None)(handler)
    gate.install(app)
    return app


def _on_route_class(handler: Any, gate: Gate) -> ASGIApp:
    router = APIRouter(route_class=GuardedRoute)
    router.api_route("/", methods=["GET", "POST"], response_model=None)(handler)
    app = FastAPI()
    app.include_router(router)
    return gate.wrap(app)


def _on_app(handler: Any, gate: Gate) -> ASGIApp:
    """The guards in front of the app that the bare handler is in."""
    guarded: ASGIApp = guarded_by(*handler.pipeline.guards)(_on_starlette(handler.handler, gate))
    return gate.wrap(guarded)


HOSTS = [_on_starlette, _on_installed, _on_wrapped, _on_fastapi, _on_route_class, _on_app]
ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS, ids=[host.__name__.strip("_") for host in HOSTS])


async def _serve(host: Host, handler: Any, events: EventList | None = None, **request: Any) -> Reply:
    return await call(host(handler, Gate(log=EventList() if events is None else events)), **request)


def _raw(decorator: Decorator, serve: Callable[[Scope, Receive, Send], Awaitable[None]], events: EventList) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await serve(scope, receive, send)

    guarded: ASGIApp = decorator(app)
    return Gate(log=events).wrap(guarded)


# Handlers


async def _hang(request: Request) -> Response:
    await anyio.sleep_forever()
    raise AssertionError


async def _read(request: Request) -> Response:
    return PlainTextResponse(await request.body())


async def _stream(request: Request) -> Response:
    return PlainTextResponse(b"".join([part async for part in request.stream()]))


async def _swallow(request: Request) -> Response:
    try:
        await request.body()
    except Exception:
        return PlainTextResponse("no matter")
    return PlainTextResponse("in time")


# What is written


def test_one_of_the_two_is_wanted() -> None:
    """The message says what to write."""
    with pytest.raises(ConfigurationError, match=r"write timeout\(first_byte=10\), timeout\(read=30\) or both"):
        timeout()


@pytest.mark.parametrize("seconds", [0, -1, 0.0, nan, inf, True, "5", 1j])
def test_only_a_number_of_seconds_above_0_is_one(seconds: Any) -> None:
    """For either; refused when it is written."""
    for name in ("first_byte", "read"):
        with pytest.raises(ConfigurationError, match=rf"timeout\({name}=.*\): write a number of seconds above 0"):
            timeout(**{name: seconds})


def test_a_pipeline_shows_both_limits() -> None:
    """Each in its phase; the answer's around a transaction."""
    handler = compose(timeout(first_byte=2, read=0.5), guarded_by(Enclose(through)))(_hang)
    order = "ADMIT timeout(read=0.5) > ENCLOSE timeout(first_byte=2) > "
    assert repr(handler.pipeline).startswith(order)
    assert repr(timeout(read=1)(_hang).pipeline) == "ADMIT timeout(read=1)"


def test_two_timeouts_are_refused() -> None:
    """One handler, one clock."""
    with pytest.raises(ConfigurationError, match=r"two timeout\(\.\.\.\) on one handler"):
        timeout(first_byte=1)(timeout(read=1)(_hang))


@pytest.mark.parametrize("limit", [timeout(read=1), timeout(first_byte=1)], ids=repr)
def test_a_websocket_has_neither(limit: Decorator) -> None:
    """Refused when it is installed; in front of an app, a websocket passes."""

    @limit
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()

    with pytest.raises(ConfigurationError, match="a websocket has no body and no answer for timeout"):
        Gate(log=EventList()).install(Starlette(routes=[WebSocketRoute("/", chat)]))


async def test_a_websocket_of_an_app_is_not_timed() -> None:
    """Its messages are no body."""

    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(WebSocketDisconnect):
            await websocket.receive_text()

    guarded: ASGIApp = timeout(first_byte=1, read=1)(Starlette(routes=[WebSocketRoute("/", chat)]))
    assert (await handshake(guarded)).accepted


async def test_a_websocket_goes_on_as_the_object_that_it_is() -> None:
    """It keeps the state of the handshake."""
    wire = make_call().receive()
    websocket = WebSocket({"type": "websocket", "headers": []}, wire, nowhere)
    made = Call(Gate(log=EventList()), websocket.scope, wire, nowhere)
    made.adopt(websocket)
    await enter(timeout(read=1), made)
    assert made.connection is websocket


@pytest.mark.parametrize("limit", [timeout(read=1), timeout(first_byte=1)], ids=repr)
async def test_a_plain_fastapi_route_cannot_be_timed(limit: Decorator) -> None:
    """It reads the body before any guard, and hands out no answer: refused when sealed, and never silently open."""

    @limit
    async def handler(item: Item) -> Result[None]:
        return ok()

    app = FastAPI()
    app.post("/")(handler)
    with pytest.raises(ConfigurationError, match=r"timeout comes before the body, .*; write APIRouter"):
        await call(app, json={"name": "ada"})


# A body that does not arrive


@ON_EVERY_HOST
@pytest.mark.parametrize("handler", [_read, _stream, _swallow])
@pytest.mark.parametrize("body", [unfinished, dripping])
async def test_a_slow_body_is_a_408(host: Host, handler: Any, body: Callable[[], AsyncIterator[bytes]]) -> None:
    """Whoever reads it, and whoever swallows that; in all, and not for each part."""
    reply = await _serve(host, timeout(read=SOON)(handler), data=body(), **POST)
    assert reply.status == 408
    assert b"matter" not in reply.body
    if host is not _on_app or handler is _swallow:
        assert (reply.json["code"], reply.headers["connection"]) == ("request_timeout", "close")


@ON_EVERY_HOST
@pytest.mark.parametrize("handler", [_read, _stream, _swallow])
async def test_a_body_in_time_is_read(host: Host, handler: Any) -> None:
    """In one piece and in many, and where there is none."""
    for data in (WHOLE, chunked(WHOLE, 3), b""):
        reply = await _serve(host, timeout(read=NEVER_REACHED)(handler), data=data, **POST)
        assert reply.status == 200


async def test_a_slow_body_is_a_408_to_a_guard_too() -> None:
    """`validate` reads it before the handler runs."""

    @timeout(read=SOON)
    @validate
    async def handler(body: FromBody[Item]) -> Result[None]:
        raise AssertionError

    for host in (_on_starlette, _on_installed):
        reply = await _serve(host, handler, data=unfinished(), **POST)
        assert (reply.status, reply.json["code"]) == (408, "request_timeout")


@pytest.mark.parametrize("host", [_on_fastapi, _on_route_class])
async def test_a_slow_body_is_a_408_to_fastapi_too(host: Host) -> None:
    """It reads models by itself."""

    @timeout(read=SOON)
    async def handler(item: Item) -> Response:
        return PlainTextResponse(item.name)

    reply = await _serve(host, handler, data=unfinished(), **POST)
    assert (reply.status, reply.json["code"]) == (408, "request_timeout")
    assert (await _serve(host, handler, data=WHOLE, **POST)).status == 200


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("around", [compose(), guarded_by(Enclose(through)), guarded_by(Collect(through))])
async def test_a_raw_app_that_swallows_the_refusal(answers: bool, around: Decorator) -> None:
    """It may even take it for a disconnect, and answer nothing."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            while (await receive()).get("more_body", False):
                pass
        except RequestTimeout:
            if answers:
                await PlainTextResponse("no matter")(scope, receive, send)

    reply = await call(_raw(compose(timeout(read=SOON), around), serve, EventList()), data=unfinished(), **POST)
    assert (reply.status, reply.json["code"]) == (408, "request_timeout")


async def test_the_handler_s_own_time_is_not_the_body_s() -> None:
    """A client is not slow because the handler is: what waits on the wire has arrived."""

    @timeout(read=AMPLE)
    async def handler(request: Request) -> Response:
        parts: list[bytes] = []
        async for part in request.stream():
            parts.append(part)
            await anyio.sleep(LONGER)
        return PlainTextResponse(b"".join(parts))

    wire = Wire(
        _on_installed(handler, Gate(log=EventList())),
        [{"type": "http.request", "body": b"x", "more_body": more} for more in (True, True, False)],
    )
    await wire.run()
    assert (wire.sent[0]["status"], wire.chunks) == (200, [b"xxx"])


@ON_EVERY_HOST
async def test_once_the_body_is_whole_the_wire_may_be_silent(host: Host) -> None:
    """A stream that listens for a disconnect waits for no body."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        await anyio.sleep(LONGER)
        yield b"two"

    @timeout(read=AMPLE)
    async def handler(request: Request) -> Response:
        await request.body()
        return StreamingResponse(parts())

    assert (await _serve(host, handler, data=WHOLE, **POST)).body == b"one two"
    assert (await _serve(host, timeout(read=AMPLE)(_parts), method="GET")).body == b"one two"


async def _parts(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        await anyio.sleep(LONGER)
        yield b"two"

    return StreamingResponse(parts())


async def test_a_body_that_is_late_once_the_answer_has_begun_breaks_off() -> None:
    """There is no 408 to send any more: to who reads on, the client has left."""
    left: list[str] = []

    @timeout(read=SOON)
    async def echo(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            try:
                async for part in request.stream():
                    yield part
            except ClientDisconnect:
                left.append("left")

        return StreamingResponse(parts())

    wire = Wire(
        _on_installed(echo, Gate(log=EventList())), [{"type": "http.request", "body": b"one", "more_body": True}]
    )
    await wire.run()
    assert (wire.sent[0]["status"], wire.chunks, left) == (200, [b"one"], ["left"])


async def test_reading_in_short_attempts_buys_no_time() -> None:
    """What a handler waited for in vain counts too."""
    attempts: list[int] = []

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            attempts.append(len(attempts))
            with anyio.move_on_after(SOON / 5):
                await receive()

    async def never() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    wire = Wire(_raw(timeout(read=SOON), serve, EventList()))
    await wire.app(wire.scope, never, wire.send)
    assert wire.sent[0]["status"] == 408
    assert 2 <= len(attempts) <= 6


async def test_a_body_whose_time_is_over_is_waited_for_no_more() -> None:
    """Whoever asks again is refused at once; the wire is not asked."""
    asked: list[int] = []

    async def never() -> Message:
        asked.append(1)
        await anyio.sleep_forever()
        raise AssertionError

    arrival = Arrival(never, SOON / 5, {})
    for _ in range(3):
        with pytest.raises(RequestTimeout):
            await arrival()
    assert asked == [1]


async def test_what_the_body_limit_refuses_is_no_matter_of_time() -> None:
    """Both stand on the same wire; whichever is first has the word."""
    for seconds, data, status in ((NEVER_REACHED, chunked(b"x" * 20, 4), 413), (SOON, unfinished(), 408)):
        handler = compose(timeout(read=seconds, first_byte=NEVER_REACHED), limit_body(10))(_swallow)
        assert (await _serve(_on_installed, handler, data=data, **POST)).status == status


# An answer that does not begin


@ON_EVERY_HOST
async def test_a_slow_handler_is_a_504(host: Host) -> None:
    """It is cancelled, and may clean up; the log has the reason, and the client a fixed text."""
    order: list[str] = []

    @timeout(first_byte=SOON)
    async def handler(request: Request) -> Response:
        try:
            await anyio.sleep_forever()
        finally:
            order.append("cleaned up")
        raise AssertionError

    events = EventList()
    reply = await _serve(host, handler, events)
    assert (reply.status, reply.json["code"]) == (504, "gateway_timeout")
    assert order == ["cleaned up"]
    if host is not _on_starlette:
        (event,) = events
        assert (event["status"], event["error"]) == (504, "gateway_timeout")
        assert event["reason"] == "the answer had not begun after 0.02 s"


@ON_EVERY_HOST
async def test_an_answer_in_time_is_sent(host: Host) -> None:
    """As if nothing stood around it."""
    assert (await _serve(host, timeout(first_byte=NEVER_REACHED)(_read), data=b"x", **POST)).body == b"x"


@ON_EVERY_HOST
async def test_story_hawk_934_a_total_timeout_kills_streams(host: Host) -> None:
    """Only the time to the head counts: what has begun takes as long as it likes."""
    assert (await _serve(host, timeout(first_byte=AMPLE)(_parts))).body == b"one two"


@ON_EVERY_HOST
async def test_story_osparc_7279_a_timeout_cancels_background_tasks(host: Host) -> None:
    """They run inside the response's call, which is why a timeout around that cancelled them."""
    done: list[str] = []

    async def task() -> None:
        await anyio.sleep(LONGER)
        done.append("done")

    @timeout(first_byte=AMPLE)
    async def handler(request: Request) -> Response:
        return PlainTextResponse("answered", background=BackgroundTask(task))

    assert (await _serve(host, handler)).body == b"answered"
    assert done == ["done"]


async def test_a_raw_app_that_streams_slowly_after_its_head() -> None:
    """The first byte was in time; background work after the last one too."""
    done: list[str] = []

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one ", b"two"):
            await anyio.sleep(LONGER)
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        await anyio.sleep(LONGER)
        done.append("done")

    reply = await call(_raw(timeout(first_byte=AMPLE), serve, EventList()))
    assert (reply.status, reply.body, done) == (200, b"one two", ["done"])


async def test_a_raw_app_that_hangs_before_its_head() -> None:
    """It is cancelled once the 504 is sent; what it would still send goes nowhere."""
    order: list[str] = []

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(SOON)
            order.append(f"app, after {len(wire.sent)}")

    wire = Wire(_raw(timeout(first_byte=SOON), serve, EventList()))
    await wire.run()
    assert (wire.sent[0]["status"], order) == (504, ["app, after 2"])


async def test_the_slow_body_of_a_client_is_not_the_handler_s_time() -> None:
    """It is no 5xx because the client is slow, and an upload may take longer than an answer."""
    replies: list[tuple[int, bytes]] = []

    async def upload(host: Host) -> None:
        reply = await _serve(host, timeout(first_byte=AMPLE)(_stream), data=late(), **POST)
        replies.append((reply.status, reply.body))

    async with anyio.create_task_group() as tasks:
        for host in HOSTS:
            tasks.start_soon(upload, host)
    assert replies == [(200, WHOLE)] * len(HOSTS)
    for host in HOSTS:
        reply = await _serve(host, timeout(first_byte=SOON, read=SOON * 2)(_swallow), data=unfinished(), **POST)
        assert reply.status == 408


async def test_the_handler_s_time_goes_on_once_the_body_is_there() -> None:
    """It stood still, and was not switched off; nor does a wire that nobody reads from hold it."""

    @timeout(first_byte=SOON)
    async def handler(request: Request) -> Response:
        await request.body()
        async with anyio.create_task_group() as tasks:
            # As some do, to hear of a disconnect.
            tasks.start_soon(request.receive)
            await anyio.sleep_forever()
        raise AssertionError

    for host in (_on_installed, _on_fastapi, _on_app):
        wire = Wire(host(handler, Gate(log=EventList())))
        await wire.run()
        assert wire.sent[0]["status"] == 504


async def test_a_transaction_inside_rolls_back() -> None:
    """The clock runs around it."""
    seen: list[str] = []

    async def transaction(call: Call, proceed: Proceed) -> Outcome:
        try:
            return await proceed()
        except BaseException as exc:
            seen.append(type(exc).__name__)
            raise

    handler = compose(timeout(first_byte=SOON), guarded_by(Enclose(transaction)))(_hang)
    assert (await _serve(_on_installed, handler)).status == 504
    assert seen in (["CancelledError"], ["Cancelled"])


# Handlers that will not be cancelled, and requests that are


async def test_an_answer_that_comes_after_all_is_sent() -> None:
    """A handler that catches its cancellation, and then has an answer: the work is done, and the client hears of it."""

    @timeout(first_byte=SOON)
    async def handler(request: Request) -> Response:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return PlainTextResponse("after all")
        raise AssertionError

    for host in (_on_starlette, _on_installed):
        assert (await _serve(host, handler)).body == b"after all"


async def test_what_a_cancelled_handler_raises_is_its_answer() -> None:
    """It is no worse a handler than one that raises by itself."""

    @timeout(first_byte=SOON)
    async def handler(request: Request) -> Response:
        try:
            await anyio.sleep_forever()
        finally:
            raise ServiceUnavailable

    for host in (_on_starlette, _on_installed):
        assert (await _serve(host, handler)).status == 503


@pytest.mark.parametrize("host", [_on_installed, _on_fastapi, _on_app])
async def test_a_cancelled_request_stays_cancelled(host: Host) -> None:
    """A server that shuts down is no slow handler: nothing is sent, and the event has no status."""
    reached = anyio.Event()

    @timeout(first_byte=NEVER_REACHED, read=NEVER_REACHED)
    async def handler(request: Request) -> Response:
        reached.set()
        await anyio.sleep_forever()
        raise AssertionError

    events = EventList()
    wire = Wire(host(handler, Gate(log=events)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.run)
        await reached.wait()
        tasks.cancel_scope.cancel()
    assert wire.sent == []
    assert [event["status"] for event in requests(events)] == [None]


@pytest.mark.parametrize("host", [_on_installed, _on_fastapi, _on_app])
async def test_a_request_that_is_cancelled_when_its_time_is_up_stays_cancelled(host: Host) -> None:
    """The handler shields what it is at; meanwhile both happen."""
    up, release = anyio.Event(), anyio.Event()

    @timeout(first_byte=SOON)
    async def handler(request: Request) -> Response:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                up.set()
                await release.wait()
        raise AssertionError

    events = EventList()
    wire = Wire(host(handler, Gate(log=events)))
    sent: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.run)
        await up.wait()
        sent.append(len(wire.sent))
        tasks.cancel_scope.cancel()
        release.set()
    assert len(wire.sent) == sent[0]
    if host is _on_installed:
        assert (wire.sent, [event["status"] for event in requests(events)]) == ([], [None])


async def test_a_request_that_is_cancelled_while_its_body_is_late_stays_cancelled() -> None:
    """No 408 for nobody."""
    up, release = anyio.Event(), anyio.Event()

    async def receive() -> Message:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                up.set()
                await release.wait()
        raise AssertionError

    events = EventList()
    wire = Wire(_on_installed(timeout(read=SOON)(_swallow), Gate(log=events)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.app, wire.scope, receive, wire.send)
        await up.wait()
        tasks.cancel_scope.cancel()
        release.set()
    assert (wire.sent, [event["status"] for event in requests(events)]) == ([], [None])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("both", [True, False])
async def test_a_task_that_asyncio_cancels_is_no_slow_handler(both: bool) -> None:
    """Servers cancel their tasks by themselves, without a scope."""
    reached, release = asyncio.Event(), asyncio.Event()

    @timeout(first_byte=SOON if both else NEVER_REACHED)
    async def handler(request: Request) -> Response:
        if both:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    reached.set()
                    await release.wait()
        reached.set()
        await asyncio.sleep(NEVER_REACHED)
        raise AssertionError

    wire = Wire(_on_installed(handler, Gate(log=EventList())))
    task = asyncio.create_task(wire.run())
    await reached.wait()
    task.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wire.sent == []


# Plain handlers, which cannot be stopped


class Stuck:
    """A plain handler that is at work until it is let go."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended = threading.Event()
        self.let_go = threading.Event()

    def handler(self) -> Any:
        """Return it, as a function."""

        def stuck(request: Request) -> Response:
            self.started.append("started")
            assert self.let_go.wait(NEVER_REACHED)
            self.ended.set()
            return PlainTextResponse("to nobody")

        return stuck


def _abandoned(events: EventList) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == "handler_abandoned"]


@pytest.mark.parametrize("host", [host for host in HOSTS if host is not _on_app])
async def test_story_fastapi_1752_a_plain_handler_cannot_be_timed_out(host: Host) -> None:
    """Its client gets the 504 all the same, while it is still at work; one line in the log says that it is."""
    stuck = Stuck()
    events = EventList()
    try:
        reply = await _serve(host, timeout(first_byte=AMPLE)(stuck.handler()), events)
        assert (reply.status, stuck.started, stuck.ended.is_set()) == (504, ["started"], False)
    finally:
        stuck.let_go.set()
    if host is not _on_starlette:
        (event,) = _abandoned(events)
        assert (event["level"], event["handler"]) == ("warning", "Stuck.handler.<locals>.stuck")
        assert event["request_id"] == requests(events)[0]["request_id"]


async def test_a_plain_handler_of_somebody_else_keeps_its_request() -> None:
    """Behind an app its thread is not ours to abandon; the 504 is sent in time, and then the app is waited for."""
    stuck = Stuck()
    order: list[str] = []

    class Told(Wire):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if message["type"] == "http.response.body":
                order.append("answered")
                assert not stuck.ended.is_set()
                stuck.let_go.set()

    guarded: ASGIApp = timeout(first_byte=AMPLE)(Starlette(routes=[Route("/", stuck.handler(), methods=["POST"])]))
    events = EventList()
    wire = Told(Gate(log=events).wrap(guarded))
    await wire.run()
    assert (wire.sent[0]["status"], order, stuck.ended.is_set()) == (504, ["answered"], True)
    assert _abandoned(events) == []


async def test_a_plain_handler_in_time_is_answered() -> None:
    """What it returns, and what it raises."""

    @timeout(first_byte=NEVER_REACHED)
    def handler(request: Request) -> Response:
        if request.query_params:
            raise ServiceUnavailable
        return PlainTextResponse("in time")

    for host in HOSTS:
        assert (await _serve(host, handler)).body == b"in time"
        assert (await _serve(host, handler, query="fail=1")).status == 503


async def test_a_plain_handler_that_never_began_never_begins() -> None:
    """It waited for a thread: nothing is abandoned, and nothing done behind the back of its client."""
    ran: list[int] = []

    @timeout(first_byte=SOON)
    def handler(request: Request) -> Response:
        ran.append(1)
        return PlainTextResponse("done")

    events = EventList()
    app = _on_installed(handler, Gate(log=events))
    threads = to_thread.current_default_thread_limiter()
    somebody = object()
    before, threads.total_tokens = threads.total_tokens, 1
    try:
        await threads.acquire_on_behalf_of(somebody)
        assert (await call(app)).status == 504
        threads.release_on_behalf_of(somebody)
        assert ran == []
        assert (await call(app)).status == 200
    finally:
        threads.total_tokens = before
    assert _abandoned(events) == []


async def test_abandoned_handlers_cannot_take_more_threads_than_there_are() -> None:
    """A flood of requests to a handler that hangs would make a thread for each of them; then it is a 503, at once."""
    stuck = Stuck()
    events = EventList()
    app = _on_installed(timeout(first_byte=AMPLE)(stuck.handler()), Gate(log=events))
    threads = to_thread.current_default_thread_limiter()
    before, threads.total_tokens = threads.total_tokens, 2
    try:
        assert [(await call(app)).status for _ in range(3)] == [504, 504, 503]
    finally:
        threads.total_tokens = before
        stuck.let_go.set()
    assert len(stuck.started) == len(_abandoned(events)) == 2
    assert requests(events)[-1]["reason"] == "2 handlers that were abandoned are still running"


async def test_two_gates_count_apart() -> None:
    """What one app left behind is not the other's."""
    stuck = Stuck()
    handler = timeout(first_byte=AMPLE)(stuck.handler())
    threads = to_thread.current_default_thread_limiter()
    before, threads.total_tokens = threads.total_tokens, 1
    try:
        first, second = (_on_installed(handler, Gate(log=EventList())) for _ in range(2))
        assert [(await call(first)).status for _ in range(2)] == [504, 503]
        assert (await call(second)).status == 504
    finally:
        threads.total_tokens = before
        stuck.let_go.set()
