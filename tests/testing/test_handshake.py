"""`handshake`: a websocket offered to an app."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from gatewright import Gate, Principal
from gatewright._core.decorate import guarded_by
from gatewright.testing import EventList, handshake
from tests.toys import Identify

pytestmark = pytest.mark.anyio


async def _denying(scope: Scope, receive: Receive, send: Send) -> None:
    websocket = WebSocket(scope, receive, send)
    await websocket.receive()
    if "websocket.http.response" in scope["extensions"]:
        await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no"})
    else:
        await websocket.close(4000)


async def test_an_accepted_handshake() -> None:
    """The client leaves at once, which the app hears as a disconnect."""
    heard: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as left:
            heard.append(left.code)

    shaken = await handshake(app)
    assert (shaken.accepted, shaken.status, shaken.code, heard) == (True, None, None, [1000])
    assert [message["type"] for message in shaken.messages] == ["websocket.accept"]


async def test_a_denied_handshake() -> None:
    """By a response, or by a close where the server cannot."""
    denied = await handshake(_denying)
    assert (denied.accepted, denied.status, denied.code) == (False, 418, None)
    closed = await handshake(_denying, denial=False)
    assert (closed.accepted, closed.status, closed.code) == (False, None, 4000)


async def test_a_close_without_a_code_is_a_normal_one() -> None:
    """1000, as the specification of ASGI has it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    assert (await handshake(app)).code == 1000


async def test_an_app_that_keeps_listening_keeps_hearing_that_the_client_left() -> None:
    """As from a server."""
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(4):
            heard.append((await receive())["type"])

    await handshake(app)
    assert heard == ["websocket.connect"] + ["websocket.disconnect"] * 3


async def test_path_headers_and_gate_are_passed() -> None:
    """Like those of `call`."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([scope["path"], dict(scope["headers"])[b"x-a"].decode(), scope["scheme"], scope["type"]])
        await send({"type": "websocket.close", "code": 1001})

    events = EventList()
    await handshake(app, path="/room", headers={"X-A": "1"}, gate=Gate(log=events))
    assert seen == ["/room", "1", "wss", "websocket"]
    assert len(events) == 1


@pytest.mark.parametrize("routed", [False, True])
async def test_a_decorated_function(routed: bool) -> None:
    """By itself, or on a route: nothing is sent after the conversation's end."""

    @guarded_by(Identify())
    async def handler(websocket: WebSocket, principal: Principal) -> None:
        await websocket.accept()
        await websocket.close()

    target = Starlette(routes=[WebSocketRoute("/", handler)]) if routed else handler
    shaken = await handshake(target, headers={"x-caller": "alice"})
    assert [message["type"] for message in shaken.messages] == ["websocket.accept", "websocket.close"]
    assert not (await handshake(target)).accepted
