"""A whole app behind rules by route: closed where nobody thought of one, whatever a path looks like."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright import (
    ConfigurationError,
    FromBody,
    Ok,
    Principal,
    compose,
    ok,
    require,
    role,
    validate,
    with_auth,
    with_rate_limit,
)
from gatewright.auth.authority.kinds import is_self
from gatewright.auth.authority.owned import owned
from gatewright.auth.authority.protect import protect
from gatewright.auth.authority.public import public
from gatewright.auth.authority.rules import DENY
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, Reply, call, handshake
from tests.auth.authority.support import Posts, bearer, gate

pytestmark = pytest.mark.anyio

signed_in = with_auth(bearer)
admins = compose(with_auth(bearer), require(role("admin")))


class Written(BaseModel):
    """What is posted."""

    text: str


async def page(request: Request) -> Response:
    """Answer, and say by which method and where."""
    return PlainTextResponse(f"{request.method} {request.url.path}")


@with_auth(bearer)
async def me(principal: Principal) -> Ok[str]:
    """Say who is calling."""
    return ok(principal.sub)


@public
async def health() -> Ok[str]:
    """Say that all is well."""
    return ok("well")


async def chat(websocket: WebSocket) -> None:
    """Let everybody in."""
    await websocket.accept()
    await websocket.close()


async def files(scope: Scope, receive: Receive, send: Send) -> None:
    """Be an app of somebody else."""
    await PlainTextResponse("file")(scope, receive, send)


async def get(app: Any, path: str, who: str | None = None, **more: Any) -> Reply:
    headers = {**({"Authorization": f"Bearer {who}"} if who else {}), **more.pop("headers", {})}
    return await call(app, path=path, headers=headers, **more)


async def statuses(app: Any, path: str, *people: str | None, **more: Any) -> list[int]:
    return [(await get(app, path, who, **more)).status for who in people]


EVERYBODY = (None, "ada", "root")


def starlette(routes: list[BaseRoute], rules: Mapping[str, Any], install: str = "before", **more: Any) -> Starlette:
    """Return an app with rules, and with a gate that was installed before or after, or none."""
    app = Starlette(routes=routes)
    if install == "before":
        gate().install(app)
    protect(app, rules, **more)
    if install == "after":
        gate().install(app)
    return app


def routes() -> list[BaseRoute]:
    return [
        Route("/me", me),
        Route("/health", health),
        Route("/forgotten", page, methods=["GET", "POST"]),
        Route("/posts", page, methods=["GET", "POST"]),
        Route("/admin", page),
        Route("/admin/login-history", page),
        Route("/admin/users/{user_id}", page, methods=["GET", "DELETE"]),
        Route("/login", page, methods=["GET", "POST"]),
        WebSocketRoute("/chat", chat),
        Mount("/files", files),
        Mount("/api", routes=[Route("/v1/things/{id:int}", page)]),
    ]


RULES = {
    "GET /posts": public,
    "POST /posts": signed_in,
    "/admin/*": admins,
    "/login": public,
    "/chat": signed_in,
    "/files/*": signed_in,
    "/api/v1/*": signed_in,
}


# What is closed, and what is open


@pytest.mark.parametrize("install", ["before", "after", "never"])
async def test_rules_guard_routes_and_the_rest_is_closed(install: str) -> None:
    """A rule's guards, the handler's own, or nobody: with a gate in front, behind, and without one."""
    app = starlette(routes(), RULES, install)
    assert await statuses(app, "/me", *EVERYBODY) == [401, 200, 200]
    assert await statuses(app, "/health", *EVERYBODY) == [200, 200, 200]
    assert await statuses(app, "/forgotten", *EVERYBODY) == [403, 403, 403]
    assert await statuses(app, "/posts", *EVERYBODY) == [200, 200, 200]
    assert await statuses(app, "/posts", *EVERYBODY, method="POST") == [401, 200, 200]
    assert await statuses(app, "/admin", *EVERYBODY) == [403, 403, 403]
    assert await statuses(app, "/admin/users/7", *EVERYBODY) == [401, 403, 200]
    assert await statuses(app, "/login", *EVERYBODY) == [200, 200, 200]
    assert await statuses(app, "/files/a/b.txt", *EVERYBODY) == [401, 200, 200]
    assert await statuses(app, "/api/v1/things/7", *EVERYBODY) == [401, 200, 200]
    assert await statuses(app, "/api/v1/things/x", *EVERYBODY) == [404, 404, 404]


async def test_an_app_behind_a_gate_that_wraps_it_is_closed_too() -> None:
    """Guards in front of the whole app come first, and the rules after."""
    events = EventList()
    app = starlette([Route("/x", page), Route("/y", page)], {"/x": admins}, "never")
    wrapped = gate(events).wrap(signed_in(app))
    assert await statuses(wrapped, "/x", *EVERYBODY) == [401, 403, 200]
    assert await statuses(wrapped, "/y", *EVERYBODY) == [401, 403, 403]
    assert [event["routes"] for event in events if event["event"] == "routes_denied"] == [["/y"]]


async def test_what_is_denied_is_denied_whatever_the_method() -> None:
    """Even where the route would answer 405: nobody has to know that it is there."""
    app = starlette(routes(), RULES)
    for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW"):
        assert (await get(app, "/forgotten", "root", method=method)).status == 403


def test_what_is_denied_is_shown_as_such() -> None:
    """As any guard is."""
    assert repr(DENY) == "AUTHORIZE deny"


async def test_a_rule_for_one_method_opens_no_other() -> None:
    """HEAD goes with GET; what the route does not serve is its own 405."""
    app = starlette(routes(), {"GET /posts": public, "/*": admins, "DELETE /admin/users/{user_id}": signed_in})
    assert await statuses(app, "/posts", *EVERYBODY, method="HEAD") == [200, 200, 200]
    assert await statuses(app, "/posts", *EVERYBODY, method="POST") == [401, 403, 200]
    assert await statuses(app, "/posts", *EVERYBODY, method="PUT") == [405, 405, 405]
    assert await statuses(app, "/admin/users/7", *EVERYBODY, method="DELETE") == [401, 200, 200]
    assert await statuses(app, "/admin/users/7", *EVERYBODY) == [401, 403, 200]


async def test_a_rule_for_head_is_for_head_alone() -> None:
    """More exact than that for GET."""
    app = starlette([Route("/x", page)], {"GET /x": admins, "HEAD /x": signed_in})
    assert await statuses(app, "/x", "ada", method="HEAD") == [200]
    assert await statuses(app, "/x", "ada") == [403]


async def test_the_most_specific_rule_wins() -> None:
    """A template before a star, a longer star before a shorter one, a method before none; written in any order."""
    table = [Route("/a/b/c", page), Route("/a/b/d", page), Route("/a/e", page), Route("/a", page)]
    rules = {"/*": public, "/a/*": signed_in, "/a/b/*": admins, "/a/b/d": signed_in, "GET /a/b/*": admins}
    for order in (rules.items(), reversed(rules.items())):
        app = starlette(list(table), dict(order))
        assert await statuses(app, "/a/b/c", *EVERYBODY) == [401, 403, 200]
        assert await statuses(app, "/a/b/d", *EVERYBODY) == [401, 200, 200]
        assert await statuses(app, "/a/e", *EVERYBODY) == [401, 200, 200]
        assert await statuses(app, "/a", *EVERYBODY) == [200, 200, 200]
        table = [Route(route.path, page) for route in table]


@pytest.mark.parametrize("install", ["before", "after", "never"])
async def test_a_websocket_is_refused_before_it_is_accepted(install: str) -> None:
    """By its rule, and by default."""
    app = starlette([WebSocketRoute("/chat", chat), WebSocketRoute("/other", chat)], {"/chat": signed_in}, install)
    assert not (await handshake(app, path="/chat")).accepted
    assert (await handshake(app, path="/chat", headers={"Authorization": "Bearer ada"})).accepted
    refused = await handshake(app, path="/other", headers={"Authorization": "Bearer root"})
    assert (refused.accepted, refused.status) == (False, 403)


async def test_the_default_may_be_a_decorator() -> None:
    """For what has no rule and does not see to itself."""
    app = starlette(routes(), {"/login": public}, default=signed_in)
    assert await statuses(app, "/forgotten", *EVERYBODY) == [401, 200, 200]
    assert await statuses(app, "/health", *EVERYBODY) == [200, 200, 200]
    assert await statuses(app, "/me", *EVERYBODY) == [401, 200, 200]
    assert await statuses(app, "/files/x", *EVERYBODY) == [401, 200, 200]
    opened = starlette([Route("/x", page), Route("/y", page)], {"/y": "deny"}, default=public)
    assert await statuses(opened, "/x", *EVERYBODY) == [200, 200, 200]
    assert await statuses(opened, "/y", *EVERYBODY) == [403, 403, 403]


async def test_a_rule_stands_around_a_handler_that_sees_to_itself() -> None:
    """Both have to let the caller pass."""
    app = starlette([Route("/me", me), Route("/health", health)], {"/me": admins, "/health": signed_in})
    assert await statuses(app, "/me", *EVERYBODY) == [401, 403, 200]
    assert await statuses(app, "/health", *EVERYBODY) == [401, 200, 200]


async def test_a_rule_knows_the_path_of_its_route() -> None:
    """Requirements that look at the path work, because the route was found before."""
    rules = {
        "/users/{user_id}": compose(signed_in, require(is_self("user_id"))),
        "/posts/{post_id}": compose(signed_in, require(owned(Posts().find, owner="author_id"))),
    }
    app = starlette([Route("/users/{user_id}", page), Route("/posts/{post_id}", page)], rules)
    assert await statuses(app, "/users/ada", *EVERYBODY) == [401, 200, 403]
    assert [(await get(app, f"/posts/{post}", "ada")).status for post in (1, 2, 99)] == [200, 404, 404]


async def test_the_log_names_what_is_closed_once_and_each_denial() -> None:
    """A warning at the start, so that a route that was forgotten is noticed by its author first."""
    events = EventList()
    app = Starlette(routes=routes())
    gate(events).install(app)
    protect(app, {"GET /posts": public, "/admin/*": admins, "/login": public, "/chat": signed_in})
    await lifespan(app)
    for _ in range(2):
        assert (await get(app, "/forgotten")).status == 403
    warnings = [event for event in events if event["event"] == "routes_denied"]
    assert [event["routes"] for event in warnings] == [
        ["/forgotten", "POST /posts", "/admin", "/files/*", "/api/v1/things/{id:int}"]
    ]
    assert events[-1]["security"] == ["access_denied"] and events[-1]["route"] == "/forgotten"
    app.router.routes.append(Route("/later", page))
    await get(app, "/later")
    assert [event["routes"] for event in events if event["event"] == "routes_denied"][1:] == [["/later"]]


async def lifespan(app: Any) -> None:
    """Start an app and stop it; raise what it raises."""
    sent: list[str] = []
    told = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> dict[str, str]:
        return {"type": next(told)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# Everything that serves


class Things(HTTPEndpoint):
    """One class, several methods."""

    @with_auth(bearer)
    async def get(self, request: Request) -> Ok[str]:
        return ok("things")

    async def post(self, request: Request) -> Response:
        return PlainTextResponse("made")

    def helper(self, request: Request) -> Response:
        """Be no method of HTTP's."""
        raise AssertionError("a client called this by a method of its name")


class Own(Things):
    """One that answers before its methods do."""

    async def dispatch(self) -> None:
        await PlainTextResponse("dispatched")(self.scope, self.receive, self.send)


async def test_a_class_is_judged_method_by_method() -> None:
    """And a method that nobody wrote for HTTP is none that HTTP can ask for."""
    app = starlette([Route("/things", Things), Route("/own", Own)], {})
    assert await statuses(app, "/things", *EVERYBODY) == [401, 200, 200]
    assert await statuses(app, "/things", "ada", method="HEAD") == [200]
    for method in ("POST", "HELPER", "helper", "PUT"):
        assert await statuses(app, "/things", *EVERYBODY, method=method) == [403, 403, 403]
    assert await statuses(app, "/own", *EVERYBODY) == [403, 403, 403]


async def test_apps_inside_are_gone_into_or_guarded_as_one() -> None:
    """A Starlette app with its own gate and its own errors, routers, hosts; what we cannot see into is one leaf."""
    gated = Starlette(routes=[Route("/x", page), Route("/me", me)])
    gate().install(gated)
    vouching = signed_in(Starlette(routes=[Route("/x", page)]))
    table: list[BaseRoute] = [
        Mount("/gated", gated),
        Mount("/vouching", vouching),
        Mount("/wrapped", require_nothing(files)),
        Mount("/router", Router([Route("/x", page)])),
        Mount("/end", Route("/", page).app),
        Route("/app", vouching),
        Host("api.example.com", Router([Route("/hosted", page)])),
        Mount("", files),
    ]
    app = starlette(table, {"/gated/x": signed_in, "/hosted": signed_in})
    assert await statuses(app, "/gated/x", *EVERYBODY) == [401, 200, 200]
    assert await statuses(app, "/gated/me", *EVERYBODY) == [401, 200, 200]
    assert await statuses(app, "/vouching/x", *EVERYBODY) == [401, 200, 200]
    assert await statuses(app, "/app", None) == [401]
    for path in ("/wrapped/x", "/router/x", "/end/x", "/anything"):
        assert await statuses(app, path, *EVERYBODY) == [403, 403, 403]
    hosted = {"host": "api.example.com"}
    assert await statuses(app, "/hosted", None, "ada", headers=hosted) == [401, 200]


def require_nothing(app: Any) -> Any:
    return compose(with_auth(bearer, optional=True))(app)


async def test_an_app_at_the_root_is_not_opened_by_the_rule_for_the_home_page() -> None:
    """`/` is a template; everything below it is `/*`."""
    app = starlette([Route("/", page), Mount("", files)], {"/": public})
    assert await statuses(app, "/", None) == [200] and await statuses(app, "/secrets.txt", None, "root") == [403, 403]
    opened = starlette([Route("/", page), Mount("", files)], {"/": admins, "/*": public})
    assert await statuses(opened, "/", None) == [401] and await statuses(opened, "/secrets.txt", None) == [200]


async def test_what_answers_where_no_route_does_is_guarded_too() -> None:
    """A router's default may be an app; that of Starlette is a 404."""
    app = Starlette(routes=[Route("/x", page)])
    app.router.default = files
    protect(app, {"/x": public})
    assert await statuses(app, "/nowhere", *EVERYBODY) == [403, 403, 403]
    assert await statuses(starlette([Route("/x", page)], {}), "/nowhere", *EVERYBODY) == [404, 404, 404]


async def test_a_route_of_an_unknown_kind_is_closed() -> None:
    """Whatever a router calls has a `handle`."""

    class Odd(BaseRoute):
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            return Match.FULL, {}

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            await files(scope, receive, send)

    assert await statuses(starlette([Odd()], {}), "/x", *EVERYBODY) == [403, 403, 403]


# FastAPI


def fastapi(how: str) -> FastAPI:
    inner = APIRouter()
    inner.add_api_route("/deep", page)
    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()
    router.add_api_route("/open", page)
    router.get("/me")(me)
    router.add_route("/plain", page)
    router.add_websocket_route("/plain-chat", chat)
    router.websocket("/chat")(chat)
    router.mount("/files", files)
    router.include_router(inner, prefix="/inner")
    app = FastAPI()
    if how == "installed before":
        gate().install(app)
        protect(app, FASTAPI_RULES)
    app.include_router(router, prefix="/v1")
    app.get("/items")(page)
    app.post("/items")(page)
    if how != "installed before":
        protect(app, FASTAPI_RULES)
    if how == "installed after":
        gate().install(app)
    return app


FASTAPI_RULES = {
    "/v1/inner/*": signed_in,
    "/v1/plain": signed_in,
    "/v1/plain-chat": signed_in,
    "/v1/chat": signed_in,
    "/v1/files/*": signed_in,
    "POST /items": signed_in,
    "/docs": public,
    "/openapi.json": public,
}


@pytest.mark.parametrize("how", ["plain", "route class", "installed before", "installed after"])
async def test_fastapi_serves_nothing_past_the_rules(how: str) -> None:
    """Its routes, those of included routers, which it copies, its documentation; before and after the gate."""
    app = fastapi(how)
    await lifespan(app)
    for path in ("/v1/inner/deep", "/v1/plain", "/v1/files/x", "/v1/me"):
        assert await statuses(app, path, *EVERYBODY) == [401, 200, 200], path
    for path in ("/v1/open", "/items", "/redoc", "/docs/oauth2-redirect"):
        assert await statuses(app, path, *EVERYBODY) == [403, 403, 403], path
    assert await statuses(app, "/items", *EVERYBODY, method="POST") == [401, 200, 200]
    assert await statuses(app, "/docs", None) == await statuses(app, "/openapi.json", None) == [200]
    assert await statuses(app, "/v1/nowhere", None) == [404]
    for path in ("/v1/plain-chat", "/v1/chat"):
        assert not (await handshake(app, path=path)).accepted
        assert (await handshake(app, path=path, headers={"Authorization": "Bearer ada"})).accepted
    assert (await get(app, "/v1/me", "ada")).json["data"] == "ada"


@pytest.mark.parametrize("when", ["before", "after", "never"])
async def test_a_rule_stays_around_a_guarded_path_operation(when: str) -> None:
    """Whoever came first: the gate puts the guards of the handler behind the rule."""
    app = FastAPI(openapi_url=None)
    app.get("/me")(me)
    if when == "before":
        gate().install(app)
    protect(app, {"/me": admins})
    if when == "after":
        gate().install(app)
    assert await statuses(app, "/me", *EVERYBODY) == [401, 403, 200]


async def test_a_rule_on_fastapi_goes_before_the_body() -> None:
    """As the guards of a handler do."""
    app = FastAPI()

    @app.post("/items")
    async def create(item: dict[str, int]) -> dict[str, int]:
        return item

    protect(app, {"/items": signed_in})
    gate().install(app)
    reply = await get(app, "/items", data=b"{", headers={"content-type": "application/json"})
    assert (reply.status, reply.consumed) == (401, 0)


async def test_files_that_fastapi_serves_where_no_route_does_are_guarded(tmp_path: Path) -> None:
    """`app.frontend`, of the app and of an included router; those that come later, too."""
    (tmp_path / "index.html").write_text("home")
    app = FastAPI(openapi_url=None)
    router = APIRouter()
    if not hasattr(router, "frontend"):
        pytest.skip("this FastAPI has no frontends")
    app.frontend("/site", directory=tmp_path)
    router.frontend("/ui", directory=tmp_path)
    app.include_router(router, prefix="/v1")
    protect(app, {"/v1/ui/*": signed_in})
    assert await statuses(app, "/site/index.html", *EVERYBODY) == [403, 403, 403]
    assert await statuses(app, "/v1/ui/index.html", *EVERYBODY) == [401, 200, 200]
    app.frontend("/", directory=tmp_path)
    assert await statuses(app, "/index.html", *EVERYBODY) == [403, 403, 403]
    other = FastAPI(openapi_url=None)
    other.frontend("/site", directory=tmp_path)
    other.frontend("/more", directory=tmp_path)
    protect(other, {"/site/*": public})
    with pytest.raises(ConfigurationError, match="/more and /site are one and the same route"):
        await lifespan(other)


# Routes that come later


@pytest.mark.parametrize("how", [Starlette, FastAPI])
async def test_a_route_that_is_added_later_is_not_open(how: type[Starlette]) -> None:
    """Before the start, while running, or in place of another that looks the same."""
    app = how()
    protect(app, {"/early": signed_in})
    app.router.routes.append(Route("/early", page))
    assert await statuses(app, "/early", None, "ada") == [401, 200]
    app.router.routes.append(Route("/late", page))
    assert await statuses(app, "/late", *EVERYBODY) == [403, 403, 403]
    app.router.routes[-1] = Route("/late", page)
    assert await statuses(app, "/late", *EVERYBODY) == [403, 403, 403]
    app.router.routes = [*app.router.routes, Mount("/files", files)]
    assert await statuses(app, "/files/x", *EVERYBODY) == [403, 403, 403]


async def test_a_route_that_is_added_to_an_included_router_is_not_open() -> None:
    """FastAPI makes its copies anew then."""
    router, app = APIRouter(), FastAPI()
    router.add_route("/plain", page)
    app.include_router(router, prefix="/v1")
    protect(app, {"/v1/plain": public})
    assert await statuses(app, "/v1/plain", None) == [200]
    router.add_route("/other", page)
    router.add_api_route("/third", page)
    for path in ("/v1/other", "/v1/third"):
        assert await statuses(app, path, *EVERYBODY) in ([403, 403, 403], [404, 404, 404])
    assert await statuses(app, "/v1/plain", None) == [200]


async def test_a_lifespan_may_add_routes() -> None:
    """Rules are looked over once it is done."""

    @asynccontextmanager
    async def starting(app: Starlette) -> AsyncIterator[None]:
        app.router.routes.append(Route("/made", page))
        yield

    app = Starlette(lifespan=starting)
    protect(app, {"/made": signed_in})
    await lifespan(app)
    assert await statuses(app, "/made", None, "ada") == [401, 200]


# Mistakes


async def test_a_rule_that_matches_no_route_is_a_typo() -> None:
    """The app does not start; without a lifespan, every request says so until it is mended."""
    for rules in ({"/admn/*": admins}, {"DELETE /posts": admins}, {"/files/private/*": admins}, {"/login/": public}):
        app = starlette(routes(), rules)
        with pytest.raises(ConfigurationError, match=r"matches no route; there are: /admin, /admin/login-history"):
            await lifespan(app)
        events = EventList()
        app = Starlette(routes=routes())
        gate(events).install(app)
        protect(app, rules)
        assert await statuses(app, "/health", None, None) == [500, 500]
        assert "matches no route" in str(events)
    with pytest.raises(ConfigurationError, match="matches no route; there are: none"):
        await lifespan(starlette([], {"/x": public}))


async def test_one_route_under_two_templates_has_one_rule() -> None:
    """Guards stand in front of the route itself, so they cannot differ by the way there."""
    shared = [Route("/x", page)]
    table: list[BaseRoute] = [Mount("/a", routes=shared), Mount("/b", routes=shared)]
    with pytest.raises(ConfigurationError, match="/b/x and /a/x are one and the same route, but their rules differ"):
        await lifespan(starlette(table, {"/a/x": public}))
    shared = [Route("/x", page)]
    events = EventList()
    app = Starlette(routes=[Mount("/a", routes=shared), Mount("/b", routes=shared)])
    gate(events).install(app)
    protect(app, {"/*": signed_in})
    for path in ("/a/x", "/b/x"):
        assert await statuses(app, path, None, "ada") == [401, 200]
        assert events[-1]["route"] == path


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("/admin/*", "write a mapping"),
        ({7: public}, r"7 is no rule; write \"/admin/users\""),
        ({"admin": public}, "is no rule"),
        ({"post /x": public}, "is no rule"),
        ({"POST  /x": public}, "is no rule"),
        ({"/a/*/b": public}, "a star stands for all below, at the end only"),
        ({"/a*": public}, "a star stands for all below, at the end only"),
        ({"/x": "allow"}, "is no decorator of gatewright"),
        ({"/x": [signed_in]}, "is no decorator of gatewright"),
        ({"/x": lambda app: app}, "is no decorator of gatewright"),
        ({"/x": lambda app: signed_in(files)}, "is no decorator of gatewright"),
        ({"/x": require(role("admin"))}, "needs a principal"),
        ({"/x": validate}, "reads a handler's annotations"),
    ],
)
def test_a_rule_that_cannot_be_one_is_refused(rules: Any, message: str) -> None:
    """When it is written, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        protect(Starlette(), rules)


async def test_an_app_that_cannot_be_protected_is_refused() -> None:
    """Another kind of app, one that is wrapped, one that has started, one twice; and "allow" is not offered."""
    started = Starlette()
    await lifespan(started)
    protected = starlette([], {})
    for app, default, message in (
        (files, "deny", "takes a Starlette or FastAPI app"),
        (signed_in(Starlette()), "deny", "give it the Starlette or FastAPI app inside"),
        (started, "deny", "has started"),
        (protected, "deny", "protected already"),
        (Starlette(), "allow", "write default=public"),
        (Starlette(), None, "is no decorator of gatewright"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            protect(app, {}, default=default)  # type: ignore[arg-type]


async def test_an_app_inside_that_is_protected_sees_to_its_own() -> None:
    """The nearest rules win, as the nearest gate does."""
    inside = starlette([Route("/x", page), Route("/y", page)], {"/x": public}, "never")
    app = starlette([Mount("/inside", inside), Route("/z", page)], {})
    assert await statuses(app, "/inside/x", None) == [200]
    assert await statuses(app, "/inside/y", None) == await statuses(app, "/z", None) == [403]


async def test_routes_that_two_protected_apps_share_have_one_rule() -> None:
    """What was put in front of them by one app is in front of them in the other."""
    shared = [Route("/x", page)]
    await lifespan(starlette(list(shared), {"/x": signed_in}, "never"))
    assert await statuses(starlette(list(shared), {"/x": signed_in}, "never"), "/x", None, "ada") == [401, 200]
    with pytest.raises(ConfigurationError, match="one and the same route"):
        await lifespan(starlette(list(shared), {"/x": public}, "never"))


async def test_a_gate_goes_behind_a_rule_that_stands_already() -> None:
    """Where an app that is served took a route along, the gate of another one does not push its rule aside."""
    one, other = FastAPI(openapi_url=None), FastAPI(openapi_url=None)
    one.get("/me")(me)
    protect(one, {"/me": compose(with_auth(bearer), require(lambda principal, call: b"x-there" not in call.headers))})
    await lifespan(one)
    other.router.routes.append(one.router.routes[-1])
    gate().install(other)
    for app in (one, other):
        assert await statuses(app, "/me", None, "ada") == [401, 200]
        assert await statuses(app, "/me", "ada", headers={"x-there": "1"}) == [403]


@pytest.mark.parametrize("first", ["protect", "install"])
async def test_the_document_is_whole_whichever_comes_first(first: str) -> None:
    """FastAPI keeps what it copies of an included router; nothing asks for it before the gate has been there."""

    @signed_in
    @validate
    async def write(body: FromBody[Written]) -> Ok[None]:
        return ok()

    router, app = APIRouter(), FastAPI()
    router.post("/posts")(write)
    app.include_router(router, prefix="/v1")
    steps = {"protect": lambda: protect(app, {"/docs/*": public}), "install": lambda: gate().install(app)}
    steps.pop(first)()
    next(iter(steps.values()))()
    operation = app.openapi()["paths"]["/v1/posts"]["post"]
    assert "text" in operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert operation["security"] == [{"bearer": []}]


async def test_a_rule_that_does_not_say_who_may_come_in_opens_nothing() -> None:
    """A limit says how often, and not who: it goes along with what would stand there without it."""
    limit = with_rate_limit("2/minute")
    app = starlette([Route("/a", page), Route("/me", me)], {"/*": limit})
    assert await statuses(app, "/a", None, "ada") == [403, 403]
    assert await statuses(app, "/me", None, "ada", "ada") == [401, 200, 429]
    app = starlette([Route("/a", page)], {"/*": limit}, default=signed_in)
    assert await statuses(app, "/a", None, "ada", "ada") == [401, 200, 429]


async def test_the_case_of_a_method_gets_nobody_past_a_rule() -> None:
    """What stands behind may not care: many an app makes it upper case."""

    async def careless(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(scope["method"].upper())(scope, receive, send)

    app = starlette([Mount("/dj", careless)], {"/dj/*": public, "POST /dj/*": signed_in})
    for method in ("POST", "post", "Post"):
        assert (await get(app, "/dj/x", method=method)).status == 401
    assert (await get(app, "/dj/x", method="get")).status == 200


async def test_what_answers_where_no_route_does_may_be_set_later() -> None:
    """It is no route, and served all the same."""
    app = starlette([Route("/health", health)], {})
    assert await statuses(app, "/health", None) == [200]
    app.router.default = files
    assert await statuses(app, "/anything", *EVERYBODY) == [403, 403, 403]


# Stories


@pytest.mark.parametrize(
    "path",
    ["//admin/users/7", "/admin//users/7", "/admin/../admin/users/7", "/./admin/users/7", "/admin/users/7/",
     "/ADMIN/users/7", "/admin/users/7;a=b", "/admin%2fusers/7", "/%61dmin/users/7", "/admin/users/7%2e",
     "\\admin\\users\\7"],
)  # fmt: skip
async def test_no_spelling_of_a_path_gets_past_a_rule(path: str) -> None:
    """A prefix of a raw path is a second reading of it; here the router reads, and the rule is on what it found."""
    app = starlette(routes(), RULES)
    for who in (None, "ada"):
        reply = await get(app, path, who)
        assert reply.status in (307, 401, 403, 404) and b"GET" not in reply.body


@given(st.text())
async def test_no_path_at_all_gets_past_a_rule(path: str) -> None:
    """Whatever it is, it is not served to somebody who may not, and it is not our fault."""
    app = starlette([Route("/admin/{rest:path}", page), Route("/{rest:path}", me)], {"/admin/{rest:path}": admins})
    reply = await get(app, f"/{path}")
    assert reply.status in (401, 404)  # no template matches a line break


async def test_story_badhost() -> None:
    """CVE-2026-48710 (starlette before 1.0.1): `request.url.path` came from the Host header, and guards believed it."""
    app = starlette(routes(), RULES)
    for host in ("example.com/login?", "example.com/login#", "x/health", ""):
        assert (await get(app, "/admin/users/7", headers={"host": host})).status == 401
        assert (await get(app, "/forgotten", headers={"host": host})).status == 403


async def test_story_of_the_header_that_skips_the_middleware() -> None:
    """CVE-2025-29927 (Next.js): no header says that the check was made already."""
    app = starlette(routes(), RULES)
    for value in ("middleware", "src/middleware:src/middleware:src/middleware:src/middleware:src/middleware"):
        headers = {"x-middleware-subrequest": value, "x-original-url": "/login", "x-rewrite-url": "/login"}
        assert (await get(app, "/admin/users/7", headers=headers)).status == 401


async def test_story_of_the_login_history() -> None:
    """litestar-org/litestar#4695: `exclude=["/login"]` opened `/admin/login-history`; a template is a whole one."""
    app = starlette([*routes(), Route("/login-history", page), Route("/loginx", page)], RULES)
    assert await statuses(app, "/login", None) == [200]
    assert await statuses(app, "/admin/login-history", *EVERYBODY) == [401, 403, 200]
    assert await statuses(app, "/login-history", *EVERYBODY) == await statuses(app, "/loginx", *EVERYBODY) == [403] * 3


async def test_story_of_the_decorator_above_the_route() -> None:
    """Kludex/starlette#846: the route serves the function without its guards, and nobody vouches for that one."""
    app = FastAPI(openapi_url=None)

    @with_auth(bearer)
    @app.get("/admin")
    async def admin() -> str:
        return "secret"

    protect(app, {})
    assert await statuses(app, "/admin", *EVERYBODY) == [403, 403, 403]


async def test_a_slash_is_redirected_and_then_guarded() -> None:
    """A redirect serves nothing."""
    app = starlette([Route("/x/", page)], {"/x/": signed_in})
    reply = await get(app, "/x")
    assert reply.status == 307 and reply.body == b""
    assert await statuses(app, "/x/", None, "ada") == [401, 200]
