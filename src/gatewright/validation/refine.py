"""The author's own checks of parsed input, such as whether a name is taken."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import anyio

from gatewright.errors import ConfigurationError, GatewayTimeout
from gatewright.validation.problems import Problems
from gatewright.validation.values import is_object

__all__ = ["Refine", "Refined", "Refinement", "refine_at_once", "refine_awaited"]

Refined: TypeAlias = Mapping[str, str | Sequence[str]] | None
"""What a check says: messages by input path; None, or an empty mapping, where all is well."""

Refine: TypeAlias = Callable[..., Refined | Awaitable[Refined]]
"""A check: it names the parameters that it wants to see, and says what is wrong or raises an `ApiError`."""

Arguments = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Refinement:
    """One check, fitted to a handler.

    Attributes:
        check: the author's function.
        names: the parameters that it is shown.
        awaited: whether it is async.
    """

    check: Refine
    names: tuple[str, ...]
    awaited: bool

    @classmethod
    def of(cls, check: Refine, parameters: Collection[str], who: str) -> Refinement:
        """Fit *check* to a handler whose validated *parameters* are these.

        Raises:
            ConfigurationError: for a parameter that the handler does not have.
        """
        wanted = inspect.signature(check).parameters.values()
        for parameter in wanted:
            by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if not by_name or parameter.name not in parameters:
                raise ConfigurationError(
                    f"{who}: refine={_name(check)} wants {parameter}; it may name {', '.join(parameters)}"
                )
        awaited = inspect.iscoroutinefunction(check) or inspect.iscoroutinefunction(type(check).__call__)
        return cls(check, tuple(parameter.name for parameter in wanted), awaited)

    def ask(self, arguments: Arguments) -> Refined | Awaitable[Refined]:
        """Call the check with what it wants to see."""
        return self.check(**{name: arguments[name] for name in self.names})

    def note(self, said: object, problems: Problems) -> None:
        """Add what the check *said* to *problems*.

        Raises:
            ConfigurationError: for anything but messages by path: a False would otherwise pass for consent.
        """
        if said is None:
            return
        if not is_object(said):
            raise ConfigurationError(
                f"refine={_name(self.check)} returned a {type(said).__name__}; "
                'return None, or messages by path: {"email": "is taken"}'
            )
        for path, messages in said.items():
            problems.add(path, *([messages] if isinstance(messages, str) else messages))


def refine_at_once(refinements: Sequence[Refinement], arguments: Arguments, problems: Problems) -> None:
    """Run the plain checks."""
    for refinement in refinements:
        if not refinement.awaited:
            refinement.note(refinement.ask(arguments), problems)


async def refine_awaited(
    refinements: Sequence[Refinement], arguments: Arguments, problems: Problems, within: float | None = None
) -> None:
    """Run the async checks, several at the same time; of several that raise, the first as written is raised.

    Raises:
        GatewayTimeout: for what takes longer than *within* seconds; it is cancelled.
    """
    awaited = [refinement for refinement in refinements if refinement.awaited]
    answers: list[object] = []
    with anyio.move_on_after(within) as time:
        answers = await _answers(awaited, arguments)
    if time.cancelled_caught:
        raise GatewayTimeout(reason=f"the checks of refine= took longer than {within:g} s")
    for refinement, answer in zip(awaited, answers, strict=True):
        if isinstance(answer, Exception):
            raise answer
        refinement.note(answer, problems)


async def _answers(awaited: Sequence[Refinement], arguments: Arguments) -> list[object]:
    """Return what each says; an error as a value, where a task group would wrap it in an `ExceptionGroup`."""
    if len(awaited) == 1:
        return [await _answer(awaited[0], arguments)]
    said: list[object] = [None] * len(awaited)

    async def ask(index: int) -> None:
        try:
            said[index] = await _answer(awaited[index], arguments)
        except Exception as exc:
            said[index] = exc

    async with anyio.create_task_group() as tasks:
        for index in range(len(awaited)):
            tasks.start_soon(ask, index)
    return said


async def _answer(refinement: Refinement, arguments: Arguments) -> object:
    answer = refinement.ask(arguments)
    return await answer if inspect.isawaitable(answer) else answer


def _name(check: Refine) -> str:
    return getattr(check, "__qualname__", repr(check))
