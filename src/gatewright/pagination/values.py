"""The values of a position as JSON can hold them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from gatewright.errors import ConfigurationError

__all__ = ["pack", "unpack"]

_MICROSECOND = timedelta(microseconds=1)


class _Kind(NamedTuple):
    tag: str
    type: type
    write: Callable[[Any], str | int]
    read: Callable[[Any], Any]


def _write_duration(length: timedelta) -> int:
    return length // _MICROSECOND


def _read_duration(microseconds: int) -> timedelta:
    return microseconds * _MICROSECOND


# A datetime is a date, so it comes first.
_KINDS = (
    _Kind("datetime", datetime, datetime.isoformat, datetime.fromisoformat),
    _Kind("date", date, date.isoformat, date.fromisoformat),
    _Kind("time", time, time.isoformat, time.fromisoformat),
    _Kind("duration", timedelta, _write_duration, _read_duration),
    _Kind("decimal", Decimal, str, Decimal),
    _Kind("uuid", UUID, str, UUID),
    _Kind("bytes", bytes, bytes.hex, bytes.fromhex),
)
_READ: dict[str, Callable[[Any], Any]] = {kind.tag: kind.read for kind in _KINDS} | {"float": float}


def pack(values: Sequence[object]) -> list[object]:
    """Return values as JSON can hold them, each with its type where JSON has none for it.

    Raises:
        ConfigurationError: for a value that would not come back as it was.
    """
    return [_packed(value) for value in values]


def _packed(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return ["float", repr(value)]
    if isinstance(value, str) and not isinstance(value, Enum) and _is_text(value):
        return value
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, Enum)):
        return value
    for kind in _KINDS:
        if isinstance(value, kind.type):
            return [kind.tag, kind.write(value)]
    raise ConfigurationError(
        f"a cursor cannot hold a value of {type(value).__name__}; order by numbers, texts, dates and times, UUIDs or "
        "bytes, and give an enumeration a column of its values"
    )


def _is_text(value: str) -> bool:
    """Say whether it is Unicode; a surrogate by itself is not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def unpack(packed: Sequence[Any]) -> tuple[object, ...]:
    """Return the values that were packed, equal in value and type.

    Raises:
        ValueError: for what was not packed here.
    """
    try:
        return tuple(_READ[value[0]](value[1]) if isinstance(value, list) else value for value in packed)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
        raise ValueError("not a position of this version") from exc
