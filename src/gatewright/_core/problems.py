"""Kinds of problems that the IANA has registered (draft-ietf-httpapi-ratelimit-headers-10), for problem details."""

from __future__ import annotations

__all__ = ["ABNORMAL_USAGE", "QUOTA_EXCEEDED", "REDUCED_CAPACITY"]

_TYPES = "https://iana.org/assignments/http-problem-types"

QUOTA_EXCEEDED = f"{_TYPES}#quota-exceeded"
REDUCED_CAPACITY = f"{_TYPES}#temporary-reduced-capacity"
ABNORMAL_USAGE = f"{_TYPES}#abnormal-usage-detected"
