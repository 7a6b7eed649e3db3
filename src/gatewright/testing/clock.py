"""Time at a standstill."""

from __future__ import annotations

__all__ = ["FrozenClock"]


class FrozenClock:
    """A clock that stands still until a test moves it.

    Args:
        now: the time of day, Unix seconds.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._passed = 0.0

    def time(self) -> float:
        """Return seconds since the Unix epoch."""
        return self._now + self._passed

    def monotonic(self) -> float:
        """Return the seconds by which the clock was moved."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._passed += seconds
