"""Limits in this process: O(1), bounded, without a task, a thread or a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright._core.storage.contract import Bucket, Change, Charge, Standing
from gatewright._core.storage.limit import Limit
from gatewright._core.storage.shelves import AnyShelf, shelf_for

__all__ = ["MemoryStore"]


class MemoryStore:
    """Count in this process; every worker process counts for itself.

    It belongs to no event loop, and to one thread at a time: threads that count at once do no harm, but may let a few
    too many pass.

    Args:
        clock: tells the time that passes.
        max_keys: about how many callers are told apart for each limit. While there are more, newcomers share coarse
            buckets, 1024 for each scope: a flood of addresses can neither fill the memory nor push out a caller who
            is blocked.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, *, max_keys: int = 1_000_000) -> None:
        self._monotonic = clock.monotonic
        self._max_keys = max_keys
        self._shelves: dict[Limit, AnyShelf] = {}

    def __repr__(self) -> str:
        return f"<MemoryStore keys={len(self)}>"

    def __len__(self) -> int:
        return sum(map(len, self._shelves.values()))

    def hit(self, charges: Sequence[Charge], /) -> list[Standing]:
        """Pay every charge or none; return how each bucket stands."""
        now = round(self._monotonic() * 1_000_000)
        standings: list[Standing] = []
        refused = False
        for bucket, who, cost in charges:
            shelf = self._shelves.get(bucket.limit)
            if shelf is None:
                shelf = self._shelf(bucket)
            standing = shelf.spend(bucket.scope, who, cost, now)
            if not standing[0] and not bucket.shadow:
                refused = True
            standings.append(standing)
        if refused:
            return self._take_back(charges, standings, now)
        return standings

    def _take_back(self, charges: Sequence[Charge], standings: Sequence[Standing], now: int) -> list[Standing]:
        """Undo what was paid, but for what refused calls pay too."""
        settled: list[Standing] = []
        for (bucket, who, cost), standing in zip(charges, standings, strict=True):
            allowed, _, _, mark = standing
            shelf = self._shelf(bucket)
            if bucket.penal and not allowed:
                standing = shelf.spend(bucket.scope, who, cost, now, force=True)
            elif allowed and not bucket.penal:
                shelf.adjust(bucket.scope, who, -cost, mark, now)
                standing = shelf.look(bucket.scope, who, cost, now)
            settled.append(standing)
        return settled

    def look(self, charges: Sequence[Charge], /) -> list[Standing]:
        """Return how each bucket stands, and whether it would pay its charge; take nothing."""
        now = self._now()
        return [self._shelf(bucket).look(bucket.scope, who, cost, now) for bucket, who, cost in charges]

    def adjust(self, changes: Sequence[Change], /) -> None:
        """Change what was spent."""
        now = self._now()
        for bucket, who, by, mark in changes:
            self._shelf(bucket).adjust(bucket.scope, who, by, mark, now)

    def forget(self, charges: Sequence[Charge], /) -> None:
        """Make buckets full again."""
        now = self._now()
        for bucket, who, _ in charges:
            self._shelf(bucket).forget(bucket.scope, who, now)

    def barred(self, charge: Charge, /) -> Standing | None:
        """Return the standing of a charge that would not pass."""
        (standing,) = self.look([charge])
        return None if standing[0] else standing

    def check(self, bucket: Bucket, /) -> None:
        """Take every limit."""

    def clear(self) -> None:
        """Make every bucket full again."""
        self._shelves.clear()

    def _now(self) -> int:
        return round(self._monotonic() * 1_000_000)

    def _shelf(self, bucket: Bucket) -> AnyShelf:
        shelf = self._shelves.get(bucket.limit)
        if shelf is None:
            shelf = self._shelves[bucket.limit] = shelf_for(bucket.limit, self._max_keys)
        return shelf
