"""Limits on a real server: one script, one round trip, the server's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator

import pytest

from gatewright._core.storage.contract import Backend, Standing
from gatewright._core.storage.redis import RedisStore
from gatewright._core.storage.scripted import Server
from gatewright.testing import FrozenClock
from tests.servers import RedisServer, eventually
from tests.storage.kit import Events, allowed, charge, opened

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

LIMITS = ["3/minute", "3/minute sliding", "3/minute burst 3"]
# Windows that are over while a test waits; sliding ones begin at whole multiples of their length.
SHORT = ["2/200 milliseconds", "2/200 milliseconds sliding", "2/200 milliseconds burst 2"]


@pytest.fixture
def anyio_backend() -> str:
    """redis-py runs on asyncio only."""
    return "asyncio"


@pytest.fixture
async def backend(redis_url: str, prefix: str) -> AsyncIterator[Backend]:
    async with opened(redis_url, prefix) as backend:
        yield backend


async def _hit(backend: Backend, *charges: object) -> list[Standing]:
    return list(await backend.store.hit(charges))  # type: ignore[arg-type,misc]  # far away, so to be awaited


@pytest.mark.parametrize("text", LIMITS)
async def test_the_limit_passes_and_no_more(backend: Backend, text: str) -> None:
    """Each strategy is taken, lets its amount pass, counts down, and says when the bucket is full again."""
    backend.store.check(charge(text)[0])
    found = [(await _hit(backend, charge(text)))[0] for _ in range(4)]
    assert [standing[:2] for standing in found] == [(True, 2), (True, 1), (True, 0), (False, 0)]
    assert all(0 < standing[2] <= 120 for standing in found)


@pytest.mark.parametrize("text", LIMITS)
async def test_a_look_takes_nothing(backend: Backend, text: str) -> None:
    """Looking changes nothing, and knows what a charge would meet."""
    for _ in range(5):
        assert [s[:2] for s in await backend.store.look([charge(text, cost=3)])] == [(True, 3)]  # type: ignore[misc]
    await _hit(backend, charge(text))
    assert [s[:2] for s in await backend.store.look([charge(text, cost=3)])] == [(False, 2)]  # type: ignore[misc]


async def test_all_pay_or_none(backend: Backend) -> None:
    """Where one limit refuses, no other is charged: the order of limits does not matter."""
    tight, wide, slow = charge("1/minute"), charge("9/hour"), charge("9/hour burst 9")
    assert allowed(await _hit(backend, wide, tight, slow)) == [True, True, True]
    for order in ([wide, tight, slow], [tight, slow, wide], [slow, wide, tight]):
        # By another cost each time, so that nobody answers from memory.
        found = await _hit(backend, *order)
        assert {c[0].limit: s[0] for c, s in zip(order, found, strict=True)}[tight[0].limit] is False
    assert [s[1] for s in await backend.store.look([tight, wide, slow])] == [0, 8, 8]  # type: ignore[misc]


async def test_a_penal_limit_is_charged_for_refused_calls(backend: Backend) -> None:
    """`penal` pays for what another limit refused, and for what itself refused, up to the amount."""
    tight, penal = charge("1/minute"), charge("3/hour", penal=True)
    remaining = [(await _hit(backend, tight, penal))[1][1] for _ in range(5)]
    assert remaining == [2, 1, 0, 0, 0]


async def test_a_shadow_refuses_nobody(backend: Backend) -> None:
    """`shadow` says that it would have refused; the others pay all the same."""
    shadow, real = charge("1/minute", shadow=True), charge("5/minute", scope="real")
    found = [await _hit(backend, shadow, real) for _ in range(3)]
    assert [allowed(standings) for standings in found] == [[True, True], [False, True], [False, True]]
    assert found[-1][1][1] == 2


@pytest.mark.parametrize("text", LIMITS)
async def test_adjusting_gives_back_and_takes_more(backend: Backend, text: str) -> None:
    """A change lands in the window that it came from, within 0 and the capacity."""
    one = charge(text, adjusted=True)
    ((_, _, _, mark),) = await _hit(backend, one)
    for by, left in ((-1, 3), (-5, 3)):
        await backend.store.adjust([(one[0], "ann", by, mark)])  # type: ignore[misc]
        assert (await backend.store.look([one]))[0][1] == left  # type: ignore[misc]
    ((_, _, _, mark),) = await _hit(backend, one)
    await backend.store.adjust([(one[0], "ann", 9, mark)])  # type: ignore[misc]
    assert (await backend.store.look([one]))[0][:2] == (False, 0)  # type: ignore[misc]


@pytest.mark.parametrize("text", LIMITS[:2])
async def test_a_window_that_is_over_stays_as_it_was(backend: Backend, text: str) -> None:
    """A refund that comes too late is none: it must not make the next window larger."""
    one = charge(text, adjusted=True)
    ((_, _, _, mark),) = await _hit(backend, one)
    await backend.store.adjust([(one[0], "ann", -1, mark - 3_600_000_000)])  # type: ignore[misc]
    await backend.store.adjust([(one[0], "ann", 2, mark - 3_600_000_000)])  # type: ignore[misc]
    assert (await backend.store.look([one]))[0][1] == 2  # type: ignore[misc]


async def test_an_allowance_that_refilled_is_not_given_back_twice(backend: Backend) -> None:
    """GCRA: what came back by itself since the charge is no part of a refund."""
    one = charge("100/second burst 10", cost=5, adjusted=True)
    ((_, _, seconds, mark),) = await _hit(backend, one)
    await asyncio.sleep(seconds + 0.01)
    await _hit(backend, one)
    await backend.store.adjust([(one[0], "ann", -5, mark)])  # type: ignore[misc]
    assert (await backend.store.look([one]))[0][1] < 8  # type: ignore[misc]


async def test_the_window_before_can_be_adjusted(redis_url: str, prefix: str) -> None:
    """A sliding window still counts the one before, so a charge from there can be given back."""
    async with opened(redis_url, prefix) as backend:
        one = charge("50/300 milliseconds sliding", cost=50, adjusted=True)
        ((_, _, _, mark),) = await _hit(backend, one)
        await asyncio.sleep(0.3)
        before = (await backend.store.look([one]))[0][1]  # type: ignore[misc]
        await backend.store.adjust([(one[0], "ann", -50, mark)])  # type: ignore[misc]
        assert before < 50
        assert (await backend.store.look([one]))[0][1] == 50  # type: ignore[misc]


async def test_forgetting_makes_buckets_full_again(backend: Backend) -> None:
    """`reset`, for several limits at once; other callers keep what they spent."""
    ann = [charge(text) for text in LIMITS]
    bob = [charge(text, "bob") for text in LIMITS]
    await _hit(backend, *ann, *bob)
    await backend.store.forget(ann)  # type: ignore[misc]
    assert [s[1] for s in await backend.store.look([*ann, *bob])] == [3, 3, 3, 2, 2, 2]  # type: ignore[misc]


@pytest.mark.parametrize("text", SHORT)
async def test_waiting_as_long_as_was_said_is_enough(redis_url: str, prefix: str, text: str) -> None:
    """The wait in a refusal is never too short, by the server's own microseconds."""
    async with opened(redis_url, prefix) as backend:
        for _ in range(5):
            while (standing := (await _hit(backend, charge(text, adjusted=True)))[0])[0]:
                pass
            await asyncio.sleep(standing[2])
            assert allowed(await _hit(backend, charge(text, adjusted=True))) == [True]


async def test_the_clock_is_the_servers(redis_url: str, prefix: str) -> None:
    """Clients whose clocks are years apart count in one window."""
    left = []
    for now in (0.0, 1_800_000_000.0, 9_000_000_000.0):
        async with opened(redis_url, prefix, clock=FrozenClock(now)) as backend:
            left += [(await _hit(backend, charge(text)))[0][1] for text in LIMITS]
    assert left == [2, 2, 2, 1, 1, 1, 0, 0, 0]


async def test_names_are_hashed_and_tagged(backend: Backend, redis_server: RedisServer, prefix: str) -> None:
    """The server learns no address, and all keys of one caller have one tag, and so one slot in a cluster."""
    who = "203.0.113.7"
    await _hit(backend, charge("3/minute", who), charge("9/hour", who, scope="secret-scope"))
    keys = redis_server.keys(prefix)
    assert len(keys) == 2
    assert not any(b"203.0" in key or b"secret" in key for key in keys)
    assert len({key.partition(b"{")[2].partition(b"}")[0] for key in keys}) == 1


async def test_story_limits_wrongtype_after_a_change_of_strategy(backend: Backend) -> None:
    """limits: the same limit under another strategy was WRONGTYPE until it expired. Here it begins anew."""
    for text in (*LIMITS, *reversed(LIMITS)):
        ((_, remaining, _, _),) = await _hit(backend, charge(text))
        assert remaining in (1, 2)


@pytest.mark.parametrize(
    "value",
    ["rubbish", "", "1", "-5", "1e999", "nan", "9" * 30, f"{'9' * 30} 5", "0 -9", "\xff\x00", "1 2 3 4"],
)
@pytest.mark.parametrize("text", LIMITS)
async def test_a_value_that_is_none_of_ours(
    backend: Backend, redis_server: RedisServer, prefix: str, text: str, value: str
) -> None:
    """Whatever is found under a key, it never breaks a request, bars nobody for ever, and has an end afterwards."""
    await _hit(backend, charge(text))
    (key,) = redis_server.keys(prefix)
    redis_server.ask("SET", key, value.encode("latin-1"))
    ((_, remaining, seconds, _),) = await _hit(backend, charge(text))
    assert 0 <= remaining <= 3
    assert seconds <= 120
    await backend.store.forget([charge(text)])  # type: ignore[misc]
    assert allowed(await _hit(backend, charge(text))) == [True]


@pytest.mark.parametrize("text", LIMITS)
@pytest.mark.parametrize("words", [("RPUSH", "x"), ("HSET", "f", "v"), ("SADD", "x"), ("ZADD", "1", "x")])
async def test_a_key_of_another_type(
    backend: Backend, redis_server: RedisServer, prefix: str, text: str, words: tuple[str, ...]
) -> None:
    """A list where a counter should be is overwritten."""
    await _hit(backend, charge(text))
    (key,) = redis_server.keys(prefix)
    redis_server.ask("DEL", key)
    redis_server.ask(words[0], key, *words[1:])
    assert [s[:2] for s in await _hit(backend, charge(text))] == [(True, 2)]
    assert redis_server.ask("PTTL", key) > 0


@pytest.mark.parametrize("text", SHORT)
async def test_every_key_goes(backend: Backend, redis_server: RedisServer, prefix: str, text: str) -> None:
    """Nothing is left on the server of callers who do not come back."""
    for at in range(20):
        await _hit(backend, charge(text, f"caller {at}", adjusted=True))
    assert len(redis_server.keys(prefix)) == 20
    eventually(lambda: not redis_server.keys(prefix), "keys stay on the server")


@pytest.mark.parametrize("text", LIMITS)
async def test_story_limits_a_cancelled_request_blocks_for_ever(
    redis_url: str, redis_server: RedisServer, prefix: str, text: str
) -> None:
    """limits: INCRBY, then EXPIRE; cancelled in between, the key had no end. Here there is no in between.

    A request is cancelled at each point at which it waits, connecting among them, and the next one gets its own answer.
    """
    step, finished = 0, False
    while not finished:
        step += 1
        async with opened(redis_url, prefix) as backend:
            finished = True
            for how in ("connecting", "connected"):
                cancelled = await _cancelled_at(step, backend.store.hit([charge(text, f"{how} {step}")]))
                finished = finished and not cancelled
                ((_, remaining, _, mark),) = await _hit(backend, charge("77/minute", f"{how} next {step}"))
                assert (remaining, mark > 0) == (76, True), "somebody else's answer"
            assert "up" in repr(backend.store)
    assert step > 2
    for key in redis_server.keys(prefix):
        assert redis_server.ask("PTTL", key) > 0


async def _cancelled_at(step: int, asked: object) -> bool:
    """Cancel what was asked when it waits for the time *step*; False where it is done before that."""

    class Watched:
        def __await__(self) -> Generator[object, object, object]:
            inner = asked.__await__()  # type: ignore[attr-defined]
            resume, value, waits = inner.send, None, 0
            while True:
                try:
                    future = resume(value)
                except StopIteration as done:
                    return done.value
                waits += 1
                if waits == step:
                    asyncio.current_task().cancel()  # type: ignore[union-attr]
                try:
                    resume, value = inner.send, (yield future)
                except BaseException as exc:
                    resume, value = inner.throw, exc

    async def watched() -> None:
        await Watched()

    task = asyncio.create_task(watched())
    await asyncio.wait([task])
    return task.cancelled()


async def test_story_fastapi_limiter_68_scripts_are_forgotten(own_redis: RedisServer) -> None:
    """fastapi-limiter#68: NOSCRIPT after a restart. SCRIPT FLUSH and a restart are not even noticed."""
    events = Events()
    async with opened(own_redis.url, events=events) as backend:
        await _hit(backend, charge("9/minute"))
        own_redis.ask("SCRIPT", "FLUSH")
        assert (await _hit(backend, charge("9/minute")))[0][1] == 7
        await asyncio.to_thread(own_redis.restart)
        assert (await _hit(backend, charge("9/minute")))[0][1] == 8
    assert events == []


@pytest.mark.parametrize("number", [1, 3, 20])
async def test_one_round_trip(own_redis: RedisServer, number: int) -> None:
    """Whatever the number of limits, a decision is one command."""
    async with opened(own_redis.url) as backend:
        charges = [charge(f"{at + 9}/minute") for at in range(number)]
        await _hit(backend, *charges)
        before = own_redis.calls("evalsha")
        for _ in range(5):
            await _hit(backend, *charges)
        assert own_redis.calls("evalsha") - before == 5
        await backend.store.look(charges)  # type: ignore[misc]
        await backend.store.adjust([(b, who, -1, 0.0) for b, who, _ in charges])  # type: ignore[misc]
        await backend.store.forget(charges)  # type: ignore[misc]
        assert own_redis.calls("evalsha") - before == 8
        assert own_redis.calls("eval") == 1


async def test_nothing_is_known_without_asking(redis_url: str, prefix: str) -> None:
    """Who is blocked is remembered in front of the store, not by it."""
    server = Server(redis_url, 5.0)
    store = RedisStore(server, prefix)
    assert allowed([(await store.hit([charge("1/hour")]))[0] for _ in range(2)]) == [True, False]
    assert store.barred(charge("1/hour")) is None
    await server.close()


async def test_nothing_to_decide_asks_nobody(own_redis: RedisServer) -> None:
    """A caller without limits costs no round trip."""
    async with opened(own_redis.url) as backend:
        assert await _hit(backend) == []
        assert own_redis.calls("evalsha") + own_redis.calls("eval") == 0


async def test_names_of_any_size_and_kind(backend: Backend, redis_server: RedisServer, prefix: str) -> None:
    """A megabyte, a lone surrogate, NUL, braces: each is a caller of its own, and its key is short."""
    names = ["x" * 1_000_000, "\ud800", "\udfff", "\x00", "{", "}", "{}", "a:b", "a", "é", "e\u0301", " "]
    for name in names:
        assert (await _hit(backend, charge("3/minute", name, scope=name)))[0][1] == 2
    keys = redis_server.keys(prefix)
    assert len(keys) == len(names)
    assert max(map(len, keys)) < len(prefix) + 60


@pytest.mark.parametrize("callers", [50, 300])
async def test_many_at_once_get_exactly_the_limit(backend: Backend, callers: int) -> None:
    """No more than the limit, and no fewer; nor do more than redis-py has connections for break anything."""
    found = await asyncio.gather(*(_hit(backend, charge("40/minute", adjusted=True)) for _ in range(callers)))
    assert sum(standings[0][0] for standings in found) == 40
    assert await asyncio.gather(*(_hit(backend, charge("1000/hour")) for _ in range(callers)))


async def test_connections_are_bounded(own_redis: RedisServer) -> None:
    """A flood of callers opens no flood of connections, which the server would refuse, and everybody's with them."""
    events = Events()
    async with opened(own_redis.url, events=events) as backend:
        await asyncio.gather(*(_hit(backend, charge("1000/hour", f"caller {at}")) for at in range(500)))
        assert own_redis.ask("INFO", "clients")["connected_clients"] <= 65
    async with opened(f"{own_redis.url}?max_connections=3", events=events) as backend:
        await asyncio.gather(*(_hit(backend, charge("1000/hour", f"caller {at}")) for at in range(50)))
        assert own_redis.ask("INFO", "clients")["connected_clients"] <= 4
    assert events == []


async def test_a_unix_socket(own_redis: RedisServer) -> None:
    """`redis+unix://` is the same server by another door."""
    async with opened(f"redis+unix://{own_redis.path}") as backend, opened(own_redis.url) as other:
        await _hit(backend, charge("3/minute"))
        assert (await _hit(other, charge("3/minute")))[0][1] == 1


async def test_databases_are_apart(own_redis: RedisServer) -> None:
    """The number in the path is obeyed."""
    async with opened(f"{own_redis.url}/0") as backend, opened(f"{own_redis.url}/7") as other:
        await _hit(backend, charge("3/minute"))
        assert (await _hit(other, charge("3/minute")))[0][1] == 2
