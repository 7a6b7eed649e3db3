"""Counting is exact: any course of events, in memory and on a server, against a log of all that was paid."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from itertools import count
from math import ceil
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gatewright._core.storage.contract import Bucket, Change, Charge, Standing
from gatewright._core.storage.limit import parse_limits
from gatewright._core.storage.memory import MemoryStore
from gatewright._core.storage.redis import RedisStore
from gatewright._core.storage.scripted import Script
from tests.storage.exact_log import Log, Paid, log_of

SECOND = 1_000_000
T = TypeVar("T")


def bucket(text: str, scope: str = "a", **flags: bool) -> Bucket:
    (limit,) = parse_limits(text)
    return Bucket(limit, scope, **flags)


BUCKETS = [
    bucket("3/4 seconds"),
    bucket("5/4 seconds", "b"),
    bucket("7/13 milliseconds", adjusted=True),
    bucket("4/10 seconds", penal=True),
    bucket("2/4 seconds", "c", shadow=True),
    bucket("3/4 seconds sliding"),
    bucket("9/70 milliseconds sliding", adjusted=True),
    bucket("4/3 seconds sliding", penal=True),
    bucket("3/4 seconds burst 3"),
    bucket("7/second burst 3", adjusted=True),
    bucket("7/13 milliseconds burst 20"),
    bucket("3/10 seconds burst 5", "b", penal=True),
    bucket("1/3 seconds burst 2", shadow=True),
    bucket("2/5 seconds sliding", "d", shadow=True, penal=True),
]


def odd_steps(one: Bucket) -> st.SearchStrategy[int]:
    """Return pauses, in microseconds, about as long as it takes until all is there again: parts of it, and times."""
    limit = one.limit
    length = limit.milliseconds * 1000 * max(limit.amount, limit.burst) // limit.amount
    return st.one_of(
        st.integers(1, 3),
        st.integers(1, 3 * length),
        st.tuples(st.integers(1, 12), st.integers(-1, 1)).map(lambda part: length * part[0] // 4 + part[1]),
    )


class MicrosecondClock:
    """A clock that a test moves by whole microseconds."""

    def __init__(self) -> None:
        self.now = 0

    def time(self) -> float:
        return self.now / SECOND

    monotonic = time


class Counting(RuleBasedStateMachine):
    """Any course of charges, changes and pauses; what the store says has to follow from the log."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = MicrosecondClock()
        self.store = MemoryStore(self.clock)
        self.wheres: list[tuple[Bucket, str]] = []
        self.logs: dict[tuple[Bucket, str], Log] = {}
        self.paid: list[tuple[Bucket, str, Paid, float]] = []
        self.refused: tuple[list[Charge], int] | None = None

    # What is asked of the store; a machine that asks two of them compares the answers.

    def ask_hit(self, charges: Sequence[Charge]) -> Sequence[Standing]:
        return self.store.hit(charges)

    def ask_look(self, charges: Sequence[Charge]) -> Sequence[Standing]:
        return self.store.look(charges)

    def ask_adjust(self, change: Change) -> None:
        self.store.adjust([change])

    def ask_forget(self, charges: Sequence[Charge]) -> None:
        self.store.forget(charges)

    # What happens

    @initialize(
        start=st.sampled_from([0, 1, 5 * SECOND - 1, 1_800_000_000_123_457]),
        # A few only, so that much happens to each.
        buckets=st.lists(st.sampled_from(BUCKETS), min_size=1, max_size=4, unique=True),
    )
    def begin(self, start: int, buckets: list[Bucket]) -> None:
        self.clock.now = start
        self.wheres = [(one, who) for one in buckets for who in ("ann", "bob")[: 1 + len(buckets) % 2]]

    @rule(data=st.data())
    def hit(self, data: st.DataObject) -> None:
        self.pay(self.draw_charges(data))

    def draw_charges(self, data: st.DataObject) -> list[Charge]:
        some = data.draw(st.lists(st.sampled_from(self.wheres), min_size=1, max_size=4, unique=True))
        return [(one, who, data.draw(st.integers(1, min(4, one.limit.capacity)))) for one, who in some]

    def pay(self, charges: list[Charge]) -> None:
        now = self.clock.now
        logs = [self.log(*charge[:2]) for charge in charges]
        passes = [cost <= log.left(now) for log, (_, _, cost) in zip(logs, charges, strict=True)]
        refused = not all(ok or one.shadow for ok, (one, _, _) in zip(passes, charges, strict=True))
        size = len(self.store)

        standings = self.ask_hit(charges)

        for log, ok, charge, standing in zip(logs, passes, charges, standings, strict=True):
            one, who, cost = charge
            if ok and (not refused or one.penal):
                self.paid.append((one, who, log.pay(now, cost), standing[3]))
            elif refused and one.penal:
                log.pay_what_fits(now, cost)
            self.agree(standing, log, ok, cost)
        if refused and not any(one.penal for one, _, _ in charges):
            assert len(self.store) <= size, "a refused call leaves no trace"
        self.refused = (charges, retry_after(charges, standings)) if refused else None

    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        charges = self.draw_charges(data)
        for (one, who, cost), standing in zip(charges, self.ask_look(charges), strict=True):
            log = self.log(one, who)
            self.agree(standing, log, cost <= log.left(self.clock.now), cost)
        for charge in charges:
            log = self.log(*charge[:2])
            barred = self.store.barred(charge)
            assert (barred is None) == (charge[2] <= log.left(self.clock.now))

    @precondition(lambda self: self.paid)
    @rule(data=st.data())
    def adjust(self, data: st.DataObject) -> None:
        """Add to what a call took, or give back no more than it took."""
        found = data.draw(st.sampled_from(self.paid))
        one, who, paid, mark = found
        by = data.draw(st.integers(-paid.units, 3).filter(bool))
        self.ask_adjust((one, who, by, mark))
        self.log(one, who).change(self.clock.now, paid, by)
        if by < 0 and one.limit.strategy == "gcra":
            # How much of it has refilled is known once: in parts, more would be given back than is missing.
            self.paid.remove(found)
        self.refused = None

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        where = data.draw(st.sampled_from(self.wheres))
        self.ask_forget([(*where, 1)])
        self.log(*where).forget()
        self.paid = [one for one in self.paid if one[:2] != where]
        self.refused = None

    @rule(data=st.data())
    def wait(self, data: st.DataObject) -> None:
        one, _ = data.draw(st.sampled_from(self.wheres))
        self.clock.now += data.draw(odd_steps(one))
        self.refused = None

    @precondition(lambda self: self.refused)
    @rule()
    def retry(self) -> None:
        """Who waits as long as `Retry-After` says, and is alone, passes."""
        assert self.refused is not None
        charges, seconds = self.refused
        self.clock.now += seconds * SECOND
        self.pay(charges)
        assert self.refused is None

    # What has to be true

    def log(self, one: Bucket, who: str) -> Log:
        return self.logs.setdefault((one, who), log_of(one.limit))

    def agree(self, standing: Standing, log: Log, passes: bool, cost: int) -> None:
        allowed, remaining, seconds, _ = standing
        now, wait = self.clock.now, round(seconds * SECOND)
        assert allowed is passes
        assert remaining == max(0, log.left(now))
        enough = log.limit.capacity if allowed else cost
        assert log.left(now + wait) >= enough, "after that long it is full, or passes"
        assert wait == 0 or log.left(now + wait - 1) < enough, "and not a microsecond earlier"

    @invariant()
    def never_more_than_the_limit(self) -> None:
        assert all(log.holds() for log in self.logs.values())

    @invariant()
    def keeps_no_more_than_it_needs(self) -> None:
        assert len(self.store) <= 2 * len(self.logs)


def retry_after(charges: Sequence[Charge], standings: Sequence[Standing]) -> int:
    """Return the seconds to wait: until all that refused pass, and what a refused call emptied is full."""
    return ceil(
        max(
            seconds
            for (_, _, cost), (allowed, remaining, seconds, _) in zip(charges, standings, strict=True)
            if not allowed or remaining < cost
        )
    )


def test_the_memory_store_agrees_with_an_exact_log() -> None:
    """Never more than the limit in any true window, all or nothing, and times that are true to the microsecond."""
    run_state_machine_as_test(Counting, settings=settings(max_examples=100, stateful_step_count=40, deadline=None))


class AtThatTime:
    """A real server, which is told what time it is: the scripts are ours but for the line that asks for it."""

    is_cluster = False

    def __init__(self, url: str, clock: MicrosecondClock) -> None:
        redis = pytest.importorskip("redis")
        self._client = redis.Redis.from_url(url)
        self._clock = clock
        self._keys: set[str] = set()

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[object]) -> Any:
        asks, expires = "redis.call('TIME')", ", 'PX', math.ceil(microseconds / 1000) + 1"
        assert asks in script.text and expires in script.text
        # Keys would end by the real time, so they do not end; what has ended is known by its content.
        text = script.text.replace(asks, "{ARGV[#ARGV - 1], ARGV[#ARGV]}").replace(expires, "")
        self._keys.update(keys)
        return self._client.eval(text, len(keys), *keys, *arguments, *divmod(self._clock.now, SECOND))

    def close(self) -> None:
        if self._keys:
            self._client.delete(*self._keys)
        self._client.close()


def done(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # what a coroutine returns
    raise AssertionError("it waits")


@pytest.mark.redis
def test_a_server_agrees_with_an_exact_log_and_with_the_memory_store(redis_url: str) -> None:
    """Field by field, marks among them: what is decided does not depend on where it is counted."""
    names = count()

    class Both(Counting):
        def __init__(self) -> None:
            super().__init__()
            self.server = AtThatTime(redis_url, self.clock)
            self.there = RedisStore(self.server, f"exact-log-{next(names)}")  # type: ignore[arg-type]  # as a Server

        def ask_hit(self, charges: Sequence[Charge]) -> Sequence[Standing]:
            standings = super().ask_hit(charges)
            assert done(self.there.hit(charges)) == standings
            return standings

        def ask_look(self, charges: Sequence[Charge]) -> Sequence[Standing]:
            standings = super().ask_look(charges)
            assert done(self.there.look(charges)) == standings
            return standings

        def ask_adjust(self, change: Change) -> None:
            super().ask_adjust(change)
            done(self.there.adjust([change]))

        def ask_forget(self, charges: Sequence[Charge]) -> None:
            super().ask_forget(charges)
            done(self.there.forget(charges))

        def teardown(self) -> None:
            self.server.close()

    run_state_machine_as_test(
        Both,
        settings=settings(
            max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )


@pytest.mark.redis
@pytest.mark.parametrize("text", ["2/5 seconds", "2/5 seconds sliding", "2/5 seconds burst 2"])
def test_a_change_that_comes_late_is_no_failure(text: str, redis_url: str) -> None:
    """More than a whole limit, for a call that took longer than its windows: there is an answer, and no infinity."""
    clock = MicrosecondClock()
    server = AtThatTime(redis_url, clock)
    store, one = RedisStore(server, f"late-{text}"), bucket(text)  # type: ignore[arg-type]  # as a Server
    ((_, _, _, mark),) = done(store.hit([(one, "ann", 2)]))
    clock.now += 60 * SECOND
    try:
        done(store.adjust([(one, "ann", 3, mark)]))
        ((_, left, _, _),) = done(store.look([(one, "ann", 1)]))
    finally:
        server.close()
    assert left == (0 if one.limit.strategy == "gcra" else 2), "an allowance has no windows that could be over"
