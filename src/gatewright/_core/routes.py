"""What an app really serves: every leaf of its routes, under its template, down through mounts and included routers.

`gate.install` looks at the routes as they were written, because that is where guards are; this looks at what will be
called, which may be a copy, an app of somebody else, or what answers where no route does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import is_
from typing import Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import BaseRoute, Host, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright._core.app import GuardedApp
from gatewright._core.document import guarded_dependencies
from gatewright._core.function import state_of
from gatewright._core.guard import Guard

__all__ = ["Enclosed", "Leaf", "Routes", "inner_handle", "own_handle", "put_handle"]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_LOW_PRIORITY = "_low_priority_routes"


class Enclosed:
    """Stand in the place of a route's `handle`, in front of what that place held.

    Attributes:
        app: what it held.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what stands behind."""
        await self.app(scope, receive, send)


def inner_handle(route: Route) -> ASGIApp:
    """Return what *route* does, without what stands in front of it."""
    handle: ASGIApp = route.handle
    return handle.app if isinstance(handle, Enclosed) else handle


def own_handle(route: Route) -> ASGIApp | None:
    """Return what this one route does in place of what all of its class do; None where it does just that."""
    handle = inner_handle(route)
    return None if inspect.ismethod(handle) and handle.__self__ is route else handle


def put_handle(route: Route, handle: ASGIApp) -> None:
    """Let *route* do this, behind what stands in front of it."""
    enclosed = vars(route).get("handle")
    if isinstance(enclosed, Enclosed):
        enclosed.app = handle
    else:
        vars(route)["handle"] = handle


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """One place that serves requests.

    Attributes:
        holder: the object that a router calls.
        attribute: under which name; replace that to stand in front.
        template: the template, with the prefixes of mounts and included routers.
        deep: whether it serves everything below the template, too.
        endpoint: what is served: a function, a class, an app.
        methods: the methods that it serves; None for all that there may be.
    """

    holder: Any
    attribute: str
    template: str
    deep: bool
    endpoint: object
    methods: frozenset[str] | None

    @property
    def app(self) -> ASGIApp:
        """Return what the router calls now."""
        app: ASGIApp = getattr(self.holder, self.attribute)
        return app

    @property
    def is_class(self) -> bool:
        """Say whether the endpoint has a method of its own for each of HTTP's."""
        return inspect.isclass(self.endpoint) and issubclass(self.endpoint, HTTPEndpoint)

    def guards(self, method: str | None) -> Sequence[Guard]:
        """Return the guards of the endpoint's own pipeline, for one method, and of its FastAPI dependencies."""
        among = guarded_dependencies(getattr(self.holder, "dependant", None))
        return [*self._own(method), *(guard for state in among for guard in state.pipeline.guards)]

    def _own(self, method: str | None) -> Sequence[Guard]:
        endpoint: Any = self.endpoint
        if self.is_class:
            if method is None or endpoint.dispatch is not HTTPEndpoint.dispatch:
                return ()
            named = "get" if method == "HEAD" and not hasattr(endpoint, "head") else method.lower()
            endpoint = getattr(endpoint, named, None)
        if isinstance(endpoint, GuardedApp):
            return endpoint.pipeline.guards
        state = state_of(endpoint)
        return () if state is None else state.pipeline.guards


class Routes:
    """Find the leaves of an app, and notice when others came.

    Args:
        app: the app.
        enters: says of an app that is mounted inside whether its routes count.

    Attributes:
        leaves: what was found.
    """

    def __init__(self, app: Starlette, enters: Callable[[Starlette], bool]) -> None:
        self.leaves: list[Leaf] = []
        self._enters = enters
        self._looks: list[Callable[[], Sequence[object]]] = []
        self._router(app.router, "")
        self._seen: list[tuple[object, ...]] = []

    def settle(self) -> None:
        """Take what is there now for what was found."""
        self._seen = [tuple(look()) for look in self._looks]

    @property
    def changed(self) -> bool:
        """Say whether a route came or went since; asked for each request, and cheaper than the matching after it."""
        for look, seen in zip(self._looks, self._seen, strict=True):
            now = look()
            # By identity: routes compare equal that are not the same.
            if len(now) != len(seen) or not all(map(is_, now, seen)):
                return True
        return False

    def _watched(self, look: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        self._looks.append(look)
        return look()

    def _router(self, router: Router, prefix: str) -> None:
        for route in self._watched(partial(getattr, router, "routes")):
            # FastAPI since 0.137 keeps an included router as one route.
            if hasattr(route, "original_router"):
                self._included(route, prefix)
                self._of_low_priority(route.effective_low_priority_routes, prefix)
            else:
                self._route(route, prefix, getattr(route, "path", ""))
        if hasattr(router, _LOW_PRIORITY):
            self._of_low_priority(partial(getattr, router, _LOW_PRIORITY), prefix)
        # Watched too: it may be set later.
        self._watched(lambda: (router.default,))
        if _app_of(router.default) != router.not_found:
            self._found(router, "default", prefix, deep=True, endpoint=_app_of(router.default))

    def _included(self, branch: Any, prefix: str) -> None:
        """Find what FastAPI serves of an included router: of its own routes themselves, of others a copy."""
        for candidate in self._watched(branch.effective_candidates):
            if hasattr(candidate, "original_router"):
                self._included(candidate, prefix)
            else:
                served = candidate.starlette_route or candidate.original_route
                path = candidate.path if candidate.starlette_route is None else getattr(served, "path", "")
                self._route(served, prefix, path)

    def _of_low_priority(self, look: Callable[[], Sequence[Any]], prefix: str) -> None:
        """Find the files that FastAPI serves where no route does (`app.frontend`)."""
        for found in self._watched(look):
            group = getattr(found, "original_route", found)
            attribute = "handle" if group is found else "app"
            for route in self._watched(partial(getattr, group, "routes")):
                template = prefix + getattr(found, "frontend_prefix", "") + route.path
                self._found(found, attribute, template, deep=True, endpoint=group)

    def _route(self, route: BaseRoute, prefix: str, path: str) -> None:
        if not isinstance(route, (Mount, Host)):
            endpoint = getattr(route, "endpoint", None)
            self._found(route, "handle", prefix + path, False, endpoint, _methods(route, endpoint))
            return
        app: Any = getattr(route, "_base_app", route.app)
        if isinstance(app, Starlette):
            if self._enters(app):
                self._router(app.router, prefix + path)
        elif isinstance(app, Router):
            self._router(app, prefix + path)
        else:
            self._found(route, "handle", prefix + path, deep=True, endpoint=app)

    def _found(
        self,
        holder: object,
        attribute: str,
        template: str,
        deep: bool,
        endpoint: object,
        methods: frozenset[str] | None = None,
    ) -> None:
        template = template.rstrip("/") if deep else template
        self.leaves.append(Leaf(holder, attribute, template, deep, endpoint, methods))


def _app_of(app: object) -> object:
    return app.app if isinstance(app, Enclosed) else app


def _methods(route: BaseRoute, endpoint: object) -> frozenset[str] | None:
    if inspect.isclass(endpoint) and issubclass(endpoint, HTTPEndpoint):
        own = [method for method in _METHODS if hasattr(endpoint, method.lower())]
        return frozenset([*own, "HEAD"] if "GET" in own else own)
    methods: Iterable[str] | None = getattr(route, "methods", None)
    return frozenset(methods) if methods else None
