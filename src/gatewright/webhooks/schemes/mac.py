"""Signatures with a shared secret: HMAC (RFC 2104)."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gatewright.webhooks.secret import Secret, secret_bytes

__all__ = ["Encoding", "Hash", "Mac"]

Hash = Literal["sha256", "sha384", "sha512", "sha1"]
Encoding = Literal["hex", "base64"]


@dataclass(frozen=True, slots=True)
class Mac:
    """Sign with a shared secret.

    Args:
        hash: the hash; "sha1" only for senders that have nothing better (as a MAC it is not broken: RFC 6194, 3.3).
        encoding: "hex", in either case, or canonical "base64".
        key: makes the key out of a secret, or raises `ConfigurationError`.
    """

    hash: Hash = "sha256"
    encoding: Encoding = "hex"
    key: Callable[[Secret], bytes] = field(default=secret_bytes, repr=False)

    def check(self, secret: Secret) -> None:
        """Refuse a secret that makes no key."""
        self.key(secret)

    def matches(self, secret: Secret, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Say whether one of *signatures* is that of *message*, after a look at each of them.

        Ours is encoded and compared, instead of decoding theirs: no lenient decoder, and nothing that can raise.
        """
        expected = self.sign(secret, message)
        if self.encoding == "hex":
            signatures = [signature.lower() for signature in signatures]
        # The list is complete before it is summed up: each comparison is made, whatever the others said.
        return sum([hmac.compare_digest(expected, signature) for signature in signatures]) > 0

    def sign(self, secret: Secret, message: bytes) -> bytes:
        """Return the MAC of *message* as the sender spells it."""
        digest = hmac.digest(self.key(secret), message, self.hash)
        return digest.hex().encode() if self.encoding == "hex" else b64encode(digest)
