"""The store in memory: bounded, without a sweep, and never kind to a flood; what it counts is in `test_exact_log`."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gatewright._core.storage.contract import Bucket, Charge, Standing
from gatewright._core.storage.limit import Limit, parse_limits
from gatewright._core.storage.memory import MemoryStore
from gatewright.testing import FrozenClock

# Each allows two at once, and one more is there when a minute is over.
TWO = {"fixed": "2/minute", "sliding": "2/minute sliding", "gcra": "2/minute burst 2"}


@pytest.fixture(params=TWO)
def two(request: pytest.FixtureRequest) -> str:
    """Run a test for each strategy."""
    return TWO[str(request.param)]


def charge(text: str, who: str = "ann", scope: str = "posts", cost: int = 1, **flags: bool) -> Charge:
    (limit,) = parse_limits(text)
    return Bucket(limit, scope, **flags), who, cost


def left(standings: list[Standing]) -> list[tuple[bool, int]]:
    return [(allowed, remaining) for allowed, remaining, _, _ in standings]


# One decision


def test_a_fixed_window_starts_with_the_first_hit_and_ends_on_time() -> None:
    """Two a minute: two pass, the third does not until the full minute is over, to the instant."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    clock.advance(7)
    assert store.hit([charge("2/minute")])[0][:3] == (True, 1, 60)
    clock.advance(20)
    assert store.hit([charge("2/minute")])[0][:3] == (True, 0, 40)
    assert store.hit([charge("2/minute")])[0][:3] == (False, 0, 40)
    clock.advance(39.999)
    assert store.hit([charge("2/minute")])[0][0] is False
    clock.advance(0.001)
    assert store.hit([charge("2/minute")])[0][:3] == (True, 1, 60)


def test_a_sliding_window_counts_the_part_of_the_one_before() -> None:
    """Ten in the first minute count as five after half of the second, and as none after it."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    assert store.hit([charge("10/minute sliding", cost=10)])[0][:3] == (True, 0, 120)
    assert store.hit([charge("10/minute sliding")])[0][:3] == (False, 0, 66)
    clock.advance(90)
    assert store.look([charge("10/minute sliding")])[0][:3] == (True, 5, 30)
    clock.advance(30)
    assert store.look([charge("10/minute sliding")])[0][:3] == (True, 10, 0)


def test_an_allowance_refills_evenly() -> None:
    """Six a minute and three at once: after the burst one more every ten seconds, and no more than three are saved."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    assert store.hit([charge("6/minute burst 3", cost=3)])[0][:3] == (True, 0, 30)
    assert store.hit([charge("6/minute burst 3")])[0][:3] == (False, 0, 10)
    assert store.hit([charge("6/minute burst 3", cost=2)])[0][:3] == (False, 0, 20)
    clock.advance(10)
    assert store.hit([charge("6/minute burst 3")])[0][:3] == (True, 0, 30)
    clock.advance(1000)
    assert store.look([charge("6/minute burst 3")])[0][:3] == (True, 3, 0)


@pytest.mark.parametrize("text", ["700/second burst 700", "3000000/second burst 50", "7/minute burst 7"])
def test_fractions_of_a_microsecond_do_not_add_up(text: str) -> None:
    """The burst is exactly what passes at once, however little of a microsecond one call takes to refill."""
    store = MemoryStore(FrozenClock())
    burst = charge(text)[0].limit.burst
    assert sum(store.hit([charge(text)])[0][0] for _ in range(burst + 5)) == burst


def test_buckets_differ_by_caller_scope_and_limit(two: str) -> None:
    """A caller's spending is his own, and a scope's is its own; no concatenation makes two of them one."""
    store = MemoryStore(FrozenClock())
    spent = {("a", "bc"), ("ab", "c"), ("a", "b"), ("", "abc")}
    assert {store.hit([charge(two, who, scope)])[0][1] for scope, who in spent} == {1}
    assert {store.hit([charge(text, "bc", "a")])[0][1] for text in TWO.values() if text != two} == {1}


@pytest.mark.parametrize("hour", ["100/hour", "100/hour sliding", "100/hour burst 100"])
def test_story_a_refused_call_burns_no_other_limit(hour: str, two: str) -> None:
    """slowapi, measured: of "100/hour;1/minute" six calls are charged to the hour while one is served."""
    store = MemoryStore(FrozenClock())
    for who, turned in (("ann", False), ("bob", True)):
        charges = [charge(hour, who), charge(two, who, cost=2)]
        answers = [store.hit(charges[::-1] if turned else charges) for _ in range(6)]
        assert [all(allowed for allowed, *_ in answer) for answer in answers] == [True] + [False] * 5
        assert sorted(left(answers[-1])) == [(False, 0), (True, 99)]


@pytest.mark.parametrize("hour", ["5/hour", "5/hour sliding", "5/hour burst 5"])
def test_a_refused_first_call_starts_nothing(hour: str) -> None:
    """What a refusal gives back was never taken: the bucket is full, nothing is kept, and no window has begun."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    store.hit([charge("1/minute")])
    assert store.hit([charge(hour), charge("1/minute")])[0][:3] == (True, 5, 0)
    assert len(store) == 1
    clock.advance(100)
    assert store.hit([charge(hour)])[0][:2] == (True, 4)


@pytest.mark.parametrize("ten", ["10/minute", "10/minute sliding", "10/minute burst 10"])
def test_story_a_refused_cost_burns_nothing(ten: str) -> None:
    """limits 5.8: a refused hit of cost 8 with 5 left takes the 5."""
    store = MemoryStore(FrozenClock())
    assert left(store.hit([charge(ten, cost=5)])) == [(True, 5)]
    assert left(store.hit([charge(ten, cost=8)])) == [(False, 5)]
    assert left(store.hit([charge(ten, cost=5)])) == [(True, 0)]


def test_refused_calls_pay_where_that_is_asked_for(two: str) -> None:
    """A penal bucket takes what is there from a call that is refused, whichever limit refused it."""
    store = MemoryStore(FrozenClock())
    store.hit([charge("1/day")])
    assert left(store.hit([charge(two, penal=True), charge("1/day")])) == [(True, 1), (False, 0)]
    assert left(store.hit([charge(two, cost=2, penal=True)])) == [(False, 0)]
    assert left(store.look([charge(two)])) == [(False, 0)]


def test_a_shadow_decides_and_refuses_nobody(two: str) -> None:
    """What a shadow would refuse is charged to the other limits, and not to it."""
    store = MemoryStore(FrozenClock())
    for passes, remaining in ((True, 1), (True, 0), (False, 0)):
        standings = store.hit([charge(two, shadow=True), charge("9/day")])
        assert left(standings)[0] == (passes, remaining)
    assert left(standings)[1] == (True, 6)


def test_looking_takes_nothing(two: str) -> None:
    """A look says how a bucket stands, and whether it would pay, as often as it is asked."""
    store = MemoryStore(FrozenClock())
    assert store.look([charge(two)])[0][:3] == (True, 2, 0)
    assert len(store) == 0
    store.hit([charge(two, cost=2)])
    assert [left(store.look([charge(two)])) for _ in range(3)] == [[(False, 0)]] * 3
    assert store.barred(charge(two)) == store.look([charge(two)])[0]
    assert store.barred(charge(two, "bob")) is None


def test_a_change_stays_within_nothing_and_all(two: str) -> None:
    """More than was spent cannot be given back, and no more can be added than there is to spend."""
    store = MemoryStore(FrozenClock())
    bucket, who, _ = charge(two)
    ((_, _, _, mark),) = store.hit([(bucket, who, 1)])
    store.adjust([(bucket, who, 99, mark)])
    assert left(store.look([(bucket, who, 1)])) == [(False, 0)]
    store.adjust([(bucket, who, -99, mark)])
    assert left(store.look([(bucket, who, 1)]))[0][0] is True


def test_what_was_spent_in_a_window_that_is_over_is_not_given_back(two: str) -> None:
    """A refund that comes late gives nothing to whoever spends now."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    bucket, who, _ = charge(two)
    ((_, _, _, mark),) = store.hit([(bucket, who, 2)])
    clock.advance(150)
    store.hit([(bucket, who, 2)])
    store.adjust([(bucket, who, -2, mark)])
    assert left(store.look([(bucket, who, 1)])) == [(False, 0)]


def test_a_window_of_which_all_was_given_back_has_not_begun() -> None:
    """What is added to a charge after that finds no window, not even at the same instant."""
    store = MemoryStore(FrozenClock())
    bucket, who, _ = charge("2/minute")
    ((_, _, _, mark),) = store.hit([(bucket, who, 1)])
    store.adjust([(bucket, who, -1, mark)])
    store.adjust([(bucket, who, 1, mark)])
    assert store.look([(bucket, who, 1)])[0][:3] == (True, 2, 0)
    assert len(store) == 0


def test_an_allowance_is_not_given_back_twice() -> None:
    """Half of what a call took has refilled by itself, so only the other half is given back."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    bucket, who, _ = charge("6/minute burst 6")
    ((_, _, _, mark),) = store.hit([(bucket, who, 4)])
    clock.advance(20)
    store.hit([(bucket, who, 4)])
    store.adjust([(bucket, who, -4, mark)])
    assert store.look([(bucket, who, 1)])[0][:3] == (True, 2, 40)


@pytest.mark.parametrize("text", ["4/minute", "4/minute sliding", "4/minute burst 8"])
def test_what_lies_in_the_stale_generation_counts_on(text: str) -> None:
    """It is seen, changed and forgotten there, without a copy that comes back."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    bucket, who, _ = charge(text)
    capacity = bucket.limit.capacity
    clock.advance(59)
    if bucket.limit.strategy == "gcra":
        clock.advance(60)
    ((_, _, _, mark),) = store.hit([(bucket, who, capacity)])
    clock.advance(2)
    spent = capacity - left(store.look([(bucket, who, 1)]))[0][1]
    assert spent >= capacity - 1
    store.adjust([(bucket, who, -capacity, mark)])
    assert left(store.look([(bucket, who, 1)])) == [(True, capacity)]
    assert len(store) == 0


def test_a_bucket_can_be_forgotten_and_so_can_all(two: str) -> None:
    """A forgotten bucket is full; the others are as they were until everything is cleared."""
    store = MemoryStore(FrozenClock())
    for who in ("ann", "bob"):
        store.hit([charge(two, who, cost=2)])
    store.forget([charge(two), charge(two, "nobody")])
    assert [left(store.look([charge(two, who)]))[0][1] for who in ("ann", "bob")] == [2, 0]
    store.clear()
    assert left(store.look([charge(two, "bob")])) == [(True, 2)]


def test_every_limit_can_be_counted(two: str) -> None:
    """Memory has no limit that it would have to refuse when a gate is bound."""
    MemoryStore(FrozenClock()).check(charge(two)[0])


# What it keeps


def test_story_ended_windows_leave_without_a_sweep(two: str) -> None:
    """limits 5.8 sweeps all keys on nearly every hit; here a generation ends whole, and goes with the next calls."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    for n in range(1000):
        store.hit([charge(two, str(n))])
    assert len(store) == 1000
    clock.advance(60)
    store.hit([charge(two)])
    assert len(store) == 1001
    clock.advance(60)
    store.hit([charge(two, "bob")])
    assert len(store) == 2
    clock.advance(10_000)
    store.hit([charge(two)])
    assert repr(store) == "<MemoryStore keys=1>"


def test_what_has_ended_is_let_go_a_little_at_a_time(two: str) -> None:
    """No call pays for the flood before it: each drops a drawer or two, and soon nothing is left."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    for n in range(5000):
        store.hit([charge(two, str(n))])
    clock.advance(1000)
    (shelf,) = store._shelves.values()
    ended: list[int] = []
    for n in range(40):
        store.hit([charge(two, f"new {n}")])
        ended.append(sum(map(len, shelf._ended)))
    drops = [before - after for before, after in zip([5000, *ended], ended, strict=False)]
    assert max(drops) < 5000 // 10
    assert ended[-1] == 0


def test_a_window_survives_the_change_of_generations() -> None:
    """A window that began late in one generation is not forgotten in the next, and is kept once."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    store.hit([charge("2/minute", "early")])
    clock.advance(59)
    store.hit([charge("2/minute")])
    clock.advance(2)
    assert store.hit([charge("2/minute")])[0][:3] == (True, 0, 58)
    assert store.hit([charge("2/minute")])[0][:3] == (False, 0, 58)
    assert len(store) == 2


def test_story_a_flood_of_addresses_neither_fills_the_memory_nor_frees_the_blocked(two: str) -> None:
    """throttled-py and fastapi-guard evict the oldest key, so an attacker flushes himself out with other addresses."""
    store = MemoryStore(FrozenClock(), max_keys=100)
    store.hit([charge(two, "attacker", cost=2)])
    for n in range(20_000):
        store.hit([charge(two, f"flood {n}")])
    assert store.hit([charge(two, "attacker")])[0][0] is False
    assert len(store) <= 128 + 1024
    assert store.hit([charge(two, "one more")])[0][0] is False, "newcomers of a flood share what it spent"


def test_a_flood_on_one_scope_leaves_the_others_their_coarse_buckets(two: str) -> None:
    """Who comes late to another scope does not pay for the flood on the first."""
    store = MemoryStore(FrozenClock(), max_keys=100)
    for n in range(20_000):
        store.hit([charge(two, f"flood {n}")])
    assert left(store.hit([charge(two, scope="other")])) == [(True, 1)]
    late = charge(two, scope="late")
    size = len(store)
    assert left(store.hit([late, charge(two, "one more")]))[0] == (True, 2), "a coarse bucket gets back what it gave"
    assert len(store) == size


def test_no_task_and_no_thread_is_started(two: str) -> None:
    """limits 5.8 starts a task on nearly every hit, or a thread; the sync store needs no event loop at all."""

    async def many() -> int:
        for n in range(200):
            store.hit([charge(two, str(n))])
        return len(asyncio.all_tasks())

    store = MemoryStore()
    threads = threading.active_count()
    assert asyncio.run(many()) == 1
    assert asyncio.run(many()) == 1, "and no event loop owns it"
    assert threading.active_count() == threads


def test_the_longest_limit_is_counted_exactly() -> None:
    """A hundred years and the largest amount: nothing overflows into the start of the window."""
    clock = FrozenClock()
    clock.advance(1_800_000_000)
    store = MemoryStore(clock)
    limit = Limit(100 * 31_104_000_000, 999_999_999_999_999)
    ((_, remaining, seconds, _),) = store.hit([(Bucket(limit, "a"), "ann", limit.amount - 1)])
    assert (remaining, seconds) == (1, 100 * 31_104_000)
    assert left(store.hit([(Bucket(limit, "a"), "ann", 2)])) == [(False, 1)]
    assert left(store.hit([(Bucket(limit, "a"), "ann", 1)])) == [(True, 0)]
