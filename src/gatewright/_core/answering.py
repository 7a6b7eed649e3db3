"""The answer of the function driver, which returns a response instead of sending one."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gatewright._core.call import Call
from gatewright._core.driver import close
from gatewright._core.outcome import Outcome, RawHeaders

__all__ = ["Answering", "nowhere"]


async def nowhere(message: Message) -> None:
    """Stand for the `send` of a call whose answer a framework will send."""
    raise RuntimeError("the function driver sends when its response is sent")


class Answering(Response):
    """The answer of the function driver: a response like any other to decorators around, dressed when it is sent."""

    def __init__(self, outcome: Outcome, call: Call, outermost: bool) -> None:
        self._outcome = outcome
        self._call = call
        self._outermost = outermost
        self.body = outcome.body or b""
        self.background = None

    @property
    def status_code(self) -> int:  # type: ignore[override]  # Starlette's is an attribute
        """Return the status of the answer."""
        return self._outcome.status

    @property
    def raw_headers(self) -> RawHeaders:  # type: ignore[override]
        """Return the headers of the answer; what is changed here is sent."""
        return self._outcome.headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer with everything that belongs to it, and close the call."""
        if not self._outermost:
            await self._outcome.send(scope, receive, send)
            return
        self._call.forward(send)
        try:
            await self._outcome.send(scope, receive, self._call.send)
        finally:
            await close(self._call)
