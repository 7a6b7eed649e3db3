"""Webhook deliveries as their sender would sign them."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypedDict, TypeVar, Unpack, overload
from urllib.parse import urlencode, urlsplit

from pydantic_core import to_jsonable_python

from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, Scheme

__all__ = ["HttpClient", "Parts", "SignedClient", "signed"]

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class HttpClient(Protocol[R_co]):
    """What sends requests: Starlette's `TestClient`, an `httpx.Client` or an `httpx.AsyncClient`."""

    @property
    def base_url(self) -> object:
        """Return what paths are joined to."""
        ...

    def request(self, method: str, url: str, /, *, content: bytes, headers: Sequence[tuple[bytes, bytes]]) -> R_co:
        """Send one request."""
        ...


class Parts(TypedDict, total=False):
    """What a delivery is made of.

    Attributes:
        json: a value to send as JSON; what pydantic can write, too.
        form: fields to send as a form.
        data: raw bytes, where it is neither.
        content_type: of *data*; JSON's where nothing is said, and where the sender has its own, that.
        headers: further ones, which nobody signs.
        url: where it is sent to, for schemes that sign that: the verifier's `public_url`, with path and query.
        event_id: the sender's id of the event, for schemes that have it in a header.
    """

    json: Any
    form: Mapping[str, str | Sequence[str]]
    data: bytes
    content_type: str
    headers: Mapping[str, str]
    url: str
    event_id: str


@overload
def signed(
    scheme: Scheme,
    secret: str | bytes,
    /,
    *,
    clock: Clock = SYSTEM_CLOCK,
    method: str = "POST",
    **parts: Unpack[Parts],
) -> dict[str, Any]: ...
@overload
def signed(
    client: HttpClient[R], scheme: Scheme, secret: str | bytes, /, *, clock: Clock = SYSTEM_CLOCK, url: str = ""
) -> SignedClient[R]: ...
def signed(first: Any, second: Any, third: Any = None, /, *, clock: Clock = SYSTEM_CLOCK, **more: Any) -> Any:
    """Return the arguments of `call` for a delivery that *scheme*'s sender signed; or a client that signs.

    ::

        reply = await call(hook, **signed(stripe(), "whsec_...", json={"type": "invoice.paid"}))

        response = signed(TestClient(app), stripe(), "whsec_...").post("/hooks", json={"type": "invoice.paid"})

    Args:
        client: sends what is signed; of httpx, or another with the same `request`.
        scheme: whose delivery it is.
        secret: what the sender signs with; a private key where the sender has one.
        clock: when it was signed; the clock of the gate that will verify it.
        method: the HTTP method.
        parts: as in `Parts`. With a *url*, its path and its query are among the arguments for `call`. A client signs
            the address that it asks, where *url* does not say how the verifier knows it.

    Raises:
        ConfigurationError: where the scheme signs the URL, and none is given.
        TypeError: for a part that is none, and for two bodies.
    """
    if hasattr(first, "request"):
        return SignedClient(first, second, third, clock, **more)
    delivery, headers = _sign(first, second, clock, **more)
    arguments: dict[str, Any] = {"method": delivery.method, "data": delivery.body, "headers": headers}
    if delivery.url:
        url = urlsplit(delivery.url)
        arguments |= {"path": url.path or "/", "query": url.query}
    return arguments


class SignedClient(Generic[R]):
    """A client whose requests their sender signed.

    Args:
        client: sends them.
        scheme: whose deliveries they are.
        secret: what the sender signs with.
        clock: when they are signed.
        url: where they are sent to, as the verifier knows it; by default, and where it is empty, as the client does.
    """

    def __init__(
        self,
        client: HttpClient[R],
        scheme: Scheme,
        secret: str | bytes,
        clock: Clock = SYSTEM_CLOCK,
        url: str = "",
    ) -> None:
        self._client = client
        self._scheme = scheme
        self._secret = secret
        self._clock = clock
        self._url = url

    def post(self, path: str, **parts: Unpack[Parts]) -> R:
        """Deliver an event."""
        return self.request("POST", path, **parts)

    def request(self, method: str, path: str, **parts: Unpack[Parts]) -> R:
        """Return what the client returns for a signed request: a response, or what to await for one."""
        here = _joined(str(self._client.base_url), path)
        parts["url"] = parts.get("url") or self._url or here
        delivery, headers = _sign(self._scheme, self._secret, self._clock, method, **parts)
        # A sender may put something into the query, and no more: the host may be known by another name in public.
        query = urlsplit(delivery.url).query
        address = here.partition("?")[0] + (f"?{query}" if query else "")
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return self._client.request(delivery.method, address, content=delivery.body, headers=raw)


def _sign(
    scheme: Scheme, secret: str | bytes, clock: Clock, method: str = "POST", **parts: Unpack[Parts]
) -> tuple[Delivery, dict[str, str]]:
    """Return a signed delivery and all its headers, of which those that the sender makes have the last word."""
    if not hasattr(scheme, "sign"):
        raise ConfigurationError(f"signed({scheme!r}): write a scheme, such as stripe() with its parentheses")
    if unknown := parts.keys() - Parts.__annotations__.keys():
        raise TypeError(f"signed(...) knows no {min(unknown)}; it takes {', '.join(Parts.__annotations__)}")
    url = parts.get("url", "")
    if "url" in scheme.covers and not url:
        raise ConfigurationError(
            f'signed({scheme!r}): the URL is signed; write url="https://api.example.com/hooks", as public_url has it'
        )
    body, content_type = _body(parts)
    delivery = scheme.sign(body, secret, clock.time(), url=url, method=method, event_id=parts.get("event_id", ""))
    headers = {"content-type": parts.get("content_type", content_type)}
    headers |= {name.lower(): value for name, value in parts.get("headers", {}).items()}
    headers |= {name.decode("latin-1"): value.decode("latin-1") for name, value in delivery.headers}
    return delivery, headers


def _body(parts: Parts) -> tuple[bytes, str]:
    """Return the body, and what it is unless somebody says otherwise."""
    if len(parts.keys() & {"json", "form", "data"}) > 1:
        raise TypeError("signed(...) takes one of json, form and data")
    if "form" in parts:
        return urlencode(parts["form"], doseq=True).encode(), "application/x-www-form-urlencoded"
    if "json" in parts:
        return json_module.dumps(parts["json"], default=to_jsonable_python).encode(), "application/json"
    data: object = parts.get("data", b"")
    if not isinstance(data, bytes):
        raise TypeError(f"signed(data={type(data).__name__}): write bytes, or form={{...}} for a form")
    return data, "application/json"


def _joined(base: str, path: str) -> str:
    """Return the address that a client makes of *path*."""
    return path if urlsplit(path).scheme else f"{base.rstrip('/')}/{path.lstrip('/')}"
