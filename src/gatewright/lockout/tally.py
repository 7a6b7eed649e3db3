"""What failures are counted of, and what that locks.

Of an account from a network: a few, so that guessing is hopeless. Of a network: more, for who tries one password at
many accounts. Of an account from everywhere: for who guesses from many networks. The last one by itself could be aimed
at a victim, so it locks no network that has not failed at this very account: while it is over, a network has one
attempt where it had a few.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, NamedTuple
from unicodedata import normalize

from gatewright._core.address import network_key
from gatewright._core.call import Call
from gatewright._core.problems import ABNORMAL_USAGE
from gatewright._core.storage.contract import Bucket, Charge, Standing, Store
from gatewright._core.undisturbed import undisturbed
from gatewright.errors import TooManyRequests

__all__ = ["Count", "Entry", "Of", "Tally", "answer", "locked", "look", "refusal", "same_name"]

Of = Literal["account+network", "network", "account"]
"""What failures are counted of."""

Entry = tuple[Of, Charge]
_LONGEST_NAME = 256


def same_name(account: str) -> str:
    """Return what all spellings of a name have in common: Unicode's NFKC, without case and outer spaces."""
    # Shortened first: a megabyte of accents takes `normalize` minutes.
    composed = normalize("NFKC", account.strip()[:_LONGEST_NAME])
    return normalize("NFKC", composed.casefold()).strip()


class Count(NamedTuple):
    """One limit, and what its failures are counted of."""

    of: Of
    bucket: Bucket


@dataclass(frozen=True, repr=False)
class Tally:
    """Know what is counted under which names.

    Attributes:
        counts: the limits.
        scope: what is attempted.
        normalise: makes one of all spellings of an account.
    """

    counts: tuple[Count, ...]
    scope: str
    normalise: Callable[[str], str]

    def __repr__(self) -> str:
        said = [repr(self._written("account+network")), f"scope={self.scope!r}"]
        said += [f"network={self._written('network')!r}", f"account={self._written('account')!r}"]
        said += (
            [] if self.normalise is same_name else [f"normalise={getattr(self.normalise, '__name__', self.normalise)}"]
        )
        on_error = self.counts[0].bucket.on_error
        said += [] if on_error == "local" else [f"on_error={on_error!r}"]
        return f"lockout({', '.join(said)})"

    def _written(self, of: Of) -> str | None:
        return "; ".join(str(count.bucket.limit) for count in self.counts if count.of == of) or None

    def check(self, store: Store) -> None:
        """Refuse a store that cannot give back what an attempt was charged.

        Raises:
            ConfigurationError: with what to write instead.
        """
        for _, bucket in self.counts:
            store.check(bucket)

    def entries(self, account: str | None, address: str | None) -> list[Entry]:
        """Return what is counted of an account, of an address's network, and of both together; of what is named."""
        named: dict[Of, str] = {}
        if account is not None:
            named["account"] = self.normalise(account)
        if address is not None:
            named["network"] = network_key(address)
        if len(named) == 2:
            # A repr, so that no two pairs make one name.
            named["account+network"] = repr((named["account"], named["network"]))
        return [(of, (bucket, named[of], 1)) for of, bucket in self.counts if of in named]


def locked(entries: Sequence[Entry], standings: Sequence[Standing], paid: int) -> dict[Of, float]:
    """Return what is locked, and for how many seconds; *paid* is what the standings include of this very attempt."""
    over: dict[Of, float] = {}
    failures_end: list[float] = []
    for (of, (bucket, _, _)), (allowed, remaining, seconds, _) in zip(entries, standings, strict=True):
        if not allowed:
            over[of] = max(over.get(of, 0.0), seconds)
        if of == "account+network" and bucket.limit.capacity - remaining > paid:
            failures_end.append(seconds)
    if "account" in over:
        if failures_end:
            over["account"] = min(over["account"], max(failures_end))
        else:
            del over["account"]
    return over


def refusal(call: Call, over: Mapping[Of, float]) -> TooManyRequests:
    """Return the refusal, the same whatever is locked and whoever has the account; only the log says what."""
    call.note(lockout=", ".join(over))
    return TooManyRequests(
        "Too many failed attempts; try again later",
        code="locked_out",
        headers={"Retry-After": str(max(1, ceil(max(over.values()))))},
        problem_type=ABNORMAL_USAGE,
    )


async def look(store: Store, entries: Sequence[Entry]) -> Sequence[Standing]:
    """Return how these entries stand."""
    standings: Sequence[Standing] = await answer(store.look([charge for _, charge in entries]))
    return standings


async def answer(asked: Any) -> Any:
    """Return what a store says, at once or after it was asked.

    Undisturbed, for as long as a storage may take: who is cancelled between payment and receipt has nothing to give
    back.
    """
    return await undisturbed(asked) if inspect.isawaitable(asked) else asked
