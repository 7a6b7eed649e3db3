"""A gate in front of a Starlette or FastAPI app: every answer, and every guarded route."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright._core.app import AppDriver, GuardedApp
from gatewright._core.document import document, document_optional, guarded_dependencies
from gatewright._core.endpoint import Endpoint
from gatewright._core.function import GuardedFunction, bypassed_by, state_of
from gatewright._core.handler import Handler, injected_by
from gatewright._core.methods import check_methods
from gatewright._core.pipeline import Host as Caller
from gatewright._core.refuse import adopted
from gatewright._core.routes import inner_handle, own_handle, put_handle
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.gate import Gate
    from gatewright._core.plan import Plans

__all__ = ["GuardsFirst", "install"]

Found = tuple[BaseRoute, str]


def install(gate: Gate, app: Starlette) -> None:
    """Put *gate* in front of *app*, of the apps mounted in it, and of their guarded routes."""
    if not isinstance(app, Starlette):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"gate.install() takes a Starlette or FastAPI app; for {app!r} write gate.wrap(app)")
    if _has_gate(app):
        raise ConfigurationError("this app has a gate already; install one, or mount an app that has its own")
    _stand_in_front(app, gate, functools.partial(_serve, gate, app))
    _serve(gate, app)


def _has_gate(app: Starlette) -> bool:
    return any(middleware.kwargs.get("gate") is not None for middleware in _in_front(app))


def _in_front(app: Starlette) -> list[Any]:
    return [middleware for middleware in app.user_middleware if middleware.cls is GuardedApp]  # type: ignore[comparison-overlap]  # a factory's type


def _stand_in_front(app: Starlette, gate: Gate | None, prepare: Callable[[], None] | None = None) -> None:
    app.exception_handlers = adopted(app.exception_handlers)
    app.add_middleware(GuardedApp, gate=gate, prepare=prepare)


def _serve(gate: Gate, app: Starlette) -> None:
    """Serve the guarded routes that *app* has by now; called once more when it starts, for those added since."""
    found = list(_walk(app.routes, ""))
    _refuse_bypassed([route for route, _ in found])
    for route, template in found:
        _serve_route(gate, route, template)


def _walk(routes: Sequence[BaseRoute], prefix: str) -> Iterator[Found]:
    for route in routes:
        included: Any = getattr(route, "original_router", None)
        if included is not None:
            # FastAPI since 0.137 keeps an included router as one route.
            yield from _walk(included.routes, prefix + route.include_context.prefix)  # type: ignore[attr-defined]
        elif isinstance(route, (Mount, Host)):
            yield from _walk_mounted(route, prefix + getattr(route, "path", ""))
        else:
            yield route, prefix + getattr(route, "path", "")


def _walk_mounted(mount: Mount | Host, prefix: str) -> Iterator[Found]:
    app: ASGIApp = getattr(mount, "_base_app", mount.app)
    if isinstance(app, Starlette):
        if _has_gate(app):
            return
        if app.middleware_stack is None and not _in_front(app):
            # For its own errors; which gate it is behind, each request says, because it may be mounted twice.
            _stand_in_front(app, None)
    if isinstance(app, (Starlette, Router)):
        yield from _walk(app.routes, prefix)


def _refuse_bypassed(routes: Sequence[BaseRoute]) -> None:
    endpoints = [getattr(route, "endpoint", None) for route in routes]
    for route, endpoint in zip(routes, endpoints, strict=True):
        guarded = bypassed_by(endpoint)
        if guarded is not None and not any(guarded is other for other in endpoints):
            raise ConfigurationError(
                f"{getattr(route, 'path', route)} serves {getattr(endpoint, '__qualname__', endpoint)} without the "
                f"guards that were written above its route ({getattr(guarded, 'pipeline', guarded)!r}); "
                "write the route's decorator first, at the top"
            )


def _serve_route(gate: Gate, route: BaseRoute, template: str) -> None:
    endpoint = getattr(route, "endpoint", None)
    state = state_of(endpoint)
    for dependency in guarded_dependencies(getattr(route, "dependant", None)):
        dependency.plans(Caller.DEPENDENCY).bind(gate)
    if isinstance(route, Route):
        document_optional(route)
    if inspect.isclass(endpoint) and issubclass(endpoint, HTTPEndpoint):
        for name, method in inspect.getmembers(endpoint, inspect.isfunction):
            _check_method(method, name, template)
            _bind_function(gate, method, Caller.FUNCTION, template)
    elif isinstance(route, Route) and state is not None:
        _serve_function(gate, route, state, template)
    else:
        caller = Caller.WEBSOCKET if type(route) is WebSocketRoute else Caller.DEPENDENCY
        _bind_function(gate, endpoint, caller, template)


def _bind_function(gate: Gate, function: Any, caller: Caller, template: str) -> None:
    state = state_of(function)
    if state is not None:
        state.plans(caller).bind(gate)
    elif inspect.isfunction(function) or inspect.ismethod(function):
        _refuse_unfilled(Handler.read(function), template)


def _refuse_unfilled(handler: Handler, template: str) -> None:
    """Refuse parameters that nobody fills; FastAPI would take even a `Principal` from the request's body."""
    if handler.wants:
        want = next(iter(handler.wants.values()))
        raise ConfigurationError(
            f"{template}: {want.name} is filled by {injected_by(want.key)}, and nothing guards {handler.name}; "
            "write the decorator below the route's"
        )


def _check_method(method: Any, name: str, template: str) -> None:
    state = state_of(method)
    if state is not None:
        check_methods(state.pipeline, [name.upper()], template)


def _serve_function(gate: Gate, route: Route, state: GuardedFunction, template: str) -> None:
    check_methods(state.pipeline, route.methods, template)
    guards = getattr(route, "guards", None) or own_handle(route)
    if guards is None and hasattr(route, "dependant"):
        # FastAPI prepares the arguments itself: the guards go first, then its `handle`.
        guards = GuardsFirst(route, state, inner_handle(route), template)
        put_handle(route, guards)
        document(route, state.handler)
    if isinstance(guards, GuardsFirst):
        guards.serve_under(template)
        guards.plans.bind(gate)
        return
    if route.app is route.endpoint or (inspect.isfunction(route.app) and route.app.__module__ == Route.__module__):
        # Not where middleware= or max_body_size= wrapped it: those have to stay around the handler.
        route.app = Endpoint(state)
    if isinstance(route.app, Endpoint):
        route.app.route = template
    state.plans(Caller.FUNCTION).bind(gate)


class GuardsFirst:
    """The `handle` of a route that prepares its handler's arguments itself: guards before anything is read.

    Args:
        route: the route.
        function: the state of its endpoint.
        handle: what the route would do.
        template: the route's template, until it is installed under others.
    """

    def __init__(self, route: Route, function: GuardedFunction, handle: ASGIApp, template: str) -> None:
        self._route = route
        self._handle = handle
        self._function = function
        self.plans: Plans = function.plans(Caller.FRAMEWORK)
        self.plans.check()
        self._driver = self._under(template)
        self._drivers: dict[str, tuple[re.Pattern[str], AppDriver]] = {}

    def _under(self, template: str) -> AppDriver:
        return AppDriver(self._handle, self.plans, None, template, entered=self._function)

    def serve_under(self, template: str) -> None:
        """Serve the route under *template*, and under those of before: a router may be included several times."""
        if template not in self._drivers:
            self._driver = self._under(template)
            self._drivers[template] = compile_path(template)[0], self._driver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the guards and then the route; a wrong method is the route's own business."""
        methods = self._route.methods
        if methods and scope["method"] not in methods:
            await self._handle(scope, receive, send)
        elif len(self._drivers) > 1:
            await self._reached(scope)(scope, receive, send)
        else:
            await self._driver(scope, receive, send)

    def _reached(self, scope: Scope) -> AppDriver:
        path = scope["path"].removeprefix(scope.get("app_root_path", scope.get("root_path", "")))
        matching = (driver for pattern, driver in self._drivers.values() if pattern.match(path))
        return next(matching, self._driver)
