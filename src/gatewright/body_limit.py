"""How much body one handler takes."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import anyio
from starlette.types import Message, Receive

from gatewright._core.body import capped, declared_length
from gatewright._core.call import Call
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Guard
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError, PayloadTooLarge

__all__ = ["limit_body"]

_WITHOUT_BODY = ("GET", "HEAD")
# Seconds that an answer waits for a body that nobody read.
_PATIENCE = 1.0


@dataclass(frozen=True, repr=False)
class LimitBody(Guard):
    """Refuse a declared length over the cap at once, and any other body as soon as it passes the cap."""

    name = "limit_body"
    phase = Phase.ADMIT
    single = True

    size: int

    def __repr__(self) -> str:
        return f"limit_body({self.size})"

    def enter(self, call: Call) -> None:
        """Put the cap between the wire and whoever reads: a guard, the handler, a framework, a raw app."""
        if call.is_websocket:
            return
        call.body_limit = self.size
        wire = capped(call.receive(), self.size, call.scope)
        declared = declared_length(call.header(b"content-length"), self.size, call.scope)
        if declared is None and call.method not in _WITHOUT_BODY:
            wire = call.weighs = Unread(wire)
        call.join(call.scope, wire)


class Unread:
    """The wire of a body whose length nobody knows; what nobody read is weighed before an answer begins.

    What is read for that is kept, at most the cap, for whoever reads on.

    Args:
        receive: the wire, under its cap.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ahead: deque[Message] = deque()
        self._ended = False

    async def __call__(self) -> Message:
        """Receive a message."""
        return self._ahead.popleft() if self._ahead else await self._next()

    async def weigh(self) -> None:
        """Read what there is: a body over the cap overrules the answer that is about to begin.

        Not for long, because a client may send on only once it sees that answer.
        """
        with anyio.move_on_after(_PATIENCE), suppress(PayloadTooLarge):
            while not self._ended:
                self._ahead.append(await self._next())

    async def _next(self) -> Message:
        message = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message


def limit_body(size: int) -> Decorator:
    """Let a handler take *size* bytes of body, more or less than the gate's 1 MiB.

    A body over it is answered 413, also where the handler, a form parser or an app swallows the refusal or never reads
    it, as long as no other answer has begun.

    Args:
        size: the cap in bytes; 0 takes no body at all.

    Raises:
        ConfigurationError: for what is no number, and for a negative one.
    """
    if type(size) is not int or size < 0:
        raise ConfigurationError(f"limit_body({size!r}): write a number of bytes, 0 or more, such as 1_000_000")
    return guarded_by(LimitBody(size))
