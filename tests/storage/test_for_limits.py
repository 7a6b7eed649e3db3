"""Code that is written against `limits` can count in our memory."""

from __future__ import annotations

import pytest
from limits import parse
from limits.aio.strategies import FixedWindowRateLimiter
from limits.storage import storage_from_string

from gatewright._core.storage.contract import Bucket
from gatewright._core.storage.for_limits import MemoryStorage
from gatewright._core.storage.limit import Limit
from gatewright._core.storage.memory import MemoryStore
from gatewright.testing import FrozenClock


@pytest.mark.anyio
async def test_code_written_against_limits_counts_in_our_memory() -> None:
    """The fixed window strategy of `limits` works on our store, on trio too, and its windows end when they say."""
    clock = FrozenClock()
    storage = storage_from_string("async+gatewright+memory://", clock=clock)  # type: ignore[arg-type]  # an option of ours
    assert isinstance(storage, MemoryStorage)
    limiter, item = FixedWindowRateLimiter(storage), parse("2/minute")
    assert await limiter.get_window_stats(item, "ann") == (clock.time(), 2)
    assert [await limiter.hit(item, "ann") for _ in range(3)] == [True, True, False]
    assert await limiter.hit(item, "bob")
    assert await limiter.get_window_stats(item, "bob") == (clock.time() + 60, 1)
    assert not await limiter.test(item, "ann")
    await limiter.clear(item, "ann")
    assert await limiter.test(item, "ann")
    clock.advance(60)
    assert await limiter.get_window_stats(item, "bob") == (clock.time(), 2)


@pytest.mark.anyio
async def test_code_written_against_limits_can_share_a_store() -> None:
    """Given a gate's store, it counts there, beside the gate's own limits and never in their buckets."""
    store = MemoryStore(FrozenClock())
    storage = MemoryStorage(store=store)
    await FixedWindowRateLimiter(storage).hit(parse("2/minute"), "ann")
    store.hit([(Bucket(Limit(60_000, 2), "posts"), "ann", 1)])
    assert len(store) == 2
    assert await storage.check()
    assert await storage.reset() == 2
    assert len(store) == 0
    assert storage.base_exceptions == ()


@pytest.mark.anyio
async def test_a_negative_cost_gives_back_and_no_more_than_was_taken() -> None:
    """limits 5.8: a cost of -3 on a full 10 leaves 13; here there are 10, and a cost of 0 begins no window."""
    clock = FrozenClock()
    storage = MemoryStorage(store=MemoryStore(clock), clock=clock)
    limiter, item = FixedWindowRateLimiter(storage), parse("10/minute")
    await limiter.hit(item, "ann", cost=-3)
    await limiter.hit(item, "ann", cost=0)
    assert await limiter.get_window_stats(item, "ann") == (clock.time(), 10)
    await limiter.hit(item, "ann", cost=4)
    await limiter.hit(item, "ann", cost=-3)
    assert await limiter.get_window_stats(item, "ann") == (clock.time() + 60, 9)
