"""Request bodies that arrive in pieces, or do not arrive."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.testing import Disconnect, chunked, disconnecting

pytestmark = pytest.mark.anyio


@given(st.binary(max_size=50), st.integers(1, 20))
def test_chunks_are_the_body_in_pieces(body: bytes, size: int) -> None:
    """None is empty, none is longer than *size*, together they are the body."""

    async def collect() -> list[bytes]:
        return [chunk async for chunk in chunked(body, size)]

    chunks = anyio.run(collect)
    assert b"".join(chunks) == body
    assert all(0 < len(chunk) <= size for chunk in chunks)


async def test_chunks_let_others_run() -> None:
    """As a network does."""
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        async for chunk in chunked(b"ab", 1):
            order.append(chunk.decode())
    assert order.index("other") < order.index("b")


async def test_a_client_leaves_in_the_middle() -> None:
    """One part, and then no more."""
    body = disconnecting(b"half")
    assert await anext(body) == b"half"
    with pytest.raises(Disconnect):
        await anext(body)
