"""Our scripts on a Redis or Valkey server: one round trip each, by the server's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import cache, lru_cache
from hashlib import blake2b, sha1
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from gatewright._core.storage.clients import Client, ClusterClient, connector, no_script_error
from gatewright._core.storage.loops import living

__all__ = ["Script", "Server", "digest", "script", "tagged"]

# The most connections that redis-py opens by itself is 100: the next question would fail.
_AT_ONCE = "64"


class Script(NamedTuple):
    """A script by its text, and by the name under which a server knows it."""

    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """Return one of the scripts beside this module, behind the check that all of them begin with."""
    beside = files("gatewright._core.storage")
    text = "".join(beside.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in ("writable", name))
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


@lru_cache(4096)
def digest(text: str) -> str:
    """Return a short name for *text*, whatever is in it: who is counted is nobody's business on the server."""
    return blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def tagged(prefix: str, who: str, what: str) -> str:
    """Return a key; by its tag, in braces, a cluster keeps all keys of one caller in one slot."""
    return f"{prefix}:{{{digest(who)}}}:{what}"


class Server:
    """A client for each event loop, since connections belong to the loop that opened them.

    Args:
        url: as `Storage` takes it.
        deadline: the seconds that one question may take.

    Raises:
        ConfigurationError: where redis-py is not installed, and for a URL that it cannot read.
    """

    def __init__(self, url: str, deadline: float) -> None:
        self._connect = connector(url, deadline)
        self._forgotten = no_script_error()
        self._at_once = max(1, int(parse_qs(urlsplit(url).query).get("max_connections", [_AT_ONCE])[0]))
        self._deadline = deadline
        self._clients: dict[asyncio.AbstractEventLoop, tuple[Client, asyncio.Semaphore]] = {}
        self.is_cluster: bool = "+cluster" in url.partition("://")[0]

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[object]) -> Any:
        """Run a script that the server may not know yet, or may have forgotten in a restart."""
        client, room = self._client()
        async with room:
            try:
                return await client.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
            except self._forgotten:
                return await client.execute_command("EVAL", script.text, len(keys), *keys, *arguments)

    def hang_up(self) -> None:
        """Begin anew where the server's place may have changed; a single server, and sentinels, are asked each time."""
        client, _ = self._client()
        if isinstance(client, ClusterClient):
            client.learn()

    async def close(self) -> None:
        """Close this loop's connections, without waiting for a server that does not answer."""
        if self._clients:
            client, _ = self._clients.pop(asyncio.get_running_loop(), (None, None))
            self._clients = living(self._clients)
            if client is not None:
                with suppress(Exception):
                    async with asyncio.timeout(self._deadline):
                        await client.aclose()

    def _client(self) -> tuple[Client, asyncio.Semaphore]:
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            self._clients = living(self._clients)
            found = self._clients[loop] = self._connect(), asyncio.Semaphore(self._at_once)
        return found
