"""A decorated function: its shape, how its original is called, and the driver that serves it anywhere."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from gatewright import (
    Call,
    FromBody,
    Gate,
    Logger,
    NotFound,
    PageParams,
    Principal,
    Result,
    compose,
    err,
    ok,
    paginate,
    validate,
)
from gatewright._core.answering import nowhere
from gatewright._core.call import CALL
from gatewright._core.decorate import guarded_by
from gatewright._core.function import state_of
from gatewright._core.guard import Guard
from gatewright._core.phase import Phase
from gatewright.starlette import GuardedRoute
from gatewright.testing import EventList, Reply, call, handshake, make_call
from tests.core.kit import Enclose, Step, printed, requests, through
from tests.toys import Identify, Replay, Trace

pytestmark = pytest.mark.anyio
identified = guarded_by(Identify())
ALICE = {"x-caller": "alice"}


class Item(BaseModel):
    """A body."""

    name: str


# Hosts that a Starlette function has


def _plain(handler: Any, **options: Any) -> ASGIApp:
    return Starlette(routes=[Route("/", handler, methods=["GET", "POST", "DELETE"])])


def _installed(handler: Any, **options: Any) -> ASGIApp:
    app = Starlette(routes=[Route("/", handler, methods=["GET", "POST", "DELETE"])])
    Gate(log=EventList()).install(app)
    return app


def _guarded_route(handler: Any, **options: Any) -> ASGIApp:
    return Starlette(routes=[GuardedRoute("/", handler, methods=["GET", "POST", "DELETE"])])


HOSTS = [_plain, _installed, _guarded_route]
ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__.strip("_"))


# The shape


async def _async(request: Request) -> Result[str]:
    """Say hello."""
    return ok("hello")


def _sync(request: Request) -> Result[str]:
    return ok("hello")


async def _async_generator() -> AsyncIterator[int]:
    yield 1


def _generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "looks"),
    [
        (_async, inspect.iscoroutinefunction),
        (_sync, inspect.iscoroutinefunction),
        (_async_generator, inspect.isasyncgenfunction),
        (_generator, inspect.isgeneratorfunction),
    ],
)
def test_a_function_stays_a_function(function: Callable[..., Any], looks: Callable[[object], bool]) -> None:
    """Frameworks ask: a real function, of the kind in which it has to be called; a plain one is async from now on."""
    wrapper = identified(function)
    assert inspect.isfunction(wrapper)
    assert looks(wrapper)
    assert looks(inspect.unwrap(wrapper))
    assert wrapper.handler is function
    assert repr(wrapper.pipeline) == "IDENTIFY Identify()"
    assert (wrapper.__name__, wrapper.__module__, wrapper.__doc__) == (function.__name__, __name__, function.__doc__)


async def test_the_original_can_be_called_without_http() -> None:
    """`.handler` is what was written."""
    assert await identified(_async).handler(None) == ok("hello")  # type: ignore[arg-type]  # it does not look
    assert identified(_sync).handler(None) == ok("hello")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1,), {}), ((), {"request": 1}), ((Request({"type": "http"}), 1), {})]
)
async def test_calling_it_without_a_connection_names_the_handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A unit test that forgot `.handler` is told what to write."""
    with pytest.raises(
        TypeError, match=r"_async\(\.\.\.\) serves a connection; in a test, call _async\.handler\(\.\.\.\)"
    ):
        await identified(_async)(*args, **kwargs)


@pytest.mark.parametrize("function", [_async_generator, _generator])
async def test_calling_a_generator_without_fastapi_says_so(function: Callable[..., Any]) -> None:
    """Nobody else can serve what yields."""
    stream = identified(function)()
    with pytest.raises(TypeError, match="yields, so only FastAPI can serve it"):
        await anext(stream) if inspect.isasyncgen(stream) else next(stream)


def test_state_is_found_by_identity() -> None:
    """A foreign wrapper copies attributes; it is not ours for that."""
    wrapper = identified(_async)
    foreign = functools.wraps(wrapper)(lambda *args: None)
    assert state_of(wrapper) is not None
    assert state_of(foreign) is None
    assert state_of(_async) is None
    assert state_of(None) is None


def test_decorating_again_folds_and_leaves_the_first_as_it_was() -> None:
    """A pipeline is immutable; both functions may be served."""
    once = identified(_async)
    twice = guarded_by(Trace(Phase.ADMIT))(once)
    assert twice.handler is once.handler
    assert (len(once.pipeline.guards), len(twice.pipeline.guards)) == (1, 2)


# How the original is called


@ON_EVERY_HOST
async def test_arguments_are_filled_by_annotation(host: Callable[..., ASGIApp]) -> None:
    """Whatever their names and their order are, keyword-only ones too."""
    seen: list[object] = []

    @validate
    @paginate
    @identified
    async def handler(logger: Logger, me: Principal, page: PageParams, req: Request, *, what: FromBody[Item], c: Call):  # type: ignore[no-untyped-def]
        seen.extend([logger, me.sub, page.page, req.method, what.name, c.principal])
        return ok()

    reply = await call(host(handler), json={"name": "n"}, query="page=2", headers=ALICE)
    assert reply.json == {"success": True, "data": None}
    assert seen[1:] == ["alice", 2, "POST", "n", Principal("alice")]


@ON_EVERY_HOST
async def test_an_unannotated_parameter_is_the_connection(host: Callable[..., ASGIApp]) -> None:
    """In the way of Starlette; and a handler need not take it at all."""

    @identified
    async def bare(request):  # type: ignore[no-untyped-def]
        return ok(request.method)

    @identified
    async def none() -> Result[str]:
        return ok("nothing")

    assert (await call(host(bare), headers=ALICE)).json["data"] == "GET"
    assert (await call(host(none), headers=ALICE)).json["data"] == "nothing"


@ON_EVERY_HOST
async def test_a_plain_function_runs_in_a_thread(host: Callable[..., ASGIApp]) -> None:
    """It cannot block the loop; an async one runs on it."""
    threads: list[int] = []

    @identified
    def plain(request: Request) -> Result[None]:
        threads.append(threading.get_ident())
        return ok()

    @identified
    async def on_the_loop(request: Request) -> Result[None]:
        threads.append(threading.get_ident())
        return ok()

    for handler in (plain, on_the_loop):
        assert (await call(host(handler), headers=ALICE)).status == 200
    assert threads[0] != threading.get_ident()
    assert threads[1] == threading.get_ident()


@ON_EVERY_HOST
async def test_an_optional_principal_may_be_none(host: Callable[..., ASGIApp]) -> None:
    """`Principal | None` gets None; a bare `Principal` is a 401 where authentication was optional."""

    class Optionally(Identify):
        def enter(self, call: Call) -> None:
            if call.header(b"x-caller") is not None:
                super().enter(call)

    @guarded_by(Optionally())
    async def whoever(principal: Principal | None) -> Result[str | None]:
        return ok(None if principal is None else principal.sub)

    @guarded_by(Optionally())
    async def somebody(principal: Principal) -> Result[str]:
        return ok(principal.sub)

    answers = [await call(host(handler), headers=who) for handler in (whoever, somebody) for who in ({}, ALICE)]
    assert [answer.status for answer in answers] == [200, 200, 401, 200]
    assert [answer.json.get("data") for answer in answers] == [None, "alice", None, "alice"]


@ON_EVERY_HOST
async def test_what_a_handler_returns_becomes_the_answer(host: Callable[..., ASGIApp]) -> None:
    """A response as it is, a result in the envelope, anything else as `ok`."""
    results: dict[str, Any] = {
        "response": PlainTextResponse("plain", status_code=202),
        "ok": ok({"a": 1}, status=201, headers={"X-More": "yes"}),
        "err": err("no", status=418, code="teapot"),
        "value": [1, 2],
    }

    @guarded_by(Step())
    async def handler(request: Request) -> Any:
        return results[request.query_params["what"]]

    app = host(handler)
    replies = {what: await call(app, query={"what": what}) for what in results}
    assert (replies["response"].status, replies["response"].body) == (202, b"plain")
    assert (replies["ok"].status, replies["ok"].json) == (201, {"success": True, "data": {"a": 1}})
    assert replies["ok"].headers["x-more"] == "yes"
    assert (replies["err"].status, replies["err"].json["code"]) == (418, "teapot")
    assert replies["value"].json == {"success": True, "data": [1, 2]}
    assert (await call(app, method="DELETE", query={"what": "value"})).status == 200


@ON_EVERY_HOST
async def test_a_delete_without_data_has_no_content(host: Callable[..., ASGIApp]) -> None:
    """204, and an empty body."""

    @guarded_by(Step())
    async def handler(request: Request) -> Result[None]:
        return ok()

    reply = await call(host(handler), method="DELETE")
    assert (reply.status, reply.body) == (204, b"")


@ON_EVERY_HOST
async def test_methods_are_handlers(host: Callable[..., ASGIApp]) -> None:
    """Bound ones on a route, and partials."""

    class Posts:
        prefix = "hello "

        @identified
        async def greet(self, request: Request, principal: Principal) -> Result[str]:
            return ok(self.prefix + principal.sub)

        async def bare(self, request: Request, principal: Principal) -> Result[str]:
            return ok(self.prefix + principal.sub)

    async def partial(prefix: str, request: Request, principal: Principal) -> Result[str]:
        return ok(prefix + principal.sub)

    handlers = [identified(Posts().bare), identified(functools.partial(partial, "hello "))]
    if host is _plain:
        handlers.append(Posts().greet)  # type: ignore[arg-type]  # bound: what a framework sees of it is a method
    for handler in handlers:
        assert (await call(host(handler), headers=ALICE)).json["data"] == "hello alice"


async def test_methods_of_an_endpoint_class() -> None:
    """`HTTPEndpoint`, sync and async, with and without the connection."""

    class Posts(HTTPEndpoint):
        greeting = "hello "

        @identified
        async def get(self, request: Request, principal: Principal) -> Result[str]:
            return ok(self.greeting + principal.sub)

        @identified
        def post(self, request, principal: Principal):  # type: ignore[no-untyped-def]
            return self.greeting + request.method

        @identified
        async def delete(self, principal: Principal) -> Result[None]:
            return ok()

    app = Starlette(routes=[Route("/", Posts)])
    assert (await call(app)).status == 401
    assert (await call(app, headers=ALICE)).json["data"] == "hello alice"
    assert (await call(app, headers=ALICE, method="POST")).json["data"] == "hello POST"
    assert (await call(app, headers=ALICE, method="DELETE")).status == 204


# Foreign decorators


def _shouting(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as people write it: it adds a header to whatever response comes back."""

    @functools.wraps(handler)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        response = await handler(*args, **kwargs)
        if isinstance(response, Response):
            response.headers["x-shout"] = "hey"
        return response

    return wrapper


@ON_EVERY_HOST
async def test_a_foreign_decorator_above(host: Callable[..., ASGIApp]) -> None:
    """It gets a response, may change its headers, and hands it on; guards and headers are there all the same."""

    @_shouting
    @identified
    async def handler(request: Request, principal: Principal) -> Result[str]:
        return ok(principal.sub)

    app = host(handler)
    reply = await call(app, headers=ALICE)
    assert (reply.json["data"], reply.headers["x-shout"]) == ("alice", "hey")
    assert "x-request-id" in reply.headers
    assert (await call(app)).status == 401


@ON_EVERY_HOST
async def test_a_foreign_decorator_below(host: Callable[..., ASGIApp]) -> None:
    """It gets what the handler returns, with the arguments that guards filled."""

    @identified
    @_shouting
    async def handler(request: Request, principal: Principal) -> Response:
        return PlainTextResponse(principal.sub)

    app = host(handler)
    reply = await call(app, headers=ALICE)
    assert (reply.body, reply.headers["x-shout"]) == (b"alice", "hey")
    assert (await call(app)).status == 401


@ON_EVERY_HOST
@pytest.mark.parametrize("takes", ["request", "bare", "nothing"])
async def test_a_foreign_decorator_between(host: Callable[..., ASGIApp], takes: str) -> None:
    """Two pipelines then, the outer one first; not one that forgot the decorator in the middle."""
    order: list[str] = []

    async def with_request(request: Request, principal: Principal) -> Result[str]:
        return ok(principal.sub + request.method)

    async def with_bare(request, principal: Principal):  # type: ignore[no-untyped-def]
        return ok(principal.sub + request.method)

    async def with_nothing(principal: Principal) -> Result[str]:
        return ok(principal.sub)

    handler = {"request": with_request, "bare": with_bare, "nothing": with_nothing}[takes]
    outer = guarded_by(Step(Phase.PARSE, lambda call: order.append("outer")))
    inner = guarded_by(Identify(), Step(Phase.ADMIT, lambda call: order.append("inner")))
    app = host(outer(_shouting(inner(handler))))
    reply = await call(app, headers=ALICE)
    assert reply.status == 200
    assert (reply.json["data"], reply.headers["x-shout"]) == ("alice" + "GET" * (takes != "nothing"), "hey")
    assert order == ["outer", "inner"]
    assert (await call(app)).status == 401


async def test_a_foreign_decorator_may_do_to_the_answer_what_it_does_to_any_response() -> None:
    """Cookies, status and a background task of its own; what it sets is what is sent."""
    order: list[str] = []

    def meddling(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        async def wrapper(request: Request) -> Response:
            response: Response = await handler(request)
            order.append(f"{response.status_code} {response.body!r}")
            response.set_cookie("seen", "yes")
            response.status_code = 202
            response.background = BackgroundTask(order.append, "background")
            return response

        return wrapper

    @meddling
    @identified
    async def handler(request: Request) -> Result[str]:
        return ok("done")

    reply = await call(_plain(handler), headers=ALICE)
    assert (reply.status, reply.cookies, reply.json["data"]) == (202, {"seen": "yes"}, "done")
    assert order == ['200 b\'{"success":true,"data":"done"}\'', "background"]


# The function driver's errors


@ON_EVERY_HOST
async def test_what_the_app_s_author_handles_is_the_author_s(host: Callable[..., ASGIApp]) -> None:
    """A registered exception handler wins over the envelope, for a class and for a status."""

    class Special(Exception):
        pass

    async def special(request: Request, exc: Exception) -> Response:
        return JSONResponse({"handled": type(exc).__name__}, status_code=419)

    @identified
    async def handler(request: Request) -> Result[None]:
        raise {"special": Special, "missing": NotFound, "plain": lambda: HTTPException(410)}[request.url.query]()

    app = Starlette(
        routes=[Route("/", handler)], exception_handlers={Special: special, 404: special, HTTPException: special}
    )
    if host is _installed:
        Gate(log=EventList()).install(app)
    if host is _guarded_route:
        app.router.routes[:] = [GuardedRoute("/", handler)]
    answers = [await call(app, query=what, headers=ALICE) for what in ("special", "missing", "plain")]
    assert [(answer.status, answer.json) for answer in answers] == [
        (419, {"handled": "Special"}),
        (419, {"handled": "NotFound"}),
        (419, {"handled": "HTTPException"}),
    ]


async def test_what_the_author_handles_is_one_event(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The function driver hands the exception on, and closes its call."""

    class Special(Exception):
        pass

    async def special(request: Request, exc: Exception) -> Response:
        return JSONResponse({}, status_code=419)

    @identified
    async def handler(request: Request) -> Result[None]:
        raise Special

    app = Starlette(routes=[Route("/", handler)], exception_handlers={Special: special})
    assert (await call(app, headers=ALICE)).status == 419
    assert len(requests(printed(capsysbinary))) == 1


async def test_the_body_that_a_decorator_read_is_not_read_again() -> None:
    """A foreign decorator above may await `request.body()`; guards and handler find it."""

    def reading(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        async def wrapper(request: Request) -> Any:
            assert await request.body()
            return await handler(request)

        return wrapper

    @reading
    @validate
    async def handler(body: FromBody[Item], request: Request) -> Result[list[Any]]:
        return ok([body.name, len(await request.body())])

    assert (await call(_plain(handler), json={"name": "n"})).json["data"] == ["n", 13]


@ON_EVERY_HOST
async def test_a_surround_s_changes_to_a_response_are_sent(host: Callable[..., ASGIApp]) -> None:
    """On every host: another status, and a header more, on a response that the handler made itself."""

    async def changed(call: Call, proceed: Any) -> Any:
        outcome = await proceed()
        outcome.status = 203
        outcome.headers = [*outcome.headers, (b"x-changed", b"yes")]
        return outcome

    @guarded_by(Enclose(changed))
    async def handler(request: Request) -> PlainTextResponse:
        return PlainTextResponse("text", headers={"X-Own": "kept"})

    reply = await call(host(handler))
    assert (reply.status, reply.body) == (203, b"text")
    assert (reply.headers["x-changed"], reply.headers["x-own"]) == ("yes", "kept")


async def test_a_surround_on_a_plain_route() -> None:
    """The function driver can hold an answer, too."""
    kept: dict[str, Any] = {}

    @guarded_by(Replay(kept))
    async def handler(request: Request) -> Result[str]:
        return ok("done")

    app = _plain(handler)
    answers: list[Reply] = [await call(app, headers={"idempotency-key": "k"}) for _ in range(2)]
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true"]
    assert len(kept) == 1


async def test_the_call_of_a_function_sends_nothing_by_itself() -> None:
    """Before there is a response there is nowhere to send to."""
    with pytest.raises(RuntimeError, match="sends when its response is sent"):
        await nowhere({"type": "http.response.start"})


async def test_the_scope_is_left_as_it_was() -> None:
    """The call is gone once the answer is out."""
    scopes: list[Any] = []

    @identified
    async def handler(request: Request) -> Result[None]:
        scopes.append(request.scope)
        return ok()

    await call(_plain(handler), headers=ALICE)
    assert CALL not in scopes[0]


# Websockets


async def test_a_websocket_handler_gets_its_arguments() -> None:
    """Guards of a handshake fill the same parameters."""
    seen: list[object] = []

    @identified
    async def handler(websocket: WebSocket, principal: Principal) -> None:
        seen.append(principal.sub)
        await websocket.accept()
        await websocket.close()

    @identified
    async def bare(websocket):  # type: ignore[no-untyped-def]
        seen.append(type(websocket))
        await websocket.accept()
        await websocket.close()

    for function in (handler, bare):
        assert (await handshake(Starlette(routes=[WebSocketRoute("/", function)]), headers=ALICE)).accepted
    assert seen == ["alice", WebSocket]


async def test_a_mistake_on_a_websocket_is_refused_before_it_is_accepted() -> None:
    """An unexpected exception in a guard is a fixed text, or a close."""

    def fail(call: Call) -> None:
        raise ValueError("hunter2")

    @guarded_by(Step(Phase.ADMIT, fail))
    async def handler(websocket: WebSocket) -> None:
        raise AssertionError

    app = Starlette(routes=[WebSocketRoute("/", handler)])
    refused = await handshake(app)
    assert (refused.accepted, refused.status) == (False, 500)
    assert b"hunter2" not in refused.messages[1]["body"]
    assert (await handshake(app, denial=False)).code == 1008


@pytest.mark.parametrize("guard", [Enclose(through), Replay({})])
def test_a_surround_on_a_websocket_is_refused_when_sealed(guard: Guard) -> None:
    """A handler that holds a conversation has no outcome to enclose."""
    from gatewright import ConfigurationError

    @guarded_by(guard)
    async def handler(websocket: WebSocket) -> None:
        raise AssertionError

    with pytest.raises(ConfigurationError):
        Gate(log=EventList()).install(Starlette(routes=[WebSocketRoute("/", handler)]))


async def test_an_http_connection_is_a_connection() -> None:
    """A function that serves both may be annotated so."""

    @identified
    async def handler(connection: HTTPConnection) -> Result[str]:
        return ok(connection.scope["type"])

    assert (await call(_plain(handler), headers=ALICE)).json["data"] == "http"


async def test_wants_of_a_custom_guard_come_from_what_it_provides() -> None:
    """A type that names its decorator is filled with what a guard provided for it."""

    class Tenant:
        __injected_by__ = "@tenant"

    class Provide(Step):
        provides = (Tenant,)

    tenant = Tenant()

    async def handler(found):  # type: ignore[no-untyped-def]
        return ok(found is tenant)

    handler.__annotations__["found"] = Tenant
    guarded = compose(guarded_by(Provide(Phase.ADMIT, lambda call: call.provide(Tenant, tenant))))(handler)
    assert (await call(_plain(guarded))).json["data"] is True
    with pytest.raises(Exception, match="no guard of this call provides Tenant"):
        make_call().get(Tenant)
