"""Small guards and handlers that tests of the core put together."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import JSONResponse

from gatewright._core.call import Call
from gatewright._core.guard import Answer, Guard, Proceed, Surround
from gatewright._core.outcome import Outcome
from gatewright._core.phase import Phase
from gatewright._core.principal import Principal
from gatewright.errors import TooManyRequests, Unauthorized


@dataclass(frozen=True)
class Identify(Guard):
    """Take the caller's name from a header."""

    name = "identify"
    phase = Phase.IDENTIFY
    provides = (Principal,)
    single = True

    def enter(self, call: Call) -> None:
        """Refuse a caller without a name."""
        caller = call.header(b"x-caller")
        if caller is None:
            raise Unauthorized(headers={"WWW-Authenticate": "Toy"})
        call.principal = Principal(caller.decode("latin-1"))


@dataclass(frozen=True)
class Trace(Guard):
    """Write down that it ran, and say so in a header."""

    name = "trace"
    phase: Phase  # type: ignore[misc]  # a field, because tests want one in each phase
    label: str = "t"

    def enter(self, call: Call) -> None:
        """Add a header with the label."""
        call.note(**{f"trace_{self.label}": self.phase.name})
        call.add_header(b"x-trace-" + self.label.encode(), self.phase.name.encode())
        order = call.provided.get("order", "") if call.provided else ""
        call.provide("order", order + self.label)


@dataclass(frozen=True)
class Refuse(Guard):
    """Refuse everybody."""

    name = "refuse"
    phase = Phase.ADMIT

    def enter(self, call: Call) -> None:
        """Say no."""
        raise TooManyRequests(headers={"Retry-After": "7"})


@dataclass(frozen=True)
class AnswerItself(Guard):
    """Answer in the handler's place."""

    name = "answer"
    phase = Phase.RECALL

    async def enter(self, call: Call) -> Answer:
        """Answer."""
        return Answer(JSONResponse({"received": True}))


@dataclass(frozen=True)
class Replay(Surround):
    """Answer a second request with what the first one got."""

    name = "replay"
    phase = Phase.REPLAY
    wants_body = True

    kept: dict[str, Outcome]

    async def around(self, call: Call, proceed: Proceed) -> Outcome:
        """Skip the handler where its outcome is known."""
        key = (call.header(b"idempotency-key") or b"").decode("latin-1")
        if key in self.kept:
            first = self.kept[key]
            return Outcome(first.status, [*first.headers, (b"idempotent-replayed", b"true")], first.body)
        outcome = await proceed()
        self.kept[key] = Outcome(outcome.status, list(outcome.headers), outcome.body)
        return outcome
