"""What is behind a surround: its answer waits until the surround has looked at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

import anyio
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright._core.outcome import Outcome

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["collected", "holding"]

Start = Callable[[ASGIApp, Scope, Receive], Awaitable[Outcome]]


class _Held:
    """Run an app whose messages wait: for the head, or for the last byte where the body is wanted."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, wants_body: bool) -> None:
        self.app = app
        self.scope = scope
        self.receive = receive
        self.wants_body = wants_body
        self.messages: list[Message] = []
        self.whole = False
        self.shown = anyio.Event()
        self.released = anyio.Event()
        self.done = anyio.Event()
        self.error: Exception | None = None
        self.outcome = Outcome(0, [], None, self.release)
        self.real_send: Send | None = None

    async def run(self) -> None:
        try:
            await self.app(self.scope, self.receive, self.send)
        except Exception as exc:
            self.error = exc
        finally:
            self.shown.set()
            self.done.set()

    async def send(self, message: Message) -> None:
        if self.real_send is None:
            self.messages.append(message)
            self.whole = message["type"] == "http.response.body" and not message.get("more_body", False)
            if self.wants_body and not self.whole:
                return
            self.shown.set()
            await self.released.wait()
            return
        await self.real_send(message)

    async def peek(self) -> Outcome:
        """Return the outcome once it can be seen; an error of the app is raised here, inside the surround."""
        await self.shown.wait()
        if not self.messages or (self.wants_body and not self.whole):
            raise self.error or RuntimeError("the app returned before its answer was complete")
        head, *bodies = self.messages
        self.outcome.status, self.outcome.headers = head["status"], list(head.get("headers", ()))
        if self.wants_body:
            self.outcome.body = b"".join(message.get("body", b"") for message in bodies)
        return self.outcome

    async def release(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what was held, with the head as the surround left it, and let the app go on."""
        head, *bodies = self.messages
        await send({**head, "status": self.outcome.status, "headers": self.outcome.headers})
        for message in bodies:
            await send(message)
        self.real_send = send
        self.released.set()
        await self.done.wait()
        if self.error is not None:
            raise self.error


async def holding(wants_body: bool, work: Callable[[Start], Awaitable[None]]) -> None:
    """Run *work* with a function that starts an app and returns its outcome before it is sent.

    A task for each app, because an app cannot be stopped in the middle of a `send` otherwise. An app whose
    outcome the surround dropped is cancelled.
    """
    raised: Exception | None = None
    async with anyio.create_task_group() as tasks:

        async def start(app: ASGIApp, scope: Scope, receive: Receive) -> Outcome:
            # Without extensions, such as `http.response.pathsend`, every body comes in messages that can be collected.
            seen = dict(scope, extensions={}) if wants_body else dict(scope)
            held = _Held(app, seen, receive, wants_body)
            tasks.start_soon(held.run)
            return await held.peek()

        try:
            await work(start)
        except Exception as exc:
            # Raised outside the task group, which would wrap it in an ExceptionGroup.
            raised = exc
        tasks.cancel_scope.cancel()
    if raised is not None:
        raise raised


async def collected(outcome: Outcome, call: Call) -> Outcome:
    """Return the outcome of a response that streams with its whole body; its background task is still to run.

    Raises:
        ClientDisconnect: when the client leaves before the end.
    """
    response = cast(Response, outcome.app)
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    background, response.background = response.background, None
    await response(dict(call.scope, extensions={}), call.receive(), keep)
    head, *bodies = messages
    if not bodies or bodies[-1].get("more_body", False):
        raise ClientDisconnect
    whole = Response(b"".join(message["body"] for message in bodies), head["status"], background=background)
    whole.raw_headers = list(head["headers"])
    return Outcome.of(whole)
