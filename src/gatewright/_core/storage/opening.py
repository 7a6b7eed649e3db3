"""From a URL in the vocabulary of `limits` to a storage."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gatewright._core.clock import Clock
from gatewright._core.storage.contract import Backend
from gatewright._core.storage.line import Line, Report
from gatewright._core.storage.local import LocalLeases, LocalMarks, LocalRecords
from gatewright._core.storage.memory import MemoryStore
from gatewright._core.storage.resilient import ResilientLeases, ResilientMarks, ResilientRecords, ResilientStore
from gatewright.errors import ConfigurationError

__all__ = ["Storage", "open_backend"]

_REDIS = ("redis", "rediss", "valkey", "valkeys")
_FOREVER = float("inf")
_SCHEME = re.compile(r"[a-z][a-z0-9+]*://")
_PREFIX = re.compile(r"[!-z|~]{1,100}")


@dataclass(frozen=True)
class Storage:
    """Say where a gate keeps limits, leases and records, and what to do while that place does not answer.

    Args:
        url: in the vocabulary of `limits`: `"memory://"`, `"redis://user:password@host:6379/0"`,
            `"redis+unix:///path"`, `"redis+cluster://host:7000,host:7001"`, `"redis+sentinel://host:26379/name"`,
            with `rediss` for TLS, and `valkey` for `redis`; or any other storage that `limits` knows. Options of the
            client follow after a `?`; sentinels that want a password of their own take it as `sentinel_password`.
        deadline: the seconds that one question may take, connecting and all.
        retry_after: the seconds for which a storage that failed is not asked again; twice as long each time it goes
            on failing, up to 30.
        local_share: which part of a limit each process grants by itself meanwhile: 0.25 for four workers that are to
            grant as much as before.
        prefix: what every key begins with, where apps share a server.

    Raises:
        ConfigurationError: for a URL that names no storage, and for numbers that cannot be meant.
    """

    url: str = "memory://"
    deadline: float = 0.1
    retry_after: float = 1.0
    local_share: float = 1.0
    prefix: str = "gatewright"

    def __post_init__(self) -> None:
        # What is no URL is not shown: it may hold a password all the same.
        if not isinstance(self.url, str) or not _SCHEME.match(self.url):  # pyright: ignore[reportUnnecessaryIsInstance]  # a promise
            raise ConfigurationError('Gate(storage=...): write a URL, such as "memory://" or "redis://host"')
        if not 0 < self.deadline < _FOREVER or not 0 < self.retry_after < _FOREVER:
            raise ConfigurationError(f"{self!r}: write deadline= and retry_after= in seconds, more than 0")
        if not 0 < self.local_share <= 1:
            raise ConfigurationError(f"{self!r}: local_share= is a part of the limit; write more than 0, at most 1")
        if not _PREFIX.fullmatch(self.prefix):
            raise ConfigurationError(
                f"{self!r}: write a prefix= of up to 100 characters, printable ASCII without spaces and braces"
            )

    def __repr__(self) -> str:
        # The URL may hold a password.
        return f"Storage({self.scheme}://)"

    @property
    def scheme(self) -> str:
        """Return what the URL begins with; `async+`, which `limits` writes, says nothing here."""
        return self.url.partition("://")[0].removeprefix("async+")


def open_backend(storage: Storage, clock: Clock, entropy: Callable[[int], bytes], report: Report) -> Backend:
    """Return what a gate's storage names; nothing is connected yet.

    Raises:
        ConfigurationError: for a storage that nobody knows, or whose client is not installed.
    """
    if storage.scheme == "memory":
        records, marks = LocalRecords(clock, entropy), LocalMarks(clock)
        return Backend(MemoryStore(clock), LocalLeases(), records, marks, True, _nothing)
    if storage.scheme.partition("+")[0] in _REDIS:
        return _open_redis(storage, clock, entropy, report)
    from gatewright._core.storage.by_limits import LimitsStore

    store = LimitsStore(storage.url, storage.prefix)
    line = Line(storage.scheme, storage.deadline, storage.retry_after, clock, report)
    # Leases are this process's own, as `limits` has none; what is counted is everybody's.
    counting = ResilientStore(store, line, clock, storage.local_share)
    return Backend(counting, LocalLeases(), None, None, False, store.close)


def _open_redis(storage: Storage, clock: Clock, entropy: Callable[[int], bytes], report: Report) -> Backend:
    from gatewright._core.storage.redis import RedisLeases, RedisMarks, RedisRecords, RedisStore
    from gatewright._core.storage.scripted import Server

    server = Server(storage.url, storage.deadline)
    line = Line(storage.scheme, storage.deadline, storage.retry_after, clock, report, server.hang_up)
    leases = RedisLeases(server, storage.prefix)

    async def close() -> None:
        await leases.close()
        await server.close()

    return Backend(
        store=ResilientStore(RedisStore(server, storage.prefix), line, clock, storage.local_share),
        leases=ResilientLeases(leases, line, storage.local_share),
        records=ResilientRecords(RedisRecords(server, storage.prefix, entropy), line),
        marks=ResilientMarks(RedisMarks(server, storage.prefix), line),
        local=False,
        close=close,
    )


async def _nothing() -> None:
    """Close what has nothing to close."""
