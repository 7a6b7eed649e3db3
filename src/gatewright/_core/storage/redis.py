"""Limits, leases, records and marks on a Redis or Valkey server, shared by every process that uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from math import ceil
from typing import Any, cast

from gatewright._core.storage.contract import Bucket, Change, Charge, Claimed, Kept, Pending, Standing
from gatewright._core.storage.loops import living
from gatewright._core.storage.scripted import Server, digest, script, tagged

__all__ = ["RedisLeases", "RedisMarks", "RedisRecords", "RedisStore"]

_SECOND = 1_000_000
_FIELDS = 4


class RedisStore:
    """Count on the server: one script and one round trip, whatever the number of limits.

    In a cluster, limits that count different callers lie on different nodes. They are asked one after the other
    there, and where one refuses, those before it get back what they took.
    """

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._script = script("limits")

    async def hit(self, charges: Sequence[Charge], /) -> list[Standing]:
        """Pay every charge or none; return how each bucket stands."""
        if not self._server.is_cluster:
            return await self._run("hit", charges)
        standings: dict[int, Standing] = {}
        for group in _by_caller(charges):
            found = await self._run("hit", [charges[at] for at in group])
            standings.update(zip(group, found, strict=True))
            if not all(standings[at][0] or charges[at][0].shadow for at in group):
                await self._take_back(charges, standings, group)
                break
        return [standings[at] for at in range(len(charges))]

    async def look(self, charges: Sequence[Charge], /) -> list[Standing]:
        """Return how each bucket stands, and whether it would pay its charge."""
        return await self._each("look", charges)

    async def adjust(self, changes: Sequence[Change], /) -> None:
        """Change what was spent."""
        await self._each("adjust", changes)

    async def forget(self, charges: Sequence[Charge], /) -> None:
        """Make buckets full again."""
        await self._each("forget", charges)

    def barred(self, charge: Charge, /) -> Standing | None:
        """Say that nothing is known without asking."""
        return None

    def check(self, bucket: Bucket, /) -> None:
        """Take every limit."""

    async def _take_back(
        self, charges: Sequence[Charge], standings: dict[int, Standing], refused: Sequence[int]
    ) -> None:
        """Undo what was paid before one caller's limits refused, but for what refused calls pay too."""
        after = [at for at in range(len(charges)) if at not in standings]
        before = [at for at in standings if at not in refused]
        paid = [at for at in before if standings[at][0] and not charges[at][0].penal]
        back: list[Change] = [(*charges[at][:2], -charges[at][2], standings[at][3]) for at in paid]
        await self._each("adjust", back)
        penal = [at for at in after if charges[at][0].penal]
        others = [at for at in (*paid, *after) if at not in penal]
        for action, some in (("hit", penal), ("look", others)):
            found = await self._each(action, [charges[at] for at in some])
            standings.update(zip(some, found, strict=True))

    async def _each(self, action: str, charges: Sequence[Charge | Change]) -> list[Standing]:
        if not self._server.is_cluster:
            return await self._run(action, charges)
        standings: dict[int, Standing] = {}
        for group in _by_caller(charges):
            found = await self._run(action, [charges[at] for at in group])
            standings.update(zip(group, found, strict=True))
        return [standings[at] for at in range(len(charges))]

    async def _run(self, action: str, charges: Sequence[Charge | Change]) -> list[Standing]:
        keys: list[str] = []
        arguments: list[object] = [action]
        for bucket, who, cost, *mark in charges:
            name, settings = _told(bucket)
            keys.append(tagged(self._prefix, who, name))
            arguments.append(f"{settings} {cost} {int(mark[0])}" if mark else f"{settings} {cost} ")
        answer: bytes = await self._server.run(self._script, keys, arguments)
        found = [int(number) for number in answer.split()]
        return [
            (bool(found[at]), found[at + 1], found[at + 2] / _SECOND, found[at + 3])
            for at in range(0, len(charges) * _FIELDS, _FIELDS)
        ]


def _by_caller(charges: Sequence[Charge | Change]) -> list[list[int]]:
    """Return which charges one node can decide about: those of one caller."""
    groups: dict[str, list[int]] = {}
    for at, charge in enumerate(charges):
        groups.setdefault(charge[1], []).append(at)
    return list(groups.values())


@lru_cache(4096)
def _told(bucket: Bucket) -> tuple[str, str]:
    """Return a bucket's part of the key, and what the script is told of it.

    The limit with its strategy is in the key, so that a new one begins anew.
    """
    limit = bucket.limit
    settings = (limit.strategy, limit.amount, limit.milliseconds * 1000, limit.burst)
    return digest(repr((bucket.scope, *limit))), " ".join(map(str, (*settings, int(bucket.shadow), int(bucket.penal))))


class RedisLeases:
    """Lend slots to all processes; a lease is renewed while its holder's process lives.

    Args:
        server: where they are kept.
        prefix: what keys begin with.
        lease: the seconds after which the slots of a process that died are free again.
    """

    def __init__(self, server: Server, prefix: str, *, lease: float = 30.0) -> None:
        self._server = server
        self._prefix = prefix
        self._lease = lease
        self._script = script("leases")
        self._held: dict[asyncio.AbstractEventLoop, tuple[set[tuple[str, str]], asyncio.Task[None]]] = {}

    async def take(self, key: str, holder: str, most: int, /) -> bool:
        """Take one of *most* slots."""
        taken = await self._ask("take", key, holder, most)
        if taken:
            self._keep(key, holder)
        return taken

    async def give(self, key: str, holder: str, /) -> None:
        """Give the slot back."""
        self.let_go(key, holder)
        await self._ask("give", key, holder, 0)

    def let_go(self, key: str, holder: str, /) -> None:
        """Renew the lease no more; it ends by itself."""
        loop = asyncio.get_running_loop()
        if loop in self._held:
            held, keeper = self._held[loop]
            held.discard((key, holder))
            if not held:
                del self._held[loop]
                keeper.cancel()

    async def close(self) -> None:
        """Renew nothing more."""
        if self._held:
            _, keeper = self._held.pop(asyncio.get_running_loop(), (None, None))
            self._held = living(self._held)
            if keeper is not None:
                keeper.cancel()
                await asyncio.wait([keeper])

    async def _ask(self, action: str, key: str, holder: str, most: int) -> bool:
        where = tagged(self._prefix, key, "slots")
        answer = await self._server.run(self._script, [where], [action, holder, most, int(self._lease * 1000)])
        if answer not in (0, 1):
            raise ValueError("this is no answer to our script")
        return bool(answer)

    def _keep(self, key: str, holder: str) -> None:
        loop = asyncio.get_running_loop()
        if loop not in self._held:
            held: set[tuple[str, str]] = set()
            self._held = living(self._held)
            self._held[loop] = held, loop.create_task(self._renew(held))
        self._held[loop][0].add((key, holder))

    async def _renew(self, held: set[tuple[str, str]]) -> None:
        """Renew what is held, three times in a lease: a stream may last for hours."""
        while True:
            await asyncio.sleep(self._lease / 3)
            for key, holder in list(held):
                # Nobody waits for this; what fails is tried again at the next turn.
                with suppress(Exception):
                    async with asyncio.timeout(self._lease / 3):
                        await self._ask("renew", key, holder, 0)
                        if (key, holder) not in held:
                            # Given back meanwhile: the renewal may have come after that.
                            await self._ask("give", key, holder, 0)


class RedisRecords:
    """Remember for all processes.

    Args:
        server: where they are kept.
        prefix: what keys begin with.
        entropy: returns n random bytes, for the tokens of claims.
    """

    def __init__(self, server: Server, prefix: str, entropy: Callable[[int], bytes]) -> None:
        self._server = server
        self._prefix = prefix
        self._entropy = entropy
        self._script = script("records")

    async def claim(self, key: str, fingerprint: str, lease: float, /) -> Claimed | Pending | Kept:
        """Claim a key, unless somebody else did, or its work is done."""
        token = self._entropy(16).hex()
        match await self._ask(key, "claim", fingerprint, token, int(lease * 1000)):
            case [b"claimed"]:
                return Claimed(token)
            case [b"pending", bytes(other), int(milliseconds)]:
                return Pending(other.decode(), max(0, milliseconds) / 1000)
            case [b"kept", bytes(other), bytes(value)]:
                return Kept(other.decode(), value)
            case _:
                raise ValueError("this is no answer to our script")

    async def keep(self, key: str, token: str, value: bytes, seconds: float, /) -> bool:
        """Keep what came of the work."""
        return bool(await self._ask(key, "keep", token, value, int(seconds * 1000)) == 1)

    async def release(self, key: str, token: str, /) -> None:
        """Give up a claim."""
        await self._ask(key, "release", token)

    async def _ask(self, key: str, *arguments: object) -> Any:
        return await self._server.run(self._script, [tagged(self._prefix, key, "record")], arguments)


class RedisMarks:
    """Remember numbers for all processes.

    Args:
        server: where they are kept.
        prefix: what keys begin with.
    """

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._script = script("marks")

    async def read(self, who: str, names: Sequence[str], /) -> list[float | None]:
        """Return what was said of *who* under each of *names*."""
        answer = await self._server.run(self._script, [self._key(who, name) for name in names], ["read"])
        if not isinstance(answer, list):
            raise ValueError("this is no answer to our script")
        found = cast("list[bytes | None]", answer)
        return [None if number is None else float(number) for _, number in zip(names, found, strict=True)]

    async def raise_to(self, who: str, name: str, number: float, seconds: float, /) -> None:
        """Say that a number is at least *number*, for *seconds*."""
        keys, arguments = [self._key(who, name)], ["raise", repr(number), ceil(seconds * 1000)]
        if await self._server.run(self._script, keys, arguments) != 1:
            raise ValueError("this is no answer to our script")

    def _key(self, who: str, name: str) -> str:
        return tagged(self._prefix, who, f"mark:{name}")
