"""What our API keys look like: `{prefix}_{id}_{secret}{checksum}`.

The prefix tells people and secret scanners whose key it is, the id is public and says which, and the checksum lets
typos and junk be refused before anything is looked up, as in GitHub's tokens
(https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/).
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from zlib import crc32

from gatewright.errors import ConfigurationError

__all__ = ["FoundKey", "KeyFormat", "NewApiKey", "new_api_key"]

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PREFIX = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Bytes of entropy, and the base62 characters that hold them: 62**17 > 2**96, 62**43 > 2**256, 62**6 > 2**32.
_ID, _ID_CHARACTERS = 12, 17
_SECRET, _SECRET_CHARACTERS = 32, 43
_CHECKSUM_CHARACTERS = 6


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made: show the text once, keep the rest.

    Args:
        text: the whole key, for its owner; kept nowhere.
        id: the public part, to look the key up by.
        secret_sha256: what to keep of the secret, in hexadecimal.
    """

    text: str = field(repr=False)
    id: str
    secret_sha256: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key in a request: well-formed, and not yet known.

    Args:
        id: the public part.
        secret_sha256: the hash of the part that is not.
    """

    id: str
    secret_sha256: str = field(repr=False)


class KeyFormat:
    """Recognise the keys of one prefix.

    Args:
        prefix: lower-case words and digits with `_` between them, such as "ck_live".

    Raises:
        ConfigurationError: for another prefix.
    """

    __slots__ = ("_key", "prefix")

    def __init__(self, prefix: str) -> None:
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                f'prefix={prefix!r}: write lower-case words with _ between them, such as "ck_live"'
            )
        self.prefix: str = prefix
        base62 = "[0-9A-Za-z]"
        id_, secret, checksum = (
            f"({base62}{{{size}}})" for size in (_ID_CHARACTERS, _SECRET_CHARACTERS, _CHECKSUM_CHARACTERS)
        )
        self._key = re.compile(f"({prefix}_{id_}_{secret}){checksum}".encode("ascii"))

    def read(self, text: bytes) -> FoundKey | None:
        """Return the parts of a key; None for what cannot be one of ours."""
        match = self._key.fullmatch(text)
        if match is None:
            return None
        signed, key_id, secret, checksum = match.groups()
        if _checksum(signed) != checksum:
            return None
        return FoundKey(key_id.decode("ascii"), sha256(secret).hexdigest())


def new_api_key(prefix: str, *, entropy: Callable[[int], bytes] = os.urandom) -> NewApiKey:
    """Make a key with 256 bits of secret, and a public id of 96.

    Args:
        prefix: lower-case words and digits with `_` between them, such as "ck_live".
        entropy: returns n random bytes from a generator fit for cryptography.

    Raises:
        ConfigurationError: for another prefix.
    """
    prefix = KeyFormat(prefix).prefix
    key_id = _base62(entropy(_ID), _ID_CHARACTERS)
    secret = _base62(entropy(_SECRET), _SECRET_CHARACTERS)
    signed = f"{prefix}_{key_id}_{secret}".encode("ascii")
    text = (signed + _checksum(signed)).decode("ascii")
    return NewApiKey(text, key_id, sha256(secret.encode("ascii")).hexdigest())


def _checksum(text: bytes) -> bytes:
    return _base62(crc32(text).to_bytes(4, "big"), _CHECKSUM_CHARACTERS).encode("ascii")


def _base62(number: bytes, characters: int) -> str:
    left, written = int.from_bytes(number, "big"), ""
    for _ in range(characters):
        left, digit = divmod(left, 62)
        written = _DIGITS[digit] + written
    return written
