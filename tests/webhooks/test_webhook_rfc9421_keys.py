"""The keys of message signatures: how they are spelled, and which of them are none."""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.webhooks.schemes.rfc9421.algorithms import ALGORITHMS
from gatewright.webhooks.schemes.rfc9421.scheme import (
    SignatureAlgorithm,
    http_message_signatures,
)
from tests.webhooks.kit import NOW, reason_of
from tests.webhooks.rfc9421_examples import KEYS
from tests.webhooks.rfc9421_signing import BODY, URL, sent


def spellings(public: str) -> list[str | bytes]:
    """Return a public key in each of its spellings."""
    key = load_pem_public_key(public.encode())
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return [public, public.encode(), pem, pem.decode(), der, b64encode(der), b64encode(der).decode()]


@pytest.mark.parametrize("algorithm", ["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256"])
def test_a_public_key_may_be_spelled_as_senders_do(algorithm: SignatureAlgorithm) -> None:
    """PEM, DER, and DER in base64, as text or bytes."""
    scheme = http_message_signatures(algorithm=algorithm)
    for spelling in spellings(str(KEYS[algorithm][0])):
        scheme.check(spelling)
        assert scheme.verify(sent(scheme), spelling, NOW).key_index == 0


def test_an_ed25519_key_may_be_its_32_bytes() -> None:
    """Raw, or in base64."""
    raw = b64decode("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=")
    scheme = http_message_signatures(algorithm="ed25519")
    for spelling in (raw, b64encode(raw).decode(), b64encode(raw)):
        assert scheme.verify(sent(scheme), spelling, NOW)


@pytest.mark.parametrize("algorithm", get_args(SignatureAlgorithm))
def test_a_key_of_another_kind_is_refused_when_decorated(algorithm: SignatureAlgorithm) -> None:
    """A key that can verify nothing is a mistake of today, not of the first delivery; and it is no secret, later."""
    scheme = http_message_signatures(algorithm=algorithm)
    for other, (public, _) in KEYS.items():
        if {algorithm, other} == {"rsa-pss-sha512", "rsa-v1_5-sha256"} or algorithm == other:
            continue
        with pytest.raises(ConfigurationError):
            scheme.check(public)
        assert reason_of(scheme, sent(scheme), public) == "no_secret"
        assert scheme.verify(sent(scheme), [public, KEYS[algorithm][0]], NOW).key_index == 1


def test_an_rsa_key_is_neither_short_nor_endless() -> None:
    """1024 bits are within reach of a forger (NIST SP 800-131A)."""
    short = generate_private_key(65537, 1024)
    public = short.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ConfigurationError, match="1024 bits; write one of 2048 to 8192"):
        http_message_signatures(algorithm="rsa-v1_5-sha256").check(public)


@pytest.mark.parametrize("algorithm", ["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256"])
def test_who_signs_has_the_private_key(algorithm: SignatureAlgorithm) -> None:
    """With the public one it is a ConfigurationError, not a signature."""
    with pytest.raises(ConfigurationError, match="private"):
        http_message_signatures(algorithm=algorithm).sign(BODY, KEYS[algorithm][0], NOW, url=URL)


def test_a_private_key_may_be_der() -> None:
    """PKCS #8, and in base64."""
    key = load_pem_private_key(str(KEYS["rsa-pss-sha512"][1]).encode(), None)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    scheme = http_message_signatures(algorithm="rsa-v1_5-sha256")
    for spelling in (der, b64encode(der).decode()):
        delivery = scheme.sign(BODY, spelling, NOW, url=URL)
        assert scheme.verify(delivery, KEYS["rsa-pss-sha512"][0], NOW)


@given(st.binary(max_size=300), st.sampled_from(["rsa-pss-sha512", "rsa-v1_5-sha256"]))
@example(b"", "rsa-pss-sha512")
@settings(deadline=None)
def test_a_signature_of_any_bytes_is_none(signature: bytes, algorithm: str) -> None:
    """Base64 or not, of any length: no signature, and no exception."""
    assert not ALGORITHMS[algorithm].matches(KEYS[algorithm][0], b"", [signature, b64encode(signature)])


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """HMAC needs none; for the rest, the error says what to install, and when."""
    monkeypatch.setitem(sys.modules, "gatewright.webhooks.schemes.rfc9421.algorithms", None)
    assert http_message_signatures(algorithm="hmac-sha256")
    with pytest.raises(ConfigurationError, match=r'pip install "gatewright\[webhooks\]"'):
        http_message_signatures(algorithm="ed25519")
