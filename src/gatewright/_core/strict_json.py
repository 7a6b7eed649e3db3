"""JSON that says nothing twice, and means what it looks like."""

from __future__ import annotations

import json
import math
from typing import Any, cast

__all__ = ["json_object"]


def json_object(raw: bytes) -> dict[str, Any]:
    """Return a JSON object in which nothing is said twice, and no number and no text is other than it looks.

    Raises:
        ValueError: for other bytes, whatever they are.
    """
    try:
        found = _STRICT.decode(raw.decode())
        if b"\\u" in raw:
            # Half of a surrogate pair is no text; whoever is to write it somewhere would fail.
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("not a strict JSON object") from None
    if not isinstance(found, dict):
        raise ValueError("JSON, but not an object")
    return cast("dict[str, Any]", found)


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("infinite")
    return number


# NaN and Infinity are constants to it; 1e999 is a number, until it is one.
_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_float=_finite, parse_constant=_finite)
