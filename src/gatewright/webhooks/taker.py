"""A function that takes events: what it asks for is found in its signature, and how it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from gatewright._core.function import state_of
from gatewright._core.handler import Handler, Kind, Want, injected_by, is_of_fastapi
from gatewright._core.invocation import Invocation
from gatewright._core.render import Renderer
from gatewright.errors import ConfigurationError
from gatewright.webhooks.event_types import event_types
from gatewright.webhooks.events import EventMarker, EventReader
from gatewright.webhooks.scheme import Path

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Taker", "Terms"]

_UNSET = inspect.Parameter.empty
_MAY_ASK = "a handler of events may ask for its event, Verified, Claim (with once=...), Call, Logger and Request"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all functions that take events of one sender.

    Args:
        path: where an event says its type.
        provided: what guards provide, and a function may ask for.
    """

    path: Path
    provided: Collection[Hashable]


class Taker:
    """A function that takes events.

    Args:
        function: as it was written.
        terms: what holds for it.
        names: of the events, as they were written.

    Raises:
        ConfigurationError: for a parameter that nobody fills, and a name whose events its annotation never takes.
    """

    def __init__(self, function: Callable[..., object], terms: Terms, names: Sequence[str] = ()) -> None:
        self.function = function
        self.terms = terms
        self.names = names
        if inspect.isclass(function) or not callable(function):
            raise ConfigurationError(f"@hooks.on({function!r}): write a name; the model goes to the function's event")
        # A name that is defined further down is looked at once more, when the first event is about to come.
        if not Handler.read(function).unresolved:
            self.check()

    @cached_property
    def handler(self) -> Handler:
        """Return what the function asks for, its event among it, however that was written."""
        return _with_event(_checked(Handler.read(self.function), self.terms))

    @cached_property
    def reader(self) -> EventReader | None:
        """Return what reads the event; None where the function asks for none."""
        return EventReader.of(self.handler, self.terms.path)

    @cached_property
    def types(self) -> frozenset[str] | None:
        """Return the types of event that the function takes; None where it would take any."""
        return None if self.reader is None else event_types(self.reader.adapter, self.terms.path)

    @cached_property
    def invoke(self) -> Invocation:
        """Return how the function is called."""
        return Invocation(self.handler, 0)

    @cached_property
    def render(self) -> Renderer:
        """Return what writes the function's result."""
        return Renderer(self.handler)

    def check(self) -> None:
        """Refuse, with `ConfigurationError`, a function that no event could be given to."""
        _ = self.types, self.invoke, self.render
        for name in self.names:
            if self.types is not None and not any(_is_one_of(name, event_type) for event_type in self.types):
                types = ", ".join(sorted(self.types))
                raise ConfigurationError(f"{self.handler.name}: its event is never {name!r}; it takes {types}")

    def takes(self, event_type: str | None) -> bool:
        """Say whether the function takes events of this type; None for one that says no type."""
        return self.types is None or event_type in self.types

    def own_names(self) -> Sequence[str]:
        """Return the names that the annotation of the event says.

        Raises:
            ConfigurationError: where it says none, or leaves some open.
        """
        if not self.types:
            raise ConfigurationError(
                f"{self.handler.name}: which events? its annotation says no Literal for each; write them: "
                '@hooks.on("invoice.paid", "invoice.*")'
            )
        return sorted(self.types)

    async def take(self, call: Call, event: object) -> object:
        """Return what the function returns for *event*."""
        call.arguments = {} if self.reader is None else {self.reader.parameter: event}
        result: object = await self.invoke(call)
        return result


def _is_one_of(name: str, event_type: str) -> bool:
    return event_type.startswith(name[:-1]) if name.endswith("*") else event_type == name


def _checked(handler: Handler, terms: Terms) -> Handler:
    """Refuse a function with a parameter that nobody would fill, or somebody not meant."""
    who = handler.name
    if state_of(handler.function) is not None:
        raise ConfigurationError(f"{who}: decorators go around the router: with_rate_limit(...)(hooks)")
    if handler.kind in (Kind.GENERATOR, Kind.ASYNC_GENERATOR):
        raise ConfigurationError(f"{who}: it yields, and nobody would run it; return the answer, or nothing")
    if handler.unresolved:
        names = ", ".join(handler.unresolved)
        raise ConfigurationError(f"{who}: the annotation of {names} names nothing; define it at module level")
    for want in handler.wants.values():
        if want.key is not EventMarker and want.key not in terms.provided and injected_by(want.key) != "every guard":
            raise ConfigurationError(f"{who}: nobody fills {want.name}; {_MAY_ASK}")
    for parameter in handler.others.values():
        if parameter.annotation is _UNSET or parameter.kind is parameter.VAR_POSITIONAL:
            raise ConfigurationError(
                f'{who}: nobody knows what {parameter.name} is; annotate it: "event: dict[str, Any]", or with a model'
            )
        if is_of_fastapi(parameter, parameter.annotation):
            raise ConfigurationError(f"{who}: nobody fills {parameter.name}, which is FastAPI's; {_MAY_ASK}")
    return handler


def _with_event(handler: Handler) -> Handler:
    """Mark the first parameter that nobody else fills, as one that is annotated with `Event[...]` is."""
    strangers = handler.strangers()
    marked = handler.wanting(EventMarker)
    if strangers[(0 if marked else 1) :]:
        raise ConfigurationError(f"{handler.name}: nobody fills {strangers[-1]}; {_MAY_ASK}")
    if not strangers:
        return handler
    found = handler.others[strangers[0]]
    if found.kind is found.POSITIONAL_ONLY:
        raise ConfigurationError(f"{handler.name}: {found.name} is filled by name; take the '/' out")
    want = Want(found.name, EventMarker, found.annotation, found.annotation, EventMarker(), optional=False)
    others = {name: parameter for name, parameter in handler.others.items() if name != found.name}
    return replace(handler, wants={**handler.wants, found.name: want}, others=others)
