"""Authentication in a whole app: what a client sees, from the login to the refusal."""

from __future__ import annotations

import json

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright import (
    BearerToken,
    Call,
    Gate,
    Ok,
    Principal,
    SessionCookie,
    compose,
    ok,
    require,
    role,
    scopes,
    with_auth,
)
from tests.auth.support import KEY, FrozenClock
from tests.web import Browser

session: SessionCookie = SessionCookie()
bearer = BearerToken(lambda token: Principal(token, scopes=frozenset({"read"})) if token != "bad" else None)


@with_auth(session, optional=True)
async def login(principal: Principal | None) -> Ok[str]:
    return ok("welcome", cookies=[session.create_session("ada", roles=["author"])])


@with_auth(session)
async def logout(call: Call) -> Ok[str]:
    return ok("bye", cookies=[await session.end_session(call)])


@with_auth(session, bearer)
async def me(principal: Principal) -> Ok[list[str]]:
    return ok([principal.sub, principal.method])


@require(role("admin"))
@with_auth(session, bearer)
@require(scopes("read") | role("author"))
async def admin(principal: Principal) -> Ok[str]:
    return ok("secret")


@with_auth(bearer, optional=True)
@require(scopes("write"))
async def write(principal: Principal | None) -> Ok[str]:
    return ok("written")


@with_auth(bearer)
async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


async def files(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
    await send({"type": "http.response.body", "body": b"file"})


def client(clock: FrozenClock | None = None) -> Browser:
    app = Starlette(
        routes=[
            Route("/login", login, methods=["POST"]),
            Route("/logout", logout, methods=["POST"]),
            Route("/me", me),
            Route("/admin", admin),
            Route("/write", write),
            WebSocketRoute("/chat", chat),
            Mount("/files", compose(with_auth(bearer), require(scopes("read")))(files)),
        ]
    )
    Gate(keys=[KEY], clock=clock or FrozenClock()).install(app)
    return Browser(app)


def test_a_session_from_login_to_logout() -> None:
    """A caller signs in, is known, signs out, and is not known any more."""
    browser = client()
    assert browser.get("/me").status == 401
    assert browser.post("/login").status == 200
    answer = browser.get("/me")
    assert answer.json == {"success": True, "data": ["ada", "session"]}
    assert answer.headers["cache-control"] == "no-store" and answer.headers["vary"] == "Cookie, Authorization"
    assert "HttpOnly" in browser.post("/logout").headers["set-cookie"]
    assert browser.get("/me").status == 401


def test_a_session_ends_by_the_clock_of_the_gate() -> None:
    """After a day the cookie that a client kept anyway is refused, and told so."""
    clock = FrozenClock()
    browser = client(clock)
    value = browser.post("/login").cookies["__Host-session"]
    clock.now += 86_400
    answer = client(clock).get("/me", headers={"cookie": f"__Host-session={value}"})
    assert answer.status == 401 and answer.json["code"] == "invalid_token"
    assert answer.headers["www-authenticate"].startswith('Session realm="api", error="invalid_token", Bearer')


@pytest.mark.parametrize(
    ("path", "authorization", "status", "challenge"),
    [
        ("/me", None, 401, 'Session realm="api", Bearer realm="api"'),
        ("/me", "Bearer bad", 401, 'Session realm="api", Bearer realm="api", error="invalid_token"'),
        ("/me", "Bearer a b", 400, 'Session realm="api", Bearer realm="api", error="invalid_request"'),
        ("/me", "Bearer ada", 200, None),
        ("/admin", "Bearer ada", 403, None),
        ("/write", None, 401, 'Bearer realm="api"'),
        ("/write", "Bearer ada", 403, 'Bearer error="insufficient_scope", scope="write"'),
        ("/files/a", None, 401, 'Bearer realm="api"'),
        ("/files/a", "Bearer ada", 200, None),
    ],
)
def test_every_refusal_has_its_status_and_its_challenge(
    path: str, authorization: str | None, status: int, challenge: str | None
) -> None:
    """RFC 6750, section 3.1, on functions and on apps; the reason is never in the answer."""
    answer = client().get(path, headers={"authorization": authorization} if authorization else {})
    assert (answer.status, answer.headers.get("www-authenticate")) == (status, challenge)
    assert "lookup" not in answer.body.decode() and "role" not in answer.body.decode()


def test_an_author_is_no_admin() -> None:
    """All `require` of a handler count, wherever they are written."""
    browser = client()
    browser.post("/login")
    answer = browser.get("/admin")
    assert answer.status == 403 and "www-authenticate" not in answer.headers


def test_an_answers_own_cache_control_wins() -> None:
    """`no-store` is a default: who knows better says so."""
    answer = client().get("/files/a", headers={"authorization": "Bearer ada"})
    assert answer.headers["cache-control"] == "max-age=60"


def test_a_websocket_is_refused_before_it_is_accepted() -> None:
    """The handshake is the request; nobody is accepted first and refused later."""
    server = client()
    assert server.handshake("/chat", headers={"authorization": "Bearer ada"}).accepted
    refused = server.handshake("/chat")
    assert (refused.accepted, refused.status) == (False, 401)
    assert (b"www-authenticate", b'Bearer realm="api"') in refused.messages[0]["headers"]


def test_no_header_that_a_client_sends_is_a_500() -> None:
    """The odd bytes of the stories, over a whole app, one after the other."""
    server = client()
    lines = [b"\xa0__Host-session=x", b"__Host-session=\xff", b"__Host-session=a; __Host-session=b", b"=;=;;"]
    for line in lines:
        assert server.get("/me", headers={"cookie": line.decode("latin-1")}).status == 401
    for line in [b"Bearer \xff", b"Bearer", b"Bearer a,b", b"Bearer " + b"a" * 5000]:
        answer = server.get("/me", headers={"authorization": line.decode("latin-1")})
        assert answer.status in (400, 401) and json.loads(answer.body)["success"] is False


def test_a_caller_is_not_granted_what_only_the_apps_caller_may() -> None:
    """An administrator's cookie satisfies the app; the endpoint's token is somebody else's, who is no administrator."""
    admins = require(role("admin"))

    @with_auth(bearer)
    @admins
    async def endpoint(principal: Principal) -> Ok[str]:
        return ok(principal.sub)

    gate = Gate(keys=[KEY], clock=FrozenClock())
    app = gate.wrap(compose(with_auth(session), admins)(Starlette(routes=[Route("/", endpoint)])))
    cookie = session.create_session("boss", roles=["admin"]).header(gate).decode().split(";")[0]
    server = Browser(app)
    answer = server.get("/", headers={"cookie": cookie, "authorization": "Bearer eve"})
    assert answer.status == 403


@pytest.mark.parametrize("in_order", [True, False])
def test_an_app_is_composed_in_any_order(in_order: bool) -> None:
    """What `require` needs may be written after it, for an app as for a function."""
    decorators = [with_auth(bearer), require(scopes("read"))]
    app = compose(*(decorators if in_order else reversed(decorators)))(files)
    assert [guard.name for guard in app.pipeline.guards] == ["with_auth", "require"]
    assert Browser(app).get("/", headers={"authorization": "Bearer ada"}).status == 200
