"""One handler behind a gate, in each of the ways in which an app may have it."""

from __future__ import annotations

from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright import Gate
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.starlette import GuardedRoute

__all__ = ["Host", "fastapi", "fastapi_route", "plain_route", "starlette", "starlette_route"]


class Host(Protocol):
    """Put a handler on a route."""

    def __call__(self, handler: Any, gate: Gate, path: str = "/", method: str = "POST") -> ASGIApp:
        """Return the app."""
        ...


def starlette(handler: Any, gate: Gate, path: str = "/", method: str = "POST") -> ASGIApp:
    """On a Starlette app with the gate installed."""
    app = Starlette(routes=[Route(path, handler, methods=[method])])
    gate.install(app)
    return app


def starlette_route(handler: Any, gate: Gate, path: str = "/", method: str = "POST") -> ASGIApp:
    """On a guarded route of a Starlette app, with the gate in front."""
    return gate.wrap(Starlette(routes=[GuardedRoute(path, handler, methods=[method])]))


def plain_route(handler: Any, gate: Gate, path: str = "/", method: str = "POST") -> ASGIApp:
    """On a route that knows nothing of guards, with the gate in front: the function driver."""
    return gate.wrap(Starlette(routes=[Route(path, handler, methods=[method])]))


def fastapi(handler: Any, gate: Gate, path: str = "/", method: str = "POST") -> ASGIApp:
    """On a FastAPI app with the gate installed."""
    app = FastAPI()
    app.api_route(path, methods=[method])(handler)
    gate.install(app)
    return app


def fastapi_route(handler: Any, gate: Gate, path: str = "/", method: str = "POST") -> ASGIApp:
    """On a guarded route of a FastAPI app, with the gate in front."""
    router = APIRouter(route_class=FastAPIRoute)
    router.api_route(path, methods=[method])(handler)
    app = FastAPI()
    app.include_router(router)
    return gate.wrap(app)
