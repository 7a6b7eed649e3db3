"""Slots: one set of rules for memory and server, and what only a server needs, renewal."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gatewright._core.storage.contract import Leases
from gatewright._core.storage.local import LocalLeases
from gatewright._core.storage.redis import RedisLeases
from gatewright._core.storage.scripted import Server, tagged
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

TINY = 0.3


@pytest.fixture
def anyio_backend() -> str:
    """redis-py runs on asyncio only."""
    return "asyncio"


@asynccontextmanager
async def _redis_leases(url: str, prefix: str, lease: float = 30.0) -> AsyncIterator[RedisLeases]:
    server = Server(url, 5.0)
    leases = RedisLeases(server, prefix, lease=lease)
    yield leases
    await leases.close()
    await server.close()


class Rules:
    """What is true of all slots."""

    async def test_so_many_and_no_more(self, leases: Leases) -> None:
        """*most* slots are lent; one that is given back can be taken by somebody else."""
        assert [await leases.take("k", holder, 2) for holder in "abc"] == [True, True, False]
        await leases.give("k", "a")
        assert [await leases.take("k", holder, 2) for holder in "cd"] == [True, False]

    async def test_keys_are_apart(self, leases: Leases) -> None:
        """The slots of one key say nothing about another."""
        assert await leases.take("k", "a", 1)
        assert await leases.take("l", "a", 1)

    async def test_a_holder_takes_a_slot_once(self, leases: Leases) -> None:
        """Taking again is no second slot, and giving once gives it back."""
        assert await leases.take("k", "a", 1)
        assert await leases.take("k", "a", 1)
        await leases.give("k", "a")
        assert await leases.take("k", "b", 1)

    async def test_what_is_not_held_is_not_missed(self, leases: Leases) -> None:
        """Giving back twice, or what was refused, frees nobody else's slot."""
        await leases.give("k", "nobody")
        assert await leases.take("k", "a", 1)
        await leases.give("k", "b")
        assert not await leases.take("k", "b", 1)
        await leases.give("k", "a")
        await leases.give("k", "a")
        assert await leases.take("k", "b", 1)

    async def test_a_lower_number_takes_nothing_away(self, leases: Leases) -> None:
        """Where fewer are to be at work from now on, those who are finish."""
        assert [await leases.take("k", holder, 3) for holder in "abc"] == [True, True, True]
        assert not await leases.take("k", "d", 1)
        await leases.give("k", "a")
        await leases.give("k", "b")
        assert not await leases.take("k", "d", 1)
        await leases.give("k", "c")
        assert await leases.take("k", "d", 1)

    async def test_many_at_once(self, leases: Leases) -> None:
        """Of a hundred who come together, exactly so many are lent a slot."""
        taken = await asyncio.gather(*(leases.take("k", f"{at}", 7) for at in range(100)))
        assert sum(taken) == 7


class TestInMemory(Rules):
    """Slots of one process."""

    @pytest.fixture
    def leases(self) -> Leases:
        return LocalLeases()


@pytest.mark.redis
class TestOnAServer(Rules):
    """Slots of all processes."""

    @pytest.fixture
    async def leases(self, redis_url: str, prefix: str) -> AsyncIterator[Leases]:
        async with _redis_leases(redis_url, prefix) as leases:
            yield leases


@pytest.mark.redis
class TestRenewal:
    """A lease is the time after which the slots of a process that died are free, and no limit to how long one works."""

    @staticmethod
    def _ends_at(server: RedisServer, prefix: str, key: str, holder: str) -> float:
        return float(server.ask("ZSCORE", tagged(prefix, key, "slots"), holder) or 0)

    async def _renewed(self, server: RedisServer, prefix: str, holder: str = "a") -> None:
        before = await asyncio.to_thread(self._ends_at, server, prefix, "k", holder)
        for _ in range(200):
            if await asyncio.to_thread(self._ends_at, server, prefix, "k", holder) > before:
                return
            await asyncio.sleep(0.025)
        raise AssertionError("the lease is not renewed")

    async def test_a_slot_is_held_for_as_long_as_the_work_lasts(
        self, redis_server: RedisServer, redis_url: str, prefix: str
    ) -> None:
        """The keeper renews each lease, several times over, and others stay outside."""
        async with _redis_leases(redis_url, prefix, TINY) as leases, _redis_leases(redis_url, prefix, TINY) as others:
            assert await leases.take("k", "a", 1)
            for _ in range(5):
                await self._renewed(redis_server, prefix)
                assert not await others.take("k", "b", 1)
            await leases.give("k", "a")
            assert await others.take("k", "b", 1)

    async def test_every_holder_is_renewed(self, redis_server: RedisServer, redis_url: str, prefix: str) -> None:
        """One task is enough for all of them."""
        async with _redis_leases(redis_url, prefix, TINY) as leases:
            tasks = asyncio.all_tasks()
            for holder in "abc":
                await leases.take("k", holder, 3)
            assert len(asyncio.all_tasks() - tasks) == 1
            for holder in "abc":
                await self._renewed(redis_server, prefix, holder)

    async def test_no_task_is_left_where_nothing_is_held(self, redis_url: str, prefix: str) -> None:
        """The keeper is there while a slot is, and not for a slot that was refused."""
        async with _redis_leases(redis_url, prefix) as leases:
            tasks = asyncio.all_tasks()
            for _ in range(2):
                await leases.take("k", "a", 1)
                await leases.take("k", "b", 1)
                await leases.take("l", "a", 1)
                assert len(asyncio.all_tasks()) == len(tasks) + 1
                await leases.give("k", "b")
                await leases.give("k", "a")
                assert len(asyncio.all_tasks()) == len(tasks) + 1
                await leases.give("l", "a")
                await asyncio.sleep(0)
                assert asyncio.all_tasks() == tasks
            leases.let_go("k", "nobody")

    async def test_closing_ends_the_keeper(self, redis_server: RedisServer, redis_url: str, prefix: str) -> None:
        """After that the leases run out; giving back late is no error."""
        async with _redis_leases(redis_url, prefix, TINY) as leases, _redis_leases(redis_url, prefix, TINY) as others:
            tasks = asyncio.all_tasks()
            await leases.take("k", "a", 1)
            await leases.close()
            assert asyncio.all_tasks() == tasks
            await leases.close()
            await self._is_free(others)
            await leases.give("k", "a")
            assert not await leases.take("k", "c", 1)

    async def test_what_is_let_go_runs_out(self, redis_url: str, prefix: str) -> None:
        """Without a word to the server."""
        async with _redis_leases(redis_url, prefix, TINY) as leases, _redis_leases(redis_url, prefix, TINY) as others:
            await leases.take("k", "a", 1)
            leases.let_go("k", "a")
            await self._is_free(others)

    async def test_the_slots_of_a_process_that_died_are_free_again(self, redis_url: str, prefix: str) -> None:
        """SIGKILL, power, out of memory: nobody gives anything back, and the lease ends."""
        program = (
            "import asyncio, os, signal\n"
            "from gatewright._core.storage.redis import RedisLeases\n"
            "from gatewright._core.storage.scripted import Server\n"
            "async def work():\n"
            f"    leases = RedisLeases(Server({redis_url!r}, 5.0), {prefix!r}, lease={TINY})\n"
            "    assert await leases.take('k', 'a', 1)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "asyncio.run(work())\n"
        )
        died = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], timeout=60, check=False)
        assert died.returncode == -9
        async with _redis_leases(redis_url, prefix, TINY) as others:
            await self._is_free(others)

    async def test_a_keeper_survives_what_its_server_does(self, own_redis: RedisServer, prefix: str) -> None:
        """A renewal that fails is tried again at the next turn; a server that lost everything is told what is held."""
        async with _redis_leases(own_redis.url, prefix, TINY) as leases:
            await leases.take("k", "a", 1)
            await asyncio.to_thread(own_redis.kill)
            await asyncio.sleep(TINY)
            await asyncio.to_thread(own_redis.start)
            await self._renewed(own_redis, prefix)
            assert not await leases.take("k", "b", 1)

    async def test_a_renewal_that_crosses_the_giving_back(self, redis_url: str, prefix: str) -> None:
        """The slot was given back while its renewal was under way: the keeper gives it back once more."""
        async with _redis_leases(redis_url, prefix) as leases:
            quick = RedisLeases(_Crossing(redis_url, leases), prefix, lease=0.03)
            assert await quick.take("k", "stays", 9)
            assert await quick.take("l", "goes", 1)
            crossing = quick._server
            assert isinstance(crossing, _Crossing)
            crossing.given = lambda: quick.let_go("l", "goes")
            await asyncio.wait_for(crossing.done.wait(), 10)
            assert await leases.take("l", "other", 1)
            await quick.close()
            await crossing.close()

    @staticmethod
    async def _is_free(others: RedisLeases) -> None:
        for _ in range(200):
            if await others.take("k", "b", 1):
                return
            await asyncio.sleep(0.025)
        raise AssertionError("the slot stays taken")

    async def test_an_answer_that_is_none_of_ours(self, prefix: str) -> None:
        """Whatever speaks at the other end, a slot is not taken by its word."""

        class Rubbish:
            is_cluster = False

            async def run(self, *_: Any) -> Any:
                return b"OK"

        leases = RedisLeases(Rubbish(), prefix)  # type: ignore[arg-type]  # it only looks like a server
        with pytest.raises(ValueError, match="no answer"):
            await leases.take("k", "a", 1)


class _Crossing(Server):
    """A server whose holder gives the slot back just while it is being renewed."""

    def __init__(self, url: str, leases: RedisLeases) -> None:
        super().__init__(url, 5.0)
        self.given: Any = None
        self.done = asyncio.Event()

    async def run(self, script: Any, keys: Any, arguments: Any) -> Any:
        answer = await super().run(script, keys, arguments)
        if self.given is not None and arguments[:2] == ["renew", "goes"]:
            self.given()
            self.given = None
        elif arguments[:2] == ["give", "goes"]:
            self.done.set()
        return answer
