"""A storage of `limits`: memcached, through limits' own classes, and what that costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gatewright import ConfigurationError, Gate
from gatewright._core.storage.by_limits import LimitsStore
from gatewright._core.storage.contract import Backend, Standing
from gatewright._core.storage.loops import living
from tests.servers import MemcachedServer, eventually
from tests.storage.kit import Events, allowed, bucket, charge, opened

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

LIMITS = ["3/hour", "3/hour sliding"]


@pytest.fixture
def anyio_backend() -> str:
    """memcachio runs on asyncio only."""
    return "asyncio"


@pytest.fixture
async def backend(memcached_url: str, prefix: str) -> AsyncIterator[Backend]:
    async with opened(memcached_url, prefix) as backend:
        yield backend


async def _hit(backend: Backend, *charges: object) -> list[Standing]:
    return list(await backend.store.hit(charges))  # type: ignore[arg-type,misc]  # far away, so to be awaited


@pytest.mark.parametrize("text", LIMITS)
async def test_the_limit_passes_and_no_more(backend: Backend, text: str) -> None:
    """Both strategies that `limits` has here count down, and refuse; a look takes nothing."""
    for left in (2, 1, 0):
        assert [s[:2] for s in await _hit(backend, charge(text))] == [(True, left)]
        assert [s[:2] for s in await backend.store.look([charge(text)])] == [(left > 0, left)]  # type: ignore[misc]
    ((passed, left, seconds, _),) = await _hit(backend, charge(text))
    assert (passed, left) == (False, 0)
    assert 0 < seconds <= 7201


@pytest.mark.parametrize("text", LIMITS)
async def test_all_pay_or_none(backend: Backend, text: str) -> None:
    """Alone, a call that one limit refuses is charged by none, in either order."""
    tight, wide = charge("1/hour", adjusted=True), charge(text, adjusted=True)
    assert allowed(await _hit(backend, tight, wide)) == [True, True]
    for order in ((tight, wide), (wide, tight)):
        assert dict(zip(order, allowed(await _hit(backend, *order)), strict=True)) == {tight: False, wide: True}
    assert (await backend.store.look([wide]))[0][1] == 2  # type: ignore[misc]


async def test_a_penal_limit_is_charged_for_refused_calls(backend: Backend) -> None:
    """Up to the amount, and a shadow refuses nobody."""
    tight, penal = charge("1/hour"), charge("3/hour", scope="penal", penal=True)
    assert [(await _hit(backend, tight, penal))[1][1] for _ in range(5)] == [2, 1, 0, 0, 0]
    shadow, real = charge("1/hour", scope="shadow", shadow=True), charge("5/hour", scope="real")
    assert [allowed(await _hit(backend, shadow, real)) for _ in range(2)] == [[True, True], [False, True]]


@pytest.mark.parametrize("text", LIMITS)
async def test_adjusting_can_only_take(backend: Backend, text: str) -> None:
    """`limits` cannot give back, so that is left undone; what is added is added. Forgetting works."""
    await _hit(backend, charge(text))
    await backend.store.adjust([(bucket(text), "ann", -1, 0.0), (bucket(text), "ann", 1, 0.0)])  # type: ignore[misc]
    assert (await backend.store.look([charge(text)]))[0][1] == 1  # type: ignore[misc]
    await backend.store.forget([charge(text)])  # type: ignore[misc]
    assert (await backend.store.look([charge(text)]))[0][1] == 3  # type: ignore[misc]


@pytest.mark.parametrize("text", ["2/second", "2/second sliding"])
async def test_story_limits_a_reset_that_is_too_early(backend: Backend, text: str) -> None:
    """limits: its times are rounded, and who waited for one was refused again. Here a second is added."""
    while (standing := (await _hit(backend, charge(text, adjusted=True)))[0])[0]:
        pass
    await asyncio.sleep(standing[2])
    assert allowed(await _hit(backend, charge(text, adjusted=True))) == [True]


async def test_story_limits_names_with_spaces_and_slashes(backend: Backend) -> None:
    """limits: names are joined by "/", and memcached takes neither spaces nor 250 bytes. Ours are hashed."""
    pairs = [("a/b", "c"), ("a", "b/c"), ("a b", "c"), ("x" * 1000, "\n"), ("\ud800", "é")]
    for scope, who in pairs:
        assert (await _hit(backend, charge("3/hour", who, scope=scope)))[0][1] == 2


async def test_a_change_of_strategy_begins_anew(backend: Backend) -> None:
    """As everywhere."""
    assert [(await _hit(backend, charge(text)))[0][1] for text in LIMITS * 2] == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("text", "adjusted", "message"),
    [
        ("5/500 milliseconds", False, "whole seconds; write a longer window"),
        ("5/minute burst 2", False, 'cannot count this; write "5/minute", or use redis://'),
        ("5/minute", True, "cannot give back what was charged; take count= away"),
    ],
)
async def test_what_it_cannot_count_is_refused(backend: Backend, text: str, adjusted: bool, message: str) -> None:
    """When the gate is bound, with what to write instead; it never counts something else."""
    with pytest.raises(ConfigurationError, match=message):
        backend.store.check(bucket(text, adjusted=adjusted))
    backend.store.check(bucket("5/minute sliding"))


async def test_a_storage_without_sliding_windows(memcached_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others of `limits` have fixed ones only."""
    monkeypatch.setattr("gatewright._core.storage.by_limits._slides", lambda _: False)
    store = LimitsStore(memcached_url, "test")
    with pytest.raises(
        ConfigurationError, match='5/minute sliding: MemcachedStorage cannot count this; write "5/minute"'
    ):
        store.check(bucket("5/minute sliding"))
    assert allowed(await store.hit([charge("5/minute")])) == [True]
    assert store.barred(charge("5/minute")) is None
    await store.close()


async def test_leases_are_local_and_there_are_no_records(backend: Backend, memcached_url: str) -> None:
    """What counts is shared; a record cannot be claimed there, and whoever needs one is told."""
    assert not backend.local
    assert await backend.leases.take("k", "a", 1)
    with pytest.raises(ConfigurationError, match=r"idempotent\(\) needs a storage that can claim"):
        Gate(storage=memcached_url).records("idempotent()")


def test_each_event_loop_has_its_own_connections(memcached_server: MemcachedServer, prefix: str) -> None:
    """A second `asyncio.run` neither hangs nor uses what belongs to the first; closing leaves nothing open."""
    store = LimitsStore(memcached_server.url, prefix)
    before = memcached_server.connections()

    async def visit() -> int:
        left = (await store.hit([charge("5/hour")]))[0][1]
        assert memcached_server.connections() > before
        await store.close()
        await store.close()
        return left

    assert [asyncio.run(visit()) for _ in range(3)] == [4, 3, 2]
    eventually(lambda: memcached_server.connections() == before, "connections stay open")


def test_what_closed_loops_left_behind_is_dropped() -> None:
    """It is of no use to anybody, and would be kept for as long as the app lives."""
    here, gone = asyncio.new_event_loop(), asyncio.new_event_loop()
    gone.close()
    assert living({here: "kept", gone: "dropped"}) == {here: "kept"}
    here.close()


@pytest.mark.fault
async def test_memcached_hangs_and_dies() -> None:
    """Requests are answered in time, local limits hold meanwhile, and afterwards it counts again."""
    events = Events()
    with MemcachedServer() as server:
        async with opened(server.url, events=events, deadline=0.2, retry_after=0.01) as backend:
            await _hit(backend, charge("3/hour"))
            for hurt, heal in ((server.stop, server.resume), (server.kill, server.start)):
                hurt()
                found = [allowed(await _hit(backend, charge("2/hour", scope=hurt.__name__)))[0] for _ in range(4)]
                assert found == [True, True, False, False]
                assert events.names[-1] == "storage_down"
                heal()
                for _ in range(500):
                    await asyncio.sleep(0.01)
                    await _hit(backend, charge("1000/hour"))
                    if events.names[-1] == "storage_up":
                        break
    assert events.names == ["storage_down", "storage_up"] * 2
