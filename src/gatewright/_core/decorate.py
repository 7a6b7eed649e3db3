"""From a guard to a decorator, and from several decorators to one."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, overload

from starlette.routing import BaseRoute
from typing_extensions import ParamSpec, TypeVar

from gatewright._core.app import GuardedApp
from gatewright._core.function import Action, Guarded, guarded_function, state_of
from gatewright._core.guard import Guard
from gatewright._core.pipeline import Pipeline
from gatewright.errors import ConfigurationError

__all__ = ["App", "Decorator", "Fold", "compose", "guarded_by"]

P = ParamSpec("P")
R = TypeVar("R")

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class App(Protocol):
    """An ASGI app."""

    def __call__(self, scope: _Scope, receive: _Receive, send: _Send, /) -> Awaitable[None]:
        """Serve one connection."""
        ...


class Decorator(Protocol):
    """Put guards in front of a handler or an app: a function stays a function, an app becomes a `GuardedApp`."""

    @overload
    def __call__(self, handler: Action[P, R], /) -> Action[P, R]: ...
    @overload
    def __call__(self, handler: Guarded[P, R], /) -> Guarded[P, R]: ...
    @overload
    def __call__(self, handler: App, /) -> GuardedApp: ...  # type: ignore[overload-overlap]  # apps are callables too
    @overload
    def __call__(self, handler: Callable[P, R], /) -> Guarded[P, R]: ...
    def __call__(self, handler: Any, /) -> Any:
        """Return *handler* with the guards in front of it."""
        ...


class Fold:
    """A decorator that folds guards into a handler's pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __repr__(self) -> str:
        return f"<decorator {self.pipeline!r}>"

    def __call__(self, handler: Any, /) -> Any:
        around = GuardedApp.around if _stands_for_app(handler) else guarded_function
        return around(handler, self.pipeline)


def guarded_by(*guards: Guard) -> Decorator:
    """Return a decorator that puts *guards* in front of a handler or an app."""
    return Fold(Pipeline().with_(*guards))


def compose(*decorators: Decorator) -> Decorator:
    """Return one decorator that does what all of *decorators* do; their order never matters.

    Raises (when it decorates):
        ConfigurationError: for a decorator that is not ours; its place in the order could not be kept.
    """
    return _Composed(decorators)


class _Composed:
    def __init__(self, decorators: tuple[Decorator, ...]) -> None:
        self._decorators = decorators

    def __repr__(self) -> str:
        return f"compose({', '.join(map(repr, self._decorators))})"

    def __call__(self, handler: Any, /) -> Any:
        if self._decorators and _stands_for_app(handler):
            # All at once: an app is sealed as it is wrapped, and one guard may need another.
            return Fold(self(_nothing).pipeline)(handler)
        for decorator in self._decorators:
            fold: Callable[[Any], Any] = decorator
            handler = fold(handler)
            if state_of(handler) is None and not isinstance(handler, GuardedApp):
                raise ConfigurationError(f"compose() takes decorators of gatewright; {decorator!r} made {handler!r}")
        return handler


async def _nothing() -> None:
    """Take decorators that are meant for an app."""


def _stands_for_app(handler: Any) -> bool:
    """Say whether *handler* is an app, and not a function.

    Raises:
        ConfigurationError: for what is neither.
    """
    if isinstance(handler, BaseRoute):
        raise ConfigurationError(f"a route is no handler: decorate the endpoint of {handler!r}, below the route")
    target = _target(handler)
    if inspect.isfunction(target) or inspect.ismethod(target):
        return _is_app(handler)
    if callable(target) and not inspect.isroutine(target):
        return True
    raise ConfigurationError(
        f"guards stand in front of a function or an ASGI app, and {handler!r} is neither; "
        "@staticmethod and @classmethod go above them"
    )


def _target(handler: Any) -> Any:
    while hasattr(handler, "func") and hasattr(handler, "keywords"):
        handler = handler.func
    return handler


def _is_app(handler: Any) -> bool:
    """Recognise an ASGI app that is a function by its parameters' names, as the specification writes them."""
    return list(inspect.signature(handler).parameters) == ["scope", "receive", "send"]
