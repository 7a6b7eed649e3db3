"""Time, so that a test can stop it."""

from __future__ import annotations

from time import monotonic, time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock"]


class Clock(Protocol):
    """Tell the time of day and the time that passes."""

    def time(self) -> float:
        """Return seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean something."""
        ...


class _SystemClock:
    # Builtins as static attributes: reading the clock costs one C call.
    time = staticmethod(time)
    monotonic = staticmethod(monotonic)

    def __repr__(self) -> str:
        return "SYSTEM_CLOCK"


SYSTEM_CLOCK: Clock = _SystemClock()
