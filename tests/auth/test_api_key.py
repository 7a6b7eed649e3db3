"""API keys: one header, printable ASCII, looked up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ApiKey, ConfigurationError, Principal
from gatewright.auth import ABSENT, Rejected
from tests.auth.support import call_with, known, make_gate

UNKNOWN = Rejected("invalid_token", "the lookup does not know it")
MALFORMED = Rejected("invalid_token", "an API key is printable ASCII without spaces")


def nobody(key: str) -> None:
    return None


def anybody(key: str) -> Principal:
    return known(key)


def verdict(*keys: bytes, api_key: ApiKey | None = None, header: bytes = b"x-api-key") -> object:
    """Return what an authenticator that knows every key says of these headers."""
    gate = make_gate()
    call = call_with(*((header, key) for key in keys), gate=gate)
    return (api_key or ApiKey(anybody)).bind(gate).authenticate(call)


@pytest.mark.parametrize("key", [b"k", b"ck_live_abc-123.XYZ", b'!"#$%&()*+,-./:;<=>?@[]^_`{|}~', b"k" * 1024])
def test_a_key_is_passed_on_as_it_is(key: bytes) -> None:
    """Keys are opaque: every printable character reaches the lookup."""
    assert verdict(key) == known(key.decode(), method="api_key")


def test_the_header_can_be_another() -> None:
    """The name is written as one likes, and found in lower case, as ASGI has it."""
    api_key = ApiKey(anybody, header="Acme-Key")
    assert verdict(b"k", api_key=api_key, header=b"acme-key") == known("k", method="api_key")
    assert verdict(b"k", api_key=api_key) is ABSENT


def test_no_key_and_an_empty_one_are_absent() -> None:
    """Nothing is not a credential."""
    assert verdict() is ABSENT and verdict(b"") is ABSENT


@pytest.mark.parametrize("keys", [(b"a", b"b"), (b"a", b"a"), (b"a", b""), (b"", b"")])
def test_two_keys_are_refused(keys: tuple[bytes, bytes]) -> None:
    """Which of the two counts is nobody's to guess."""
    assert verdict(*keys) == Rejected("invalid_request", "more than one API key")


@pytest.mark.parametrize("key", [b"a b", b"k\n", b"\x00", b"k\xff", "schlüssel".encode(), b" k", b"k\t"])
def test_what_is_not_printable_ascii_is_rejected(key: bytes) -> None:
    """The lookup gets text that is the bytes; nothing is decoded by guess, nothing is trimmed."""
    assert verdict(key) == MALFORMED


def test_a_long_key_is_rejected_before_it_is_looked_up() -> None:
    """The lookup never sees more than the cap."""
    found = verdict(b"k" * 9, api_key=ApiKey(anybody, max_bytes=8))
    assert found == Rejected("invalid_token", "too long to be an API key of ours")
    assert isinstance(verdict(b"k" * 8, api_key=ApiKey(anybody, max_bytes=8)), Principal)


@given(st.binary(max_size=200))
def test_any_bytes_are_absent_rejected_or_a_key(key: bytes) -> None:
    """Whatever stands in the header, there is an answer, and never another exception."""
    assert verdict(key, api_key=ApiKey(nobody)) in (ABSENT, MALFORMED, UNKNOWN)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lookup": None}, "is no lookup"),
        ({"lookup": nobody, "header": ""}, "write a header's name"),
        ({"lookup": nobody, "header": "X Key"}, "write a header's name"),
        ({"lookup": nobody, "header": "Authorization"}, "use BearerToken"),
        ({"lookup": nobody, "header": "proxy-authorization"}, "use BearerToken"),
        ({"lookup": nobody, "header": "COOKIE"}, "use SessionCookie"),
        ({"lookup": nobody, "max_bytes": 0}, "1 or more"),
        ({"lookup": nobody, "realm": '"'}, "without quotes"),
    ],
)
def test_bad_configuration_is_refused_when_it_is_written(settings: dict[str, Any], message: str) -> None:
    """It raises at import, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        ApiKey(**settings)


def test_the_challenge_names_the_realm() -> None:
    """A 401 of an API key has a challenge, too."""
    api_key = ApiKey(nobody, realm="posts")
    assert api_key.challenge() == 'APIKey realm="posts"'
    assert (api_key.name, api_key.header, api_key.ambient) == ("api_key", "X-API-Key", False)
