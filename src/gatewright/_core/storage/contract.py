"""What a storage is asked for: decisions about limits, leases on slots, records of what was done, and marks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, get_args

from gatewright._core.storage.limit import Limit
from gatewright.errors import ConfigurationError

__all__ = [
    "Backend",
    "Bucket",
    "Change",
    "Charge",
    "Claimed",
    "Kept",
    "Leases",
    "Marks",
    "OnError",
    "Pending",
    "Records",
    "Standing",
    "Store",
    "check_on_error",
]

OnError = Literal["local", "open", "closed"]


def check_on_error(said: object) -> None:
    """Refuse what says nothing about a store that is down.

    Raises:
        ConfigurationError: with what to write instead.
    """
    if said not in get_args(OnError):
        raise ConfigurationError(f'on_error={said!r}: write "local", "open" or "closed"')


class Bucket(NamedTuple):
    """What one limit is counted in, one for each caller; made of configuration only, so there are only so many.

    Attributes:
        limit: how much there is to spend.
        scope: what the limit belongs to; with the caller, it names what is counted.
        shadow: decide, but never refuse a call because of it.
        penal: charge the calls that are refused, too.
        adjusted: charges are often given back or added to later, so a refusal is not remembered without asking.
        on_error: what to do while the store does not answer.
    """

    limit: Limit
    scope: str
    shadow: bool = False
    penal: bool = False
    adjusted: bool = False
    on_error: OnError = "local"


Charge = tuple[Bucket, str, int]
"""A bucket, the caller who pays, and the cost: 1 up to the capacity of the limit. No two for one bucket and caller."""


Standing = tuple[bool, int, float, float]
"""How a bucket stands after a decision; a plain tuple, because one is made for each limit of each call.

Whether its limit lets the charge pass; what is left to spend; in how many seconds the bucket is full again or, where
it did not pass, in how many it would; and the mark of the window that it was charged to, for a `Change`.
"""

Change = tuple[Bucket, str, int, float]
"""A bucket, the caller, what to add to what was spent (less than 0 gives back), and the mark of the charge.

A charge is given back at most once: nothing is remembered of it but its mark.
"""


class Store(Protocol):
    """Count what callers spend; a store that does I/O makes each of these but `barred` an `async def`."""

    def hit(self, charges: Sequence[Charge], /) -> Sequence[Standing] | Awaitable[Sequence[Standing]]:
        """Pay every charge or, where one bucket has too little left, none; return how each bucket stands."""
        ...

    def look(self, charges: Sequence[Charge], /) -> Sequence[Standing] | Awaitable[Sequence[Standing]]:
        """Return how each bucket stands, and whether it would pay its charge; take nothing."""
        ...

    def adjust(self, changes: Sequence[Change], /) -> Awaitable[None] | None:
        """Change what was spent, within 0 and the capacity; a window that is over stays as it was."""
        ...

    def forget(self, charges: Sequence[Charge], /) -> Awaitable[None] | None:
        """Make buckets full again."""
        ...

    def barred(self, charge: Charge, /) -> Standing | None:
        """Return the standing of a charge that is known, without asking anybody, not to pass; None for others."""
        ...

    def check(self, bucket: Bucket, /) -> None:
        """Refuse, when a gate is bound, what this store cannot count.

        Raises:
            ConfigurationError: with what to write instead.
        """
        ...


class Leases(Protocol):
    """Lend slots to those who are at work, so that only so many are at once."""

    async def take(self, key: str, holder: str, most: int, /) -> bool:
        """Take one of *most* slots; it is held until it is given back, or its holder's process is gone."""
        ...

    async def give(self, key: str, holder: str, /) -> None:
        """Give the slot back; one that is not held is not missed."""
        ...


@dataclass(frozen=True, slots=True)
class Claimed:
    """The key is yours to work on until the lease ends; *token* proves it."""

    token: str


@dataclass(frozen=True, slots=True)
class Pending:
    """Somebody else works on the key, with this fingerprint, for *seconds* more at the longest."""

    fingerprint: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Kept:
    """The work is done, by a request with this fingerprint; this is what was kept of it."""

    fingerprint: str
    value: bytes


class Records(Protocol):
    """Remember what was done under a key, so that it is done once."""

    async def claim(self, key: str, fingerprint: str, lease: float, /) -> Claimed | Pending | Kept:
        """Claim a key for *lease* seconds, unless somebody else did, or its work is done."""
        ...

    async def keep(self, key: str, token: str, value: bytes, seconds: float, /) -> bool:
        """Keep what came of the work for *seconds*; False where the claim's lease ran out meanwhile."""
        ...

    async def release(self, key: str, token: str, /) -> None:
        """Give up a claim, so that the next one may try; not one that was lost meanwhile."""
        ...


class Marks(Protocol):
    """Remember numbers about subjects for a while, such as until when nothing of theirs counts."""

    async def read(self, who: str, names: Sequence[str], /) -> Sequence[float | None]:
        """Return what was said of *who* under each of *names*; None where nothing was, or its time is over."""
        ...

    async def raise_to(self, who: str, name: str, number: float, seconds: float, /) -> None:
        """Say that a number is at least *number*, for *seconds*; neither the number nor its time is ever lowered."""
        ...


@dataclass(frozen=True, slots=True)
class Backend:
    """All that one storage offers.

    Attributes:
        store: counts.
        leases: lends slots.
        records: remembers; None where the storage cannot claim atomically.
        marks: remembers numbers; None where the storage only counts.
        local: whether it is this process's own, so that other workers do not see it.
        close: let go of connections.
    """

    store: Store
    leases: Leases
    records: Records | None
    marks: Marks | None
    local: bool
    close: Callable[[], Awaitable[None]]
