"""The same on every host: a function on a plain route, installed, FastAPI, a whole app; and streams stay streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright import Call, ConfigurationError, Gate, NotFound, Result, ok
from gatewright._core.guard import Proceed
from gatewright._core.outcome import Outcome
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.guards import guarded_by
from gatewright.idempotency import idempotent
from gatewright.idempotency.answer import HEADERS, write
from gatewright.idempotency.claim import Claim, Recording
from gatewright.starlette import GuardedRoute
from gatewright.testing import Reply, call, handshake, make_call
from tests.core.test_driver import Wire
from tests.idempotency.kit import KEY, Shop, replayed, short
from tests.idempotency.test_idempotent import Early

pytestmark = pytest.mark.anyio

Handler = Callable[[Request], Any]
Host = Callable[[Shop, Handler], ASGIApp]


def _plain(shop: Shop, handler: Handler) -> ASGIApp:
    return shop.gate.wrap(Starlette(routes=[Route("/{id}", idempotent(max_body=1000)(handler), methods=["POST"])]))


def _installed(shop: Shop, handler: Handler) -> ASGIApp:
    app = Starlette(routes=[Route("/{id}", idempotent(max_body=1000)(handler), methods=["POST"])])
    shop.gate.install(app)
    return app


def _guarded_route(shop: Shop, handler: Handler) -> ASGIApp:
    routes = [GuardedRoute("/{id}", idempotent(max_body=1000)(handler), methods=["POST"])]
    return shop.gate.wrap(Starlette(routes=routes))


def _fastapi_route(shop: Shop, handler: Handler) -> ASGIApp:
    router = APIRouter(route_class=FastAPIRoute)
    router.post("/{id}")(idempotent(max_body=1000)(handler))
    app = FastAPI()
    app.include_router(router)
    return shop.gate.wrap(app)


def _fastapi_installed(shop: Shop, handler: Handler) -> ASGIApp:
    app = FastAPI()
    app.post("/{id}")(idempotent(max_body=1000)(handler))
    shop.gate.install(app)
    return app


def _in_front_of_an_app(shop: Shop, handler: Handler) -> ASGIApp:
    return shop.gate.wrap(idempotent(max_body=1000)(Starlette(routes=[Route("/{id}", handler, methods=["POST"])])))


def _at_both_levels(shop: Shop, handler: Handler) -> ASGIApp:
    inner = Starlette(routes=[GuardedRoute("/{id}", idempotent(max_body=1000)(handler), methods=["POST"])])
    return shop.gate.wrap(idempotent(max_body=1000)(inner))


HOSTS = [
    _plain,
    _installed,
    _guarded_route,
    _fastapi_route,
    _fastapi_installed,
    _in_front_of_an_app,
    _at_both_levels,
]
ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS, ids=[host.__name__.strip("_") for host in HOSTS])


async def _post(app: ASGIApp, path: str = "/1", **more: Any) -> Reply:
    return await call(app, **{"method": "POST", "path": path, "headers": KEY, **more})


@ON_EVERY_HOST
async def test_work_is_done_once(host: Host) -> None:
    """The answer, the replay, and the refusal of another request; another path is another place."""
    shop = Shop()

    async def handler(request: Request) -> Response:
        shop.done.append(request.path_params["id"])
        return JSONResponse({"said": (await request.body()).decode()}, status_code=201, headers={"X-Seen": "1"})

    app = host(shop, handler)
    first, second, other = [await _post(app, data=data) for data in (b"a", b"a", b"b")]
    assert (first.status, first.json, second.status, second.json) == (201, {"said": "a"}, 201, {"said": "a"})
    assert (replayed(first), replayed(second), short(other)) == (False, True, (422, "idempotency_key_reused"))
    assert "x-seen" not in second.headers
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert not replayed(await _post(app, "/2", data=b"a"))
    assert shop.done == ["1", "2"]


@ON_EVERY_HOST
async def test_what_the_handler_raises_is_kept_or_not(host: Host) -> None:
    """A refusal is what came of the work; a failure is not."""
    shop = Shop()

    async def handler(request: Request) -> Response:
        shop.done.append(request.path_params["id"])
        if request.path_params["id"] == "refused":
            raise NotFound("No such tea")
        if len(shop.done) == 2:
            raise ValueError("hunter2")
        return PlainTextResponse("done")

    app = host(shop, handler)
    first = await _post(app, "/refused")
    assert first.status == 404
    with suppress(ValueError):  # an app of Starlette that no gate is installed in answers, and raises it as well
        assert (await _post(app, "/fails")).status == 500
    second = await _post(app, "/fails")
    assert (second.status, replayed(second)) == (200, False)
    again = await _post(app, "/refused")
    assert (again.status, again.body, replayed(again)) == (404, first.body, True)
    assert shop.done == ["refused", "fails", "fails"]


@ON_EVERY_HOST
async def test_a_stream_stays_a_stream(host: Host) -> None:
    """Its first part is sent before its second is made; a replay has the whole body, and its work is done once."""
    shop = Shop()

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"two"):
            shop.done.append(f"{part.decode()} after {len(wire.chunks)}")
            yield part
            await anyio.lowlevel.checkpoint()

    async def handler(request: Request) -> Response:
        background = BackgroundTask(shop.done.append, "background")
        return StreamingResponse(parts(), media_type="text/plain", background=background)

    app = host(shop, handler)
    wire = _wire(app)
    await wire.run()
    assert wire.chunks == [b"one", b"two"]
    assert shop.done == ["one after 0", "two after 1", "background"]
    reply = await _post(app, headers={**KEY, "content-type": "application/octet-stream"})
    assert (reply.body, reply.headers["content-length"], replayed(reply)) == (b"onetwo", "6", True)
    assert reply.headers["content-type"].startswith("text/plain")
    assert len(shop.done) == 3


@ON_EVERY_HOST
async def test_a_stream_holds_its_key_until_its_last_byte(host: Host) -> None:
    """In between a retry is refused; with the last byte the answer is there already."""
    shop = Shop()
    seen: list[tuple[int, str] | bool] = []

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        seen.append(short(await _post(app, headers=TYPED)))
        yield b"two"

    async def handler(request: Request) -> Response:
        return StreamingResponse(parts())

    app = host(shop, handler)
    wire = _wire(app)

    async def send(message: Message) -> None:
        await wire.send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            seen.append(replayed(await _post(app, headers=TYPED)))

    await app(wire.scope, wire.receive, send)
    assert seen == [(409, "idempotency_key_in_use"), True]


@ON_EVERY_HOST
async def test_a_stream_that_is_too_large_is_not_held_in_memory(host: Host) -> None:
    """It is sent whole; a retry is told that the work was done."""
    shop = Shop()

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(110):
            yield b"ten bytes!"

    async def handler(request: Request) -> Response:
        shop.done.append("work")
        return StreamingResponse(parts())

    app = host(shop, handler)
    wire = _wire(app)
    await wire.run()
    assert len(b"".join(wire.chunks)) == 1100
    assert short(await _post(app, headers=TYPED)) == (409, "idempotency_answer_lost")
    assert shop.done == ["work"]


async def test_what_is_too_large_is_let_go_of() -> None:
    """However long a stream is, no more than may be kept is held."""
    held: list[int] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        for number in range(100):
            await send({"type": "http.response.body", "body": b"ten bytes!", "more_body": number < 99})

    async def look(message: Message) -> None:
        held.append(sum(map(len, recording._chunks)))

    made = make_call()
    claim = Claim(made, made.gate.records("the test"), "name", "print", "token", 60, 60)
    recording = Recording(Outcome(200, [], None, stream), claim, partial(write, HEADERS, 200), 55)
    await recording({"type": "http"}, made.receive(), look)
    assert (max(held), held[-1], len(held)) == (50, 0, 100)


@ON_EVERY_HOST
async def test_a_stream_that_breaks_off_frees_the_key(host: Host) -> None:
    """Half an answer is never kept."""
    shop = Shop()

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ValueError("hunter2")

    async def handler(request: Request) -> Response:
        shop.done.append("work")
        return StreamingResponse(broken()) if len(shop.done) == 1 else PlainTextResponse("whole")

    app = host(shop, handler)
    with pytest.raises(ValueError, match="hunter2"):
        await _wire(app).run()
    reply = await _post(app, headers=TYPED)
    assert (reply.body, replayed(reply)) == (b"whole", False)


@ON_EVERY_HOST
async def test_a_client_that_leaves_in_the_middle_of_a_stream_frees_the_key(host: Host) -> None:
    """It has half an answer, and the next one has to be whole."""
    shop = Shop()

    async def endless() -> AsyncIterator[bytes]:
        yield b"half"
        wire.gone.set()
        await anyio.sleep_forever()

    async def handler(request: Request) -> Response:
        shop.done.append("work")
        return StreamingResponse(endless()) if len(shop.done) == 1 else PlainTextResponse("whole")

    app = host(shop, handler)
    wire = _wire(app)
    wire.scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}
    await wire.run()
    reply = await _post(app, headers=TYPED)
    assert (reply.body, replayed(reply)) == (b"whole", False)


@ON_EVERY_HOST
async def test_a_cancelled_stream_frees_the_key(host: Host) -> None:
    """Shielded, and before the call is over."""
    shop = Shop()
    reached = anyio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"half"
        reached.set()
        await anyio.sleep_forever()

    async def handler(request: Request) -> Response:
        shop.done.append("work")
        return StreamingResponse(endless()) if len(shop.done) == 1 else PlainTextResponse("whole")

    app = host(shop, handler)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_wire(app).run)
        await reached.wait()
        tasks.cancel_scope.cancel()
    assert (await _post(app, headers=TYPED)).body == b"whole"


@ON_EVERY_HOST
@pytest.mark.parametrize("extensions", [{}, {"http.response.pathsend": {}}], ids=["by its bytes", "by its path"])
@pytest.mark.parametrize("size", [5, 1000, 1001])
async def test_a_file_is_kept_however_it_is_sent(host: Host, extensions: Any, size: int, tmp_path: Path) -> None:
    """A server that sends files by their path may do so; with the headers that a file gets when it is sent."""
    shop = Shop()
    (tmp_path / "a.txt").write_bytes(b"x" * size)

    async def handler(request: Request) -> Response:
        return FileResponse(tmp_path / "a.txt")

    app = host(shop, handler)
    wire = _wire(app)
    wire.scope["extensions"] = extensions
    await wire.run()
    assert wire.sent[1]["type"] == ("http.response.pathsend" if extensions else "http.response.body")
    reply = await _post(app, headers=TYPED)
    if size > 1000:
        assert short(reply) == (409, "idempotency_answer_lost")
    else:
        assert (reply.body, replayed(reply)) == (b"x" * size, True)
        assert reply.headers["last-modified"]


TYPED = {**KEY, "content-type": "application/octet-stream"}


def _wire(app: ASGIApp) -> Wire:
    wire = Wire(app)
    wire.scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in TYPED.items()]
    wire.scope |= {"path": "/1", "raw_path": b"/1"}
    return wire


async def test_what_a_surround_further_out_does_to_a_stream_is_sent() -> None:
    """And is not kept: it will do it again."""
    shop = Shop()

    async def around(call: Call, proceed: Proceed) -> Outcome:
        outcome = await proceed()
        outcome.status = 203
        outcome.headers = [*outcome.headers, (b"x-seen", b"yes")]
        return outcome

    async def parts() -> AsyncIterator[bytes]:
        yield b"done"

    @guarded_by(Early(around))
    @idempotent()
    async def handler(request: Request) -> Response:
        return StreamingResponse(parts())

    for again in (False, True):
        reply = await shop.post(handler)
        assert (reply.status, reply.headers["x-seen"], reply.body, replayed(reply)) == (203, "yes", b"done", again)
    (record,) = shop.gate.records("the test")._records.values()  # type: ignore[attr-defined]
    assert record.value.startswith(b"1[200,")


async def test_a_stream_that_is_dropped_further_out_frees_the_key() -> None:
    """Nobody will ever see its last byte."""
    shop = Shop()

    async def around(call: Call, proceed: Proceed) -> Outcome:
        await proceed()
        return Outcome(503, [], b"instead")

    async def parts() -> AsyncIterator[bytes]:
        raise AssertionError
        yield

    @guarded_by(Early(around))
    @idempotent()
    async def handler(request: Request) -> Response:
        shop.done.append("work")
        return StreamingResponse(parts())

    assert [(await shop.post(handler)).status for _ in range(2)] == [503, 503]
    assert shop.done == ["work", "work"]


async def test_a_surround_further_out_may_want_the_body_of_a_stream() -> None:
    """Then it is collected, and kept when it is whole; what was to run after it still does."""
    shop = Shop()

    async def around(call: Call, proceed: Proceed) -> Outcome:
        outcome = await proceed()
        shop.done.append(outcome.body)
        return outcome

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    @guarded_by(EarlyBody(around))
    @idempotent()
    async def handler(request: Request) -> Response:
        return StreamingResponse(parts(), background=BackgroundTask(shop.done.append, "background"))

    replies = [await shop.post(handler) for _ in range(2)]
    assert [(reply.body, replayed(reply)) for reply in replies] == [(b"onetwo", False), (b"onetwo", True)]
    assert shop.done == [b"onetwo", "background", b"onetwo"]


class EarlyBody(Early):
    """A surround that stands before the keys, and sees the whole body."""

    name = "early_body"
    wants_body = True


async def test_two_handlers_in_one_app_do_not_share_their_keys() -> None:
    """Nor do two mounts of one."""
    shop = Shop()

    @idempotent()
    async def first(request: Request) -> Result[str]:
        return ok("first")

    @idempotent()
    async def second(request: Request) -> Result[str]:
        return ok("second")

    routes = [Route("/first", first, methods=["POST"]), Route("/second", second, methods=["POST"])]
    app = Starlette(routes=[Mount("/a", routes=routes), Mount("/b", routes=routes)])
    shop.gate.install(app)
    for path, said in (("/a/first", "first"), ("/a/second", "second"), ("/b/first", "first")):
        reply = await _post(app, path)
        assert (reply.json["data"], replayed(reply)) == (said, False)


async def test_apps_in_apps_do_not_wait_for_each_other() -> None:
    """Each level has its own record, or the inner app would find its key in use, by its own request."""
    shop = Shop()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        shop.done.append("work")
        await PlainTextResponse("done")(scope, receive, send)

    inner = idempotent()(app)

    async def between(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)

    guarded = shop.gate.wrap(idempotent()(between))
    replies = [await _post(guarded) for _ in range(2)]
    assert [(reply.status, replayed(reply)) for reply in replies] == [(200, False), (200, True)]
    assert shop.done == ["work"]


async def test_two_apps_with_two_gates_do_not_meet() -> None:
    """Records are the gate's."""
    shops = [Shop(), Shop()]

    @idempotent()
    async def handler(request: Request) -> Result[str]:
        return ok("done")

    for shop in shops:
        assert not replayed(await shop.post(handler))


async def test_methods_of_a_class() -> None:
    """Each has its own guards."""
    shop = Shop()

    class Orders(HTTPEndpoint):
        @idempotent()
        async def post(self, request: Request) -> Result[str]:
            shop.done.append("work")
            return ok("done")

    app = Starlette(routes=[Route("/orders", Orders)])
    shop.gate.install(app)
    assert [replayed(await _post(app, "/orders")) for _ in range(2)] == [False, True]


async def test_a_handler_of_starlette_without_a_gate() -> None:
    """The process's default gate has records too."""
    done: list[str] = []

    @idempotent()
    def handler(request: Request) -> Result[str]:
        done.append("work")
        return ok("done")

    app = Starlette(routes=[Route("/", handler, methods=["POST"])])
    assert [replayed(await _post(app, "/")) for _ in range(2)] == [False, True]
    assert done == ["work"]


async def test_a_dependency_of_fastapi_is_inside() -> None:
    """It is not entered for a replay; one that refuses has its refusal kept by the rules of any other."""
    shop = Shop()

    async def session(user: str = "") -> AsyncIterator[str]:
        shop.done.append("open")
        if user == "nobody":
            raise HTTPException(401)
        yield "session"
        shop.done.append("close")

    router = APIRouter(route_class=FastAPIRoute)

    @router.post("/")
    @idempotent()
    async def handler(session: str = Depends(session)) -> Result[str]:
        return ok(session)

    app = FastAPI()
    app.include_router(router)
    app = shop.gate.wrap(app)  # type: ignore[assignment]
    assert [replayed(await _post(app, "/")) for _ in range(2)] == [False, True]
    assert shop.done == ["open", "close"]
    other = {"Idempotency-Key": "other"}
    refused = [await _post(app, "/", query="user=nobody", headers=other) for _ in range(2)]
    assert [(reply.status, replayed(reply)) for reply in refused] == [(401, False), (401, False)]


def test_plain_fastapi_is_refused_with_what_to_write() -> None:
    """There is nobody who could give it the answer."""

    @idempotent()
    async def handler() -> Result[str]:
        return ok("done")

    app = FastAPI()
    app.post("/")(handler)
    with pytest.raises(ConfigurationError, match=r"idempotent encloses the whole answer.*GuardedRoute"):
        anyio.run(lambda: call(app, method="POST"))


async def test_errors_that_the_app_answers_itself_are_not_kept_on_starlette() -> None:
    """Its author's handler is further out, where nobody here sees what it says; the next one does the work again."""
    shop = Shop()

    async def answer(request: Request, exc: Exception) -> Response:
        return PlainTextResponse("no tea", status_code=404)

    @idempotent()
    async def handler(request: Request) -> Result[str]:
        shop.done.append("work")
        raise NotFound

    app = Starlette(
        routes=[Route("/", handler, methods=["POST"])],
        exception_handlers={NotFound: answer},
    )
    shop.gate.install(app)
    replies = [await _post(app, "/") for _ in range(2)]
    assert [(reply.status, reply.body, replayed(reply)) for reply in replies] == [(404, b"no tea", False)] * 2


# A raw app


async def test_a_raw_app() -> None:
    """One that knows nothing of routes: the path says where the key is good."""
    shop = Shop()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        shop.done.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", b"text/plain")]})
        await send({"type": "http.response.body", "body": memoryview(body), "more_body": True})
        await send({"type": "http.response.body"})

    guarded = shop.gate.wrap(idempotent()(app))
    for path in ("/a", "/b"):
        replies = [await _post(guarded, path, data=b"tea") for _ in range(2)]
        assert [(reply.body, replayed(reply)) for reply in replies] == [(b"tea", False), (b"tea", True)]
        assert replies[1].headers["content-type"] == "text/plain"
    assert shop.done == [("/a", b"tea"), ("/b", b"tea")]


async def test_what_comes_after_the_last_byte_is_no_part_of_the_answer() -> None:
    """An app that breaks the protocol does not get to change what is kept."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for part in (b"whole", b"more"):
            await send({"type": "http.response.body", "body": part})
        await send({"type": "http.response.trailers", "headers": []})

    guarded = Shop().gate.wrap(idempotent()(app))
    await _post(guarded)
    assert (await _post(guarded)).body == b"whole"


async def test_a_websocket_has_no_key() -> None:
    """In front of an app it passes."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    assert (await handshake(Gate(log=Shop().events).wrap(idempotent(required=True)(app)))).accepted
