"""Which form of error a client prefers."""

from __future__ import annotations

__all__ = ["prefers_pages", "prefers_problem", "welcomes_pages"]

_PROBLEM = b"application/problem+json"
_PAGES = (b"text/html", b"application/xhtml+xml")
# What speaks for the envelope, the most specific first.
_JSON = (b"application/json", b"application/*", b"*/*")


def prefers_problem(accept: bytes | None) -> bool:
    """Say whether `application/problem+json` is named with a higher weight than JSON (RFC 9110, section 12.5.1)."""
    if accept is None:
        return False
    accept = accept[:1024].lower()
    if _PROBLEM not in accept:
        return False
    weights = _weights(accept)
    json = next((weights[kind] for kind in _JSON if kind in weights), 0.0)
    return weights.get(_PROBLEM, 0.0) > json


def prefers_pages(accept: bytes | None) -> bool:
    """Say whether HTML is named, with a higher weight than JSON where that is named, too; `*/*` names nothing."""
    weights = _weights((accept or b"")[:1024].lower())
    page = max(weights.get(kind, 0.0) for kind in _PAGES)
    return page > max(weights.get(kind, 0.0) for kind in (b"application/json", _PROBLEM))


def _weights(accept: bytes) -> dict[bytes, float]:
    weights: dict[bytes, float] = {}
    for item in accept.split(b","):
        kind, *parameters = (part.strip() for part in item.split(b";"))
        weights[kind] = max((_weight(part) for part in parameters if part.startswith(b"q=")), default=1.0)
    return weights


def _weight(parameter: bytes) -> float:
    digits = parameter[2:]
    if len(digits) > 5 or not digits.replace(b".", b"", 1).isdigit():
        return 0.0
    return min(float(digits), 1.0)


def welcomes_pages(accept: bytes | None) -> bool:
    """Say whether HTML is named, and not refused by a weight of 0; `*/*` alone is what programs send."""
    for item in (accept or b"")[:1024].lower().split(b","):
        kind, *parameters = (part.strip() for part in item.split(b";"))
        if kind in (b"text/html", b"application/xhtml+xml"):
            return all(_weight(part) > 0 for part in parameters if part.startswith(b"q="))
    return False
