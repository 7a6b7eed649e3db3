"""The request body: read at most once, under a cap, replayed once."""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from gatewright.errors import BadRequest, PayloadTooLarge

__all__ = ["broken_off", "capped", "declared_length", "read", "replay"]


def declared_length(value: bytes | None, cap: int) -> int | None:
    """Return the `Content-Length`, or None where there is none.

    Raises:
        BadRequest: for a length that is not a number (RFC 9110, section 8.6).
        PayloadTooLarge: for one over *cap* bytes; not a byte has been read then.
    """
    if value is None:
        return None
    if not value.isdigit() or len(value) > 19:
        raise BadRequest("Content-Length is not a number")
    length = int(value)
    if length > cap:
        raise PayloadTooLarge(headers={"Connection": "close"})
    return length


async def read(receive: Receive, cap: int) -> bytes:
    """Return the whole body.

    Raises:
        PayloadTooLarge: as soon as it passes *cap* bytes, whatever its declared length said.
        ClientDisconnect: when the client leaves before the end.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > cap:
            raise PayloadTooLarge(headers={"Connection": "close"})
        return body
    chunks: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > cap:
            raise PayloadTooLarge(headers={"Connection": "close"})
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()
    raise ClientDisconnect


async def broken_off() -> Message:
    """Stand for the wire once reading the body did not end: what is left on it is not the body."""
    return {"type": "http.disconnect"}


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives *body* once and then delegates.

    Once, because a body that is given for ever makes a stream that listens for a disconnect spin.
    """
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def capped(receive: Receive, cap: int) -> Receive:
    """Return a `receive` that refuses a body over *cap* bytes, for handlers that read it themselves.

    Raises (from the returned function):
        PayloadTooLarge: as soon as the body passes the cap.
    """
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        if message["type"] == "http.request":
            size += len(message.get("body", b""))
            if size > cap:
                raise PayloadTooLarge(headers={"Connection": "close"})
        return message

    return counted
