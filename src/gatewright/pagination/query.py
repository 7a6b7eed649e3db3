"""What the query of a request says about pages."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

__all__ = ["INTEGER", "Details", "asked", "decoded", "list_of", "number"]

Details = dict[str, list[str]]

_ONCE = "Give this once only"
_COUNT = "Input should be a whole number of 1 or more"
# One digit more than any bound here has: what is longer is over every bound, and never becomes a huge int.
_DIGITS = 20

INTEGER: Mapping[str, object] = {"type": "integer", "minimum": 1}
"""The JSON schema of a number that is read here."""


def decoded(text: bytes) -> bytes:
    """Undo the form encoding of a query's name or value."""
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text


def asked(query: bytes, names: Collection[bytes], details: Details) -> dict[bytes, bytes]:
    """Return the values of those parameters that are there; note which of them is there twice."""
    given: dict[bytes, bytes] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        name = decoded(name)
        if name in names:
            if name in given:
                details[name.decode("ascii")] = [_ONCE]
            given[name] = decoded(value)
    return given


def number(name: str, given: dict[bytes, bytes], default: int, details: Details) -> int:
    """Return a number from 1, in ASCII digits; otherwise note what is wrong with it, and return 1."""
    value = given.get(name.encode("ascii"))
    if value is None:
        return default
    digits = value.lstrip(b"0")
    if digits.isdigit():
        return int(digits[:_DIGITS])
    details.setdefault(name, [_COUNT])
    return 1


def list_of(scope: Scope, order: Sequence[object], ours: frozenset[bytes]) -> str:
    """Return what makes the list of a request the one that it is: its path, its order, and what it is filtered by.

    The parameters of the query count in any order, each as often as it is there; those in *ours* do not count.
    """
    query: bytes = scope.get("query_string", b"")
    pairs = (pair.partition(b"=") for pair in query.split(b"&") if pair)
    filters = sorted((decoded(name), decoded(value)) for name, _, value in pairs)
    kept = chain.from_iterable(pair for pair in filters if pair[0] not in ours)
    digest = hashlib.sha256()
    for part in (scope["path"].encode(errors="surrogatepass"), ",".join(map(str, order)).encode(), *kept):
        # With its length, so that no two lists read the same.
        digest.update(b"%d:%b" % (len(part), part))
    return digest.hexdigest()[:32]
