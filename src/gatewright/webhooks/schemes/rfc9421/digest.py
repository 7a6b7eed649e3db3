"""Content-Digest (RFC 9530): what stands for the body under a message signature."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode

from gatewright.webhooks.scheme import WebhookRejected
from gatewright.webhooks.schemes.rfc9421.fields import Item, dictionary

__all__ = ["check_digest", "content_digest", "covers_body"]

# The two that RFC 9530 calls active; with one of the others, a body can be found that has the same digest.
_HASHES = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


def content_digest(body: bytes) -> str:
    """Return the header of *body*."""
    return f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"


def covers_body(component: Item) -> bool:
    """Say whether *component* is the digest: all of the field, or the member of an algorithm that is known here."""
    return component.value == "content-digest" and component.parameters.get("key", "sha-256") in _HASHES


def check_digest(header: bytes, body: bytes) -> None:
    """Let pass what has a digest of an algorithm that is known here, and is the body of all that are.

    Raises:
        WebhookRejected: for a body that no such digest stands for, and for one that is another than it says.
    """
    digests = dictionary(header)
    known = [name for name in _HASHES if name in digests]
    if not known:
        raise WebhookRejected("body_not_signed")
    matches: list[bool] = []
    for name in known:
        digest = digests[name]
        if not isinstance(digest, Item) or not isinstance(digest.value, bytes):
            raise WebhookRejected("malformed")
        matches.append(hmac.compare_digest(_HASHES[name](body).digest(), digest.value))
    if not all(matches):
        raise WebhookRejected("body_digest_mismatch")
