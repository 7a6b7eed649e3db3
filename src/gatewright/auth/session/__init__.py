"""Sessions in a cookie: the signed record, its ends, and who may end it."""

from __future__ import annotations

__all__: list[str] = []
