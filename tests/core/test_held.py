"""A surround around an app, or around FastAPI: the answer waits until the surround has looked at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright import Call, Conflict, Gate, Result, ok
from gatewright._core.decorate import guarded_by
from gatewright._core.guard import Proceed
from gatewright._core.outcome import Outcome
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, Reply, call
from tests.core.kit import Collect, Enclose, Repeat, requests, through
from tests.core.test_driver import Wire

pytestmark = pytest.mark.anyio

Serve = Callable[[Scope, Receive, Send], Awaitable[None]]
BOTH = pytest.mark.parametrize("kind", [Enclose, Collect], ids=["head", "body"])


def _app(surround: Enclose, serve: Serve) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await serve(scope, receive, send)

    return guarded_by(surround)(app)


async def _call(surround: Enclose, serve: Serve, events: EventList | None = None) -> Reply:
    return await call(_app(surround, serve), gate=Gate(log=EventList() if events is None else events))


async def _fetch(app: ASGIApp, path: str = "/") -> Wire:
    """Fetch a stream from a client that stays."""
    wire = Wire(app)
    wire.scope |= {"method": "GET", "path": path, "raw_path": path.encode()}
    await wire.run()
    return wire


class Look:
    """A surround's deed that keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bytes | None]] = []
        self.raised: list[BaseException] = []

    async def __call__(self, call: Call, proceed: Proceed) -> Outcome:
        """Proceed and look."""
        try:
            outcome = await proceed()
        except BaseException as exc:
            self.raised.append(exc)
            raise
        self.seen.append((outcome.status, outcome.body))
        return outcome


def _parts(made: list[str], *, at: Callable[[], object] = lambda: None) -> AsyncIterator[bytes]:
    async def parts() -> AsyncIterator[bytes]:
        for part in ("one", "two"):
            made.append(f"{part} {at()}")
            yield part.encode()
            await anyio.lowlevel.checkpoint()

    return parts()


# What the surround sees


async def test_the_head_is_seen_before_it_is_sent() -> None:
    """Status and headers; the body is still a stream."""
    look = Look()
    reply = await _call(Enclose(look), JSONResponse({"a": 1}, status_code=201))
    assert (reply.status, reply.json, look.seen) == (201, {"a": 1}, [(201, None)])


async def test_the_body_is_seen_where_it_was_asked_for() -> None:
    """Whole, whatever pieces it came in."""
    look = Look()
    wire = await _fetch(_app(Collect(look), StreamingResponse(_parts([]))))
    assert (wire.chunks, look.seen) == ([b"one", b"two"], [(200, b"onetwo")])


async def test_a_stream_stays_one_where_only_the_head_is_wanted() -> None:
    """The first chunk is sent before the second is made."""
    made: list[str] = []
    wire = Wire(_app(Enclose(Look()), StreamingResponse(_parts(made, at=lambda: len(wire.chunks)))))
    await wire.run()
    assert (wire.chunks, made) == ([b"one", b"two"], ["one 0", "two 1"])


async def test_nothing_is_sent_before_the_surround_returns() -> None:
    """It may take its time: the head waits, and so does the app."""
    sent_before: list[int] = []

    async def around(call: Call, proceed: Proceed) -> Outcome:
        outcome = await proceed()
        await anyio.lowlevel.checkpoint()
        sent_before.append(len(wire.sent))
        return outcome

    for kind in (Enclose, Collect):
        wire = Wire(_app(kind(around), StreamingResponse(_parts([]))))
        await wire.run()
        assert wire.chunks == [b"one", b"two"]
    assert sent_before == [0, 0]


@BOTH
async def test_what_the_surround_does_to_the_head_is_sent(kind: type[Enclose]) -> None:
    """Status and headers."""

    async def around(call: Call, proceed: Proceed) -> Outcome:
        outcome = await proceed()
        outcome.status = 203
        outcome.headers.append((b"x-seen", b"yes"))
        return outcome

    reply = await _call(kind(around), PlainTextResponse("done"))
    assert (reply.status, reply.headers["x-seen"], reply.body) == (203, "yes", b"done")


# What the surround drops


@BOTH
async def test_an_app_whose_outcome_is_dropped_is_cancelled(kind: type[Enclose]) -> None:
    """The surround's own outcome is sent; the app does not go on behind it, and cleans up."""
    order: list[str] = []

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await JSONResponse({"from": "app"})(scope, receive, send)
            order.append("went on")
        finally:
            order.append("cleaned up")

    async def around(call: Call, proceed: Proceed) -> Outcome:
        await proceed()
        return Outcome(200, [], b"another")

    events = EventList()
    reply = await _call(kind(around), serve, events)
    assert (reply.body, order) == (b"another", ["cleaned up"])
    assert len(events) == 1


async def test_an_app_may_be_asked_again() -> None:
    """Where the surround declares that it repeats: the last outcome is sent, the first app is stopped."""
    ran: list[int] = []

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        ran.append(len(ran))
        await JSONResponse({"try": len(ran)}, status_code=503 if len(ran) == 1 else 200)(scope, receive, send)

    async def around(call: Call, proceed: Proceed) -> Outcome:
        outcome = await proceed()
        return await proceed() if outcome.status == 503 else outcome

    reply = await _call(Repeat(around), serve)
    assert (reply.status, reply.json, ran) == (200, {"try": 2}, [0, 1])


async def test_a_surround_that_skips_an_app_does_not_start_it() -> None:
    """A replay or a cache hit."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    async def around(call: Call, proceed: Proceed) -> Outcome:
        return Outcome(200, [], b"kept")

    assert (await _call(Enclose(around), serve)).body == b"kept"


# What goes wrong


@BOTH
@pytest.mark.parametrize(("error", "status"), [(Conflict(code="taken"), 409), (ValueError("hunter2"), 500)])
async def test_an_exception_in_the_app_is_raised_inside_the_surround(
    kind: type[Enclose], error: Exception, status: int
) -> None:
    """As it is, in no group; the answer and the log are those of any exception."""
    look, events = Look(), EventList()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    reply = await _call(kind(look), serve, events)
    assert look.raised == [error]
    assert reply.status == status
    assert b"hunter2" not in reply.body
    assert [event["status"] for event in requests(events)] == [status]


@BOTH
async def test_an_app_that_answers_nothing_is_an_error(kind: type[Enclose]) -> None:
    """It is a 500, not a hang."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        return

    look = Look()
    assert (await _call(kind(look), serve)).status == 500
    assert isinstance(look.raised[0], RuntimeError)


async def test_an_exception_after_the_head_reaches_the_server_as_it_is() -> None:
    """The head is out; what the app raised then is raised, in no group, and logged as one request."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("hunter2")

    events = EventList()
    wire = Wire(Gate(log=events).wrap(_app(Enclose(Look()), StreamingResponse(broken()))))
    with pytest.raises(ValueError, match="hunter2"):
        await wire.run()
    assert wire.chunks == [b"one"]
    assert [event["status"] for event in requests(events)] == [200]


@pytest.mark.parametrize("how", ["raises", "returns"])
async def test_a_body_that_breaks_off_is_never_taken_for_a_whole_one(how: str) -> None:
    """A surround that keeps bodies must not keep half of one: the app's error is raised inside it."""
    look, events = Look(), EventList()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"half":', "more_body": True})
        if how == "raises":
            raise ValueError("hunter2")

    reply = await _call(Collect(look), serve, events)
    assert look.seen == []
    assert len(look.raised) == 1
    assert (reply.status, reply.json["error"]) == (500, "Internal server error")


async def test_a_file_is_collected_from_a_server_that_could_send_it_by_its_path(tmp_path: Path) -> None:
    """Then there would be no body to see; where only the head is wanted, the server may."""
    (tmp_path / "a.txt").write_text("hello")
    for kind, seen, sent in ((Collect, b"hello", b"hello"), (Enclose, None, b"")):
        look = Look()
        wire = Wire(_app(kind(look), FileResponse(tmp_path / "a.txt")))
        wire.scope |= {"method": "GET", "extensions": {"http.response.pathsend": {}}}
        await wire.run()
        assert (look.seen, b"".join(wire.chunks)) == ([(200, seen)], sent)


@BOTH
async def test_a_client_that_has_gone_is_the_app_s_to_hear_of(kind: type[Enclose]) -> None:
    """What `send` raises comes out as it is, in no group."""

    async def gone(message: Message) -> None:
        raise OSError("broken pipe")

    wire = Wire(_app(kind(Look()), PlainTextResponse("done")))
    with pytest.raises(OSError, match="broken pipe"):
        await wire.app(wire.scope, wire.receive, gone)


async def test_a_client_that_leaves_in_the_middle_ends_the_app() -> None:
    """The app hears of it where it sends."""
    heard: list[str] = []

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"more", "more_body": True})
        except OSError:
            heard.append("gone")
            raise

    wire = Wire(_app(Enclose(Look()), serve))

    async def breaking(message: Message) -> None:
        await wire.send(message)
        if len(wire.chunks) == 3:
            raise OSError("broken pipe")

    with pytest.raises(OSError, match="broken pipe"):
        await wire.app(wire.scope, wire.receive, breaking)
    assert heard == ["gone"]


@BOTH
async def test_a_cancelled_request_cancels_the_app(kind: type[Enclose]) -> None:
    """While it works, and while its answer waits for the surround."""
    order: list[str] = []
    reached = anyio.Event()

    async def working(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reached.set()
            await anyio.sleep_forever()
        finally:
            order.append("app")

    async def lingering(call: Call, proceed: Proceed) -> Outcome:
        await proceed()
        reached.set()
        await anyio.sleep_forever()
        raise AssertionError

    for surround, serve in ((kind(through), working), (kind(lingering), PlainTextResponse("done"))):
        reached = anyio.Event()
        events = EventList()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Wire(Gate(log=events).wrap(_app(surround, serve))).run)
            await reached.wait()
            tasks.cancel_scope.cancel()
        assert [(event["event"], event["status"]) for event in events] == [("request", None)]
    assert order == ["app"]


@BOTH
async def test_background_tasks_run_after_the_release(kind: type[Enclose]) -> None:
    """The app goes on once its answer has been sent."""
    order: list[str] = []

    async def around(call: Call, proceed: Proceed) -> Outcome:
        outcome = await proceed()
        order.append("released")
        return outcome

    async def background() -> None:
        order.append(f"background after {len(wire.sent)}")

    wire = Wire(_app(kind(around), PlainTextResponse("done", background=BackgroundTask(background))))
    await wire.run()
    assert order == ["released", "background after 2"]


# FastAPI


def _fastapi(surround: Enclose, order: list[str], how: str) -> ASGIApp:
    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()

    async def transaction() -> AsyncIterator[str]:
        order.append("open")
        try:
            yield "session"
        except Exception as exc:
            order.append(f"rollback {type(exc).__name__}")
            raise
        finally:
            order.append("close")

    @router.get("/")
    @guarded_by(surround)
    async def handler(fail: bool = False, session: str = Depends(transaction)) -> Result[str]:
        order.append("handler")
        if fail:
            raise Conflict
        return ok(session)

    @router.get("/stream")
    @guarded_by(surround)
    async def stream() -> Response:
        return StreamingResponse(_parts(order), background=BackgroundTask(order.append, "background"))

    app = FastAPI()
    app.include_router(router)
    if how == "installed":
        Gate(log=EventList()).install(app)
    return app


@BOTH
@pytest.mark.parametrize("how", ["route class", "installed"])
async def test_a_surround_encloses_a_fastapi_operation(kind: type[Enclose], how: str) -> None:
    """Dependencies with `yield` included; it sees the answer, or the error, and the dependency rolls back."""
    order: list[str] = []
    look = Look()
    app = _fastapi(kind(look), order, how)
    reply = await call(app)
    assert reply.json == {"success": True, "data": "session"}
    assert look.seen == [(200, reply.body if kind is Collect else None)]
    assert order == ["open", "handler", "close"]
    order.clear()
    reply = await call(app, query="fail=1")
    assert (reply.status, reply.json["code"]) == (409, "conflict")
    assert order == ["open", "handler", "rollback Conflict", "close"]


@BOTH
@pytest.mark.parametrize("how", ["route class", "installed"])
async def test_a_fastapi_stream_and_its_background_tasks(kind: type[Enclose], how: str) -> None:
    """Both survive a surround."""
    order: list[str] = []
    look = Look()
    wire = await _fetch(_fastapi(kind(look), order, how), "/stream")
    assert wire.chunks == [b"one", b"two"]
    assert look.seen == [(200, b"onetwo" if kind is Collect else None)]
    assert order[-1] == "background"


# A surround that wants the body, on a function


def _routes(handler: Any) -> dict[str, ASGIApp]:
    plain, installed = (Starlette(routes=[Route("/", handler)]) for _ in range(2))
    gate = Gate(log=EventList())
    gate.install(installed)
    return {"plain": plain, "installed": installed}


@pytest.mark.parametrize("how", ["plain", "installed"])
async def test_a_stream_of_a_function_is_collected_too(how: str) -> None:
    """`wants_body` holds for a handler that returns a stream: a replay of it has the whole body."""
    look = Look()

    @guarded_by(Collect(look))
    async def handler(request: Request) -> Response:
        return StreamingResponse(_parts([]))

    wire = await _fetch(_routes(handler)[how])
    assert (b"".join(wire.chunks), look.seen) == (b"onetwo", [(200, b"onetwo")])


@pytest.mark.parametrize("how", ["plain", "installed"])
async def test_half_a_stream_of_a_function_is_no_outcome(how: str) -> None:
    """The client left; a surround that keeps bodies must not keep half of one."""
    look, order = Look(), list[str]()

    async def endless() -> AsyncIterator[bytes]:
        yield b"one"
        await anyio.sleep_forever()

    @guarded_by(Collect(look))
    async def handler(request: Request) -> Response:
        return StreamingResponse(endless(), background=BackgroundTask(order.append, "background"))

    wire = Wire(_routes(handler)[how])
    # A server that tells by `receive`; later ones raise in `send`, which is not reached yet.
    wire.scope |= {"method": "GET", "asgi": {"version": "3.0", "spec_version": "2.3"}}
    wire.gone.set()
    await wire.run()
    assert (look.seen, order) == ([], [])
    assert [type(exc) for exc in look.raised] == [ClientDisconnect]


@pytest.mark.parametrize("how", ["plain", "installed"])
async def test_the_body_of_a_function_s_response_is_seen(how: str) -> None:
    """A response that has its body shows it, and its background task runs."""
    look, order = Look(), list[str]()

    @guarded_by(Collect(look))
    async def handler(request: Request) -> Response:
        return PlainTextResponse("done", background=BackgroundTask(order.append, "background"))

    reply = await call(_routes(handler)[how])
    assert (reply.body, look.seen, order) == (b"done", [(200, b"done")], ["background"])
