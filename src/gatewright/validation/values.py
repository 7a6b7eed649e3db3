"""What inputs and schemas are made of: objects and arrays. Told apart here, so that type checkers know it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

__all__ = ["is_array", "is_object"]


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Say whether *value* has names."""
    return isinstance(value, Mapping)


def is_array(value: object) -> TypeGuard[Sequence[Any]]:
    """Say whether *value* is a list of values, which a text is not."""
    return isinstance(value, (list, tuple))
