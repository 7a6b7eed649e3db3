"""The times that senders sign."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from gatewright._core.seconds import are_seconds
from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import WebhookRejected

__all__ = ["Unit", "check_tolerance", "from_digits", "from_iso", "only", "to_digits", "to_iso"]

Unit = Literal["s", "ms"]

_PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 1000}
# Eleven digits of seconds reach the year 5138, and no int() or datetime overflows on them.
_DIGITS: dict[Unit, int] = {"s": 11, "ms": 14}
_ISO = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})")


def only(times: Sequence[bytes]) -> bytes:
    """Return the one time of a delivery.

    Raises:
        WebhookRejected: where there is none, or more than one.
    """
    if not times:
        raise WebhookRejected("timestamp_missing")
    if len(times) > 1:
        raise WebhookRejected("malformed")
    return times[0]


def from_digits(digits: bytes, unit: Unit = "s") -> float:
    """Return Unix seconds.

    Raises:
        WebhookRejected: for anything but ASCII digits of a width that a time has.
    """
    # bytes.isdigit() knows ASCII digits only; int() would take those of every script, signs and underscores.
    if not digits.isdigit() or len(digits) > _DIGITS[unit]:
        raise WebhookRejected("malformed")
    return int(digits) / _PER_SECOND[unit]


def to_digits(now: float, unit: Unit = "s") -> str:
    """Return *now*, in Unix seconds, as a sender writes it."""
    return str(int(now * _PER_SECOND[unit]))


def from_iso(text: bytes) -> float:
    """Return Unix seconds of a time in the way of RFC 3339, section 5.6.

    Raises:
        WebhookRejected: for anything else.
    """
    if not _ISO.fullmatch(text):
        raise WebhookRejected("malformed")
    try:
        return datetime.fromisoformat(text.decode("ascii")).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise WebhookRejected("malformed") from None


def to_iso(now: float, unit: Unit = "s") -> str:
    """Return *now*, in Unix seconds, in the way of RFC 3339, section 5.6, with the digits that *unit* asks for."""
    digits = "milliseconds" if unit == "ms" else "seconds"
    return datetime.fromtimestamp(now, UTC).isoformat(timespec=digits).replace("+00:00", "Z")


def check_tolerance(name: str, tolerance: float | None) -> None:
    """Refuse what is no number of seconds.

    Raises:
        ConfigurationError: with what to write instead.
    """
    if tolerance is not None and not (are_seconds(tolerance) and tolerance):
        raise ConfigurationError(f"{name}: tolerance={tolerance!r}: write seconds, more than 0, such as 300")
