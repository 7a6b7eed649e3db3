"""Requirements that look at the route and at the clock, and what a caller is told who is late."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import (
    Call,
    ConfigurationError,
    Gate,
    Ok,
    Principal,
    SessionCookie,
    ok,
    require,
    role,
    scopes,
    with_auth,
)
from gatewright.auth import Requirement
from gatewright.auth.authority.kinds import fresh, is_self, same_tenant
from gatewright.testing import EventList, FrozenClock, call, make_call
from tests.auth.authority.support import NOW, PEOPLE, ask, bearer, gate, stale

pytestmark = pytest.mark.anyio

ADA = PEOPLE["ada"]


def held(requirement: Requirement, principal: Principal = ADA, **path: Any) -> bool | None:
    return requirement(principal, make_call(path_params=path, gate=gate()))


def guarded(requirement: Any) -> Any:
    @with_auth(bearer)
    @require(requirement)
    async def handler() -> Ok[str]:
        return ok("done")

    return handler


# The path


def test_a_caller_may_see_to_their_own_affairs() -> None:
    """The path parameter is the caller's `sub`, letter for letter."""
    assert held(is_self("user_id"), user_id="ada") is True
    for other in ("Ada", "ada ", "bob", "", "ad\u0430"):
        assert held(is_self("user_id"), user_id=other) is False


def test_what_a_convertor_made_is_compared_as_text() -> None:
    """`{user_id:int}` is a number, and a `sub` never is."""
    assert held(is_self("user_id"), Principal("7"), user_id=7) is True
    assert held(is_self("user_id"), Principal("07"), user_id=7) is False


def test_a_tenant_is_the_callers_own() -> None:
    """Who has none is of none, not even of one called "None"."""
    assert held(same_tenant("tenant_id"), tenant_id="acme") is True
    assert held(same_tenant("tenant_id"), tenant_id="other") is False
    for tenant in ("None", "", "acme"):
        assert held(same_tenant("tenant_id"), PEOPLE["eve"], tenant_id=tenant) is False


@pytest.mark.parametrize("requirement", [is_self("user_id"), same_tenant("user_id"), ~is_self("user_id")])
async def test_a_route_without_the_parameter_is_a_fault_of_ours(requirement: Requirement) -> None:
    """Never a permission and never a silent 403: a 500, and the log names the parameters that are there."""
    events = EventList()
    reply = await ask(guarded(requirement), "ada", events=events)
    assert (reply.status, reply.json["error"]) == (500, "Internal server error")
    assert "the route has no parameter user_id; those of its path are: post_id" in str(events)


async def test_a_route_without_parameters_says_so() -> None:
    """There is nothing to name."""
    events = EventList()
    assert (await ask(guarded(is_self("user_id")), "ada", path_params={}, events=events)).status == 500
    assert "those of its path are: none" in str(events)


# The clock


@pytest.mark.parametrize(
    ("age", "is_fresh"),
    [(0, True), (300, True), (300.5, False), (-5, True), (-5.5, False), (NOW, False), (1e12, False)],
)
def test_fresh_is_within_the_seconds_and_hardly_ahead(age: float, is_fresh: bool) -> None:
    """Of the future only what a clock may be off; a credential that does not say when was never fresh."""
    assert held(fresh(300), stale(ADA, age)) is is_fresh


def test_who_does_not_say_when_is_not_fresh_while_the_clock_is_young() -> None:
    """Zero means "not said", and not the first of January 1970."""
    young = make_call(gate=Gate(clock=FrozenClock(100.0), log=EventList()))
    assert fresh(300)(Principal("ada"), young) is False
    assert fresh(300)(Principal("ada", auth_at=1.0), young) is True


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_whatever_a_credential_says_of_its_age_is_judged(auth_at: float) -> None:
    """A record may hold any number."""
    assert held(fresh(300), Principal("ada", auth_at=auth_at)) is (NOW - 300 <= auth_at <= NOW + 5)


async def test_who_is_only_late_is_told_how_fresh_to_come_back() -> None:
    """RFC 9470, section 3: a 401 with the caller's own challenge, the error and the age."""
    events = EventList()
    reply = await ask(guarded(fresh(300)), "bob", events=events)
    assert (reply.status, reply.json["code"]) == (401, "insufficient_user_authentication")
    assert (
        reply.headers["www-authenticate"]
        == 'Bearer realm="api", error="insufficient_user_authentication", max_age="300"'
    )
    assert events[-1]["security"] == ["access_denied"] and events[-1]["reason"] == "require(fresh(300)) is not met"
    assert (await ask(guarded(fresh(300)), "ada")).status == 200


@pytest.mark.parametrize(
    ("requirement", "status", "challenge"),
    [
        (fresh(300) & scopes("read"), 401, 'max_age="300"'),
        (fresh(300) & fresh(60), 401, 'max_age="60"'),
        (fresh(300) | role("admin"), 401, 'max_age="300"'),
        (fresh(300) & (role("admin") | scopes("read")), 401, 'max_age="300"'),
        (fresh(300) & scopes("write"), 403, 'scope="write"'),
        (fresh(300) & role("admin"), 403, None),
        (~fresh(7_200), 403, None),
        (fresh(300) & ~scopes("read"), 403, None),
    ],
)
async def test_only_who_lacks_nothing_else_is_asked_to_authenticate_again(
    requirement: Requirement, status: int, challenge: str | None
) -> None:
    """Story (starlette `requires`): one whom a login cannot help is not sent to log in, over and over."""
    reply = await ask(guarded(requirement), "bob")
    assert reply.status == status
    assert (challenge or "") in reply.headers.get("www-authenticate", "")
    assert (challenge is None) == ("www-authenticate" not in reply.headers)


async def test_a_browser_is_asked_in_place_and_not_sent_to_the_login_page() -> None:
    """It is signed in: the page would send it back, and so on. The challenge is that of its own credential."""
    session: SessionCookie = SessionCookie(keys=["a key of thirty-two bytes or more!"], login_page="/login")

    @with_auth(bearer, session)
    @require(fresh(300))
    async def handler() -> Ok[None]:
        return ok()

    old = await _cookies(session, NOW - 3_600)
    reply = await call(handler, cookies=old, headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}, gate=gate())
    assert reply.status == 401 and "location" not in reply.headers
    assert reply.headers["www-authenticate"].startswith('Session realm="api", error="insufficient_user_authentication"')
    assert (await call(handler, cookies=await _cookies(session, NOW), gate=gate())).status == 200


async def _cookies(session: SessionCookie, auth_at: float) -> dict[str, str]:
    async def login() -> Ok[None]:
        return ok(cookies=[session.create_session("ada", auth_at=auth_at)])

    return (await call(with_auth(bearer, optional=True)(login), gate=gate())).cookies


async def test_without_an_authenticator_of_ours_a_401_still_has_a_challenge() -> None:
    """Another guard may have said who is calling, and a credential may have no challenge of its own."""
    reply = await call(guarded(fresh(300)), principal=stale(ADA, 900), gate=gate())
    assert reply.status == 401 and reply.headers["www-authenticate"]

    class Quiet:
        name, header, ambient = "quiet", "X-Quiet", False

        def challenge(self) -> None:
            return None

        def bind(self, gate: object) -> Any:
            return self

        def authenticate(self, call: Call) -> Principal:
            return stale(ADA, 900)

    @with_auth(Quiet(), bearer)
    @require(fresh(300))
    async def handler() -> Ok[None]:
        return ok()

    reply = await call(handler, gate=gate())
    assert reply.status == 401 and reply.headers["www-authenticate"].startswith('Bearer realm="api", error=')


# Mistakes


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: is_self(""), r"write the name of a path parameter, is_self\('user_id'\)"),
        (lambda: is_self("{user_id}"), "write the name"),
        (lambda: is_self(7), "write the name"),  # type: ignore[arg-type]
        (lambda: same_tenant("a b"), r"same_tenant\('tenant_id'\)"),
        (lambda: fresh(0), r"such as fresh\(300\)"),
        (lambda: fresh(-1), r"such as fresh\(300\)"),
        (lambda: fresh(True), r"such as fresh\(300\)"),
        (lambda: fresh("300"), r"such as fresh\(300\)"),  # type: ignore[arg-type]
        (lambda: fresh(float("nan")), r"such as fresh\(300\)"),  # type: ignore[arg-type]
        (lambda: fresh(1.5), r"such as fresh\(2\)"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_is_refused_when_it_is_written(mistake: Any, message: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        mistake()


def test_they_read_like_what_was_written() -> None:
    """And join with the others."""
    assert repr(is_self("u") & fresh(300.0) | same_tenant("t")) == "fresh(300) & is_self('u') | same_tenant('t')"  # type: ignore[arg-type]
