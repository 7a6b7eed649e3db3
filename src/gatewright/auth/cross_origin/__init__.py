"""Cross-origin protection: a browser sends credentials by itself, and another site can make it do so."""

from __future__ import annotations

__all__: list[str] = []
