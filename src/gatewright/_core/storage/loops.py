"""What belongs to an event loop, as connections and tasks do."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import TypeVar

__all__ = ["living"]

T = TypeVar("T")


def living(kept: dict[AbstractEventLoop, T]) -> dict[AbstractEventLoop, T]:
    """Return what loops that are not closed have; what closed ones left behind, nobody can close properly any more."""
    return {loop: one for loop, one in kept.items() if not loop.is_closed()}
