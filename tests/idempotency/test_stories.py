"""Bugs of others, each as the request that shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from gatewright import BearerToken, Principal, Result, ok, with_auth
from gatewright.idempotency import idempotent
from tests.idempotency.kit import KEY, Shop, replayed, short

pytestmark = pytest.mark.anyio


async def test_story_devlink_1195_a_key_is_not_good_for_another_request() -> None:
    """There one key was good for every method, path and body: a payment was answered with an earlier order."""
    shop = Shop()

    @idempotent()
    async def handler(request: Request) -> Result[str]:
        shop.done.append(request.method)
        return ok((await request.body()).decode())

    assert (await shop.post(handler, path="/orders", data=b"tea")).json["data"] == "tea"
    assert not replayed(await shop.post(handler, path="/payments", data=b"tea"))
    assert not replayed(await shop.post(handler, path="/orders", method="PATCH", data=b"tea"))
    assert short(await shop.post(handler, path="/orders", data=b"coffee")) == (422, "idempotency_key_reused")
    assert shop.done == ["POST", "POST", "PATCH"]


async def test_story_devlink_1195_work_that_never_ends_strands_no_key() -> None:
    """There a lock was set in one step and given its time in another; who died in between held it for ever."""
    shop = Shop()
    entered = anyio.Event()

    @idempotent(lease=60)
    async def handler(request: Request) -> Result[str]:
        if not entered.is_set():
            entered.set()
            await anyio.sleep_forever()
        return ok("done")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shop.post, handler)
        await entered.wait()
        assert short(await shop.post(handler)) == (409, "idempotency_key_in_use")
        shop.clock.advance(60)
        assert (await shop.post(handler)).json["data"] == "done"
        tasks.cancel_scope.cancel()
    # What was cancelled only now does not take the other one's answer away.
    assert replayed(await shop.post(handler))


async def test_story_asgi_idempotency_header_another_user_gets_no_replay() -> None:
    """There a key was everybody's: who knew or guessed it got the answer of whoever had used it."""
    shop = Shop()

    @idempotent()
    @with_auth(BearerToken(lambda token: Principal(token, "bearer")))
    async def handler(principal: Principal) -> Result[str]:
        return ok(f"of {principal.sub}")

    for name in ("ada", "eve"):
        reply = await shop.post(handler, headers={**KEY, "Authorization": f"Bearer {name}"})
        assert (reply.json["data"], replayed(reply)) == (f"of {name}", False)


async def test_story_asgi_idempotency_header_another_body_gets_no_replay() -> None:
    """There a key without a fingerprint gave the old answer to a new request, which was never carried out."""
    shop = Shop()

    @idempotent()
    async def handler(request: Request) -> Result[str]:
        return ok((await request.body()).decode())

    assert (await shop.post(handler, data=b"1 tea")).status == 200
    assert short(await shop.post(handler, data=b"2 tea")) == (422, "idempotency_key_reused")


async def test_story_asgi_idempotency_header_an_exception_frees_the_key() -> None:
    """There it left the key pending: the client was told to wait for what nobody was doing."""
    shop = Shop()

    @idempotent()
    async def handler(request: Request) -> Result[str]:
        shop.done.append("work")
        if len(shop.done) == 1:
            raise ValueError("hunter2")
        return ok("done")

    assert [(await shop.post(handler)).status for _ in range(2)] == [500, 200]


async def test_story_asgi_idempotency_header_headers_come_back() -> None:
    """There a replay had none of them: a 201 without its `Location`, text as JSON."""
    shop = Shop()

    @idempotent()
    async def handler(request: Request) -> Response:
        return PlainTextResponse("made", 201, headers={"Location": "/orders/1"})

    first, second = [await shop.post(handler) for _ in range(2)]
    assert replayed(second)
    for name in ("location", "content-type"):
        assert second.headers[name] == first.headers[name]


async def test_story_asgi_idempotency_header_a_body_is_no_json_by_pieces() -> None:
    """There each piece of a body was parsed as JSON: a stream, or anything else, was a 500."""
    shop = Shop()

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"half', b'":1}', b"\xff\x00"):
            yield piece

    @idempotent()
    async def handler(request: Request) -> Response:
        return StreamingResponse(pieces())

    for again in (False, True):
        reply = await shop.post(handler)
        assert (reply.status, reply.body, replayed(reply)) == (200, b'{"half":1}\xff\x00', again)
