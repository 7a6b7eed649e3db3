"""The one place where an exception becomes an answer, and how it lives with a framework's exception handlers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse as FastAPIText
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from gatewright import Call, ErrorMapper, Gate, limit_body
from gatewright._core.call import CALL
from gatewright._core.outcome import Outcome
from gatewright._core.refuse import adopted, answer_of, refusal, refuse, render_for_framework, renders_envelopes
from gatewright.errors import (
    ApiError,
    BadRequest,
    Conflict,
    InternalError,
    InvalidInput,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)
from gatewright.testing import EventList, FrozenClock, Reply, call, handshake, make_call

pytestmark = pytest.mark.anyio

SECRET = "hunter2"
PROBLEM = {"Accept": "application/problem+json"}
FIXED = "Internal server error"


class Odd(Exception):
    """An error of the app's own."""


def gated(events: EventList | None = None, **arguments: Any) -> Gate:
    """Return a gate that logs into a list."""
    return Gate(log=EventList() if events is None else events, clock=FrozenClock(), **arguments)


def headers(outcome: Outcome) -> dict[bytes, bytes]:
    """Return an outcome's headers; none is there twice."""
    assert len(dict(outcome.headers)) == len(outcome.headers)
    return dict(outcome.headers)


def body(outcome: Outcome) -> Any:
    """Return an outcome's body, parsed."""
    return json.loads(outcome.body or b"")


# The envelope of a refusal


async def test_a_refusal_is_the_error_envelope() -> None:
    """Its status, message and code, with the request's id; nothing keeps it."""
    made = make_call(headers={"X-Request-Id": "id-1"})
    outcome = await refuse(NotFound("No such post"), made)
    assert outcome.status == 404
    assert body(outcome) == {"success": False, "error": "No such post", "code": "not_found", "request_id": "id-1"}
    assert headers(outcome) == {
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(outcome.body or b""),
        b"cache-control": b"no-store",
    }


async def test_details_stand_where_there_are_some() -> None:
    """And nowhere else."""
    assert body(await refuse(Conflict(details={"a.0.b": ["Taken"]}), make_call()))["details"] == {"a.0.b": ["Taken"]}
    assert "details" not in body(await refuse(Conflict(details={}), make_call()))


async def test_the_headers_of_an_error_go_along() -> None:
    """A challenge or `Retry-After` belongs to its refusal; how it is cached does not."""
    error = TooManyRequests(headers={"Retry-After": "7", "Cache-Control": "public", "X-Ü": "é"})
    found = headers(await refuse(error, make_call()))
    assert found[b"retry-after"] == b"7"
    assert found[b"cache-control"] == b"no-store"
    assert found["x-ü".encode("latin-1")] == "é".encode("latin-1")


async def test_a_401_always_has_a_challenge() -> None:
    """RFC 9110, section 15.5.2; its own, where it has one."""
    assert b"www-authenticate" in headers(await refuse(Unauthorized(), make_call()))
    own = Unauthorized(headers={"WWW-Authenticate": "Bearer"})
    assert headers(await refuse(own, make_call()))[b"www-authenticate"] == b"Bearer"
    assert b"www-authenticate" not in headers(await refuse(NotFound(), make_call()))


async def test_why_is_for_the_log_only() -> None:
    """Code and reason are noted; the reason is never sent."""
    made = make_call()
    outcome = await refuse(Unauthorized(reason="signature_mismatch"), made)
    assert made.notes == {"error": "unauthorized", "reason": "signature_mismatch"}
    assert b"signature_mismatch" not in (outcome.body or b"") + repr(outcome.headers).encode()
    plain = make_call()
    await refuse(NotFound(), plain)
    assert plain.notes == {"error": "not_found"}


@pytest.mark.parametrize(
    "kind", [NotFound, lambda headers: HTTPException(404, headers=headers)], ids=["ours", "theirs"]
)
async def test_a_header_that_would_split_never_leaves(kind: Callable[..., Exception]) -> None:
    """Some servers send it as it is; it stays inside, and the client is answered all the same."""
    for odd in ({"X-A": "a\r\nSet-Cookie: b=c"}, {"X-A": "a\nb"}, {"X-A": "a\0"}, {"X-A\r\nSet-Cookie": "b"}):
        outcome = await refuse(kind(headers=odd), make_call())
        assert outcome.status >= 400
        for name, value in outcome.headers:
            assert not set(b"\r\n\0") & set(name + value)


@pytest.mark.parametrize(
    "kind", [NotFound, lambda headers: HTTPException(404, headers=headers)], ids=["ours", "theirs"]
)
async def test_a_header_that_latin1_has_no_bytes_for_does_not_break_the_answer(kind: Callable[..., Exception]) -> None:
    """A refusal is made for whatever an app raised; there is nobody further out to make another one."""
    outcome = await refuse(kind(headers={"X-Name": "日本"}), make_call())
    assert outcome.status >= 400
    assert not body(outcome)["success"]


# Problem details


async def test_problem_details_have_the_same_facts() -> None:
    """RFC 9457: type, title, status; code, details and request id as extensions."""
    made = make_call(headers={**PROBLEM, "X-Request-Id": "id-1"})
    outcome = await refuse(Conflict("Taken", details={"a": ["b"]}, headers={"X-A": "1"}), made)
    assert outcome.status == 409
    assert headers(outcome)[b"content-type"] == b"application/problem+json"
    assert headers(outcome)[b"content-length"] == b"%d" % len(outcome.body or b"")
    assert headers(outcome)[b"x-a"] == b"1"
    assert body(outcome) == {
        "type": "about:blank",
        "title": "Taken",
        "status": 409,
        "code": "conflict",
        "details": {"a": ["b"]},
        "request_id": "id-1",
    }
    assert "details" not in body(await refuse(Conflict(), made))


@pytest.mark.parametrize(
    ("accept", "problem"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/json;q=0.1, application/problem+json", True),
        ("application/problem+json;q=0.1, application/json", False),
        ("\xff\x00;;q=q,", False),
    ],
)
async def test_the_client_says_which_form_it_prefers(accept: str | None, problem: bool) -> None:
    """Garbage is no preference."""
    outcome = await refuse(NotFound(), make_call(headers={} if accept is None else {"Accept": accept}))
    assert ("success" not in body(outcome)) is problem


async def test_the_status_of_problem_details_is_the_one_that_is_sent() -> None:
    """Also where the gate chose 422 for invalid input."""
    outcome = await refuse(InvalidInput(), make_call(headers=PROBLEM, gate=gated(invalid_status=422)))
    assert outcome.status == body(outcome)["status"] == 422


# Faults


@pytest.mark.parametrize("accept", [{}, PROBLEM])
@pytest.mark.parametrize(
    "exc",
    [
        RuntimeError(SECRET),
        InternalError(SECRET),
        HTTPException(500, SECRET),
        ApiError(SECRET, status=500),
        KeyError(SECRET),
    ],
)
async def test_a_fault_says_nothing_of_itself(exc: Exception, accept: dict[str, str]) -> None:
    """The text is fixed, whoever raised a 500 and with whatever text; the log has it, once."""
    events = EventList()
    outcome = await refuse(exc, make_call(headers=accept, gate=gated(events)))
    assert outcome.status == 500
    assert FIXED in (body(outcome).get("error"), body(outcome).get("title"))
    assert SECRET not in (outcome.body or b"").decode()
    assert [event["event"] for event in events] == ["unhandled_exception"]


async def test_the_log_of_a_fault_names_the_request() -> None:
    """By the id that the client has, and where it was."""
    events = EventList()
    made = make_call(method="PUT", headers={"X-Request-Id": "id-1"}, gate=gated(events))
    made.route = "/posts/{id}"
    await refuse(ZeroDivisionError(), made)
    (event,) = events
    assert (event["request_id"], event["route"], event["method"]) == ("id-1", "/posts/{id}", "PUT")
    assert "ZeroDivisionError" in str(event["exception"])


@pytest.mark.parametrize("exc", [ServiceUnavailable("Back at noon"), HTTPException(503, "Back at noon"), NotFound()])
async def test_a_refusal_is_no_fault(exc: Exception) -> None:
    """What was meant for the client keeps its text, and is not logged as unexpected."""
    events = EventList()
    outcome = await refuse(exc, make_call(gate=gated(events)))
    assert body(outcome)["error"] in ("Back at noon", "Not found")
    assert events == []


async def test_a_client_that_left_is_no_fault() -> None:
    """Nobody will read the answer, and nobody is woken for it."""
    events = EventList()
    answer = await answer_of(ClientDisconnect(), make_call(gate=gated(events)))
    assert (answer.status_code, answer.code) == (400, "client_disconnected")
    assert events == []


async def test_invalid_input_has_the_status_that_the_gate_chose() -> None:
    """400, or 422; another status that an error was given stays, and so does another error."""
    for status in (400, 422):
        made = make_call(gate=gated(invalid_status=status))
        assert refusal(InvalidInput(), made).status == status
        assert refusal(InvalidInput(status=409), made).status == 409
        assert refusal(BadRequest(), made).status == 400


# The app's mapper and monitor


async def test_the_gates_mapper_is_asked() -> None:
    """An exception of the app's becomes its answer."""
    mapper = ErrorMapper().register(Odd, lambda exc: Conflict("Odd"))
    assert body(await refuse(Odd(SECRET), make_call(gate=gated(errors=mapper))))["error"] == "Odd"


async def test_a_mapper_that_raises_is_a_fault_of_its_own() -> None:
    """The fixed text; the log has the mapper's exception and the one that it was given."""

    def broken(exc: Odd) -> ApiError:
        raise ZeroDivisionError(SECRET)

    events = EventList()
    outcome = await refuse(Odd("first"), make_call(gate=gated(events, errors=ErrorMapper().register(Odd, broken))))
    assert (outcome.status, body(outcome)["error"]) == (500, FIXED)
    (event,) = events
    assert "ZeroDivisionError" in str(event["exception"])
    assert "Odd" in str(event["exception"])


@pytest.mark.parametrize("is_async", [True, False])
async def test_the_monitor_is_told_of_faults_only(is_async: bool) -> None:
    """With the exception and the call; it may be async."""
    told: list[tuple[Exception, Call]] = []

    async def later(exc: Exception, call: Call) -> None:
        told.append((exc, call))

    def now(exc: Exception, call: Call) -> None:
        told.append((exc, call))

    made = make_call(gate=gated(on_unhandled=later if is_async else now))
    for exc in (NotFound(), ClientDisconnect(), fault := RuntimeError()):
        await refuse(exc, made)
    assert told == [(fault, made)]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_monitor_that_fails_does_not_change_the_answer(is_async: bool) -> None:
    """Both exceptions are in the log."""

    async def later(exc: Exception, call: Call) -> None:
        raise ZeroDivisionError

    def now(exc: Exception, call: Call) -> None:
        raise ZeroDivisionError

    events = EventList()
    outcome = await refuse(Odd(), make_call(gate=gated(events, on_unhandled=later if is_async else now)))
    assert (outcome.status, body(outcome)["error"]) == (500, FIXED)
    assert [event.get("where") for event in events] == [None, "on_unhandled"]


# Beside a framework's exception handlers


def raising(exc: Exception) -> Callable[[Request], Any]:
    """Return an endpoint that raises."""

    async def endpoint(request: Request) -> Response:
        raise exc

    return endpoint


def told(text: str, status: int = 418) -> Callable[[Request, Exception], Response]:
    """Return an exception handler as an app's author writes one."""

    def handler(request: Request, exc: Exception) -> Response:
        return PlainTextResponse(text, status)

    return handler


HOSTS = ["plain", "guarded", "wrapped"]


def app_of(host: str, exc: Exception, handlers: dict[Any, Any], gate: Gate) -> Any:
    """Return an app with one endpoint that raises *exc*, behind *gate*."""
    endpoint: Any = raising(exc)
    routes = [Route("/", endpoint if host == "plain" else limit_body(1 << 20)(endpoint))]
    app = Starlette(routes=routes, exception_handlers=handlers)
    if host == "wrapped":
        return gate.wrap(app)
    gate.install(app)
    return app


async def ask(app: Any, fails: bool = False, **request: Any) -> Reply:
    """Send a request to an app whose server sees what its catch-all was given."""

    async def server(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Exception:
            # Starlette raises what its catch-all answered, so that a server or a test may see it.
            assert fails

    return await call(server, **request)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("key", "exc"),
    [
        (Odd, Odd(SECRET)),
        (LookupError, KeyError(SECRET)),
        (NotFound, NotFound(SECRET)),
        (404, NotFound(SECRET)),
        (404, HTTPException(404, SECRET)),
        (HTTPException, NotFound(SECRET)),
        (HTTPException, HTTPException(403, SECRET)),
    ],
)
async def test_a_handler_that_the_author_registered_wins(host: str, key: Any, exc: Exception) -> None:
    """For a class, a base class or a status: it was written for this very case. Its answer is dressed and logged."""
    events = EventList()
    reply = await ask(app_of(host, exc, {key: told("author")}, gated(events)))
    assert (reply.status, reply.body) == (418, b"author")
    assert "x-request-id" in reply.headers
    assert [event["event"] for event in events] == ["request"]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("key", [Exception, 500])
async def test_a_catch_all_gets_what_nobody_knows(host: str, key: Any) -> None:
    """What the mapper knows is still ours; the rest is the author's."""
    gate = gated(errors=ErrorMapper().register(KeyError, lambda exc: NotFound("Mapped")))
    unknown = await ask(app_of(host, Odd(SECRET), {key: told("author")}, gate), fails=True)
    assert (unknown.status, unknown.body) == (418, b"author")
    if host == "guarded":
        assert (await ask(app_of(host, KeyError(), {key: told("author")}, gate))).json["error"] == "Mapped"


@pytest.mark.parametrize("host", ["plain", "guarded"])
async def test_the_answer_of_a_catch_all_is_dressed_and_logged(host: str) -> None:
    """Starlette runs it outside of every middleware; its answer is an answer of the app's all the same."""
    events = EventList()
    reply = await ask(app_of(host, Odd(SECRET), {Exception: told("author", 503)}, gated(events)), fails=True)
    assert reply.headers.keys() >= {"x-request-id", "x-content-type-options"}
    assert [event["status"] for event in events if event["event"] == "request"] == [503]


async def test_a_catch_all_may_be_async_and_may_fail() -> None:
    """Both faults are in the log then, and the client gets the fixed text."""

    async def answers(request: Request, exc: Exception) -> Response:
        return PlainTextResponse(f"{type(exc).__name__} {request.url.path}", 503)

    async def fails(request: Request, exc: Exception) -> Response:
        raise ZeroDivisionError

    events = EventList()
    assert (await ask(app_of("guarded", Odd(), {Exception: answers}, gated()))).body == b"Odd /"
    reply = await ask(app_of("guarded", Odd(SECRET), {Exception: fails}, gated(events)))
    assert (reply.status, reply.json["error"]) == (500, FIXED)
    assert [event["event"] for event in events] == ["unhandled_exception", "unhandled_exception", "request"]


@pytest.mark.parametrize("key", [Exception, 500])
async def test_a_catch_all_answers_for_a_mapper_that_raises(key: Any) -> None:
    """A broken mapper knows nothing, so the author's last word is asked; there is an answer in any case."""

    def broken(exc: Odd) -> ApiError:
        raise ZeroDivisionError

    gate = gated(errors=ErrorMapper().register(Odd, broken))
    for host in HOSTS:
        reply = await ask(app_of(host, Odd(SECRET), {key: told("author")}, gate), fails=True)
        assert reply.status in (418, 500)
        assert SECRET not in reply.body.decode()


@pytest.mark.parametrize("host", HOSTS)
async def test_without_a_handler_of_the_authors_it_is_the_envelope(host: str) -> None:
    """The framework's own handlers answer in plain text; ours stand in their place."""
    for exc, status, error in [
        (HTTPException(403, "Members only"), 403, "Members only"),
        (NotFound("No such post"), 404, "No such post"),
        (Odd(SECRET), 500, FIXED),
    ]:
        reply = await ask(app_of(host, exc, {}, gated()))
        assert (reply.status, reply.json["error"]) == (status, error)


async def test_what_a_router_refuses_comes_in_the_envelope() -> None:
    """404 and 405 of an installed app, with `Allow`, in the form that the client prefers."""
    app = app_of("plain", Odd(), {}, gated())
    reply = await ask(app, path="/nowhere", headers=PROBLEM)
    assert (reply.status, reply.json["code"], reply.headers["content-type"]) == (
        404,
        "not_found",
        "application/problem+json",
    )
    reply = await ask(app, method="POST")
    assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_the_author_may_register_for_less_than_everything() -> None:
    """A handler for one status leaves the others to us."""
    reply = await ask(app_of("plain", HTTPException(403, "No"), {404: told("author")}, gated()))
    assert (reply.status, reply.json["error"]) == (403, "No")


@pytest.mark.parametrize("host", HOSTS)
async def test_an_async_handler_of_the_authors_is_awaited(host: str) -> None:
    """As Starlette does it."""

    async def handler(request: Request, exc: Exception) -> Response:
        return PlainTextResponse(f"{type(exc).__name__} {request.url.path}", 418)

    assert (await ask(app_of(host, Odd(), {Odd: handler}, gated()))).body == b"Odd /"


@pytest.mark.parametrize("host", ["plain", "guarded"])
async def test_a_redirect_that_an_author_raises_is_a_redirect(host: str) -> None:
    """`raise HTTPException(303, headers={"Location": "/login"})` is a common way to send somebody to sign in."""
    reply = await ask(app_of(host, HTTPException(303, headers={"Location": "/login"}), {}, gated()))
    assert (reply.status, reply.headers.get("location")) == (303, "/login")


async def test_fastapis_own_handlers_are_replaced_and_the_authors_kept() -> None:
    """A validation failure of a plain FastAPI route comes in the envelope, unless its author said otherwise."""
    for own in (False, True):
        app = FastAPI()

        @app.get("/")
        async def endpoint(page: int) -> int:
            return page

        if own:

            @app.exception_handler(RequestValidationError)
            async def handler(request: Request, exc: RequestValidationError) -> Response:
                return FastAPIText("author", 418)

        gated(invalid_status=422).install(app)
        reply = await call(app, query={"page": SECRET})
        if own:
            assert (reply.status, reply.body) == (418, b"author")
        else:
            assert (reply.status, reply.json["code"]) == (422, "validation_failed")
            assert list(reply.json["details"]) == ["page"]
            assert SECRET not in reply.body.decode()
        assert (await call(app, query={"page": "1"})).body == b"1"


def test_adopting_keeps_what_an_author_wrote() -> None:
    """Only the framework's own are replaced; adopting twice changes nothing; a wrapped one is not the framework's."""
    author = told("author")
    app = FastAPI()
    app.add_exception_handler(Odd, author)
    app.add_exception_handler(404, author)
    found = adopted(app.exception_handlers)
    assert found[HTTPException] is found[RequestValidationError] is render_for_framework
    assert found[Odd] is found[404] is author
    assert adopted(found) == found
    assert adopted({})[HTTPException] is render_for_framework
    assert adopted({HTTPException: author}) == {HTTPException: author}
    assert renders_envelopes({"starlette.exception_handlers": (found, {})})
    assert not renders_envelopes({"starlette.exception_handlers": ({HTTPException: author}, {})})
    assert not renders_envelopes({})


async def test_a_framework_is_given_a_response() -> None:
    """One with a status, headers and a body that decorators and middleware may look at, and nothing to do after."""
    made = make_call()
    made.scope[CALL] = made
    response = await render_for_framework(Request(made.scope), NotFound())
    assert (response.status_code, response.media_type, response.background) == (404, None, None)
    assert json.loads(bytes(response.body))["code"] == "not_found"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("denial", [True, False])
async def test_a_websocket_that_raises_before_it_is_accepted_is_refused(denial: bool) -> None:
    """As a denial where the server has it, else closed; whatever the handler raised."""

    async def endpoint(websocket: WebSocket) -> None:
        raise NotFound

    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    gated().install(app)
    ended = await handshake(app, denial=denial)
    assert not ended.accepted
    assert (ended.status, ended.code) == ((404, None) if denial else (None, 1008))


# What blames the input, and may be a mistake of ours


async def _answered(exc: Exception, errors: ErrorMapper | None = None) -> tuple[Outcome, EventList]:
    events = EventList()
    made = make_call(gate=gated(events, **({} if errors is None else {"errors": errors})))
    return await refuse(exc, made), events


def _sqlite(statement: str) -> Exception:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("create table t (a text not null unique, b int constraint adult check (b > 17))")
        db.execute("insert into t values ('here', 18)")
        with pytest.raises(sqlite3.Error) as raised:
            db.execute(statement)
        return raised.value


@pytest.mark.parametrize("statement", ["insert into t values (null, 18)", "insert into t values ('a', 1)"])
async def test_a_fault_that_may_be_ours_is_a_422_that_the_log_explains(statement: str) -> None:
    """A column that a handler forgets is refused as null: for ever, and nobody would see why."""
    outcome, events = await _answered(_sqlite(statement))
    assert outcome.status == 422
    (logged,) = events
    assert (logged["level"], logged["event"]) == ("warning", "doubtful_fault")
    assert "IntegrityError" in str(logged["exception"])
    assert logged["request_id"]


async def test_a_fault_that_is_the_inputs_is_not_logged() -> None:
    """A row that is there already, and a constraint that the author named."""
    assert (await _answered(_sqlite("insert into t values ('here', 18)")))[1] == []
    named = ErrorMapper().constraint("adult", field="age", message="Too young", status=422)
    outcome, events = await _answered(_sqlite("insert into t values ('a', 1)"), named)
    assert (outcome.status, events) == (422, [])
