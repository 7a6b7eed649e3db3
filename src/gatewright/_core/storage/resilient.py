"""Limits, leases, records and marks that hold while the storage behind them does not answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from math import ceil
from typing import Any, Protocol, cast

from gatewright._core.clock import Clock
from gatewright._core.problems import REDUCED_CAPACITY
from gatewright._core.storage.contract import (
    Bucket,
    Change,
    Charge,
    Claimed,
    Kept,
    Leases,
    Marks,
    Pending,
    Records,
    Standing,
    Store,
)
from gatewright._core.storage.denials import Denials
from gatewright._core.storage.line import Line, StorageDown
from gatewright._core.storage.local import LocalLeases
from gatewright._core.storage.memory import MemoryStore
from gatewright.errors import ServiceUnavailable

__all__ = ["ResilientLeases", "ResilientMarks", "ResilientRecords", "ResilientStore", "unavailable"]

_Ask = Callable[[Sequence[Charge]], Sequence[Standing] | Awaitable[Sequence[Standing]]]
_Decide = Callable[[Sequence[Charge]], Sequence[Standing]]


class ResilientStore:
    """Ask a store; refuse by itself who is known to be blocked, and decide by itself while the store is down.

    Args:
        store: counts for all processes.
        line: the line to it.
        clock: tells the time that passes.
        share: which part of each limit is granted here while the store is down.
    """

    def __init__(self, store: Store, line: Line, clock: Clock, share: float) -> None:
        self._store = store
        self._line = line
        self._share = share
        self._local = MemoryStore(clock)
        self._denials = Denials(clock)

    def __repr__(self) -> str:
        return f"<ResilientStore {self._line!r}>"

    async def hit(self, charges: Sequence[Charge], /) -> Sequence[Standing]:
        """Pay every charge or none; return how each bucket stands, as far as somebody knows.

        Raises:
            ServiceUnavailable: while the store is down, for a limit that says `on_error="closed"`.
        """
        known = [self.barred(charge) for charge in charges]
        if any(known) and not any(bucket.penal for bucket, _, _ in charges):
            # Nobody was asked, so nobody knows how the others stand: they are left out of what is said.
            return [standing or _UNKNOWN for standing in known]
        return await self._decide(self._store.hit, self._local.hit, charges)

    async def look(self, charges: Sequence[Charge], /) -> Sequence[Standing]:
        """Return how each bucket stands; while the store is down, how it stands here.

        Raises:
            ServiceUnavailable: as for `hit`.
        """
        return await self._decide(self._store.look, self._local.look, charges)

    async def adjust(self, changes: Sequence[Change], /) -> None:
        """Change what was spent, where it was spent; what a store that is down was told is lost."""
        there: list[Change] = []
        for change in changes:
            bucket, who, by, mark = change
            self._denials.forget(bucket, who)
            if not isinstance(mark, _LocalMark):
                there.append(change)
            elif mark != _NOWHERE:
                self._local.adjust([(self._part(bucket), who, by, mark)])
        if there:
            await self._told(lambda: _awaitable(self._store.adjust(there)))

    async def forget(self, charges: Sequence[Charge], /) -> None:
        """Make buckets full again."""
        for bucket, who, _ in charges:
            self._denials.forget(bucket, who)
        self._local.forget([self._here(charge) for charge in charges])
        if charges:
            await self._told(lambda: _awaitable(self._store.forget(charges)))

    def barred(self, charge: Charge, /) -> Standing | None:
        """Return the standing of a charge that the store refused, until it would pass."""
        return self._denials.recall(charge)

    def check(self, bucket: Bucket, /) -> None:
        """Refuse a limit that the store cannot count."""
        self._store.check(bucket)

    async def _decide(self, ask: _Ask, here: _Decide, charges: Sequence[Charge]) -> Sequence[Standing]:
        if not charges:
            return []
        forgotten = self._denials.forgotten
        try:
            standings: Sequence[Standing] = await self._line.ask(lambda: _awaitable(ask(charges)))
        except StorageDown as down:
            return self._without_store(here, charges, down)
        for charge, standing in zip(charges, standings, strict=True):
            # What was forgotten while the store was asked was forgotten after it answered, for all that one knows.
            if not standing[0] and forgotten == self._denials.forgotten:
                self._denials.remember(charge, standing)
        return standings

    async def _told(self, message: Callable[[], Awaitable[Any]]) -> None:
        try:
            await self._line.ask(message)
        except StorageDown:
            return

    def _without_store(self, decide: _Decide, charges: Sequence[Charge], down: StorageDown) -> list[Standing]:
        for bucket, _, _ in charges:
            if bucket.on_error == "closed":
                raise unavailable(down.seconds)
        decided = iter(decide([self._here(charge) for charge in charges if charge[0].on_error == "local"]))
        return [_marked(next(decided)) if bucket.on_error == "local" else _UNKNOWN for bucket, _, _ in charges]

    def _here(self, charge: Charge) -> Charge:
        """Return a charge for this process's part of the limit."""
        bucket, who, cost = charge
        part = self._part(bucket)
        return part, who, min(cost, part.limit.capacity)

    def _part(self, bucket: Bucket) -> Bucket:
        return bucket._replace(limit=bucket.limit.scaled(self._share))


class _LocalMark(float):
    """Mark a window that this process counted in by itself."""


def _marked(standing: Standing) -> Standing:
    allowed, remaining, seconds, mark = standing
    return allowed, remaining, seconds, _LocalMark(mark)


_NOWHERE = _LocalMark(-1.0)
# A charge that passes, since nobody can say how its bucket stands.
_UNKNOWN: Standing = (True, -1, 0.0, _NOWHERE)


def unavailable(seconds: float) -> ServiceUnavailable:
    """Return the refusal for what cannot be decided while the storage is down."""
    wait = max(1, ceil(seconds))
    return ServiceUnavailable(
        headers={"Retry-After": str(wait)}, problem_type=REDUCED_CAPACITY, reason="the storage does not answer"
    )


def _awaitable(asked: Any) -> Awaitable[Any]:
    return cast("Awaitable[Any]", asked)


class RenewedLeases(Leases, Protocol):
    """Lend slots whose leases are renewed until they are let go."""

    def let_go(self, key: str, holder: str, /) -> None:
        """Renew a lease no more; asks nobody."""
        ...


class ResilientLeases:
    """Lend slots for all processes; while the storage is down, this process's share of them."""

    def __init__(self, leases: RenewedLeases, line: Line, share: float) -> None:
        self._leases = leases
        self._line = line
        self._share = share
        self._local = LocalLeases()
        self._here: set[tuple[str, str]] = set()

    async def take(self, key: str, holder: str, most: int, /) -> bool:
        """Take one of *most* slots."""
        try:
            return await self._line.ask(lambda: self._leases.take(key, holder, most))
        except StorageDown:
            taken = await self._local.take(key, holder, max(1, int(most * self._share)))
            if taken:
                self._here.add((key, holder))
            return taken

    async def give(self, key: str, holder: str, /) -> None:
        """Give the slot back; one that the storage cannot be told of ends with its lease."""
        if (key, holder) in self._here:
            self._here.discard((key, holder))
            await self._local.give(key, holder)
            return
        self._leases.let_go(key, holder)
        try:
            await self._line.ask(lambda: self._leases.give(key, holder))
        except StorageDown:
            return


class ResilientRecords:
    """Remember for all processes; while the storage is down nothing is claimed, because work would be done twice."""

    def __init__(self, records: Records, line: Line) -> None:
        self._records = records
        self._line = line

    async def claim(self, key: str, fingerprint: str, lease: float, /) -> Claimed | Pending | Kept:
        """Claim a key.

        Raises:
            ServiceUnavailable: while the storage is down.
        """
        try:
            return await self._line.ask(lambda: self._records.claim(key, fingerprint, lease))
        except StorageDown as down:
            raise unavailable(down.seconds) from None

    async def keep(self, key: str, token: str, value: bytes, seconds: float, /) -> bool:
        """Keep what came of the work; False where the storage could not be told."""
        try:
            return await self._line.ask(lambda: self._records.keep(key, token, value, seconds))
        except StorageDown:
            return False

    async def release(self, key: str, token: str, /) -> None:
        """Give up a claim; one that the storage cannot be told of ends with its lease."""
        try:
            await self._line.ask(lambda: self._records.release(key, token))
        except StorageDown:
            return


class ResilientMarks:
    """Remember for all processes; while the storage is down nothing is known, and nothing is promised."""

    def __init__(self, marks: Marks, line: Line) -> None:
        self._marks = marks
        self._line = line

    async def read(self, who: str, names: Sequence[str], /) -> Sequence[float | None]:
        """Return what was said.

        Raises:
            ServiceUnavailable: while the storage is down.
        """
        try:
            return await self._line.ask(lambda: self._marks.read(who, names))
        except StorageDown as down:
            raise unavailable(down.seconds) from None

    async def raise_to(self, who: str, name: str, number: float, seconds: float, /) -> None:
        """Say that a number is at least *number*.

        Raises:
            ServiceUnavailable: while the storage is down.
        """
        try:
            await self._line.ask(lambda: self._marks.raise_to(who, name, number, seconds))
        except StorageDown as down:
            raise unavailable(down.seconds) from None
