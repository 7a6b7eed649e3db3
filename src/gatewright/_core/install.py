"""A gate in front of a Starlette or FastAPI app: every answer, and every guarded route."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright._core.app import AppDriver, GuardedApp
from gatewright._core.document import document
from gatewright._core.function import Endpoint, GuardedFunction, bypassed_by, state_of
from gatewright._core.pipeline import Host as Caller
from gatewright._core.refuse import adopted
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.gate import Gate

__all__ = ["GuardsFirst", "install"]


def install(gate: Gate, app: Starlette) -> None:
    """Put *gate* in front of *app*, of the apps mounted in it, and of their guarded routes."""
    if not isinstance(app, Starlette):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"gate.install() takes a Starlette or FastAPI app; for {app!r} write gate.wrap(app)")
    if _has_gate(app):
        raise ConfigurationError("this app has a gate already; install one, or mount an app that has its own")
    _stand_in_front(gate, app)
    _serve(gate, app)


def _has_gate(app: Starlette) -> bool:
    classes: list[object] = [middleware.cls for middleware in app.user_middleware]
    return GuardedApp in classes


def _stand_in_front(gate: Gate, app: Starlette) -> None:
    app.exception_handlers = adopted(app.exception_handlers)
    app.add_middleware(GuardedApp, gate=gate, prepare=functools.partial(_serve, gate, app))


def _serve(gate: Gate, app: Starlette) -> None:
    """Serve the guarded routes that *app* has by now; called once more when it starts, for those added since."""
    found = list(_walk(app.routes, "", gate))
    _refuse_bypassed([route for route, _ in found])
    for route, template in found:
        _serve_route(gate, route, template)


def _walk(routes: Sequence[BaseRoute], prefix: str, gate: Gate) -> Iterator[tuple[BaseRoute, str]]:
    for route in routes:
        included: Any = getattr(route, "original_router", None)
        if included is not None:
            # FastAPI since 0.137 keeps an included router as one route.
            yield from _walk(included.routes, prefix + route.include_context.prefix, gate)  # type: ignore[attr-defined]
        elif isinstance(route, (Mount, Host)):
            yield from _walk_mounted(route, prefix + getattr(route, "path", ""), gate)
        else:
            yield route, prefix + getattr(route, "path", "")


def _walk_mounted(mount: Mount | Host, prefix: str, gate: Gate) -> Iterator[tuple[BaseRoute, str]]:
    app: ASGIApp = getattr(mount, "_base_app", mount.app)
    if isinstance(app, Starlette):
        if _has_gate(app):
            return
        if app.middleware_stack is None:
            _stand_in_front(gate, app)
    if isinstance(app, (Starlette, Router)):
        yield from _walk(app.routes, prefix, gate)


def _refuse_bypassed(routes: Sequence[BaseRoute]) -> None:
    endpoints = [getattr(route, "endpoint", None) for route in routes]
    for route, endpoint in zip(routes, endpoints, strict=True):
        guarded = bypassed_by(endpoint)
        if guarded is None or _is_meant(endpoint):
            continue
        while guarded is not None and not any(guarded is other for other in endpoints):
            further = bypassed_by(guarded)
            if further is None:
                raise ConfigurationError(
                    f"{getattr(route, 'path', route)} serves {getattr(endpoint, '__qualname__', endpoint)} without the "
                    f"guards that were written above its route ({getattr(guarded, 'pipeline', guarded)!r}); "
                    "write the route's decorator first, at the top"
                )
            guarded = further


def _is_meant(endpoint: Any) -> bool:
    """Say whether the name that *endpoint* was defined under still means it: then more guards were put on a copy."""
    found: Any = sys.modules.get(getattr(endpoint, "__module__", ""))
    for name in getattr(endpoint, "__qualname__", "<locals>").split("."):
        found = getattr(found, name, None)
    return found is endpoint


def _serve_route(gate: Gate, route: BaseRoute, template: str) -> None:
    endpoint = getattr(route, "endpoint", None)
    state = state_of(endpoint)
    if isinstance(route, Route) and state is not None:
        _serve_function(gate, route, state, template)
    elif isinstance(route, WebSocketRoute) and state is not None:
        caller = Caller.WEBSOCKET if type(route) is WebSocketRoute else Caller.DEPENDENCY
        state.plans(caller).bind(gate)
    elif inspect.isclass(endpoint) and issubclass(endpoint, HTTPEndpoint):
        for method in vars(endpoint).values():
            method_state = state_of(method)
            if method_state is not None:
                method_state.plans(Caller.FUNCTION).bind(gate)


def _serve_function(gate: Gate, route: Route, state: GuardedFunction, template: str) -> None:
    served = getattr(route, "guards", None) or vars(route).get("handle")
    if isinstance(served, GuardsFirst):
        served.driver.route = template
        served.driver.plans.bind(gate)
    elif type(route) is not Route:
        # A subclass prepares arguments of its own, as FastAPI does: the guards go first, then its `handle`.
        route.handle = GuardsFirst(route, state, route.handle, gate, template)  # type: ignore[method-assign]  # install's job
        document(route, state.handler)
    elif isinstance(route.app, Endpoint):
        route.app.route = template
        route.app.plans.bind(gate)
    elif inspect.isfunction(route.app):
        # Not where middleware= or max_body_size= wrapped it: those have to stay around the handler.
        route.app = Endpoint(state, gate, template)
    else:
        state.plans(Caller.FUNCTION).bind(gate)


class GuardsFirst:
    """The `handle` of a route that prepares its handler's arguments itself: guards before anything is read.

    Args:
        route: the route.
        function: the state of its endpoint.
        handle: what the route would do.
        gate: the gate, where it is known.
        template: the route's template.
    """

    def __init__(
        self, route: Route, function: GuardedFunction, handle: ASGIApp, gate: Gate | None, template: str
    ) -> None:
        self._route = route
        self._handle = handle
        self.driver = AppDriver(handle, function.plans(Caller.FRAMEWORK), gate, template, entered=function)
        if gate is None:
            self.driver.plans.check()
        else:
            self.driver.plans.bind(gate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the guards and then the route; a wrong method is the route's own business."""
        methods = self._route.methods
        if methods and scope["method"] not in methods:
            await self._handle(scope, receive, send)
        else:
            await self.driver(scope, receive, send)
