"""HTTP Message Signatures (RFC 9421) over a body that Content-Digest stands for (RFC 9530)."""

from __future__ import annotations

__all__: list[str] = []
