"""Signatures by the key of a certificate: RSA with PKCS #1 v1.5 padding (RFC 8017, section 8.2)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificate

from gatewright.errors import ConfigurationError
from gatewright.webhooks.schemes.certified import RsaHash, from_base64
from gatewright.webhooks.secret import Secret

__all__ = ["Rsa", "validity"]

_HASHES: Mapping[RsaHash, HashAlgorithm] = {"sha256": SHA256(), "sha1": SHA1()}  # noqa: S303  # senders still use it
_PADDING = PKCS1v15()
# NIST SP 800-131A asks for 2048; a longer key than 8192 costs more than anybody's signature is worth.
_BITS = range(2048, 8193)
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rsa:
    """Sign with the private key of a certificate; signatures are canonical base64.

    The secret that verifies is the certificate, in PEM; the one that signs is its private key, in PEM. A text with
    both does both.

    Args:
        hash: "sha256"; "sha1" where a sender still uses it.
    """

    hash: RsaHash = "sha256"

    def check(self, secret: Secret) -> None:
        """Refuse what holds no certificate."""
        _public_key(secret)

    def matches(self, secret: Secret, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Say whether one of *signatures* is that of *message*.

        Raises:
            WebhookRejected: for a signature that is not canonical base64.
        """
        key = _public_key(secret)
        return sum([self._is_of(key, message, from_base64(signature)) for signature in signatures]) > 0

    def sign(self, secret: Secret, message: bytes) -> bytes:
        """Return the signature of *message*."""
        return b64encode(_private_key(secret).sign(message, _PADDING, _HASHES[self.hash]))

    def _is_of(self, key: RSAPublicKey, message: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, message, _PADDING, _HASHES[self.hash])
        except (InvalidSignature, UnsupportedAlgorithm):
            # A system's policy may refuse SHA-1 altogether.
            return False
        return True


def validity(certificate: Secret) -> tuple[float, float]:
    """Return the Unix seconds from and until which *certificate* is valid (RFC 5280, section 4.1.2.5).

    Raises:
        ConfigurationError: for what holds no certificate of an RSA key.
    """
    _public_key(certificate)
    found = _certificate(certificate)
    return found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()


def _certificate(secret: Secret) -> Certificate:
    try:
        return load_pem_x509_certificate(_pem(secret))
    except ValueError:
        raise ConfigurationError(
            "a certificate is written in PEM: -----BEGIN CERTIFICATE-----; is the variable set that it is from?"
        ) from None


def _public_key(secret: Secret) -> RSAPublicKey:
    try:
        key = _certificate(secret).public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size not in _BITS:
        raise ConfigurationError(f"the certificate's key has to be an RSA key of {_BITS[0]} to {_BITS[-1]} bits")
    return key


def _private_key(secret: Secret) -> RSAPrivateKey:
    found = _PRIVATE_KEY.search(_pem(secret))
    try:
        # Signing is for tests, with their own key: to prove with each delivery that it is one would take 60 ms.
        key = load_pem_private_key(found[0], None, unsafe_skip_rsa_key_validation=True) if found else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # TypeError is what it says of a key that is encrypted.
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(
            "signing needs the private key that belongs to the certificate: an RSA key in PEM, not encrypted"
        )
    return key


def _pem(secret: object) -> bytes:
    if isinstance(secret, str):
        return secret.encode("utf-8", "replace")
    if isinstance(secret, bytes):
        return secret
    raise ConfigurationError(f"a certificate is str or bytes, not {type(secret).__name__}; is its variable set?")
