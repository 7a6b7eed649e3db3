"""The same decisions in a cluster, and on the master that a sentinel knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from gatewright._core.storage.clients import connector
from gatewright._core.storage.contract import Backend, Standing
from gatewright._core.storage.scripted import Server
from tests.servers import RedisCluster, RedisSentinel, RedisServer, eventually
from tests.storage.kit import Events, allowed, charge, opened

pytestmark = [pytest.mark.anyio, pytest.mark.redis]


@pytest.fixture
def anyio_backend() -> str:
    """redis-py runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def events() -> Iterator[Events]:
    """Take what is reported; nothing is to be."""
    events = Events()
    yield events
    assert events == []


@pytest.fixture
async def backend(redis_cluster: RedisCluster, prefix: str, events: Events) -> AsyncIterator[Backend]:
    async with opened(redis_cluster.url, prefix, events=events) as backend:
        yield backend


async def _hit(backend: Backend, *charges: object) -> list[Standing]:
    return list(await backend.store.hit(charges))  # type: ignore[arg-type,misc]  # far away, so to be awaited


async def _apart(backend: Backend, cluster: RedisCluster, prefix: str) -> tuple[str, str, str]:
    """Return three callers who are counted on three nodes."""
    callers: dict[RedisServer, str] = {}
    for at in range(100):
        before = {key for node in cluster.nodes for key in node.keys(prefix)}
        await _hit(backend, charge("1/second", f"probe {at}"))
        (key,) = {key for node in cluster.nodes for key in node.keys(prefix)} - before
        callers.setdefault(cluster.node_of(key), f"probe {at}")
        if len(callers) == 3:
            first, second, third = callers.values()
            return first, second, third
    raise AssertionError("the callers of a cluster are all on one node")


def _calls(cluster: RedisCluster) -> int:
    return sum(node.calls("evalsha") + node.calls("eval") for node in cluster.nodes)


async def test_one_callers_limits_are_one_round_trip(
    backend: Backend, redis_cluster: RedisCluster, prefix: str
) -> None:
    """All keys of a caller lie in one slot, so a cluster costs no more than a server."""
    charges = [charge(text) for text in ("3/minute", "9/hour sliding", "20/hour burst 5")]
    await _hit(backend, *charges)
    await _hit(backend, *charges)
    before = _calls(redis_cluster)
    assert allowed(await _hit(backend, *charges)) == [True, True, True]
    assert _calls(redis_cluster) - before == 1
    await backend.store.look(charges)  # type: ignore[misc]
    assert _calls(redis_cluster) - before == 2
    assert [len(node.keys(prefix)) for node in redis_cluster.nodes if node.keys(prefix)] == [3]


async def test_two_callers_pay_both_or_none(backend: Backend, redis_cluster: RedisCluster, prefix: str) -> None:
    """A limit by address and one by header are on different nodes; a refusal by the second gives back to the first."""
    address, header, _ = await _apart(backend, redis_cluster, prefix)
    wide = charge("9/minute", address, scope="address", adjusted=True)
    tight = charge("1/minute", header, scope="header", adjusted=True)
    assert [s[:2] for s in await _hit(backend, wide, tight)] == [(True, 8), (True, 0)]
    for order in ((wide, tight), (tight, wide)) * 3:
        found = dict(zip(order, await _hit(backend, *order), strict=True))
        assert found[wide][:2] == (True, 8)
        assert found[tight][:2] == (False, 0)


async def test_penal_and_shadow_limits_across_nodes(backend: Backend, redis_cluster: RedisCluster, prefix: str) -> None:
    """What refused calls pay is paid on every node, asked or not; a shadow refuses nobody there either."""
    first, second, third = await _apart(backend, redis_cluster, prefix)
    before = charge("9/minute", first, scope="before", penal=True)
    tight = charge("1/minute", second, scope="tight")
    shadow = charge("1/minute", first, scope="shadow", shadow=True)
    after = charge("9/minute", third, scope="after", penal=True)
    beside = charge("9/minute", third, scope="beside")
    charges = before, shadow, tight, after, beside
    found = [await _hit(backend, *charges) for _ in range(3)]
    assert [allowed(standings) for standings in found] == [
        [True, True, True, True, True],
        [True, False, False, True, True],
        [True, False, False, True, True],
    ]
    assert [[s[1] for s in standings] for standings in found] == [[8, 0, 0, 8, 8], [7, 0, 0, 7, 8], [6, 0, 0, 6, 8]]


async def test_looking_adjusting_and_forgetting_go_to_each_node(
    backend: Backend, redis_cluster: RedisCluster, prefix: str
) -> None:
    """What concerns several callers is asked where each of them is counted, in the order of the question."""
    callers = await _apart(backend, redis_cluster, prefix)
    charges = [charge("5/minute", who, scope="adjusted", adjusted=True) for who in callers for _ in range(1)]
    found = await _hit(backend, *charges)
    changes = [(b, who, by, s[3]) for (b, who, _), s, by in zip(charges, found, (-1, 1, 2), strict=True)]
    await backend.store.adjust(changes)  # type: ignore[misc]
    assert [s[1] for s in await backend.store.look(charges)] == [5, 3, 2]  # type: ignore[misc]
    await backend.store.forget(charges[1:])  # type: ignore[misc]
    assert [s[1] for s in await backend.store.look(charges)] == [5, 5, 5]  # type: ignore[misc]


async def test_each_node_may_forget_the_scripts(backend: Backend, redis_cluster: RedisCluster, prefix: str) -> None:
    """NOSCRIPT on a node is not noticed."""
    callers = await _apart(backend, redis_cluster, prefix)
    for node in redis_cluster.nodes:
        node.ask("SCRIPT", "FLUSH")
    found = [await _hit(backend, charge("5/minute", who, scope="flushed")) for who in callers]
    assert [standings[0][1] for standings in found] == [4, 4, 4]


async def test_leases_and_records_in_a_cluster(backend: Backend) -> None:
    """Slots and claims are one key each, wherever it lies."""
    assert backend.records is not None
    for at in range(12):
        assert await backend.leases.take(f"key {at}", "one", 1)
        assert not await backend.leases.take(f"key {at}", "two", 1)
        await backend.leases.give(f"key {at}", "one")
        claimed = await backend.records.claim(f"key {at}", "print", 5.0)
        assert await backend.records.keep(f"key {at}", claimed.token, b"value", 5.0)  # type: ignore[union-attr]


async def test_learning_the_nodes_may_take_longer_than_a_question(redis_cluster: RedisCluster, prefix: str) -> None:
    """Looked for within each question's deadline, the nodes would never be found; our client goes on by itself."""
    events = Events()
    async with opened(redis_cluster.url, prefix, events=events, deadline=0.001, retry_after=0.01) as backend:
        for _ in range(500):
            await _hit(backend, charge("1000/minute"))
            if events.names[-1:] == ["storage_up"]:
                break
            await asyncio.sleep(0.01)
        assert events.names[:2] == ["storage_down", "storage_up"]


async def test_a_cluster_is_learned_once_at_a_time(redis_cluster: RedisCluster, prefix: str) -> None:
    """However many failures say that a node may have been replaced."""
    server = Server(redis_cluster.url, 5.0)
    tasks = asyncio.all_tasks()
    for _ in range(3):
        server.hang_up()
    assert len(asyncio.all_tasks() - tasks) == 1
    await server.close()
    assert asyncio.all_tasks() == tasks


async def test_a_client_that_was_never_asked_is_closed(redis_cluster: RedisCluster) -> None:
    """It has learned nothing, and starts no task in order to be closed."""
    tasks = asyncio.all_tasks()
    await connector(redis_cluster.url, 5.0)().aclose()
    assert asyncio.all_tasks() == tasks


async def test_a_client_that_is_closed_while_it_learns(
    redis_cluster: RedisCluster, prefix: str, events: Events
) -> None:
    """Closing ends the task that looks for the nodes."""
    tasks = asyncio.all_tasks()
    async with opened(redis_cluster.url, prefix, events=events) as backend:
        asking = asyncio.create_task(_hit(backend, charge("9/minute")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        assert len(asyncio.all_tasks() - tasks) == 1
    assert asyncio.all_tasks() == tasks


async def test_a_sentinel_knows_the_master(
    redis_sentinel: RedisSentinel, own_redis: RedisServer, events: Events
) -> None:
    """`redis+sentinel://host:port/name` counts on whom the sentinel names; its own connection is closed, too."""
    async with opened(redis_sentinel.url, events=events) as backend, opened(own_redis.url, events=events) as direct:
        await _hit(backend, charge("3/minute"))
        assert (await _hit(direct, charge("3/minute")))[0][1] == 1
        assert own_redis.calls("evalsha") == 2
        assert redis_sentinel.ask("INFO", "clients")["connected_clients"] > 1
    eventually(
        lambda: redis_sentinel.ask("INFO", "clients")["connected_clients"] == 1, "a connection to the sentinel stays"
    )


async def test_a_sentinel_that_hangs_leaves_time_for_the_others(
    redis_sentinel: RedisSentinel, own_redis: RedisServer, events: Events
) -> None:
    """The deadline is shared out, so the first of the list cannot use it up."""
    with RedisSentinel(own_redis) as hung:
        hung.stop()
        url = f"redis+sentinel://127.0.0.1:{hung.port},127.0.0.1:{redis_sentinel.port}/gates"
        async with opened(url, events=events, deadline=1.5) as backend:
            assert (await _hit(backend, charge("3/minute")))[0][1] == 2


async def test_a_service_that_the_sentinel_does_not_know(redis_sentinel: RedisSentinel) -> None:
    """That is a storage that does not answer."""
    events = Events()
    async with opened(redis_sentinel.url.replace("gates", "doors"), events=events) as backend:
        assert allowed(await _hit(backend, charge("3/minute"))) == [True]
    assert [event.get("error") for event in events] == ["MasterNotFoundError"]
