"""Sessions that end when nobody uses them, and the cookie that is written again while somebody does."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from gatewright import (
    Call,
    ConfigurationError,
    Gate,
    NotFound,
    Ok,
    Principal,
    SessionCookie,
    ok,
    require,
    role,
    with_auth,
)
from gatewright.auth import Rejected
from gatewright.testing import EventList, FrozenClock, call, handshake, make_call
from tests.auth.support import KEY

pytestmark = pytest.mark.anyio

NAME = "__Host-session"
session: SessionCookie = SessionCookie(idle=1000, max_age=5000)


def a_gate(clock: FrozenClock | None = None) -> Gate:
    return Gate(keys=[KEY], clock=clock or FrozenClock(), log=EventList())


def created(gate: Gate, of: SessionCookie = session) -> dict[str, str]:
    return {NAME: of.create_session("ada").header(gate).decode().split(";")[0].split("=", 1)[1]}


@with_auth(session)
async def me(principal: Principal) -> Ok[str | None]:
    return ok(principal.sid)


@with_auth(session)
@require(role("admin"))
async def admin() -> Ok[None]:
    return ok()


@with_auth(session)
async def missing() -> Ok[None]:
    raise NotFound


@with_auth(session)
async def logout(call: Call) -> Ok[None]:
    return ok(cookies=[await session.end_session(call)])


@with_auth(session)
async def rotate(call: Call) -> Ok[None]:
    return ok(cookies=[await session.rotate(call, "bob")])


async def test_an_unused_session_is_over() -> None:
    """After its idle time, though its lifetime is not over (ASVS 7.3.1)."""
    clock = FrozenClock()
    gate = a_gate(clock)
    cookies = created(gate)
    clock.advance(999.9)
    assert (await call(me, cookies=cookies, gate=gate)).status == 200
    clock.advance(0.1)
    reply = await call(me, cookies=cookies, gate=gate)
    assert (reply.status, reply.json["code"]) == (401, "invalid_token")
    assert session.bind(gate).records.read(cookies[NAME].encode()) == Rejected("invalid_token", "idle for too long")


async def test_the_cookie_is_written_again_after_a_tenth_of_the_time() -> None:
    """Story: Kludex/starlette#828 and #2019, a cookie with every response; here one in a tenth of the idle time."""
    clock = FrozenClock()
    gate = a_gate(clock)
    cookies = created(gate)
    sid = (await call(me, cookies=cookies, gate=gate)).json["data"]
    for seconds, written in ((0, False), (100, False), (0.001, True)):
        clock.advance(seconds)
        reply = await call(me, cookies=cookies, gate=gate)
        assert (reply.status, NAME in reply.cookies) == (200, written)
    assert "Max-Age=1000; Secure; HttpOnly; SameSite=Lax" in reply.headers["set-cookie"]
    clock.advance(950)
    assert (await call(me, cookies=cookies, gate=gate)).status == 401
    reply = await call(me, cookies=reply.cookies, gate=gate)
    assert (reply.status, reply.json["data"]) == (200, sid)


async def test_renewal_never_extends_the_lifetime() -> None:
    """However busy, a session ends when it was to end; the browser is told the rest (ASVS 7.3.2)."""
    clock = FrozenClock()
    gate = a_gate(clock)
    cookies = created(gate)
    for _ in range(8):
        clock.advance(600)
        reply = await call(me, cookies=cookies, gate=gate)
        assert reply.status == 200
        cookies = reply.cookies
    assert "Max-Age=200;" in reply.headers["set-cookie"]
    clock.advance(200)
    assert (await call(me, cookies=cookies, gate=gate)).status == 401


@pytest.mark.parametrize(("handler", "status"), [(admin, 403), (missing, 404)])
async def test_refusals_renew_nothing(handler: Any, status: int) -> None:
    """Nobody keeps somebody else's session alive by what another site makes a browser ask."""
    clock = FrozenClock()
    gate = a_gate(clock)
    cookies = created(gate)
    clock.advance(500)
    reply = await call(handler, cookies=cookies, gate=gate)
    assert reply.status == status and NAME not in reply.cookies


@with_auth(session)
async def forget() -> Ok[None]:
    return ok(cookies=[session.forget()])


@with_auth(session)
async def become_bob() -> Ok[None]:
    return ok(cookies=[session.create_session("bob")])


@with_auth(session)
async def cacheable() -> Ok[None]:
    return ok(headers={"cache-control": "public, max-age=60"})


@with_auth(session)
async def slow() -> Ok[None]:
    CLOCK.advance(3)
    return ok()


CLOCK = FrozenClock()


async def test_an_answer_that_may_be_stored_by_others_carries_no_session_to_them() -> None:
    """Where the cookie is written again, nothing stores the answer, whatever its author thought of it."""
    clock = FrozenClock()
    gate = a_gate(clock)
    cookies = created(gate)
    reply = await call(cacheable, cookies=cookies, gate=gate)
    assert reply.headers["cache-control"] == "public, max-age=60" and NAME not in reply.cookies
    clock.advance(500)
    reply = await call(cacheable, cookies=cookies, gate=gate)
    assert reply.headers["cache-control"] == "no-store" and NAME in reply.cookies


async def test_a_late_answer_writes_no_session_over_a_newer_one() -> None:
    """Story: Kludex/starlette#2019, a slow response brings an old cookie back."""
    gate = a_gate(CLOCK)
    cookies = created(gate)
    CLOCK.advance(500)
    assert NAME not in (await call(slow, cookies=cookies, gate=gate)).cookies
    assert NAME in (await call(me, cookies=cookies, gate=gate)).cookies


@pytest.mark.parametrize("handler", [logout, rotate, forget, become_bob])
async def test_what_ends_or_begins_a_session_has_the_last_word(handler: Any) -> None:
    """The answer carries one cookie of the name, the new one, or a browser would keep the old."""
    clock = FrozenClock()
    gate = a_gate(clock)
    cookies = created(gate)
    clock.advance(500)
    reply = await call(handler, cookies=cookies, gate=gate)
    assert [name for name, _ in reply.raw_headers].count(b"set-cookie") == 1
    assert reply.cookies[NAME] != cookies[NAME]
    assert (reply.cookies[NAME] == "") is (handler in (logout, forget))


async def test_a_gate_further_out_does_not_undo_the_logout_of_one_inside() -> None:
    """Whoever sets the cookie last is heard; a renewal from outside is none of it."""
    clock = FrozenClock()
    outer = a_gate(clock)
    cookies = created(outer)
    inside = Starlette(routes=[Route("/logout", logout)])
    a_gate(clock).install(inside)
    app = outer.wrap(with_auth(session)(inside))
    clock.advance(500)
    reply = await call(app, path="/logout", cookies=cookies)
    assert reply.cookies == {NAME: ""} and [name for name, _ in reply.raw_headers].count(b"set-cookie") == 1


async def test_a_handshake_carries_no_cookie_back() -> None:
    """Not every server lets one be set there; the next request does it."""
    clock = FrozenClock()
    gate = a_gate(clock)
    cookies = created(gate)
    clock.advance(500)

    @with_auth(session)
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    app = Starlette(routes=[WebSocketRoute("/", chat), Route("/me", me)])
    gate.install(app)
    shaken = await handshake(app, headers={"cookie": f"{NAME}={cookies[NAME]}"})
    assert shaken.accepted and not any(message.get("headers") for message in shaken.messages)
    assert NAME in (await call(app, path="/me", cookies=cookies)).cookies


async def test_a_clock_that_is_behind_does_not_end_it() -> None:
    """Story: pallets/itsdangerous#400, two seconds between replicas and the user is logged out."""
    ahead, behind = FrozenClock(1_800_000_002.0), FrozenClock(1_800_000_000.0)
    cookies = created(a_gate(ahead))
    assert (await call(me, cookies=cookies, gate=a_gate(behind))).status == 200


@pytest.mark.parametrize("idle", [0, 9, -1, 5001, "1h", 1.5e3, True])
def test_an_idle_time_that_cannot_be_meant(idle: Any) -> None:
    """A few seconds log everybody out between two clicks, and none can outlast the session."""
    with pytest.raises(ConfigurationError, match="write whole seconds, 10 or more, and no more than max_age=5000"):
        SessionCookie(idle=idle, max_age=5000)


class Visits(RuleBasedStateMachine):
    """A browser comes back now and then; a session lives while it comes often enough, and not beyond its end."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock()
        self.gate = a_gate(self.clock)
        self.log_in()

    def log_in(self) -> None:
        """Begin a session."""
        self.jar = created(self.gate)
        self.began = self.written = self.clock.time()

    @rule(seconds=st.integers(0, 1200))
    def visit(self, seconds: int) -> None:
        """Come back after a while."""
        self.clock.advance(seconds)
        now = self.clock.time()
        made = make_call(cookies=self.jar, gate=self.gate)
        said = session.bind(self.gate).authenticate(made)
        alive = now < self.began + 5000 and now < self.written + 1000
        assert isinstance(said, Principal) is alive
        renewed = made.finish(200, [])
        cookies = [value for name, value in renewed if name == b"set-cookie"]
        assert len(cookies) == (1 if alive and now - self.written > 100 else 0)
        if cookies:
            lifetime = min(1000, math.ceil(self.began + 5000 - now))
            assert f"; Max-Age={lifetime};".encode() in cookies[0]
            self.jar = {NAME: cookies[0].decode().split(";")[0].split("=", 1)[1]}
            self.written = now
        if not alive:
            self.log_in()


TestVisits = Visits.TestCase
TestVisits.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
