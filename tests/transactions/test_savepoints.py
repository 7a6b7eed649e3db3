"""A transaction in front of an app, and those of the handlers in it; savepoints within a handler."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright import Call, Result, Transaction, action, err, idempotent, ok, transactional
from gatewright.testing import Reply, call
from gatewright.timeout import timeout
from tests.transactions.bank import Bank
from tests.transactions.conftest import with_drivers
from tests.transactions.kit import Desk, Ledger, WaitingSession

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """SQLAlchemy does not run on trio."""
    return "asyncio"


def within(app: ASGIApp, sessions: Any, desk: Desk, **said: Any) -> ASGIApp:
    """Return an app whose requests are transactions, behind a gate."""
    guarded: ASGIApp = transactional(sessions, **said)(app)
    return desk.gate.wrap(guarded)


def routed(handler: Any) -> ASGIApp:
    return Starlette(routes=[Route("/", handler, methods=["GET", "POST"])])


def forgiving(app: ASGIApp) -> ASGIApp:
    """Answer 200 whatever the app answers."""

    async def forgive(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            await send({**message, "status": 200} if message["type"] == "http.response.start" else message)

        await app(scope, receive, sent)

    return forgive


async def post(app: ASGIApp) -> Reply:
    return await call(app, method="POST")


@with_drivers()
async def test_a_handlers_own_is_a_part_of_the_apps(bank: Bank, desk: Desk) -> None:
    """One session, one commit, which the app makes: what the app refuses in the end is dropped with all."""
    sessions: list[Any] = []

    @transactional(bank.sessions)
    async def write(db: Transaction[Any]) -> Result[None]:
        sessions.append(db)
        await bank.open(db, "inner")
        return ok()

    def refusing(app: ASGIApp) -> ASGIApp:
        async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
            async def nowhere(message: Message) -> None: ...

            await app(scope, receive, nowhere)
            await PlainTextResponse("no", 403)(scope, receive, send)

        return refuse

    assert (await post(within(refusing(routed(write)), bank.sessions, desk))).status == 403
    assert await bank.seen() == {"ada": 100}
    assert (await post(within(routed(write), bank.sessions, desk))).status == 200
    assert await bank.seen() == {"ada": 100, "inner": 0}
    assert (len(sessions), bank.checked_out) == (2, 0)


@with_drivers()
@pytest.mark.parametrize("how", ["err", "raises", "reads only"])
async def test_a_part_that_fails_is_dropped_alone(bank: Bank, desk: Desk, how: str) -> None:
    """Where what stands between makes a success of it, the rest is kept."""

    @transactional(bank.sessions, read_only=how == "reads only")
    async def write(db: Transaction[Any]) -> Result[None]:
        await bank.open(db, "inner")
        if how == "raises":
            raise ZeroDivisionError
        return err("no") if how == "err" else ok()

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        session = scope["gatewright.call"].get(type(bank.sessions()))
        await bank.open(session, "outer")
        await forgiving(routed(write))(scope, receive, send)

    reply = await post(within(whole, bank.sessions, desk))
    assert (reply.status, await bank.seen()) == (200, {"ada": 100, "outer": 0})


@with_drivers("aiosqlite", "asyncpg")
async def test_a_part_that_is_too_slow_is_dropped_alone(bank: Bank, desk: Desk) -> None:
    """A cancellation within rolls back to the savepoint."""

    @timeout(first_byte=0.05)
    @transactional(bank.sessions)
    async def write(db: Transaction[Any]) -> None:
        await bank.open(db, "inner")
        await anyio.sleep_forever()

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        await bank.open(scope["gatewright.call"].get(AsyncSession), "outer")
        await forgiving(routed(write))(scope, receive, send)

    reply = await post(within(whole, bank.sessions, desk))
    assert (reply.json["code"], await bank.seen()) == ("gateway_timeout", {"ada": 100, "outer": 0})


@with_drivers("aiosqlite", "psycopg")
async def test_a_savepoint_that_cannot_be_released_fails_its_part(bank: Bank, desk: Desk) -> None:
    """The flush of a part finds what violates a constraint: 409 for it, and the rest stays whole."""

    class Account:
        def __init__(self, name: str) -> None:
            self.name, self.amount = name, 0

    registry().map_imperatively(Account, bank.accounts)

    @transactional(bank.sessions)
    async def write(db: Transaction[Any]) -> Result[None]:
        db.add(Account("ada"))
        return ok()

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        await bank.open(scope["gatewright.call"].get(type(bank.sessions())), "outer")
        await forgiving(routed(write))(scope, receive, send)

    reply = await post(within(whole, bank.sessions, desk))
    assert (reply.json["code"], await bank.seen()) == ("conflict", {"ada": 100, "outer": 0})


async def test_two_databases_are_two_transactions() -> None:
    """Each commits by itself, the inner first; the session of the app is found again after the handler's."""
    outer, inner, desk = Ledger(), Ledger(), Desk()
    found: list[bool] = []

    @transactional(inner)
    async def write(db: Transaction[WaitingSession]) -> Result[None]:
        db.add("row")
        return ok()

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        here = scope["gatewright.call"]
        before = here.get(WaitingSession)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The rest leaves once all is over.
                found.append(here.get(WaitingSession) is before)
            await send(message)

        await routed(write)(scope, receive, sent)

    assert (await post(within(whole, outer, desk))).status == 200
    assert (outer.steps, inner.steps, inner.rows) == (["open", "commit", "close"],) * 2 + (["row"],)
    assert found == [True]


async def test_a_session_without_savepoints_is_told() -> None:
    """Its transaction would be committed by a part."""
    ledger, desk = Ledger(), Desk()

    @transactional(ledger)
    async def write() -> None: ...

    reply = await post(within(routed(write), ledger, desk))
    assert (reply.status, ledger.steps) == (500, ["open", "rollback", "close"])
    assert "has no begin_nested() for a savepoint" in str(desk.logged("unhandled_exception"))


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({"read_only": True}, {}),
        ({}, {"isolation": "SERIALIZABLE"}),
        ({"isolation": "READ UNCOMMITTED"}, {"isolation": "SERIALIZABLE"}),
    ],
)
async def test_a_part_cannot_be_more_than_the_whole(outer: Any, inner: Any, bank_of: Any) -> None:
    """A change that would be dropped, and an isolation that cannot be had any more, are told."""
    desk, bank = Desk(), bank_of("aiosqlite")

    @transactional(bank.sessions, **inner)
    async def write() -> None: ...

    reply = await post(within(routed(write), bank.sessions, desk, **outer))
    assert reply.status == 500
    assert "it can be no more than that; write the same" in str(desk.logged("unhandled_exception"))


async def test_an_app_of_changes_takes_no_safe_method() -> None:
    """A whole app may be transactional where it is one of changes."""
    ledger, desk = Ledger(), Desk()

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("a")(scope, receive, send)

    app = within(whole, ledger, desk)
    assert (await call(app)).status == 405
    assert (await post(app)).status == 200
    assert ledger.steps == ["open", "commit", "close"]


# Within a handler, SQLAlchemy's own do


@with_drivers("aiosqlite", "asyncpg", "aiomysql")
async def test_a_part_of_a_handler_is_a_savepoint_of_sqlalchemys(bank: Bank, desk: Desk) -> None:
    """What fails in it is dropped alone, and the handler goes on."""

    @transactional(bank.sessions)
    async def register(db: Transaction[AsyncSession]) -> Result[str]:
        await bank.open(db, "bob")
        try:
            async with db.begin_nested():
                await bank.open(db, "ada")
        except IntegrityError:
            return ok("was there")
        return ok("new")

    reply = await call(register, method="POST", gate=desk.gate)
    assert (reply.json["data"], await bank.seen()) == ("was there", {"ada": 100, "bob": 0})


async def test_a_failure_that_htmx_sees_as_a_200_is_no_success(desk: Desk) -> None:
    """Between the handler and the transaction in front of the app, an action shows its failure with another status."""
    ledger = Ledger()

    @action(htmx_status=200)
    async def fail(call: Call) -> Result[None]:
        return err("no", status=409)

    app = within(Starlette(routes=[Route("/", fail, methods=["POST"])]), ledger, desk)
    reply = await call(app, method="POST", headers={"hx-request": "true"})
    assert (reply.status, ledger.steps) == (200, ["open", "rollback", "close"])


@pytest.mark.parametrize("read_only", [True, False])
async def test_nothing_is_remembered_that_may_still_be_undone(desk: Desk, read_only: bool) -> None:
    """An answer that is kept before the commit would be given again, although the work was rolled back."""
    ledger = Ledger()

    @idempotent()
    async def pay() -> Result[str]:
        return ok("paid")

    app = within(Starlette(routes=[Route("/", pay, methods=["POST"])]), ledger, desk, read_only=read_only)
    reply = await call(app, method="POST", headers={"idempotency-key": "one"})
    assert reply.status == (200 if read_only else 500)
    said = [event["exception"]["message"] for event in desk.logged("unhandled_exception")]
    assert len(said) == (0 if read_only else 1)
    assert read_only or "write transactional on the handler" in said[0]
