"""Who is known to be blocked: refused here until then, so that a flood costs the store nothing."""

from __future__ import annotations

from gatewright._core.clock import Clock
from gatewright._core.storage.contract import Bucket, Charge, Standing

__all__ = ["Denials"]

_MINUTE = 60.0
_MAX = 100_000


class Denials:
    """Remember refusals until they end, in two generations; one that is forgotten earlier is asked again.

    Args:
        clock: tells the time that passes.
        generation: the seconds for which a refusal is remembered at least, where it lasts that long.

    Attributes:
        forgotten: how often `forget` was called, for those who asked before and are answered after it.
    """

    def __init__(self, clock: Clock, generation: float = _MINUTE) -> None:
        self._monotonic = clock.monotonic
        self._generation = generation
        self.forgotten = 0
        self._turns_at = 0.0
        self._fresh: dict[tuple[Bucket, str], tuple[float, int, int]] = {}
        self._stale: dict[tuple[Bucket, str], tuple[float, int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._fresh or self._stale)

    def remember(self, charge: Charge, standing: Standing) -> None:
        """Remember that a charge was refused; not where refusals are charged, or charges given back."""
        bucket, who, cost = charge
        if bucket.shadow or bucket.penal or bucket.adjusted:
            return
        self._turn()
        if len(self._fresh) < _MAX:
            _, remaining, seconds, _ = standing
            self._fresh[bucket, who] = self._monotonic() + seconds, cost, remaining

    def recall(self, charge: Charge) -> Standing | None:
        """Return the standing of a charge that costs as much as one that is still refused, or more."""
        if not self:
            return None
        bucket, who, cost = charge
        key = bucket, who
        denial = self._fresh.get(key) or self._stale.get(key)
        if denial is None:
            return None
        until, refused, remaining = denial
        seconds = until - self._monotonic()
        return (False, remaining, seconds, 0.0) if seconds > 0 and cost >= refused else None

    def forget(self, bucket: Bucket, who: str) -> None:
        """Ask again about a caller."""
        self.forgotten += 1
        self._fresh.pop((bucket, who), None)
        self._stale.pop((bucket, who), None)

    def _turn(self) -> None:
        now = self._monotonic()
        if now >= self._turns_at:
            self._stale = self._fresh if now < self._turns_at + self._generation else {}
            self._fresh = {}
            self._turns_at = now + self._generation
