"""How long a request's body may take to arrive, and how long its answer may take to begin."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf

import anyio
from starlette.types import Message, Receive, Scope

from gatewright._core.body import overrule
from gatewright._core.call import Call
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.gate import Gate
from gatewright._core.guard import Guard, Proceed, Surround
from gatewright._core.outcome import Outcome
from gatewright._core.phase import Phase
from gatewright._core.threads import LeftBehind
from gatewright.errors import ConfigurationError, GatewayTimeout, RequestTimeout

__all__ = ["timeout"]


def timeout(*, first_byte: float | None = None, read: float | None = None) -> Decorator:
    """Answer 408 for a body that arrives too slowly, and 504 for an answer that does not begin in time.

    Each counts its own time only: the one for the body runs while somebody waits for it, and the one for the answer
    stands still meanwhile. Once the answer has begun, a stream and a background task take as long as they like.

    Args:
        first_byte: seconds until the head of the answer, from where the handler starts. An async handler is cancelled;
            a plain one cannot be, and is abandoned in its thread, with one line in the log.
        read: seconds that may be spent waiting for the body, whole.

    Raises:
        ConfigurationError: for neither of the two, or for one that is no number above 0.
    """
    if first_byte is None and read is None:
        raise ConfigurationError("timeout(): write timeout(first_byte=10), timeout(read=30) or both, in seconds")
    for name, seconds in (("first_byte", first_byte), ("read", read)):
        if seconds is not None and (type(seconds) not in (int, float) or not 0 < seconds < inf):
            raise ConfigurationError(f"timeout({name}={seconds!r}): write a number of seconds above 0, or leave it out")
    if first_byte is None:
        return guarded_by(ReadTimeout(read))
    return guarded_by(ReadTimeout(read), FirstByte(first_byte))


@dataclass(frozen=True, repr=False)
class ReadTimeout(Guard):
    """Put the clock between the wire and whoever reads: a guard, the handler, a framework, a raw app.

    Attributes:
        read: seconds for the body; None has no limit, and only keeps the time of the answer.
    """

    name = "timeout"
    phase = Phase.ADMIT
    single = True
    reads_body = True
    reads_first = True

    read: float | None

    def __repr__(self) -> str:
        return f"timeout(read={self.read})"

    def enter(self, call: Call) -> None:
        """Time the body from here on."""
        if call.is_websocket:
            return
        arrival = Arrival(call.receive(), inf if self.read is None else self.read, call.scope)
        call.join(call.scope, arrival)
        call.provide(Arrival, arrival)


@dataclass(frozen=True, repr=False)
class FirstByte(Surround):
    """Give up on a handler that does not answer.

    Attributes:
        rank: around a transaction, which rolls back what is cancelled.
        left_behind: plain handlers that go on all the same; each gate has its own.
    """

    name = "timeout"
    phase = Phase.ENCLOSE
    rank = -1
    single = True

    seconds: float
    left_behind: LeftBehind = field(default_factory=LeftBehind, compare=False)

    def __repr__(self) -> str:
        return f"timeout(first_byte={self.seconds})"

    def bind(self, gate: Gate) -> Guard:
        """Take a place of its own for the handlers that are left behind."""
        return replace(self, left_behind=LeftBehind())

    async def around(self, call: Call, proceed: Proceed) -> Outcome:
        """Wait for the outcome, and no longer."""
        call.left_behind = self.left_behind
        with anyio.move_on_after(self.seconds) as call.get(Arrival).answer:
            # One that comes after all, from a handler that would not be cancelled, is an answer.
            return await proceed()
        raise GatewayTimeout(reason=f"the answer had not begun after {self.seconds:g} s")


class Arrival:
    """The wire while a body arrives over it.

    Args:
        receive: the wire.
        seconds: how long may be waited for the body.
        scope: whose body it is.

    Attributes:
        answer: the time of the answer, which stands still while the body is waited for.
    """

    def __init__(self, receive: Receive, seconds: float, scope: Scope) -> None:
        self._receive = receive
        self._left = seconds
        self._scope = scope
        self._ended = False
        self.answer: anyio.CancelScope | None = None

    async def __call__(self) -> Message:
        """Receive a message; refuse the request whose body is late."""
        if self._ended:
            return await self._receive()
        if self._left > 0:
            with _standing_still(self.answer), anyio.move_on_after(self._left):
                began = anyio.current_time()
                try:
                    message = await self._receive()
                finally:
                    self._left -= anyio.current_time() - began
                self._ended = message["type"] != "http.request" or not message.get("more_body", False)
                return message
            self._left = 0
        return overrule(_too_slow, self._scope)


@contextmanager
def _standing_still(time: anyio.CancelScope | None) -> Generator[None]:
    """Give *time* back what passes here."""
    if time is None:
        yield
        return
    left, time.deadline = time.deadline - anyio.current_time(), inf
    try:
        yield
    finally:
        time.deadline = anyio.current_time() + left


def _too_slow() -> RequestTimeout:
    return RequestTimeout(headers={"Connection": "close"})
