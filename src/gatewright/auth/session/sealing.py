"""Sessions that their owner cannot read: AES-256-GCM. The only module that imports cryptography."""

from __future__ import annotations

import hashlib
import hmac
from binascii import Error
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic_core import CoreSchema, SchemaValidator, to_json

from gatewright._core.tokens import TokenError, base64url, from_base64url

__all__ = ["TokenSealer"]

R = TypeVar("R")

_NONCE = 12
_TAG = 16


class TokenSealer(Generic[R]):
    """Encrypt records, and read them back.

    A token is a nonce and what AES-256-GCM makes of the record's JSON (NIST SP 800-38D), in base64url. The keys are
    derived from the gate's by HMAC-SHA256 over the purpose. With random nonces one key is good for four billion tokens;
    roll it long before.

    Args:
        keys: secrets, newest first: the first one encrypts, all of them decrypt.
        purpose: what the tokens are for; one of another purpose is not accepted.
        schema: what a record looks like.
        entropy: returns n random bytes.
        max_bytes: how long a token may be.
    """

    def __init__(
        self,
        keys: Sequence[bytes],
        purpose: str,
        schema: CoreSchema,
        entropy: Callable[[int], bytes],
        max_bytes: int = 4096,
    ) -> None:
        self._purpose = purpose.encode()
        self._ciphers = [AESGCM(hmac.digest(key, b"sealed " + self._purpose, hashlib.sha256)) for key in keys]
        self._validate = SchemaValidator(schema).validate_json
        self._entropy = entropy
        self._max_bytes = max_bytes

    def sign(self, record: Mapping[str, object]) -> str:
        """Return *record* as a token, encrypted with the newest key."""
        nonce = self._entropy(_NONCE)
        sealed = self._ciphers[0].encrypt(nonce, to_json(record), self._purpose)
        return base64url(nonce + sealed).decode("ascii")

    def read(self, token: bytes) -> R:
        """Return the record of a token.

        Raises:
            TokenError: for anything but a token that `sign` made with one of the keys for this purpose and schema.
        """
        if len(token) > self._max_bytes:
            raise TokenError("too long")
        opened = self._opened(_decoded(token))
        try:
            record: R = self._validate(opened)
        except ValueError:
            raise TokenError("encrypted, but not a record of this version") from None
        return record

    def _opened(self, raw: bytes) -> bytes:
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw[:_NONCE], raw[_NONCE:], self._purpose)
            except InvalidTag:
                continue
        raise TokenError("not encrypted with one of the keys")


def _decoded(token: bytes) -> bytes:
    try:
        raw = from_base64url(token)
    except Error:
        raise TokenError("not encrypted with one of the keys") from None
    # One spelling of each token: a decoder takes several for the same.
    if len(raw) < _NONCE + _TAG or base64url(raw) != token:
        raise TokenError("not encrypted with one of the keys")
    return raw
