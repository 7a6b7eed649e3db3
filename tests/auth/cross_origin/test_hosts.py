"""Cross-origin protection wherever a handler may stand: Starlette, FastAPI, a raw app, with and without a gate."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright import BearerToken, Gate, Principal, Result, SessionCookie, compose, ok, with_auth
from gatewright.auth.cross_origin.guard import check_origin, cross_origin
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.guards import Call
from gatewright.starlette import GuardedRoute as StarletteRoute
from gatewright.testing import EventList, FrozenClock, call, handshake
from tests.auth.cross_origin.support import BEARER, EVIL, EVIL_ORIGIN, KEY, NOTHING, OWN, refused

pytestmark = pytest.mark.anyio

# Its own keys and the system's clock, because where nothing is installed there is no gate that has any.
session: SessionCookie = SessionCookie(keys=[KEY], max_age=10**10)
bearer = BearerToken(lambda token: Principal(token, "bearer"))
guarded = with_auth(session, bearer)


@guarded
async def change(principal: Principal) -> Result[str]:
    return ok(principal.sub)


@cross_origin()
async def written() -> Result[str]:
    return ok("done")


async def login(request: Call) -> Result[str]:
    check_origin(request)
    return ok("welcome")


@guarded
async def chat(websocket: WebSocket) -> None:
    await websocket.accept()


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await JSONResponse({"success": True, "data": "raw"})(scope, receive, send)


LOGIN = with_auth(session, optional=True)(login)
HANDLERS: dict[str, Callable[..., Any]] = {"/change": change, "/written": written, "/login": LOGIN}


def gate() -> Gate:
    return Gate(keys=[KEY], log=EventList(), clock=FrozenClock())


def installed(app: Starlette) -> Starlette:
    gate().install(app)
    return app


def on_starlette(route: Callable[..., BaseRoute] = Route) -> Starlette:
    routes = [route(path, handler, methods=["GET", "POST"]) for path, handler in HANDLERS.items()]
    return Starlette(routes=[*routes, WebSocketRoute("/chat", chat)])


def on_fastapi(**options: Any) -> FastAPI:
    router = APIRouter(**options)
    for path, handler in HANDLERS.items():
        router.api_route(path, methods=["GET", "POST"])(handler)
    router.websocket("/chat")(chat)
    app = FastAPI()
    app.include_router(router)
    return app


APPS: dict[str, ASGIApp] = {
    "/change": guarded(raw),
    "/written": cross_origin()(raw),
    "/login": compose(with_auth(session, optional=True), cross_origin())(raw),
    "/chat": guarded(raw),
}


async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
    await APPS[scope["path"]](scope, receive, send)


HOSTS: dict[str, Callable[[], ASGIApp]] = {
    "Starlette, nothing installed": on_starlette,
    "Starlette, GuardedRoute": lambda: on_starlette(StarletteRoute),
    "Starlette, installed": lambda: installed(on_starlette()),
    "FastAPI, nothing installed": on_fastapi,
    "FastAPI, GuardedRoute": lambda: on_fastapi(route_class=FastAPIRoute),
    "FastAPI, installed": lambda: installed(on_fastapi()),
    "apps, nothing installed": lambda: by_path,
    "apps, wrapped": lambda: gate().wrap(by_path),
}


@pytest.fixture(params=HOSTS)
def app(request: pytest.FixtureRequest) -> ASGIApp:
    return HOSTS[request.param]()


COOKIE = session.create_session("ada").header(Gate()).decode().partition(";")[0]
WITH_COOKIE = {"cookie": COOKIE}


def code_of(body: Any) -> str | None:
    """Return the code of a refusal, which plain FastAPI wraps in a `detail`."""
    code: str | None = body.get("detail", body).get("code")
    return code


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/change", {**EVIL, **WITH_COOKIE}, 403),
        ("/change", {**EVIL_ORIGIN, **WITH_COOKIE}, 403),
        ("/change", {**OWN, **WITH_COOKIE}, 200),
        ("/change", WITH_COOKIE, 200),
        ("/change", {**EVIL, **BEARER}, 200),
        ("/written", EVIL, 403),
        ("/written", EVIL_ORIGIN, 403),
        ("/written", {**EVIL, **BEARER}, 403),
        ("/written", OWN, 200),
        ("/written", NOTHING, 200),
        ("/login", EVIL, 403),
        ("/login", OWN, 200),
    ],
)
async def test_the_same_everywhere(app: ASGIApp, path: str, headers: dict[str, str], status: int) -> None:
    """A POST from elsewhere is refused where a browser may have attached the credential, or where it was written."""
    reply = await call(app, method="POST", path=path, headers=headers)
    assert reply.status == status
    if status == 403:
        assert code_of(reply.json) == "cross_origin"
        assert "Sec-Fetch-Site, Origin" in reply.headers["vary"]
        assert "evil" not in json.dumps(reply.json)


async def test_a_get_passes_everywhere(app: ASGIApp) -> None:
    """Another site may link to a page, session and all."""
    for path in ("/change", "/written", "/login"):
        assert (await call(app, path=path, headers={**EVIL, **WITH_COOKIE})).status == 200


@pytest.mark.parametrize("denial", [True, False])
async def test_a_handshake_is_refused_before_it_is_accepted(app: ASGIApp, denial: bool) -> None:
    """With a denial response where the server has it, with code 1008 where it does not; a bearer is let in."""
    for headers in (EVIL, EVIL_ORIGIN, {"origin": "null"}):
        assert refused(await handshake(app, path="/chat", headers={**headers, **WITH_COOKIE}, denial=denial))
    for headers in ({**OWN, **WITH_COOKIE}, {"origin": "https://testserver", **WITH_COOKIE}, {**EVIL, **BEARER}):
        assert (await handshake(app, path="/chat", headers=headers, denial=denial)).accepted
