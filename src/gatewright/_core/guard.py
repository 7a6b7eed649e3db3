"""The two things that stand in front of a handler: a guard, and a surround."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from gatewright._core.phase import Phase

if TYPE_CHECKING:
    from starlette.responses import Response

    from gatewright._core.call import Call
    from gatewright._core.function import GuardedFunction
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler
    from gatewright._core.outcome import Outcome
    from gatewright.result import Err, Ok

__all__ = ["Answer", "Entering", "Guard", "Proceed", "Surround"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Let a guard answer by itself, so that the handler never runs."""

    result: Response | Ok[object] | Err


Entering = Answer | None | Awaitable[Answer | None]


class Guard:
    """Stand in front of a handler: pass, refuse by raising an `ApiError`, or return an `Answer`.

    Subclass it as a frozen dataclass. Three moments, each with a hook; the defaults do nothing:

    - `seal(handler)`, when the pipeline is complete: return a guard fitted to this handler's signature,
      or raise `ConfigurationError`;
    - `bind(gate)`, when the gate is known: return a guard that holds what it needs (keys, storage, prebuilt headers);
    - `enter(call)`, for each request: a plain function, or an `async def` where it does I/O.

    One that wants to know what becomes of the calls that it let pass has `refused(call, by)`, too.

    Attributes:
        name: what logs and `repr(pipeline)` show.
        phase: when it runs; a class attribute, or a field where it depends on the configuration.
        rank: order within the phase, lowest first.
        provides: the types that handlers may ask for once this guard has passed.
        needs: the types that another guard of the pipeline has to provide; a class attribute, or a field.
        single: whether a second one in the same pipeline is a mistake.
        reads_handler: whether it works from a handler's annotations, so that it cannot guard a whole app.
        reads_body: whether it reads the body, which a websocket does not have.
        reads_first: whether it has to be there before anybody reads the body, which a plain FastAPI route does first.
        vouches: whether it says who may come in, so that its handler counts as guarded.
        undoes: whether it may undo what was done behind it, once the answer of that is known.
        remembers: whether it remembers what was done behind it, so that it must not stand within one that undoes.
        changes: whether what stands behind changes something, so that no route may serve it to a safe method.
    """

    name: ClassVar[str]
    phase: Phase
    rank: ClassVar[int] = 0
    provides: ClassVar[tuple[Hashable, ...]] = ()
    needs: tuple[Hashable, ...] = ()
    single: ClassVar[bool] = False
    reads_handler: ClassVar[bool] = False
    reads_body: ClassVar[bool] = False
    reads_first: bool = False
    vouches: bool = False
    undoes: bool = False
    remembers: bool = False
    changes: bool = False

    def merge(self, others: Sequence[Self]) -> Sequence[Self]:
        """Fold *others*, of the same type and phase and in canonical order, into fewer guards."""
        return (self, *others)

    def beside(self, others: Sequence[Guard]) -> None:
        """Refuse, with a `ConfigurationError`, to stand in one pipeline with *others*; asked for each fold."""

    def yields_to(self, other: Guard) -> bool:
        """Say whether this one is left out of a pipeline that has *other*; asked for each fold."""
        return False

    def carries(self, function: GuardedFunction) -> Mapping[str, object]:
        """Return what the decorated function has on this guard's behalf, by the attribute's name."""
        return {}

    def same_as(self, other: Guard) -> bool:
        """Say whether *other*, in an enclosing pipeline, already does what this one would."""
        return self is other

    def seal(self, handler: Handler) -> Guard:
        """Fit this guard to *handler*; not asked in front of a whole app, which has no signature and no name."""
        return self

    def bind(self, gate: Gate) -> Guard:
        """Take from *gate* what each call will need."""
        return self

    def enter(self, call: Call) -> Entering:
        """Let *call* pass, refuse it, or answer it."""
        raise NotImplementedError

    def refused(self, call: Call, by: Guard) -> None:
        """Hear that *by*, a later guard of the same pipeline, refused a call that this one had let pass."""


Proceed = Callable[[], Awaitable["Outcome"]]


class Surround(Guard):
    """Enclose the rest of the pipeline: skip it, look at its outcome before the head is sent, replace it.

    Attributes:
        wants_body: whether `outcome.body` has to be complete; a stream is then collected first.
        repeats: whether `proceed` may be called again, because the rest was declared safe to repeat.
    """

    wants_body: ClassVar[bool] = False
    repeats: bool = False

    async def around(self, call: Call, proceed: Proceed) -> Outcome:
        """Return the outcome to send; `await proceed()` runs the rest."""
        raise NotImplementedError
