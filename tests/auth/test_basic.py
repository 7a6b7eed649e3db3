"""Basic authentication: one header, canonical base64, UTF-8, a colon; whatever else is refused before the lookup."""

from __future__ import annotations

import unicodedata
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import BearerToken, ConfigurationError, Gate, Ok, Principal, SessionCookie, ok, with_auth
from gatewright.auth import ABSENT, Basic, Rejected
from gatewright.testing import EventList
from gatewright.testing import call as request
from tests.auth.support import call_with, known, make_gate

pytestmark = pytest.mark.anyio

MALFORMED = Rejected("invalid_request", "not one Basic token")
REPEATED = Rejected("invalid_request", "more than one Authorization header")
NOT_BASE64 = Rejected("invalid_request", "not canonical base64")
NOT_TEXT = Rejected("invalid_request", "not UTF-8, or with control characters")
NO_PAIR = Rejected("invalid_request", "not a user name, a colon and a password")
UNKNOWN = Rejected("invalid_token", "the lookup does not know it")
GOOD = b"YWRhOnMzY3JldA=="  # ada:s3cret


def nobody(username: str, password: str) -> None:
    return None


def anybody(username: str, password: str) -> Principal:
    return known(username, user=password)


def never(username: str, password: str) -> None:
    raise AssertionError("looked up")


def ada(username: str, password: str) -> Principal | None:
    return Principal("ada") if (username, password) == ("ada", "s3cret") else None


async def ada_slowly(username: str, password: str) -> Principal | None:
    return ada(username, password)


def verdict(*lines: bytes, lookup: Any = anybody, **settings: Any) -> Any:
    """Return what an authenticator with *lookup* says of these `Authorization` headers."""
    gate = make_gate()
    call = call_with(*((b"authorization", line) for line in lines), gate=gate)
    return Basic(lookup, **settings).bind(gate).authenticate(call)


def verdict_on(text: bytes, lookup: Any = anybody) -> Any:
    """Return what is said of *text*, properly encoded."""
    return verdict(b"Basic " + b64encode(text), lookup=lookup, max_bytes=4096)


# What is found


@pytest.mark.parametrize("scheme", [b"Basic ", b"basic ", b"BASIC    "])
def test_the_scheme_has_no_case_and_one_or_more_spaces(scheme: bytes) -> None:
    """RFC 9110, section 11.1: the scheme is case-insensitive; 11.4: spaces, one or more, come after it."""
    assert verdict(scheme + GOOD, lookup=ada) == Principal("ada", "basic")


def test_the_rfcs_own_examples_are_read() -> None:
    """RFC 7617, sections 2 and 2.1: Aladdin, and the pound sign in UTF-8."""
    assert verdict(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") == known("Aladdin", method="basic", user="open sesame")
    assert verdict(b"Basic dGVzdDoxMjPCow==") == known("test", method="basic", user="123£")


@pytest.mark.parametrize(
    ("text", "username", "password"),
    [
        ("ada:a:b:", "ada", "a:b:"),
        ("ada:", "ada", ""),
        ("a d a: ", "a d a", " "),
        ("jürgen:pässwörd", "jürgen", "pässwörd"),
        ("ada:\N{SNOWMAN}", "ada", "\N{SNOWMAN}"),
    ],
)
def test_the_first_colon_divides(text: str, username: str, password: str) -> None:
    """RFC 7617, section 2: a user name has no colon, a password may; nothing is trimmed, folded or normalised."""
    assert verdict_on(text.encode()) == known(username, method="basic", user=password)


async def test_a_lookup_may_be_async() -> None:
    """It is awaited, on asyncio and on trio."""
    assert await verdict(b"Basic " + GOOD, lookup=ada_slowly) == Principal("ada", "basic")
    assert await verdict(b"Basic " + b64encode(b"ada:guess"), lookup=ada_slowly) == UNKNOWN
    assert await verdict(b"Bearer x", lookup=ada_slowly) is ABSENT


# What is not


def test_an_unknown_pair_is_rejected() -> None:
    """A wrong password and an unknown name are one answer: nothing else may let the caller in."""
    assert verdict(b"Basic " + GOOD, lookup=nobody) == UNKNOWN


@pytest.mark.parametrize(
    "line",
    [
        b"Basic",
        b"Basic ",
        b"Basic\t" + GOOD,
        b"Basic " + GOOD + b" def",
        b"Basic " + GOOD + b", Bearer x",
        b"Basic," + GOOD,
        b"Basic " + GOOD + b" ",
        b"Basic " + GOOD + b"\n",
        b"Basic =",
        b'Basic "' + GOOD + b'"',
        b"Basic \xff",
        b"Basic ada:s3cret",
    ],
)
def test_what_is_not_one_token_is_malformed(line: bytes) -> None:
    """Story: FastAPI takes whatever follows the scheme for the credential, spaces, commas and all."""
    assert verdict(line, lookup=never) == MALFORMED


@pytest.mark.parametrize(
    "token",
    [
        GOOD.rstrip(b"="),  # no padding
        GOOD[:-1],
        GOOD + b"=",
        GOOD.replace(b"dA==", b"dB=="),  # bits that nothing reads
        b"YWRhOnM_Y3JldA==",  # base64url
        b"YWRhOnM-Y3JldA==",
        b"YWRh.nMzY3JldA==",
        b"A",
        b"A===",
        b"~",
    ],
)
def test_base64_has_one_spelling(token: bytes) -> None:
    """Padded, of its own alphabet, canonical: two spellings of one pair would count as two in whatever counts."""
    assert verdict(b"Basic " + token, lookup=never) == NOT_BASE64


@pytest.mark.parametrize(
    "text",
    [
        b"ada:\xff",
        b"ada:\xa3",
        b"\xc0\xaf:x",
        b"ada:\xed\xa0\x80",
        b"ada\x00:x",
        b"ada:x\r\n",
        b"a\x7f:x",
        b"a:\xc2\x85",
    ],
)
def test_what_is_not_text_is_malformed(text: bytes) -> None:
    """UTF-8, as the challenge says, and no control characters (RFC 7617, section 2)."""
    assert verdict_on(text, never) == NOT_TEXT


@pytest.mark.parametrize("text", [b":", b":secret", b"ada", b"ada;s3cret"])
def test_a_pair_has_a_colon_and_a_name_before_it(text: bytes) -> None:
    """A password of nobody is nobody's, and would count failures for everybody."""
    assert verdict_on(text, never) == NO_PAIR


def test_two_authorization_headers_are_refused() -> None:
    """Story: FastAPI silently uses the first of two Authorization headers, the proxy before it perhaps the last."""
    for lines in ((b"Basic " + GOOD, b"Basic " + GOOD), (b"Bearer x", b"Basic " + GOOD), (b"Basic " + GOOD, b"")):
        assert verdict(*lines, lookup=never) == REPEATED


@pytest.mark.parametrize("line", [b"", b"Bearer abc", b"Basics abc", b"Basic-auth x", b" Basic x", b"\xff"])
def test_another_scheme_is_absent(line: bytes) -> None:
    """What is not `Basic` is another authenticator's business, and so is no header at all."""
    assert verdict(line, lookup=never) is ABSENT and verdict(lookup=never) is ABSENT


def test_a_long_pair_is_rejected_before_it_is_decoded() -> None:
    """The lookup never sees more than the cap, which counts the base64."""
    assert verdict(b"Basic " + GOOD, max_bytes=15, lookup=never) == Rejected(
        "invalid_token", "too long to be a token of ours"
    )
    assert isinstance(verdict(b"Basic " + GOOD, max_bytes=16), Principal)


@pytest.mark.parametrize("answer", [True, False, "ada", {"sub": "ada"}, 0])
def test_a_lookup_that_returns_something_else_lets_nobody_in(answer: Any) -> None:
    """`return password == kept` is no answer to the question who it is; the mistake is told to the developer."""
    with pytest.raises(ConfigurationError, match=r"return Principal\(sub=\.\.\.\) or None"):
        verdict(b"Basic " + GOOD, lookup=lambda username, password: answer)


# Any bytes


@given(st.binary(max_size=200))
def test_any_bytes_are_absent_or_malformed(line: bytes) -> None:
    """Whatever stands in the header, there is an answer, and never another exception."""
    assert verdict(line, lookup=nobody) in (ABSENT, MALFORMED, NOT_BASE64, NOT_TEXT, NO_PAIR, UNKNOWN)


@given(st.text("ABYZabyz019+/=-_~.", max_size=24))
def test_any_token_is_malformed_or_a_pair(token: str) -> None:
    """The same behind our own scheme; what is looked up encodes to the very token that was sent."""
    found = verdict(b"Basic " + token.encode())
    if isinstance(found, Principal):
        assert b64encode(f"{found.sub}:{found.user}".encode()) == token.encode()
    else:
        assert found in (MALFORMED, NOT_BASE64, NOT_TEXT, NO_PAIR)


@given(st.binary(min_size=1, max_size=60))
def test_any_text_is_malformed_or_a_pair(text: bytes) -> None:
    """The same within proper base64: no lookup sees a control character, or a name that is empty or has a colon."""
    found = verdict_on(text)
    if isinstance(found, Principal):
        assert found.sub and ":" not in found.sub and f"{found.sub}:{found.user}".encode() == text
        assert not any(unicodedata.category(character) == "Cc" for character in f"{found.sub}{found.user}")
    else:
        assert found in (NOT_TEXT, NO_PAIR)


# In an app


@with_auth(Basic(ada), BearerToken(lambda token: known(token)), SessionCookie())
async def whoami(principal: Principal) -> Ok[str]:
    return ok(f"{principal.sub} by {principal.method}")


async def test_basic_and_bearer_share_the_header() -> None:
    """A header of the one kind is absent for the other; a malformed one is refused by whose it is."""
    gate = Gate(keys=["an example key, long enough to pass"], log=EventList())
    for line, status, says in (
        ("Basic " + GOOD.decode(), 200, "ada by basic"),
        ("Bearer grace", 200, "grace by bearer"),
        ("Basic YWRhOmd1ZXNz", 401, "invalid_token"),
        ("Basic x y", 400, "invalid_request"),
        ("Bearer x y", 400, "invalid_request"),
        ("Bearer x, Basic " + GOOD.decode(), 400, "invalid_request"),
        ("Digest x", 401, "unauthorized"),
    ):
        reply = await request(whoami, headers={"Authorization": line}, gate=gate)
        assert (reply.status, reply.json.get("data") or reply.json["code"]) == (status, says)


async def test_the_challenge_says_utf_8() -> None:
    """RFC 7617, section 2.1: the one charset that there is; each challenge stays whole beside the others."""
    gate = Gate(keys=["an example key, long enough to pass"], log=EventList())
    reply = await request(whoami, headers={"Authorization": "Basic YWRhOmd1ZXNz"}, gate=gate)
    assert reply.headers["www-authenticate"] == (
        'Basic realm="api", charset="UTF-8", error="invalid_token", Bearer realm="api", Session realm="api"'
    )


async def test_the_password_is_in_no_log() -> None:
    """Neither decoded nor as it was sent."""
    log = EventList()
    gate = Gate(keys=["an example key, long enough to pass"], log=log)
    for line in ("Basic YWRhOmd1ZXNz", "Basic YWRhOmd1ZXNz x"):
        await request(whoami, headers={"Authorization": line}, gate=gate)
    assert "guess" not in repr(log) and "YWRhOmd1ZXNz" not in repr(log) and len(log) == 2


# Configuration


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lookup": "secret"}, "is no lookup"),
        ({"lookup": nobody, "max_bytes": 0}, r"Basic\(max_bytes=0\): .* 1 or more"),
        ({"lookup": nobody, "realm": "a\\b"}, "without quotes"),
    ],
)
def test_bad_configuration_is_refused_when_it_is_written(settings: dict[str, Any], message: str) -> None:
    """It raises at import, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        Basic(**settings)


def test_browsers_send_it_by_themselves() -> None:
    """So it counts as ambient, and another site can have it sent: the cross-origin check looks at it."""
    basic = Basic(nobody, realm="posts")
    assert basic.challenge() == 'Basic realm="posts", charset="UTF-8"'
    assert (basic.name, basic.header, basic.ambient) == ("basic", "Authorization", True)
    assert basic.security_scheme == {"type": "http", "scheme": "basic"}
