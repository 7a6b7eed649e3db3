"""The senders, by family: what each signs, and how."""

from __future__ import annotations

__all__: list[str] = []
