"""Storage in the vocabulary of `limits`: its strings, its URLs, and our store in memory for code written against it."""

from __future__ import annotations

import re

from limits import parse_many
from limits.aio.storage import Storage

from gatewright._core.buckets import Charge, Limit, MemoryStore, Standing, Store, check_url
from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright.errors import ConfigurationError

__all__ = ["MemoryStorage", "Store", "open_store", "parse_limits"]

_SEPARATOR = re.compile(r"[,;|]")
_ZERO_WINDOW = re.compile(r"(?:/|per)\s*0+(?![0-9])", re.IGNORECASE)
# The largest integer of a structured field (RFC 9651, section 3.3.1): `RateLimit-Policy` carries both numbers.
_LARGEST = 999_999_999_999_999


def parse_limits(text: object) -> tuple[Limit, ...]:
    """Return the limits of a string such as `"100/minute; 5/second"`: the shortest window first, each limit once.

    Raises:
        ConfigurationError: for anything else, and for what the parser of `limits` lets through: an amount of zero,
            and a window of zero, which it takes for one.
    """
    if not isinstance(text, str):
        raise _no_limit(text)
    # Each part by itself, because of a whole list the parser drops what it does not understand.
    return tuple(sorted({_parse_limit(part, text) for part in _SEPARATOR.split(text)}))


def _parse_limit(part: str, text: str) -> Limit:
    try:
        (item,) = parse_many(part)
    except ValueError:
        raise _no_limit(text) from None
    limit = Limit(item.get_expiry(), item.amount)
    if _ZERO_WINDOW.search(part) or not 0 < limit.amount <= _LARGEST or limit.seconds > _LARGEST:
        raise _no_limit(text)
    return limit


def _no_limit(text: object) -> ConfigurationError:
    return ConfigurationError(
        f"{text!r} is no rate limit; write an amount, a slash and a window of second, minute, hour, day, month or "
        'year, such as "100/minute", "5/10 seconds" or "1000/day; 100/minute"'
    )


def open_store(url: str, clock: Clock) -> Store:
    """Return the store that a gate's `storage` names.

    Raises:
        ConfigurationError: as `check_url` does.
    """
    check_url(url)
    return MemoryStore(clock)


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
        """Add to a counter that lives for *expiry* seconds, and return it."""
        self._windows.add(expiry)
        ((_, remaining, _),) = self._store.hit([(_charge(expiry, amount), key)])
        return _LARGEST - remaining

    async def get(self, key: str) -> int:
        """Return a counter; 0 where there is none."""
        return max((_LARGEST - remaining for _, remaining, _ in self._standings(key)), default=0)

    async def get_expiry(self, key: str) -> float:
        """Return when a counter ends, in seconds since the epoch; now where there is none."""
        return self._clock.time() + max((reset_after for _, _, reset_after in self._standings(key)), default=0.0)

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
        for seconds in self._windows:
            self._store.forget(_charge(seconds), key)

    def _standings(self, key: str) -> list[Standing]:
        return self._store.look([(_charge(seconds), key) for seconds in self._windows])


def _charge(seconds: int, amount: int = 0) -> Charge:
    return Charge(Limit(seconds, _LARGEST), "limits", amount)
