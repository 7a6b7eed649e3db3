"""The guard that turns a request into a handler's parameters, and the decorator that puts it there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field, fields
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, overload

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.function import Action, Guarded
from gatewright._core.guard import Entering, Guard
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError
from gatewright.validation.bodies import BodyReader
from gatewright.validation.manner import Empty, Manner
from gatewright.validation.named import NamedReader
from gatewright.validation.plan import body_reader, check, readers
from gatewright.validation.problems import Problems
from gatewright.validation.refine import Refine, Refinement, refine_at_once, refine_awaited
from gatewright.validation.sources import SOURCES
from gatewright.validation.values import is_array

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.handler import Handler

__all__ = ["Validate", "validate"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, repr=False)
class Validate(Guard):
    """Fill the parameters that say where they are read from; refuse a request that does not fit them.

    Attributes:
        refine: the author's checks of the parsed input.
        refine_within: seconds for all the async ones together; None waits for ever.
        status: of a refusal, 400 or 422; None leaves it to the gate.
        strict: True, or the sources whose values have to be of the type itself.
        empty: what an empty entry of a form or a query is.
        implied: whether nobody wrote it, so that it makes room, and may find nothing to do.
    """

    name = "validate"
    phase = Phase.PARSE
    provides: ClassVar[tuple[Hashable, ...]] = SOURCES
    single = True
    reads_handler = True

    refine: tuple[Refine, ...] = ()
    refine_within: float | None = 5.0
    status: int | None = None
    strict: bool | Collection[str] = False
    empty: Empty = "keep"
    implied: bool = False

    def __post_init__(self) -> None:
        """Refuse options that say nothing."""
        if not all(callable(each) for each in self.refine):
            raise ConfigurationError(
                f"validate(refine={list(self.refine)!r}): write a function, or a list of functions"
            )
        within = self.refine_within
        if within is not None and (type(within) not in (int, float) or not 0 < within < inf):
            raise ConfigurationError(f"validate(refine_within={within!r}): write a number of seconds above 0, or None")
        if self.status not in (None, 400, 422):
            raise ConfigurationError(f"validate(status={self.status!r}): write 400 or 422, or leave it to the gate")
        Manner.of(self.strict, self.empty)

    def yields_to(self, other: Guard) -> bool:
        """Make room for one that somebody wrote, where nobody wrote this."""
        return self.implied and isinstance(other, Validate) and not other.implied

    def __repr__(self) -> str:
        names = ", ".join(getattr(refine, "__qualname__", repr(refine)) for refine in self.refine)
        return f"validate(refine=[{names}])" if names else "validate"

    def seal(self, handler: Handler) -> Guard:
        """Compile the schemas of *handler*; the result awaits only where there is something to wait for."""
        check(handler)
        names = [want.name for want in handler.wanting(*SOURCES)]
        if not names and not self.implied:
            raise ConfigurationError(
                f"{handler.name}: @validate has nothing to validate; "
                "annotate a parameter, such as body: FromBody[Model]"
            )
        refinements = tuple(Refinement.of(refine, names, handler.name) for refine in self.refine)
        manner = Manner.of(self.strict, self.empty)
        head, body = readers(handler, manner), body_reader(handler, manner)
        written = {each.name: getattr(self, each.name) for each in fields(Validate)}
        if body is not None:
            return _WithBody(**written, readers=head, refinements=refinements, body=body)
        if any(refinement.awaited for refinement in refinements):
            return _Waiting(**written, readers=head, refinements=refinements)
        return _AtOnce(**written, readers=head, refinements=refinements)


@dataclass(frozen=True)
class _Sealed(Validate):
    readers: tuple[NamedReader, ...] = field(default=(), repr=False)
    refinements: tuple[Refinement, ...] = field(default=(), repr=False)

    def _read_head(self, call: Call, problems: Problems) -> None:
        """Read path, query, headers and cookies, and refuse what is wrong with any source."""
        for reader in self.readers:
            reader.read(call, problems)
        self._refuse(problems, call)
        if self.refinements:
            refine_at_once(self.refinements, call.arguments, problems)
            self._refuse(problems, call)

    def _refuse(self, problems: Problems, call: Call) -> None:
        if problems:
            raise problems.refusal(call.gate.invalid_status if self.status is None else self.status)


@dataclass(frozen=True)
class _AtOnce(_Sealed):
    """Wait for nothing."""

    def enter(self, call: Call) -> Entering:
        """Fill the parameters."""
        self._read_head(call, Problems())
        return None


@dataclass(frozen=True)
class _Waiting(_Sealed):
    """Wait for the body, for the author's checks, or for both."""

    body: BodyReader | None = field(default=None, repr=False)

    async def enter(self, call: Call) -> None:
        """Fill the parameters."""
        problems = Problems()
        if self.body is not None:
            await self.body.read(call, problems)
        self._read_head(call, problems)
        if self.refinements:
            await refine_awaited(self.refinements, call.arguments, problems, self.refine_within)
            self._refuse(problems, call)


@dataclass(frozen=True)
class _WithBody(_Waiting):
    reads_body = True


@overload
def validate(handler: Action[P, R], /) -> Action[P, R]: ...
@overload
def validate(handler: Guarded[P, R], /) -> Guarded[P, R]: ...
@overload
def validate(handler: Callable[P, R], /) -> Guarded[P, R]: ...
@overload
def validate(
    *,
    refine: Refine | Sequence[Refine] = ...,
    refine_within: float | None = ...,
    status: int | None = ...,
    strict: bool | Collection[str] = ...,
    empty: Empty = ...,
) -> Decorator: ...
def validate(
    handler: Any = None,
    /,
    *,
    refine: Refine | Sequence[Refine] = (),
    refine_within: float | None = 5.0,
    status: int | None = None,
    strict: bool | Collection[str] = False,
    empty: Empty = "keep",
) -> Any:
    """Fill the handler's parameters from the request, each from where its annotation says: `FromBody[T]` and so on.

    Everything is checked before the handler runs and all that is wrong is said at once, by input path, in a 400
    (or 422, where the gate or *status* says so). No submitted value is repeated.

    Args:
        refine: checks of the parsed input, plain or async; each names the parameters that it wants to see and
            returns messages by input path, or None. The plain ones run first; async ones run at the same time.
        refine_within: seconds for all async checks together; then they are cancelled, and the answer is a 504.
            None waits for as long as they take.
        status: 400 or 422 for what is wrong with this handler's input, whatever the gate says.
        strict: True, or the sources to be strict with, such as `("body", "query")`: JSON values have to be of the
            type itself, and texts are spelled as JSON spells them.
        empty: "keep" takes an empty entry of a form or a query for an empty text, "missing" for none.

    Raises:
        ConfigurationError: for a model in place of a handler, a check that cannot be called, and options that are
            none of the above; when sealed, for a handler with nothing to validate, or a schema that its source
            cannot fill.
    """
    if isinstance(handler, type):
        raise ConfigurationError(
            f"validate({handler.__name__}): annotate the parameter instead, body: FromBody[{handler.__name__}], "
            "and write @validate"
        )
    checks: tuple[Any, ...] = tuple(refine) if is_array(refine) else (refine,)
    decorator: Any = guarded_by(Validate(checks, refine_within, status, strict, empty))
    return decorator if handler is None else decorator(handler)
