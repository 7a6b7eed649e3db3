"""Sessions in a signed cookie: what they say, when they end, and every way in which they are refused."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import SignatureExpired, Signer, TimestampSigner

from gatewright import ConfigurationError, Cookie, Gate, Principal, SessionCookie
from gatewright.auth import ABSENT, Rejected
from tests.auth.support import KEY, OLDER_KEY, FrozenClock, call_with, make_gate

pytestmark = pytest.mark.anyio

NAME = b"__Host-session"
SESSION: SessionCookie = SessionCookie()


def value_of(cookie: Cookie, gate: Gate) -> bytes:
    """Return what the cookie carries once *gate* has signed it."""
    return cookie.header(gate).split(b";")[0].partition(b"=")[2]


def created(gate: Gate, session: SessionCookie = SESSION, sub: str = "ada", **facts: Any) -> bytes:
    return value_of(session.create_session(sub, **facts), gate)


def verdict(gate: Gate, *cookies: bytes, session: SessionCookie = SESSION) -> object:
    """Return what a session says of a call with these `Cookie` headers."""
    call = call_with(*((b"cookie", line) for line in cookies), gate=gate)
    return session.bind(gate).authenticate(call)


def said(gate: Gate, value: bytes, session: SessionCookie = SESSION) -> object:
    return verdict(gate, NAME + b"=" + value, session=session)


def signed(record: dict[str, Any], key: bytes = KEY, name: str = "__Host-session") -> bytes:
    """Sign *record* as a program with our key would."""
    signer = Signer(key, salt=f"gatewright.session {name}", key_derivation="hmac", digest_method=hashlib.sha256)
    return signer.sign(base64.urlsafe_b64encode(json.dumps(record).encode()).rstrip(b"="))


# What a session says


def test_a_session_says_who_it_is_and_since_when() -> None:
    """Everything that `create_session` was told comes back, with a new id and the gate's time."""
    gate = make_gate(now=1_800_000_000.25)
    value = created(gate, roles=["admin", "editor", "admin"], scopes={"read"}, tenant="acme")
    principal = said(gate, value)
    assert principal == Principal(
        "ada",
        "session",
        frozenset({"admin", "editor"}),
        frozenset({"read"}),
        1_800_000_000.25,
        "00000000000000000000000000000001",
        "acme",
    )


def test_what_was_not_said_is_empty() -> None:
    """Without roles, scopes and tenant, there are none."""
    gate = make_gate()
    principal = said(gate, created(gate))
    assert isinstance(principal, Principal)
    assert (principal.roles, principal.scopes, principal.tenant, principal.user) == (
        frozenset(),
        frozenset(),
        None,
        None,
    )


def test_an_earlier_authentication_is_kept() -> None:
    """A session that is created anew does not make the caller's proof any fresher."""
    gate = make_gate()
    principal = said(gate, created(gate, auth_at=1_700_000_000))
    assert isinstance(principal, Principal) and principal.auth_at == 1_700_000_000


def test_each_session_has_its_own_id() -> None:
    """The id is drawn from the gate's entropy when the answer is made, once for each session."""
    gate = make_gate()
    cookie = SESSION.create_session("ada")
    ids = {getattr(said(gate, value_of(cookie, gate)), "sid") for _ in range(3)}  # noqa: B009  # the type is `object`
    assert len(ids) == 3 and all(len(sid) == 32 for sid in ids)


def test_the_cookie_is_strict_by_default() -> None:
    """`__Host-`, HttpOnly, Secure, SameSite=Lax, the whole site, one day (ASVS 5.0, 3.3.1 to 3.3.4)."""
    gate = make_gate()
    name, *attributes = SESSION.create_session("ada").header(gate).decode().split("; ")
    assert name.startswith("__Host-session=")
    assert attributes == ["Path=/", "Max-Age=86400", "Secure", "HttpOnly", "SameSite=Lax"]


def test_ending_a_session_takes_the_same_cookie_away() -> None:
    """A browser forgets a cookie only when name, path and domain are the same, and takes `__Host-` only as set."""
    session: SessionCookie = SessionCookie(name="__Secure-s", domain="example.org", path="/app", same_site="strict")
    expected = b"__Secure-s=; Path=/app; Max-Age=0; Domain=example.org; Secure; HttpOnly; SameSite=Strict"
    assert session.forget().header(make_gate()) == expected


def test_a_cookie_fits_its_four_kilobytes() -> None:
    """A session with some roles and scopes stays far below the size at which browsers drop cookies."""
    gate = make_gate()
    assert len(created(gate, sub="user-1234")) < 200
    assert len(created(gate, roles=[f"role-{n}" for n in range(20)])) < 1000


# When it ends


@pytest.mark.parametrize(("after", "valid"), [(0, True), (86_399.9, True), (86_400, False), (10**9, False)])
def test_a_session_ends_after_its_lifetime(after: float, valid: bool) -> None:
    """The record itself says when it ends; nothing extends it."""
    clock = FrozenClock()
    gate = make_gate(clock=clock)
    value = created(gate)
    clock.now += after
    assert (said(gate, value) == Rejected("invalid_token", "expired")) is not valid


@pytest.mark.parametrize(("behind", "valid"), [(2, True), (5, True), (5.1, False), (3600, False)])
def test_a_clock_that_is_two_seconds_behind_logs_nobody_out(behind: float, valid: bool) -> None:
    """Story (pallets/itsdangerous#400): one server signs, another with a slower clock calls the session unborn."""
    value = created(make_gate(now=1_800_000_000))
    verdict = said(make_gate(now=1_800_000_000 - behind), value)
    assert (verdict == Rejected("invalid_token", "issued in the future")) is not valid


def test_itsdangerous_itself_refuses_a_slower_clock() -> None:
    """The story holds for the stock timestamps, which are therefore not used."""

    class Slower(TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - 2

    with pytest.raises(SignatureExpired):
        Slower(KEY).unsign(TimestampSigner(KEY).sign(b"session"), max_age=86_400)


def test_without_leeway_the_same_clock_still_agrees_with_itself() -> None:
    """Times are cut to the millisecond, never rounded up, so a session is not issued after the moment it is issued."""
    session: SessionCookie = SessionCookie(leeway=0)
    gate = make_gate(now=1_800_000_000.0009)
    assert isinstance(said(gate, created(gate, session), session), Principal)


# What is refused


def test_a_call_without_the_cookie_is_absent() -> None:
    """No cookie, other cookies, and an empty one that was taken away are no credential."""
    gate = make_gate()
    assert verdict(gate) is ABSENT
    assert verdict(gate, b"theme=dark") is ABSENT
    assert verdict(gate, b"__Host-session=") is ABSENT


@pytest.mark.parametrize("prefix", [b"\xa0", b"\x85", b"\xc2\xa0", b"X-", b"__host-session=x; x"])
def test_cookie_chaos_no_other_name_is_taken_for_ours(prefix: bytes) -> None:
    """Story (PortSwigger, Cookie Chaos): strip() on decoded text takes \\xa0__Host-session for __Host-session."""
    gate = make_gate()
    assert verdict(gate, prefix + NAME + b"=" + created(gate)) is ABSENT


def test_two_cookies_of_the_name_are_none() -> None:
    """Story: of duplicate cookies the last one wins, so a tossed cookie replaces the victim's session."""
    gate = make_gate()
    mine, planted = (NAME + b"=" + created(gate, sub=sub) for sub in ("ada", "mallory"))
    for lines in ([mine + b"; " + planted], [mine, planted]):
        call = call_with(*((b"cookie", line) for line in lines), gate=gate)
        assert SESSION.bind(gate).authenticate(call) is ABSENT
        assert call.notes == {"auth_ambiguous": "__Host-session more than once"}
        assert call.security == ("credential_ambiguous",)


def test_a_cookie_that_http2_sent_apart_from_others_is_found() -> None:
    """RFC 9113, section 8.2.3: each cookie may come in a header of its own."""
    gate = make_gate()
    assert isinstance(verdict(gate, b"theme=dark", NAME + b"=" + created(gate), b"lang=en"), Principal)


def test_a_quoted_value_is_not_unquoted() -> None:
    """The value is taken as it stands: nothing in front of the signature check interprets it."""
    gate = make_gate()
    assert isinstance(said(gate, b'"' + created(gate) + b'"'), Rejected)


@pytest.mark.parametrize("spelling", [b"=", b"==", b" x", b"\t", b"%3D"])
def test_another_spelling_of_a_session_is_no_session(spelling: bytes) -> None:
    """Story: itsdangerous takes padded base64 for the same token, so a deny-list by token text is void."""
    gate = make_gate()
    found = said(gate, created(gate) + spelling)
    assert isinstance(found, Rejected) or spelling == b"\t"  # a tab at the end is white space of the header


def test_a_session_of_another_key_is_refused() -> None:
    """Only a listed key counts; the older ones do."""
    value = created(make_gate(OLDER_KEY))
    assert isinstance(said(make_gate(KEY, OLDER_KEY), value), Principal)
    assert said(make_gate(KEY), value) == Rejected("invalid_token", "not signed with one of the keys")


def test_a_session_of_one_cookie_is_none_of_another() -> None:
    """With the same keys behind both, a user's session pasted into the administrators' cookie is not one."""
    gate = make_gate()
    admin: SessionCookie = SessionCookie(name="__Host-admin")
    found = verdict(gate, b"__Host-admin=" + created(gate), session=admin)
    assert found == Rejected("invalid_token", "not signed with one of the keys")


RECORD = {"sid": "s", "sub": "ada", "iat": 1_800_000_000, "exp": 1_800_086_400, "ver": 1}


def test_the_record_is_what_the_wire_format_says() -> None:
    """A program with the key can make a session: these are the names and types that it has to write."""
    everything = {"roles": ["a"], "scopes": ["b"], "tenant": "t", "auth_at": 1.5}
    assert said(make_gate(), signed(RECORD)) == Principal("ada", auth_at=1_800_000_000, sid="s")
    expected = Principal("ada", "session", frozenset("a"), frozenset("b"), 1.5, "s", "t")
    assert said(make_gate(), signed(RECORD | everything)) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"ver": 2},
        {"ver": 0},
        {"ver": "1"},
        {"sub": 7},
        {"sub": None},
        {"sid": 7},
        {"exp": "1800086400"},
        {"exp": None},
        {"iat": True},
        {"iat": float("nan")},
        {"exp": float("inf")},
        {"roles": "admin"},
        {"roles": [1]},
        {"roles": {"admin": True}},
        {"scopes": None},
        {"tenant": 1},
        {"auth_at": "x"},
    ],
)
def test_a_signed_record_of_another_version_or_shape_is_refused(change: dict[str, Any]) -> None:
    """A record that does not fit is rejected whole: no field falls back to a guess."""
    assert said(make_gate(), signed(RECORD | change)) == Rejected(
        "invalid_token", "signed, but not a record of this version"
    )


@pytest.mark.parametrize("missing", list(RECORD))
def test_a_signed_record_without_a_field_is_refused(missing: str) -> None:
    """A session that does not say when it ends, or whose it is, is none (story: no max_age is eternal)."""
    record = {name: value for name, value in RECORD.items() if name != missing}
    assert isinstance(said(make_gate(), signed(record)), Rejected)


@given(st.binary(max_size=300))
def test_any_bytes_in_the_cookie_header_are_absent_or_rejected(line: bytes) -> None:
    """Whatever stands in the header, there is an answer, and never another exception."""
    assert isinstance(verdict(make_gate(), line), (type(ABSENT), Rejected))


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_in_the_cookie_itself_are_absent_or_rejected(value: bytes) -> None:
    """The same with our name before them."""
    assert isinstance(said(make_gate(), value), (type(ABSENT), Rejected))


@given(st.data())
def test_a_flipped_bit_makes_a_session_worthless(data: st.DataObject) -> None:
    """No bit of the cookie can change without the session being refused."""
    gate = make_gate()
    good = created(gate, roles=["user"])
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    flipped = bytearray(good)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not isinstance(said(gate, bytes(flipped)), Principal)


# With its user


async def test_load_user_fills_in_the_user() -> None:
    """What `load_user` returns is `principal.user`; it is asked with all that the record says."""

    async def load_user(principal: Principal) -> str:
        return f"the user {principal.sub} of {principal.tenant}"

    session = SessionCookie(load_user=load_user)
    gate = make_gate()
    call = call_with((b"cookie", NAME + b"=" + created(gate, session, tenant="acme")), gate=gate)
    principal = await session.bind(gate).authenticate(call)  # type: ignore[misc]  # with load_user, it awaits
    assert isinstance(principal, Principal) and principal.user == "the user ada of acme"


async def test_load_user_refuses_with_none_and_is_not_asked_for_what_is_refused_before() -> None:
    """A user who is gone has no session; a forged or absent session loads nobody."""
    asked: list[str] = []

    async def load_user(principal: Principal) -> None:
        asked.append(principal.sub)

    session: SessionCookie[Any] = SessionCookie(load_user=load_user)
    gate = make_gate()
    bound = session.bind(gate)
    for line, expected in (
        (NAME + b"=" + created(gate, session), Rejected("invalid_token", "load_user knows no such user")),
        (NAME + b"=forged", Rejected("invalid_token", "not signed with one of the keys")),
        (b"theme=dark", ABSENT),
    ):
        found = bound.authenticate(call_with((b"cookie", line), gate=gate))
        assert await found == expected  # type: ignore[misc]
    assert asked == ["ada"]


# Verified by hand


async def test_a_session_can_be_verified_from_a_call_and_from_a_value() -> None:
    """What is no call (a message on a websocket, a job) brings the value and the gate."""
    gate = make_gate()
    value = created(gate)
    expected = said(gate, value)
    assert await SESSION.verify_session(call_with((b"cookie", NAME + b"=" + value), gate=gate)) == expected
    assert await SESSION.verify_session(value, gate) == expected
    assert await SESSION.verify_session(value.decode(), gate) == expected


async def test_what_is_no_session_verifies_as_none() -> None:
    """Absent, forged, and text that no cookie could carry."""
    gate = make_gate()
    assert await SESSION.verify_session(call_with(gate=gate)) is None
    for value in ("", "forged", "\ud800", "ü", b"\xff"):
        assert await SESSION.verify_session(value, gate) is None


async def test_verifying_by_hand_asks_for_the_user_too() -> None:
    """A user who is gone is refused there as well."""

    async def load_user(principal: Principal) -> str | None:
        return "Ada" if principal.sub == "ada" else None

    session = SessionCookie(load_user=load_user)
    gate = make_gate()
    known = await session.verify_session(created(gate, session), gate)
    assert known is not None and known.user == "Ada"
    assert await session.verify_session(created(gate, session, sub="bob"), gate) is None


async def test_a_value_without_a_gate_is_a_mistake() -> None:
    """There are no keys that count everywhere."""
    with pytest.raises(TypeError, match="whose keys count"):
        await SESSION.verify_session("value")  # type: ignore[call-overload]


# Keys and gates


def test_a_session_can_have_keys_of_its_own() -> None:
    """They count in place of the gate's, newest first."""
    own: SessionCookie = SessionCookie(keys=[KEY.decode(), OLDER_KEY])
    keyless = Gate(clock=FrozenClock())
    assert isinstance(said(keyless, created(make_gate(OLDER_KEY)), own), Principal)
    assert isinstance(said(make_gate(KEY), created(keyless, own)), Principal)
    assert isinstance(said(make_gate(OLDER_KEY), created(keyless, own)), Rejected)


def test_a_gate_without_keys_says_what_to_write() -> None:
    """Nothing is signed with a made-up secret (story: a random one for each worker)."""
    with pytest.raises(ConfigurationError, match=r"SessionCookie\(name='__Host-session'\) signs with the gate's keys"):
        SESSION.bind(Gate())


@pytest.mark.parametrize("key", ["", b"", "short", "a" * 64])
def test_an_empty_or_short_secret_is_refused_at_once(key: str | bytes) -> None:
    """Story: itsdangerous signs with the empty secret, and everybody can."""
    with pytest.raises(ConfigurationError, match="can be guessed"):
        SessionCookie(keys=[key])


def test_gates_do_not_share_keys_and_are_not_kept_alive() -> None:
    """Each gate has a bound session of its own, made once, which dies with the gate."""
    session: SessionCookie = SessionCookie()
    gate, other = make_gate(), make_gate()
    assert session.bind(gate) is session.bind(gate) is not session.bind(other)
    gone = weakref.ref(gate)
    del gate
    gc.collect()
    assert gone() is None


def test_with_a_user_to_load_a_gate_has_one_bound_session_too() -> None:
    """Identity says that a call was identified already; it must not change with each bind."""

    async def load_user(principal: Principal) -> object:
        return principal

    session = SessionCookie(load_user=load_user)
    gate = make_gate()
    assert session.bind(gate) is session.bind(gate)


# Configuration


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"secure": False}, "__Host- wants secure=True"),
        ({"path": "/app"}, "__Host- wants"),
        ({"domain": "example.org"}, "__Host- wants"),
        ({"name": "s", "secure": False, "same_site": "none"}, "SameSite=None"),
        ({"name": "a b"}, "a name is letters"),
        ({"max_age": 0}, "write a lifetime in whole seconds"),
        ({"max_age": -1}, "write a lifetime in whole seconds"),
        ({"max_age": "1d"}, "write a lifetime in whole seconds"),
        ({"max_age": 1.5}, "write a lifetime in whole seconds"),
        ({"leeway": "5"}, "write a few seconds, such as 5"),
        ({"leeway": -1}, "write a few seconds"),
        ({"leeway": float("nan")}, "write a few seconds"),
        ({"leeway": float("inf")}, "write a few seconds"),
        ({"keys": KEY}, "is a list, newest first"),
        ({"keys": KEY.decode()}, "is a list, newest first"),
        ({"keys": []}, "is a list, newest first"),
        ({"load_user": lambda principal: None}, "write it as an `async def`"),
        ({"realm": 'a"b'}, "without quotes"),
        ({"realm": ""}, "without quotes"),
    ],
)
def test_bad_configuration_is_refused_when_it_is_written(settings: dict[str, Any], message: str) -> None:
    """What browsers would drop, or what would never end, raises at import, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        SessionCookie(**settings)


@pytest.mark.parametrize("sub", ["", None, 7])
def test_a_subject_is_text_that_says_something(sub: Any) -> None:
    """An int would be signed, and then refused at every call."""
    with pytest.raises(ConfigurationError, match=r"str\(user\.id\)"):
        SESSION.create_session(sub)


@pytest.mark.parametrize("what", ["roles", "scopes"])
def test_one_role_is_written_in_a_list(what: str) -> None:
    """A str is a collection of letters, none of which is a role."""
    with pytest.raises(ConfigurationError, match=rf"{what}=\['admin'\]"):
        SESSION.create_session("ada", **{what: "admin"})  # type: ignore[arg-type]


def test_a_session_is_told_apart_and_shows_no_key() -> None:
    """Two are never equal, because one of them may end up bound elsewhere; the key stays out of `repr`."""
    assert len({SessionCookie(), SessionCookie()}) == 2
    assert KEY.decode() not in repr(SessionCookie(keys=[KEY]))


def test_the_challenge_names_the_realm() -> None:
    """There is no registered scheme for cookies; this one makes no browser ask for a password."""
    assert SessionCookie(realm="admin").challenge() == 'Session realm="admin"'
    assert SESSION.ambient and SESSION.header == "Cookie"


def test_a_session_lives_as_long_as_it_was_told() -> None:
    """The lifetime of the record and of the cookie are one setting (story: two sources of truth disagree)."""
    clock = FrozenClock()
    gate = make_gate(clock=clock)
    session: SessionCookie = SessionCookie(max_age=60)
    cookie = session.create_session("ada")
    value = value_of(cookie, gate)
    assert cookie.max_age == 60
    clock.now += 59.999
    assert isinstance(said(gate, value, session), Principal)
    clock.now += 0.001
    assert said(gate, value, session) == Rejected("invalid_token", "expired")


def test_a_remembered_session_still_ends() -> None:
    """What was verified is not verified again, but the clock is asked each time, and so is the other server's lead."""
    clock = FrozenClock()
    gate = make_gate(clock=clock)
    value = created(gate)
    assert said(gate, value) is said(gate, value)
    clock.now -= 6
    assert said(gate, value) == Rejected("invalid_token", "issued in the future")
    clock.now += 6 + 86_400
    assert said(gate, value) == Rejected("invalid_token", "expired")


def test_only_so_many_sessions_are_remembered_and_none_is_mixed_up() -> None:
    """Memory stays bounded; forged tokens are never remembered; whoever was forgotten is known again."""
    gate = make_gate()
    records = SESSION.bind(gate).records
    tokens = [created(gate, sub=f"user-{number}") for number in range(4100)]
    for number, token in enumerate(tokens):
        found = said(gate, token)
        assert isinstance(found, Principal) and found.sub == f"user-{number}"
        assert isinstance(said(gate, token[:-1] + (b"A" if token[-1:] != b"A" else b"B")), Rejected)
    assert 0 < len(records._known) <= 4096
    first = said(gate, tokens[0])
    assert isinstance(first, Principal) and first.sub == "user-0"
