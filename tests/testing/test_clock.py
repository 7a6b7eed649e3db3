"""Time at a standstill."""

from __future__ import annotations

from gatewright.testing import FrozenClock


def test_time_passes_when_a_test_says_so() -> None:
    """Both clocks move together, and not by themselves."""
    clock = FrozenClock(1000.0)
    assert (clock.time(), clock.monotonic()) == (1000.0, 0.0)
    clock.advance(1.5)
    clock.advance(60)
    assert (clock.time(), clock.monotonic()) == (1061.5, 61.5)


def test_the_default_is_a_fixed_day() -> None:
    """A test means the same on every day."""
    assert FrozenClock().time() == FrozenClock().time() == 1_800_000_000.0
