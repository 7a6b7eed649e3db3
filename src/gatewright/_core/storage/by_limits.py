"""Every other storage that `limits` knows, through its own classes.

Each limit costs three round trips (test, hit, stats) or more, and what happens between them is not atomic: of callers
who come at once a few too many may pass. A fixed window starts where the storage lets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import time
from typing import Any, NamedTuple

from limits import RateLimitItemPerSecond
from limits.aio.storage import SlidingWindowCounterSupport, Storage
from limits.aio.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError as LimitsConfigurationError
from limits.storage import storage_from_string

from gatewright._core.storage.contract import Bucket, Change, Charge, Standing
from gatewright._core.storage.limit import Limit
from gatewright._core.storage.loops import living
from gatewright._core.storage.scripted import digest
from gatewright.errors import ConfigurationError

__all__ = ["LimitsStore", "open_limits_storage"]

# How `limits` begins when it misses a client; whatever else it says may repeat the password.
_MISSING = ("'", "The minimum version")


def open_limits_storage(url: str) -> Storage:
    """Return the storage that a URL names; nothing is connected yet.

    Raises:
        ConfigurationError: where `limits` knows none, or its client is not installed.
    """
    url = url.removeprefix("async+")
    who = f'Gate(storage="{url.partition("://")[0]}://...")'
    try:
        storage = storage_from_string(f"async+{url}", wrap_exceptions=True)
    except Exception as exc:
        if isinstance(exc, LimitsConfigurationError) and str(exc).startswith(_MISSING):
            raise ConfigurationError(f"{who}: {exc}") from None
        raise ConfigurationError(
            f'{who}: limits knows no such storage, or cannot read the URL; write "memory://", "redis://host:6379" or '
            '"memcached://host:11211"'
        ) from None
    if not isinstance(storage, Storage):
        raise ConfigurationError(f"{who}: limits has no asynchronous storage for it")
    return storage


class _Limiters(NamedTuple):
    fixed: FixedWindowRateLimiter
    sliding: SlidingWindowCounterRateLimiter | None


class LimitsStore:
    """Count in a storage of `limits`, through one for each event loop, since their connections belong to it.

    Args:
        url: names the storage.
        prefix: what keys begin with.

    Raises:
        ConfigurationError: as `open_limits_storage` does.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix
        self._sample = open_limits_storage(url)
        self._limiters: dict[asyncio.AbstractEventLoop, _Limiters] = {}

    async def hit(self, charges: Sequence[Charge], /) -> list[Standing]:
        """Test every charge, and pay all or none."""
        asked = [(*self._asked(charge), charge) for charge in charges]
        passes = [await limiter.test(item, *names, cost=charge[2]) for limiter, item, names, charge in asked]
        pay = all(passed or charge[0].shadow for passed, charge in zip(passes, charges, strict=True))
        standings: list[Standing] = []
        for (limiter, item, names, charge), passed in zip(asked, passes, strict=True):
            if (passed and pay) or (charge[0].penal and not pay):
                passed = await limiter.hit(item, *names, cost=charge[2]) and passed
            standings.append(await self._standing(limiter, item, names, passed))
        return standings

    async def look(self, charges: Sequence[Charge], /) -> list[Standing]:
        """Return how each bucket stands."""
        found: list[Standing] = []
        for charge in charges:
            limiter, item, names = self._asked(charge)
            passed = await limiter.test(item, *names, cost=charge[2])
            found.append(await self._standing(limiter, item, names, passed))
        return found

    async def adjust(self, changes: Sequence[Change], /) -> None:
        """Add to what was spent; `limits` cannot give back, so that is left."""
        for bucket, who, by, _ in changes:
            if by > 0:
                limiter, item, names = self._asked((bucket, who, by))
                await limiter.hit(item, *names, cost=by)

    async def forget(self, charges: Sequence[Charge], /) -> None:
        """Make buckets full again."""
        for charge in charges:
            limiter, item, names = self._asked(charge)
            await limiter.clear(item, *names)

    def barred(self, charge: Charge, /) -> Standing | None:
        """Say that nothing is known without asking."""
        return None

    def check(self, bucket: Bucket, /) -> None:
        """Refuse a limit that `limits` cannot count here."""
        limit = bucket.limit
        storage = type(self._sample).__name__
        if limit.milliseconds % 1000:
            raise ConfigurationError(f"{limit}: {storage} counts in whole seconds; write a longer window, or redis://")
        if limit.strategy == "gcra" or (limit.strategy == "sliding" and not _slides(self._sample)):
            plain = Limit(limit.milliseconds, limit.amount)
            raise ConfigurationError(f'{limit}: {storage} cannot count this; write "{plain}", or use redis://')
        if bucket.adjusted:
            raise ConfigurationError(
                f"{limit}: {storage} cannot give back what was charged; take count= away, or use redis://"
            )

    async def close(self) -> None:
        """Drop this loop's connections, which close with their storage."""
        if self._limiters:
            self._limiters.pop(asyncio.get_running_loop(), None)
            self._limiters = living(self._limiters)

    def _asked(self, charge: Charge) -> tuple[Any, RateLimitItemPerSecond, tuple[str, str]]:
        bucket, who, _ = charge
        limiters = self._here()
        limiter = limiters.sliding if bucket.limit.strategy == "sliding" else limiters.fixed
        item = RateLimitItemPerSecond(bucket.limit.amount, bucket.limit.seconds, namespace=self._prefix)
        # Digests, because `limits` joins names by "/" and memcached takes neither spaces nor long keys.
        return limiter, item, (digest(repr((bucket.scope, bucket.limit.strategy))), digest(who))

    def _here(self) -> _Limiters:
        loop = asyncio.get_running_loop()
        found = self._limiters.get(loop)
        if found is None:
            self._limiters = living(self._limiters)
            storage = open_limits_storage(self._url)
            sliding = SlidingWindowCounterRateLimiter(storage) if _slides(storage) else None
            found = self._limiters[loop] = _Limiters(FixedWindowRateLimiter(storage), sliding)
        return found

    async def _standing(
        self, limiter: Any, item: RateLimitItemPerSecond, names: tuple[str, str], passed: bool
    ) -> Standing:
        stats = await limiter.get_window_stats(item, *names)
        # Its clock is the time of day, and it rounds; a second more is never too early.
        seconds = max(0.0, stats.reset_time - time()) + (0 if passed else 1)
        return passed, max(0, stats.remaining), seconds, 0.0


def _slides(storage: Storage) -> bool:
    return isinstance(storage, SlidingWindowCounterSupport)
