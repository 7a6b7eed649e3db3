"""`@transactional`: what commits, what rolls back, and when."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest
from anyio import to_thread
from fastapi import APIRouter, FastAPI
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from gatewright import (
    Call,
    ConfigurationError,
    Conflict,
    Cookie,
    FromBody,
    Gate,
    Guarded,
    Result,
    Transaction,
    err,
    limit_body,
    ok,
    redirect,
    transactional,
    validate,
)
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.starlette import GuardedRoute
from gatewright.testing import call, chunked, disconnecting
from gatewright.timeout import timeout
from tests.transactions.kit import HOSTS, BlockingSession, Desk, Ledger, WaitingSession, served

pytestmark = pytest.mark.anyio

ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS)
BOTH_KINDS = pytest.mark.parametrize("blocking", [False, True], ids=["async session", "sync session"])
KEPT, DROPPED = ["open", "commit", "close"], ["open", "rollback", "close"]


def writing(ledger: Ledger, answer: Callable[[], Any], **said: Any) -> Guarded[..., Any]:
    """Return a handler that writes a row, and answers."""

    @transactional(ledger, **said)
    async def write(db: Transaction[WaitingSession]) -> Any:
        db.add("row")
        return answer()

    return write


def _raises(exc: BaseException) -> Callable[[], Any]:
    def answer() -> Any:
        raise exc

    return answer


# What commits, and what does not


SUCCESSES: dict[str, tuple[int, Callable[[], Any]]] = {
    "ok": (200, ok),
    "created": (201, lambda: ok(None, status=201)),
    "plain data": (200, lambda: {"a": 1}),
    "a response": (202, lambda: PlainTextResponse("fine", 202)),
    "a redirect": (303, lambda: redirect("/posts")),
    "a redirect of Starlette": (302, lambda: Response(status_code=302, headers={"location": "/posts"})),
    "not modified": (304, lambda: Response(status_code=304)),
    "a redirect that is raised": (303, _raises(HTTPException(303, headers={"location": "/posts"}))),
}
FAILURES: dict[str, tuple[int, Callable[[], Any]]] = {
    "err": (400, lambda: err("no", status=400)),
    "an error response": (400, lambda: PlainTextResponse("no", 400)),
    "a server's error response": (503, lambda: PlainTextResponse("no", 503)),
    "an ApiError": (409, _raises(Conflict())),
    "an HTTPException": (418, _raises(HTTPException(418))),
    "a bug": (500, _raises(ZeroDivisionError())),
    "a client that left": (400, _raises(ClientDisconnect())),
}


@ON_EVERY_HOST
@pytest.mark.parametrize(("status", "answer"), SUCCESSES.values(), ids=SUCCESSES)
async def test_a_success_commits(host: str, status: int, answer: Callable[[], Any]) -> None:
    """Whatever is answered below 400: a redirect after a form is a success, too."""
    ledger, desk = Ledger(), Desk()
    reply = await desk.post(served(host, writing(ledger, answer), desk))
    assert (reply.status, ledger.steps, ledger.rows) == (status, KEPT, ["row"])


@ON_EVERY_HOST
@pytest.mark.parametrize(("status", "answer"), FAILURES.values(), ids=FAILURES)
async def test_anything_else_rolls_back(host: str, status: int, answer: Callable[[], Any]) -> None:
    """Returned or raised: a database never keeps what a client was told had failed."""
    ledger, desk = Ledger(), Desk()
    reply = await desk.post(served(host, writing(ledger, answer), desk))
    assert (reply.status, ledger.steps, ledger.rows) == (status, DROPPED, [])


@BOTH_KINDS
@pytest.mark.parametrize("plain", [False, True], ids=["async handler", "plain handler"])
async def test_every_kind_of_session_under_every_kind_of_handler(blocking: bool, plain: bool) -> None:
    """The session is open while the handler works, and closed after."""
    ledger, desk = Ledger(blocking=blocking), Desk()

    def work(db: Any, fails: bool) -> Result[None]:
        db.add("row")
        assert ledger.steps[-1] == "open"
        return err("no") if fails else ok()

    @transactional(ledger)
    @validate
    def write_plainly(db: Transaction[BlockingSession], fails: FromBody[bool]) -> Result[None]:
        return work(db, fails)

    @transactional(ledger)
    @validate
    async def write(db: Transaction[BlockingSession], fails: FromBody[bool]) -> Result[None]:
        return work(db, fails)

    handler = write_plainly if plain else write
    await desk.post(handler, json=False)
    await desk.post(handler, json=True)
    assert (ledger.steps, ledger.rows) == ([*KEPT, *DROPPED], ["row"])
    assert ledger.sessions[0] is not ledger.sessions[1]


async def test_a_factory_may_wait() -> None:
    """One that is async is awaited."""
    ledger, desk = Ledger(), Desk()

    async def sessions() -> WaitingSession:
        await anyio.lowlevel.checkpoint()
        session: WaitingSession = ledger()
        return session

    @transactional(sessions)
    async def write(db: Transaction[WaitingSession]) -> None:
        db.add("row")

    await desk.post(write)
    assert ledger.rows == ["row"]


@pytest.mark.parametrize("made", [None, object(), "session"])
async def test_a_factory_of_something_else_is_told(made: object) -> None:
    """What has no commit() cannot be committed; the client hears nothing of it."""
    desk = Desk()

    @transactional(lambda: made)  # type: ignore[arg-type, return-value]
    async def write() -> None: ...

    reply = await desk.post(write)
    (logged,) = desk.logged("unhandled_exception")
    assert reply.json["error"] == "Internal server error"
    assert "the factory returned a" in str(logged)
    assert "commit(), rollback(), close()" in str(logged)


async def test_a_factory_that_fails_is_answered_and_leaves_nothing() -> None:
    """There is no session to close."""
    ledger, desk = Ledger(open=Conflict("Busy")), Desk()
    reply = await desk.post(writing(ledger, ok))
    assert (reply.status, ledger.steps) == (409, ["open"])


# When


async def test_the_commit_is_before_the_first_byte() -> None:
    """FastAPI's dependencies with `yield` commit after the answer has gone (since 0.118)."""
    ledger, desk = Ledger(), Desk()
    app = served("fastapi installed", writing(ledger, ok), desk)

    async def seeing(scope: Any, receive: Any, send: Any) -> None:
        async def observed(message: Any) -> None:
            ledger.steps.append(message["type"])
            await send(message)

        await app(scope, receive, observed)

    await call(seeing, method="POST")
    assert ledger.steps == [*KEPT, "http.response.start", "http.response.body"]


@ON_EVERY_HOST
async def test_a_stream_begins_after_the_commit(host: str) -> None:
    """Its session is closed by then, and nobody finds it."""
    ledger, desk = Ledger(), Desk()

    @transactional(ledger)
    async def stream(call: Call) -> Response:
        assert call.get(WaitingSession) is ledger.sessions[0]

        async def parts() -> AsyncIterator[bytes]:
            with pytest.raises(ConfigurationError, match="provides WaitingSession"):
                call.get(WaitingSession)
            ledger.steps.append("first byte")
            yield b"part"

        return StreamingResponse(parts())

    reply = await desk.post(served(host, stream, desk))
    assert (reply.body, ledger.steps) == (b"part", [*KEPT, "first byte"])


@ON_EVERY_HOST
@pytest.mark.parametrize("fails", [False, True])
async def test_background_tasks_run_after_the_commit(host: str, fails: bool) -> None:
    """And not at all where it fails: a mail about what never happened cannot be called back."""
    ledger, desk = Ledger(**({"commit": Conflict()} if fails else {})), Desk()
    task = BackgroundTask(ledger.steps.append, "mail")
    reply = await desk.post(served(host, writing(ledger, lambda: PlainTextResponse("a", background=task)), desk))
    if fails:
        assert (reply.status, ledger.steps) == (409, ["open", "commit", "rollback", "close"])
    else:
        assert (reply.status, ledger.steps) == (200, [*KEPT, "mail"])


@pytest.mark.parametrize("decorate", [False, True], ids=["app", "handler"])
async def test_a_handler_that_yields_is_refused(decorate: bool) -> None:
    """Its work would begin once the transaction is over."""

    async def rows(db: Transaction[WaitingSession]) -> AsyncIterator[str]:
        yield "row"

    def plain_rows(db: Transaction[WaitingSession]) -> Iterator[str]:
        yield "row"

    for handler in (rows, plain_rows):
        app = FastAPI()
        # Before 0.134, FastAPI itself refuses such a type of response.
        app.post("/", response_model=None)(transactional(Ledger())(handler))
        with pytest.raises(ConfigurationError, match="it yields, so its work would begin after the commit"):
            Gate().install(app)


# A commit that fails


@ON_EVERY_HOST
async def test_a_commit_that_fails_is_the_answer(host: str) -> None:
    """By the mapper; nothing of the handler's own answer leaves."""
    ledger, desk = Ledger(commit=Conflict("Taken", code="taken", details={"name": ["taken"]})), Desk()

    @transactional(ledger)
    async def create(db: Transaction[WaitingSession], call: Call) -> Result[str]:
        db.add("row")
        call.invalidate("posts")
        return ok("done", headers={"X-Made": "1"}, cookies=[Cookie("made", "1")])

    reply = await desk.post(served(host, create, desk), headers={"HX-Request": "true"})
    assert (reply.status, reply.json["code"], reply.json["details"]) == (409, "taken", {"name": ["taken"]})
    assert not {"set-cookie", "x-made", "hx-trigger"} & set(reply.headers)
    assert (desk.told, ledger.rows) == ([], [])
    assert ledger.steps == ["open", "commit", "rollback", "close"]


@pytest.mark.parametrize("answer", [ok, _raises(HTTPException(303, headers={"location": "/"}))])
async def test_a_commit_that_fails_unexpectedly_is_a_500_and_one_line(answer: Callable[[], Any]) -> None:
    """What the driver says is for the log."""
    ledger, desk = Ledger(commit=RuntimeError("password=hunter2")), Desk()
    reply = await desk.post(writing(ledger, answer))
    assert (reply.status, reply.json["error"]) == (500, "Internal server error")
    assert b"hunter2" not in reply.body
    assert len(desk.logged("unhandled_exception")) == 1


@BOTH_KINDS
async def test_what_fails_while_rolling_back_hides_nothing(blocking: bool) -> None:
    """The first error is the answer; the others are logged."""
    fails = {"rollback": RuntimeError("first"), "close": RuntimeError("second")}
    ledger, desk = Ledger(blocking=blocking, **fails), Desk()
    reply = await desk.post(writing(ledger, lambda: err("no", status=418)))
    assert (reply.status, ledger.steps) == (418, DROPPED)
    assert [entry["where"] for entry in desk.logged("unhandled_exception")] == ["transactional"] * 2


async def test_a_close_that_fails_does_not_undo_the_answer() -> None:
    """What was committed is committed."""
    ledger, desk = Ledger(close=RuntimeError("gone")), Desk()
    reply = await desk.post(writing(ledger, ok))
    assert (reply.status, ledger.rows, len(desk.logged("unhandled_exception"))) == (200, ["row"], 1)


# Safe methods, and read-only transactions


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_no_change_by_a_safe_method(method: str) -> None:
    """A link is a GET, and anybody may write one: 405, and no session."""
    ledger, desk = Ledger(), Desk()
    reply = await call(writing(ledger, ok), method=method, gate=desk.gate)
    assert (reply.status, reply.headers["allow"], ledger.steps) == (405, "POST", [])


def test_no_route_offers_a_change_by_a_safe_method() -> None:
    """It is said when the app is put together."""
    change = writing(Ledger(), ok)
    app = Starlette(routes=[Route("/", change)])
    with pytest.raises(ConfigurationError, match="transactional changes something, and this route serves GET, HEAD"):
        Gate().install(app)
    with pytest.raises(ConfigurationError, match=r'write methods=\["POST"\]'):
        GuardedRoute("/", change, methods=["GET"])
    with pytest.raises(ConfigurationError, match="transactional changes something"):
        APIRouter(route_class=FastAPIRoute).get("/", response_model=None)(change)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_read_only_transaction_never_commits(method: str) -> None:
    """Whatever the handler did, and whatever it answers."""
    ledger, desk = Ledger(), Desk()
    read = writing(ledger, ok, read_only=True)
    Gate().install(Starlette(routes=[Route("/", read)]))
    reply = await call(read, method=method, gate=desk.gate)
    assert (reply.status, ledger.steps, ledger.rows) == (200, DROPPED, [])


# Cancellation; at every await of a real session in test_cancellation.py


@BOTH_KINDS
@ON_EVERY_HOST
async def test_a_cancelled_handler_rolls_back(host: str, blocking: bool) -> None:
    """As by a server that stops, or one that ends a request when its client leaves."""
    ledger, desk = Ledger(blocking=blocking), Desk()
    begun = anyio.Event()

    @transactional(ledger)
    async def hang(db: Transaction[BlockingSession]) -> None:
        db.add("row")
        begun.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.post, served(host, hang, desk))
        await begun.wait()
        tasks.cancel_scope.cancel()
    assert (ledger.steps, ledger.rows) == (DROPPED, [])


@ON_EVERY_HOST
async def test_a_handler_that_is_too_slow_rolls_back(host: str) -> None:
    """`timeout` encloses the transaction, however the two are written."""
    for order in (0, 1):
        ledger, desk = Ledger(), Desk()

        async def hang(db: Transaction[WaitingSession]) -> None:
            db.add("row")
            await anyio.sleep_forever()

        decorators = [timeout(first_byte=0.01), transactional(ledger)]
        for decorate in decorators if order else reversed(decorators):
            hang = decorate(hang)  # type: ignore[assignment]
        reply = await desk.post(served(host, hang, desk))
        assert (reply.status, ledger.steps, ledger.rows) == (504, DROPPED, [])


async def test_a_plain_handler_that_is_given_up_keeps_its_session_to_itself() -> None:
    """Two threads must not use one session: it is dropped in the thread of the handler, once that ends."""
    ledger, desk = Ledger(blocking=True), Desk()
    resume, ended = threading.Event(), threading.Event()
    where: list[int] = []

    @timeout(first_byte=0.05)
    @transactional(ledger)
    def work(db: Transaction[BlockingSession]) -> None:
        where.append(threading.get_ident())
        resume.wait(10)
        # Nobody touched it meanwhile.
        assert ledger.steps == ["open"]
        db.add("row")

    class Watched(BlockingSession):
        def close(self) -> None:
            super().close()
            where.append(threading.get_ident())
            ended.set()

    ledger.kind = Watched
    reply = await desk.post(work)
    assert (reply.status, ledger.steps) == (504, ["open"])
    resume.set()
    assert await to_thread.run_sync(ended.wait, 10)
    assert (ledger.steps, ledger.rows, len(set(where))) == (DROPPED, [], 1)


class Left:
    """A plain handler that was given up, and goes on until it is told to end."""

    def __init__(self, **fails: Exception) -> None:
        self.resume, self.ended = threading.Event(), threading.Event()
        left = self

        class Watched(BlockingSession):
            def close(self) -> None:
                left.ended.set()
                super().close()

        self.ledger = Ledger(blocking=True, **fails)
        self.ledger.kind = Watched

        @timeout(first_byte=0.05)
        @transactional(self.ledger)
        def work(db: Transaction[BlockingSession]) -> None:
            self.resume.wait(10)
            db.add("row")

        self.handler = work

    async def end(self) -> None:
        """Let it end, and wait for its thread."""
        self.resume.set()
        assert await to_thread.run_sync(self.ended.wait, 10)


async def test_what_fails_where_nobody_waits_is_logged() -> None:
    """The session is closed all the same."""
    desk, left = Desk(), Left(rollback=RuntimeError("gone"))
    assert (await desk.post(left.handler)).status == 504
    await left.end()
    assert left.ledger.steps == DROPPED
    assert [entry["where"] for entry in desk.logged("unhandled_exception")] == ["transactional"]


async def test_what_a_handler_still_works_with_is_not_committed() -> None:
    """Where what stands between makes a success of a handler that was given up: a failure, and no commit."""
    desk, left = Desk(), Left()

    @timeout(first_byte=0.05)
    def work(call: Call) -> None:
        left.resume.wait(10)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            await send({**message, "status": 200} if message["type"] == "http.response.start" else message)

        await Starlette(routes=[Route("/", work, methods=["POST"])])(scope, receive, sent)

    guarded: Any = transactional(left.ledger)(app)
    reply = await call(desk.gate.wrap(guarded), method="POST")
    await left.end()
    assert (reply.status, left.ledger.steps) == (500, DROPPED)


async def test_a_client_that_leaves_in_the_middle_of_its_body_rolls_back() -> None:
    """Whatever the handler did before it read on."""
    ledger, desk = Ledger(), Desk()

    @transactional(ledger)
    async def read(request: Request, db: Transaction[WaitingSession]) -> None:
        db.add("row")
        await request.body()

    await desk.post(read, data=disconnecting(b"half"))
    assert (ledger.steps, ledger.rows) == (DROPPED, [])


async def test_a_body_that_nobody_read_is_weighed_before_the_commit() -> None:
    """The client is told 413, so nothing was done."""
    ledger, desk = Ledger(), Desk()
    reply = await desk.post(limit_body(10)(writing(ledger, ok)), data=chunked(b"x" * 20, 5))
    assert (reply.status, ledger.steps, ledger.rows) == (413, DROPPED, [])


# What is refused when decorating


async def _dependency() -> AsyncIterator[None]:
    yield


def _plain_dependency() -> Iterator[None]:
    yield


async def _handler(call: Call) -> Result[None]:
    return ok()


async def _short_handler() -> Result[None]:
    return ok()


ENGINE = create_engine("sqlite://")
ASYNC_ENGINE = create_async_engine("sqlite+aiosqlite://")
WRONG: dict[str, tuple[Any, str]] = {
    "None": (None, "makes no sessions; write transactional\\(sessions\\), with sessions = async_sessionmaker"),
    "a URL": ("sqlite://", "makes no sessions"),
    "an engine": (ENGINE, "an engine makes connections; write transactional\\(sessions\\)"),
    "an async engine": (ASYNC_ENGINE, "an engine makes connections"),
    "a session": (Session(ENGINE), "a session serves one request"),
    "an async session": (AsyncSession(ASYNC_ENGINE), "a session serves one request"),
    "the class of sessions": (Session, "a session serves one request"),
    "the class of async sessions": (AsyncSession, "a session serves one request"),
    "a scoped session": (scoped_session(sessionmaker(ENGINE)), "shared by whoever runs in its scope"),
    "an async scoped session": (async_scoped_session(async_sessionmaker(ASYNC_ENGINE), lambda: 1), "shared by"),
    "begin of a factory": (async_sessionmaker(ASYNC_ENGINE).begin, "begin\\(\\) commits by itself"),
    "begin of a sync factory": (sessionmaker(ENGINE).begin, "begin\\(\\) commits by itself"),
    "a dependency": (_dependency, "a dependency that yields decides by itself"),
    "a handler": (_handler, "that is a handler; above it, write @transactional\\(sessions\\)"),
    "a handler without arguments": (_short_handler, "that is a handler"),
    "a plain dependency": (_plain_dependency, "a dependency that yields decides by itself"),
}


@pytest.mark.parametrize(("factory", "message"), WRONG.values(), ids=WRONG)
def test_what_makes_no_sessions_is_refused(factory: Any, message: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        transactional(factory)


class UnitOfWork(WaitingSession):
    """A class of one's own, which is a factory."""

    made: list[UnitOfWork] = []  # noqa: RUF012  # the test's

    def __init__(self) -> None:
        super().__init__(Ledger())
        self.made.append(self)


async def test_a_class_of_sessions_of_ones_own_is_a_factory() -> None:
    """Unlike SQLAlchemy's, it knows its database."""
    desk = Desk()
    await desk.post(writing(UnitOfWork, ok))  # type: ignore[arg-type]
    assert UnitOfWork.made[0].ledger.rows == ["row"]


@pytest.mark.parametrize("retries", [-1, True, 1.0, "1", None])
def test_retries_are_a_number(retries: Any) -> None:
    """0 or more."""
    with pytest.raises(ConfigurationError, match="write a number of further tries, 0 or more"):
        transactional(Ledger(), retries=retries)


@pytest.mark.parametrize("isolation", ["AUTOCOMMIT", "serializable", "", 1])
def test_isolation_is_a_level(isolation: Any) -> None:
    """AUTOCOMMIT is no transaction."""
    with pytest.raises(ConfigurationError, match="write one of READ UNCOMMITTED, READ COMMITTED, REPEATABLE READ"):
        transactional(Ledger(), isolation=isolation)


async def test_isolation_needs_a_session_that_can_be_told() -> None:
    """A session of another kind would run at a level that nobody asked for."""
    ledger, desk = Ledger(), Desk()
    reply = await desk.post(writing(ledger, ok, isolation="SERIALIZABLE"))
    (logged,) = desk.logged("unhandled_exception")
    assert (reply.status, ledger.steps) == (500, DROPPED)
    assert "is for SQLAlchemy's sessions, and not for WaitingSession" in str(logged)


def test_one_transaction_for_one_handler() -> None:
    """What is to be committed together is in one database."""
    with pytest.raises(ConfigurationError, match="two transactional"):
        transactional(Ledger())(writing(Ledger(), ok))


def test_a_parameter_without_its_decorator_is_told() -> None:
    """By the name of the decorator, as one writes it."""

    @validate
    async def write(db: Transaction[WaitingSession]) -> None: ...

    with pytest.raises(ConfigurationError, match="db is filled by @transactional"):
        Gate().install(Starlette(routes=[Route("/", write, methods=["POST"])]))


async def test_a_plain_fastapi_route_is_refused() -> None:
    """It has sent its answer before anybody could commit."""
    ledger, app = Ledger(), FastAPI()
    app.post("/")(writing(ledger, ok))
    with pytest.raises(ConfigurationError, match=r"encloses the whole answer.*gatewright.fastapi.GuardedRoute"):
        await call(app, method="POST")
    assert ledger.steps == []


async def test_a_websocket_is_refused() -> None:
    """A conversation has no outcome."""

    @transactional(Ledger())
    async def talk(websocket: WebSocket) -> None: ...

    with pytest.raises(ConfigurationError, match="a websocket has no body and no answer for transactional"):
        Gate().install(Starlette(routes=[WebSocketRoute("/", talk)]))


async def test_the_session_is_no_parameter_of_the_document() -> None:
    """FastAPI neither documents it nor asks the client for it."""
    app = FastAPI()

    @app.post("/")
    @transactional(Ledger())
    async def create(db: Transaction[WaitingSession], name: str) -> Result[str]:
        return ok(name)

    Gate().install(app)
    operation = app.openapi()["paths"]["/"]["post"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["name"]
    assert "requestBody" not in operation


def test_what_is_shown() -> None:
    """The pipeline says what was said, and the marker what it is."""
    said = transactional(Ledger(), read_only=True, retries=2, isolation="SERIALIZABLE")
    assert repr(said) == ("<decorator ENCLOSE transactional(read_only=True, retries=2, isolation='SERIALIZABLE')>")
    assert "transactional()" in repr(transactional(Ledger()))
    assert "Transaction" in repr(Transaction[int])
