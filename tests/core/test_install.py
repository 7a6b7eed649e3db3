"""Installing a gate: which routes are served, under which template, by which gate; and what is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright import ConfigurationError, FromBody, FromQuery, Gate, Logger, Principal, Result, ok, validate
from gatewright._core.decorate import guarded_by
from gatewright._core.endpoint import Endpoint
from gatewright._core.guard import Guard
from gatewright._core.install import GuardsFirst
from gatewright._core.phase import Phase
from gatewright.fastapi import CurrentPrincipal
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.starlette import GuardedRoute
from gatewright.testing import EventList, call, handshake
from tests.core.kit import Enclose, Step, requests, through
from tests.toys import Identify, Trace

pytestmark = pytest.mark.anyio
identified = guarded_by(Identify())
ALICE = {"x-caller": "alice"}


@identified
async def whoami(request: Request, principal: Principal) -> Result[str]:
    """Say who is calling."""
    return ok(principal.sub)


@identified
async def greet(principal: Principal) -> Result[str]:
    """Say who is calling, on FastAPI."""
    return ok(principal.sub)


async def bare(request: Request) -> Response:
    """Have no guards."""
    return PlainTextResponse("bare")


@guarded_by(Step())
async def mistaken(principal: Principal) -> Result[None]:
    """Want what nobody provides."""
    return ok()


class Scene:
    """An app with a gate installed, and its events."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        self.events = EventList()
        Gate(log=self.events).install(app)

    async def check(self, path: str, template: str | None, **request: Any) -> None:
        """Alice is answered, nobody else is, and the log has the route's template."""
        self.events.clear()
        reply = await call(self.app, path=path, headers=ALICE, **request)
        assert (reply.status, reply.json["data"]) == (200, "alice")
        refused = await call(self.app, path=path, **request)
        assert (refused.status, refused.json["code"]) == (401, "unauthorized")
        assert [event["route"] for event in requests(self.events)] == [template] * 2
        for answer in (reply, refused):
            names = [name for name, _ in answer.raw_headers]
            assert len(names) == len(set(names))


# Where routes can be


async def test_routes_mounts_and_routers() -> None:
    """Nested, under a prefix with a parameter, in a bare router: every guarded route is served, under its template."""
    scene = Scene(
        Starlette(
            routes=[
                Route("/flat/{item}", whoami),
                Mount("/mount", routes=[Route("/in", whoami), Mount("/deep/{x}", routes=[Route("/in", whoami)])]),
                Mount("/router", app=Router(routes=[Route("/in", whoami)])),
                Route("/bare", bare),
            ]
        )
    )
    await scene.check("/flat/1", "/flat/{item}")
    await scene.check("/mount/in", "/mount/in")
    await scene.check("/mount/deep/1/in", "/mount/deep/{x}/in")
    await scene.check("/router/in", "/router/in")
    assert (await call(scene.app, path="/bare")).body == b"bare"
    assert isinstance(scene.app.routes[0].app, Endpoint)  # type: ignore[attr-defined]  # a Route


async def test_hosts() -> None:
    """Routes behind a host name."""
    inner = Router(routes=[Route("/in", whoami)])
    scene = Scene(Starlette(routes=[Host("api.example.org", app=inner)]))
    reply = await call(scene.app, path="/in", headers=ALICE | {"host": "api.example.org"})
    assert (reply.status, scene.events[0]["route"]) == (200, "/in")
    assert (await call(scene.app, path="/in", headers={"host": "api.example.org"})).status == 401


async def test_mounted_apps() -> None:
    """Their routes and their own errors: in the envelope, under the whole template, in one event."""
    deepest = Starlette(routes=[Route("/in/{item}", whoami)])
    middle = Starlette(routes=[Mount("/deepest", deepest), Route("/in", whoami)])
    scene = Scene(Starlette(routes=[Mount("/middle", middle)]))
    await scene.check("/middle/in", "/middle/in")
    await scene.check("/middle/deepest/in/1", "/middle/deepest/in/{item}")
    reply = await call(scene.app, path="/middle/deepest/nowhere")
    assert (reply.status, reply.json["code"]) == (404, "not_found")


async def test_a_mount_with_middleware() -> None:
    """The mounted app is found behind what stands in front of it."""
    inner = Starlette(routes=[Route("/in", whoami)])
    scene = Scene(Starlette(routes=[Mount("/sub", app=inner, middleware=[Middleware(Passing)])]))
    await scene.check("/sub/in", "/sub/in")


class Passing:
    """A middleware that does nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass."""
        await self.app(scope, receive, send)


async def test_a_mounted_app_that_is_no_starlette_is_left_alone() -> None:
    """It is inside the gate, and nothing of it can be walked."""

    async def raw(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"raw": True})(scope, receive, send)

    scene = Scene(Starlette(routes=[Mount("/raw", app=raw)]))
    reply = await call(scene.app, path="/raw/x")
    assert reply.json == {"raw": True}
    assert "x-request-id" in reply.headers


async def test_a_mounted_app_that_runs_already_keeps_its_stack() -> None:
    """Nothing can be put in front of it any more; its guarded routes are served all the same."""
    inner = Starlette(routes=[Route("/in", whoami)])
    assert (await call(inner, path="/in")).status == 401
    scene = Scene(Starlette(routes=[Mount("/sub", inner)]))
    await scene.check("/sub/in", "/sub/in")


async def test_a_mounted_app_with_a_gate_of_its_own_keeps_it() -> None:
    """The nearest gate rules; the event is in the log of the outermost."""

    @guarded_by(Step())
    async def which(request: Request) -> Result[str]:
        return ok(request.scope["gatewright.call"].gate.storage.url)

    events = EventList()
    inner = Starlette(routes=[Route("/in", which)])
    Gate(storage="memory://inner", log=events).install(inner)
    scene = Scene(Starlette(routes=[Mount("/sub", inner)]))
    assert (await call(scene.app, path="/sub/in")).json["data"] == "memory://inner"
    assert (len(scene.events), len(events)) == (1, 0)


class NeedsKeys(Step):
    """A guard that signs."""

    def bind(self, gate: Gate) -> Guard:
        """Take the keys."""
        gate.require_keys("the test")
        return self


def test_a_mounted_app_with_a_gate_of_its_own_needs_nothing_of_the_outer_one() -> None:
    """Its guards have their keys; the outer gate has none, and is not asked."""
    inner = Starlette(routes=[Route("/in", guarded_by(NeedsKeys())(bare))])
    Gate(keys=["0123456789abcdef" * 2]).install(inner)
    Gate().install(Starlette(routes=[Mount("/sub", inner)]))
    without = Starlette(routes=[Route("/in", guarded_by(NeedsKeys())(bare))])
    with pytest.raises(ConfigurationError, match="the test signs with the gate's keys"):
        Gate().install(Starlette(routes=[Mount("/sub", without)]))


@pytest.mark.parametrize("route_class", [None, FastAPIRoute])
async def test_included_routers_of_fastapi(route_class: Any) -> None:
    """Nested, with prefixes; on plain routes and on guarded ones."""
    options = {} if route_class is None else {"route_class": route_class}
    inner, outer = APIRouter(**options), APIRouter(prefix="/outer", **options)
    inner.get("/in/{item}")(greet)
    outer.get("/in")(greet)
    outer.include_router(inner, prefix="/inner")
    app = FastAPI()
    app.include_router(outer, prefix="/v1")
    app.mount("/mounted", Starlette(routes=[Route("/in", whoami)]))
    scene = Scene(app)
    await scene.check("/v1/outer/in", "/v1/outer/in")
    await scene.check("/v1/outer/inner/in/1", "/v1/outer/inner/in/{item}")
    await scene.check("/mounted/in", "/mounted/in")


async def test_guarded_routes_of_starlette() -> None:
    """A `GuardedRoute` gets the gate that is installed; with middleware of its own it is left alone."""

    @identified
    @validate
    async def echo(principal: Principal, x: FromQuery[int]) -> Result[str]:
        return ok(principal.sub)

    between = GuardedRoute("/between", echo, middleware=[Middleware(Passing)])
    scene = Scene(Starlette(routes=[Mount("/sub", routes=[GuardedRoute("/in", echo)]), between]))
    await scene.check("/sub/in", "/sub/in", query="x=1")
    await scene.check("/between", "/between", query="x=1")


class Slower(Route):
    """A route with a way of its own."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and say so."""
        scope["slower"] = True
        await super().handle(scope, receive, send)


async def test_a_subclass_of_a_route_keeps_what_it_does() -> None:
    """Only the plain endpoint at its end is served in another way."""

    @guarded_by(Step())
    async def handler(request: Request) -> Result[bool]:
        return ok(request.scope["slower"])

    scene = Scene(Starlette(routes=[Slower("/", handler)]))
    assert (await call(scene.app)).json["data"] is True
    assert isinstance(scene.app.routes[0].app, Endpoint)  # type: ignore[attr-defined]  # a Route


async def test_endpoint_classes() -> None:
    """Methods are bound to the gate, and checked when it is installed, inherited ones too."""

    class Base(HTTPEndpoint):
        greeting = "alice"

        @identified
        async def get(self, request: Request) -> Result[str]:
            return ok(self.greeting)

    class Derived(Base):
        """Inherits."""

    scene = Scene(Starlette(routes=[Route("/base", Base), Route("/derived", Derived)]))
    for path in ("/base", "/derived"):
        await scene.check(path, path)

    class Mistaken(HTTPEndpoint):
        get = mistaken

    class Inherits(Mistaken):
        """Inherits a mistake."""

    for endpoint in (Mistaken, Inherits):
        with pytest.raises(ConfigurationError, match="principal is filled by"):
            Gate().install(Starlette(routes=[Route("/", endpoint)]))


async def test_websocket_routes() -> None:
    """A decorated function on a websocket route is checked when the gate is installed, and served by it."""

    @identified
    async def socket(websocket: WebSocket, principal: Principal) -> None:
        await websocket.accept()
        await websocket.close()

    class Conversation(WebSocketEndpoint):
        encoding = "text"

    routes = [WebSocketRoute("/{room}", socket), WebSocketRoute("/", Conversation)]
    scene = Scene(Starlette(routes=routes))
    assert (await handshake(scene.app, path="/1", headers=ALICE)).accepted
    assert not (await handshake(scene.app, path="/1")).accepted
    assert [event["route"] for event in scene.events] == ["/{room}"] * 2
    with pytest.raises(ConfigurationError, match="principal is filled by"):
        Gate().install(Starlette(routes=[WebSocketRoute("/", mistaken)]))

    app = FastAPI()
    app.websocket("/{room}")(mistaken)
    with pytest.raises(ConfigurationError, match="principal is filled by"):
        Gate().install(app)


# Routes that are left alone


@pytest.mark.parametrize("options", [{"middleware": [Middleware(Passing)]}, {"max_body_size": 10}])
async def test_a_route_with_its_own_middleware_is_left_alone_and_guarded(options: dict[str, Any]) -> None:
    """What the author put around the handler stays around it; the guards run in the function driver."""
    route = Route("/in", whoami, methods=["GET", "POST"], **options)
    before = route.app
    scene = Scene(Starlette(routes=[route]))
    await scene.check("/in", "/in")
    assert route.app is before
    if "max_body_size" in options:
        assert (await call(scene.app, path="/in", data=b"x" * 20, headers=ALICE)).status == 413


async def test_a_foreign_decorator_keeps_its_place() -> None:
    """A route whose endpoint is not ours is served as it is, and guarded by what is inside."""

    @functools.wraps(whoami)
    async def foreign(request: Request) -> Response:
        response: Response = await whoami(request)
        response.headers["x-foreign"] = "yes"
        return response

    scene = Scene(Starlette(routes=[Route("/in", foreign)]))
    await scene.check("/in", "/in")
    assert (await call(scene.app, path="/in", headers=ALICE)).headers["x-foreign"] == "yes"


async def test_routes_that_are_added_later() -> None:
    """Before the start they are served in place; after it by the function driver, inside the gate all the same."""
    app = FastAPI()
    scene = Scene(app)
    app.get("/early")(greet)
    app.router.routes.append(Route("/early2", whoami))
    await scene.check("/early", "/early")
    await scene.check("/early2", "/early2")
    assert isinstance(app.router.routes[-1].app, Endpoint)  # type: ignore[attr-defined]
    app.get("/late")(greet)
    await scene.check("/late", "/late")
    assert "handle" not in vars(app.router.routes[-1])


@pytest.mark.parametrize("make", ["starlette", "fastapi", "guarded"])
async def test_a_wrong_method_is_the_route_s_own_business(make: str) -> None:
    """405, with `Allow`, and no guard is asked."""
    app: Starlette
    if make == "starlette":
        app = Starlette(routes=[Route("/in", whoami)])
    else:
        app = FastAPI()
        router = APIRouter(route_class=FastAPIRoute) if make == "guarded" else APIRouter()
        router.get("/in")(greet)
        app.include_router(router)
    scene = Scene(app)
    reply = await call(scene.app, path="/in", method="DELETE")
    assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
    assert "GET" in reply.headers["allow"]
    assert "guards" not in scene.events[0]


# What is refused


def test_an_app_that_is_no_starlette_is_told_to_wrap() -> None:
    """`gate.wrap(app)` is for those."""

    async def raw(scope: Scope, receive: Receive, send: Send) -> None: ...

    with pytest.raises(ConfigurationError, match=r"write gate\.wrap\(app\)"):
        Gate().install(raw)  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize("make", [Starlette, FastAPI])
def test_a_second_gate_is_refused(make: Callable[[], Starlette]) -> None:
    """One app, one gate."""
    app = make()
    Gate().install(app)
    with pytest.raises(ConfigurationError, match="has a gate already"):
        Gate().install(app)


@pytest.mark.parametrize("make", [Starlette, FastAPI])
def test_a_combination_that_cannot_work_is_refused(make: Callable[[], Starlette]) -> None:
    """When the gate is installed, not at the first request."""
    app = make()
    if isinstance(app, FastAPI):
        app.get("/")(mistaken)
    else:
        app.router.routes.append(Route("/", mistaken))
    with pytest.raises(ConfigurationError, match="principal is filled by @with_auth"):
        Gate().install(app)


def test_a_combination_on_a_route_with_middleware_is_refused_too() -> None:
    """Left alone, yet checked."""
    with pytest.raises(ConfigurationError, match="principal is filled by"):
        Gate().install(Starlette(routes=[Route("/", mistaken, middleware=[Middleware(Passing)])]))


# Parameters that nobody fills


def _asks_for_a_principal(principal: Principal) -> Result[str]:
    return ok(principal.sub)


def _asks_for_a_body(body: FromBody[dict[str, str]]) -> Result[None]:
    return ok()


def _asks_for_a_logger(log: Logger) -> Result[None]:
    return ok()


UNFILLED = [
    (_asks_for_a_principal, "principal is filled by @with_auth"),
    (_asks_for_a_body, "body is filled by @validate"),
    (_asks_for_a_logger, "log is filled by every guard"),
]


@pytest.mark.parametrize(("handler", "message"), UNFILLED)
def test_a_handler_without_guards_that_asks_for_what_they_provide_is_refused(handler: Any, message: str) -> None:
    """On Starlette it would be called without; FastAPI would take a `Principal` from the request's body."""

    class Class(HTTPEndpoint):
        get = staticmethod(handler)

    for endpoint in (handler, Class):
        with pytest.raises(ConfigurationError, match=f"^/x: {message}"):
            Gate().install(Starlette(routes=[Route("/x", endpoint)]))
    with pytest.raises(ConfigurationError, match=f"^/x: {message}"):
        Gate().install(Starlette(routes=[WebSocketRoute("/x", handler)]))


def test_fastapi_does_not_take_a_principal_from_the_body() -> None:
    """An endpoint that lost its guards would believe whoever writes one."""
    app = FastAPI()
    app.post("/x")(_asks_for_a_principal)
    with pytest.raises(ConfigurationError, match=r"^/x: principal is filled by @with_auth.* below the route's"):
        Gate().install(app)


def test_what_a_dependency_of_fastapi_fills_is_its_own() -> None:
    """`CurrentPrincipal`, and a `Depends` of one's own."""

    def someone() -> Principal:
        return Principal("u1")

    app = FastAPI()

    @app.get("/current")
    async def current(principal: CurrentPrincipal) -> str:
        return principal.sub

    @app.get("/own")
    async def own(principal: Principal = Depends(someone)) -> str:  # noqa: B008
        return principal.sub

    Gate().install(app)


# A decorator above its route


def _foreign(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await handler(*args, **kwargs)

    return wrapper


def _above(app: FastAPI) -> None:
    @identified
    @app.post("/x")
    async def create() -> Result[None]:
        return ok()


def _partly_above(app: FastAPI) -> None:
    @identified
    @app.post("/x")
    @guarded_by(Trace(Phase.ADMIT))
    async def create() -> Result[None]:
        return ok()


def _far_above(app: FastAPI) -> None:
    @guarded_by(Trace(Phase.ADMIT))
    @identified
    @app.post("/x")
    async def create() -> Result[None]:
        return ok()


def _partly_far_above(app: FastAPI) -> None:
    @guarded_by(Trace(Phase.METER))
    @identified
    @app.post("/x")
    @guarded_by(Trace(Phase.ADMIT))
    async def create() -> Result[None]:
        return ok()


def _above_a_foreign_one(app: FastAPI) -> None:
    @identified
    @_foreign
    @app.post("/x")
    async def create() -> Result[None]:
        return ok()


def _on_an_included_router(app: FastAPI) -> None:
    router = APIRouter()

    @identified
    @router.post("/x")
    async def create() -> Result[None]:
        return ok()

    app.include_router(router)


@pytest.mark.parametrize(
    "write", [_above, _partly_above, _far_above, _partly_far_above, _above_a_foreign_one, _on_an_included_router]
)
def test_guards_above_their_route_are_found_out(write: Callable[[FastAPI], None]) -> None:
    """The route got the function without (all of) them; the message says how to write it."""
    app = FastAPI()
    write(app)
    with pytest.raises(ConfigurationError, match=r"/x serves .*create without the guards.*at the top"):
        Gate().install(app)


def test_guards_above_a_route_that_is_added_later_are_found_out_when_the_app_starts() -> None:
    """The walk is done again."""
    app = FastAPI()
    Gate(log=EventList()).install(app)
    _above(app)
    for _ in range(2):  # it stays so until it is mended
        assert anyio.run(functools.partial(call, app, path="/x", method="POST")).status == 500


def _both_registered(app: FastAPI) -> None:
    async def create() -> Result[None]:
        return ok()

    app.post("/bare")(create)
    app.post("/guarded")(identified(create))


def _both_registered_folded(app: FastAPI) -> None:
    @guarded_by(Trace(Phase.ADMIT))
    async def create() -> Result[None]:
        return ok()

    app.post("/one")(create)
    app.post("/two")(identified(create))


def _first_and_last_registered(app: FastAPI) -> None:
    @guarded_by(Trace(Phase.ADMIT))
    async def create() -> Result[None]:
        return ok()

    app.post("/one")(create)
    app.post("/three")(guarded_by(Trace(Phase.METER))(identified(create)))


def _one_of_two_registered(app: FastAPI) -> None:
    @guarded_by(Trace(Phase.ADMIT))
    async def create() -> Result[None]:
        return ok()

    folded = identified(create)
    app.post("/folded")(folded)


async def _meant() -> Result[None]:
    return ok()


_also_guarded = identified(_meant)


def _named_function_is_the_bare_one(app: FastAPI) -> None:
    app.post("/x")(_meant)


@pytest.mark.parametrize(
    "write",
    [
        _both_registered,
        _both_registered_folded,
        _first_and_last_registered,
        _one_of_two_registered,
        _named_function_is_the_bare_one,
    ],
)
def test_a_function_that_is_served_twice_is_no_false_alarm(write: Callable[[FastAPI], None]) -> None:
    """With and without guards, where both were meant."""
    app = FastAPI()
    write(app)
    Gate().install(app)


async def test_a_function_that_is_served_in_a_mounted_app_too_is_no_false_alarm() -> None:
    """Neither when the gate is installed nor when the app starts and is walked once more."""

    async def create(request: Request) -> Result[None]:
        return ok()

    inner = Starlette(routes=[Route("/guarded", identified(create))])
    app = Starlette(routes=[Route("/bare", lambda request: PlainTextResponse("bare")), Route("/open", create)])
    app.router.routes.append(Mount("/in", inner))
    Gate(log=EventList()).install(app)
    assert (await call(app, path="/in/guarded")).status == 401
    assert (await call(app, path="/bare")).status == 200


def test_more_guards_for_another_app_are_no_false_alarm() -> None:
    """Only what was written above the function's own `def` takes its name."""

    @guarded_by(Trace(Phase.ADMIT))
    async def create(request: Request) -> Result[None]:
        return ok()

    Gate().install(Starlette(routes=[Route("/admin", identified(create))]))
    Gate().install(Starlette(routes=[Route("/public", create)]))


def test_a_foreign_copy_of_a_decorated_function_s_original_is_no_false_alarm() -> None:
    """Attributes are copied by `functools.wraps`, and mean nothing there."""

    @identified
    async def create(request: Request) -> Result[None]:
        return ok()

    Gate().install(Starlette(routes=[Route("/", _foreign(create.handler))]))


async def test_calling_a_handler_in_a_test_is_no_false_alarm() -> None:
    """`gatewright.testing` puts a principal in front of a copy; that is not a stack that somebody forgot to serve."""
    app = FastAPI()

    async def create() -> Result[None]:
        return ok()

    guarded = identified(create)
    app.post("/bare")(create)
    app.post("/guarded")(guarded)
    await call(guarded, principal=Principal("u1"), gate=Gate(log=EventList()))
    Gate().install(app)


# Gates that do not meet


@guarded_by(Step())
async def _which(request: Request) -> Result[str]:
    return ok(request.scope["gatewright.call"].gate.storage.url)


_ROUTES = [Route("/plain", _which), GuardedRoute("/guarded", _which)]
_SHARED = APIRouter()
_SHARED.get("/included")(_which)
_SHARED_GUARDED = APIRouter(route_class=FastAPIRoute)
_SHARED_GUARDED.get("/included")(_which)


def _starlette_factory() -> Starlette:
    return Starlette(routes=_ROUTES)


def _fastapi_factory() -> FastAPI:
    app = FastAPI()
    app.include_router(_SHARED)
    return app


def _fastapi_guarded_factory() -> FastAPI:
    app = FastAPI()
    app.include_router(_SHARED_GUARDED)
    return app


@pytest.mark.parametrize(
    ("factory", "path"),
    [
        (_starlette_factory, "/plain"),
        (_starlette_factory, "/guarded"),
        (_fastapi_factory, "/included"),
        (_fastapi_guarded_factory, "/included"),
    ],
)
async def test_routes_at_module_level_serve_each_app_s_own_gate(factory: Callable[[], Starlette], path: str) -> None:
    """An app factory around routes or routers of a module, as test suites have it: two apps, two gates, no meeting."""
    apps = [factory(), factory()]
    events = [EventList(), EventList()]
    for name, app, log in zip(("one", "two"), apps, events, strict=True):
        Gate(storage=f"memory://{name}", log=log).install(app)
    said = [(await call(app, path=path)).json["data"] for app in (*apps, *apps)]
    assert said == ["memory://one", "memory://two"] * 2
    assert [len(log) for log in events] == [2, 2]


async def test_a_router_that_is_included_twice_has_two_templates() -> None:
    """The log tells them apart."""
    app = FastAPI()
    router = APIRouter()
    router.get("/in")(greet)
    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2")
    scene = Scene(app)
    await scene.check("/v1/in", "/v1/in")
    await scene.check("/v2/in", "/v2/in")


def test_a_surround_is_served_on_every_installed_route() -> None:
    """Install is what makes it possible on FastAPI's plain routes."""
    app = FastAPI()
    app.get("/")(guarded_by(Enclose(through))(bare))
    Gate().install(app)
    (route,) = [route for route in app.routes if getattr(route, "path", "") == "/"]
    assert isinstance(vars(route)["handle"], GuardsFirst)
