"""Numbers of seconds, as people write them."""

from __future__ import annotations

from math import inf
from typing import TypeGuard

__all__ = ["are_seconds"]


def are_seconds(said: object, least: float = 0.0) -> TypeGuard[float]:
    """Say whether *said* is a number of seconds, *least* or more; neither a `timedelta` nor a bool is one."""
    return isinstance(said, (int, float)) and not isinstance(said, bool) and least <= said < inf
