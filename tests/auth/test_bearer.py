"""Bearer tokens: found byte by byte, looked up as they are, malformed ones refused before that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import BearerToken, ConfigurationError, Principal
from gatewright.auth import ABSENT, Rejected
from tests.auth.support import call_with, known, make_gate

pytestmark = pytest.mark.anyio

MALFORMED = Rejected("invalid_request", "not one Bearer token")
UNKNOWN = Rejected("invalid_token", "the lookup does not know it")


def nobody(token: str) -> None:
    return None


def anybody(token: str) -> Principal:
    return known(token, method="anybody")


def verdict(*lines: bytes, bearer: BearerToken | None = None) -> object:
    """Return what a bearer authenticator that knows every token says of these `Authorization` headers."""
    gate = make_gate()
    call = call_with(*((b"authorization", line) for line in lines), gate=gate)
    return (bearer or BearerToken(anybody)).bind(gate).authenticate(call)


@pytest.mark.parametrize("line", [b"Bearer abc", b"bearer abc", b"BEARER abc", b"bEaReR   abc"])
def test_the_scheme_has_no_case_and_one_or_more_spaces(line: bytes) -> None:
    """RFC 9110, section 11.1: the scheme is case-insensitive; 11.4: spaces, one or more, come after it."""
    assert verdict(line) == known("abc", method="anybody")


@pytest.mark.parametrize("token", [b"a", b"A-Z.a_z~0+9/", b"abc=", b"abc==", b"a.b.c", b"-" * 4096])
def test_a_token_is_passed_on_as_it_is(token: bytes) -> None:
    """Every token68 reaches the lookup unchanged (RFC 9110, section 11.2)."""
    assert verdict(b"Bearer " + token) == known(token.decode(), method="anybody")


@pytest.mark.parametrize(
    "line",
    [
        b"Bearer a b",
        b"Bearer abc def",
        b"Bearer abc, Basic x",
        b"Bearer",
        b"Bearer ",
        b"Bearer  ",
        b"Bearer\tabc",
        b"Bearer,abc",
        b"Bearer abc\t",
        b"Bearer abc ",
        b"Bearer =",
        b"Bearer a=b",
        b'Bearer "abc"',
        b'Bearer token="abc"',
        b"Bearer \xc3\xbc",
        b"Bearer a\x00",
        b"Bearer a\n",
    ],
)
def test_bearer_a_b_is_not_a_token(line: bytes) -> None:
    """Story: FastAPI takes `Bearer a b` for the token "a b", and `Bearer abc, Basic x` for one as well."""
    assert verdict(line) == MALFORMED


def test_two_authorization_headers_are_refused() -> None:
    """Story: FastAPI silently uses the first of two Authorization headers, the proxy before it perhaps the last."""
    repeated = Rejected("invalid_request", "more than one Authorization header")
    assert verdict(b"Bearer good", b"Bearer other") == repeated
    assert verdict(b"Bearer good", b"Bearer good") == repeated
    assert verdict(b"Basic x", b"Bearer good") == repeated


@pytest.mark.parametrize(
    "line", [b"", b"Basic x", b"Bearerish abc", b"Bearer-abc x", b"DPoP abc", b" Bearer abc", b"\xff"]
)
def test_another_scheme_is_absent(line: bytes) -> None:
    """What is not `Bearer` is another authenticator's business."""
    assert verdict(line) is ABSENT


def test_without_the_header_it_is_absent() -> None:
    """No header, no credential."""
    assert verdict() is ABSENT


def test_a_long_token_is_rejected_before_it_is_looked_up() -> None:
    """The lookup never sees more than the cap."""

    def never(token: str) -> None:
        raise AssertionError("looked up")

    bearer = BearerToken(never, max_bytes=8)
    assert verdict(b"Bearer " + b"a" * 9, bearer=bearer) == Rejected("invalid_token", "too long to be a token of ours")
    assert isinstance(verdict(b"Bearer " + b"a" * 8, bearer=BearerToken(anybody, max_bytes=8)), Principal)


def test_an_unknown_token_is_rejected() -> None:
    """None from the lookup is a rejection, not an absence: nothing else may let the caller in."""
    assert verdict(b"Bearer abc", bearer=BearerToken(nobody)) == UNKNOWN


def test_a_principal_that_names_no_method_becomes_a_bearer() -> None:
    """`Principal(sub=...)` says "session" by default, which a token never proves."""
    found = verdict(b"Bearer abc", bearer=BearerToken(lambda token: Principal("ada", user="Ada")))
    assert found == Principal("ada", "bearer", user="Ada")


@pytest.mark.parametrize("answer", [True, False, "ada", {"sub": "ada"}, 0])
def test_a_lookup_that_returns_something_else_lets_nobody_in(answer: Any) -> None:
    """A truthy answer is no principal; the mistake is told to the developer, not to the client."""
    with pytest.raises(ConfigurationError, match=r"return Principal\(sub=\.\.\.\) or None"):
        verdict(b"Bearer abc", bearer=BearerToken(lambda token: answer))


async def test_a_lookup_may_be_async() -> None:
    """It is awaited, on asyncio and on trio."""

    async def lookup(token: str) -> Principal | None:
        return Principal("ada") if token == "good" else None

    bearer = BearerToken(lookup)
    assert await verdict(b"Bearer good", bearer=bearer) == Principal("ada", "bearer")  # type: ignore[misc]
    assert await verdict(b"Bearer bad", bearer=bearer) == UNKNOWN  # type: ignore[misc]
    assert await verdict(b"Basic x", bearer=bearer) is ABSENT  # type: ignore[misc]


async def test_a_lookup_may_be_an_object_with_an_async_call() -> None:
    """What to await is found out from the call itself."""

    class Tokens:
        async def __call__(self, token: str) -> Principal:
            return Principal(token)

    assert await verdict(b"Bearer abc", bearer=BearerToken(Tokens())) == Principal("abc", "bearer")  # type: ignore[misc]


@given(st.binary(max_size=200))
def test_any_bytes_are_absent_rejected_or_a_token(line: bytes) -> None:
    """Whatever stands in the header, there is an answer, and never another exception."""
    assert verdict(line, bearer=BearerToken(nobody)) in (ABSENT, MALFORMED, UNKNOWN)


@given(st.binary(max_size=200))
def test_any_bytes_after_the_scheme_are_rejected_or_a_token(rest: bytes) -> None:
    """The same behind our own scheme; what is looked up is text."""
    found = verdict(b"Bearer " + rest)
    assert found == MALFORMED or (isinstance(found, Principal) and found.sub.isascii() and " " not in found.sub)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lookup": "secret"}, "is no lookup"),
        ({"lookup": nobody, "max_bytes": 0}, "1 or more"),
        ({"lookup": nobody, "realm": "a\\b"}, "without quotes"),
        ({"lookup": nobody, "realm": "ä"}, "printable ASCII"),
    ],
)
def test_bad_configuration_is_refused_when_it_is_written(settings: dict[str, Any], message: str) -> None:
    """It raises at import, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        BearerToken(**settings)


def test_the_challenge_has_a_parameter() -> None:
    """RFC 6750, section 3: one or more parameters follow the scheme."""
    bearer = BearerToken(nobody, realm="posts")
    assert bearer.challenge() == 'Bearer realm="posts"'
    assert bearer.security_scheme == {"type": "http", "scheme": "bearer"}
    assert (bearer.name, bearer.header, bearer.ambient) == ("bearer", "Authorization", False)


def test_bearers_are_told_apart_by_identity() -> None:
    """Two with the same lookup are two; each is bound once, whatever the gate."""
    one, other = BearerToken(nobody), BearerToken(nobody)
    assert one != other and len({one, other}) == 2
    assert one.bind(make_gate()) is one.bind(make_gate())
