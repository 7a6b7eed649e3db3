"""An answer before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright.errors import ConfigurationError

__all__ = ["Finisher", "Head", "Outcome", "RawHeader", "RawHeaders", "beside", "raw_headers"]

RawHeader = tuple[bytes, bytes]
RawHeaders = list[RawHeader]

_DENIAL = "websocket.http.response"
_DENIALS = ("websocket.http.response.start", "websocket.http.response.body")
_RESPONSES = ("http.response.start", "http.response.body")
_FORBIDDEN = frozenset("\r\n\0")


@dataclass(slots=True)
class Head:
    """The head of a response just before it is sent: the status and the headers, which may be changed."""

    status: int
    headers: RawHeaders


Finisher = Callable[[Head], None]


class Outcome:
    """Hold what will be sent: a head, and a body that is complete or still a stream.

    Args:
        status: the HTTP status; 0 where only *app* knows it, because it is more than a response.
        headers: raw header pairs, with `content-length` where the body is complete.
        body: the whole body, or None while it is a stream.
        app: sends the answer itself, where it is a stream or has work to do after its last byte.
    """

    __slots__ = ("app", "body", "headers", "status")

    def __init__(self, status: int, headers: RawHeaders, body: bytes | None, app: ASGIApp | None = None) -> None:
        self.status: int = status
        self.headers: RawHeaders = headers
        self.body: bytes | None = body
        self.app: ASGIApp | None = app

    @classmethod
    def of(cls, response: Response) -> Outcome:
        """Hold a Starlette response; it is sent by itself, so streams and background tasks stay what they are."""
        body = getattr(response, "body", None)
        return cls(response.status_code, response.raw_headers, bytes(body) if body is not None else None, response)

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; on a websocket, as a denial of the handshake."""
        websocket = scope["type"] == "websocket"
        if websocket and self.status and _DENIAL not in (scope.get("extensions") or ()):
            # 1008, policy violation (RFC 6455, section 7.4.1); before accept the server turns it into a 403.
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        elif self.app is not None:
            if isinstance(self.app, Response) and self.status:
                # What a surround left on the outcome is what is sent.
                self.app.status_code, self.app.raw_headers = self.status, self.headers
            await self.app(scope, receive, send)
        else:
            start, body = _DENIALS if websocket else _RESPONSES
            await send({"type": start, "status": self.status, "headers": self.headers})
            await send({"type": body, "body": self.body or b""})


def raw_headers(headers: Mapping[str, str] | None) -> RawHeaders:
    """Return *headers* as ASGI wants them.

    Raises:
        ConfigurationError: for one that would split into two.
        UnicodeEncodeError: for one that Latin-1 has no bytes for.
    """
    raw: RawHeaders = []
    for name, value in (headers or {}).items():
        if not _FORBIDDEN.isdisjoint(name + value):
            raise ConfigurationError(f"the header {name} holds a line break; encode what it carries")
        raw.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return raw


def beside(head: RawHeaders, further: RawHeaders) -> RawHeaders:
    """Return *head*, and those of *further* that it does not have."""
    present = dict(head)
    return head + [pair for pair in further if pair[0] not in present]
