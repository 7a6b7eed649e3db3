"""Leases, records and marks in this process: nobody else sees them, and a restart forgets them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from math import ceil

from gatewright._core.clock import Clock
from gatewright._core.storage.contract import Claimed, Kept, Pending
from gatewright.errors import ServiceUnavailable

__all__ = ["LocalLeases", "LocalMarks", "LocalRecords"]

_MAX_BYTES = 64 << 20
_MOST_MARKS = 1 << 18
# What a record takes beside its texts: measured on CPython 3.11, and rounded up.
_OVERHEAD = 500


class LocalLeases:
    """Lend slots within this process; they need no time to run out, because they end with it."""

    def __init__(self) -> None:
        self._holders: dict[str, set[str]] = {}

    def __repr__(self) -> str:
        return f"<LocalLeases held={sum(map(len, self._holders.values()))}>"

    async def take(self, key: str, holder: str, most: int, /) -> bool:
        """Take one of *most* slots."""
        holders = self._holders.get(key)
        if holders is None:
            holders = self._holders[key] = set()
        if len(holders) >= most and holder not in holders:
            return False
        holders.add(holder)
        return True

    async def give(self, key: str, holder: str, /) -> None:
        """Give the slot back."""
        holders = self._holders.get(key)
        if holders is not None:
            holders.discard(holder)
            if not holders:
                del self._holders[key]


class _Record:
    __slots__ = ("ends_at", "fingerprint", "token", "value")

    def __init__(self, token: str, fingerprint: str, ends_at: float) -> None:
        self.token = token
        self.fingerprint = fingerprint
        self.ends_at = ends_at
        self.value: bytes | None = None


class LocalRecords:
    """Remember within this process.

    Args:
        clock: tells the time that passes.
        entropy: returns n random bytes, for the tokens of claims.
        max_bytes: how much may be kept. A record that is still of use is never pushed out: that would let work be
            done twice.
    """

    def __init__(self, clock: Clock, entropy: Callable[[int], bytes], *, max_bytes: int = _MAX_BYTES) -> None:
        self._monotonic = clock.monotonic
        self._entropy = entropy
        self._max_bytes = max_bytes
        self._bytes = 0
        self._records: dict[str, _Record] = {}
        self._endings: list[tuple[float, str]] = []

    def __repr__(self) -> str:
        return f"<LocalRecords {len(self._records)}>"

    async def claim(self, key: str, fingerprint: str, lease: float, /) -> Claimed | Pending | Kept:
        """Claim a key, unless somebody else did, or its work is done.

        Raises:
            ServiceUnavailable: while there is no room for another record.
        """
        now = self._drop_ended()
        record = self._records.get(key)
        if record is not None and record.value is not None:
            return Kept(record.fingerprint, record.value)
        if record is not None:
            return Pending(record.fingerprint, record.ends_at - now)
        if self._bytes >= self._max_bytes:
            wait = max(1, ceil(self._endings[0][0] - now))
            raise ServiceUnavailable(headers={"Retry-After": str(wait)}, reason="no room for another record")
        record = self._records[key] = _Record(self._entropy(16).hex(), fingerprint, now + lease)
        self._bytes += _size(key, record)
        self._end(key, record)
        return Claimed(record.token)

    async def keep(self, key: str, token: str, value: bytes, seconds: float, /) -> bool:
        """Keep what came of the work."""
        now = self._drop_ended()
        record = self._records.get(key)
        if record is None or record.token != token:
            return False
        self._bytes -= _size(key, record)
        record.value, record.ends_at = value, now + seconds
        self._bytes += _size(key, record)
        self._end(key, record)
        return True

    async def release(self, key: str, token: str, /) -> None:
        """Give up a claim."""
        record = self._records.get(key)
        if record is not None and record.token == token and record.value is None:
            self._drop(key)

    def _end(self, key: str, record: _Record) -> None:
        """Remember when the record ends; endings of records that were dropped before are cleared out now and then."""
        heappush(self._endings, (record.ends_at, key))
        if len(self._endings) > 3 * len(self._records) + 64:
            self._endings = [(each.ends_at, name) for name, each in self._records.items()]
            heapify(self._endings)

    def _drop(self, key: str) -> None:
        self._bytes -= _size(key, self._records.pop(key))

    def _drop_ended(self) -> float:
        """Drop the records whose time is over; return the time."""
        now = self._monotonic()
        while self._endings and self._endings[0][0] <= now:
            _, key = heappop(self._endings)
            record = self._records.get(key)
            # It may have been kept for longer since, or be another record by now.
            if record is not None and record.ends_at <= now:
                self._drop(key)
        return now


def _size(key: str, record: _Record) -> int:
    return _OVERHEAD + len(key) + len(record.fingerprint) + len(record.value or b"")


class LocalMarks:
    """Remember numbers within this process.

    Args:
        clock: tells the time that passes.
        most: how many may be remembered. One that still counts is never pushed out: that would bring to life again
            what was ended.
    """

    def __init__(self, clock: Clock, *, most: int = _MOST_MARKS) -> None:
        self._monotonic = clock.monotonic
        self._most = most
        self._marks: dict[tuple[str, str], tuple[float, float]] = {}
        self._endings: list[tuple[float, tuple[str, str]]] = []

    def __repr__(self) -> str:
        return f"<LocalMarks {len(self._marks)}>"

    async def read(self, who: str, names: Sequence[str], /) -> list[float | None]:
        """Return what was said of *who* under each of *names*."""
        if not self._marks:
            return [None] * len(names)
        now = self._monotonic()
        found = [self._marks.get((who, name)) for name in names]
        return [mark[0] if mark is not None and now < mark[1] else None for mark in found]

    async def raise_to(self, who: str, name: str, number: float, seconds: float, /) -> None:
        """Say that a number is at least *number*, for *seconds*.

        Raises:
            ServiceUnavailable: while there is no room for another mark.
        """
        now = self._drop_ended()
        key = who, name
        if key not in self._marks and len(self._marks) >= self._most:
            raise ServiceUnavailable(headers={"Retry-After": "60"}, reason="no room for another mark")
        before, ends_at = self._marks.get(key, (number, now))
        self._marks[key] = max(before, number), max(ends_at, now + seconds)
        heappush(self._endings, (self._marks[key][1], key))
        if len(self._endings) > 3 * len(self._marks) + 64:
            self._endings = [(mark[1], each) for each, mark in self._marks.items()]
            heapify(self._endings)

    def _drop_ended(self) -> float:
        """Drop the marks whose time is over; return the time."""
        now = self._monotonic()
        while self._endings and self._endings[0][0] <= now:
            _, key = heappop(self._endings)
            # It may have been given more time since.
            if key in self._marks and self._marks[key][1] <= now:
                del self._marks[key]
        return now
