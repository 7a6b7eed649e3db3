"""What is kept of an answer, and how it is written down."""

from __future__ import annotations

from collections.abc import Set

from pydantic_core import from_json, to_json

from gatewright._core.outcome import Outcome, RawHeaders

__all__ = ["HEADERS", "NO_ANSWER", "belongs_to_one_answer", "is_final", "read", "write"]

_VERSION = b"1"
NO_ANSWER = b""
"""Kept where the work was done, and its answer cannot be repeated."""

HEADERS = frozenset(
    {
        b"cache-control",
        b"content-digest",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-location",
        b"content-type",
        b"etag",
        b"expires",
        b"last-modified",
        b"link",
        b"location",
        b"repr-digest",
        b"retry-after",
        b"vary",
    }
)
"""The headers that say something of the answer, and not of the moment, the connection or the client."""

# 307 and 308 send the same request elsewhere, 401 asks who calls, the others say: not now. Nothing was done, or the
# client is meant to ask again.
_PASSING = frozenset({307, 308, 401, 408, 409, 423, 425, 429})
_EMPTY = frozenset({204, 304})

_OWN = frozenset(
    {
        b"connection",
        b"content-length",
        b"date",
        b"idempotent-replayed",
        b"keep-alive",
        b"proxy-authenticate",
        b"server",
        b"set-cookie",
        b"set-cookie2",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"www-authenticate",
        b"x-request-id",
    }
)


def is_final(status: int) -> bool:
    """Say whether a retry is to get the same answer."""
    return 200 <= status < 500 and status not in _PASSING


def belongs_to_one_answer(name: bytes) -> bool:
    """Say whether a header is never to be repeated."""
    return name in _OWN or name.startswith((b"ratelimit", b"x-ratelimit"))


def write(allowed: Set[bytes], status: int, headers: RawHeaders, body: bytes) -> bytes:
    """Return an answer as one record: a version, a line of JSON, and the body as it is."""
    kept = [
        (name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in headers if name.lower() in allowed
    ]
    return _VERSION + to_json((status, kept)) + b"\n" + body


def read(record: bytes) -> Outcome | None:
    """Return the answer of a record; None for one without, and for what another version wrote."""
    head, found, body = record.partition(b"\n")
    if not found or not head.startswith(_VERSION):
        return None
    try:
        status, pairs = from_json(head[len(_VERSION) :])
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    except (ValueError, TypeError, AttributeError):
        return None
    if type(status) is not int or not is_final(status):
        return None
    if status not in _EMPTY:
        headers.append((b"content-length", b"%d" % len(body)))
    return Outcome(status, [*headers, (b"idempotent-replayed", b"true")], body)
