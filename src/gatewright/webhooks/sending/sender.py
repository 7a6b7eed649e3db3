"""The sender of one's own webhooks: signed anew for each attempt, under one id, to addresses that were checked."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import anyio

from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright._core.seconds import are_seconds
from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Delivery, Scheme
from gatewright.webhooks.schemes.standard import standard_webhooks
from gatewright.webhooks.secret import Secrets
from gatewright.webhooks.sending.addresses import Egress, NoAddress, Resolve, resolve_host
from gatewright.webhooks.sending.contract import Attempt, Failure, HttpClient, HttpRequest, HttpResponse, SendResult
from gatewright.webhooks.sending.endpoint import Endpoint, UnsafeUrl
from gatewright.webhooks.sending.message import check_event_id, event_body, new_event_id, sign_with_each
from gatewright.webhooks.sending.retries import Retries, read_retry_after

if TYPE_CHECKING:
    from gatewright._core.log import Logger

__all__ = ["WebhookSender"]

_DEFAULT_RETRIES = Retries()
_DEFAULT_EGRESS = Egress()
_HEADERS = {"content-type": "application/json", "user-agent": "gatewright"}
# The client's business, not a developer's.
_RESERVED = frozenset({"connection", "content-length", "host", "transfer-encoding"})
_DEEPEST, _LONGEST = 8, 200
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


class NoAnswer(Exception):
    """Say that there is no response, whatever the client raised."""


class WebhookSender:
    """Send signed events to URLs that somebody else wrote.

    Nothing that a receiver does raises anything: what became of it is in the value that is returned.

    Args:
        scheme: how deliveries are signed; by default in the way of Standard Webhooks.
        client: sends the requests; by default one over httpx.
        retries: how often `send` tries, and when.
        egress: where deliveries may go.
        timeout: seconds for one attempt, the look at the DNS included.
        headers: further headers, such as {"User-Agent": "Acme-Webhooks"}, and a content type for events in bytes.
        log: a structlog logger, or a gate's log; by default yours where structlog is configured, else JSON lines on
            stderr. It gets one event for each attempt.
        clock: tells the time that is signed; tests freeze it.
        entropy: returns n random bytes, for ids and jitter.
        sleep: waits between two attempts.
        resolve: looks a host up, once for each attempt.

    Raises:
        ConfigurationError: for a timeout that is none, a header that is not yours to set, or a missing httpx.
    """

    def __init__(
        self,
        scheme: Scheme | None = None,
        *,
        client: HttpClient | None = None,
        retries: Retries = _DEFAULT_RETRIES,
        egress: Egress = _DEFAULT_EGRESS,
        timeout: float = 15.0,
        headers: Mapping[str, str] | None = None,
        log: object | None = None,
        clock: Clock = SYSTEM_CLOCK,
        entropy: Callable[[int], bytes] = os.urandom,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        resolve: Resolve = resolve_host,
    ) -> None:
        # Here, because structlog is slow to load.
        from gatewright._core.log import Logger

        if not are_seconds(timeout, 0.001):
            raise ConfigurationError(f"WebhookSender(timeout={timeout!r}): write seconds, such as 15")
        given: list[tuple[str, object, type]] = [("retries", retries, Retries), ("egress", egress, Egress)]
        for name, said, wanted in given:
            if not isinstance(said, wanted):
                raise ConfigurationError(f"WebhookSender({name}={said!r}): write {name}={wanted.__name__}(...)")
        if scheme is not None and not hasattr(scheme, "sign"):
            raise ConfigurationError(f"WebhookSender({scheme!r}): write a scheme, such as standard_webhooks()")
        self.scheme: Scheme = standard_webhooks() if scheme is None else scheme
        self.retries = retries
        self.egress = egress
        self._client = _default_client() if client is None else client
        self._timeout = timeout
        self._headers = _HEADERS | _own_headers(headers or {})
        self._log: Logger = Logger(log)
        self._clock = clock
        self._entropy = entropy
        self._sleep = sleep
        self._resolve = resolve

    def __repr__(self) -> str:
        return f"<WebhookSender {self.scheme.name}>"

    async def send(self, url: str, event: object, *, secret: Secrets, event_id: str | None = None) -> SendResult:
        """Send *event*, and try again where that may help; it may take minutes.

        What has to survive a restart belongs into a queue of yours, which calls `attempt` and `retries.wait`.

        Args:
            url: where to; the receiver's own words.
            event: bytes, or what pydantic can write as JSON: a model, a dataclass, a dict.
            secret: the receiver's; while it is being rolled a list, newest first, and each of them signs.
            event_id: the same however often the event is sent; None makes one.

        Raises:
            ConfigurationError: for an event that is no JSON, an id or a secret that cannot be used.
        """
        event_id = new_event_id(self._entropy) if event_id is None else event_id
        body = event_body(event)
        attempts: list[Attempt] = []
        while True:
            attempt = await self.attempt(url, body, secret=secret, event_id=event_id, number=len(attempts) + 1)
            attempts.append(attempt)
            seconds = self.retries.wait(attempt, self._entropy)
            if seconds is None:
                return SendResult(event_id, tuple(attempts))
            await self._sleep(seconds)

    async def attempt(self, url: str, event: object, *, secret: Secrets, event_id: str, number: int = 1) -> Attempt:
        """Make one attempt, signed now; a further one is the next number's, under the same id.

        Args:
            url: as for `send`.
            event: as for `send`; keep its bytes, where a later attempt shall send the same ones.
            secret: as for `send`.
            event_id: the same for all attempts.
            number: 1 for the first.

        Raises:
            ConfigurationError: as `send` does.
        """
        check_event_id(event_id)
        body, begun = event_body(event), self._clock.monotonic()
        try:
            endpoint, delivery = self._signed(url, body, secret, event_id)
        except UnsafeUrl as unsafe:
            host, attempt = None, Attempt(number, "unsafe_url", problem=unsafe.reason)
        else:
            host, attempt = endpoint.host, await self._attempt(endpoint, delivery, number)
        self._tell(attempt, event_id, host, self._clock.monotonic() - begun)
        return attempt

    def _signed(self, url: str, body: bytes, secret: Secrets, event_id: str) -> tuple[Endpoint, Delivery]:
        self.egress.check_url(url)
        delivery = sign_with_each(self.scheme, body, secret, self._clock.time(), url=url, event_id=event_id)
        # A scheme may put something into the URL: what is called is what was signed.
        return self.egress.check_url(delivery.url or url), delivery

    async def _attempt(self, endpoint: Endpoint, delivery: Delivery, number: int) -> Attempt:
        try:
            with anyio.fail_after(self._timeout):
                addresses = await self.egress.addresses(endpoint, self._resolve)
                # Each attempt tries another one, where there are several: one may be out of reach from here.
                address = addresses[(number - 1) % len(addresses)]
                response = await self._response(self._request(endpoint, address, delivery))
        except UnsafeUrl as unsafe:
            return Attempt(number, "unsafe_url", problem=unsafe.reason)
        except NoAddress as unknown:
            return Attempt(number, "no_address", problem=str(unknown))
        except NoAnswer as silent:
            return Attempt(number, "no_answer", problem=str(silent))
        except TimeoutError:
            return Attempt(number, "timeout")
        failure: Failure | None = None if 200 <= response.status < 300 else "status"
        said = next((value for name, value in response.headers.items() if name.lower() == "retry-after"), None)
        return Attempt(number, failure, response.status, read_retry_after(said, self._clock.time()))

    def _request(self, endpoint: Endpoint, address: str, delivery: Delivery) -> HttpRequest:
        signed = {name.decode("latin-1"): value.decode("latin-1") for name, value in delivery.headers}
        headers = {"host": endpoint.authority, **self._headers, **signed}
        return HttpRequest(endpoint, address, delivery.method, headers, delivery.body, self._timeout)

    async def _response(self, request: HttpRequest) -> HttpResponse:
        try:
            return await self._client.send(request)
        except TimeoutError:
            raise
        except Exception as problem:  # a client's own errors are of any class
            raise NoAnswer(_root(problem)) from problem

    def _tell(self, attempt: Attempt, event_id: str, host: str | None, seconds: float) -> None:
        facts: dict[str, object] = {
            "event_id": event_id,
            # Not the URL: those of some receivers are secrets.
            "host": host,
            "attempt": attempt.number,
            "status": attempt.status,
            "failure": attempt.failure,
            "problem": attempt.problem,
            "seconds": round(seconds, 3),
        }
        known = {name: fact for name, fact in facts.items() if fact is not None}
        if attempt.ok:
            self._log.info("webhook_sent", **known)
        else:
            self._log.warning("webhook_not_sent", **known)


def _own_headers(headers: Mapping[str, str]) -> dict[str, str]:
    own = {name.lower(): value for name, value in headers.items()}
    for name, value in own.items():
        if name in _RESERVED or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ConfigurationError(
                f"WebhookSender(headers=...): {name!r} is no header of yours, or its value is not plain ASCII"
            )
    return own


def _root(problem: BaseException) -> str:
    """Say what is behind *problem*: a library that wraps another's error may say nothing itself."""
    for _ in range(_DEEPEST):
        problem = problem.__cause__ or problem.__context__ or problem
    return f"{type(problem).__name__}: {problem}"[:_LONGEST]


def _default_client() -> HttpClient:
    try:
        from gatewright.webhooks.sending.client import HttpxClient
    except ImportError as missing:
        raise ConfigurationError(
            'WebhookSender() sends with httpx: pip install "gatewright[webhooks]", or write client=...'
        ) from missing
    return HttpxClient()
