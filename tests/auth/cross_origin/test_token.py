"""The token of a session: what fits, where it is read, and that nobody is asked for it who says where he comes from."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.websockets import WebSocket

from gatewright import (
    Call,
    ConfigurationError,
    FromForm,
    Gate,
    Ok,
    Principal,
    Unauthorized,
    compose,
    ok,
    validate,
    with_auth,
)
from gatewright._core.pipeline import Host
from gatewright.auth.cross_origin.guard import cross_origin
from gatewright.auth.cross_origin.token import SessionTokens, csrf_token, token_problem
from gatewright.testing import EventList, FrozenClock, call, handshake, make_call
from tests.auth.cross_origin.support import (
    BEARER,
    EVIL,
    EVIL_ORIGIN,
    KEY,
    NOTHING,
    OLDER_KEY,
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

demand_token = cross_origin(missing="token")
demanding = compose(with_auth(session, bearer), demand_token)
FORM = "application/x-www-form-urlencoded"


@with_auth(session)
async def page(request: Call, principal: Principal) -> Ok[str]:
    return ok(csrf_token(request))


@demanding
async def change(principal: Principal) -> Ok[str]:
    return ok(principal.sub)


async def token_for(gate: Gate, kept: dict[str, str]) -> str:
    token: str = (await call(page, cookies=kept, gate=gate)).json["data"]
    return token


# The token by itself


def test_a_token_is_a_masked_mac_of_the_session() -> None:
    """Under a key of its own: nothing that the gate signs elsewhere is a token, and the other way round."""
    mask = bytes(range(32))
    raw = base64.urlsafe_b64decode(SessionTokens([KEY]).issue("sid", mask) + "==")
    own = hmac.digest(KEY, b"gatewright.csrf", hashlib.sha256)
    proof = bytes(a ^ b for a, b in zip(raw[:32], raw[32:], strict=True))
    assert raw[:32] == mask and proof == hmac.digest(own, b"sid", hashlib.sha256)


async def test_no_two_tokens_look_the_same() -> None:
    """BREACH: a page that is compressed together with what an attacker chose gives away what repeats."""
    gate = make_gate()
    kept = cookies(gate)
    tokens = {await token_for(gate, kept) for _ in range(20)}
    assert len(tokens) == 20 and {len(token) for token in tokens} == {86}
    for token in tokens:
        assert (
            await call(change, method="POST", headers={"x-csrf-token": token}, cookies=kept, gate=gate)
        ).status == 200


def test_every_key_counts_and_the_newest_makes_them() -> None:
    """A key is rolled without anybody losing what he typed into a form."""
    old, new = SessionTokens([OLDER_KEY]).issue("sid", b"m" * 32), SessionTokens([KEY]).issue("sid", b"m" * 32)
    both = SessionTokens([KEY, OLDER_KEY])
    assert both.issue("sid", b"m" * 32) == new
    assert both.fits(old.encode(), "sid") and both.fits(new.encode(), "sid")
    assert not SessionTokens([KEY]).fits(old.encode(), "sid")


@given(st.binary(max_size=100), st.text(max_size=10))
def test_no_other_bytes_fit(token: bytes, sid: str) -> None:
    """Whatever they are; a session's id is any text that was signed."""
    tokens = SessionTokens([KEY, OLDER_KEY])
    assert not tokens.fits(token, sid)
    assert not tokens.fits(base64.urlsafe_b64encode(token.ljust(64, b"x")[:64]).rstrip(b"="), sid)
    real = tokens.issue(sid, token.ljust(32, b"x")[:32])
    assert tokens.fits(real.encode(), sid)
    assert not tokens.fits(real.encode(), sid + "x")
    for wrong in (real + "=", real[:-1], real + "\n", " " + real):
        assert not tokens.fits(wrong.encode(), sid)


# Where one is asked for


@pytest.mark.parametrize("headers", [OWN, {"origin": "https://testserver"}, {"sec-fetch-site": "none"}])
async def test_who_says_where_he_comes_from_needs_no_token(headers: dict[str, str]) -> None:
    """Every browser since 2020 does."""
    gate = make_gate()
    assert (await call(change, method="POST", headers=headers, cookies=cookies(gate), gate=gate)).status == 200


@pytest.mark.parametrize("headers", [EVIL, EVIL_ORIGIN])
async def test_a_token_makes_no_other_origin_good(headers: dict[str, str]) -> None:
    """It stands in for headers that are missing, and for nothing else."""
    gate = make_gate()
    kept = cookies(gate)
    with_token = {**headers, "x-csrf-token": await token_for(gate, kept)}
    assert answer(await call(change, method="POST", headers=with_token, cookies=kept, gate=gate)) == REFUSED


async def test_a_bearer_needs_no_token() -> None:
    """Nor does anything else that no browser attaches by itself; nor a GET."""
    gate = make_gate()
    assert (await call(change, method="POST", headers=BEARER, gate=gate)).status == 200
    assert (await call(change, cookies=cookies(gate), gate=gate)).status == 200


@pytest.mark.parametrize(
    ("headers", "form", "why"),
    [
        ([], None, "neither X-CSRF-Token nor csrf_token"),
        ([], [("csrf_token", "")], "X-CSRF-Token or csrf_token of another session"),
        ([], [("csrf_token", "é")], "X-CSRF-Token or csrf_token of another session"),
        ([], [("csrf_token", "{0}"), ("csrf_token", "{0}")], "X-CSRF-Token or csrf_token more than once"),
        ([], [("CSRF_TOKEN", "{0}")], "neither X-CSRF-Token nor csrf_token"),
        ([("x-csrf-token", "")], [("csrf_token", "{0}")], "X-CSRF-Token or csrf_token of another session"),
        ([("x-csrf-token", "{0}"), ("x-csrf-token", "{0}")], None, "X-CSRF-Token or csrf_token more than once"),
        ([("x-csrf-token", "{1}")], None, "X-CSRF-Token or csrf_token of another session"),
        ([("x-csrf-token", "\xff")], None, "X-CSRF-Token or csrf_token of another session"),
        ([("content-type", "multipart/form-data; boundary=x")], [("csrf_token", "{0}")], "neither X-CSRF-Token nor"),
        ([("content-type", "application/json")], [("csrf_token", "{0}")], "neither X-CSRF-Token nor csrf_token"),
        ([("content-type", FORM), ("content-type", FORM)], [("csrf_token", "{0}")], "neither X-CSRF-Token nor csrf_"),
        ([], [("csrf_token", "{0}"), *[("x", "1")] * 1000], "neither X-CSRF-Token nor csrf_"),
    ],
)
async def test_without_the_sessions_token_a_silent_call_is_refused(
    headers: list[tuple[str, str]], form: list[tuple[str, str]] | None, why: str
) -> None:
    """The same answer for all; the log knows which, and the redactor leaves it readable."""
    log = EventList()
    gate = make_gate(log)
    kept = cookies(gate)
    mine, other = await token_for(gate, kept), await token_for(gate, cookies(gate, "eve"))

    sent = [(name, value.format(mine, other)) for name, value in headers]
    body = None
    if form is not None:
        body = urlencode([(name, value.format(mine, other)) for name, value in form]).encode()
        sent += [] if any(name == "content-type" for name, _ in sent) else [("content-type", FORM)]
    reply = await call(change, method="POST", headers=sent, data=body, cookies=kept, gate=gate)
    assert answer(reply) == REFUSED
    assert log[-1]["reason"].startswith(f"neither Sec-Fetch-Site nor Origin, and {why}")
    assert mine not in str(log[:]) and log[-1]["security"] == ["cross_origin_refused"]


async def test_a_token_is_worth_nothing_after_the_next_login() -> None:
    """A login makes another session, so what an attacker fixed or learned before is of no use."""
    gate = make_gate()
    before, after = cookies(gate), cookies(gate)
    headers = {"x-csrf-token": await token_for(gate, before)}
    assert (await call(change, method="POST", headers=headers, cookies=before, gate=gate)).status == 200
    assert answer(await call(change, method="POST", headers=headers, cookies=after, gate=gate)) == REFUSED


# The form


@demanding
@validate
async def rename(name: FromForm[str], principal: Principal) -> Ok[str]:
    return ok(name)


@demanding
async def by_request(request: Request, principal: Principal) -> Ok[str]:
    return ok(str((await request.form())["name"]))


@pytest.mark.parametrize("target", [rename, by_request])
@pytest.mark.parametrize("kind", [FORM, FORM.upper(), f"{FORM}; charset=utf-8"])
async def test_a_form_carries_the_token_in_a_field(target: Any, kind: str) -> None:
    """And the handler reads the same form afterwards, whatever else is in it."""
    gate = make_gate()
    kept = cookies(gate)
    form = {"name": "Zoë & Söhne", "csrf_token": await token_for(gate, kept)}
    headers = {"content-type": kind}
    reply = await call(target, method="POST", headers=headers, form=form, cookies=kept, gate=gate)
    assert (reply.status, reply.json["data"]) == (200, "Zoë & Söhne")


async def test_a_form_with_a_file_carries_the_token_too() -> None:
    """A page without a script cannot send a header, and one that uploads a picture has no other form."""
    gate = make_gate()
    kept = cookies(gate)
    parts = {'name="csrf_token"': await token_for(gate, kept), 'name="picture"; filename="me.png"': "pixels"}
    body = "".join(f"--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n" for head, value in parts.items())
    headers = {"content-type": "multipart/form-data; boundary=x"}
    for ending, allowed in (("--x--\r\n", True), ("", False)):
        sent = (body + ending).encode()
        reply = await call(change, method="POST", headers=headers, data=sent, cookies=kept, gate=gate)
        assert (reply.status == 200) is allowed


async def test_a_form_is_read_under_the_cap() -> None:
    """One that is too long is told so, token or not; and nothing is read where the header decides."""
    gate = make_gate(body_limit=100)
    kept = cookies(gate)
    reply = await call(change, method="POST", form={"x": "y" * 200}, cookies=kept, gate=gate)
    assert (reply.status, reply.consumed) == (413, 0)
    headers = {"x-csrf-token": await token_for(gate, kept)}
    reply = await call(change, method="POST", headers=headers, form={"x": "y" * 200}, cookies=kept, gate=gate)
    assert (reply.status, reply.consumed) == (200, 0)


@pytest.mark.parametrize("body", [b"\xff=\xff", b"%", b"csrf_token", b"&&&", b"csrf_token=%ff%00", b"\x00" * 50])
async def test_no_form_is_an_error(body: bytes) -> None:
    """Whatever is sent is refused, and nothing else."""
    gate = make_gate()
    headers = {"content-type": FORM}
    reply = await call(change, method="POST", headers=headers, data=body, cookies=cookies(gate), gate=gate)
    assert answer(reply) == REFUSED


# Configuration, and calls without a session


def test_a_token_needs_somebody_to_belong_to() -> None:
    """In front of an app whose handlers know the session, nobody is known yet; so it is refused."""
    with pytest.raises(ConfigurationError, match="needs a principal; add @with_auth"):
        demand_token(Starlette())
    with pytest.raises(ConfigurationError, match="needs a principal; add @with_auth"):
        make_gate().install(_app(demand_token(_nobody)))


def test_a_token_needs_keys() -> None:
    """Those of the gate, also where the session has its own."""
    with pytest.raises(ConfigurationError, match=r"cross_origin\(missing='token'\) signs with the gate's keys"):
        Gate(clock=FrozenClock(), log=EventList()).install(_app(compose(with_auth(bearer), demand_token)(done)))


def test_a_plain_fastapi_route_reads_the_form_first() -> None:
    """Then the field would be gone, so it is refused with what to write."""
    with pytest.raises(ConfigurationError, match="GuardedRoute"):
        change.pipeline.seal(None, Host.DEPENDENCY)
    assert change.pipeline.seal(None, Host.FRAMEWORK)


async def _nobody() -> Ok[str]:
    return ok("nobody")


def _app(handler: Any) -> Starlette:
    return Starlette(routes=[Route("/", handler, methods=["POST"])])


async def test_without_a_session_there_is_no_token() -> None:
    """None to be had, and none that fits: a login form relies on `missing="allow"`."""
    log = EventList()
    gate = make_gate(log)
    target = compose(with_auth(session, optional=True), demand_token)(done)
    assert answer(await call(target, method="POST", gate=gate)) == REFUSED
    assert log[-1]["reason"].endswith("no session that a token could belong to")
    assert answer(await call(target, method="POST", headers=OWN, gate=gate)) == (200, None)
    for principal in (None, Principal("ada", "bearer")):
        with pytest.raises(Unauthorized) as refusal:
            csrf_token(make_call(principal=principal, gate=gate))
        assert refusal.value.reason == "csrf_token() wants a session; this caller has none"


async def test_reporting_lets_pass_without_a_token() -> None:
    """So that one sees beforehand who would be hit."""
    log = EventList()
    gate = make_gate(log)
    target = compose(with_auth(session), cross_origin(missing="token", mode="report"))(done)
    assert (await call(target, method="POST", cookies=cookies(gate), gate=gate)).status == 200
    assert log[-1]["cross_origin"].endswith("and neither X-CSRF-Token nor csrf_token")


async def chat(websocket: WebSocket, principal: Principal) -> None:
    await websocket.accept()


async def test_a_handshake_has_no_form() -> None:
    """Only a header counts, which no browser lets a page set: in effect, silence is refused."""
    gate = make_gate()
    kept = cookies(gate)
    token = await token_for(gate, kept)
    cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in kept.items())}
    target = demanding(chat)
    assert refused(await handshake(target, headers={**cookie, "content-type": FORM}, gate=gate))
    assert (await handshake(target, headers={**cookie, "x-csrf-token": token}, gate=gate)).accepted
    assert (await handshake(target, headers={**cookie, "origin": "https://testserver"}, gate=gate)).accepted


async def test_a_problem_is_found_in_a_made_up_call() -> None:
    """The parts by themselves."""
    gate = make_gate()
    principal: Principal = Principal("ada", sid="s")
    tokens = SessionTokens([KEY])
    made = make_call(method="POST", headers=NOTHING, principal=principal, gate=gate)
    token = csrf_token(made)
    assert await token_problem(made, tokens) == "neither X-CSRF-Token nor csrf_token"
    made = make_call(method="POST", headers={"x-csrf-token": token}, principal=principal, gate=gate)
    assert await token_problem(made, tokens) is None
