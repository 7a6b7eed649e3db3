"""Certificates that a delivery names: fetched from hosts that the sender owns, and kept."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from math import ceil, inf
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import anyio

from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright._core.flight import Flight
from gatewright.errors import ServiceUnavailable
from gatewright.webhooks.scheme import Delivery, WebhookRejected
from gatewright.webhooks.secret import Secrets

if TYPE_CHECKING:
    from gatewright._core.gate import Gate

__all__ = ["Certificates", "Certified", "Fetch", "fetch_https"]

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the document at an `https://` address that was looked at; follows no redirects."""

_TIMEOUT = 5.0
_MAX_BYTES = 1 << 16
# A certificate that the sender takes back is believed for as long as this, in seconds.
_LIFETIME = 3600.0
_COOLDOWN = 10.0
# Anybody can name addresses on the sender's host. So many are kept, and so many new ones are tried in so many seconds.
_ADDRESSES = 32
_TRIES, _PERIOD = 10, 60.0


@runtime_checkable
class Certified(Protocol):
    """A scheme whose key is a certificate at an address that the delivery names."""

    def certificate_url(self, delivery: Delivery) -> str:
        """Return the address, on a host of the sender's.

        Raises:
            WebhookRejected: for an address that anybody else could answer for.
        """
        ...

    def validity(self, certificate: bytes) -> tuple[float, float]:
        """Return the Unix seconds from and until which *certificate* is valid.

        Raises:
            ConfigurationError: for what is no certificate.
        """
        ...


async def fetch_https(url: str) -> bytes:
    """Return the document at *url*, fetched by `urllib` in a thread; redirects are not followed.

    Raises:
        OSError: where it cannot be had.
        ValueError: for another scheme than https, and for a document that is too long.
    """
    from gatewright._core.fetching import fetch_document

    if not url.startswith("https://"):
        raise ValueError("only https:// is fetched")
    return await fetch_document(url, accept="*/*", timeout=_TIMEOUT, max_bytes=_MAX_BYTES)


class Certificates:
    """Return the certificate that a delivery names, as its only secret.

    An address that the scheme refuses is never fetched. One that it takes is fetched by one delivery at a time, and
    what was found is kept for an hour. After a fetch that failed, its address rests for ten seconds; and at most ten
    addresses that hold no certificate are tried in a minute, whoever names them.

    Args:
        scheme: the sender's.
        fetch: gets the documents.
        clock: tells how old they are.
        timeout: seconds that a fetch may take.
    """

    def __init__(
        self, scheme: Certified, fetch: Fetch = fetch_https, clock: Clock = SYSTEM_CLOCK, timeout: float = _TIMEOUT
    ) -> None:
        self._scheme = scheme
        self._fetch = fetch
        self._clock = clock
        self._timeout = timeout
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._tries = _Tries(clock)
        self._bound: WeakKeyDictionary[Gate, Certificates] = WeakKeyDictionary()

    def at(self, gate: Gate) -> Certificates:
        """Return those of one gate, which go by its clock."""
        bound = self._bound.get(gate)
        if bound is None:
            bound = self._bound[gate] = Certificates(self._scheme, self._fetch, gate.clock, self._timeout)
        return bound

    async def __call__(self, delivery: Delivery) -> Secrets:
        """Return the certificate of *delivery*.

        Raises:
            WebhookRejected: for an address that is not the sender's, and for a certificate that is not valid now.
            ServiceUnavailable: where it cannot be had now, so that the sender tries again.
        """
        certificate = await self._address(self._scheme.certificate_url(delivery)).obtain()
        if not certificate.valid_from <= self._clock.time() <= certificate.valid_until:
            raise WebhookRejected("cert_url_rejected")
        return certificate.pem

    def _address(self, url: str) -> _Address:
        if url not in self._addresses:
            self._make_room()
            self._addresses[url] = _Address(url, self._get, self._clock, self._tries)
        self._addresses.move_to_end(url)
        return self._addresses[url]

    async def _get(self, url: str) -> _Certificate:
        with anyio.fail_after(self._timeout):
            pem = await self._fetch(url)
        if len(pem) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        return _Certificate(pem, *self._scheme.validity(pem))

    def _make_room(self) -> None:
        """Forget the address that was named longest ago, of those that are good for nothing first."""
        if len(self._addresses) < _ADDRESSES:
            return
        idle = (url for url, address in self._addresses.items() if address.is_idle)
        del self._addresses[next(idle, next(iter(self._addresses)))]


class _Certificate(NamedTuple):
    pem: bytes
    valid_from: float
    valid_until: float


class _Tries:
    """Count how often an address was tried that holds no certificate."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: deque[float] = deque(maxlen=_TRIES)

    def wait(self) -> float:
        """Return the seconds until there may be another one."""
        return self._made[0] + _PERIOD - self._clock.monotonic() if len(self._made) == _TRIES else 0.0

    def count(self) -> None:
        """Count one more; the oldest no longer matters."""
        self._made.append(self._clock.monotonic())


class _Address:
    """One address, and what was found there."""

    def __init__(self, url: str, get: Callable[[str], Awaitable[_Certificate]], clock: Clock, tries: _Tries) -> None:
        self._url = url
        self._get = get
        self._clock = clock
        self._tries = tries
        self._certificate: _Certificate | None = None
        self._flight = Flight()
        self._fresh_until = self._rests_until = -inf
        self._problem = "too many others"

    @property
    def is_idle(self) -> bool:
        """Say whether there is no certificate, and nobody fetches one."""
        return self._certificate is None and not self._flight.under_way

    async def obtain(self) -> _Certificate:
        """Return the certificate, fetched where that is needed.

        Raises:
            ServiceUnavailable: where it cannot be had, or not now.
        """
        while (certificate := self._fresh) is None:
            if not self._flight.under_way:
                self._may_be_tried()
            await self._flight.join(self._try)
        return certificate

    @property
    def _fresh(self) -> _Certificate | None:
        return self._certificate if self._clock.monotonic() < self._fresh_until else None

    def _may_be_tried(self) -> None:
        wait = self._rests_until - self._clock.monotonic()
        if self._certificate is None:
            wait = max(wait, self._tries.wait())
        if wait > 0:
            reason = f"no certificate from {self._url}: {self._problem}"
            raise ServiceUnavailable(headers={"Retry-After": str(ceil(wait))}, reason=reason)
        if self._certificate is None:
            self._tries.count()

    async def _try(self) -> None:
        try:
            self._certificate = await self._get(self._url)
            self._fresh_until = self._clock.monotonic() + _LIFETIME
        except Exception as problem:  # a client's own errors are of any class, and none of them is the sender's
            self._problem = f"{type(problem).__name__} ({str(problem)[:200]})"
            self._rests_until = self._clock.monotonic() + _COOLDOWN
