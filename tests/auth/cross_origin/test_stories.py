"""What went wrong elsewhere: each story once, against ours."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from gatewright import Gate, compose, with_auth
from gatewright.auth.cross_origin.guard import cross_origin
from gatewright.testing import call, handshake
from tests.auth.cross_origin.support import (
    EVIL,
    EVIL_ORIGIN,
    KEY,
    OWN,
    REFUSED,
    answer,
    bearer,
    cookies,
    done,
    make_gate,
    refused,
    session,
)

pytestmark = pytest.mark.anyio

by_session = with_auth(session)


@pytest.mark.parametrize("missing", ["allow", "deny", "token"])
async def test_a_pair_that_an_attacker_minted_opens_nothing(missing: str) -> None:
    """starlette-csrf 3.0.0, litestar 2.25: a cookie and a header that match pass, from `https://evil.example` too.

    Who can set a cookie from a sibling host mints a pair of his own; ours asks the browser, and binds its token.
    """
    gate = make_gate()
    minted = {"csrftoken": "minted", "csrf_token": "minted"}
    headers = {**EVIL, "x-csrftoken": "minted", "x-csrf-token": "minted"}
    target = compose(by_session, cross_origin(missing=missing))(done)  # type: ignore[arg-type]  # one of the three
    reply = await call(target, method="POST", headers=headers, cookies={**cookies(gate), **minted}, gate=gate)
    assert answer(reply) == REFUSED


async def test_a_pair_that_an_attacker_minted_is_no_token() -> None:
    """The same from a browser that says nothing of where it comes from."""
    gate = make_gate()
    kept = {**cookies(gate), "csrf_token": "minted"}
    target = compose(by_session, cross_origin(missing="token"))(done)
    reply = await call(target, method="POST", headers={"x-csrf-token": "minted"}, cookies=kept, gate=gate)
    assert answer(reply) == REFUSED


async def test_a_middleware_meets_a_websocket() -> None:
    """starlette-csrf 3.0.0 asserts on a websocket's scope, and dies; asgi-csrf looks away."""

    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()

    app = make_gate().wrap(cross_origin()(Starlette(routes=[WebSocketRoute("/", chat)])))
    assert refused(await handshake(app, headers=EVIL))
    assert (await handshake(app, headers=OWN)).accepted


async def test_a_lifespan_is_no_request() -> None:
    """The third type of scope goes through."""
    app = cross_origin(missing="deny")(Starlette())
    sent: list[str] = []
    received = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

    async def receive() -> dict[str, str]:
        return received.pop()

    async def send(message: object) -> None:
        sent.append(message["type"])  # type: ignore[index]  # a message

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_session_of_starlette_is_not_handed_to_another_sites_websocket() -> None:
    """Starlette's SessionMiddleware hands the session to a handshake from anywhere (cross-site websocket hijacking)."""
    seen: list[object] = []

    async def chat(websocket: WebSocket) -> None:
        seen.append(websocket.session.get("user"))
        await websocket.accept()

    async def sign_in(request: Request) -> PlainTextResponse:
        request.session["user"] = "ada"
        return PlainTextResponse("welcome")

    middleware = [Middleware(SessionMiddleware, secret_key=KEY.decode(), https_only=True, same_site="none")]
    routes = [Route("/login", sign_in, methods=["POST"]), WebSocketRoute("/chat", chat)]
    bare = Starlette(routes=routes, middleware=middleware)
    kept = (await call(bare, method="POST", path="/login", headers=OWN)).cookies["session"]

    assert (await handshake(bare, path="/chat", headers={**EVIL, "cookie": f"session={kept}"})).accepted
    assert seen == ["ada"]
    protected = cross_origin()(bare)
    assert refused(await handshake(protected, path="/chat", headers={**EVIL_ORIGIN, "cookie": f"session={kept}"}))
    assert seen == ["ada"]


@pytest.mark.parametrize("authorization", ["Bearer x", "Bearer ", "bearer x", "Basic eDp5", "Token x"])
async def test_the_mere_sight_of_a_bearer_excuses_nothing(authorization: str) -> None:
    """asgi-csrf 0.11 skips every request with a header that begins with "Bearer ", whatever else authenticates it."""
    gate = make_gate()
    headers = {**EVIL, "authorization": authorization}
    for target in (by_session(done), compose(by_session, cross_origin())(done)):
        reply = await call(target, method="POST", headers=headers, cookies=cookies(gate), gate=gate)
        assert answer(reply) == REFUSED


async def test_a_bearer_that_proved_itself_excuses_the_request() -> None:
    """By construction: the credential that was used is one that no browser attaches."""
    target = with_auth(session, bearer)(done)
    reply = await call(target, method="POST", headers={**EVIL, "authorization": "Bearer ada"}, gate=make_gate())
    assert reply.status == 200


@pytest.mark.parametrize("host", ["localhost:3000", "nas.local", "wordy.example:8443", "192.168.1.5", "[fd00::5]:81"])
async def test_whoever_hosts_it_himself_configures_nothing(host: str) -> None:
    """TeamCoderz/WordyMe#79, better-auth/better-auth#605, #6798: a configured base URL refused five of six installs.

    Compared is the host that is actually served; what a proxy forwards says nothing.
    """
    gate = make_gate()
    for origin, status in (
        (f"https://{host}", 200),
        ("https://evil.example", 403),
        (f"https://{host}.evil.example", 403),
    ):
        headers = {"host": host, "origin": origin, "x-forwarded-host": "evil.example"}
        reply = await call(by_session(done), method="POST", headers=headers, cookies=cookies(gate), gate=gate)
        assert reply.status == status, origin


async def test_a_proxy_that_rewrites_the_host_is_answered_by_a_trusted_origin() -> None:
    """The way out that is left: the origin is named, and no header of the client's is believed."""
    headers = {"host": "backend:8000", "origin": "https://app.example"}
    for gate, status in ((make_gate(), 403), (make_gate(trusted_origins=["https://app.example"]), 200)):
        reply = await call(by_session(done), method="POST", headers=headers, cookies=cookies(gate), gate=gate)
        assert reply.status == status


async def test_plain_http_in_a_home_network_works() -> None:
    """rails/rails#56580: browsers send `Sec-Fetch-*` to trustworthy URLs only, so plain http has `Origin` alone."""
    gate: Gate = make_gate()
    for origin, status in (
        ("http://192.168.1.5:8080", 200),
        ("http://192.168.1.5", 403),
        ("http://192.168.1.6:8080", 403),
        ("http://evil.example", 403),
        ("null", 403),
    ):
        headers = {"host": "192.168.1.5:8080", "origin": origin}
        reply = await call(
            by_session(done), method="POST", headers=headers, cookies=cookies(gate), scheme="http", gate=gate
        )
        assert reply.status == status, origin


async def test_a_sibling_is_not_the_site_itself() -> None:
    """SameSite lets a sibling host send cookies: one that was taken over (a forgotten CNAME) is another origin."""
    gate = make_gate()
    headers = {"sec-fetch-site": "same-site", "origin": "https://blog.testserver"}
    assert (
        answer(await call(by_session(done), method="POST", headers=headers, cookies=cookies(gate), gate=gate))
        == REFUSED
    )
