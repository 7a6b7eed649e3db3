"""The algorithms with a key pair (RFC 9421, section 3.3), by the names that they are registered under."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA512, HashAlgorithm

from gatewright.errors import ConfigurationError
from gatewright.webhooks.schemes.public_key import EcdsaP256, Ed25519, private_key, public_key
from gatewright.webhooks.schemes.signed import Algorithm
from gatewright.webhooks.secret import Secret

__all__ = ["ALGORITHMS", "Rsa"]

# NIST SP 800-131A asks for 2048; a longer key than 8192 costs more than anybody's signature is worth.
_BITS = range(2048, 8193)


@dataclass(frozen=True, slots=True)
class Rsa:
    """Verify with a public RSA key, sign with a private one (RFC 8017); signatures are canonical base64.

    A key is PEM or DER; DER may be in base64.

    Args:
        padding: what makes a signature of a hash.
        hash: of the message.
    """

    padding: AsymmetricPadding
    hash: HashAlgorithm

    def check(self, secret: Secret) -> None:
        """Refuse what is no public RSA key, and one that is too short."""
        _public(secret)

    def matches(self, secret: Secret, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Say whether one of *signatures* is that of *message*."""
        key = _public(secret)
        return sum([self._made(key, message, signature) for signature in signatures]) > 0

    def sign(self, secret: Secret, message: bytes) -> bytes:
        """Return the signature of *message*; *secret* is the private key."""
        key = private_key(secret)
        if not isinstance(key, RSAPrivateKey):
            raise ConfigurationError("that is no private RSA key; write PEM, or DER in base64")
        return b64encode(key.sign(message, self.padding, self.hash))

    def _made(self, key: RSAPublicKey, message: bytes, signature: bytes) -> bool:
        try:
            key.verify(b64decode(signature, validate=True), message, self.padding, self.hash)
        except (InvalidSignature, ValueError):
            return False
        return True


def _public(secret: Secret) -> RSAPublicKey:
    key = public_key(secret)
    if not isinstance(key, RSAPublicKey):
        raise ConfigurationError("that is no public RSA key; write what the sender shows: PEM, or DER in base64")
    if key.key_size not in _BITS:
        raise ConfigurationError(f"an RSA key of {key.key_size} bits; write one of {_BITS[0]} to {_BITS[-1]}")
    return key


ALGORITHMS: Mapping[str, Algorithm] = {
    "ed25519": Ed25519("base64"),
    "ecdsa-p256-sha256": EcdsaP256("base64", form="raw"),
    "rsa-pss-sha512": Rsa(PSS(MGF1(SHA512()), salt_length=64), SHA512()),
    "rsa-v1_5-sha256": Rsa(PKCS1v15(), SHA256()),
}
