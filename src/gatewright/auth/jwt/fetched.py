"""Keys that live elsewhere: fetched, kept, and fetched anew when they are old or a token names one that is unknown."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from ipaddress import ip_address
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit
from weakref import ref

import anyio

from gatewright._core.flight import Flight
from gatewright._core.functions import is_async
from gatewright.auth.jwt.compact import json_object
from gatewright.errors import ConfigurationError, ServiceUnavailable

if TYPE_CHECKING:
    from gatewright._core.gate import Gate
    from gatewright.auth.jwt.keys import KeySet

__all__ = ["Fetch", "FetchedKeys", "JwksUrl"]

_MEDIA_TYPES = "application/jwk-set+json, application/json"

Fetch = Callable[[str], Awaitable[bytes | Mapping[str, Any]]]
"""Return the key set at an address, as bytes or as what is in them."""


@dataclass(frozen=True, eq=False)
class JwksUrl:
    """The address of an issuer's key set (RFC 7517, section 5), for `BearerJWT(keys=...)`.

    Args:
        url: the address, `https://`; `http://` of this very machine is for tests.
        fetch: an `async def` that takes the address and returns the document, for a client of yours; by default
            `urllib` in a thread, which follows no redirects.
        lifetime: seconds for which keys are used before they are fetched anew.
        cooldown: seconds between two fetches, whatever tokens arrive, and whether or not the first one succeeded.
        stale_for: further seconds for which keys are used while they cannot be fetched; then it is 503.
        timeout: seconds that one fetch may take.
        max_bytes: how long the document may be.

    Raises:
        ConfigurationError: for an address that anybody on the way could answer for, a `fetch` that is not async, and
            for numbers that are none.
    """

    url: str
    _: KW_ONLY
    fetch: Fetch | None = None
    lifetime: float = 600
    cooldown: float = 30
    stale_for: float = 3600
    timeout: float = 5
    max_bytes: int = 1 << 18

    def __post_init__(self) -> None:
        if not _trustworthy(self.url):
            raise ConfigurationError(
                f"JwksUrl({self.url!r}): write the issuer's https:// address, without a name, a password or a fragment"
            )
        if self.fetch is not None and not is_async(self.fetch):
            raise ConfigurationError(
                f"JwksUrl(fetch={self.fetch!r}): write it as an `async def` that takes the address"
            )
        for name, least in (("lifetime", 1), ("cooldown", 1), ("stale_for", 0), ("timeout", 0.1), ("max_bytes", 1)):
            value: float = getattr(self, name)
            if not least <= value < math.inf:
                raise ConfigurationError(f"JwksUrl({name}={value}): write a number, {least} or more")


def _trustworthy(url: object) -> bool:
    try:
        parts = urlsplit(url) if isinstance(url, str) else SplitResult("", "", "", "", "")
        plain = not parts.fragment and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False
    host = parts.hostname or ""
    return plain and bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_here(host)))


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class FetchedKeys:
    """The keys of an address, at one gate. One fetch at a time, whoever asks, and never two within the cooldown.

    Args:
        source: the address.
        read: makes keys of the document; raises a ValueError for one that is no key set.
        gate: whose clock and log are used.
    """

    def __init__(self, source: JwksUrl, read: Callable[[Mapping[str, Any]], KeySet], gate: Gate) -> None:
        self._source = source
        self._read = read
        self._clock = gate.clock
        # What is kept for a gate must not keep it alive.
        self._gate = ref(gate)
        self._keys: KeySet | None = None
        self._document: bytes | None = None
        self._fetched_at = self._tried_at = -math.inf
        self._flight = Flight()
        self._down = False

    @property
    def at_hand(self) -> KeySet | None:
        """Return keys that can be used as they are; None where somebody has to fetch them, and `obtain` it is."""
        age = self._clock.monotonic() - self._fetched_at
        if age < self._source.lifetime:
            return self._keys
        # One call fetches; the others go on with what there is, and so does everybody after a fetch that failed.
        usable = age < self._source.lifetime + self._source.stale_for
        return self._keys if usable and (self._flight.under_way or self._is_cooling) else None

    async def obtain(self) -> KeySet:
        """Return keys, fetched where that is needed.

        Raises:
            ServiceUnavailable: where there are none, or none that may still be used.
        """
        while (keys := self.at_hand) is None:
            if not self._flight.under_way and self._is_cooling:
                raise self._unavailable()
            await self._flight.join(self._fetch)
        return keys

    async def newer_than(self, keys: KeySet) -> KeySet:
        """Return keys that were fetched after *keys*; the same ones where it is too early for that, or in vain."""
        while self._keys is keys and (self._flight.under_way or not self._is_cooling):
            await self._flight.join(self._fetch)
        return self._keys or keys

    @property
    def _is_cooling(self) -> bool:
        return self._clock.monotonic() < self._tried_at + self._source.cooldown

    async def _fetch(self) -> None:
        try:
            with anyio.fail_after(self._source.timeout):
                document = await _fetcher(self._source)(self._source.url)
            self._take(document)
        except Exception as problem:  # a client's own errors are of any class, and none of them is the caller's
            self._tell(problem)
        else:
            self._tell(None)
        self._tried_at = self._clock.monotonic()

    def _take(self, document: bytes | Mapping[str, Any]) -> None:
        if isinstance(document, bytes) and len(document) > self._source.max_bytes:
            raise ValueError(f"the document has more than {self._source.max_bytes} bytes")
        if not isinstance(document, bytes):
            self._keys = self._read(document)
        elif document != self._document:
            # The same bytes would leave the same keys; so stays what is remembered of tokens that they verified.
            self._keys = self._read(json_object(document))
            self._document = document
        self._fetched_at = self._clock.monotonic()

    def _tell(self, problem: Exception | None) -> None:
        """Write to the log what changed, if anything did."""
        gate, was_down = self._gate(), self._down
        self._down = problem is not None
        if gate is None or self._down is was_down:
            return
        if problem is None:
            gate.log.event("info", "jwks_up", url=self._source.url)
        else:
            reason = f"{type(problem).__name__} ({str(problem)[:200]})"
            gate.log.event("warning", "jwks_down", url=self._source.url, reason=reason)

    def _unavailable(self) -> ServiceUnavailable:
        seconds = max(1, ceil(self._tried_at + self._source.cooldown - self._clock.monotonic()))
        return ServiceUnavailable(headers={"Retry-After": str(seconds)}, reason=f"no keys of {self._source.url}")


def _fetcher(source: JwksUrl) -> Fetch:
    if source.fetch is not None:
        return source.fetch
    from gatewright._core.fetching import fetch_document

    return partial(fetch_document, accept=_MEDIA_TYPES, timeout=source.timeout, max_bytes=source.max_bytes)
