"""Clients of redis-py for a URL: of a server, of a cluster, of the master that sentinels know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from gatewright.errors import ConfigurationError

__all__ = ["Client", "ClusterClient", "connector", "no_script_error"]

# The oldest protocol does all that scripts need, and never pushes anything in between.
_PROTOCOL: dict[str, Any] = {"protocol": 2}
# Whoever asks has a deadline of his own; the client's would cost a task for each command.
_NO_TIMEOUTS: dict[str, Any] = {"socket_timeout": None, "socket_connect_timeout": None}
# For learning a cluster's nodes, for which no question waits.
_PATIENCE = 2.0


class Client(Protocol):
    """What is asked of a client of redis-py."""

    async def execute_command(self, *words: object) -> Any:
        """Send a command, and return the answer."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def connector(url: str, deadline: float) -> Callable[[], Client]:
    """Return what makes a client for the event loop that runs; nothing is connected yet.

    Args:
        url: as `Storage` takes it.
        deadline: the seconds that one question may take.

    Raises:
        ConfigurationError: where redis-py is not installed, and for a URL that it cannot read.
    """
    written, _, rest = url.removeprefix("async+").partition("://")
    scheme = written.replace("valkey", "redis")
    tls = scheme.startswith("rediss")
    form = scheme.replace("rediss", "redis")
    if form not in _FORMS or scheme == "rediss+unix":
        raise ConfigurationError(
            f'Gate(storage="{written}://..."): write redis, rediss (for TLS), redis+unix, redis+cluster or '
            "redis+sentinel, or valkey for redis in these"
        )
    connect, shape = _FORMS[form]
    try:
        import redis.asyncio
    except ImportError:
        raise ConfigurationError('this storage needs redis-py; write pip install "gatewright[redis]"') from None
    try:
        made = connect(redis.asyncio, "rediss" if tls else "redis", rest, deadline)
        made()
    except Exception:
        # Not in their words, which may repeat a part of the password.
        raise ConfigurationError(
            f'Gate(storage="{written}://..."): write {written}://{shape}, with %-escapes in user and password, and '
            "after a ? only what redis-py knows"
        ) from None
    return made


def no_script_error() -> type[Exception]:
    """Return what is raised where a server does not know a script."""
    from redis.exceptions import NoScriptError

    return NoScriptError


def _server(redis: Any, scheme: str, rest: str, deadline: float) -> Callable[[], Client]:
    database = urlsplit(f"//{rest}").path.strip("/")
    if database and not database.isdecimal():
        raise ValueError("redis-py takes what is no number for 0")
    return _plain(redis, f"{scheme}://{rest}")


def _socket(redis: Any, scheme: str, rest: str, deadline: float) -> Callable[[], Client]:
    if not urlsplit(f"//{rest}").path.strip("/"):
        raise ValueError("the path is missing")
    return _plain(redis, f"unix://{rest}")


def _plain(redis: Any, url: str) -> Callable[[], Client]:
    def connect() -> Client:
        return _checked(redis.Redis.from_url(url, retry=_once(), **_NO_TIMEOUTS, **_PROTOCOL))

    return connect


def _sentinel(redis: Any, scheme: str, rest: str, deadline: float) -> Callable[[], Client]:
    hosts, options = _nodes(redis, scheme, rest)
    service = urlsplit(f"//{rest}").path.strip("/")
    if not service:
        raise ValueError("the name of the service is missing")
    # A sentinel that hangs leaves time for the others, and for the master.
    share = deadline / (len(hosts) + 1)
    asking = {"socket_timeout": share, "socket_connect_timeout": share, **_PROTOCOL}
    asking |= {name: value for name, value in options.items() if name.startswith("ssl")}
    for name in ("username", "password"):
        if f"sentinel_{name}" in options:
            asking[name] = options.pop(f"sentinel_{name}")

    def connect() -> Client:
        sentinel: Any = redis.Sentinel(hosts, sentinel_kwargs={"retry": _once(), **asking})
        master: Any = sentinel.master_for(service, retry=_once(), **{**_NO_TIMEOUTS, **_PROTOCOL, **options})
        return _MasterClient(sentinel.sentinels, _checked(master))

    return connect


def _cluster(redis: Any, scheme: str, rest: str, deadline: float) -> Callable[[], Client]:
    hosts, options = _nodes(redis, scheme, rest)
    options = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE, **_PROTOCOL, **options}

    def connect() -> Client:
        nodes = [redis.cluster.ClusterNode(host, port) for host, port in hosts]
        return ClusterClient(redis.RedisCluster(startup_nodes=nodes, retry=_once(), **options))

    return connect


_FORMS = {
    "redis": (_server, "user:password@host:6379/0"),
    "redis+unix": (_socket, "user:password@/path/of/socket"),
    "redis+cluster": (_cluster, "user:password@host:7000,host:7001"),
    "redis+sentinel": (_sentinel, "user:password@host:26379,host:26380/name-of-service"),
}


def _nodes(redis: Any, scheme: str, rest: str) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """Return the hosts of a list such as `user:password@a:7000,b:7001/name?option=1`, and what goes for all."""
    parts = urlsplit(f"//{rest}")
    credentials, at, hosts = parts.netloc.rpartition("@")
    found: list[dict[str, Any]] = [
        redis.connection.parse_url(f"{scheme}://{credentials}{at}{host}?{parts.query}") for host in hosts.split(",")
    ]
    nodes = [(one.pop("host"), one.pop("port")) for one in found if "host" in one and "port" in one]
    if len(nodes) < len(found):
        raise ValueError("a host or its port is missing")
    options = found[0]
    options["ssl"] = options.pop("connection_class", None) is not None
    return nodes, options


def _once() -> Any:
    """Let the client not try again: what failed is asked again later, and elsewhere meanwhile."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Retry(NoBackoff(), 0)


def _checked(client: Any) -> Client:
    """Return the client, unless it was given an option that its connections do not know."""
    client.connection_pool.make_connection()
    return cast("Client", client)


class _MasterClient:
    """Close, with the connections to the master, those to the sentinels."""

    def __init__(self, sentinels: list[Client], master: Client) -> None:
        self._sentinels = sentinels
        self._master = master

    async def execute_command(self, *words: object) -> Any:
        return await self._master.execute_command(*words)

    async def aclose(self) -> None:
        for client in (self._master, *self._sentinels):
            await client.aclose()


class ClusterClient:
    """Learn the nodes of a cluster in a task of its own.

    It takes a client longer than a question may; learned within questions, the nodes would never be known.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._learning: asyncio.Task[None] | None = None

    async def execute_command(self, *words: object) -> Any:
        """Send a command, once the nodes are known."""
        learning = self._learning or self.learn()
        if not learning.done():
            await asyncio.shield(learning)
        return await self._cluster.execute_command(*words)

    def learn(self) -> asyncio.Task[None]:
        """Learn the nodes anew: one that does not answer may have been replaced."""
        if self._learning is None or self._learning.done():
            self._learning = asyncio.get_running_loop().create_task(self._learn())
        return self._learning

    async def aclose(self) -> None:
        """Close the connections."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.wait([self._learning])
        await self._cluster.aclose()

    async def _learn(self) -> None:
        # What is wrong here, the next question meets as well.
        with suppress(Exception):
            await self._cluster.aclose()
            await self._cluster.initialize()
