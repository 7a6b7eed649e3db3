"""Does the time of a login that fails tell whether there is such a user?"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from secrets import token_hex
from statistics import median
from time import perf_counter

import anyio.to_thread

from gatewright import Gate
from gatewright.auth.login import Login, LoginFailed
from gatewright.auth.passwords.argon2 import argon2id
from gatewright.auth.passwords.bcrypt import bcrypt
from gatewright.auth.passwords.hasher import Hasher
from gatewright.auth.passwords.passwords import Passwords
from gatewright.lockout import lockout
from gatewright.testing import EventList, make_call
from tests.benchmarks.method import Effort
from tests.benchmarks.table import Table, ratio
from tests.benchmarks.wire import running

__all__ = ["Hashers", "rank_z", "table"]

_UNKNOWN = "nobody"
_UNUSABLE = "!"
_COLUMNS = ("a login that fails: whose", "median ms", "÷ nobody's", "z")
_NOTE = (
    "Wall-clock time of one login after the other, in shuffled order, each with a wrong password, for a name that "
    "nobody has and for users whose hashes are of different kinds. z is that of the Mann-Whitney rank test against "
    "nobody's times: positive where the user's take longer. Times that are the same give |z| below 2 in 19 of 20 rows; "
    "above 3, somebody with as many samples knows who has an account. A small one shows no more than that it takes "
    "more samples than these. The dummy hash is what others do: for nobody a hash of the kind that new users get, for "
    "a user that user's own; it shows that the test finds what there is. A floor hides nothing where it is below the "
    "medians."
)


@dataclass(frozen=True)
class Hashers:
    """What hashes.

    Args:
        new: what makes new hashes.
        old: what made older ones.
        oldest: what made still weaker ones; a setting of *old*.
    """

    new: Hasher
    old: Hasher
    oldest: Hasher


@dataclass(frozen=True)
class _User:
    id: str
    password_hash: str


Attempt = Callable[[str], Awaitable[bool]]
"""Tries a name with a wrong password; returns whether it was let in."""


def table(effort: Effort, hashers: Hashers | None = None, floor: float = Login.floor) -> Table:
    """Measure logins that fail.

    Args:
        effort: how many samples of each.
        hashers: what hashes; by default argon2id, and bcrypt with costs of 12 and 10.
        floor: the least time of a failure, in seconds.
    """
    hashers = hashers or Hashers(argon2id(), bcrypt(12), bcrypt(10))
    users = _users(hashers)
    ways = {
        "a dummy hash": _with_dummy_hash(hashers, users),
        "`Login(floor=0)`": _with_login(hashers, users, 0),
        f"`Login(floor={floor})`": _with_login(hashers, users, floor),
    }
    with running() as runner:
        times = runner.run(_times(ways, [_UNKNOWN, *users], effort))
    rows = [
        (
            f"{way}: {whose}",
            f"{median(times[way, whose]) * 1e3:.1f}",
            ratio(median(times[way, whose]), median(times[way, _UNKNOWN])),
            "" if whose == _UNKNOWN else f"{rank_z(times[way, whose], times[way, _UNKNOWN]):+.1f}",
        )
        for way in ways
        for whose in (_UNKNOWN, *users)
    ]
    return Table(f"Users, known and unknown, {effort.rounds} samples each", _COLUMNS, rows, _NOTE)


def rank_z(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the z-score of the Mann-Whitney U test: how far *one* is from being neither above nor below *other*."""
    above = sum((a > b) + (a == b) / 2 for a in one for b in other)
    pairs = len(one) * len(other)
    return (above - pairs / 2) / sqrt(pairs * (len(one) + len(other) + 1) / 12)


def _users(hashers: Hashers) -> dict[str, _User]:
    made = {
        f"a user with {hashers.new.name}": hashers.new.hash(b"the password"),
        f"a user with {hashers.old.name}": hashers.old.hash(b"the password"),
        f"a user with a weaker {hashers.oldest.name}": hashers.oldest.hash(b"the password"),
        "a user with an unusable hash": _UNUSABLE,
    }
    return {whose: _User(whose, stored) for whose, stored in made.items()}


async def _times(
    ways: dict[str, Attempt], names: Sequence[str], effort: Effort
) -> dict[tuple[str, str], Sequence[float]]:
    times: dict[tuple[str, str], list[float]] = {(way, name): [] for way in ways for name in names}
    order = list(times)
    for _ in range(effort.warm + effort.rounds):
        # Who comes after whom must not matter.
        random.shuffle(order)
        for way, name in order:
            typed = f"nobody {token_hex(8)}" if name == _UNKNOWN else name
            started = perf_counter()
            if await ways[way](typed):
                raise RuntimeError(f"{name} was let in with a wrong password")
            times[way, name].append(perf_counter() - started)
    return {of: taken[effort.warm :] for of, taken in times.items()}


def _with_login(hashers: Hashers, users: dict[str, _User], floor: float) -> Attempt:
    async def find_user(name: str) -> _User | None:
        return users.get(name)

    passwords = Passwords((hashers.new, hashers.old))
    # It counts, and never refuses.
    counting = lockout("1000000/minute", scope="login", network=None, account=None)
    login = Login(find_user, passwords, counting, floor=floor)
    gate = Gate(log=EventList())

    async def attempt(name: str) -> bool:
        try:
            await login.attempt(make_call(method="POST", gate=gate), name, "another password")
        except LoginFailed:
            return False
        return True

    return attempt


def _with_dummy_hash(hashers: Hashers, users: dict[str, _User]) -> Attempt:
    dummy = hashers.new.hash(b"of nobody")

    async def attempt(name: str) -> bool:
        user = users.get(name)
        stored = dummy if user is None or user.password_hash == _UNUSABLE else user.password_hash
        hasher = hashers.new if hashers.new.work_of(stored) else hashers.old
        return await anyio.to_thread.run_sync(hasher.matches, stored, b"another password")

    return attempt
