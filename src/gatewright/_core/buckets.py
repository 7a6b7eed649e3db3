"""What limits are counted in: charges and standings, the contract of a store, and the store in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright.errors import ConfigurationError

__all__ = ["Charge", "Hit", "Limit", "MemoryStore", "Standing", "Store", "check_url"]

_UNITS = {31_104_000: "year", 2_592_000: "month", 86_400: "day", 3_600: "hour", 60: "minute", 1: "second"}
_COARSE = 1024


@dataclass(frozen=True, slots=True, order=True)
class Limit:
    """Allow so much in so long.

    Attributes:
        seconds: how long a window lasts.
        amount: what may be spent in one.
    """

    seconds: int
    amount: int

    def __str__(self) -> str:
        length = next(length for length in _UNITS if self.seconds % length == 0)
        count, unit = self.seconds // length, _UNITS[length]
        return f"{self.amount}/{unit}" if count == 1 else f"{self.amount}/{count} {unit}s"


class Charge(NamedTuple):
    """What one limit takes for a call; made of configuration only, so there are only so many.

    Attributes:
        limit: how much there is to spend.
        scope: what the limit belongs to; with the caller, it names a bucket.
        cost: what is taken from the bucket, 1 or more.
    """

    limit: Limit
    scope: str
    cost: int


Hit = Sequence[tuple[Charge, str]]
"""The charges for one call, each with the caller who pays it; no two to the same bucket."""

Standing = tuple[bool, int, float]
"""How a bucket stands after a hit.

Whether its limit lets the hit pass, what is left to spend, and in how many seconds the bucket is full again (0 where
it is). A plain tuple, because one is made for each limit of each call.
"""


class Store(Protocol):
    """Count what callers spend."""

    def hit(self, charges: Hit, /) -> Sequence[Standing] | Awaitable[Sequence[Standing]]:
        """Pay every charge or, where one bucket has too little left, none; return how each bucket stands.

        A store that does I/O makes this an `async def`.
        """
        ...


class MemoryStore:
    """Count in this process: O(1) a hit, however many callers there are, without a task, a thread or a sweep.

    A window is fixed, and starts with a caller's first hit. Every worker process counts for itself.

    Args:
        clock: tells the time that passes.
        max_keys: how many callers are told apart for each length of window. While there are more, newcomers share
            coarse buckets, 1024 for each scope: a flood of addresses can neither fill the memory nor push out a
            caller who is blocked.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, *, max_keys: int = 1_000_000) -> None:
        self._now = clock.monotonic
        self._max_keys = max_keys
        self._shelves: dict[int, _Shelf] = {}

    def __repr__(self) -> str:
        return f"<MemoryStore keys={len(self)}>"

    def __len__(self) -> int:
        return sum(len(shelf) for shelf in self._shelves.values())

    def hit(self, charges: Hit, /) -> list[Standing]:
        """Pay every charge or none; return how each bucket stands."""
        now = self._now()
        standings: list[Standing] = []
        for charge, who in charges:
            shelf = self._shelves.get(charge.limit.seconds)
            if shelf is None:
                shelf = self._shelf(charge)
            standing = shelf.spend(charge, who, now)
            allowed, _, _ = standing
            if not allowed:
                for paid, payer in charges[: len(standings)]:
                    self._shelf(paid).give_back(paid, payer, now)
                return self._look(charges, now)
            standings.append(standing)
        return standings

    def look(self, charges: Hit, /) -> list[Standing]:
        """Return how each bucket stands, and whether it would pay its charge; take nothing."""
        return self._look(charges, self._now())

    def forget(self, charge: Charge, who: str) -> None:
        """Make a caller's bucket full again."""
        self._shelf(charge).forget(charge, who, self._now())

    def clear(self) -> None:
        """Make every bucket full again."""
        self._shelves.clear()

    def _look(self, charges: Hit, now: float) -> list[Standing]:
        return [self._shelf(charge).look(charge, who, now) for charge, who in charges]

    def _shelf(self, charge: Charge) -> _Shelf:
        seconds = charge.limit.seconds
        if seconds not in self._shelves:
            self._shelves[seconds] = _Shelf(seconds, self._max_keys)
        return self._shelves[seconds]


class _Shelf:
    """Hold the windows of one length, in two generations.

    Windows start in the fresh generation. One length later it becomes the stale one, and one length after that
    everything in it has ended, and it is dropped whole: that is all the expiry there is.

    A window is its start and what was spent, as one complex number: the smallest pair that Python has, 32 bytes.
    A key is a hash (SipHash, keyed by the process), so that a long name takes no more room than a short one.
    """

    __slots__ = ("_fresh", "_max_keys", "_seconds", "_stale", "_turns_at")

    def __init__(self, seconds: int, max_keys: int) -> None:
        self._seconds = seconds
        self._max_keys = max_keys
        self._turns_at = float("-inf")
        self._fresh: dict[int, complex] = {}
        self._stale: dict[int, complex] = {}

    def __len__(self) -> int:
        return len(self._fresh) + len(self._stale)

    def spend(self, charge: Charge, who: str, now: float) -> Standing:
        """Take the charge where the window has it left."""
        limit, scope, cost = charge
        key = hash((scope, who))
        window = self._fresh.get(key)
        if window is None or now - window.real >= self._seconds:
            key, window = self._find(charge, who, now)
        started_at = window.real
        used = int(window.imag) + cost
        left = limit.amount - used
        reset_after = self._seconds - (now - started_at)
        if left < 0:
            return False, left + cost, reset_after
        self._fresh[key] = complex(started_at, used)
        return True, left, reset_after

    def give_back(self, charge: Charge, who: str, now: float) -> None:
        """Undo a `spend` of the same moment; a window that it started was never started."""
        key, window = self._find(charge, who, now)
        used = int(window.imag) - charge.cost
        if used:
            self._fresh[key] = complex(window.real, used)
        else:
            del self._fresh[key]

    def look(self, charge: Charge, who: str, now: float) -> Standing:
        """Return how a bucket stands."""
        _, window = self._find(charge, who, now)
        left = charge.limit.amount - int(window.imag)
        return charge.cost <= left, left, self._seconds - (now - window.real) if window.imag else 0.0

    def forget(self, charge: Charge, who: str, now: float) -> None:
        """Drop a caller's window."""
        key, _ = self._find(charge, who, now)
        self._fresh.pop(key, None)

    def _find(self, charge: Charge, who: str, now: float) -> tuple[int, complex]:
        """Return the key under which a caller is counted, and the window, which may be one that has not started."""
        if now >= self._turns_at:
            self._stale = self._fresh if now < self._turns_at + self._seconds else {}
            self._fresh = {}
            self._turns_at = now + self._seconds
        key = hash((charge.scope, who))
        window = self._recall(key)
        if window is None and len(self) >= self._max_keys:
            key = hash((charge.scope, key % _COARSE))
            window = self._recall(key)
        if window is None or now - window.real >= self._seconds:
            window = complex(now, 0)
        return key, window

    def _recall(self, key: int) -> complex | None:
        window = self._fresh.get(key)
        if window is None:
            window = self._stale.pop(key, None)
            if window is not None:
                self._fresh[key] = window
        return window


def check_url(url: str) -> str:
    """Return *url*, if a store answers to it.

    Raises:
        ConfigurationError: for any scheme but `memory`; the URL is not repeated, it may hold a password.
    """
    scheme, found, _ = url.partition("://")
    if not found or scheme != "memory":
        told = f"{scheme}://..." if found else url
        raise ConfigurationError(f'Gate(storage="{told}"): limits are counted in memory for now; write "memory://"')
    return url
