"""Our store in memory, for code that is written against `limits`."""

from __future__ import annotations

from limits.aio.storage import Storage

from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright._core.storage.contract import Bucket, Charge
from gatewright._core.storage.limit import Limit
from gatewright._core.storage.memory import MemoryStore

__all__ = ["MemoryStorage"]

# More than a counter ever holds.
_AMOUNT = 999_999_999_999_999


class MemoryStorage(Storage):
    """Let code that is written against `limits` count in a `MemoryStore`, with its fixed window strategy.

    `storage_from_string("async+gatewright+memory://")` makes one; give it `store=gate.store` to share a gate's.

    Args:
        uri: ignored, there is nothing to connect to.
        wrap_exceptions: as `limits` has it.
        store: where to count.
        clock: tells the time of day, in which `limits` wants to know when a window ends.
    """

    STORAGE_SCHEME = ["async+gatewright+memory"]  # noqa: RUF012  # as the base class declares it

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        *,
        store: MemoryStore | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._store = MemoryStore(clock) if store is None else store
        self._clock = clock
        self._windows: set[int] = set()

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Return the errors of the storage: memory has none."""
        return ()

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a counter that lives for *expiry* seconds, and return it; less than 0 gives back."""
        self._windows.add(expiry)
        charges = [_charge(key, expiry, amount)]
        if amount > 0:
            ((_, remaining, _, _),) = self._store.hit(charges)
        else:
            ((_, _, _, mark),) = self._store.look(charges)
            self._store.adjust([(*charges[0], mark)])
            ((_, remaining, _, _),) = self._store.look(charges)
        return _AMOUNT - remaining

    async def get(self, key: str) -> int:
        """Return a counter; 0 where there is none."""
        return max((_AMOUNT - remaining for _, remaining, _, _ in self._store.look(self._charges(key))), default=0)

    async def get_expiry(self, key: str) -> float:
        """Return when a counter ends, in seconds since the epoch; now where there is none."""
        standings = self._store.look(self._charges(key))
        return self._clock.time() + max((seconds for _, _, seconds, _ in standings), default=0.0)

    async def check(self) -> bool:
        """Say that memory is there."""
        return True

    async def reset(self) -> int | None:
        """Drop every counter of the store, and return how many there were."""
        count = len(self._store)
        self._store.clear()
        return count

    async def clear(self, key: str) -> None:
        """Drop a counter."""
        self._store.forget(self._charges(key))

    def _charges(self, key: str) -> list[Charge]:
        return [_charge(key, seconds) for seconds in self._windows]


def _charge(key: str, seconds: int, amount: int = 0) -> Charge:
    return Bucket(Limit(seconds * 1000, _AMOUNT), "limits"), key, amount
