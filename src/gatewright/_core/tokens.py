"""Signed tokens: the format and the keys of itsdangerous, read strictly. The only module that imports it."""

from __future__ import annotations

import hashlib
import hmac
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from itsdangerous import Signer, want_bytes
from itsdangerous.signer import SigningAlgorithm
from pydantic_core import CoreSchema, SchemaValidator, to_json

__all__ = ["TokenError", "TokenSigner", "base64url", "from_base64url"]

R = TypeVar("R")

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


class TokenError(ValueError):
    """Say why a token is refused, in words that do not quote it."""


class TokenSigner(Generic[R]):
    """Sign records, and read them back.

    A token is what `itsdangerous.URLSafeSerializer(key, salt=purpose)` makes with SHA-256 and `key_derivation="hmac"`:
    the record as JSON, a dot, the signature, both in base64url. What it lacks there is added here: one spelling
    of each token, a cap, a schema, and no time but what the record says itself.

    Args:
        keys: secrets, newest first: the first one signs, all of them verify.
        purpose: what the tokens are for; one of another purpose is not accepted.
        schema: what a record looks like.
        max_bytes: how long a token may be.
    """

    def __init__(self, keys: Sequence[bytes], purpose: str, schema: CoreSchema, max_bytes: int = 4096) -> None:
        self._signer = _StrictSigner(keys, purpose)
        self._validate = SchemaValidator(schema).validate_json
        self._max_bytes = max_bytes

    def sign(self, record: Mapping[str, object]) -> str:
        """Return *record* as a token, signed with the newest key."""
        return self._signer.sign(base64url(to_json(record))).decode("ascii")

    def read(self, token: bytes) -> R:
        """Return the record of a token.

        Raises:
            TokenError: for anything but a token that `sign` made with one of the keys for this purpose and schema.
        """
        if len(token) > self._max_bytes:
            raise TokenError("too long")
        payload, _, signature = token.rpartition(b".")
        if not self._signer.verify_signature(payload, signature):
            raise TokenError("not signed with one of the keys")
        try:
            record: R = self._validate(from_base64url(payload))
        except ValueError:
            raise TokenError("signed, but not a record of this version") from None
        return record


def base64url(raw: bytes) -> bytes:
    """Return *raw* in base64url without padding (RFC 4648, section 5)."""
    return b2a_base64(raw, newline=False).rstrip(b"=").translate(_TO_URL)


def from_base64url(text: bytes) -> bytes:
    """Return what *text* spells in base64url without padding; other spellings of the same are taken, too.

    Raises:
        ValueError: for what spells nothing.
    """
    # More padding than needed is no error.
    return a2b_base64(text.translate(_FROM_URL) + b"==")


class _PreparedHmac(SigningAlgorithm):
    """HMAC-SHA256 with keys that were absorbed once; a copy of that state costs less than the key again."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._absorbed = {key: hmac.new(key, digestmod=hashlib.sha256) for key in keys}

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        mac = self._absorbed[key].copy()
        mac.update(value)
        return mac.digest()


class _StrictSigner(Signer):
    """The signer of itsdangerous, with keys that are derived when it is made."""

    def __init__(self, keys: Sequence[bytes], purpose: str) -> None:
        # Its list is oldest first. Passed in the other order, it would sign with the key that is about to go.
        stock = Signer([*reversed(keys)], salt=purpose, key_derivation="hmac", digest_method=hashlib.sha256)
        derived = [stock.derive_key(key) for key in stock.secret_keys]
        super().__init__(derived, salt=purpose, key_derivation="none", algorithm=_PreparedHmac(derived))

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        """Compare signatures as text: a decoder takes several spellings of one signature for the same.

        All keys are tried, whichever fits, so that the time does not tell how old a token's key is.
        """
        text, given, fits = want_bytes(value), want_bytes(sig), False
        for key in self.secret_keys:
            fits |= hmac.compare_digest(given, base64url(self.algorithm.get_signature(key, text)))
        return fits
