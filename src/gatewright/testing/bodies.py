"""Request bodies that arrive in pieces, or do not arrive."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

import anyio.lowlevel

__all__ = ["Body", "Disconnect", "chunked", "disconnecting"]

Body = bytes | AsyncIterable[bytes]


class Disconnect(Exception):
    """Raised by a body to let the client leave at that point."""


async def chunked(body: bytes, size: int) -> AsyncIterator[bytes]:
    """Send *body* in chunks of *size* bytes, without a declared length, letting other tasks run in between."""
    for start in range(0, len(body), size):
        await anyio.lowlevel.checkpoint()
        yield body[start : start + size]


async def disconnecting(body: bytes) -> AsyncIterator[bytes]:
    """Send *body* as the first part of more, and leave."""
    yield body
    raise Disconnect
