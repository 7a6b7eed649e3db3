"""The request body: read at most once, under a cap, replayed once; what is wrong with it is wrong for good."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from gatewright.errors import ApiError, BadRequest, PayloadTooLarge

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["broken_off", "capped", "declared_length", "overrule", "read", "replay"]


def declared_length(value: bytes | None, cap: int, scope: Scope) -> int | None:
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
        overrule(_too_large, scope)
    return length


async def read(receive: Receive, cap: int, scope: Scope) -> bytes:
    """Return the whole body.

    Raises:
        PayloadTooLarge: as soon as it passes *cap* bytes, whatever its declared length said.
        ClientDisconnect: when the client leaves before the end.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) <= cap:
            return body
    chunks: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > cap:
            message = overrule(_too_large, scope)
            continue
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


def capped(receive: Receive, cap: int, scope: Scope) -> Receive:
    """Return a `receive` that refuses a body over *cap* bytes, for handlers that read it themselves.

    Raises (from the returned function):
        PayloadTooLarge: as soon as the body passes the cap.
    """
    size = 0

    async def counted() -> Message:
        nonlocal size
        if size > cap:
            return overrule(_too_large, scope)
        message = await receive()
        if message["type"] == "http.request":
            size += len(message.get("body", b""))
            if size > cap:
                return overrule(_too_large, scope)
        return message

    return counted


def overrule(error: Callable[[], ApiError], scope: Scope) -> Message:
    """Refuse the request in *scope* for its body, and overrule the answer of whoever swallows what is raised here.

    Raised once. After that, and where the answer has begun, the wire breaks off, as it does when a client leaves:
    whoever answers may be listening for that.
    """
    from gatewright._core.call import CALL

    call: Call | None = scope.get(CALL)
    if call is not None:
        if call.started or call.overruled_by is not None:
            return {"type": "http.disconnect"}
        # Not the one that is raised: through its traceback that one holds the call.
        call.overruled_by = error()
    raise error()


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(headers={"Connection": "close"})
