"""Sessions that end before their time: at logout, at a login, all of a subject at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gatewright import (
    Call,
    ConfigurationError,
    Gate,
    Ok,
    Principal,
    ServiceUnavailable,
    SessionCookie,
    Storage,
    limit_body,
    ok,
    with_auth,
)
from gatewright.auth import Revoker
from gatewright.auth.session.revokes import BoundRevoker
from gatewright.testing import EventList, FrozenClock, Reply, call, make_call
from tests.auth.support import KEY
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

NAME = "__Host-session"
session: SessionCookie = SessionCookie(revoker=Revoker())


def a_gate(**settings: Any) -> Gate:
    return Gate(keys=[KEY], **{"clock": FrozenClock(), "log": EventList(), **settings})


async def login(call: Call) -> Ok[None]:
    return ok(cookies=[await session.rotate(call, "ada", roles=["author"], scopes=["read"], tenant="acme")])


# A guard of some kind, so that it is given its call; not `with_auth`, which refuses a cookie that is over.
sign_in = limit_body(0)(login)


@with_auth(session)
async def me(principal: Principal) -> Ok[dict[str, Any]]:
    return ok({"sub": principal.sub, "roles": sorted(principal.roles), "sid": principal.sid, "at": principal.auth_at})


@with_auth(session)
async def logout(call: Call) -> Ok[None]:
    return ok(cookies=[await session.end_session(call)])


@with_auth(session)
async def promote(call: Call) -> Ok[None]:
    return ok(cookies=[await session.rotate(call, roles=["admin"])])


@with_auth(session)
async def log_out_elsewhere(call: Call, principal: Principal) -> Ok[None]:
    await session.end_all(call, principal.sub, keep=principal.sid)
    return ok()


@with_auth(session)
async def log_out_everywhere(call: Call, principal: Principal) -> Ok[None]:
    await session.end_all(call, principal.sub)
    return ok()


async def signed_in(gate: Gate, cookies: dict[str, str] | None = None) -> dict[str, str]:
    return (await call(sign_in, method="POST", cookies=cookies, gate=gate)).cookies


async def asks(handler: Any, cookies: dict[str, str], gate: Gate) -> Reply:
    return await call(handler, cookies=cookies, gate=gate)


async def status(cookies: dict[str, str], gate: Gate) -> int:
    return (await asks(me, cookies, gate)).status


# Logging out


async def test_a_copy_of_the_cookie_is_worth_nothing_after_the_logout() -> None:
    """Story: maxkuminov/obsidian-mcp#198, a cookie goes on being good for seven days after the logout (ASVS 7.4.1)."""
    gate = a_gate()
    cookies = await signed_in(gate)
    assert await status(cookies, gate) == 200
    reply = await asks(logout, cookies, gate)
    assert reply.cookies == {NAME: ""}
    reply = await asks(me, cookies, gate)
    assert (reply.status, reply.json["code"]) == (401, "invalid_token")


async def test_a_logout_ends_one_session() -> None:
    """The same person's other devices stay logged in."""
    gate = a_gate()
    one, other = await signed_in(gate), await signed_in(gate)
    await asks(logout, one, gate)
    assert (await status(one, gate), await status(other, gate)) == (401, 200)


async def test_what_was_ended_is_remembered_until_it_would_have_expired() -> None:
    """And no longer: the deny-list is bounded by the sessions' own end."""
    clock = FrozenClock()
    gate = a_gate(clock=clock)
    cookies = await signed_in(gate)
    clock.advance(80_000)
    await asks(logout, cookies, gate)
    clock.advance(6_399)
    assert await status(cookies, gate) == 401
    marks = gate.marks("the test")
    principal = await session.verify_session(cookies[NAME], gate)
    assert principal is None and repr(marks) == "<LocalMarks 1>"
    clock.advance(2)
    assert await marks.read(repr(("session", "ada")), ["ended " + "0" * 32]) == [None]


@pytest.mark.parametrize("cookies", [{}, {NAME: "forged.token"}])
async def test_a_logout_without_a_session_is_none(cookies: dict[str, str]) -> None:
    """A cookie that proves nothing ends nothing, and is taken away all the same."""
    gate, log = a_gate(), EventList()
    made = make_call(cookies=cookies, gate=gate)
    cookie = await session.end_session(made)
    assert cookie == session.forget() and made.security == () and not log


async def test_a_logout_that_ends_nothing_says_so_once() -> None:
    """Without a revoker a copy stays good; the log names what to write, and not at every logout."""
    plain: SessionCookie = SessionCookie()
    log = EventList()
    gate = a_gate(log=log)
    value = plain.create_session("ada").header(gate).decode().split(";")[0].split("=", 1)[1]
    for _ in range(3):
        await plain.end_session(make_call(cookies={NAME: value}, gate=gate))
    advice = [event for event in log if event["event"] == "advice"]
    assert [event["about"] for event in advice] == ["logout"]
    assert "SessionCookie(revoker=Revoker())" in advice[0]["advice"]
    assert await plain.verify_session(value, gate) is not None


# Logging in, and becoming somebody else


async def test_a_login_ends_the_session_before() -> None:
    """A session that somebody planted, or left behind, is no way into the new one (ASVS 7.2.4)."""
    gate = a_gate()
    before = await signed_in(gate)
    after = await signed_in(gate, before)
    assert before != after
    assert (await status(before, gate), await status(after, gate)) == (401, 200)


async def test_fixation_has_nothing_to_fix() -> None:
    """Story: starsessions adopts any id that it finds in the cookie; ours are made at the login, by the server."""
    gate = a_gate()
    cookies = await signed_in(gate, {NAME: "attacker"})
    sid = (await asks(me, cookies, gate)).json["data"]["sid"]
    assert len(sid) == 32 and "attacker" not in sid


async def test_a_change_of_privilege_is_another_session_with_the_same_end() -> None:
    """The id changes, the old one is over; who it is, since when and until when stay."""
    clock = FrozenClock()
    gate = a_gate(clock=clock)
    before = await signed_in(gate)
    was = (await asks(me, before, gate)).json["data"]
    clock.advance(3600)
    reply = await asks(promote, before, gate)
    after = reply.cookies
    now = (await asks(me, after, gate)).json["data"]
    assert (now["roles"], now["at"], now["sub"]) == (["admin"], was["at"], "ada") and now["sid"] != was["sid"]
    assert await status(before, gate) == 401
    assert "Max-Age=82800;" in reply.headers["set-cookie"]
    principal = await session.verify_session(after[NAME], gate)
    assert principal is not None and (principal.scopes, principal.tenant) == ({"read"}, "acme")
    clock.advance(82_800)
    assert await status(after, gate) == 401


async def test_a_session_that_was_ended_is_no_way_to_another() -> None:
    """Where no guard stands in front, rotating asks by itself whether the session still counts."""
    gate = a_gate()
    cookies = await signed_in(gate)
    await asks(logout, cookies, gate)
    with pytest.raises(ConfigurationError, match=r"rotate\(call, sub\)"):
        await session.rotate(make_call(cookies=cookies, gate=gate))


async def test_what_the_log_says_of_it() -> None:
    """Sessions that begin and end are security events (ASVS 16.3.1)."""
    log = EventList()
    gate = a_gate(log=log)
    cookies = await signed_in(gate)
    cookies = await signed_in(gate, cookies)
    await asks(log_out_elsewhere, cookies, gate)
    await asks(logout, cookies, gate)
    await asks(me, cookies, gate)
    told = [event["security"] for event in log if event["event"] == "request"]
    assert told == [
        ["session_created"],
        ["session_ended", "session_created"],
        ["sessions_ended"],
        ["session_ended"],
        ["credential_rejected"],
    ]


async def test_a_session_that_is_rotated_while_all_end_does_not_outlive_them() -> None:
    """The new one counts from before it was asked whether the old one still does."""
    clock = FrozenClock()
    gate = a_gate(clock=clock)
    cookies = await signed_in(gate)
    made = make_call(cookies=cookies, gate=gate)
    cookie = await session.rotate(made, roles=["admin"])
    clock.advance(1)
    await session.end_all(gate, "ada")
    clock.advance(1)
    # The answer is made only now.
    value = cookie.header(gate).decode().partition(";")[0].partition("=")[2]
    assert await session.verify_session(value, gate) is None


async def test_a_late_answer_to_an_ended_session_leaves_the_browser_its_new_one() -> None:
    """Story: nextauthjs/next-auth#8897: what a page asks beside a rotation logs nobody out."""
    gate = a_gate()
    before = await signed_in(gate)
    await asks(promote, before, gate)
    reply = await asks(me, before, gate)
    assert reply.status == 401 and "set-cookie" not in reply.headers
    reply = await call(me, cookies=before, headers={"Accept": "text/html"}, gate=gate)
    assert (reply.status, reply.cookies) == (401, {NAME: ""})


# All at once


async def test_all_other_sessions_end() -> None:
    """As after a change of the password: this one goes on, whatever the others are (ASVS 7.4.3)."""
    clock = FrozenClock()
    gate = a_gate(clock=clock)
    mine, other = await signed_in(gate), await signed_in(gate)
    clock.advance(1)
    await asks(log_out_elsewhere, mine, gate)
    assert (await status(mine, gate), await status(other, gate)) == (200, 401)
    assert await status(await signed_in(gate), gate) == 200


async def test_everything_ends() -> None:
    """Whoever was logged in logs in again; a session that was excepted before is no exception now."""
    clock = FrozenClock()
    gate = a_gate(clock=clock)
    mine, other = await signed_in(gate), await signed_in(gate)
    clock.advance(1)
    await asks(log_out_elsewhere, mine, gate)
    clock.advance(1)
    await asks(log_out_everywhere, mine, gate)
    assert (await status(mine, gate), await status(other, gate)) == (401, 401)


async def test_an_administrator_ends_the_sessions_of_somebody() -> None:
    """From a script, by the gate alone (ASVS 7.4.5); other people's go on, and those of other kinds of people."""
    clock = FrozenClock()
    gate = a_gate(clock=clock)
    staff: SessionCookie = SessionCookie(name="__Host-staff", revoker=Revoker(scope="staff"))
    cookies = await signed_in(gate)
    value = staff.create_session("ada").header(gate).decode().split(";")[0].split("=", 1)[1]
    clock.advance(1)
    await session.end_all(gate, "bob")
    assert await status(cookies, gate) == 200
    await session.end_all(gate, "ada")
    assert await status(cookies, gate) == 401
    assert await staff.verify_session(value, gate) is not None


async def test_nothing_ends_without_a_revoker() -> None:
    """Said where it is tried, and not passed over."""
    with pytest.raises(ConfigurationError, match=r"SessionCookie\(revoker=Revoker\(\)\)"):
        await SessionCookie().end_all(a_gate(), "ada")


async def test_a_token_without_an_id_ends_with_its_subject() -> None:
    """A JWT need not have one; then only the moment before which nothing counts says something of it."""
    clock = FrozenClock()
    gate = a_gate(clock=clock)
    bound = Revoker().bind(gate)
    began = clock.time()
    clock.advance(1)
    assert not await bound.is_revoked(None, "ada", began)
    await bound.end_all("ada")
    assert await bound.is_revoked(None, "ada", began)
    assert not await bound.is_revoked(None, "ada", clock.time())


async def test_what_has_no_time_left_is_not_remembered() -> None:
    """It is over anyway."""
    gate = a_gate()
    await Revoker().bind(gate).end("sid", "ada", 0)
    assert repr(gate.marks("the test")) == "<LocalMarks 0>"


# How it is written


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"scope": ""}, 'such as "admin"'),
        ({"scope": 7}, 'such as "admin"'),
        ({"max_age": 0}, r"write seconds, such as 30 \* 86400"),
        ({"max_age": float("inf")}, "write seconds"),
        ({"max_age": float("nan")}, "write seconds"),
        ({"on_error": "local"}, 'write "closed" or "open"'),
    ],
)
def test_a_revoker_that_cannot_be(settings: dict[str, Any], advice: str) -> None:
    """Refused when it is written, with what to write instead."""
    with pytest.raises(ConfigurationError, match=advice):
        Revoker(**settings)


def test_a_revoker_does_not_forget_before_the_session_ends() -> None:
    """Else a session that was ended would come to life again."""
    with pytest.raises(ConfigurationError, match=r"write Revoker\(max_age=86400\)"):
        SessionCookie(revoker=Revoker(max_age=3600))
    for mistaken in (Revoker, True, "redis://"):
        with pytest.raises(ConfigurationError, match=r"write revoker=Revoker\(\)"):
            SessionCookie(revoker=mistaken)  # type: ignore[arg-type]  # as one writes it by mistake


async def test_one_revoker_for_each_gate() -> None:
    """Two apps in one process do not end each other's sessions."""
    revoker = Revoker()
    one, other = a_gate(), a_gate()
    assert revoker.bind(one) is revoker.bind(one) is not revoker.bind(other)


# On a server


@pytest.mark.redis
class TestOnRedis:
    """What one process ends is over in all of them."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Redis' client needs asyncio."""
        return "asyncio"

    @pytest.fixture
    async def gates(self, redis_url: str, prefix: str) -> AsyncIterator[tuple[Gate, Gate]]:
        """Two processes of one app, as far as their storage can tell."""
        clock = FrozenClock()
        storage = Storage(redis_url, prefix=prefix, deadline=5)
        gates = a_gate(storage=storage, clock=clock), a_gate(storage=storage, clock=clock)
        yield gates
        for gate in gates:
            await gate.close()

    async def test_a_logout_here_is_one_there(self, gates: tuple[Gate, Gate]) -> None:
        """At once."""
        here, there = gates
        cookies = await signed_in(here)
        assert await status(cookies, there) == 200
        await asks(logout, cookies, here)
        assert await status(cookies, there) == 401

    async def test_all_end_everywhere(self, gates: tuple[Gate, Gate]) -> None:
        """But the one that is kept."""
        here, there = gates
        mine, other = await signed_in(here), await signed_in(here)
        here.clock.advance(1)  # type: ignore[attr-defined]  # a frozen clock
        await asks(log_out_elsewhere, mine, here)
        assert (await status(mine, there), await status(other, there)) == (200, 401)

    async def test_one_question_a_request(self, redis_server: RedisServer, gates: tuple[Gate, Gate]) -> None:
        """Whatever was ended: the price of a revoker is one round trip."""
        here, _ = gates
        cookies = await signed_in(here)
        await status(cookies, here)
        before = redis_server.calls("evalsha")
        await status(cookies, here)
        assert redis_server.calls("evalsha") == before + 1


@pytest.mark.fault
def test_a_session_that_cannot_be_asked_about_is_refused(own_redis: RedisServer) -> None:
    """503 while the storage is down, or, where that was chosen, as good as it says itself; a logout is never a lie."""
    hopeful: SessionCookie = SessionCookie(revoker=Revoker(on_error="open"))

    @with_auth(hopeful)
    async def hoping(principal: Principal) -> Ok[str]:
        return ok(principal.sub)

    async def ask() -> None:
        gate = Gate(keys=[KEY], storage=own_redis.url, log=EventList())
        cookies = await signed_in(gate)
        assert await status(cookies, gate) == 200
        own_redis.kill()
        reply = await asks(me, cookies, gate)
        assert (reply.status, reply.json["code"]) == (503, "service_unavailable") and "retry-after" in reply.headers
        assert (await asks(logout, cookies, gate)).status == 503
        assert (await asks(hoping, cookies, gate)).status == 200
        with pytest.raises(ServiceUnavailable):
            await hopeful.end_session(make_call(cookies=cookies, gate=gate))
        await gate.close()

    asyncio.run(ask())


class _Nobody:
    """A revoker of somebody's own, who ended nothing."""

    max_age = 1e9

    def bind(self, gate: Gate) -> BoundRevoker:
        return self

    async def is_revoked(self, sid: str | None, sub: str, issued_at: float) -> bool:
        return sub == "bob"

    async def end(self, sid: str, sub: str, seconds: float) -> None:
        raise AssertionError("nobody logs out")

    async def end_all(self, sub: str, *, keep: str | None = None) -> None:
        raise AssertionError("nobody logs out")


async def test_a_revoker_of_ones_own() -> None:
    """Whatever says that it is over."""
    own: SessionCookie = SessionCookie(revoker=_Nobody())
    gate = a_gate()
    for sub, good in (("ada", True), ("bob", False)):
        value = own.create_session(sub).header(gate).decode().split(";")[0].split("=", 1)[1]
        assert (await own.verify_session(value, gate) is not None) is good
