"""Answers before they are sent: held, and sent to requests and to websockets."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Message, Scope

from gatewright._core.decorate import guarded_by
from gatewright._core.outcome import Outcome
from gatewright.testing import call
from tests.core.kit import Step

pytestmark = pytest.mark.anyio

HTTP: Scope = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.4"}}
SOCKET: Scope = {"type": "websocket", "headers": [], "extensions": {"websocket.http.response": {}}}
OLD_SOCKETS: list[Scope] = [
    {"type": "websocket", "headers": [], "extensions": {}},
    {"type": "websocket", "headers": []},
]


async def sent(outcome: Outcome, scope: Scope) -> list[Message]:
    """Send *outcome* and return the messages."""
    messages: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("an answer reads nothing")

    async def send(message: Message) -> None:
        messages.append(message)

    await outcome.send(scope, receive, send)
    return messages


async def test_an_outcome_is_a_head_and_a_body() -> None:
    """Two messages, and the second is the last."""
    outcome = Outcome(404, [(b"a", b"b")], b"gone")
    assert await sent(outcome, HTTP) == [
        {"type": "http.response.start", "status": 404, "headers": [(b"a", b"b")]},
        {"type": "http.response.body", "body": b"gone"},
    ]


async def test_no_body_is_an_empty_one() -> None:
    """A body has to be sent all the same."""
    assert (await sent(Outcome(204, [], None), HTTP))[1] == {"type": "http.response.body", "body": b""}


async def test_a_websocket_is_denied_with_the_same_answer() -> None:
    """Where the server has the denial response extension of ASGI."""
    assert await sent(Outcome(401, [(b"a", b"b")], b"no"), SOCKET) == [
        {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]},
        {"type": "websocket.http.response.body", "body": b"no"},
    ]


@pytest.mark.parametrize("scope", OLD_SOCKETS)
async def test_a_websocket_is_closed_where_it_cannot_be_denied(scope: Scope) -> None:
    """1008, policy violation (RFC 6455, section 7.4.1), before it is accepted; nothing is told."""
    assert await sent(Outcome(401, [], b"no"), scope) == [{"type": "websocket.close", "code": 1008, "reason": ""}]


@pytest.mark.parametrize("scope", OLD_SOCKETS)
async def test_a_response_closes_a_websocket_that_cannot_be_denied(scope: Scope) -> None:
    """A guard that answers with a response of Starlette's does not break the protocol."""
    messages = await sent(Outcome.of(JSONResponse({}, status_code=401)), scope)
    assert [message["type"] for message in messages] == ["websocket.close"]


@pytest.mark.parametrize("body", ["text", b"bytes", memoryview(b"view"), None])
def test_a_response_is_held_with_its_body(body: Any) -> None:
    """A surround may look at it, whatever it was made of."""
    response = Response(body, status_code=201, headers={"X-A": "1"})
    outcome = Outcome.of(response)
    assert (outcome.status, outcome.headers) == (201, response.raw_headers)
    assert outcome.body == (b"" if body is None else bytes(response.body))
    assert isinstance(outcome.body, bytes)


async def letters() -> AsyncIterator[bytes]:
    """Yield a body in pieces."""
    for letter in b"abc":
        yield bytes([letter])


async def test_a_stream_stays_a_stream() -> None:
    """Its body is not collected to be held, and is sent in its pieces."""
    outcome = Outcome.of(StreamingResponse(letters()))
    assert outcome.body is None
    messages = await sent(outcome, HTTP)
    assert [message.get("body") for message in messages[1:]] == [b"a", b"b", b"c", b""]


def test_a_file_is_not_read_to_be_held(tmp_path: Any) -> None:
    """It may be larger than memory."""
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert Outcome.of(FileResponse(path)).body is None


async def test_background_work_runs_after_the_last_byte() -> None:
    """A response is sent by itself, with everything that it has to do."""
    log = io.StringIO()
    messages = await sent(Outcome.of(Response(b"abc", background=BackgroundTask(log.write, "done"))), HTTP)
    assert messages[-1]["body"] == b"abc"
    assert log.getvalue() == "done"


async def test_story_a_response_is_an_app_too() -> None:
    """A guarded `PlainTextResponse` was sent with status 0: what only the app knows is left to it."""
    guarded: Any = guarded_by(Step())(PlainTextResponse("text", status_code=202))
    reply = await call(guarded)
    assert (reply.status, reply.body) == (202, b"text")
