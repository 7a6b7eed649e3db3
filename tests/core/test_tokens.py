"""Signed tokens: one spelling each, one purpose, keys that rotate, and nothing but a refusal for foreign bytes."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer, URLSafeSerializer
from pydantic_core import core_schema

from gatewright._core.tokens import TokenError, TokenSigner, base64url

OLD = b"an old key, which only verifies, of 32 bytes or more"
NEW = b"a new key, which signs and verifies, of 32 bytes too"
PURPOSE = "test.purpose"
SCHEMA = core_schema.typed_dict_schema({"n": core_schema.typed_dict_field(core_schema.int_schema(strict=True))})

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def signer(*keys: bytes, purpose: str = PURPOSE, max_bytes: int = 4096) -> TokenSigner[dict[str, Any]]:
    return TokenSigner(keys or (NEW,), purpose, SCHEMA, max_bytes)


def token(*keys: bytes) -> bytes:
    return signer(*keys).sign({"n": 7}).encode("ascii")


def stock(*keys: bytes) -> URLSafeSerializer:
    """What itsdangerous itself offers for the same format; its keys are oldest first."""
    return URLSafeSerializer(
        list(keys), salt=PURPOSE, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
    )


def refusal(of: bytes, by: TokenSigner[dict[str, Any]] | None = None) -> str:
    with pytest.raises(TokenError) as caught:
        (by or signer()).read(of)
    return str(caught.value)


@given(st.integers(min_value=-(2**63), max_value=2**63))
def test_what_was_signed_is_read_back(n: int) -> None:
    """A record survives the round trip, whatever characters its base64 needs."""
    assert signer().read(signer().sign({"n": n}).encode("ascii")) == {"n": n}


def test_the_format_is_that_of_itsdangerous() -> None:
    """A stock serializer reads our tokens and we read its: the prepared HMAC is HMAC, and nobody is locked in."""
    assert stock(NEW).loads(token()) == {"n": 7}
    assert signer().read(stock(NEW).dumps({"n": 7}).encode()) == {"n": 7}


def test_the_newest_key_signs_and_all_keys_verify() -> None:
    """Keys are newest first: tokens of the old key stay valid while it is listed, and new ones use the new key."""
    assert signer(NEW, OLD).read(token(OLD)) == {"n": 7}
    assert token(NEW, OLD) == token(NEW)
    assert refusal(token(OLD), signer(NEW)) == "not signed with one of the keys"


def test_keys_are_given_newest_first_whatever_itsdangerous_wants() -> None:
    """The list of itsdangerous is oldest first; passed as it is, the stale key would sign."""
    assert stock(NEW).loads(token(NEW, OLD)) == {"n": 7}


def test_every_key_is_tried_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is the same for a token of the newest key and of the oldest, so that time does not tell which."""
    keyring = signer(NEW, OLD)
    tried: list[bytes] = []
    algorithm = keyring._signer.algorithm
    original = algorithm.get_signature

    def counted(key: bytes, value: bytes) -> bytes:
        tried.append(key)
        return original(key, value)

    monkeypatch.setattr(algorithm, "get_signature", counted)
    keyring.read(token(NEW))
    newest = list(tried)
    tried.clear()
    keyring.read(token(OLD))
    assert tried == newest and len(set(tried)) == 2


def test_a_token_serves_one_purpose() -> None:
    """The purpose is part of the key: a token for one thing is not one for another."""
    assert refusal(token(), signer(purpose="another.purpose")) == "not signed with one of the keys"


@pytest.mark.parametrize("ending", ["other final character", "padding", "newline", "beyond ASCII"])
def test_non_canonical_base64_is_another_token(ending: str) -> None:
    """Story: itsdangerous takes three other final characters, '=' and stray bytes for the same signature."""
    good = token()
    siblings = [good[:-1] + bytes([c]) for c in ALPHABET]
    stock_signer = Signer(NEW, salt=PURPOSE, key_derivation="hmac", digest_method=hashlib.sha256)
    spellings = {
        "other final character": [s for s in siblings if s != good and stock_signer.validate(s)],
        "padding": [good + b"=", good + b"=="],
        "newline": [good + b"\n"],
        "beyond ASCII": [good + b"\xff"],
    }[ending]
    assert spellings
    for spelling in spellings:
        assert refusal(spelling) == "not signed with one of the keys"


def test_itsdangerous_itself_accepts_the_other_spellings() -> None:
    """The story holds for the stock signer, so the strict comparison is needed."""
    stock_signer = Signer(NEW, salt=PURPOSE, key_derivation="hmac", digest_method=hashlib.sha256)
    accepted = [c for c in ALPHABET if stock_signer.validate(token()[:-1] + bytes([c]))]
    assert len(accepted) == 4 and stock_signer.validate(token() + b"=")


def test_a_long_token_is_refused_before_it_is_hashed() -> None:
    """The cap counts the whole token, and holds for one that is signed as well."""
    length = len(token())
    assert signer(max_bytes=length).read(token()) == {"n": 7}
    assert refusal(token(), signer(max_bytes=length - 1)) == "too long"


@pytest.mark.parametrize(
    "payload",
    [b'{"n":"7"}', b"{}", b"[]", b"null", b"", b"\xff", b'{"n":7', b'{"n":NaN}', b'{"n":"\\ud800"}', b"[" * 3000],
)
def test_a_signed_payload_that_is_no_record_is_refused(payload: bytes) -> None:
    """Another program, or another version of this one, may sign with the same key; what it says is not believed."""
    signed = signer()._signer.sign(base64url(payload))
    assert refusal(signed, signer(max_bytes=10_000)) == "signed, but not a record of this version"


def test_a_signed_payload_that_is_no_base64_is_refused() -> None:
    """A single character is no base64 of anything."""
    assert refusal(signer()._signer.sign(b"A")) == "signed, but not a record of this version"


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    """Whatever comes from the network, the answer is a record of ours or a `TokenError` that does not quote it."""
    assert refusal(data) in ("not signed with one of the keys", "too long")


@given(st.data())
def test_a_flipped_bit_anywhere_is_refused(data: st.DataObject) -> None:
    """No bit of a token is slack."""
    good = token()
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    flipped = bytearray(good)
    flipped[bit // 8] ^= 1 << bit % 8
    refusal(bytes(flipped))


def test_base64url_has_no_padding_and_its_own_alphabet() -> None:
    """RFC 4648, section 5: - and _ in place of + and /, and nothing at the end."""
    for size in range(70):
        raw = bytes(range(256 - size, 256))
        assert base64url(raw) == base64.urlsafe_b64encode(raw).rstrip(b"=")
