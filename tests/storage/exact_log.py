"""What a store is measured by: a log of who paid how much and when, and what follows from it by plain arithmetic.

Nothing here is fast, and nothing is remembered but the log itself; times are whole microseconds, sums are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import ClassVar

from gatewright._core.storage.limit import Limit


@dataclass(eq=False)
class Paid:
    """One charge that was paid: when, how much of it nobody has given back, and what a change needs to find it."""

    at: int
    units: int
    window: int = 0
    full_at: int = 0


@dataclass
class Log:
    """All that one caller paid for one limit.

    Attributes:
        limit: what is counted.
        entries: when, and how much; less than 0 where something was given back.
        kept: what was paid and not given back, by the time at which it was paid, whatever came of giving back.
        returned: how often something was given back.
    """

    limit: Limit
    entries: list[tuple[int, Fraction]] = field(default_factory=list["tuple[int, Fraction]"])
    kept: list[tuple[int, Paid | Fraction]] = field(default_factory=list["tuple[int, Paid | Fraction]"])
    returned: int = 0

    kinds: ClassVar[dict[str, type[Log]]] = {}

    def __init_subclass__(cls, *, counts: str) -> None:
        cls.kinds[counts] = cls

    @property
    def length(self) -> int:
        return self.limit.milliseconds * 1000

    def left(self, now: int) -> int:
        """Return what may be spent; less than 0 where an estimate says that too much was."""
        raise NotImplementedError

    def pay(self, now: int, units: int) -> Paid:
        paid = Paid(now, units)
        self._write(now, Fraction(units))
        self.kept.append((now, paid))
        return paid

    def pay_what_fits(self, now: int, units: int) -> None:
        """Pay for a call that is refused."""
        raise NotImplementedError

    def change(self, now: int, paid: Paid, by: int) -> None:
        """Add to what one charge took, or give some of it back."""
        self.returned += by < 0
        changed = self._change(now, paid, by)
        if by < 0:
            paid.units += by
        elif changed:
            self.kept.append((now, changed))

    def forget(self) -> None:
        self.entries.clear()
        self.kept.clear()

    def holds(self) -> bool:
        """Return whether never more was paid than the limit says, in any true window."""
        raise NotImplementedError

    def _change(self, now: int, paid: Paid, by: int) -> Fraction:
        raise NotImplementedError

    def _write(self, at: int, units: Fraction) -> None:
        self.entries.append((at, units))

    def _spans(self) -> Iterator[tuple[int, Fraction]]:
        """Return how long each true interval lasts that begins and ends with a payment, and what was kept of it."""
        kept = sorted(((at, paid) for at, paid in self.kept), key=lambda one: one[0])
        for first, (start, _) in enumerate(kept):
            total = Fraction(0)
            for at, paid in kept[first:]:
                total += paid.units if isinstance(paid, Paid) else paid
                yield at - start, total


class FixedLog(Log, counts="fixed"):
    """Windows begin with the first payment that lies in none, and one of which all was given back never began."""

    def left(self, now: int) -> int:
        return self.limit.amount - int(self._window(now)[1])

    def pay(self, now: int, units: int) -> Paid:
        paid = super().pay(now, units)
        paid.window = self._window(now)[0]
        return paid

    def pay_what_fits(self, now: int, units: int) -> None:
        self._write(now, Fraction(self.left(now)))

    def holds(self) -> bool:
        # Each entry ends a window so far, or lies in one.
        return all(self.left(at) >= 0 for at, _ in self.entries)

    def _change(self, now: int, paid: Paid, by: int) -> Fraction:
        start, used = self._window(now)
        if start != paid.window or not used:
            return Fraction(0)
        changed = min(max(used + by, Fraction(0)), Fraction(self.limit.amount)) - used
        self._write(now, changed)
        return changed

    def _window(self, now: int) -> tuple[int, Fraction]:
        start, used = now, Fraction(0)
        for at, units in self.entries:
            if at > now:
                break
            if not used or at - start >= self.length:
                start, used = at, Fraction(0)
            used += units
        return (start, used) if used and now - start < self.length else (now, Fraction(0))


class SlidingLog(Log, counts="sliding"):
    """Windows begin at whole multiples of their length; the one before counts by the part that is still covered."""

    def left(self, now: int) -> int:
        index, gone = divmod(now, self.length)
        covered = self._in(index - 1) * (1 - Fraction(gone, self.length))
        return self.limit.amount - int(self._in(index)) - ceil(covered)

    def pay_what_fits(self, now: int, units: int) -> None:
        self._write(now, min(Fraction(units), self.limit.amount - self._in(now // self.length)))

    def holds(self) -> bool:
        windows = {at // self.length for at, _ in self.entries}
        most = 2 * self.limit.amount
        return all(0 <= self._in(window) <= self.limit.amount for window in windows) and all(
            total <= most for length, total in self._spans() if length < self.length
        )

    def _change(self, now: int, paid: Paid, by: int) -> Fraction:
        window = paid.at // self.length
        if now // self.length - window > 1:
            return Fraction(0)
        used = self._in(window)
        changed = min(max(used + by, Fraction(0)), Fraction(self.limit.amount)) - used
        self._write(paid.at, changed)
        # It counts where it was paid.
        return changed if window == now // self.length else Fraction(0)

    def _in(self, window: int) -> Fraction:
        return sum((units for at, units in self.entries if at // self.length == window), Fraction(0))


class GcraLog(Log, counts="gcra"):
    """An allowance of a whole burst refills evenly; entries say how long what was paid takes to refill."""

    @property
    def interval(self) -> Fraction:
        return Fraction(self.length, self.limit.amount)

    def left(self, now: int) -> int:
        return floor(self.limit.burst - self._owed(now) / self.interval)

    def pay(self, now: int, units: int) -> Paid:
        paid = super().pay(now, units)
        paid.full_at = now + ceil(self._owed(now))
        return paid

    def pay_what_fits(self, now: int, units: int) -> None:
        room = self.limit.burst * self.interval - self._owed(now)
        self.entries.append((now, room))
        self.kept.append((now, room / self.interval))

    def holds(self) -> bool:
        # What is given back is known to a microsecond.
        grace = Fraction(self.returned) / self.interval
        return all(total <= self.limit.burst + length / self.interval + grace for length, total in self._spans())

    def _change(self, now: int, paid: Paid, by: int) -> Fraction:
        owed, brim = self._owed(now), self.limit.burst * self.interval
        # What has refilled since is there already.
        wanted = by * self.interval if by > 0 else max(by * self.interval, Fraction(min(0, now - paid.full_at)))
        changed = min(max(owed + wanted, Fraction(0)), brim) - owed
        self.entries.append((now, changed))
        return changed / self.interval

    def _write(self, at: int, units: Fraction) -> None:
        self.entries.append((at, units * self.interval))

    def _owed(self, now: int) -> Fraction:
        """Return how long it takes until all is there: the most that any interval up to now has overdrawn."""
        most = total = Fraction(0)
        for at, units in reversed([entry for entry in self.entries if entry[0] <= now]):
            total += units
            most = max(most, total - (now - at))
        return most


def log_of(limit: Limit) -> Log:
    """Return an empty log for a limit."""
    return Log.kinds[limit.strategy](limit)
