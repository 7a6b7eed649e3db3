"""Request ids: taken over from the client where they are well formed, made otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["RequestIds"]

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_POOL = 4096
_SIZE = 16


class RequestIds:
    """Make request ids of 128 random bits, drawing entropy for many at once."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._pool = b""
        self._at = 0

    def take(self, offered: bytes | None) -> str:
        """Return *offered* where it is `[A-Za-z0-9._-]{1,128}`, else a new id."""
        if offered is not None and _WELL_FORMED.fullmatch(offered):
            return offered.decode("ascii")
        at = self._at
        if at >= len(self._pool):
            self._pool = self._entropy(_POOL)
            at = 0
        self._at = at + _SIZE
        return self._pool[at : at + _SIZE].hex()
