"""An order in which every item has a place of its own: keys, directions, and where the missing values are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gatewright.errors import ConfigurationError

__all__ = ["Key", "beyond", "check_order", "keys_of", "turned"]

_KEY = re.compile(r"(-?)([A-Za-z_][A-Za-z0-9_]*)(?: +nulls +(first|last))?", re.IGNORECASE)
_EXAMPLE = 'order=("-created_at", "id")'


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an order, as `"-created_at nulls first"` says it.

    Args:
        name: the attribute or the column.
        descending: whether the greatest value comes first.
        nulls_first: whether items without a value come before all others. Databases disagree about it, so it never
            depends on the direction: without a word, they come last.
    """

    name: str
    descending: bool = False
    nulls_first: bool = False

    def __str__(self) -> str:
        return f"{'-' * self.descending}{self.name}{' nulls first' * self.nulls_first}"


def keys_of(order: Sequence[str]) -> tuple[Key, ...]:
    """Read an order, the most significant key first.

    Raises:
        ConfigurationError: for what is no key, for one that comes twice, and where there is none.
    """
    if isinstance(order, str) or not order:
        raise ConfigurationError(f"order={order!r}: write a tuple of keys, such as {_EXAMPLE}")
    found = [_KEY.fullmatch(key) for key in order]
    keys = tuple(
        Key(match[2], match[1] == "-", (match[3] or "").lower() == "first") for match in found if match is not None
    )
    if len(keys) < len(order):
        unread = ", ".join(repr(key) for key, match in zip(order, found, strict=True) if match is None)
        raise ConfigurationError(
            f'{unread} is no key: write a name, "-" before it to descend, and " nulls first" or " nulls last" after it'
        )
    if len({key.name for key in keys}) < len(keys):
        raise ConfigurationError(f"order={tuple(order)!r} has a key twice; write each once")
    return keys


def check_order(keys: Sequence[Key], unique: str | Sequence[str]) -> None:
    """Refuse an order in which two items may have the same place: one of them would be skipped, or come twice.

    Args:
        keys: the order.
        unique: the key, or keys, of which no two items have the same value.

    Raises:
        ConfigurationError: where the order does not have them.
    """
    wanted = [unique] if isinstance(unique, str) else [*unique]
    missing = [name for name in wanted if name not in {key.name for key in keys}]
    if missing or not wanted:
        written = [str(key) for key in keys] + (missing or ["id"])
        raise ConfigurationError(
            f"order={tuple(str(key) for key in keys)!r}, unique={unique!r}: items with the same values have no order, "
            f"so a page could skip them; end with what no two items share: order={tuple(written)!r}"
        )


def turned(keys: Sequence[Key]) -> tuple[Key, ...]:
    """Return the order read from its end."""
    return tuple(replace(key, descending=not key.descending, nulls_first=not key.nulls_first) for key in keys)


def beyond(keys: Sequence[Key], one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return 1 where *one* comes after *other* in the order of *keys*, -1 where it comes before, 0 for the same place.

    It is what `sql` says to a database, in Python.
    """
    for key, mine, others in zip(keys, one, other, strict=True):
        if mine is None or others is None:
            if mine is not others:
                return 1 if (mine is None) is not key.nulls_first else -1
        elif mine != others:
            return 1 if (mine > others) is not key.descending else -1
    return 0
