"""What holds while the storage does not answer, and what is not even asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright._core.storage.contract import Claimed, Standing
from gatewright._core.storage.line import Line
from gatewright._core.storage.local import LocalLeases, LocalRecords
from gatewright._core.storage.resilient import ResilientLeases, ResilientRecords, ResilientStore
from gatewright.errors import ServiceUnavailable
from gatewright.testing import FrozenClock
from tests.storage.kit import Events, FakeStore, allowed, charge

pytestmark = pytest.mark.anyio

REFUSED: list[Standing] = [(False, 0, 30.0, 7.0)]


@pytest.fixture
def anyio_backend() -> str:
    """What stands behind runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def line(clock: FrozenClock) -> Line:
    return Line("redis", 5.0, 2.5, clock, Events())


@pytest.fixture
def far() -> FakeStore:
    return FakeStore()


@pytest.fixture
def store(far: FakeStore, line: Line, clock: FrozenClock) -> ResilientStore:
    return ResilientStore(far, line, clock, 1.0)


def _hits(far: FakeStore) -> int:
    return sum(how == "hit" for how, _ in far.asked)


async def test_while_the_store_answers_its_word_counts(store: ResilientStore, far: FakeStore) -> None:
    """Decisions, looks, changes and checks are passed on as they are."""
    one = charge("5/minute")
    assert await store.hit([one]) == [(True, 1, 1.0, 7.0)]
    assert await store.look([one]) == [(True, 1, 1.0, 7.0)]
    await store.adjust([(one[0], "ann", -1, 7.0)])
    await store.forget([one])
    store.check(one[0])
    assert far.asked == [
        ("hit", [one]),
        ("look", [one]),
        ("adjust", [(one[0], "ann", -1, 7.0)]),
        ("forget", [one]),
        ("check", [one[0]]),
    ]
    assert repr(store) == "<ResilientStore <Line redis up>>"


async def test_nothing_to_decide_is_no_probe(store: ResilientStore, far: FakeStore, clock: FrozenClock) -> None:
    """A call without limits says nothing about the store, and asks it nothing."""
    far.answer = OSError()
    await store.hit([charge("5/minute")])
    clock.advance(2.5)
    assert await store.hit([]) == []
    assert await store.look([]) == []
    await store.forget([])
    await store.adjust([])
    assert _hits(far) == 1
    assert repr(store) == "<ResilientStore <Line redis down>>"


# While it is down


async def test_local_limits_hold(store: ResilientStore, far: FakeStore) -> None:
    """The default: this process counts by itself, and refuses."""
    far.answer = OSError()
    found = [(await store.hit([charge("3/minute")]))[0] for _ in range(5)]
    assert [standing[0] for standing in found] == [True, True, True, False, False]
    assert [standing[1] for standing in found] == [2, 1, 0, 0, 0]
    assert (await store.look([charge("3/minute")]))[0][:2] == (False, 0)


async def test_open_limits_let_pass_and_say_nothing(store: ResilientStore, far: FakeStore) -> None:
    """What nobody counts is marked with -1, so that no header claims to know it."""
    far.answer = OSError()
    for _ in range(5):
        assert await store.hit([charge("1/minute", on_error="open")]) == [(True, -1, 0.0, -1.0)]
        assert await store.look([charge("1/minute", on_error="open")]) == [(True, -1, 0.0, -1.0)]


@pytest.mark.parametrize("how", ["hit", "look"])
async def test_closed_limits_refuse(store: ResilientStore, far: FakeStore, how: str) -> None:
    """503, told apart from a 429, with the time after which the store is asked again."""
    far.answer = OSError()
    with pytest.raises(ServiceUnavailable) as caught:
        await getattr(store, how)([charge("1/minute", on_error="closed")])
    error = caught.value
    assert error.headers == {"Retry-After": "3"}
    assert error.problem_type.endswith("#temporary-reduced-capacity")
    assert error.reason == "the storage does not answer"


async def test_a_closed_limit_is_asked_before_others_pay(store: ResilientStore, far: FakeStore) -> None:
    """A call that is refused is charged nowhere, in memory either."""
    far.answer = OSError()
    with pytest.raises(ServiceUnavailable):
        await store.hit([charge("3/minute"), charge("9/minute", on_error="closed")])
    assert (await store.look([charge("3/minute")]))[0][1] == 3


async def test_a_mix_decides_each_by_its_own_word(store: ResilientStore, far: FakeStore) -> None:
    """Local ones count, all of them or none, and open ones pass; the order of the charges is kept."""
    far.answer = OSError()
    charges = [charge("9/minute"), charge("1/minute", on_error="open"), charge("1/minute")]
    found = [await store.hit(charges) for _ in range(3)]
    assert [allowed(standings) for standings in found] == [[True, True, True], [True, True, False], [True, True, False]]
    assert [standings[0][1] for standings in found] == [8, 8, 8]


@pytest.mark.parametrize(
    ("share", "text", "passing"),
    [(0.25, "8/minute", 2), (0.25, "3/minute", 1), (0.5, "8/minute burst 4", 2), (0.001, "100/minute", 1)],
)
async def test_a_process_grants_its_share(
    far: FakeStore, line: Line, clock: FrozenClock, share: float, text: str, passing: int
) -> None:
    """Four workers with a quarter each grant together what one store did; one is granted always."""
    store = ResilientStore(far, line, clock, share)
    far.answer = OSError()
    found = [allowed(await store.hit([charge(text)]))[0] for _ in range(10)]
    assert found == [True] * passing + [False] * (10 - passing)


async def test_a_cost_above_the_share_can_be_paid(far: FakeStore, line: Line, clock: FrozenClock) -> None:
    """What one call may cost, it may cost during an outage too: all of the share."""
    store = ResilientStore(far, line, clock, 0.25)
    far.answer = OSError()
    found = [allowed(await store.hit([charge("8/minute", cost=8)]))[0] for _ in range(2)]
    assert found == [True, False]


async def test_after_the_outage_the_store_is_asked_again(
    store: ResilientStore, far: FakeStore, clock: FrozenClock
) -> None:
    """What was counted here meanwhile no longer matters."""
    far.answer = OSError()
    for _ in range(3):
        await store.hit([charge("3/minute")])
    far.answer = None
    assert allowed(await store.hit([charge("3/minute")])) == [False]
    clock.advance(2.5)
    assert await store.hit([charge("3/minute")]) == [(True, 1, 1.0, 7.0)]


# Changes


async def test_a_change_goes_where_the_charge_was(store: ResilientStore, far: FakeStore, clock: FrozenClock) -> None:
    """What was counted here is given back here, though the store answers again; and the other way round."""
    one = charge("5/minute", adjusted=True)
    ((_, _, _, there),) = await store.hit([one])
    far.answer = OSError()
    ((_, _, _, here),) = await store.hit([one])
    far.answer = None
    clock.advance(2.5)
    far.asked.clear()
    await store.adjust([(one[0], "ann", -1, here)])
    assert far.asked == []
    await store.adjust([(one[0], "ann", -1, there), (one[0], "ann", 1, here)])
    assert far.asked == [("adjust", [(one[0], "ann", -1, there)])]


async def test_changes_are_counted_here(far: FakeStore, line: Line, clock: FrozenClock) -> None:
    """A refund of what this process granted can be spent again, within its share."""
    store = ResilientStore(far, line, clock, 0.5)
    far.answer = OSError()
    one = charge("4/minute", adjusted=True)
    marks = [(await store.hit([one]))[0][3] for _ in range(2)]
    assert allowed(await store.hit([one])) == [False]
    await store.adjust([(one[0], "ann", -1, mark) for mark in marks])
    assert [allowed(await store.hit([one]))[0] for _ in range(3)] == [True, True, False]


async def test_a_charge_that_nobody_counted_is_changed_nowhere(store: ResilientStore, far: FakeStore) -> None:
    """What passed because its limit is open was not charged, so nothing is given back or added."""
    far.answer = OSError()
    one = charge("5/minute burst 2", on_error="open", adjusted=True)
    ((_, _, _, mark),) = await store.hit([one])
    far.asked.clear()
    await store.adjust([(one[0], "ann", 2, mark)])
    assert far.asked == []
    assert (await store.look([charge("5/minute burst 2", adjusted=True)]))[0][1] == 2


@pytest.mark.parametrize("how", ["adjust", "forget"])
async def test_what_a_dead_store_was_told_is_lost(store: ResilientStore, far: FakeStore, how: str) -> None:
    """A refund that cannot be made fails no request."""
    far.answer = OSError()
    one = charge("5/minute")
    await (store.adjust([(one[0], "ann", -1, 7.0)]) if how == "adjust" else store.forget([one]))
    assert [asked for asked, _ in far.asked] == [how]


async def test_forgetting_reaches_what_was_counted_here(store: ResilientStore, far: FakeStore) -> None:
    """Whoever is forgiven during an outage is not refused by what this process counted."""
    far.answer = OSError()
    one = charge("1/minute")
    assert [allowed(await store.hit([one]))[0] for _ in range(2)] == [True, False]
    await store.forget([one])
    assert allowed(await store.hit([one])) == [True]


# What is known without asking


async def test_a_flood_costs_the_store_nothing(store: ResilientStore, far: FakeStore, clock: FrozenClock) -> None:
    """Once refused until T, refused here until T, with the seconds counting down."""
    far.answer = REFUSED
    one = charge("5/minute")
    await store.hit([one])
    for _ in range(100):
        assert await store.hit([one]) == [(False, 0, 30.0, 0.0)]
    assert _hits(far) == 1
    assert store.barred(one) == (False, 0, 30.0, 0.0)
    clock.advance(30.0)
    far.answer = None
    assert allowed(await store.hit([one])) == [True]
    assert _hits(far) == 2


async def test_a_look_that_finds_a_caller_blocked_is_remembered(store: ResilientStore, far: FakeStore) -> None:
    """Whoever asks before charging spares the store the flood as well."""
    far.answer = REFUSED
    await store.look([charge("5/minute")])
    await store.hit([charge("5/minute")])
    assert _hits(far) == 0


async def test_of_others_nothing_is_said(store: ResilientStore, far: FakeStore) -> None:
    """A refusal without asking knows one bucket; the rest is marked as unknown."""
    far.answer = REFUSED
    await store.hit([charge("5/minute")])
    assert await store.hit([charge("9/hour"), charge("5/minute")]) == [(True, -1, 0.0, -1.0), (False, 0, 30.0, 0.0)]


async def test_a_penal_limit_beside_it_is_charged_all_the_same(store: ResilientStore, far: FakeStore) -> None:
    """Refused calls pay for a penal limit, so the store has to be told of them."""
    far.answer = REFUSED
    await store.hit([charge("5/minute")])
    far.answer = [(False, 0, 30.0, 7.0), (True, 3, 60.0, 7.0)]
    charges = [charge("5/minute"), charge("9/hour", penal=True)]
    for _ in range(3):
        assert await store.hit(charges) == far.answer
    assert _hits(far) == 4


async def test_known_refusals_hold_during_an_outage(store: ResilientStore, far: FakeStore) -> None:
    """The death of the store opens no door that it had shut."""
    far.answer = REFUSED
    await store.hit([charge("5/minute")])
    far.answer = OSError()
    await store.hit([charge("9/hour")])
    assert allowed(await store.hit([charge("5/minute")])) == [False]


@pytest.mark.parametrize("how", ["adjust", "forget"])
async def test_a_change_asks_again(store: ResilientStore, far: FakeStore, how: str) -> None:
    """Whoever got something back may be let in."""
    far.answer = REFUSED
    one = charge("5/minute")
    await store.hit([one])
    far.answer = None
    await (store.adjust([(one[0], "ann", -1, 7.0)]) if how == "adjust" else store.forget([one]))
    assert allowed(await store.hit([one])) == [True]


async def test_a_refusal_that_crosses_a_pardon_is_not_remembered(store: ResilientStore, far: FakeStore) -> None:
    """A reset while a refusal is under way would otherwise be undone here, for as long as the window lasts."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow() -> list[Standing]:
        asked.set()
        await answered.wait()
        return REFUSED

    far.answer = slow
    refused = asyncio.create_task(store.hit([charge("5/minute")]))  # type: ignore[arg-type]  # a coroutine
    await asked.wait()
    far.answer = None
    await store.forget([charge("5/minute")])
    answered.set()
    assert allowed(await refused) == [False]
    assert allowed(await store.hit([charge("5/minute")])) == [True]


# Leases and records


class FarLeases(LocalLeases):
    """Leases in another process, which may not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: Exception | None = None
        self.let_gone: list[tuple[str, str]] = []

    async def take(self, key: str, holder: str, most: int, /) -> bool:
        if self.fails:
            raise self.fails
        return await super().take(key, holder, most)

    async def give(self, key: str, holder: str, /) -> None:
        if self.fails:
            raise self.fails
        await super().give(key, holder)

    def let_go(self, key: str, holder: str, /) -> None:
        self.let_gone.append((key, holder))


async def test_slots_are_lent_by_share_while_the_storage_is_down(line: Line, clock: FrozenClock) -> None:
    """Each process lends its part by itself, at least one, and takes back what it lent though the storage is up."""
    far = FarLeases()
    leases = ResilientLeases(far, line, 0.25)
    assert await leases.take("k", "before", 8)
    far.fails = OSError()
    assert [await leases.take("k", holder, 8) for holder in "abc"] == [True, True, False]
    assert await leases.take("small", "a", 1)
    far.fails = None
    clock.advance(2.5)
    await leases.give("k", "a")
    assert far.let_gone == []
    assert [await leases.take("k", f"{at}", 8) for at in range(8)] == [True] * 7 + [False]


async def test_a_slot_that_cannot_be_given_back_is_renewed_no_more(line: Line) -> None:
    """Otherwise a slot given back during an outage would be held for as long as the process lives."""
    far = FarLeases()
    leases = ResilientLeases(far, line, 1.0)
    await leases.take("k", "a", 1)
    await leases.take("k2", "a", 1)
    far.fails = OSError()
    await leases.give("k", "a")
    await leases.give("k2", "a")
    assert far.let_gone == [("k", "a"), ("k2", "a")]


class FailingRecords:
    """Records whose storage is down."""

    async def fail(self, *_: Any) -> Any:
        raise OSError

    claim = keep = release = fail


async def test_records_pass_through(line: Line, clock: FrozenClock) -> None:
    """While the storage answers, a claim is what it says."""
    records = ResilientRecords(LocalRecords(clock, lambda size: bytes(size)), line)
    claimed = await records.claim("k", "print", 5.0)
    assert isinstance(claimed, Claimed)
    assert await records.keep("k", claimed.token, b"value", 5.0)
    await records.release("k", claimed.token)


async def test_nothing_is_claimed_while_the_storage_is_down(line: Line) -> None:
    """Work that might be done twice is not begun; what was done cannot be kept, and fails no request."""
    records = ResilientRecords(FailingRecords(), line)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            await records.claim("k", "print", 5.0)
    assert await records.keep("k", "token", b"value", 5.0) is False
    await records.release("k", "token")


async def test_the_wait_is_a_second_at_least(line: Line, clock: FrozenClock) -> None:
    """`Retry-After: 0` would be an invitation."""
    records = ResilientRecords(FailingRecords(), line)
    for passed in (2.4, 0.0):
        with pytest.raises(ServiceUnavailable) as caught:
            await records.claim("k", "print", 5.0)
        clock.advance(passed)
    assert caught.value.headers == {"Retry-After": "1"}
