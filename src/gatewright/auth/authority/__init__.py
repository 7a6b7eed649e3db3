"""What a caller may do: requirements, ownership, and routes that nobody decorated."""

from __future__ import annotations

__all__: list[str] = []
