"""gatewright, in each of the ways in which it is used."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Route

from gatewright import (
    FromBody,
    Gate,
    Guarded,
    Principal,
    Result,
    SessionCookie,
    by_principal,
    ok,
    validate,
    with_auth,
    with_rate_limit,
)
from gatewright.starlette import GuardedRoute
from tests.benchmarks.work import PATH, SECRET, CreatePost, Post, Served, post_by

__all__ = ["fastapi_guarded_route", "function_driver", "guarded_route", "hardened", "installed", "served"]

_session = SessionCookie()
# Where no gate is installed there are no keys to share.
_own_session = SessionCookie(keys=[SECRET])


def hardened(limit: str, session: SessionCookie = _session) -> Guarded[..., object]:
    """Return the hardened handler."""

    @with_rate_limit(limit, by=by_principal)
    @with_auth(session)
    @validate
    async def create_post(body: FromBody[CreatePost], principal: Principal) -> Result[Post]:
        return ok(post_by(principal.sub, body), status=201)

    return create_post


def served(app: Starlette, gate: Gate, session: SessionCookie = _session) -> Served:
    """Return an app with the sessions that its users have."""

    def cookie(user: str) -> bytes:
        return session.create_session(user).header(gate).partition(b";")[0]

    return Served(app, cookie)


def installed(limit: str) -> Served:
    """Install a gate on a Starlette app."""
    app = Starlette(routes=[Route(PATH, hardened(limit), methods=["POST"])])
    gate = Gate(keys=[SECRET])
    gate.install(app)
    return served(app, gate)


def guarded_route(limit: str) -> Served:
    """Serve through `GuardedRoute`, with nothing installed."""
    return _alone(GuardedRoute(PATH, hardened(limit, _own_session), methods=["POST"]))


def function_driver(limit: str) -> Served:
    """Serve a decorated function on a plain route, with nothing installed."""
    return _alone(Route(PATH, hardened(limit, _own_session), methods=["POST"]))


def _alone(route: Route) -> Served:
    return served(Starlette(routes=[route]), Gate(), _own_session)


def fastapi_guarded_route(limit: str) -> Served:
    """Serve a FastAPI path operation through `GuardedRoute`, in an app that has a gate."""
    # Here, so that the candidates without FastAPI do without it.
    from fastapi import APIRouter, FastAPI

    from gatewright.fastapi import GuardedRoute

    router = APIRouter(route_class=GuardedRoute)
    router.post(PATH, status_code=201)(hardened(limit))
    app = FastAPI()
    app.include_router(router)
    gate = Gate(keys=[SECRET])
    gate.install(app)
    return served(app, gate)
