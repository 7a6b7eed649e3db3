"""Which form of error a client prefers."""

from __future__ import annotations

__all__ = ["prefers_problem"]


def prefers_problem(accept: bytes | None) -> bool:
    """Say whether `application/problem+json` is named with a higher weight than JSON (RFC 9110, section 12.5.1)."""
    if accept is None or b"problem+json" not in accept:
        return False
    weights = {b"application/problem+json": 0.0, b"application/json": 0.0}
    for item in accept[:1024].lower().split(b","):
        kind, *parameters = (part.strip() for part in item.split(b";"))
        if kind in weights:
            weights[kind] = max((_weight(part) for part in parameters if part.startswith(b"q=")), default=1.0)
    return weights[b"application/problem+json"] > weights[b"application/json"]


def _weight(parameter: bytes) -> float:
    digits = parameter[2:]
    if len(digits) > 5 or not digits.replace(b".", b"", 1).isdigit():
        return 0.0
    return min(float(digits), 1.0)
