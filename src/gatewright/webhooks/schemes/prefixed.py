"""Secrets whose prefix says what they are for: `whsec_` is shared, `whpk_` is public, `whsk_` is private."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence

from gatewright.errors import ConfigurationError
from gatewright.webhooks.schemes.asymmetric import ed25519
from gatewright.webhooks.secret import Secret, secret_bytes

__all__ = ["KeyPair", "shared_key", "shared_or_raw_key", "version_of"]

_SHARED, _PUBLIC, _PRIVATE = b"whsec_", b"whpk_", b"whsk_"


def version_of(secret: Secret) -> bytes:
    """Return the kind of signature that a secret is for: the prefix says so, nothing else does."""
    return b"v1a" if secret_bytes(secret).startswith((_PUBLIC, _PRIVATE)) else b"v1"


def shared_key(secret: Secret) -> bytes:
    """Return the HMAC key that a secret spells in base64, with `whsec_` before it or without.

    Raises:
        ConfigurationError: for what is no base64, and for a key of the other kind.
    """
    return _from_base64(_of_hmac(secret).removeprefix(_SHARED))


def shared_or_raw_key(secret: Secret) -> bytes:
    """Return the HMAC key that a `whsec_...` spells in base64; any other secret is the key as it is.

    Raises:
        ConfigurationError: for what is no base64, and for a key of the other kind.
    """
    key = _of_hmac(secret)
    return _from_base64(key.removeprefix(_SHARED)) if key.startswith(_SHARED) else key


class KeyPair:
    """Sign with a `whsk_...`, verify with a `whpk_...`: the Algorithm of `v1a`."""

    def check(self, secret: Secret) -> None:
        """Refuse what is no public key."""
        key = _from_base64(_after(_PUBLIC, secret))
        ed25519("base64").check(key)

    def matches(self, secret: Secret, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Say whether one of *signatures* is that of *message*."""
        key = _from_base64(_after(_PUBLIC, secret))
        return ed25519("base64").matches(key, message, signatures)

    def sign(self, secret: Secret, message: bytes) -> bytes:
        """Return the signature of *message*."""
        key = _from_base64(_after(_PRIVATE, secret))
        return ed25519("base64").sign(key, message)


def _of_hmac(secret: Secret) -> bytes:
    # Everybody may know a public key: as an HMAC key it would let everybody sign.
    key = secret_bytes(secret)
    if key.startswith((_PUBLIC, _PRIVATE)):
        raise ConfigurationError("a key pair signs v1a, and is no shared secret; those start with whsec_")
    return key


def _after(prefix: bytes, secret: Secret) -> bytes:
    key = secret_bytes(secret)
    if not key.startswith(prefix):
        raise ConfigurationError("v1a is verified with a public key, whpk_..., and signed with a private one, whsk_...")
    return key.removeprefix(prefix)


def _from_base64(text: bytes) -> bytes:
    """Return what *text* spells, whether it has its padding or not."""
    bare = text.rstrip(b"=")
    try:
        key = b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except ValueError:
        raise ConfigurationError(
            "a webhook secret is base64 after its prefix; copy it as the sender shows it"
        ) from None
    if not key:
        raise ConfigurationError("a webhook secret is empty after its prefix: anybody could sign with it")
    return key
