"""Requests to handlers, apps and single guards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.routing import websocket_session
from starlette.types import ASGIApp, Message

from gatewright._core.call import Call
from gatewright._core.endpoint import Endpoint
from gatewright._core.function import GuardedFunction, state_of
from gatewright._core.gate import Gate
from gatewright._core.guard import Answer, Guard
from gatewright._core.log import EventList
from gatewright._core.phase import Phase
from gatewright._core.principal import Principal
from gatewright.errors import ConfigurationError
from gatewright.testing.bodies import Body
from gatewright.testing.clock import FrozenClock
from gatewright.testing.wire import Headers, Query, Reply, RequestDraft

__all__ = ["Handshake", "call", "enter", "handshake", "make_call"]

_CLIENT = "203.0.113.7"


async def call(
    target: Any,
    *,
    method: str | None = None,
    path: str = "/",
    query: Query = "",
    headers: Headers = (),
    cookies: Mapping[str, str] | None = None,
    json: Any = ...,
    form: Mapping[str, Any] | None = None,
    data: Body | None = None,
    path_params: Mapping[str, Any] | None = None,
    principal: Principal[Any] | None = None,
    client: str | None = _CLIENT,
    scheme: str = "https",
    gate: Gate | None = None,
) -> Reply:
    """Send one request to a decorated handler or an ASGI app, and return the reply.

    Args:
        target: a decorated function, or any ASGI app.
        method: by default POST where there is a body, else GET.
        path: the path; a handler by itself does not look at it.
        query: the query string, or what to encode as one.
        headers: request headers.
        cookies: request cookies, sent as they are.
        json: a value to send as JSON.
        form: fields to send urlencoded.
        data: raw bytes, or an async iterable of chunks (`chunked(...)`, `disconnecting(...)`).
        path_params: what a route would have found in the path.
        principal: who is calling; stands in for `@with_auth` of a decorated handler.
        client: the peer's address; None as from a unix socket.
        scheme: "https" or "http".
        gate: the gate in front; by default the one that an app has, or the process's default.

    Raises:
        ConfigurationError: for *principal* together with a whole app, which identifies callers by itself.
    """
    request = RequestDraft(method, path, query, headers, cookies, json, form, data, path_params, client, scheme)
    return await request.send(_app(target, principal, gate, path))


@dataclass(slots=True)
class Handshake:
    """How a websocket's handshake ended.

    Attributes:
        accepted: whether it was accepted.
        status: the status of a denial response, where the app sent one.
        code: the close code, where the app closed instead.
        messages: everything that was sent.
    """

    accepted: bool
    status: int | None
    code: int | None
    messages: list[Message]


async def handshake(
    target: Any,
    *,
    path: str = "/",
    headers: Headers = (),
    denial: bool = True,
    gate: Gate | None = None,
) -> Handshake:
    """Offer a websocket to a decorated handler or an ASGI app, and leave once it answered.

    Args:
        target: a decorated function, or any ASGI app.
        path: the path.
        headers: request headers.
        denial: whether the server has the `websocket.http.response` extension.
        gate: as in `call`.
    """
    request = RequestDraft(None, path, "", headers, None, ..., None, None, None, _CLIENT, "wss")
    scope = request.scope()
    scope.update({"type": "websocket", "subprotocols": []})
    scope["extensions"] = {"websocket.http.response": {}} if denial else {}
    received: list[Message] = [{"type": "websocket.connect"}]
    messages: list[Message] = []

    async def receive() -> Message:
        return received.pop() if received else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        messages.append(message)

    app: ASGIApp = target if state_of(target) is None else websocket_session(target)
    await _app(app, None, gate, path)(scope, receive, send)
    kinds = [message["type"] for message in messages]
    status = next((m["status"] for m in messages if m["type"] == "websocket.http.response.start"), None)
    code = next((m.get("code", 1000) for m in messages if m["type"] == "websocket.close"), None)
    return Handshake("websocket.accept" in kinds, status, code, messages)


def make_call(
    *,
    method: str = "GET",
    path: str = "/",
    query: Query = "",
    headers: Headers = (),
    cookies: Mapping[str, str] | None = None,
    data: Body | None = None,
    path_params: Mapping[str, Any] | None = None,
    principal: Principal[Any] | None = None,
    client: str | None = _CLIENT,
    gate: Gate | None = None,
) -> Call:
    """Make up a call, to test one guard by itself with `enter`; the arguments are those of `call`."""
    request = RequestDraft(method, path, query, headers, cookies, ..., None, data, path_params, client, "https")
    made = Call(gate or Gate(clock=FrozenClock(), log=EventList()), request.scope(), request.receive(), _ignore)
    made.principal = principal
    return made


async def enter(decorator: Any, call: Call) -> Answer | None:
    """Let *call* through the guards of one decorator, bound to the call's gate; refusals are raised.

    Args:
        decorator: what a factory such as `with_rate_limit("5/minute")` or `compose` returned, or a guard.
        call: a call made with `make_call`.
    """

    async def nothing() -> None:
        """Stand behind the guards."""

    guards: tuple[Guard, ...] = (decorator,) if isinstance(decorator, Guard) else decorator(nothing).pipeline.guards
    for guard in guards:
        answer = guard.bind(call.gate).enter(call)
        if answer is not None and not isinstance(answer, Answer):
            answer = await answer
        if answer is not None:
            return answer
    return None


@dataclass(frozen=True)
class _Impersonate(Guard):
    """Stand in for authentication."""

    name = "impersonate"
    phase = Phase.IDENTIFY
    provides = (Principal,)

    principal: Principal[Any]

    def enter(self, call: Call) -> None:
        call.principal = self.principal


def _app(target: Any, principal: Principal[Any] | None, gate: Gate | None, path: str) -> ASGIApp:
    state = state_of(target)
    if state is not None:
        if principal is not None:
            pipeline = state.pipeline.without(Principal).with_(_Impersonate(principal))
            state = GuardedFunction(state.function, pipeline)
        return Endpoint(state, gate, path)
    if principal is not None:
        raise ConfigurationError("principal= stands in for @with_auth on a handler; send an app a credential instead")
    app: ASGIApp = target if gate is None else gate.wrap(target)
    return app


async def _ignore(message: Message) -> None:
    """Take a message that nobody waits for."""
