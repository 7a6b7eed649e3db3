"""The guard: which calls it judges, how several add up, what the client learns, and what the log does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.websockets import WebSocket

from gatewright import Call, ConfigurationError, Gate, Ok, Phase, Principal, SessionCookie, compose, ok, with_auth
from gatewright._core.pipeline import Host, Pipeline
from gatewright.auth import Identified
from gatewright.auth.cross_origin.guard import IMPLIED, CrossOrigin, check_origin, cross_origin
from gatewright.auth.with_auth import WithAuth
from gatewright.errors import Forbidden
from gatewright.testing import EventList, call, enter, handshake, make_call
from tests.auth.cross_origin.support import (
    APP,
    BEARER,
    EVIL,
    EVIL_ORIGIN,
    NOTHING,
    OWN,
    REFUSED,
    answer,
    bearer,
    cookies,
    done,
    judged,
    judged_call,
    make_gate,
    refused,
    session,
)

pytestmark = pytest.mark.anyio

by_session = with_auth(session)
by_either = with_auth(session, bearer)


# Configuration


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"trusted": "https://a.example"}, r"write \['https://a.example'\]"),
        ({"trusted": ["https://a.example/"]}, 'write "https://a.example"'),
        ({"missing": "refuse"}, 'write "allow" or "deny" or "token"'),
        ({"missing": True}, 'write "allow" or "deny" or "token"'),
        ({"mode": "log"}, 'write "enforce" or "report"'),
    ],
)
def test_a_mistake_is_told_when_it_is_written(wrong: dict[str, Any], told: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=told):
        cross_origin(**wrong)


@pytest.mark.parametrize(
    ("guard", "written"),
    [
        (CrossOrigin(), "cross_origin()"),
        (IMPLIED, "cross_origin() for ambient credentials"),
        (
            CrossOrigin(frozenset({"https://b.example", "https://a.example"}), "deny", "report"),
            "cross_origin(trusted=['https://a.example', 'https://b.example'], missing='deny', mode='report')",
        ),
    ],
)
def test_a_guard_shows_what_was_said(guard: CrossOrigin, written: str) -> None:
    """As one writes it."""
    assert repr(Pipeline((guard,))) == f"SHIELD {written}"


def test_a_session_brings_the_guard_along_and_a_token_does_not() -> None:
    """Protection follows from the credential: what a browser attaches by itself, another site can have attached."""
    assert IMPLIED in by_session(done).pipeline.guards
    assert IMPLIED in by_either(done).pipeline.guards
    assert [guard.name for guard in with_auth(bearer)(done).pipeline.guards] == ["with_auth"]


# Which calls are judged


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "Head", "LINK"])
async def test_every_other_method_is_judged(method: str) -> None:
    """GET, HEAD and OPTIONS are the list, as in Go; whatever is not on it may change something."""
    assert await judged(cross_origin(), EVIL, method=method) == "from another site"
    assert await judged(cross_origin(), OWN, method=method) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_safe_methods_pass(method: str) -> None:
    """A link from anywhere is a GET; it must not change anything."""
    assert await judged(cross_origin(missing="deny"), EVIL, method=method) is None


@pytest.mark.parametrize(("missing", "passes"), [("allow", True), ("deny", False)])
async def test_where_nothing_is_said(missing: Any, passes: bool) -> None:
    """Programs and old browsers say nothing; by default they pass, as in Go."""
    why = await judged(cross_origin(missing=missing), NOTHING)
    assert (why is None) is passes
    assert why in (None, "neither Sec-Fetch-Site nor Origin")


async def test_what_another_site_sends_is_never_missing() -> None:
    """`missing` is about silence only."""
    for missing in ("allow", "deny"):
        assert await judged(cross_origin(missing=missing), EVIL)
        assert await judged(cross_origin(missing=missing), EVIL_ORIGIN)


async def test_origins_may_be_trusted_by_the_guard_and_by_the_gate() -> None:
    """The gate's hold everywhere, the guard's for what stands behind it."""
    other = {"sec-fetch-site": "cross-site", "origin": "https://other.example"}
    gate = make_gate(trusted_origins=["https://other.example"])
    assert await judged(cross_origin(trusted=["https://app.example"]), APP, gate) is None
    assert await judged(cross_origin(trusted=["https://app.example"]), other, gate) is None
    assert await judged(cross_origin(), APP, gate)
    assert await judged(cross_origin(), other) == "from another site"


async def test_the_scheme_comes_from_whom_the_gate_trusts() -> None:
    """Behind a proxy that ends TLS, its word; never that of a client."""
    headers = {"origin": "http://testserver", "x-forwarded-proto": "https"}

    async def status(client: str) -> int:
        gate = make_gate(trusted_proxies=["10.0.0.0/8"])
        target = cross_origin()(_anyone)
        return (await call(target, method="POST", headers=headers, client=client, scheme="http", gate=gate)).status

    assert await status("10.0.0.1") == 403
    assert await status("192.0.2.1") == 200


async def _anyone() -> Ok[str]:
    return ok("done")


async def test_forwarded_hosts_say_nothing() -> None:
    """Anybody can write `X-Forwarded-Host`, and the answer does not hang on it."""
    headers = {**EVIL_ORIGIN, "x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
    assert await judged(cross_origin(), headers) == "from another origin"


@pytest.mark.parametrize("headers", [BEARER, NOTHING])
@pytest.mark.parametrize("decorator", [by_either, compose(by_either, cross_origin())])
async def test_a_credential_that_no_browser_attaches_is_exempt(decorator: Any, headers: dict[str, str]) -> None:
    """By what was used, not by path: the same request with a cookie is refused."""
    gate = make_gate()
    target = decorator(done)
    kept = None if headers else cookies(gate)
    reply = await call(target, method="POST", headers={**EVIL, **headers}, cookies=kept, gate=gate)
    assert answer(reply) == ((200, None) if headers else REFUSED)


async def test_who_is_unknown_is_judged_by_what_was_written_only() -> None:
    """Without a credential there is nothing that could have ridden along; `cross_origin()` asks all the same."""
    implied = with_auth(session, optional=True)
    assert answer(await call(implied(done), method="POST", headers=EVIL, gate=make_gate())) == (200, None)
    written = compose(implied, cross_origin())
    assert answer(await call(written(done), method="POST", headers=EVIL, gate=make_gate())) == REFUSED


async def test_a_principal_from_elsewhere_counts_as_ambient() -> None:
    """A guard that nobody knows may have read a cookie."""
    made = make_call(method="POST", headers=EVIL, principal=Principal("ada"), gate=make_gate())
    assert await judged_call(cross_origin(), made)


@pytest.mark.parametrize("headers", [EVIL, EVIL_ORIGIN])
async def test_a_test_principal_needs_no_headers(headers: dict[str, str]) -> None:
    """`call(..., principal=...)` stands in for `with_auth`, and nobody's browser attached it."""
    reply = await call(by_session(done), method="POST", headers=headers, principal=Principal("ada"), gate=make_gate())
    assert reply.status == 200


# Several of them


async def test_what_is_written_takes_the_place_of_what_is_implied() -> None:
    """Otherwise nobody could trust an origin, or only report, where there is a session."""
    gate = make_gate()
    for decorator in (cross_origin(mode="report"), cross_origin(trusted=["https://app.example"])):
        target = compose(by_session, decorator)(done)
        reply = await call(target, method="POST", headers=APP, cookies=cookies(gate), gate=gate)
        assert reply.status == 200
    sealed = compose(by_session, cross_origin())(done).pipeline.seal(None, Host.APP)
    assert list(map(repr, sealed)) == ["with_auth(__Host-session)", "cross_origin()"]


async def test_all_that_were_written_have_to_pass() -> None:
    """In whatever order; two that say the same are one."""
    app, other = cross_origin(trusted=["https://app.example"]), cross_origin(trusted=["https://other.example"])
    for decorators in ((app, other), (other, app)):
        assert (await call(compose(*decorators)(_anyone), method="POST", headers=APP, gate=make_gate())).status == 403
    twice = compose(cross_origin(), cross_origin())(_anyone)
    assert len(twice.pipeline.seal(None, Host.APP)) == 1
    assert repr(compose(app, other)(_anyone).pipeline) == repr(compose(other, app)(_anyone).pipeline)


async def test_one_further_out_has_judged_for_what_is_implied_inside() -> None:
    """An app in report mode is in report mode, sessions or not."""
    log = EventList()
    gate = make_gate(log)
    headers, kept = {**APP}, cookies(gate)

    async def status(decorator: Any, **more: Any) -> int:
        inner = _as_app(by_session(done))
        return (await call(decorator(inner), method="POST", headers=headers, cookies=kept, gate=gate)).status

    assert await status(cross_origin(mode="report")) == 200
    assert log[-1]["security"] == ["cross_origin_refused"]
    assert await status(cross_origin(trusted=["https://app.example"])) == 200
    assert await status(cross_origin()) == 403
    assert await status(lambda app: app) == 403


@pytest.mark.parametrize(
    ("outer", "trusts", "status"),
    [
        (cross_origin(), ["https://app.example"], 403),
        (cross_origin(mode="report"), [], 403),
        (cross_origin(), [], 403),
        (cross_origin(trusted=["https://app.example"]), [], 403),
    ],
)
async def test_what_another_gate_trusts_is_not_trusted_inside(outer: Any, trusts: list[str], status: int) -> None:
    """An app with a gate of its own keeps its own judgement, however lax the one around it is."""
    inner_gate = make_gate(EventList())
    inside = inner_gate.wrap(_as_app(by_session(done)))
    app = Gate(trusted_origins=trusts, log=EventList()).wrap(outer(Starlette(routes=[Mount("/", inside)])))
    reply = await call(app, method="POST", headers=APP, cookies=cookies(inner_gate))
    assert reply.status == status


async def test_another_gate_that_is_as_strict_has_judged_for_the_one_inside() -> None:
    """Its own origin passes both."""
    inner_gate = make_gate(EventList())
    inside = inner_gate.wrap(_as_app(by_session(done)))
    app = Gate(log=EventList()).wrap(cross_origin()(Starlette(routes=[Mount("/", inside)])))
    assert (await call(app, method="POST", headers=OWN, cookies=cookies(inner_gate))).status == 200


async def test_one_that_was_written_judges_once() -> None:
    """Around an app and on a handler, the same rule: one entry in the log; another rule has to pass, too."""
    log = EventList()
    gate = make_gate(log)
    report = cross_origin(mode="report")
    app = report(_as_app(report(_anyone)))
    assert (await call(app, method="POST", headers=EVIL, gate=gate)).status == 200
    assert log[-1]["security"] == ["cross_origin_refused"]
    app = report(_as_app(cross_origin()(_anyone)))
    assert (await call(app, method="POST", headers=EVIL, gate=gate)).status == 403


async def test_an_app_that_knew_a_token_does_not_judge_for_a_session_inside() -> None:
    """What the credential of the app excused, the one that counts in the end does not."""
    gate = make_gate()
    headers = {**EVIL, **BEARER}
    same = cross_origin()
    elsewhere: SessionCookie = SessionCookie(name="__Host-elsewhere")
    for outer, inner in (
        (compose(with_auth(bearer), same), by_session),
        (compose(with_auth(bearer), same), compose(by_session, same)),
        (compose(with_auth(bearer), same), compose(by_session, cross_origin())),
        (with_auth(bearer, elsewhere), by_session),
    ):
        app = outer(_as_app(inner(done)))
        assert answer(await call(app, method="POST", headers=headers, cookies=cookies(gate), gate=gate)) == REFUSED
    app = by_session(_as_app(by_session(done)))
    assert answer(await call(app, method="POST", headers=EVIL, cookies=cookies(gate), gate=gate)) == REFUSED


def _as_app(handler: Any) -> Starlette:
    return Starlette(routes=[Route("/", handler, methods=["POST"])])


# What the client gets


async def test_every_refusal_is_the_same() -> None:
    """A prober does not learn which header gave him away."""
    told = set()
    for headers in (EVIL, EVIL_ORIGIN, APP, {"origin": "null"}, {"sec-fetch-site": "x"}):
        reply = await call(cross_origin()(_anyone), method="POST", headers=headers, gate=make_gate())
        body = {key: value for key, value in reply.json.items() if key != "request_id"}
        told.add((reply.status, str(body), reply.headers["vary"], reply.headers["cache-control"]))
    expected = {
        "success": False,
        "error": "This request has to come from this site's own pages",
        "code": "cross_origin",
    }
    assert told == {(403, str(expected), "Sec-Fetch-Site, Origin", "no-store")}


async def test_answers_vary_by_what_was_looked_at() -> None:
    """Once, however many looked; and not where nobody did."""
    gate = make_gate()
    target = compose(by_session, cross_origin())(done)

    async def vary(method: str, **more: Any) -> str:
        return (await call(target, method=method, cookies=cookies(gate), gate=gate, **more)).headers["vary"]

    assert "Sec-Fetch-Site" not in await vary("GET")
    assert (await vary("POST")).count("Sec-Fetch-Site, Origin") == 1
    assert (await vary("POST", headers=OWN)).startswith("Sec-Fetch-Site, Origin")
    assert "Cookie" in await vary("POST")


# What the log says


async def test_the_log_says_why() -> None:
    """The reason and the origin, so that somebody can tell an attack from an origin that is to be trusted."""
    log = EventList()
    await call(cross_origin()(_anyone), method="POST", headers=APP, gate=make_gate(log))
    event = log[-1]
    assert event["security"] == ["cross_origin_refused"] and event["status"] == 403
    assert (event["error"], event["reason"]) == ("cross_origin", "from another origin of this site")
    assert event["origin"] == "https://app.example"


@pytest.mark.parametrize(
    ("headers", "origin"), [(EVIL, "https://evil.example"), ({"origin": "null"}, None), ({"origin": "\xff"}, None)]
)
async def test_report_mode_refuses_nothing(headers: dict[str, str], origin: str | None) -> None:
    """It says what would be refused, and why; nothing else changes."""
    log = EventList()
    target = cross_origin(mode="report")(_anyone)
    reply = await call(target, method="POST", headers=headers, gate=make_gate(log))
    assert reply.status == 200 and reply.headers["vary"] == "Sec-Fetch-Site, Origin"
    assert log[-1]["security"] == ["cross_origin_refused"]
    assert log[-1]["cross_origin"].startswith("would be refused, ")
    assert log[-1].get("origin") == origin
    await call(target, method="POST", headers=OWN, gate=make_gate(log))
    assert "security" not in log[-1] and "cross_origin" not in log[-1]


async def test_reporting_covers_silence() -> None:
    """Who plans to deny it sees beforehand who would be hit."""
    log = EventList()
    target = cross_origin(mode="report", missing="deny")(_anyone)
    assert (await call(target, method="POST", gate=make_gate(log))).status == 200
    assert log[-1]["cross_origin"] == "would be refused, neither Sec-Fetch-Site nor Origin"


# check_origin, for what takes credentials from a form


async def login(request: Call) -> Ok[str]:
    check_origin(request)
    return ok("welcome")


@pytest.mark.parametrize(
    ("headers", "status"),
    [(OWN, 200), (NOTHING, 200), (APP, 200), (EVIL, 403), (EVIL_ORIGIN, 403), ({"origin": "null"}, 403)],
)
async def test_a_login_is_checked_without_a_guard(headers: dict[str, str], status: int) -> None:
    """Login CSRF: nobody is signed in by another site as somebody else. The gate's origins are trusted."""
    log = EventList()
    gate = make_gate(log, trusted_origins=["https://app.example"])
    reply = await call(compose(with_auth(session, optional=True))(_login), method="POST", headers=headers, gate=gate)
    assert reply.status == status
    assert "Sec-Fetch-Site, Origin" in reply.headers["vary"]
    assert log[-1].get("security") == (None if status == 200 else ["cross_origin_refused"])


async def _login(request: Call, principal: Principal | None) -> Ok[str]:
    return await login(request)


@pytest.mark.parametrize("headers", [EVIL, NOTHING])
async def test_a_login_leaves_the_judgement_to_a_guard_that_was_written(headers: dict[str, str]) -> None:
    """So that report mode is report mode there, too, and is told of once."""
    log = EventList()
    target = cross_origin(mode="report", missing="deny")(login)
    assert (await call(target, method="POST", headers=headers, gate=make_gate(log))).status == 200
    assert log[-1]["security"] == ["cross_origin_refused"]


def test_a_login_by_a_link_is_not_judged() -> None:
    """A link in a mail is a GET from elsewhere; what it carries has to be secret."""
    check_origin(make_call(method="GET", headers=EVIL, gate=make_gate()))
    with pytest.raises(Forbidden):
        check_origin(make_call(method="POST", headers=EVIL, gate=make_gate()))


# Websockets, and odd bytes


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()


@pytest.mark.parametrize("headers", [EVIL, EVIL_ORIGIN, {"origin": "null"}])
@pytest.mark.parametrize("denial", [True, False])
async def test_every_handshake_is_judged(headers: dict[str, str], denial: bool) -> None:
    """A GET, but one that no later request of the conversation makes good (ASVS 5.0, 4.4.2)."""

    gate = make_gate()
    for decorator in (cross_origin(), by_session):
        target = decorator(chat)
        kept = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies(gate).items())}
        assert refused(await handshake(target, headers={**headers, **kept}, denial=denial, gate=gate))
        assert (await handshake(target, headers={"origin": "https://testserver", **kept}, gate=gate)).accepted
        assert (await handshake(target, headers=kept, gate=gate)).accepted
    target = with_auth(session, bearer)(chat)
    assert (await handshake(target, headers={**headers, **BEARER}, gate=gate)).accepted
    assert refused(await handshake(cross_origin(missing="deny")(chat), denial=denial, gate=gate))


_NAMES = st.sampled_from(["sec-fetch-site", "origin", "host", "authorization", "x-csrf-token"])
_VALUES = st.text(st.characters(max_codepoint=255), max_size=20) | st.sampled_from(
    ["same-origin", "none", "https://testserver", "testserver", "null"]
)
_GATE: Gate = make_gate()


@given(headers=st.lists(st.tuples(_NAMES, _VALUES), max_size=8), method=st.sampled_from(["POST", "GET", "\xff"]))
def test_no_header_is_an_error(headers: list[tuple[str, str]], method: str) -> None:
    """Pass or refuse, whatever bytes there are, and however often."""
    made = make_call(method=method, headers=headers, gate=_GATE)
    guard = CrossOrigin(missing="deny").bind(_GATE)
    try:
        guard.enter(made)
    except Forbidden as forbidden:
        assert forbidden.code == "cross_origin" and forbidden.reason
    else:
        values = [value for name, value in headers if name == "sec-fetch-site"]
        origin = [value for name, value in headers if name == "origin"]
        assert method == "GET" or values in (["same-origin"], ["none"]) or (not values and len(origin) == 1)


async def test_the_guard_needs_nothing_of_with_auth() -> None:
    """It stands in front of what gatewright does not identify, and asks for no principal."""
    assert CrossOrigin().needs == () and CrossOrigin().phase is Phase.SHIELD
    made = make_call(method="POST", headers=BEARER | EVIL, gate=make_gate())
    assert await enter(WithAuth((bearer,)), made) is None
    assert made.get(Identified).authenticator is bearer
    assert await judged_call(cross_origin(), made) is None
