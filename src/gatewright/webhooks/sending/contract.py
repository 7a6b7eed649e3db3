"""What is asked of an HTTP client that delivers, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gatewright.webhooks.sending.endpoint import Endpoint

__all__ = ["Attempt", "Failure", "HttpClient", "HttpRequest", "HttpResponse", "SendResult"]

Failure = Literal["unsafe_url", "no_address", "no_answer", "timeout", "status"]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Hold one request, ready to be sent.

    Args:
        endpoint: the scheme, the port and the target; its host is the name that the certificate has to be for.
        address: the one to connect to. Looking the host up again would undo the check of it.
        method: the HTTP method.
        headers: all of them, `host` included, by name in lower case.
        body: the raw body.
        timeout: seconds for all of it.
    """

    endpoint: Endpoint
    address: str
    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    timeout: float


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Hold the head of the response; nobody reads the body.

    Args:
        status: the HTTP status.
        headers: by name in lower case.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


class HttpClient(Protocol):
    """Send requests over a client library of yours; the default is `HttpxClient`.

    It connects to `request.address` and to nothing else: no proxy, no redirects, no look at the DNS. It checks the
    certificate against `request.endpoint.host`, and reads no more of the body than it likes to.
    """

    async def send(self, request: HttpRequest, /) -> HttpResponse:
        """Return the response's head.

        Raises:
            TimeoutError: where it takes too long.
            Exception: any other, where there is no response.
        """
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """Tell what became of one attempt.

    Args:
        number: 1 for the first.
        failure: why it failed: the URL may not be called, its host has no address, nobody answers as HTTP should, it
            took too long, or the status is not 2xx; None where it arrived.
        status: the receiver's HTTP status, where there is one.
        retry_after: seconds for which the receiver wants to be left alone, where it says so.
        problem: more of it, for your log; the receiver's owner need not read it.
    """

    number: int
    failure: Failure | None = None
    status: int | None = None
    retry_after: float | None = None
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Say whether the receiver took the event: 2xx."""
        return self.failure is None

    @property
    def gone(self) -> bool:
        """Say whether the receiver wants nothing more, ever (410): send to this URL no longer."""
        return self.status == 410

    @property
    def final(self) -> bool:
        """Say whether a further attempt would be in vain."""
        return self.ok or self.gone or self.failure == "unsafe_url"


@dataclass(frozen=True, slots=True)
class SendResult:
    """Tell what became of an event.

    Args:
        event_id: the id under which it was sent; send it again, later, under the same.
        attempts: all of them, in order; the last one decides.
    """

    event_id: str
    attempts: tuple[Attempt, ...]

    @property
    def ok(self) -> bool:
        """Say whether the receiver took the event: 2xx."""
        return self.attempts[-1].ok

    @property
    def gone(self) -> bool:
        """Say whether the receiver wants nothing more, ever (410): send to this URL no longer."""
        return self.attempts[-1].gone

    @property
    def failure(self) -> Failure | None:
        """Return why the last attempt failed; None where it did not."""
        return self.attempts[-1].failure

    @property
    def status(self) -> int | None:
        """Return the HTTP status of the last attempt, where there is one."""
        return self.attempts[-1].status
