"""Passwords: how they are hashed, compared, and chosen."""

from __future__ import annotations

__all__: list[str] = []
