"""An ordered, immutable set of guards around one handler."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from gatewright._core.guard import Guard, Surround
from gatewright._core.handler import Handler, Kind, injected_by
from gatewright.errors import ConfigurationError

__all__ = ["Host", "Pipeline"]


class Host(Enum):
    """Who calls the handler once the guards have passed."""

    FUNCTION = "a function that the driver calls"
    FRAMEWORK = "a FastAPI path operation behind the ASGI driver"
    DEPENDENCY = "a FastAPI path operation with nothing in front of it"
    WEBSOCKET = "a function that holds a conversation"
    APP = "an ASGI app"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Hold guards in the order in which they run: phase, then rank, then canonical configuration.

    The order in which they were added never matters.
    """

    guards: tuple[Guard, ...] = ()

    def with_(self, *guards: Guard) -> Pipeline:
        """Return a pipeline that has *guards* too; one that is already there, the same object, is there once.

        Raises:
            ConfigurationError: for a second guard of a kind that there can be only one of, and for one that refuses to
                stand beside another.
        """
        met = list(self.guards)
        met += [guard for at, guard in enumerate(guards) if not any(guard is other for other in (*met, *guards[:at]))]
        together = [guard for guard in met if not any(guard.yields_to(other) for other in met)]
        for at, guard in enumerate(together):
            if guard.single and any(type(other) is type(guard) for other in together[:at]):
                raise ConfigurationError(f"two {guard.name}(...) on one handler; write one and give it everything")
            guard.beside([other for other in together if other is not guard])
        return Pipeline(tuple(sorted(together, key=_place)))

    def without(self, key: Hashable) -> Pipeline:
        """Return a pipeline without the guards that provide *key*."""
        return Pipeline(tuple(guard for guard in self.guards if key not in guard.provides))

    def __repr__(self) -> str:
        return " > ".join(f"{guard.phase.name} {guard!r}" for guard in self.guards) or "(no guards)"

    def seal(self, handler: Handler | None, host: Host, acted: Iterable[Guard] = ()) -> tuple[Guard, ...]:
        """Check the combination and return the guards fitted to *handler*.

        Args:
            handler: what stands behind; None for a whole app.
            host: who calls it.
            acted: guards of an enclosing pipeline; what they did is not done again, and what they provide is there.

        Raises:
            ConfigurationError: for what cannot work, with what to write instead.
        """
        who = handler.name if handler is not None else "the app"
        outer = tuple(acted)
        provided: set[Hashable] = {key for guard in (*self.guards, *outer) for key in guard.provides}
        for guard in self.guards:
            _check_guard(guard, handler, host, who, provided)
            _check_around(guard, outer, who)
        if handler is not None:
            _check_handler(handler, host, provided)
        left = [guard for guard in self.guards if not any(guard.same_as(other) for other in outer)]
        merged: list[Guard] = []
        for _, group in groupby(left, key=lambda guard: (guard.phase, guard.rank, type(guard))):
            first, *others = group
            merged += first.merge(others)
        return tuple(guard.seal(handler) if handler is not None else guard for guard in merged)


def _place(guard: Guard) -> tuple[int, int, str, str]:
    return guard.phase, guard.rank, guard.name, repr(guard)


def _check_guard(guard: Guard, handler: Handler | None, host: Host, who: str, provided: set[Hashable]) -> None:
    for key in guard.needs:
        if key not in provided:
            raise ConfigurationError(f"{who}: {guard!r} needs a principal; add {injected_by(key)} to the same handler")
    if handler is None and guard.reads_handler:
        raise ConfigurationError(f"{guard.name} reads a handler's annotations; put it on the handler, not on an app")
    if host is Host.WEBSOCKET and (isinstance(guard, Surround) or guard.reads_body):
        raise ConfigurationError(f"{who}: a websocket has no body and no answer for {guard.name}; take it away")
    if host is Host.DEPENDENCY and (isinstance(guard, Surround) or guard.reads_first):
        why = "comes before the body, which a plain FastAPI route reads first"
        if isinstance(guard, Surround):
            why = "encloses the whole answer, which a plain FastAPI route cannot give"
        raise ConfigurationError(
            f"{who}: {guard.name} {why}; write "
            "APIRouter(route_class=gatewright.fastapi.GuardedRoute), or gate.install(app)"
        )


def _check_around(guard: Guard, outer: tuple[Guard, ...], who: str) -> None:
    """Refuse to remember what an enclosing pipeline may still undo."""
    undoing = [other for other in outer if other.undoes]
    if guard.remembers and undoing:
        raise ConfigurationError(
            f"{who}: {guard.name} would remember what {undoing[0].name}, in front of the whole app, may still undo; "
            f"write {undoing[0].name} on the handler"
        )


def _check_handler(handler: Handler, host: Host, provided: set[Hashable]) -> None:
    for want in handler.wants.values():
        written = injected_by(want.key)
        if want.key not in provided and written != "every guard":
            raise ConfigurationError(f"{handler.name}: {want.name} is filled by {written}; add it to the handler")
    known: set[object] = {*provided}
    for page in handler.pages:
        if page not in known:
            raise ConfigurationError(f"{handler.name}: it returns a {page.__name__}; add {page.__needs__}")
    if host not in (Host.FUNCTION, Host.WEBSOCKET):
        return
    if handler.kind in (Kind.GENERATOR, Kind.ASYNC_GENERATOR):
        raise ConfigurationError(f"{handler.name}: a Starlette endpoint does not yield; return a StreamingResponse")
    if handler.unresolved:
        names = ", ".join(handler.unresolved)
        raise ConfigurationError(f"{handler.name}: the annotation of {names} names nothing; define it at module level")
    strangers = handler.strangers()
    if strangers:
        name = strangers[0]
        raise ConfigurationError(
            f"{handler.name}: nobody fills {name}; annotate it with FromPath[...], FromQuery[...], FromBody[...] "
            "(and @validate), Event[...] (and @verify_webhook), Transaction[...] (and @transactional), Principal, "
            "PageParams, Verified, Call, Logger or Request"
        )
