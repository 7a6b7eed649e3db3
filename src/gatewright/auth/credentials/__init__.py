"""Credentials that are looked up: tokens, keys, names with passwords."""

from __future__ import annotations

__all__: list[str] = []
