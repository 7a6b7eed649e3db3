"""A decorated function as a FastAPI path operation: everything that FastAPI promises stays as it was."""

from __future__ import annotations

import functools
import inspect
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Body, Cookie, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

import gatewright
from gatewright import (
    Call,
    Forbidden,
    FromBody,
    Gate,
    Logger,
    Page,
    PageParams,
    Principal,
    Result,
    err,
    ok,
    paginate,
    validate,
)
from gatewright._core.decorate import guarded_by
from gatewright._core.guard import Answer
from gatewright._core.phase import Phase
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, Reply, call, handshake
from tests.core.kit import AsyncStep, Step, printed, requests
from tests.core.test_driver import Wire
from tests.toys import Identify, Trace

pytestmark = pytest.mark.anyio
identified = guarded_by(Identify())
ALICE = {"x-caller": "alice"}


class Item(BaseModel):
    """A body that FastAPI parses."""

    name: str


class Made(BaseModel):
    """An answer."""

    id: int


class Row:
    """What a database gives: more than the client may see."""

    id = 1
    password = "hunter2"


class App:
    """A FastAPI app that is served in one of the three ways."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.events = EventList()
        self.fastapi = FastAPI()
        self.router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()

    def post(self, path: str = "/", **options: Any) -> Callable[[Any], Any]:
        """Add a path operation."""
        return self.router.post(path, **options)

    @functools.cached_property
    def served(self) -> ASGIApp:
        """Return the app, complete."""
        self.fastapi.include_router(self.router)
        if self.how == "installed":
            Gate(log=self.events).install(self.fastapi)
        return self.fastapi

    async def call(self, **request: Any) -> Reply:
        """Send a POST from Alice, or from whoever is said."""
        return await call(self.served, **{"method": "POST", "headers": ALICE, **request})


@pytest.fixture(params=["plain", "route class", "installed"])
def app(request: pytest.FixtureRequest) -> App:
    """Return an app for each of the three ways."""
    return App(request.param)


def _names(reply: Reply) -> list[bytes]:
    return [name for name, _ in reply.raw_headers]


# What FastAPI sees


def test_fastapi_sees_its_own_parameters_and_one_more() -> None:
    """Ours are gone; the first dependency stands first, and everything is keyword-only; variadics stay last."""

    @guarded_by(Identify())
    @validate
    async def handler(request, item: Item, me: Principal, body: FromBody[Item], q: str = "x", **more: Any):  # type: ignore[no-untyped-def]
        return ok()

    signature = inspect.signature(handler)
    assert list(signature.parameters) == ["gatewright_turn", "request", "item", "q", "more"]
    kinds = {parameter.kind for parameter in list(signature.parameters.values())[:-1]}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
    assert signature.parameters["request"].annotation is Request
    assert signature.parameters["item"].annotation is Item
    assert signature.parameters["q"].default == "x"


# Parameters, dependencies, answers


async def test_all_of_fastapi_s_parameters_arrive(app: App) -> None:
    """Path, query, header, cookie, body, dependency, request, background tasks, beside what guards fill."""
    order: list[str] = []

    async def dependency(q: str) -> str:
        return f"dep {q}"

    @app.post("/{item_id}")
    @identified
    async def handler(
        item_id: Annotated[int, Path()],
        principal: Principal,
        q: Annotated[str, Query()],
        x_more: Annotated[str, Header()],
        crumb: Annotated[str, Cookie()],
        item: Annotated[Item, Body()],
        request: Request,
        tasks: BackgroundTasks,
        guarded_call: Call,
        dep: str = Depends(dependency),
    ) -> Result[list[Any]]:
        tasks.add_task(order.append, "background")
        assert guarded_call.principal is principal
        return ok([item_id, principal.sub, q, x_more, crumb, item.name, dep, request.method])

    headers = ALICE | {"x-more": "m", "cookie": "crumb=c"}
    reply = await app.call(path="/7", query="q=1", headers=headers, json={"name": "n"})
    assert reply.json["data"] == [7, "alice", "1", "m", "c", "n", "dep 1", "POST"]
    assert order == ["background"]
    invalid = await app.call(path="/x", query="q=1", headers=headers, json={"name": "n"})
    assert invalid.status == (422 if app.how == "plain" else 400)


async def test_an_unannotated_connection_arrives(app: App) -> None:
    """In the way of Starlette, on FastAPI too."""

    @app.post()
    @identified
    async def handler(request, principal: Principal):  # type: ignore[no-untyped-def]
        return {"method": request.method, "sub": principal.sub}

    assert (await app.call()).json == {"method": "POST", "sub": "alice"}


async def test_the_logger_is_filled_on_fastapi_too(app: App) -> None:
    """As on Starlette."""

    @app.post()
    @identified
    async def handler(logger: Logger) -> Result[str]:
        logger.info("seen")
        return ok("done")

    assert (await app.call()).json["data"] == "done"


async def test_status_model_headers_and_cookies_are_the_author_s(app: App) -> None:
    """`status_code=`, `response_model=` and an injected `Response` do what they always do."""

    @app.post("/declared", status_code=202, response_model=Made)
    @identified
    async def declared(response: Response) -> Any:
        response.headers["x-own"] = "yes"
        response.set_cookie("crumb", "c")
        return {"id": 1, "password": "hunter2"}

    @app.post("/set")
    @identified
    def at_run_time(response: Response) -> dict[str, int]:
        response.status_code = 203
        return {"id": 2}

    reply = await app.call(path="/declared")
    assert (reply.status, reply.json) == (202, {"id": 1})
    assert (reply.headers["x-own"], reply.cookies) == ("yes", {"crumb": "c"})
    reply = await app.call(path="/set")
    assert (reply.status, reply.json) == (203, {"id": 2})
    assert "x-request-id" in reply.headers
    if app.how == "installed":
        assert [event["status"] for event in app.events] == [202, 203]


async def test_what_is_no_result_is_left_to_fastapi(app: App) -> None:
    """A dict, a model, None: no envelope."""

    @app.post("/dict")
    @identified
    async def mapping() -> dict[str, int]:
        return {"id": 1}

    @app.post("/model")
    @identified
    async def model() -> Made:
        return Made(id=1)

    @app.post("/none")
    @identified
    async def none():  # type: ignore[no-untyped-def]
        return None

    assert [(await app.call(path=path)).json for path in ("/dict", "/model", "/none")] == [{"id": 1}, {"id": 1}, None]


async def test_a_result_is_the_envelope_and_filters(app: App) -> None:
    """Its status and headers count; data is filtered through the declared type."""

    @app.post("/declared")
    @identified
    async def declared() -> Result[Made]:
        return ok(Row(), status=201, headers={"Location": "/1"}, cookies=[gatewright.Cookie("crumb", "c")])  # type: ignore[arg-type]

    @app.post("/undeclared")
    @identified
    async def undeclared():  # type: ignore[no-untyped-def]
        return ok({"id": 1})

    @app.post("/set", status_code=202)
    @identified
    async def both() -> Result[Made]:
        return ok(Made(id=1))

    reply = await app.call(path="/declared")
    assert (reply.status, reply.json) == (201, {"success": True, "data": {"id": 1}})
    assert (reply.headers["location"], reply.cookies) == ("/1", {"crumb": "c"})
    assert (await app.call(path="/undeclared")).json == {"success": True, "data": {"id": 1}}
    assert (await app.call(path="/set")).status == 202


async def test_a_delete_without_data_has_no_content(app: App) -> None:
    """204 where no other status was declared."""

    @app.router.delete("/")
    @identified
    async def gone() -> Result[None]:
        return ok()

    @app.router.delete("/declared", status_code=200)
    @identified
    async def declared() -> Result[None]:
        return ok()

    reply = await app.call(method="DELETE")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers.get("content-length", "0") == "0"
    assert (await app.call(method="DELETE", path="/declared")).status == 200


async def test_a_response_passes_untouched(app: App) -> None:
    """With its own status, headers and background task; dressed once."""
    order: list[str] = []

    @app.post()
    @identified
    async def handler(tasks: BackgroundTasks) -> PlainTextResponse:
        tasks.add_task(order.append, "background")
        return PlainTextResponse("plain", status_code=203, headers={"X-Frame-Options": "SAMEORIGIN"})

    reply = await app.call()
    assert (reply.status, reply.body, order) == (203, b"plain", ["background"])
    assert reply.headers["x-frame-options"] == "SAMEORIGIN"
    assert len(_names(reply)) == len(set(_names(reply)))


@pytest.mark.parametrize("through", ["result", "injected"])
async def test_a_handler_s_own_header_wins_on_a_result_too(app: App, through: str) -> None:
    """Each header once, whatever guards and gate add."""

    @app.post()
    @guarded_by(Trace(Phase.ADMIT))
    async def handler(response: Response) -> Result[None]:
        own = {"Referrer-Policy": "origin", "X-Trace-T": "mine"}
        if through == "result":
            return ok(headers=own)
        for name, value in own.items():
            response.headers[name] = value
        return ok()

    reply = await app.call()
    assert (reply.headers["referrer-policy"], reply.headers["x-trace-t"]) == ("origin", "mine")
    assert len(_names(reply)) == len(set(_names(reply)))


async def test_an_err_carries_its_cookies_and_headers(app: App) -> None:
    """Signing somebody out with a 401 deletes the cookie."""

    @app.post()
    @identified
    async def handler() -> Result[None]:
        cookies = [gatewright.Cookie("crumb", "", max_age=0), gatewright.Cookie("other", "o")]
        return err("gone", status=410, code="gone", headers={"X-More": "yes"}, cookies=cookies)

    reply = await app.call()
    envelope = reply.json["detail"] if app.how == "plain" else reply.json
    assert (reply.status, envelope["code"], reply.headers["x-more"]) == (410, "gone", "yes")
    assert {value for name, value in reply.raw_headers if name == b"set-cookie"} == {
        b"crumb=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax",
        b"other=o; Path=/; Secure; HttpOnly; SameSite=Lax",
    }


async def test_a_page_on_fastapi(app: App) -> None:
    """Data, facts and `Link`, through the declared type and without one."""

    @app.router.get("/declared")
    @paginate
    async def declared(params: PageParams) -> Result[Page[Made]]:
        return ok(Page([Row()], 11))  # type: ignore[list-item]  # filtered through Made

    @app.router.get("/undeclared")
    @paginate
    async def undeclared(params: PageParams):  # type: ignore[no-untyped-def]
        return ok(Page([{"id": 1}], 11))

    for path in ("/declared", "/undeclared"):
        reply = await app.call(method="GET", path=path, query="page=2")
        assert reply.json == {
            "success": True,
            "data": [{"id": 1}],
            "pagination": {"page": 2, "limit": 10, "total": 11, "totalPages": 2},
        }
        assert 'rel="first"' in reply.headers["link"]


async def test_a_guard_may_answer(app: App) -> None:
    """A response, a result and a refusal; the handler does not run."""
    answers = {
        "/response": PlainTextResponse("early", status_code=202),
        "/ok": ok("early", status=202),
        "/err": err("early", status=409, code="early"),
    }
    for path, answer in answers.items():

        @app.post(path)
        @guarded_by(AsyncStep(Phase.ADMIT, lambda call, answer=answer: Answer(answer)))  # type: ignore[misc]
        async def handler() -> Result[str]:
            raise AssertionError

    replies = [await app.call(path=path) for path in answers]
    assert [reply.status for reply in replies] == [202, 202, 409]
    assert replies[0].body == b"early"
    assert replies[1].json == {"success": True, "data": "early"}
    assert (replies[2].json["detail"] if app.how == "plain" else replies[2].json)["code"] == "early"


async def test_plain_functions_run_in_a_thread(app: App) -> None:
    """As FastAPI runs them."""
    threads: list[int] = []

    @app.post("/sync")
    @identified
    def plain(principal: Principal) -> Result[str]:
        threads.append(threading.get_ident())
        return ok(principal.sub)

    @app.post("/async")
    @identified
    async def on_the_loop(principal: Principal) -> Result[str]:
        threads.append(threading.get_ident())
        return ok(principal.sub)

    assert [(await app.call(path=path)).json["data"] for path in ("/sync", "/async")] == ["alice", "alice"]
    assert threads[0] != threading.get_ident()
    assert threads[1] == threading.get_ident()


async def test_generator_endpoints_stream(app: App) -> None:
    """JSON lines, from both kinds of generator: each is sent before the next is made, and guards refuse with 401."""
    made: list[int] = []
    wires: list[Wire] = []

    @app.post("/async")
    @identified
    async def lines(principal: Principal) -> AsyncIterator[Made]:
        for number in (1, 2):
            made.append(len(wires[0].chunks))
            yield Made(id=number)

    @app.post("/sync")
    @identified
    def plain(principal: Principal) -> Iterator[Made]:
        for number in (1, 2):
            yield Made(id=number)

    @app.post("/raw", response_class=StreamingResponse)
    @identified
    async def raw(principal: Principal) -> AsyncIterator[bytes]:
        yield principal.sub.encode()

    for path, expected in (("/async", b'{"id":1}\n{"id":2}\n'), ("/sync", b'{"id":1}\n{"id":2}\n'), ("/raw", b"alice")):
        wire = Wire(app.served)
        wires.append(wire)
        wire.scope |= {"path": path, "raw_path": path.encode()}
        wire.scope["headers"].append((b"x-caller", b"alice"))
        await wire.run()
        assert b"".join(wire.chunks) == expected
        assert b"x-request-id" in dict(wire.sent[0]["headers"])
        assert (await app.call(path=path, headers={})).status == 401
    assert made == [0, 1]


async def test_generators_without_a_declared_type_stream(app: App) -> None:
    """Bytes, as they are."""

    @app.post("/async", response_class=StreamingResponse)
    @identified
    async def raw(principal: Principal):  # type: ignore[no-untyped-def]
        yield principal.sub
        yield b" async"

    @app.post("/sync", response_class=StreamingResponse)
    @identified
    def plain(principal: Principal):  # type: ignore[no-untyped-def]
        yield principal.sub
        yield b" sync"

    for path, expected in (("/async", [b"alice", b" async"]), ("/sync", [b"alice", b" sync"])):
        wire = Wire(app.served)
        wire.scope |= {"path": path, "raw_path": path.encode()}
        wire.scope["headers"].append((b"x-caller", b"alice"))
        await wire.run()
        assert wire.chunks == expected
        assert (await app.call(path=path, headers={})).status == 401


async def test_a_generator_cannot_be_answered_for() -> None:
    """The head of a stream is FastAPI's on a plain route: a guard that answers in its place is an error, not a 200."""

    @guarded_by(Step(Phase.ADMIT, lambda call: Answer(ok("early"))))
    async def lines() -> AsyncIterator[Made]:
        yield Made(id=1)

    app = FastAPI()
    app.post("/")(lines)
    wire = Wire(app)
    with pytest.raises(TypeError, match="behind GuardedRoute"):
        await wire.run()


async def test_dependency_overrides_keep_working(app: App) -> None:
    """Tests replace the author's dependencies, not the guards."""

    async def session() -> str:
        raise AssertionError

    @app.post()
    @identified
    async def handler(principal: Principal, value: str = Depends(session)) -> Result[str]:
        return ok(principal.sub + value)

    app.fastapi.dependency_overrides[session] = lambda: " overridden"
    assert (await app.call()).json["data"] == "alice overridden"
    assert (await app.call(headers={})).status == 401


async def test_the_guards_run_once(app: App) -> None:
    """A dependency of the endpoint sees what they found, and they are not run again for it."""
    ran: list[str] = []

    async def look(connection: HTTPConnection) -> str:
        call_: Call = connection.scope["gatewright.call"]
        assert call_.principal is not None
        return call_.principal.sub

    @app.post()
    @guarded_by(Identify(), Step(Phase.METER, lambda call: ran.append("ran")))
    async def handler(sub: str = Depends(look)) -> Result[str]:
        return ok(sub)

    assert ((await app.call()).json["data"], ran) == ("alice", ["ran"])


async def test_a_guard_may_read_the_body_that_fastapi_parses(app: App) -> None:
    """Both get it, and so does the handler's request; read by a guard, by FastAPI, by `request.body()`."""
    lengths: list[int] = []

    class Reads(AsyncStep):
        async def enter(self, call: Call) -> None:
            lengths.append(len(await call.body()))

    @app.post("/parsed")
    @guarded_by(Reads())
    async def parsed(item: Item, request: Request) -> Result[list[Any]]:
        return ok([item.name, len(await request.body())])

    @app.post("/raw")
    @guarded_by(Reads())
    async def raw(request: Request) -> Result[int]:
        return ok(len(await request.body()))

    @app.post("/validated")
    @guarded_by(Reads())
    @validate
    async def validated(item: FromBody[Item], request: Request) -> Result[list[Any]]:
        return ok([item.name, len(await request.body())])

    assert (await app.call(path="/parsed", json={"name": "n"})).json["data"] == ["n", 13]
    assert (await app.call(path="/raw", data=b"12345")).json["data"] == 5
    assert (await app.call(path="/validated", json={"name": "n"})).json["data"] == ["n", 13]
    assert lengths == [13, 5, 13]


async def test_a_foreign_decorator_above_between_and_below(app: App) -> None:
    """`functools.wraps`, as people write it, in each place."""
    order: list[str] = []

    def noting(label: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def decorator(handler: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(handler)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                order.append(label)
                return await handler(*args, **kwargs)

            return wrapper

        return decorator

    async def handler(item: Item, principal: Principal) -> Result[str]:
        return ok(principal.sub + item.name)

    trace = guarded_by(Trace(Phase.ADMIT))
    app.post("/above")(noting("above")(identified(handler)))
    app.post("/below")(identified(noting("below")(handler)))
    app.post("/between")(trace(noting("between")(identified(handler))))
    for where in ("above", "below", "between"):
        order.clear()
        reply = await app.call(path=f"/{where}", json={"name": "n"})
        assert (where, reply.status, order) == (where, 200, [where])
        assert reply.json["data"] == "alicen"
        assert (await app.call(path=f"/{where}", json={"name": "n"}, headers={})).status == 401
    assert reply.headers["x-trace-t"] == "ADMIT"


async def test_two_endpoints_may_share_a_function(app: App) -> None:
    """One decorated function on two paths, with different declared statuses."""

    @identified
    async def handler(principal: Principal) -> Result[str]:
        return ok(principal.sub)

    app.post("/one")(handler)
    app.post("/two", status_code=202)(handler)
    assert [(await app.call(path=path)).status for path in ("/one", "/two")] == [200, 202]


# Errors on plain FastAPI


async def test_plain_fastapi_logs_one_event(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Success, refusal, `err`, an unexpected exception and the framework's own error, with the status that was sent."""
    app = FastAPI()

    @app.post("/{what}")
    @identified
    async def handler(what: str, item: Item) -> Result[None]:
        if what == "boom":
            raise ValueError("hunter2")
        return err("no", status=409) if what == "err" else ok(status=201)

    for what, status in (("fine", 201), ("err", 409)):
        assert (await call(app, path=f"/{what}", headers=ALICE, json={"name": "n"})).status == status
    assert (await call(app, path="/fine", json={"name": "n"})).status == 401
    with pytest.raises(ValueError, match="hunter2"):  # what FastAPI does not handle reaches the server
        await call(app, path="/boom", headers=ALICE, json={"name": "n"})
    events = printed(capsysbinary)
    assert [event["status"] for event in requests(events)] == [201, 409, 401, 500]
    assert [event["route"] for event in requests(events)] == ["/{what}"] * 4
    assert [event["event"] for event in events].count("unhandled_exception") == 1


async def test_what_the_author_handles_is_the_author_s(app: App) -> None:
    """A handler registered for a class gets the exception as it was raised."""
    seen: list[type[Exception]] = []

    class Special(Exception):
        pass

    async def special(request: Request, exc: Exception) -> PlainTextResponse:
        seen.append(type(exc))
        return PlainTextResponse("special", status_code=419)

    app.fastapi.add_exception_handler(Special, special)
    app.fastapi.add_exception_handler(Forbidden, special)

    def refuse(call: Call) -> None:
        raise Forbidden

    @app.post("/raised")
    @identified
    async def raised() -> Result[None]:
        raise Special

    @app.post("/guard")
    @guarded_by(Step(Phase.ADMIT, refuse))
    async def guard() -> Result[None]:
        return ok()

    assert [(await app.call(path=path)).status for path in ("/raised", "/guard")] == [419, 419]
    assert seen == [Special, Forbidden]


# Websockets


@pytest.mark.parametrize("how", ["plain", "installed"])
async def test_a_websocket_route_of_fastapi(how: str) -> None:
    """Refused before it is accepted, with 1008; let through with its arguments; failing loudly after."""
    seen: list[str] = []

    async def dependency() -> str:
        return "dep"

    app = FastAPI()

    @app.websocket("/{room}")
    @identified
    async def handler(websocket: WebSocket, room: str, principal: Principal, dep: str = Depends(dependency)) -> None:
        await websocket.accept()
        seen.append(f"{room} {principal.sub} {dep}")
        if room == "boom":
            raise ValueError("hunter2")
        await websocket.close()

    events = EventList()
    if how == "installed":
        Gate(log=events).install(app)
    refused = await handshake(app, path="/r")
    assert not refused.accepted
    assert (refused.code == 1008) or (refused.status == 401)
    assert (await handshake(app, path="/r", denial=False)).code == 1008
    assert (await handshake(app, path="/r", headers=ALICE)).accepted
    with pytest.raises(ValueError, match="hunter2"):
        await handshake(app, path="/boom", headers=ALICE)
    assert seen == ["r alice dep", "boom alice dep"]
    if how == "installed":
        assert len(requests(events)) == 4
        assert [event["status"] for event in requests(events)][2:] == [101, 101]


async def test_a_websocket_of_plain_fastapi_is_one_event(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Refused ones with the 403 that the server makes of the close."""
    app = FastAPI()

    @app.websocket("/")
    @identified
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    await handshake(app)
    await handshake(app, headers=ALICE)
    assert [event["status"] for event in requests(printed(capsysbinary))] == [403, 101]


# FastAPI imported after the handler was decorated


async def test_decorating_before_fastapi_is_imported(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """No dependency could be declared then; guards run all the same, and what the result says is kept."""
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "fastapi")

        @identified
        async def handler(principal: Principal, q: str) -> Result[str]:
            return ok(principal.sub + q, status=201, headers={"X-More": "yes"})

    app.post()(handler)
    assert (await app.call(query="q=1", headers={})).status == 401
    reply = await app.call(query="q=1")
    assert reply.json == {"success": True, "data": "alice1"}
    assert "x-request-id" in reply.headers
    assert (reply.status, reply.headers["x-more"]) == (201, "yes")


SCRIPT = """
import json, sys
import anyio
from gatewright import Principal, Result, Cookie, Gate, ok, err
from gatewright._core.decorate import guarded_by
from gatewright.testing import EventList, call
from tests.toys import Identify

@guarded_by(Identify())
async def handler(principal: Principal, q: str) -> Result[str]:
    if q == "err":
        return err("no", status=409, code="taken")
    return ok(principal.sub + q, status=201, headers={"X-More": "yes"}, cookies=[Cookie("crumb", "c")])

assert "fastapi" not in sys.modules
from fastapi import FastAPI
app = FastAPI()
app.post("/")(handler)
if sys.argv[1] == "installed":
    Gate(log=EventList()).install(app)

async def main():
    for query, headers in (("q=1", {}), ("q=1", {"x-caller": "alice"}), ("q=err", {"x-caller": "alice"})):
        reply = await call(app, method="POST", query=query, headers=headers)
        print(json.dumps([reply.status, reply.json, reply.headers]))

anyio.run(main)
"""

BETWEEN = """
import functools, json, sys
import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from gatewright import Principal, Result, ok
from gatewright._core.decorate import guarded_by
from gatewright._core.phase import Phase
from gatewright.testing import call
from tests.toys import Identify, Trace

def foreign(handler):
    @functools.wraps(handler)
    async def wrapper(*args, **kwargs):
        return await handler(*args, **kwargs)
    return wrapper

@guarded_by(Trace(Phase.ADMIT))
@foreign
@guarded_by(Identify())
async def handler(request: Request, principal: Principal) -> Result[str]:
    return ok(principal.sub)

assert "fastapi" not in sys.modules
reply = anyio.run(lambda: call(Starlette(routes=[Route("/", handler)]), headers={"x-caller": "alice"}))
print(json.dumps([reply.status, reply.json, reply.headers]))
"""


def _run(script: str, *arguments: str) -> list[list[Any]]:
    # The sources may lie on the path only; the child has to find them, and the tests' toys.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env=environment,
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("how", ["plain", "installed"])
def test_fastapi_may_be_imported_after_decorating(how: str) -> None:
    """Handlers in a module that knows no FastAPI: guards, status, headers and cookies are what they are otherwise."""
    refused, fine, taken = _run(SCRIPT, how)
    assert refused[0] == 401
    assert fine[:2] == [201, {"success": True, "data": "alice1"}]
    assert fine[2]["x-more"] == "yes"
    assert fine[2]["set-cookie"].startswith("crumb=c;")
    assert "x-request-id" in fine[2]
    assert taken[0] == 409


def test_without_fastapi_a_foreign_decorator_may_stand_between() -> None:
    """The private parameter of the inner function is nobody's connection."""
    ((status, body, headers),) = _run(BETWEEN)
    assert (status, body) == (200, {"success": True, "data": "alice"})
    assert headers["x-trace-t"] == "ADMIT"
