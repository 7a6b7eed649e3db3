"""Marks keep one set of rules wherever they lie: a number and its time are never lowered."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from gatewright import ConfigurationError, Gate, ServiceUnavailable
from gatewright._core.storage.contract import Marks
from gatewright._core.storage.local import LocalMarks
from gatewright._core.storage.opening import Storage
from gatewright._core.storage.redis import RedisMarks
from gatewright.testing import EventList, FrozenClock
from tests.servers import RedisCluster, RedisServer
from tests.storage.kit import aging

HOUR = 3600.0


@dataclass
class Bench:
    """Marks, a way to wait for them, and a way to let time pass."""

    marks: Marks
    run: Callable[[Awaitable[Any]], Any]
    let_pass: Callable[[float], None]

    def read(self, *names: str, who: str = "ada") -> list[float | None]:
        """Ask."""
        return list(self.run(self.marks.read(who, names)))

    def raise_to(self, number: float, seconds: float = HOUR, name: str = "n", who: str = "ada") -> None:
        """Tell."""
        self.run(self.marks.raise_to(who, name, number, seconds))


def _in_memory() -> Iterator[Bench]:
    clock = FrozenClock()
    with asyncio.Runner() as runner:
        yield Bench(LocalMarks(clock), runner.run, clock.advance)  # type: ignore[arg-type]  # a coroutine each


def _on_redis(url: str) -> Iterator[Bench]:
    with aging(url) as (gate, runner, let_pass):
        yield Bench(gate.marks("the test"), runner.run, let_pass)  # type: ignore[arg-type]  # a coroutine each


NAMES = st.sampled_from(["a", "b", "since"])
WHO = st.sampled_from(["ada", "bob"])


class MarksMachine(RuleBasedStateMachine):
    """Tell and ask in any order; the model says what must come of it."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.now = 0.0
        self.model: dict[tuple[str, str], tuple[float, float]] = {}
        # Machines of one test share the marks.
        self.salt = os.urandom(8).hex()

    def _there(self, who: str, name: str) -> tuple[float, float] | None:
        found = self.model.get((who, name))
        return found if found is not None and found[1] > self.now else None

    # Whole hours end between the half hours that pass, and thousandths are what sessions are told in.
    @rule(who=WHO, name=NAMES, number=st.integers(0, 2 * 10**12).map(lambda ms: ms / 1000), hours=st.integers(1, 3))
    def tell(self, who: str, name: str, number: float, hours: int) -> None:
        """Raise a number."""
        self.bench.raise_to(number, hours * HOUR, name, who + self.salt)
        before, ends_at = self._there(who, name) or (number, 0.0)
        self.model[who, name] = max(before, number), max(ends_at, self.now + hours * HOUR)

    @rule(who=WHO, names=st.lists(NAMES, min_size=1, max_size=4))
    def ask(self, who: str, names: list[str]) -> None:
        """Ask for several at once, perhaps for one of them twice."""
        there = [self._there(who, name) for name in names]
        expected = [None if mark is None else mark[0] for mark in there]
        assert self.bench.read(*names, who=who + self.salt) == expected

    @rule(halves=st.sampled_from([1, 3, 5]))
    def let_pass(self, halves: int) -> None:
        """Let time pass."""
        self.now += halves * HOUR / 2
        self.bench.let_pass(halves * HOUR / 2)


class Rules:
    """What holds for marks of every kind."""

    def test_what_was_said_is_known_until_its_time_is_over(self, bench: Bench) -> None:
        """Of this subject, and under this name."""
        bench.raise_to(1_800_000_000.123)
        assert bench.read("n", "m") == [1_800_000_000.123, None]
        assert bench.read("n", who="bob") == [None]
        bench.let_pass(HOUR + 60)
        assert bench.read("n") == [None]

    def test_a_number_and_its_time_are_never_lowered(self, bench: Bench) -> None:
        """Whoever comes late with an older moment brings nothing to life again."""
        bench.raise_to(2.5, 3 * HOUR)
        bench.raise_to(1.0, HOUR)
        bench.let_pass(2 * HOUR)
        assert bench.read("n") == [2.5]
        bench.raise_to(1.0, 3 * HOUR)
        bench.let_pass(2 * HOUR)
        assert bench.read("n") == [2.5]

    def test_a_mark_that_is_over_may_be_lower(self, bench: Bench) -> None:
        """It is another mark then."""
        bench.raise_to(2.0)
        bench.let_pass(2 * HOUR)
        bench.raise_to(1.0)
        assert bench.read("n") == [1.0]

    @pytest.mark.parametrize("who", ["", "a:b", "{x}", "é" * 300, "\ud800", "a b\r\n"])
    def test_any_name_will_do(self, bench: Bench, who: str) -> None:
        """Subjects are whatever an application says."""
        bench.raise_to(1.0, who=who)
        assert bench.read("n", who=who) == [1.0]

    def test_in_any_order(self, bench: Bench) -> None:
        """The model agrees."""
        run_state_machine_as_test(
            lambda: MarksMachine(bench),
            settings=settings(
                max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


class TestInMemory(Rules):
    """Of this process."""

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        yield from _in_memory()


@pytest.mark.redis
class TestOnRedis(Rules):
    """Of all processes."""

    @pytest.fixture
    def bench(self, redis_url: str) -> Iterator[Bench]:
        yield from _on_redis(redis_url)


@pytest.mark.redis
def test_a_cluster_keeps_all_of_a_subject_in_one_slot(redis_cluster: RedisCluster, prefix: str) -> None:
    """So that one question can be about several marks."""
    gate = Gate(storage=Storage(redis_cluster.url, prefix=prefix, deadline=5), log=EventList())

    async def ask() -> list[float | None]:
        marks = gate.marks("the test")
        for who in ("ada", "bob", "eve"):
            await marks.raise_to(who, "since", 1.0, 60)
            await marks.raise_to(who, "ended 7", 2.0, 60)
        found = [number for who in ("ada", "bob", "eve") for number in await marks.read(who, ["since", "ended 7", "x"])]
        await gate.close()
        return found

    assert asyncio.run(ask()) == [1.0, 2.0, None] * 3


async def _answered(answer: object) -> list[float | None]:
    class _Server:
        async def run(self, *asked: object) -> object:
            return answer

    marks = RedisMarks(_Server(), "test")  # type: ignore[arg-type]  # a server that says what it likes
    await marks.raise_to("ada", "n", 1.0, 1.0) if answer == "raise" else None
    return await marks.read("ada", ["n"])


@pytest.mark.parametrize("answer", [None, [], [b"1", b"2"], b"OK", "raise", [b"x"]])
def test_an_answer_to_something_else_is_a_failure(answer: object) -> None:
    """A proxy that answers for the server does not decide whose session is good."""
    with pytest.raises(ValueError):
        asyncio.run(_answered(answer))


def test_what_is_over_makes_room() -> None:
    """Memory grows with what still counts, not with all that was ever said."""
    clock = FrozenClock()
    marks = LocalMarks(clock)

    async def fill() -> None:
        for round_ in range(20):
            for number in range(100):
                await marks.raise_to("ada", f"{round_} {number}", 1.0, 60)
            clock.advance(61)

    asyncio.run(fill())
    assert repr(marks) == "<LocalMarks 100>"


def test_what_is_said_again_and_again_is_one_mark() -> None:
    """Its endings are cleared out now and then, and it lasts as long as was said at the longest."""
    clock = FrozenClock()
    marks = LocalMarks(clock)

    async def repeat() -> None:
        for number in range(1000):
            await marks.raise_to("ada", "n", float(number), 60 + number % 7)
        assert repr(marks) == "<LocalMarks 1>" and len(marks._endings) <= 67
        clock.advance(65.9)
        assert await marks.read("ada", ["n"]) == [999.0]
        clock.advance(0.1)
        assert await marks.read("ada", ["n"]) == [None]

    asyncio.run(repeat())


def test_a_mark_that_counts_is_never_pushed_out() -> None:
    """Where there is no room for another, that one is refused; what was ended stays ended."""
    marks = LocalMarks(FrozenClock(), most=100)

    async def fill() -> None:
        for number in range(200):
            await marks.raise_to("ada", str(number), 1.0, 60)

    with pytest.raises(ServiceUnavailable) as refused:
        asyncio.run(fill())
    assert refused.value.reason == "no room for another mark" and (refused.value.headers or {})["Retry-After"] == "60"
    assert asyncio.run(marks.read("ada", ["0", "99", "100"])) == [1.0, 1.0, None]
    asyncio.run(marks.raise_to("ada", "0", 2.0, 60))
    assert asyncio.run(marks.read("ada", ["0"])) == [2.0]


def test_a_storage_that_only_counts_is_refused() -> None:
    """In words that say what to write."""
    pytest.importorskip("memcachio")
    with pytest.raises(ConfigurationError, match=r"Revoker\(\) needs a storage that remembers: write Gate\(storage="):
        Gate(storage="memcached://127.0.0.1:1").marks("Revoker()")


@pytest.mark.fault
def test_a_server_that_is_gone_knows_nothing(own_redis: RedisServer) -> None:
    """Neither an answer nor a promise: 503, as long as it is gone."""
    gate = Gate(storage=own_redis.url, log=EventList())

    async def ask() -> None:
        marks = gate.marks("the test")
        await marks.raise_to("ada", "n", 1.0, 60)
        own_redis.kill()
        with pytest.raises(ServiceUnavailable):
            await marks.read("ada", ["n"])
        with pytest.raises(ServiceUnavailable):
            await marks.raise_to("ada", "n", 1.0, 60)
        await gate.close()

    asyncio.run(ask())
