"""How the tests of this folder send a request to a handler."""

from __future__ import annotations

from typing import Any

from starlette.types import Message, Receive, Scope, Send

from gatewright._core.call import Call
from gatewright._core.endpoint import Endpoint
from gatewright._core.gate import Gate
from gatewright._core.guard import Guard
from gatewright._core.handler import Handler
from gatewright._core.log import EventList
from gatewright.testing import FrozenClock, Reply, call, make_call
from gatewright.validation import Validate

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}


async def send(handler: Any, **request: Any) -> Reply:
    """Send one request through a gate that keeps its log to itself."""
    gate = request.pop("gate", None) or Gate(clock=FrozenClock(), log=EventList())
    endpoint = Endpoint(handler.__gatewright__, gate, "/")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await endpoint(scope, receive, send)
        # Trio warns of a body that nobody reads to its end.
        while (await receive())["type"] != "http.disconnect":
            pass

    return await call(app, **request)


async def details(handler: Any, **request: Any) -> dict[str, list[str]]:
    """Send a request that has to be a 400, and return what it says is wrong."""
    reply = await send(handler, **request)
    assert reply.status == 400, (reply.status, reply.body)
    assert reply.json["code"] == "validation_failed"
    found: dict[str, list[str]] = reply.json["details"]
    return found


async def data(handler: Any, **request: Any) -> Any:
    """Send a request that has to succeed, and return the handler's data."""
    reply = await send(handler, **request)
    assert reply.status == 200, (reply.status, reply.body)
    return reply.json["data"]


def sealed(handler: Any, *refine: Any) -> Guard:
    """Return the guard fitted to a function."""
    return Validate(refine).seal(Handler.read(handler))


def multipart(*pairs: tuple[str, str]) -> bytes:
    """Write a multipart form."""
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in pairs]
    return ("".join(parts) + "--b--\r\n").encode()


def posted(body: bytes, headers: dict[str, str]) -> Call:
    """Make up a call whose whole body has arrived."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    made = make_call(method="POST", headers=headers)
    return Call(made.gate, made.scope, receive, nothing)


async def nothing(message: Message) -> None:
    """Take a message that nobody waits for."""
