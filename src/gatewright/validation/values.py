"""What inputs and schemas are made of: objects and arrays. Told apart here, so that type checkers know it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

__all__ = ["Rows", "is_array", "is_object"]


class Rows(list[Any]):
    """A list whose rows the client numbered: after one was taken out, `items.0` and `items.2` are left.

    Attributes:
        names: the number of each row, as the client wrote it.
    """

    def __init__(self, rows: Mapping[str, Any]) -> None:
        super().__init__(rows.values())
        self.names: tuple[str, ...] = tuple(rows)


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Say whether *value* has names."""
    return isinstance(value, Mapping)


def is_array(value: object) -> TypeGuard[Sequence[Any]]:
    """Say whether *value* is a list of values, which a text is not."""
    return isinstance(value, (list, tuple))
