"""How limits are counted in memory: a shelf for each limit, in two generations.

What is counted is written to the fresh generation. One length later that becomes the stale one, and one length after
that everything in it has ended, and it goes: that is all the expiry there is.

A generation lies in drawers, so that the event loop never waits for one big dictionary: with a million keys, to grow
or to drop it takes tens of milliseconds. What has ended goes a drawer at a time, with the next calls.

A key is a hash (SipHash, keyed by the process), so that a long name takes no more room than a short one. Times are
whole microseconds, and nothing is rounded but what is said, so that what is waited for is reached exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from gatewright._core.storage.contract import Standing
from gatewright._core.storage.limit import Limit

__all__ = ["AnyShelf", "shelf_for"]

_COARSE = 1024
_DRAWERS = 64
_SECOND = 1_000_000
# Enough for the largest amount.
_SPENT_BITS = 50
_SPENT = (1 << _SPENT_BITS) - 1

Drawer = dict[int, int]


class Shelf(ABC):
    """Hold what is counted for one limit.

    Args:
        limit: how much there is to spend.
        length: how long what is written stays of use, in microseconds.
        max_keys: how many callers are told apart; while there are more, newcomers share coarse buckets.
    """

    __slots__ = ("_amount", "_ended", "_fresh", "_length", "_most", "_stale", "_turns_at")

    def __init__(self, limit: Limit, length: int, max_keys: int) -> None:
        self._amount = limit.amount
        self._length = length
        self._most = -(-max_keys // _DRAWERS)
        self._turns_at = 0
        self._fresh: list[Drawer] = _drawers()
        self._stale: list[Drawer] = _drawers()
        self._ended: list[Drawer] = []

    def __len__(self) -> int:
        return sum(map(len, self._fresh)) + sum(map(len, self._stale))

    @abstractmethod
    def spend(self, scope: str, who: str, cost: int, now: int, force: bool = False) -> Standing:
        """Take the cost where it is left; *force* takes what there is where it is not."""

    @abstractmethod
    def look(self, scope: str, who: str, cost: int, now: int) -> Standing:
        """Return how a bucket stands, and whether it would pay the cost; write nothing."""

    @abstractmethod
    def adjust(self, scope: str, who: str, by: int, mark: float, now: int) -> None:
        """Change what was spent in the window with this mark, within 0 and the capacity."""

    def forget(self, scope: str, who: str, now: int) -> None:
        """Drop what a caller spent."""
        key, fresh, stale = self._place(scope, who, now)
        fresh.pop(key, None)
        stale.pop(key, None)

    def _place(self, scope: str, who: str, now: int) -> tuple[int, Drawer, Drawer]:
        """Return a caller's key, and the drawers that it may lie in; a coarse key where there are too many callers."""
        if now >= self._turns_at or self._ended:
            self._turn(now)
        key = hash((scope, who))
        at = key % _DRAWERS
        fresh, stale = self._fresh[at], self._stale[at]
        if key not in fresh and key not in stale and len(fresh) + len(stale) >= self._most:
            key = hash((scope, key % _COARSE))
            at = key % _DRAWERS
            fresh, stale = self._fresh[at], self._stale[at]
        return key, fresh, stale

    def _turn(self, now: int) -> None:
        """Begin a generation where it is time to, at a whole multiple of the length; let go of what has ended."""
        if now >= self._turns_at:
            in_time = now < self._turns_at + self._length
            self._ended += filter(None, self._stale if in_time else self._stale + self._fresh)
            self._stale = self._fresh if in_time else _drawers()
            self._fresh = _drawers()
            self._turns_at = (now // self._length + 1) * self._length
        # More than one, because a call may fill one.
        del self._ended[:2]


def _drawers() -> list[Drawer]:
    return [{} for _ in range(_DRAWERS)]


def _put(key: int, value: int, into: Drawer, *others: Drawer) -> None:
    """Write a value where it is to be found; nothing, where there is nothing to remember."""
    for drawer in (into, *others):
        drawer.pop(key, None)
    if value:
        into[key] = value


class _Fixed(Shelf):
    """Count in windows that start with a caller's first charge.

    A window is its start and what was spent, in one number: a pair would take twice the room, and more time.
    """

    __slots__ = ()

    def __init__(self, limit: Limit, max_keys: int) -> None:
        super().__init__(limit, limit.milliseconds * 1000, max_keys)

    def spend(self, scope: str, who: str, cost: int, now: int, force: bool = False) -> Standing:
        key = hash((scope, who))
        fresh = self._fresh[key % _DRAWERS]
        window = fresh.get(key, 0)
        started_at = window >> _SPENT_BITS
        if now - started_at >= self._length or not window:
            key, fresh, stale = self._place(scope, who, now)
            window = self._window(key, fresh, stale, now)
            started_at = window >> _SPENT_BITS
            stale.pop(key, None)
        left = self._amount - (window & _SPENT) - cost
        seconds = (started_at + self._length - now) / _SECOND
        if left >= 0:
            fresh[key] = window + cost
            return True, left, seconds, started_at
        if force:
            window, left = window + left + cost, -cost
        fresh[key] = window
        return False, left + cost, seconds, started_at

    def look(self, scope: str, who: str, cost: int, now: int) -> Standing:
        window = self._window(*self._place(scope, who, now), now)
        started_at, spent = window >> _SPENT_BITS, window & _SPENT
        left = self._amount - spent
        seconds = (started_at + self._length - now) / _SECOND if spent else 0.0
        return cost <= left, left, seconds, started_at

    def adjust(self, scope: str, who: str, by: int, mark: float, now: int) -> None:
        key, fresh, stale = self._place(scope, who, now)
        window = self._window(key, fresh, stale, now)
        started_at, spent = window >> _SPENT_BITS, window & _SPENT
        if started_at == mark and spent:
            change = min(max(by, -spent), self._amount - spent)
            _put(key, window + change if spent + change else 0, fresh, stale)

    def _window(self, key: int, fresh: Drawer, stale: Drawer, now: int) -> int:
        """Return a window, which may be one that has not started."""
        window = fresh.get(key) or stale.get(key, 0)
        ended = now - (window >> _SPENT_BITS) >= self._length
        return now << _SPENT_BITS if ended or not window else window


class _Sliding(Shelf):
    """Count in the present window, and in the one before by the part of it that a sliding window still covers.

    The windows are the generations, the same for all callers. The estimate takes the calls of the window before for
    evenly spread: a caller who sent them all at its end may get up to twice the amount in a true window.
    """

    __slots__ = ()

    def __init__(self, limit: Limit, max_keys: int) -> None:
        super().__init__(limit, limit.milliseconds * 1000, max_keys)

    def spend(self, scope: str, who: str, cost: int, now: int, force: bool = False) -> Standing:
        key, fresh, stale = self._place(scope, who, now)
        present, before = fresh.get(key, 0), stale.get(key, 0)
        standing = self._standing(present, before, cost, now)
        allowed, left, _, mark = standing
        if allowed:
            fresh[key] = present + cost
            return True, left - cost, (mark + self._length - now) / _SECOND, mark
        if force:
            present = fresh[key] = min(present + cost, self._amount)
            return self._standing(present, before, cost, now)
        return standing

    def look(self, scope: str, who: str, cost: int, now: int) -> Standing:
        key, fresh, stale = self._place(scope, who, now)
        return self._standing(fresh.get(key, 0), stale.get(key, 0), cost, now)

    def adjust(self, scope: str, who: str, by: int, mark: float, now: int) -> None:
        key, fresh, stale = self._place(scope, who, now)
        window = {self._turns_at: fresh, self._turns_at - self._length: stale}.get(int(mark))
        if window is not None:
            _put(key, min(max(window.get(key, 0) + by, 0), self._amount), window)

    def _standing(self, present: int, before: int, cost: int, now: int) -> Standing:
        mark = self._turns_at
        rest = mark - now
        left = self._amount - present - -(-before * rest // self._length)
        if cost > left:
            return False, max(left, 0), self._wait(self._amount - cost, present, before, rest) / _SECOND, mark
        until_full = rest + self._length if present else rest if before else 0
        return True, left, until_full / _SECOND, mark

    def _wait(self, room: int, present: int, before: int, rest: int) -> int:
        """Return the microseconds until no more than *room* is counted."""
        if present <= room:
            # Within this window, as what is left of the one before shrinks.
            return rest - (room - present) * self._length // before
        return rest + self._length - room * self._length // present


class _Gcra(Shelf):
    """Count as an allowance that refills evenly (GCRA, ITU-T I.371): one number is all there is to a caller.

    It is the time at which the allowance will be full again, as a multiple of 1/amount of a microsecond: so each
    call takes exactly the length of a window, and fractions, which would add up, do not occur.
    """

    __slots__ = ("_brim", "_window")

    def __init__(self, limit: Limit, max_keys: int) -> None:
        self._window = limit.milliseconds * 1000
        self._brim = limit.burst * self._window
        super().__init__(limit, -(-self._brim // limit.amount), max_keys)

    def spend(self, scope: str, who: str, cost: int, now: int, force: bool = False) -> Standing:
        key, fresh, stale = self._place(scope, who, now)
        present = now * self._amount
        full_at = fresh.get(key) or stale.pop(key, present)
        if full_at < present:
            full_at = present
        paid = full_at + cost * self._window
        left = (present + self._brim - paid) // self._window
        if left >= 0:
            fresh[key] = paid
            microseconds = -((present - paid) // self._amount)
            return True, left, microseconds / _SECOND, now + microseconds
        if force:
            full_at = present + self._brim
        fresh[key] = full_at
        return self._standing(full_at - present, cost, now)

    def look(self, scope: str, who: str, cost: int, now: int) -> Standing:
        return self._standing(self._owed(*self._place(scope, who, now), now), cost, now)

    def adjust(self, scope: str, who: str, by: int, mark: float, now: int) -> None:
        key, fresh, stale = self._place(scope, who, now)
        owed = self._owed(key, fresh, stale, now)
        # What has refilled since cannot be given back once more.
        change = max(by * self._window, min(0, (now - int(mark)) * self._amount))
        owed = min(max(owed + change, 0), self._brim)
        _put(key, owed and now * self._amount + owed, fresh, stale)

    def _owed(self, key: int, fresh: Drawer, stale: Drawer, now: int) -> int:
        """Return what has not refilled yet."""
        full_at = fresh.get(key) or stale.get(key, 0)
        return max(full_at - now * self._amount, 0)

    def _standing(self, owed: int, cost: int, now: int) -> Standing:
        left = (self._brim - owed) // self._window
        missing = owed + cost * self._window - self._brim
        until = -(-(owed if missing <= 0 else missing) // self._amount)
        return missing <= 0, left, until / _SECOND, now + -(-owed // self._amount)


AnyShelf = _Fixed | _Sliding | _Gcra


def shelf_for(limit: Limit, max_keys: int) -> AnyShelf:
    """Return a shelf that counts as the limit says."""
    if limit.strategy == "gcra":
        return _Gcra(limit, max_keys)
    return _Fixed(limit, max_keys) if limit.strategy == "fixed" else _Sliding(limit, max_keys)
