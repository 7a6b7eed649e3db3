"""The whole handler again, where the database says that this helps and the handler was declared safe."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from pydantic import BaseModel
from starlette.requests import Request

from gatewright import Call, Conflict, FromBody, Result, Transaction, err, ok, transactional, validate
from tests.transactions.kit import HOSTS, Desk, Ledger, WaitingSession, served

pytestmark = pytest.mark.anyio

ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS)
TRY_FAILED, TRY_COMMITTED = ["open", "rollback", "close"], ["open", "commit", "close"]


class SerializationFailure(Exception):
    """What a driver for PostgreSQL raises: others were at the same rows."""

    sqlstate = "40001"

    def __init__(self) -> None:
        super().__init__("could not serialize access")


SerializationFailure.__module__ = "asyncpg.exceptions"


class Item(BaseModel):
    """A body."""

    name: str


@ON_EVERY_HOST
@pytest.mark.parametrize("at", ["handler", "commit"])
async def test_a_serialization_failure_is_run_again(host: str, at: str) -> None:
    """Found by a statement, or by the commit: a new session, the same body, and one answer."""
    ledger, desk = Ledger(**({"commit": SerializationFailure()} if at == "commit" else {})), Desk()
    names: list[str] = []

    @transactional(ledger, retries=1)
    @validate
    async def create(item: FromBody[Item], db: Transaction[WaitingSession]) -> Result[str]:
        names.append(item.name)
        db.add(item.name)
        if at == "handler" and len(names) == 1:
            raise SerializationFailure
        return ok(item.name, status=201)

    reply = await desk.post(served(host, create, desk), json={"name": "a"})
    assert (reply.status, reply.json["data"], names) == (201, "a", ["a", "a"])
    first = TRY_FAILED if at == "handler" else ["open", "commit", "rollback", "close"]
    assert (ledger.steps, ledger.rows) == ([*first, *TRY_COMMITTED], ["a"])
    assert ledger.sessions[0] is not ledger.sessions[1]
    assert desk.request["transaction_retries"] == 1


@ON_EVERY_HOST
async def test_the_body_is_there_for_every_try(host: str) -> None:
    """For a handler that reads it by itself, too."""
    ledger, desk = Ledger(), Desk()
    bodies: list[bytes] = []

    @transactional(ledger, retries=2)
    async def read(request: Request) -> Any:
        bodies.append(b"".join([part async for part in request.stream()]))
        if len(bodies) < 3:
            raise SerializationFailure
        return {"size": len(bodies[-1])}

    reply = await desk.post(served(host, read, desk), data=b"abc")
    assert (reply.status, bodies) == (200, [b"abc"] * 3)


@ON_EVERY_HOST
async def test_a_bound_number_of_times(host: str) -> None:
    """Then it is 503, and the client is told when to ask again."""
    ledger, desk = Ledger(), Desk()
    tries: list[int] = []

    @transactional(ledger, retries=3)
    async def contended() -> None:
        tries.append(1)
        raise SerializationFailure

    reply = await desk.post(served(host, contended, desk))
    assert (reply.status, len(tries), ledger.steps) == (503, 4, TRY_FAILED * 4)
    assert "retry-after" in reply.headers
    assert b"serialize" not in reply.body


@pytest.mark.parametrize(
    "failure", [Conflict(), ZeroDivisionError(), ConnectionResetError(), anyio.BrokenResourceError()]
)
async def test_nothing_else_is_run_again(failure: Exception) -> None:
    """A bug stays one, and of a connection that broke nobody knows what came of its commit."""
    ledger, desk = Ledger(commit=failure), Desk()

    @transactional(ledger, retries=3)
    async def write() -> None: ...

    await desk.post(write)
    assert ledger.steps == ["open", "commit", "rollback", "close"]


async def test_without_being_declared_nothing_is_run_again() -> None:
    """A handler may have sent a mail."""
    ledger, desk = Ledger(commit=SerializationFailure()), Desk()

    @transactional(ledger)
    async def write() -> None: ...

    assert (await desk.post(write)).status == 503
    assert ledger.steps == ["open", "commit", "rollback", "close"]


async def test_an_error_that_is_returned_is_an_answer() -> None:
    """The handler has decided."""
    ledger, desk = Ledger(), Desk()

    @transactional(ledger, retries=3)
    async def write() -> Result[None]:
        return err("no", status=503)

    await desk.post(write)
    assert ledger.steps == TRY_FAILED


@ON_EVERY_HOST
async def test_nothing_of_a_try_that_failed_is_in_the_answer(host: str) -> None:
    """No header, no finisher, nothing stale, nothing provided, and no argument."""
    ledger, desk = Ledger(), Desk()
    tries: list[Call] = []

    @transactional(ledger, retries=1)
    async def write(call: Call) -> Result[None]:
        tries.append(call)
        assert Item not in (call.provided or {})
        if len(tries) == 1:
            call.add_header(b"x-try", b"first")
            call.on_head(lambda head: head.headers.append((b"x-finished", b"first")))
            call.invalidate("first")
            call.provide(Item, Item(name="first"))
            call.header_policy = None
            raise SerializationFailure
        call.invalidate("second")
        return ok()

    reply = await desk.post(served(host, write, desk))
    assert (reply.status, len(tries), desk.told) == (200, 2, ["second"])
    assert not {"x-try", "x-finished"} & set(reply.headers)
    assert "x-content-type-options" in reply.headers


async def test_a_finisher_of_before_stays() -> None:
    """What guards further out left for the head is not taken back with the rest."""
    ledger, desk = Ledger(), Desk()
    tries: list[int] = []

    @transactional(ledger, retries=1)
    async def write() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise SerializationFailure

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["gatewright.call"].on_head(lambda head: head.headers.append((b"x-outer", b"1")))
        await served("starlette", write, desk)(scope, receive, send)

    reply = await desk.post(app)
    assert (len(tries), reply.headers["x-outer"]) == (2, "1")


async def test_what_the_tries_took_is_given_back() -> None:
    """Each leaves something to do afterwards, and all of it is done."""
    ledger, desk = Ledger(), Desk()
    given: list[int] = []

    @transactional(ledger, retries=1)
    async def write(call: Call) -> None:
        number = len(ledger.sessions)
        call.afterwards(lambda: given.append(number))
        if number == 1:
            raise SerializationFailure

    await desk.post(write)
    assert given == [2, 1]


async def test_a_pause_between_tries_is_random_and_short() -> None:
    """So that those who collided do not collide again; by the gate's entropy, which a test stops."""
    pauses: list[float] = []
    for byte in (0, 0x80, 0xFF):
        ledger, desk = Ledger(), Desk(entropy=lambda size, byte=byte: bytes([byte]) * size)

        @transactional(ledger, retries=8)
        async def contended() -> None:
            raise SerializationFailure

        began = anyio.current_time()
        await desk.post(contended)
        pauses.append(anyio.current_time() - began)
    # 20 ms, doubled each time, to half a second at most: 2.1 s in eight pauses.
    assert pauses[0] < pauses[1] < pauses[2]
    assert pauses[1] > 0.9
    assert pauses[2] > 2.0
