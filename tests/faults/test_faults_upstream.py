"""HTTP services behind this one: too slow, broken, or not there, asked through real clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import anyio
import httpx
import pytest
import requests
from anyio.to_thread import run_sync

from gatewright import ErrorMapper, Gate, Result, limit_body, ok
from gatewright.faults import classify
from gatewright.testing import EventList, call

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Ask = Callable[[str], Awaitable[None]]
TOO_LONG = 0.2


@pytest.fixture
def anyio_backend() -> str:
    """Let these run on asyncio, as aiohttp does."""
    return "asyncio"


def _saying(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing, until the client has had enough."""
    await reader.read()


async def _stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer, and say no more of it."""
    await _saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhunter2")(reader, writer)
    await reader.read()


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up in the middle of it, as a process does that is killed."""
    await reader.readuntil(b"\r\n\r\n")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@asynccontextmanager
async def _service(serve: Serve) -> AsyncIterator[str]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hunter2"


async def _by_httpx(url: str) -> None:
    async with httpx.AsyncClient(timeout=TOO_LONG, trust_env=False) as client:
        (await client.get(url)).raise_for_status()


async def _by_httpx_in_a_thread(url: str) -> None:
    def ask() -> None:
        with httpx.Client(timeout=TOO_LONG, trust_env=False) as client:
            client.get(url).raise_for_status()

    await run_sync(ask)


def _by_aiohttp(timeout: aiohttp.ClientTimeout) -> Ask:
    async def ask(url: str) -> None:
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(url, raise_for_status=True) as reply:
            await reply.read()

    return ask


async def _by_requests(url: str) -> None:
    def ask() -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.get(url, timeout=TOO_LONG).raise_for_status()

    await run_sync(ask)


CLIENTS = [
    pytest.param(_by_httpx, id="httpx"),
    pytest.param(_by_httpx_in_a_thread, id="httpx-sync"),
    # Of the whole request, aiohttp raises Python's own TimeoutError; of a read, its own.
    pytest.param(_by_aiohttp(aiohttp.ClientTimeout(total=TOO_LONG)), id="aiohttp-total"),
    pytest.param(_by_aiohttp(aiohttp.ClientTimeout(total=None, sock_read=TOO_LONG)), id="aiohttp-read"),
    pytest.param(_by_requests, id="requests"),
]
SLOW = {"says nothing": _hang, "begins and stalls": _stall}
BROKEN = {
    "hangs up": _reset,
    "is cut off": _saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhunter2"),
    "speaks something else": _saying(b"SSH-2.0-hunter2\r\n\r\n"),
    "fails": _saying(b"HTTP/1.1 500 hunter2\r\nContent-Length: 0\r\n\r\n"),
    "has nothing there": _saying(b"HTTP/1.1 404 hunter2\r\nContent-Length: 0\r\n\r\n"),
    "is not there": None,
}


async def _answer(ask: Ask, serve: Serve | None) -> tuple[int, str]:
    """Return the answer of a handler that asks the service."""

    async def through(url: str) -> tuple[int, str]:
        @limit_body(0)
        async def handler() -> Result[None]:
            await ask(url)
            return ok()

        reply = await call(handler, method="POST", gate=Gate(log=EventList()))
        assert "hunter2" not in str(reply.json)
        assert "127.0.0.1" not in str(reply.json)
        return reply.status, reply.json["code"]

    if serve is None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        return await through(url)
    async with _service(serve) as url:
        return await through(url)


@pytest.mark.parametrize("ask", CLIENTS)
@pytest.mark.parametrize("serve", SLOW.values(), ids=SLOW)
async def test_a_service_that_is_too_slow(ask: Ask, serve: Serve) -> None:
    """504: whoever asked may ask again, and it is known who was slow."""
    # requests calls it a broken connection when a body stalls.
    expected = (502, "bad_gateway") if (ask, serve) == (_by_requests, _stall) else (504, "gateway_timeout")
    assert await _answer(ask, serve) == expected


@pytest.mark.parametrize("ask", CLIENTS)
@pytest.mark.parametrize("serve", BROKEN.values(), ids=BROKEN)
async def test_a_service_that_fails(ask: Ask, serve: Serve | None) -> None:
    """502, whatever it said: its 404 is about our question, and not about the client's."""
    assert await _answer(ask, serve) == (502, "bad_gateway")


@pytest.mark.parametrize("ask", CLIENTS)
@pytest.mark.parametrize("url", ["hunter2", "foo://hunter2/"])
async def test_an_address_that_is_none_is_a_mistake_of_ours(ask: Ask, url: str) -> None:
    """Nobody was asked, so nobody failed us: a 500, which the log has whole."""

    @limit_body(0)
    async def handler() -> Result[None]:
        await ask(url)
        return ok()

    events = EventList()
    assert (await call(handler, method="POST", gate=Gate(log=events))).status == 500
    assert "unhandled_exception" in [event["event"] for event in events]


async def test_a_deadline_around_a_client_is_the_handlers_own() -> None:
    """`asyncio.timeout` and `anyio.fail_after` say nothing of what was done meanwhile: it may have been the handler."""
    async with _service(_hang) as url, aiohttp.ClientSession() as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await client.get(url)
        assert classify(caught.value) is None
        with pytest.raises(TimeoutError) as caught, anyio.fail_after(0.05):
            await client.get(url)
        assert classify(caught.value) is None
        assert ErrorMapper().map(caught.value) is None
