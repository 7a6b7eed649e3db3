"""Records keep one set of rules wherever they lie: one claim at a time, fenced by its token."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, rule, run_state_machine_as_test

from gatewright import ServiceUnavailable
from gatewright._core.storage.contract import Claimed, Kept, Pending, Records
from gatewright._core.storage.local import LocalRecords
from gatewright.testing import FrozenClock
from tests.storage.kit import aging

T = TypeVar("T")

# Of leases: so long that what a test itself takes is nothing.
HOUR = 3600.0


@dataclass
class Bench:
    """Records, a way to wait for them, and a way to let time pass."""

    records: Records
    run: Callable[[Awaitable[Any]], Any]
    let_pass: Callable[[float], None]

    def claim(self, key: str = "k", fingerprint: str = "f", lease: float = HOUR) -> Claimed | Pending | Kept:
        """Claim a key."""
        found: Claimed | Pending | Kept = self.run(self.records.claim(key, fingerprint, lease))
        return found

    def token(self, key: str = "k", fingerprint: str = "f", lease: float = HOUR) -> str:
        """Claim a key that is free."""
        found = self.claim(key, fingerprint, lease)
        assert isinstance(found, Claimed)
        return found.token

    def keep(self, token: str, value: bytes = b"v", seconds: float = HOUR, key: str = "k") -> bool:
        """Keep a value."""
        return bool(self.run(self.records.keep(key, token, value, seconds)))

    def release(self, token: str, key: str = "k") -> None:
        """Release a key."""
        self.run(self.records.release(key, token))


def _in_memory() -> Iterator[Bench]:
    clock = FrozenClock()
    with asyncio.Runner() as runner:
        yield Bench(LocalRecords(clock, os.urandom), partial(_run, runner), clock.advance)


def _on_redis(url: str) -> Iterator[Bench]:
    with aging(url) as (gate, runner, let_pass):
        yield Bench(gate.records("the test"), partial(_run, runner), let_pass)


def _run(runner: asyncio.Runner, asked: Coroutine[Any, Any, T]) -> T:
    return runner.run(asked)


# Against a model, in any order


@dataclass
class _Modelled:
    """What a record ought to be."""

    fingerprint: str
    token: str
    ends_at: float
    value: bytes | None = None


KEYS = st.sampled_from(["a", "b"])
HOURS = st.integers(1, 3).map(lambda hours: hours * HOUR)


class RecordsMachine(RuleBasedStateMachine):
    """Do anything in any order, late and with other people's tokens; the model says what must come of it."""

    tokens = Bundle("tokens")

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.now = 0.0
        self.model: dict[str, _Modelled] = {}
        # Machines of one test share the records.
        self.salt = os.urandom(8).hex()

    def _there(self, key: str) -> _Modelled | None:
        found = self.model.get(key)
        return found if found is not None and found.ends_at > self.now else None

    @rule(target=tokens, key=KEYS, fingerprint=st.sampled_from(["f", "g"]), lease=HOURS)
    def claim(self, key: str, fingerprint: str, lease: float) -> Any:
        """Claim a key."""
        found = self.bench.claim(key + self.salt, fingerprint, lease)
        there = self._there(key)
        if there is None:
            assert isinstance(found, Claimed)
            assert all(found.token != other.token for other in self.model.values())
            # A little less than the lease, since a real clock goes on while the test runs.
            self.model[key] = _Modelled(fingerprint, found.token, self.now + lease)
            return found.token
        if there.value is not None:
            assert found == Kept(there.fingerprint, there.value)
        else:
            assert isinstance(found, Pending)
            assert found.fingerprint == there.fingerprint
            assert found.seconds == pytest.approx(there.ends_at - self.now, abs=60)
        return multiple()

    @rule(key=KEYS, token=tokens, value=st.binary(max_size=20), seconds=HOURS)
    def keep(self, key: str, token: str, value: bytes, seconds: float) -> None:
        """Keep a value, perhaps under a token of another claim."""
        there = self._there(key)
        held = there is not None and there.token == token
        assert self.bench.keep(token, value, seconds, key + self.salt) is held
        if there is not None and held:
            there.value, there.ends_at = value, self.now + seconds

    @rule(key=KEYS, token=tokens)
    def release(self, key: str, token: str) -> None:
        """Release a key, perhaps under a token of another claim."""
        self.bench.release(token, key + self.salt)
        there = self._there(key)
        if there is not None and there.token == token and there.value is None:
            del self.model[key]

    # Half hours, so that nothing ends in the very moment in which it is asked for.
    @rule(halves=st.sampled_from([1, 3, 5]))
    def let_pass(self, halves: int) -> None:
        """Let time pass."""
        self.now += halves * HOUR / 2
        self.bench.let_pass(halves * HOUR / 2)


# The rules


class Rules:
    """What holds for records of every kind."""

    def test_one_claim_at_a_time(self, bench: Bench) -> None:
        """Whoever comes second is told what the first one is doing, and for how long at the most."""
        assert isinstance(bench.claim("k", "first"), Claimed)
        second = bench.claim("k", "second")
        assert isinstance(second, Pending)
        assert second.fingerprint == "first"
        assert second.seconds == pytest.approx(HOUR, abs=60)
        assert isinstance(bench.claim("another", "second"), Claimed)

    @pytest.mark.parametrize("value", [b"", b"v", bytes(range(256)), b"x" * 100_000], ids=len)
    def test_what_is_kept_is_given_to_whoever_comes(self, bench: Bench, value: bytes) -> None:
        """Byte by byte, with the fingerprint of the request that did the work."""
        assert bench.keep(bench.token("k", "first"), value)
        for fingerprint in ("first", "second"):
            assert bench.claim("k", fingerprint) == Kept("first", value)

    def test_a_release_frees_the_key(self, bench: Bench) -> None:
        """The next one may try."""
        token = bench.token()
        bench.release(token)
        assert bench.token("k", "second") != token

    def test_a_lease_ends(self, bench: Bench) -> None:
        """A worker that died does not hold a key for ever; the key is free, with whatever fingerprint."""
        bench.token("k", "first", HOUR)
        bench.let_pass(HOUR - 60)
        assert isinstance(bench.claim(), Pending)
        bench.let_pass(60)
        assert isinstance(bench.claim("k", "second"), Claimed)

    def test_what_is_kept_ends(self, bench: Bench) -> None:
        """After its own time, not after the lease's."""
        bench.keep(bench.token(lease=HOUR), seconds=3 * HOUR)
        bench.let_pass(2 * HOUR)
        assert isinstance(bench.claim(), Kept)
        bench.let_pass(HOUR)
        assert isinstance(bench.claim(), Claimed)

    def test_who_lost_the_claim_can_neither_keep_nor_release(self, bench: Bench) -> None:
        """The fence: a worker that slept through its lease does not undo what another one does."""
        slow = bench.token()
        bench.let_pass(HOUR)
        fast = bench.token("k", "another")
        assert not bench.keep(slow, b"slow")
        bench.release(slow)
        assert isinstance(bench.claim(), Pending)
        assert bench.keep(fast, b"fast")
        assert not bench.keep(slow, b"slow")
        bench.release(slow)
        assert bench.claim() == Kept("another", b"fast")

    def test_a_lease_that_ended_with_nobody_there_keeps_nothing(self, bench: Bench) -> None:
        """The token proves nothing any more; who holds it may claim again."""
        token = bench.token()
        bench.let_pass(HOUR)
        assert not bench.keep(token)
        bench.release(token)
        assert bench.keep(bench.token())

    def test_what_is_kept_is_not_released(self, bench: Bench) -> None:
        """The work is done, whatever goes wrong after."""
        token = bench.token()
        assert bench.keep(token)
        bench.release(token)
        assert isinstance(bench.claim(), Kept)

    def test_a_token_is_good_for_its_key_only(self, bench: Bench) -> None:
        """And a made-up one for none."""
        token = bench.token("k")
        bench.token("another")
        assert not bench.keep(token, key="another")
        bench.release(token, key="another")
        assert not bench.keep("made up", key="another")
        assert not bench.keep(token, key="never claimed")
        assert isinstance(bench.claim("another"), Pending)

    def test_of_a_hundred_one_gets_the_claim(self, bench: Bench) -> None:
        """However many ask at once."""

        async def all_at_once() -> list[object]:
            return list(await asyncio.gather(*(bench.records.claim("k", "f", HOUR) for _ in range(100))))

        found: list[object] = bench.run(all_at_once())
        assert [type(one) for one in found].count(Claimed) == 1
        assert [type(one) for one in found].count(Pending) == 99

    def test_records_in_any_order(self, bench: Bench) -> None:
        """No order of claims, keeps, releases and waiting gives a key to two, or takes it from who has it."""
        in_memory = isinstance(bench.records, LocalRecords)
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            partial(RecordsMachine, bench),
            settings=settings(
                max_examples=200 if in_memory else 30,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )


class TestInMemory(Rules):
    """Records of one process."""

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        """Give empty ones."""
        yield from _in_memory()


@pytest.mark.redis
class TestOnRedis(Rules):
    """Records of all processes, as guards get them."""

    @pytest.fixture
    def bench(self, redis_url: str) -> Iterator[Bench]:
        """Give those of this test alone."""
        yield from _on_redis(redis_url)


# In memory


class Local:
    """Records in memory, with what they hold in view."""

    def __init__(self, max_bytes: int) -> None:
        self.clock = FrozenClock()
        self.records = LocalRecords(self.clock, os.urandom, max_bytes=max_bytes)

    def run(self, asked: Coroutine[Any, Any, T]) -> T:
        """Run what never waits."""
        try:
            asked.send(None)
        except StopIteration as done:
            answer: T = done.value
            return answer
        raise AssertionError("it waited")


def test_a_full_memory_takes_no_more_claims_and_loses_nothing() -> None:
    """503, with when to come back; what is kept is kept, and can be asked for."""
    local = Local(max_bytes=10_000)
    first = local.run(local.records.claim("first", "f", 60))
    assert isinstance(first, Claimed)
    assert local.run(local.records.keep("first", first.token, b"x" * 10_000, 90.5))
    for _ in range(2):
        with pytest.raises(ServiceUnavailable) as refused:
            local.run(local.records.claim("second", "f", 60))
        assert local.run(local.records.claim("first", "f", 60)) == Kept("f", b"x" * 10_000)
    assert refused.value.headers == {"Retry-After": "60"}
    assert refused.value.reason == "no room for another record"
    local.clock.advance(90.5)
    assert isinstance(local.run(local.records.claim("second", "f", 60)), Claimed)


def test_claims_without_an_answer_fill_the_memory_too() -> None:
    """A flood of keys whose work hangs is bounded like any other."""
    local = Local(max_bytes=100_000)
    with pytest.raises(ServiceUnavailable):
        for number in range(1000):
            local.run(local.records.claim(f"key {number}", "f", 60))
    assert 100 < int(repr(local.records).split()[-1].strip(">")) < 200


def test_what_is_over_leaves_nothing_behind() -> None:
    """Neither a record nor a byte of it, nor the time at which it was to end."""
    local = Local(max_bytes=10_000)
    for number in range(5000):
        claimed = local.run(local.records.claim(f"key {number}", "f", 60))
        assert isinstance(claimed, Claimed)
        local.run(local.records.release(f"key {number}", claimed.token))
    assert repr(local.records) == "<LocalRecords 0>"
    assert local.records._bytes == 0
    assert len(local.records._endings) < 100


def test_a_record_outlives_the_ending_of_an_earlier_one() -> None:
    """A key that was released and claimed again ends with its own lease, whatever is cleared out meanwhile."""
    local = Local(max_bytes=1_000_000)
    gone = local.run(local.records.claim("k", "f", 60))
    assert isinstance(gone, Claimed)
    local.run(local.records.release("k", gone.token))
    local.clock.advance(30)
    local.run(local.records.claim("k", "g", 60))
    for number in range(100):
        claimed = local.run(local.records.claim(f"key {number}", "f", 10))
        assert isinstance(claimed, Claimed)
        local.run(local.records.release(f"key {number}", claimed.token))
    local.clock.advance(59)
    assert local.run(local.records.claim("k", "f", 60)) == Pending("g", 1)
    local.clock.advance(1)
    assert isinstance(local.run(local.records.claim("k", "f", 60)), Claimed)
