"""The guard: the credential that is there decides; challenges, headers and notes follow from what was found."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import pytest

from gatewright import (
    ApiError,
    ApiKey,
    BadRequest,
    BearerToken,
    ConfigurationError,
    Gate,
    Phase,
    Principal,
    SessionCookie,
    Unauthorized,
    with_auth,
)
from gatewright._core.call import Call
from gatewright._core.guard import Guard
from gatewright._core.handler import Handler
from gatewright.auth import ABSENT, HeaderToken, Identified, Rejected, Verdict, WithAuth
from tests.auth.support import call_with, enter, header_of, known, make_gate, refused

pytestmark = pytest.mark.anyio

SESSION: SessionCookie = SessionCookie()
BEARER = BearerToken(lambda token: known(token) if token == "good" else None)
API_KEY = HeaderToken(lambda key: known(key) if key == "good" else None)

GOOD_BEARER = (b"authorization", b"Bearer good")
BAD_BEARER = (b"authorization", b"Bearer bad")
GOOD_KEY = (b"x-api-key", b"good")
BAD_KEY = (b"x-api-key", b"bad")
BAD_SESSION = (b"cookie", b"__Host-session=forged")


async def slowly(token: str) -> Principal | None:
    return known(token) if token == "good" else None


@dataclass(frozen=True, eq=False)
class Says:
    """An authenticator that has one thing to say, and counts how often it was asked."""

    verdict: Any
    name: str = "says"
    header: str = "X-Says"
    ambient: bool = False
    plain: str | None = "Says"

    def challenge(self) -> str | None:
        return self.plain

    def bind(self, gate: Gate) -> Says:
        return self

    def authenticate(self, call: Call) -> Verdict:
        call.note(asked=(call.notes or {}).get("asked", 0) + 1)
        return self.verdict  # type: ignore[no-any-return]  # the mistakes of authenticators are tested, too


class SaysLater(Says):
    """The same, awaited."""

    async def authenticate(self, call: Call) -> Verdict:  # type: ignore[override]
        return self.verdict  # type: ignore[no-any-return]


def session_cookie(gate: Gate) -> tuple[bytes, bytes]:
    return b"cookie", SESSION.create_session("ada").header(gate).split(b";")[0]


def bound(*authenticators: Any, optional: bool = False, gate: Gate | None = None) -> Guard:
    return WithAuth(authenticators, optional).bind(gate or make_gate())


# Who passes


async def test_each_kind_of_credential_lets_its_caller_in() -> None:
    """One of several authenticators is enough, whichever it is, and the call knows who, by what, and how."""
    gate = make_gate()
    guard = bound(SESSION, BEARER, API_KEY, gate=gate)
    for header, authenticator, principal in (
        (session_cookie(gate), SESSION, ("ada", "session")),
        (GOOD_BEARER, BEARER, ("good", "bearer")),
        (GOOD_KEY, API_KEY, ("good", "header_token")),
    ):
        call = call_with(header, gate=gate)
        await enter(guard, call)
        assert call.principal is not None
        assert (call.principal.sub, call.principal.method) == principal
        assert call.get(Identified).authenticator is authenticator


async def test_the_guards_after_it_learn_whether_the_credential_was_ambient() -> None:
    """A cross-origin check is needed where a browser attaches the credential by itself, and only there."""
    gate = make_gate()
    for header, ambient in ((session_cookie(gate), True), (GOOD_BEARER, False)):
        call = call_with(header, gate=gate)
        await enter(bound(SESSION, BEARER, gate=gate), call)
        authenticator = call.get(Identified).authenticator
        assert authenticator is not None and authenticator.ambient is ambient


async def test_a_websocket_is_identified_like_a_request() -> None:
    """A handshake has headers, and nothing else is looked at."""
    call = call_with(GOOD_BEARER, kind="websocket")
    await enter(bound(BEARER), call)
    assert call.principal is not None


async def test_async_and_plain_authenticators_mix() -> None:
    """One of them awaits: the guard does, and the others are asked as they are."""
    guard = bound(BearerToken(slowly), API_KEY)
    for header, method in ((GOOD_BEARER, "bearer"), (GOOD_KEY, "header_token")):
        call = call_with(header)
        await enter(guard, call)
        assert call.principal is not None and call.principal.method == method
    assert isinstance(await refused(guard, call_with(BAD_BEARER)), Unauthorized)
    assert isinstance(await refused(guard, call_with()), Unauthorized)


def test_the_guard_is_a_plain_function_where_nothing_is_awaited() -> None:
    """What to await is decided when it is bound: a session cookie costs no coroutine."""
    assert not inspect.iscoroutinefunction(bound(SESSION, BEARER, API_KEY).enter)
    assert inspect.iscoroutinefunction(bound(SESSION, BearerToken(slowly)).enter)


# Who does not


async def test_a_401_has_every_challenge() -> None:
    """Story (starlette, authx, litestar): a 401 without WWW-Authenticate, which RFC 9110, 15.5.2 demands.

    Without any credential there is no error in it (RFC 6750, section 3.1; auth0/auth0-fastapi-api#56).
    """
    error = await refused(bound(SESSION, BEARER, API_KEY), call_with())
    assert (error.status_code, error.code) == (401, "unauthorized")
    assert header_of(error) == 'Session realm="api", Bearer realm="api", APIKey realm="api"'


async def test_a_rejected_credential_is_told_so_in_its_own_challenge() -> None:
    """The error stands with the scheme that was tried; the others are offered as they are."""
    call = call_with(BAD_BEARER)
    error = await refused(bound(SESSION, BEARER), call)
    assert isinstance(error, Unauthorized) and error.code == "invalid_token"
    assert header_of(error) == 'Session realm="api", Bearer realm="api", error="invalid_token"'
    assert call.notes == {"auth_rejected": "the lookup does not know it"} and call.security == ("credential_rejected",)
    assert error.reason == "the lookup does not know it (bearer)"


async def test_why_a_credential_was_rejected_is_not_sent() -> None:
    """The message is the same for a forged and for an expired session; the log knows which."""
    gate = make_gate()
    expired = (b"cookie", session_cookie(make_gate(now=1_000_000_000))[1])
    errors = [
        await refused(bound(SESSION, gate=gate), call_with(header, gate=gate)) for header in (BAD_SESSION, expired)
    ]
    assert {(error.message, error.code, header_of(error)) for error in errors} == {
        ("The credential is not valid", "invalid_token", 'Session realm="api", error="invalid_token"')
    }
    assert {error.reason for error in errors} == {
        "not signed with one of the keys (__Host-session)",
        "expired (__Host-session)",
    }


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("later", [False, True])
async def test_a_rejected_credential_never_falls_through(optional: bool, later: bool) -> None:
    """Story (fastapi-users, authx): the next authenticator, or anonymity, after one that was rejected."""
    guard = bound(SESSION, BearerToken(slowly) if later else BEARER, API_KEY, optional=optional)
    for header in (BAD_SESSION, BAD_BEARER, BAD_KEY):
        call = call_with(header)
        assert (await refused(guard, call)).status_code == 401
        assert call.principal is None


@pytest.mark.parametrize("lines", [[b"Bearer a b"], [b"Bearer good", b"Bearer good"]])
async def test_a_malformed_credential_is_a_400(lines: list[bytes]) -> None:
    """RFC 6750, section 3.1: a malformed or repeated credential is `invalid_request`."""
    error = await refused(bound(BEARER), call_with(*((b"authorization", line) for line in lines)))
    assert isinstance(error, BadRequest) and error.code == "invalid_request"
    assert header_of(error) == 'Bearer realm="api", error="invalid_request"'


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("later", [False, True])
async def test_two_kinds_of_credential_are_a_400(optional: bool, later: bool) -> None:
    """Whether they are valid or not, and whoever they belong to: nobody guesses which one was meant."""
    guard = bound(BearerToken(slowly) if later else BEARER, API_KEY, SESSION, optional=optional)
    for pair in ((GOOD_BEARER, GOOD_KEY), (GOOD_BEARER, BAD_KEY), (BAD_BEARER, GOOD_KEY), (BAD_BEARER, BAD_SESSION)):
        call = call_with(*pair)
        error = await refused(guard, call)
        assert isinstance(error, BadRequest) and error.code == "invalid_request"
        assert call.principal is None
        assert call.notes == {"auth_rejected": "several credentials"} and call.security == ("credential_ambiguous",)
    assert error.reason == "several credentials (bearer, __Host-session)"
    expected = (
        'Bearer realm="api", error="invalid_request", APIKey realm="api", Session realm="api", error="invalid_request"'
    )
    assert header_of(error) == expected


# Optional


async def test_an_optional_credential_may_be_absent() -> None:
    """Nobody is let pass as nobody, and the guards after it know which challenge a 401 would need."""
    call = call_with()
    await enter(bound(BEARER, optional=True), call)
    assert call.principal is None
    assert call.get(Identified).authenticator is None
    assert call.get(Identified).challenge == 'Bearer realm="api"'


async def test_an_outer_guard_keeps_its_caller_where_an_inner_one_is_optional_and_sees_nobody() -> None:
    """An app's session is not forgotten because an endpoint would take an API key as well."""
    gate = make_gate()
    call = call_with(session_cookie(gate), gate=gate)
    await enter(bound(SESSION, gate=gate), call)
    await enter(bound(API_KEY, optional=True, gate=gate), call)
    assert call.principal is not None and call.get(Identified).authenticator is SESSION


# Twice in one call


async def test_an_authenticator_that_is_met_twice_acts_once() -> None:
    """An app identifies optionally, an endpoint strictly: the same object is asked once."""
    says = Says(known())
    call = call_with()
    await enter(bound(says, optional=True), call)
    await enter(bound(says), call)
    assert call.notes == {"asked": 1} and call.principal == known()


async def test_another_authenticator_is_asked_for_itself() -> None:
    """That an outer guard knows the caller by one credential says nothing about another."""
    gate = make_gate()
    call = call_with(session_cookie(gate), gate=gate)
    await enter(bound(SESSION, gate=gate), call)
    assert (await refused(bound(BEARER, gate=gate), call)).status_code == 401


async def test_the_keys_of_an_outer_gate_do_not_count_inside() -> None:
    """A mounted app with a gate of its own believes its own keys only."""
    outer, inner = make_gate(), make_gate(b"the key of the mounted app, also long enough")
    call = call_with(session_cookie(outer), gate=outer)
    await enter(bound(SESSION, gate=outer), call)
    assert (await refused(bound(SESSION, gate=inner), call)).code == "invalid_token"


def test_a_guard_inside_an_equal_one_still_asks_at_its_own_gate() -> None:
    """It is not left out when the pipeline is sealed: the gate inside may be another."""
    guard = WithAuth((SESSION,))
    assert not guard.same_as(guard)


async def test_what_two_guards_add_is_there_once() -> None:
    """An answer does not say twice what it varies by."""
    call = call_with(GOOD_BEARER)
    await enter(bound(BEARER), call)
    await enter(bound(BEARER), call)
    names = [name for name, _ in call.finish(200, [])]
    assert (names.count(b"vary"), names.count(b"cache-control")) == (1, 1)


# Answers


@pytest.mark.parametrize(("header", "passes"), [(GOOD_BEARER, True), (BAD_BEARER, False), (None, False)])
async def test_every_answer_varies_by_the_credential_and_is_not_stored(header: Any, passes: bool) -> None:
    """A cache between must neither keep an answer for one caller nor show it to another, refusals included."""
    call = call_with(*([header] if header else []))
    try:
        await enter(bound(SESSION, BEARER, BearerLike()), call)
    except ApiError:
        assert not passes
    assert call.added == [(b"vary", b"Cookie, Authorization"), (b"cache-control", b"no-store")]


class BearerLike(Says):
    """Another scheme in the header that bearer tokens use."""

    def __init__(self) -> None:
        super().__init__(ABSENT, name="like", header="Authorization")


# Authenticators of one's own


@pytest.mark.parametrize("kind", [Says, SaysLater])
async def test_an_authenticator_can_be_any_object_of_that_shape(kind: type[Says]) -> None:
    """Three things to say, plain or awaited."""
    call = call_with()
    await enter(bound(kind(known())), call)
    assert call.principal == known()
    assert (await refused(bound(kind(ABSENT)), call_with())).status_code == 401
    assert (await refused(bound(kind(Rejected("invalid_token", "no"))), call_with())).code == "invalid_token"
    assert (await refused(bound(kind(Rejected("invalid_request", "no"))), call_with())).status_code == 400


async def test_a_challenge_without_parameters_takes_one() -> None:
    """`Says error="..."`, not `Says, error="..."`, which would be a scheme of that name."""
    error = await refused(bound(Says(Rejected("invalid_token", "no"))), call_with())
    assert header_of(error) == 'Says error="invalid_token"'


async def test_an_authenticator_may_leave_the_challenge_to_others() -> None:
    """A client certificate has none; the 401 has those of the others."""
    silent = Says(Rejected("invalid_token", "no"), plain=None)
    assert header_of(await refused(bound(silent, BEARER), call_with())) == 'Bearer realm="api"'
    assert header_of(await refused(bound(Says(ABSENT, plain=None), BEARER), call_with())) == 'Bearer realm="api"'


@pytest.mark.parametrize("mistake", [True, "ada", {"sub": "ada"}])
async def test_an_authenticator_that_says_something_else_lets_nobody_in(mistake: Any) -> None:
    """A truthy value is no principal; the developer is told."""
    call = call_with()
    with pytest.raises(ConfigurationError, match=r"says said .*: return a Principal, ABSENT or Rejected"):
        await enter(bound(Says(mistake)), call)
    assert call.principal is None


async def test_a_plain_authenticator_that_returns_an_awaitable_lets_nobody_in() -> None:
    """A coroutine is truthy as well, and nobody would have awaited it."""

    class Promise(Awaitable[Verdict]):
        def __await__(self) -> Any:
            raise AssertionError("never awaited")

    with pytest.raises(ConfigurationError, match="says said Promise"):
        await enter(bound(Says(Promise())), call_with())


# Configuration


@pytest.mark.parametrize(
    ("authenticators", "message"),
    [
        ((), r"with_auth\(\) lets nobody in; write with_auth\(SessionCookie\(\)\)"),
        ((SessionCookie,), r"write with_auth\(SessionCookie\(\.\.\.\)\)"),
        ((lambda request: None,), r"is no authenticator; write @with_auth\(SessionCookie\(\)\)"),
        (("secret",), "is no authenticator"),
        ((SESSION, SESSION), r"two take the same credential, '__Host-session'"),
        ((SESSION, SessionCookie()), "two take the same credential"),
        ((BEARER, API_KEY, BearerToken(slowly)), "two take the same credential, 'bearer'"),
        ((API_KEY, ApiKey(slowly, prefix="ck")), "two read the same header, so each call would have two credentials"),
        ((Says(ABSENT, plain=None),), "a 401 has a challenge"),
    ],
)
def test_bad_configuration_is_refused_when_it_is_written(authenticators: tuple[Any, ...], message: str) -> None:
    """Decorating raises, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        with_auth(*authenticators)


def test_two_sessions_in_cookies_of_different_names_are_two_kinds() -> None:
    """Administrators and customers may have a cookie each."""
    with_auth(SESSION, SessionCookie(name="__Host-admin"))


def test_a_gate_without_keys_is_refused_when_it_is_bound() -> None:
    """The message comes at start, not with the first caller."""
    with pytest.raises(ConfigurationError, match=r"write Gate\(keys="):
        bound(SESSION, gate=Gate())


async def strict(principal: Principal) -> None: ...


async def lenient(principal: Principal | None) -> None: ...


def test_a_handler_that_counts_on_a_principal_does_not_go_with_optional() -> None:
    """The contradiction is told when the pipeline is sealed, not as a 401 that nobody expects."""
    with pytest.raises(ConfigurationError, match=r"write principal: Principal \| None"):
        WithAuth((SESSION,), optional=True).seal(Handler.read(strict))
    for guard, handler in ((WithAuth((SESSION,), optional=True), lenient), (WithAuth((SESSION,)), strict)):
        assert guard.seal(Handler.read(handler)) is guard


def test_it_runs_where_the_caller_has_to_be_known() -> None:
    """In IDENTIFY, once, and it says in `repr` whom it lets in."""
    guard = WithAuth((SESSION, BEARER), optional=True)
    assert (guard.phase, guard.single, guard.provides) == (Phase.IDENTIFY, True, (Principal,))
    assert repr(guard) == "with_auth(__Host-session, bearer, optional=True)"
    assert repr(ABSENT) == "ABSENT"
