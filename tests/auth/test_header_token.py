"""Tokens in a header of their own: once, printable ASCII, looked up as they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ConfigurationError, Principal
from gatewright.auth import ABSENT, HeaderToken, Rejected
from tests.auth.support import call_with, known, make_gate

UNKNOWN = Rejected("invalid_token", "the lookup does not know it")
MALFORMED = Rejected("invalid_token", "a token is printable ASCII without spaces")
REPEATED = Rejected("invalid_request", "more than one header of that name")


def nobody(token: str) -> None:
    return None


def anybody(token: str) -> Principal:
    return known(token)


def verdict(*tokens: bytes, of: HeaderToken | None = None, header: bytes = b"x-api-key") -> object:
    """Return what an authenticator that knows every token says of these headers."""
    gate = make_gate()
    call = call_with(*((header, token) for token in tokens), gate=gate)
    return (of or HeaderToken(anybody)).bind(gate).authenticate(call)


@pytest.mark.parametrize("token", [b"k", b"ck_live_abc-123.XYZ", b'!"#$%&()*+,-./:;<=>?@[]^_`{|}~', b"k" * 1024])
def test_a_token_is_passed_on_as_it_is(token: bytes) -> None:
    """Tokens are opaque: every printable character reaches the lookup."""
    assert verdict(token) == known(token.decode(), method="header_token")


def test_the_lookup_may_name_the_method() -> None:
    """Its word is kept; only "session", the default of the field, is not one that a token proves."""
    assert verdict(b"k", of=HeaderToken(lambda token: known(token, method="partner"))) == known("k", method="partner")


def test_the_header_can_be_another() -> None:
    """The name is written as one likes, and found in lower case, as ASGI has it."""
    token = HeaderToken(anybody, header="Acme-Token")
    assert verdict(b"k", of=token, header=b"acme-token") == known("k", method="header_token")
    assert verdict(b"k", of=token) is ABSENT


def test_no_token_and_an_empty_one_are_absent() -> None:
    """Nothing is not a credential."""
    assert verdict() is ABSENT and verdict(b"") is ABSENT


@pytest.mark.parametrize("tokens", [(b"a", b"b"), (b"a", b"a"), (b"a", b""), (b"", b"")])
def test_two_headers_are_refused(tokens: tuple[bytes, bytes]) -> None:
    """Which of the two counts is nobody's to guess; FastAPI takes the first, a proxy before it perhaps the last."""
    assert verdict(*tokens) == REPEATED


@pytest.mark.parametrize(
    "token", [b"a b", b"abc, Basic x", b"k\n", b"\x00", b"k\xff", "schlüssel".encode(), b" k", b"k\t", b"a\tb"]
)
def test_what_is_not_printable_ascii_is_rejected(token: bytes) -> None:
    """The lookup gets text that is the bytes; nothing is decoded by guess, nothing is trimmed."""
    assert verdict(token) == MALFORMED


def test_a_long_token_is_rejected_before_it_is_looked_up() -> None:
    """The lookup never sees more than the cap."""
    found = verdict(b"k" * 9, of=HeaderToken(anybody, max_bytes=8))
    assert found == Rejected("invalid_token", "too long to be a token of ours")
    assert isinstance(verdict(b"k" * 8, of=HeaderToken(anybody, max_bytes=8)), Principal)


@pytest.mark.parametrize("answer", [True, False, "ada", {"sub": "ada"}, 0])
def test_a_lookup_that_returns_something_else_lets_nobody_in(answer: Any) -> None:
    """A truthy answer is no principal; the mistake is told to the developer, not to the client."""
    with pytest.raises(ConfigurationError, match=r"return Principal\(sub=\.\.\.\) or None"):
        verdict(b"k", of=HeaderToken(lambda token: answer))


@given(st.binary(max_size=200))
def test_any_bytes_are_absent_rejected_or_a_token(token: bytes) -> None:
    """Whatever stands in the header, there is an answer, and never another exception."""
    assert verdict(token, of=HeaderToken(nobody)) in (ABSENT, MALFORMED, UNKNOWN)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lookup": None}, "is no lookup"),
        ({"lookup": nobody, "header": ""}, "write a header's name"),
        ({"lookup": nobody, "header": "X Key"}, "write a header's name"),
        ({"lookup": nobody, "header": "Authorization"}, "use BearerToken"),
        ({"lookup": nobody, "header": "proxy-authorization"}, "use BearerToken"),
        ({"lookup": nobody, "header": "COOKIE"}, "use SessionCookie"),
        ({"lookup": nobody, "max_bytes": 0}, r"HeaderToken\(max_bytes=0\): .* 1 or more"),
        ({"lookup": nobody, "realm": '"'}, "without quotes"),
    ],
)
def test_bad_configuration_is_refused_when_it_is_written(settings: dict[str, Any], message: str) -> None:
    """It raises at import, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        HeaderToken(**settings)


def test_the_challenge_names_the_realm() -> None:
    """A 401 of a token in a header of its own has a challenge, too."""
    token = HeaderToken(nobody, realm="posts")
    assert token.challenge() == 'APIKey realm="posts"'
    assert (token.name, token.header, token.ambient) == ("header_token", "X-API-Key", False)
    assert token.security_scheme == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
