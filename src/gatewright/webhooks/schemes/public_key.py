"""Signatures with a key pair, whose private half the sender keeps. Imports cryptography."""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import a2b_base64, unhexlify
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from gatewright.errors import ConfigurationError
from gatewright.webhooks.schemes.mac import Encoding
from gatewright.webhooks.secret import Secret, secret_bytes

__all__ = ["EcdsaP256", "Ed25519", "Form", "private_key", "public_key"]

Form = Literal["der", "raw"]
"""An ECDSA signature as a DER sequence (RFC 3279, section 2.2.3), or as 64 bytes, r and s (RFC 9421, section 3.3.4)."""

_PEM = b"-----BEGIN "
_HEX = re.compile(rb"(?:[0-9a-fA-F]{64}){1,2}")
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4}){10,}(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?")
_NO_KEY = (ValueError, TypeError, UnsupportedAlgorithm)
# The points of small order, without the sign of x: for these keys anybody can make signatures (RFC 8032, section 8.7).
_WEAK = {
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
}


@dataclass(frozen=True, slots=True)
class Ed25519:
    """Verify with a public Ed25519 key, sign with a private one (RFC 8032).

    A key is PEM or DER (SubjectPublicKeyInfo, PKCS #8), or its 32 bytes alone, and either may be in base64, the bytes
    also in hex. A private key may have its public one behind it, as NaCl writes it.

    Args:
        encoding: of the signatures: "hex", in either case, or canonical "base64".
    """

    encoding: Encoding = "base64"

    def check(self, secret: Secret) -> None:
        """Refuse what is no public key, and one for which anybody can sign."""
        _ed25519_public(secret)

    def matches(self, secret: Secret, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Say whether one of *signatures* is that of *message*."""
        key = _ed25519_public(secret)

        def made(signature: bytes) -> bool:
            try:
                key.verify(_decoded(signature, self.encoding), message)
            except InvalidSignature:
                return False
            return True

        # Nothing here is a secret that an early exit could tell.
        return any(made(signature) for signature in signatures)

    def sign(self, secret: Secret, message: bytes) -> bytes:
        """Return the signature of *message*; *secret* is the private key."""
        return _encoded(_ed25519_private(secret).sign(message), self.encoding)


@dataclass(frozen=True, slots=True)
class EcdsaP256:
    """Verify with a public P-256 key, sign with a private one: ECDSA with SHA-256 (FIPS 186-5).

    A key is PEM or DER (SubjectPublicKeyInfo, PKCS #8); DER may be in base64.

    Args:
        encoding: of the signatures: "hex", in either case, or canonical "base64".
        form: what is encoded: "der", or "raw".
    """

    encoding: Encoding = "base64"
    form: Form = "der"

    def check(self, secret: Secret) -> None:
        """Refuse what is no public key on this curve."""
        _p256_public(secret)

    def matches(self, secret: Secret, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Say whether one of *signatures* is that of *message*."""
        key = _p256_public(secret)

        def made(signature: bytes) -> bool:
            decoded = _decoded(signature, self.encoding)
            try:
                key.verify(decoded if self.form == "der" else _der(decoded), message, ECDSA(SHA256()))
            except InvalidSignature:
                return False
            return True

        # Nothing here is a secret that an early exit could tell.
        return any(made(signature) for signature in signatures)

    def sign(self, secret: Secret, message: bytes) -> bytes:
        """Return the signature of *message*, always the same one (RFC 6979); *secret* is the private key."""
        signature = _p256_private(secret).sign(message, ECDSA(SHA256(), deterministic_signing=True))
        return _encoded(signature if self.form == "der" else _raw(signature), self.encoding)


def _ed25519_public(secret: Secret) -> Ed25519PublicKey:
    key = public_key(secret)
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(
            "that is no public Ed25519 key; write what the sender shows: PEM, or 32 bytes in hex or base64"
        )
    point = key.public_bytes_raw()
    if point[:31] + bytes([point[31] & 0x7F]) in _WEAK:
        raise ConfigurationError("for that Ed25519 key anybody could sign; is it still a placeholder?")
    return key


def _ed25519_private(secret: Secret) -> Ed25519PrivateKey:
    key = private_key(secret)
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError("that is no private Ed25519 key; write PEM, or its 32 bytes in hex or base64")
    return key


def _p256_public(secret: Secret) -> EllipticCurvePublicKey:
    key = public_key(secret)
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ConfigurationError("that is no public P-256 key; write what the sender shows: PEM, or DER in base64")
    return key


def _p256_private(secret: Secret) -> EllipticCurvePrivateKey:
    key = private_key(secret)
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ConfigurationError("that is no private P-256 key; write PEM, or DER in base64")
    return key


def public_key(secret: Secret) -> object:
    """Return a public key of any kind; None for what is none."""
    octets = _octets(secret)
    try:
        if octets.startswith(_PEM):
            return load_pem_public_key(octets)
        return Ed25519PublicKey.from_public_bytes(octets) if len(octets) == 32 else load_der_public_key(octets)
    except _NO_KEY:
        return None


def private_key(secret: Secret) -> object:
    """Return a private key of any kind; None for what is none."""
    octets = _octets(secret)
    try:
        if octets.startswith(_PEM):
            return load_pem_private_key(octets, None)
        if len(octets) in (32, 64):
            return Ed25519PrivateKey.from_private_bytes(octets[:32])
        return load_der_private_key(octets, None)
    except _NO_KEY:
        return None


def _octets(secret: Secret) -> bytes:
    """Return PEM as it is, and anything else as the bytes that it spells; none for text that spells nothing."""
    # A PEM file ends with a line break, and nobody means it.
    pem = isinstance(secret, str) and secret.lstrip().startswith(_PEM.decode())
    octets = secret_bytes(secret.strip() if pem else secret)
    if _HEX.fullmatch(octets):
        return unhexlify(octets)
    if _BASE64.fullmatch(octets):
        # More padding than needed is no error.
        return a2b_base64(octets + b"==")
    return octets if pem or isinstance(secret, bytes) else b""


def _decoded(signature: bytes, encoding: Encoding) -> bytes:
    """Return the bytes of a signature; none for what is not its one spelling, and those verify nothing."""
    try:
        decoded = unhexlify(signature) if encoding == "hex" else a2b_base64(signature)
    except ValueError:
        return b""
    return decoded if encoding == "hex" or b64encode(decoded) == signature else b""


def _encoded(signature: bytes, encoding: Encoding) -> bytes:
    return signature.hex().encode() if encoding == "hex" else b64encode(signature)


def _der(raw: bytes) -> bytes:
    if len(raw) != 64:
        return b""
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def _raw(der: bytes) -> bytes:
    return b"".join(number.to_bytes(32) for number in decode_dss_signature(der))
