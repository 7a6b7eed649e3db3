"""The guard that turns a request into a handler's parameters, and the decorator that puts it there."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, overload

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.function import Guarded
from gatewright._core.guard import Entering, Guard
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError
from gatewright.validation.bodies import BodyReader
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
    """Fill the parameters that say where they are read from; refuse a request that does not fit them."""

    name = "validate"
    phase = Phase.PARSE
    provides: ClassVar[tuple[Hashable, ...]] = SOURCES
    single = True
    reads_handler = True

    refine: tuple[Refine, ...] = ()

    def __repr__(self) -> str:
        names = ", ".join(getattr(refine, "__qualname__", repr(refine)) for refine in self.refine)
        return f"validate(refine=[{names}])" if names else "validate"

    def seal(self, handler: Handler) -> Guard:
        """Compile the schemas of *handler*; the result awaits only where there is something to wait for."""
        check(handler)
        names = [want.name for want in handler.wanting(*SOURCES)]
        refinements = tuple(Refinement.of(refine, names, handler.name) for refine in self.refine)
        head, body = readers(handler), body_reader(handler)
        if body is not None:
            return _WithBody(self.refine, head, refinements, body)
        if any(refinement.awaited for refinement in refinements):
            return _Waiting(self.refine, head, refinements)
        return _AtOnce(self.refine, head, refinements)


@dataclass(frozen=True)
class _Sealed(Validate):
    readers: tuple[NamedReader, ...] = field(default=(), repr=False)
    refinements: tuple[Refinement, ...] = field(default=(), repr=False)

    def _read_head(self, call: Call, problems: Problems) -> None:
        """Read path, query, headers and cookies, and refuse what is wrong with any source."""
        for reader in self.readers:
            reader.read(call, problems)
        _refuse(problems, call)
        if self.refinements:
            refine_at_once(self.refinements, call.arguments, problems)
            _refuse(problems, call)


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
            await refine_awaited(self.refinements, call.arguments, problems)
            _refuse(problems, call)


@dataclass(frozen=True)
class _WithBody(_Waiting):
    reads_body = True


def _refuse(problems: Problems, call: Call) -> None:
    if problems:
        raise problems.refusal(call.gate.invalid_status)


@overload
def validate(handler: Guarded[P, R], /) -> Guarded[P, R]: ...
@overload
def validate(handler: Callable[P, R], /) -> Guarded[P, R]: ...
@overload
def validate(*, refine: Refine | Sequence[Refine] = ...) -> Decorator: ...
def validate(handler: Any = None, /, *, refine: Refine | Sequence[Refine] = ()) -> Any:
    """Fill the handler's parameters from the request, each from where its annotation says: `FromBody[T]` and so on.

    Everything is checked before the handler runs and all that is wrong is said at once, by input path, in a 400
    (or 422, where the gate says so). No submitted value is repeated.

    Args:
        refine: checks of the parsed input, plain or async; each names the parameters that it wants to see and
            returns messages by input path, or None. The plain ones run first; async ones run at the same time.

    Raises:
        ConfigurationError: for a model in place of a handler, or a check that cannot be called; when sealed, for a
            handler with nothing to validate, or a schema that its source cannot fill.
    """
    if isinstance(handler, type):
        raise ConfigurationError(
            f"validate({handler.__name__}): annotate the parameter instead, body: FromBody[{handler.__name__}], "
            "and write @validate"
        )
    checks: tuple[Any, ...] = tuple(refine) if is_array(refine) else (refine,)
    if not all(callable(each) for each in checks):
        raise ConfigurationError(f"validate(refine={refine!r}): write a function, or a list of functions")
    decorator: Any = guarded_by(Validate(checks))
    return decorator if handler is None else decorator(handler)
