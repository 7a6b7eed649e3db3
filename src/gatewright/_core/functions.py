"""Functions that users bring along."""

from __future__ import annotations

import inspect
from collections.abc import Callable

__all__ = ["is_async"]


def is_async(function: Callable[..., object]) -> bool:
    """Say whether calling *function*, or the object with a `__call__`, returns something to await."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004  # a method is looked at, not whether there is one
