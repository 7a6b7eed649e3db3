"""Idempotency keys: what a client asks for twice is done once, and answered twice."""

from __future__ import annotations

from gatewright.idempotency.guard import Idempotent, idempotent

__all__ = ["Idempotent", "idempotent"]
