"""Browsers that are not logged in find the way to the login page, and back; nobody else is sent anywhere."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from gatewright import (
    BearerToken,
    ConfigurationError,
    Gate,
    Ok,
    Principal,
    SessionCookie,
    ok,
    require,
    role,
    with_auth,
    with_rate_limit,
)
from gatewright import by_principal as each
from gatewright.auth import safe_next
from gatewright.testing import EventList, FrozenClock, Reply, call
from tests.auth.support import KEY
from tests.web import Browser

NAME = "__Host-session"
session: SessionCookie = SessionCookie(login_page="/login")
bearer = BearerToken(lambda token: Principal(token, "bearer") if token == "good" else None)
PAGE = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@with_auth(session, bearer)
async def page(principal: Principal) -> Ok[str]:
    return ok(principal.sub)


@with_auth(session)
@require(role("admin"))
async def admin() -> Ok[None]:
    return ok()


@with_auth(session, optional=True)
@require(role("admin"))
async def maybe() -> Ok[None]:
    return ok()


@with_rate_limit("2/minute", by=each)
@with_auth(session)
async def limited() -> Ok[None]:
    return ok()


@with_auth(session)
async def chat(websocket: WebSocket) -> None:
    await websocket.accept()


def a_gate(**settings: Any) -> Gate:
    return Gate(keys=[KEY], **{"clock": FrozenClock(), "log": EventList(), **settings})


def an_app(gate: Gate | None = None) -> Starlette:
    app = Starlette(
        routes=[
            Mount("/app", routes=[Route("/page", page, methods=["GET", "POST"])]),
            Route("/admin", admin),
            Route("/maybe", maybe),
            Route("/limited", limited),
            WebSocketRoute("/chat", chat),
        ]
    )
    (gate or a_gate()).install(app)
    return app


def asked(headers: dict[str, str], method: str = "GET", path: str = "/app/page", app: Any = None) -> Reply:
    return Browser(app or an_app()).request(method, path, headers=headers)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("more", [{}, {"sec-fetch-mode": "navigate"}])
def test_a_browser_that_navigates_is_sent_to_the_login_page(method: str, more: dict[str, str]) -> None:
    """303, by a relative reference, with the way back; nothing of it may be cached (RFC 9110, section 15.4.4)."""
    reply = asked({**PAGE, **more}, method, "/app/page?q=a%20b&next=/x")
    assert (reply.status, reply.body) == (303, b"")
    assert reply.headers["location"] == "/login?next=/app/page%3Fq%3Da%2520b%26next%3D/x"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["vary"] == "Cookie, Authorization, Accept, Sec-Fetch-Mode"
    assert parse_qs(urlsplit(reply.headers["location"]).query) == {"next": ["/app/page?q=a%20b&next=/x"]}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("GET", {"accept": "*/*"}),
        ("GET", {"accept": "application/json"}),
        ("GET", {"accept": "application/json, text/html;q=0"}),
        ("GET", {**PAGE, "sec-fetch-mode": "cors"}),
        ("GET", {**PAGE, "sec-fetch-mode": "no-cors"}),
        ("POST", PAGE),
        ("POST", {**PAGE, "sec-fetch-mode": "navigate"}),
    ],
)
def test_nobody_else_is(method: str, headers: dict[str, str]) -> None:
    """Scripts, programs and forms get the 401, with the challenge and in the envelope."""
    reply = asked(headers, method)
    assert (reply.status, reply.json["code"]) == (401, "unauthorized")
    assert reply.headers["www-authenticate"] == 'Session realm="api", Bearer realm="api"'
    assert "location" not in reply.headers


def test_whoever_is_known_and_not_allowed_never_is() -> None:
    """Story: starlette's `requires` sends a user who lacks the scope to log in again, for ever."""
    gate = a_gate()
    value = session.create_session("ada").header(gate).decode().split(";")[0]
    for path in ("/admin", "/maybe"):
        reply = asked({**PAGE, "cookie": value}, path=path, app=an_app(gate))
        assert (reply.status, reply.json["code"]) == (403, "forbidden")


def test_whoever_is_welcome_but_not_known_is() -> None:
    """Where `require` finds nobody, the way is the same as where `with_auth` does."""
    assert asked(PAGE, path="/maybe").headers["location"] == "/login?next=/maybe"


@pytest.mark.parametrize("value", ["forged", "for.ged", "\x7f", "x" * 5000])
def test_a_cookie_that_is_not_valid_is_taken_away(value: str) -> None:
    """Else the browser would send it for ever, and every page that anybody may see would be a 401."""
    gone = "__Host-session=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"
    reply = asked({**PAGE, "cookie": f"{NAME}={value}"})
    assert (reply.status, reply.headers["set-cookie"]) == (303, gone)
    reply = asked({"cookie": f"{NAME}={value}"})
    assert (reply.status, reply.json["code"], reply.headers["set-cookie"]) == (401, "invalid_token", gone)


def test_a_rejected_token_takes_no_cookie_away() -> None:
    """It came from somewhere else; a page is asked for with a token by no browser, and yet it gets the way."""
    reply = asked({**PAGE, "authorization": "Bearer bad"})
    assert reply.status == 303 and "set-cookie" not in reply.headers


def test_two_credentials_are_a_bad_request_for_browsers_too() -> None:
    """There is nothing that a login would mend."""
    reply = asked({**PAGE, "authorization": "Bearer good", "cookie": f"{NAME}=x"})
    assert (reply.status, reply.json["code"]) == (400, "invalid_request")


def test_the_host_header_leads_nowhere() -> None:
    """Stories: Kludex/starlette#920 and marimo#9314, an absolute Location from the internal Host."""
    reply = asked({**PAGE, "host": "evil.example", "x-forwarded-host": "evil.example"})
    assert reply.headers["location"] == "/login?next=/app/page"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "/%0d%0aset-cookie:x", "/é"])
async def test_no_path_is_a_way_out(path: str) -> None:
    """What would lead elsewhere, or break the header, leads to the front page, or is encoded."""
    reply = await call(page, path=path, headers=PAGE, gate=a_gate())
    location = reply.headers["location"]
    (back,) = parse_qs(urlsplit(location).query)["next"]
    assert location.startswith("/login?next=/") and location.isascii() and safe_next(back, "(no)") == back
    assert back == "/" or not path.startswith("//")


@pytest.mark.anyio
@pytest.mark.parametrize("query", ["a=é", "a=%0d%0a", "x=\\", "a= b"])
async def test_any_query_is_encoded_or_left_out(query: str) -> None:
    """The header is one line of ASCII."""
    reply = await call(page, path="/p", query=query, headers=PAGE, gate=a_gate())
    assert reply.status == 303 and reply.headers["location"].isascii()


def test_a_page_that_is_limited_counts_who_is_sent_away() -> None:
    """To be sent to the login page is a refusal: forged cookies are charged to the address there, too."""
    app = an_app()
    statuses = [asked({**PAGE, "cookie": f"{NAME}=forged"}, path="/limited", app=app).status for _ in range(4)]
    assert statuses == [303, 303, 429, 429]


def test_a_handshake_is_refused() -> None:
    """A websocket has no pages."""
    shaken = Browser(an_app()).handshake("/chat", headers=PAGE)
    assert (shaken.accepted, shaken.status) == (False, 401)


@pytest.mark.anyio
async def test_with_nothing_installed_the_way_is_the_same() -> None:
    """The function driver, and a plain Starlette route."""
    app = Starlette(routes=[Route("/page", with_auth(SessionCookie(keys=[KEY], login_page="/in?from=app"))(_nothing))])
    reply = await call(app, path="/page", headers=PAGE)
    assert (reply.status, reply.headers["location"]) == (303, "/in?from=app&next=/page")


async def _nothing() -> Ok[None]:
    return ok()


@pytest.mark.anyio
@pytest.mark.parametrize("login_page", ["/login", "/login?from=app"])
async def test_a_login_page_that_is_guarded_by_mistake_sends_nobody_to_itself(login_page: str) -> None:
    """Else the browser would go there for ever."""
    guarded = with_auth(SessionCookie(keys=[KEY], login_page=login_page))(_nothing)
    assert (await call(guarded, path="/login", headers=PAGE, gate=a_gate())).status == 401


def test_what_the_log_says() -> None:
    """The guard refused, and the event of the request has the status that was sent."""
    log = EventList()
    asked(PAGE, app=an_app(a_gate(log=log)))
    (event,) = [event for event in log if event["event"] == "request"]
    assert (event["status"], event["guards"]["with_auth"]) == (303, "refused: unauthorized")


@pytest.mark.parametrize(
    "login_page", ["", "login", "//evil.example", "https://example.org/login", "/\\evil", "/a b", "/login#top", "/é"]
)
def test_a_login_page_is_a_path_on_this_host(login_page: str) -> None:
    """Anything else is refused when it is written."""
    with pytest.raises(ConfigurationError, match='write a path on this host, such as "/login"'):
        SessionCookie(login_page=login_page)


# The way back


@pytest.mark.parametrize("raw", ["/", "/a", "/a/b?c=d&e=/f", "/a?next=https://x", "/%2F%2Fevil", "/a//b", "/~u;v=1,2"])
def test_a_place_on_this_host_is_kept(raw: str) -> None:
    """As it is."""
    assert safe_next(raw, "(no)") == raw


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "",
        "a",
        "?a",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/a\\b",
        "/\t/evil.example",
        "/\n/evil.example",
        "\n//evil.example",
        " //evil.example",
        "/a b",
        "/\x00",
        "/é",
        "https://evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "/" + "a" * 3000,
        "/x\r\nset-cookie: a=b",
        "\ud800",
        7,
        ["/a"],
    ],
)
def test_a_way_out_is_not(raw: Any) -> None:
    """Open redirects through `next`: other hosts, other schemes, what browsers read as such, broken headers."""
    assert safe_next(raw, "/home") == "/home"
    assert safe_next(raw) == "/"


@given(st.text(max_size=40) | st.text("/\\.:@?#ae\t\n %", max_size=20))
def test_whatever_it_is_it_stays_on_this_host(raw: str) -> None:
    """What is left of it has no scheme and no host, for a parser that is as lenient as browsers are."""
    kept = safe_next(raw)
    lenient = kept.replace("\\", "/").translate({ord(char): None for char in "\t\r\n"})
    assert kept.isascii() and lenient.startswith("/") and not lenient.startswith("//")
    assert urlsplit(lenient).netloc == "" == urlsplit(lenient).scheme
