"""Storage: limit strings that mean what they say, and a store that is exact, bounded and all-or-nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from limits import parse
from limits.aio.strategies import FixedWindowRateLimiter
from limits.storage import storage_from_string

from gatewright._core.buckets import Charge, Limit, MemoryStore, Standing
from gatewright._core.storage import MemoryStorage, open_store, parse_limits
from gatewright.errors import ConfigurationError
from gatewright.testing import FrozenClock

MINUTE = Limit(60, 2)


def charge(limit: Limit = MINUTE, scope: str = "posts", cost: int = 1) -> Charge:
    return Charge(limit, scope, cost)


def store_at(clock: FrozenClock, max_keys: int = 1_000_000) -> MemoryStore:
    return MemoryStore(clock, max_keys=max_keys)


# Limit strings


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("100/minute", [Limit(60, 100)]),
        ("100 per minute", [Limit(60, 100)]),
        ("5/10 seconds", [Limit(10, 5)]),
        ("100/minute; 5/second", [Limit(1, 5), Limit(60, 100)]),
        ("5/second,100/minute | 9/day", [Limit(1, 5), Limit(60, 100), Limit(86_400, 9)]),
        ("60/minute; 60/60 second", [Limit(60, 60)]),
    ],
)
def test_limit_strings_are_those_of_limits(text: str, limits: list[Limit]) -> None:
    """The vocabulary of `limits` is kept: shortest window first, and each limit once however it is written."""
    assert parse_limits(text) == tuple(limits)


@pytest.mark.parametrize("text", ["1/minuet", "100", "", "minute/100", "1/minute;", "1/minute 5/second", "x" * 9999])
def test_story_a_typo_does_not_switch_the_limit_off(text: str) -> None:
    """slowapi, measured: "1/minuet" is logged and nothing is limited; here it raises, and says what to write."""
    with pytest.raises(ConfigurationError, match="is no rate limit; write an amount") as caught:
        parse_limits(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "0/minute",
        "5/0minute",
        "5/00 minutes",
        "5 per 0 minute",
        "1/minute:;5/second",
        "1/minute:",
        "1000000000000000/minute",
        "1/9999999999999 days",
        "9" * 5000 + "/minute",
    ],
)
def test_story_what_limits_lets_through_is_refused(text: str) -> None:
    """limits 5.8: "0/minute" blocks for good, "5/0minute" is "5/minute", and strange separators pass."""
    with pytest.raises(ConfigurationError, match="is no rate limit"):
        parse_limits(text)


@pytest.mark.parametrize("thing", [None, 100, b"100/minute", ["100/minute"], len])
def test_what_is_not_a_string_is_refused(thing: object) -> None:
    """A forgotten pair of parentheses hands the handler over as the limit."""
    with pytest.raises(ConfigurationError, match="is no rate limit"):
        parse_limits(thing)


@given(st.text(alphabet="0123456789/ perscondmiuthayg;,|:\n", max_size=30))
def test_any_string_is_limits_or_refused(text: str) -> None:
    """There is no third outcome, and what was understood reads back as itself."""
    try:
        limits = parse_limits(text)
    except ConfigurationError:
        return
    assert limits and all(limit.amount > 0 and limit.seconds > 0 for limit in limits)
    assert parse_limits("; ".join(map(str, limits))) == limits


@pytest.mark.parametrize("text", ["100/minute", "5/10 seconds", "1/2 days", "7/month", "90/90 seconds", "3/year"])
def test_a_limit_is_written_in_its_largest_unit(text: str) -> None:
    """The text of a limit follows from what it allows, so that equal limits have equal names."""
    assert str(parse_limits(text)[0]) == text
    assert str(Limit(120, 5)) == "5/2 minutes"


# The store in memory


def test_a_window_starts_with_the_first_hit_and_ends_on_time() -> None:
    """Two a minute: two pass, the third does not until the full minute is over, to the instant."""
    clock = FrozenClock()
    store = store_at(clock)
    clock.advance(7)
    assert store.hit([(charge(), "ann")]) == [(True, 1, 60)]
    clock.advance(20)
    assert store.hit([(charge(), "ann")]) == [(True, 0, 40)]
    assert store.hit([(charge(), "ann")]) == [(False, 0, 40)]
    clock.advance(39.999)
    assert store.hit([(charge(), "ann")])[0][0] is False
    clock.advance(0.001)
    assert store.hit([(charge(), "ann")]) == [(True, 1, 60)]


def test_buckets_differ_by_caller_and_by_scope() -> None:
    """A caller's spending is his own, and a scope's is its own; no concatenation makes two of them one."""
    store = store_at(FrozenClock())
    spent = {("a", "bc"), ("ab", "c"), ("a", "b"), ("", "abc")}
    assert {store.hit([(charge(scope=scope), who)])[0][1] for scope, who in spent} == {1}


def test_story_a_refused_call_burns_no_other_limit() -> None:
    """slowapi, measured: of "100/hour;1/minute" six calls are charged to the hour while one is served."""
    store = store_at(FrozenClock())
    hour, minute = charge(Limit(3600, 100)), charge(Limit(60, 1))
    for order in ([(hour, "ann"), (minute, "ann")], [(minute, "bob"), (hour, "bob")]):
        answers = [store.hit(order) for _ in range(6)]
        assert [all(allowed for allowed, _, _ in answer) for answer in answers] == [True] + [False] * 5
        assert sorted(answers[-1]) == [(False, 0, 60), (True, 99, 3600)]


def test_a_refused_first_call_starts_no_window() -> None:
    """What a refusal gives back was never taken: the bucket is full, and its window has not begun."""
    clock = FrozenClock()
    store = store_at(clock)
    store.hit([(charge(Limit(60, 1)), "ann")])
    assert store.hit([(charge(Limit(3600, 5)), "ann"), (charge(Limit(60, 1)), "ann")])[0] == (True, 5, 0)
    clock.advance(100)
    assert store.hit([(charge(Limit(3600, 5)), "ann")]) == [(True, 4, 3600)]


def test_story_a_refused_cost_burns_nothing() -> None:
    """limits 5.8: a refused hit of cost 8 with 5 left takes the 5."""
    store = store_at(FrozenClock())
    ten = Limit(60, 10)
    assert store.hit([(charge(ten, cost=5), "ann")]) == [(True, 5, 60)]
    assert store.hit([(charge(ten, cost=8), "ann")]) == [(False, 5, 60)]
    assert store.hit([(charge(ten, cost=5), "ann")]) == [(True, 0, 60)]


def test_looking_takes_nothing() -> None:
    """A look says how a bucket stands, and whether it would pay, as often as it is asked."""
    store = store_at(FrozenClock())
    assert store.look([(charge(), "ann")]) == [(True, 2, 0)]
    store.hit([(charge(cost=2), "ann")])
    assert [store.look([(charge(), "ann")]) for _ in range(3)] == [[(False, 0, 60)]] * 3


def test_a_bucket_can_be_forgotten_and_so_can_all() -> None:
    """A forgotten bucket is full; the others are as they were until everything is cleared."""
    store = store_at(FrozenClock())
    for who in ("ann", "bob"):
        store.hit([(charge(cost=2), who)])
    store.forget(charge(), "ann")
    store.forget(charge(), "nobody")
    assert [store.look([(charge(), who)])[0][1] for who in ("ann", "bob")] == [2, 0]
    store.clear()
    assert store.look([(charge(), "bob")])[0][1] == 2


def test_story_ended_windows_leave_without_a_sweep() -> None:
    """limits 5.8 sweeps all keys on nearly every hit; here a generation is dropped whole once its windows ended."""
    clock = FrozenClock()
    store = store_at(clock)
    for n in range(1000):
        store.hit([(charge(), str(n))])
    assert len(store) == 1000
    clock.advance(60)
    store.hit([(charge(), "ann")])
    assert len(store) == 1001
    clock.advance(60)
    store.hit([(charge(), "bob")])
    assert len(store) == 2
    clock.advance(10_000)
    store.hit([(charge(), "ann")])
    assert repr(store) == "<MemoryStore keys=1>"


def test_a_window_survives_the_change_of_generations() -> None:
    """A window that began late in one generation is not forgotten in the next, and is kept once."""
    clock = FrozenClock()
    store = store_at(clock)
    store.hit([(charge(), "early")])
    clock.advance(59)
    store.hit([(charge(), "ann")])
    clock.advance(2)
    assert store.hit([(charge(), "ann")]) == [(True, 0, 58)]
    assert store.hit([(charge(), "ann")]) == [(False, 0, 58)]
    assert len(store) == 2


def test_story_a_flood_of_addresses_neither_fills_the_memory_nor_frees_the_blocked() -> None:
    """throttled-py and fastapi-guard evict the oldest key, so an attacker flushes himself out with other addresses."""
    store = store_at(FrozenClock(), max_keys=100)
    store.hit([(charge(cost=2), "attacker")])
    for n in range(20_000):
        store.hit([(charge(), f"flood {n}")])
    assert store.hit([(charge(), "attacker")])[0][0] is False
    assert len(store) <= 100 + 1024
    assert store.hit([(charge(), "one more")])[0][0] is False, "newcomers of a flood share what it spent"


def test_a_flood_on_one_scope_leaves_the_others_their_coarse_buckets() -> None:
    """Who comes late to another scope does not pay for the flood on the first."""
    store = store_at(FrozenClock(), max_keys=100)
    for n in range(20_000):
        store.hit([(charge(), f"flood {n}")])
    assert store.hit([(charge(scope="other"), "ann")]) == [(True, 1, 60)]
    late, refused = charge(Limit(60, 5), scope="late"), charge()
    assert store.hit([(late, "ann"), (refused, "ann")])[0] == (True, 5, 0), (
        "a coarse bucket gets back what it gave, too"
    )


def test_memory_is_the_one_store_there_is_and_a_password_is_not_repeated() -> None:
    """Another scheme is refused, by its name only: the URL may hold a password."""
    assert isinstance(open_store("memory://", FrozenClock()), MemoryStore)
    with pytest.raises(ConfigurationError, match=r'write "memory://"') as caught:
        open_store("redis://user:hunter2@db/0", FrozenClock())
    assert "hunter2" not in str(caught.value)


@dataclass
class Naive:
    """The store as one would write it without a thought for speed."""

    windows: dict[tuple[int, str, str], tuple[float, int]] = field(
        default_factory=dict["tuple[int, str, str]", "tuple[float, int]"]
    )

    def hit(self, charges: list[tuple[Charge, str]], now: float) -> list[Standing]:
        states = [(one, self.state(one, who, now), (one.limit.seconds, one.scope, who)) for one, who in charges]
        if all(used + one.cost <= one.limit.amount for one, (_, used), _ in states):
            for one, (started_at, used), key in states:
                self.windows[key] = started_at, used + one.cost
            return [self.standing(one, who, now, True) for one, who in charges]
        return [
            self.standing(one, who, now, used + one.cost <= one.limit.amount)
            for (one, who), (_, (_, used), _) in zip(charges, states, strict=True)
        ]

    def state(self, one: Charge, who: str, now: float) -> tuple[float, int]:
        started_at, used = self.windows.get((one.limit.seconds, one.scope, who), (now, 0))
        return (now, 0) if now - started_at >= one.limit.seconds else (started_at, used)

    def standing(self, one: Charge, who: str, now: float, allowed: bool) -> Standing:
        started_at, used = self.state(one, who, now)
        return allowed, one.limit.amount - used, one.limit.seconds - (now - started_at) if used else 0.0


WINDOWS = {"a": Limit(4, 3), "b": Limit(4, 2), "c": Limit(10, 5), "d": Limit(25, 9)}


class StoreMachine(RuleBasedStateMachine):
    """Any course of hits and pauses, in the store and in the naive one; and each hit in a shuffled order as well."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock()
        self.store, self.shuffled, self.naive = MemoryStore(self.clock), MemoryStore(self.clock), Naive()

    @rule(
        scopes=st.lists(st.sampled_from(sorted(WINDOWS)), min_size=1, max_size=4, unique=True),
        whos=st.lists(st.sampled_from(["ann", "bob"]), min_size=4, max_size=4),
        cost=st.integers(min_value=1, max_value=3),
        data=st.data(),
    )
    def hit(self, scopes: list[str], whos: list[str], cost: int, data: st.DataObject) -> None:
        charges = [
            (Charge(WINDOWS[s], s, min(cost, WINDOWS[s].amount)), who) for s, who in zip(scopes, whos, strict=False)
        ]
        expected = self.naive.hit(charges, self.clock.monotonic())
        assert self.store.hit(charges) == expected
        order = data.draw(st.permutations(range(len(charges))))
        answer = self.shuffled.hit([charges[n] for n in order])
        assert [answer[order.index(n)] for n in range(len(charges))] == expected

    @rule(quarters=st.integers(min_value=1, max_value=120))
    def wait(self, quarters: int) -> None:
        # Quarters of a second are exact in binary, so that both stores see an end at the same instant.
        self.clock.advance(quarters / 4)

    @invariant()
    def keeps_each_window_once(self) -> None:
        assert len(self.store) <= len(WINDOWS) * 2


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# Code that is written against `limits`


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
    store.hit([(charge(), "ann")])
    assert len(store) == 2
    assert await storage.check()
    assert await storage.reset() == 2
    assert len(store) == 0
    assert storage.base_exceptions == ()
