"""The answer of the function driver, which returns a response instead of sending one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gatewright._core.call import Call
from gatewright._core.driver import close
from gatewright._core.refuse import answer_of

__all__ = ["Answering", "nowhere"]


async def nowhere(message: Message) -> None:
    """Stand for the `send` of a call whose answer a framework will send."""
    raise RuntimeError("the function driver sends when its response is sent")


def _shared(name: str) -> Any:
    """Return an attribute that the response inside has too: what a decorator sets on one is sent by the other."""

    def get(self: Answering) -> Any:
        return getattr(self.response, name, None)

    def set_(self: Answering, value: Any) -> None:
        setattr(self.response, name, value)

    return property(get, set_)


class Answering(Response):
    """A response like any other to the decorators around, dressed when it is sent; then the call is over."""

    status_code = _shared("status_code")
    raw_headers = _shared("raw_headers")
    body = _shared("body")
    background = _shared("background")

    def __init__(self, response: Response, call: Call) -> None:
        self.response = response
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer with everything that belongs to it, and close the call."""
        call = self._call
        call.forward(send)
        try:
            await self._answer(scope, receive, call)
            if call.overruled_by is not None:
                await call.conclude(call.send)
        finally:
            await close(call)

    async def _answer(self, scope: Scope, receive: Receive, call: Call) -> None:
        try:
            await self.response(scope, receive, call.send)
        except Exception as exc:
            if not call.cut_off:
                await answer_of(exc, call)
                raise
