"""Tokens are read strictly, and whatever the bytes are, there is an answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import Principal
from gatewright._core.tokens import TokenError, base64url
from gatewright.auth.authenticator import Rejected
from gatewright.auth.jwt.compact import json_object, read_compact
from tests.auth.jwt.kit import SECRET, by_secret, claims, gate_at, header, hs, make, mint, secretive
from tests.auth.support import call_with

GATE = gate_at()
ES, HS = make().bind(GATE), secretive(max_bytes=1 << 16).bind(GATE)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = ("iss", "aud", "sub", "exp", "nbf", "iat", "auth_time", "scope", "scp", "roles", "sid", "tenant", "jti")


def said_of(bound: object, token: bytes) -> object:
    said = bound.authenticate(call_with((b"authorization", b"Bearer " + token), gate=GATE))  # type: ignore[attr-defined]
    assert isinstance(said, (Principal, Rejected))
    return said


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(token: bytes) -> None:
    """Whatever stands behind `Bearer`, it is refused, and nothing is raised."""
    assert isinstance(said_of(ES, token), Rejected)


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=5))
def test_any_parts_are_refused(parts: list[bytes]) -> None:
    """The same for what is base64url, so that the bytes get further."""
    token = b".".join(map(base64url, parts))
    assert said_of(ES, token) in (
        Rejected("invalid_token", "not three parts in canonical base64url"),
        Rejected("invalid_token", "encrypted"),
        Rejected("invalid_token", "not a strict JSON object"),
        Rejected("invalid_token", "JSON, but not an object"),
    )


@given(st.binary(max_size=200))
def test_any_header_is_refused(head: bytes) -> None:
    """The same for a header that is signed with the right key."""
    assert isinstance(said_of(HS, mint(head=head, sign=by_secret(SECRET))), Rejected)


@given(st.dictionaries(st.sampled_from(("alg", "kid", "typ", "crit", "b64", "jwk", "x")), json_values))
def test_any_header_members_are_refused_or_right(members: dict[str, object]) -> None:
    """Values of any type in a header are no exception."""
    said_of(HS, mint(head={"alg": "HS256", "typ": "JWT", **members}, sign=by_secret(SECRET)))


@given(st.binary(max_size=200))
def test_any_payload_is_refused(payload: bytes) -> None:
    """The same for claims that are signed with the right key: an issuer makes mistakes, too."""
    assert isinstance(said_of(HS, hs(payload)), Rejected)


@given(st.dictionaries(st.sampled_from(NAMES), json_values, max_size=4))
def test_any_claims_are_refused_or_right(others: dict[str, object]) -> None:
    """Values of any type in the claims are no exception; whoever passes has a name that can be written down."""
    said = said_of(HS, hs(claims(**others)))
    if isinstance(said, Principal):
        assert said.sub.encode()
        json.dumps([said.sub, *said.roles, *said.scopes], ensure_ascii=False).encode()


@given(st.binary(max_size=64))
def test_any_signature_is_refused(signature: bytes) -> None:
    """The same for the signature, of every length."""
    message = b".".join(mint().split(b".")[:2])
    assert isinstance(said_of(ES, message + b"." + base64url(signature)), Rejected)


@given(st.binary(max_size=90))
def test_every_part_has_one_spelling(payload: bytes) -> None:
    """What is read is what was spelled, and spells the same again."""
    signed = read_compact(b".".join([base64url(json.dumps(header()).encode()), base64url(payload), b"AAAA"]))
    assert signed.payload == payload


@pytest.mark.parametrize("bad", [b"QQ==", b"QR", b"QUJ", b"Q", b"Q Q", b"QQ\n", b"+w", b"\xff"])
def test_other_spellings_are_refused(bad: bytes) -> None:
    """RFC 4648, sections 3.2 to 3.5: no padding, no other alphabet, no bits that nobody reads."""
    head = base64url(json.dumps(header()).encode())
    with pytest.raises(TokenError, match="canonical"):
        read_compact(b".".join([head, bad, b"AAAA"]))


@pytest.mark.parametrize(
    "bad",
    [b"", b"{", b"[]", b'"a"', b"{} {}", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e999}', b'{"a":"\n"}', b"{'a':1}"],
)
def test_json_that_is_not_strict_is_refused(bad: bytes) -> None:
    """RFC 8259, and nothing beyond it."""
    with pytest.raises(TokenError):
        json_object(bad)


def test_json_that_is_strict_is_read() -> None:
    """Numbers, escapes and pairs of surrogates among it."""
    assert json_object(rb' {"a": [1, -2.5e3, "\ud83d\ude00", {"a": null}]} ') == {"a": [1, -2500.0, "😀", {"a": None}]}
