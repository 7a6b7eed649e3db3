"""`request.user` and `request.auth`, for Starlette code that reads them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi import Request as FastRequest
from starlette.applications import Starlette
from starlette.authentication import BaseUser, requires
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from gatewright import BearerToken, Gate, Ok, Principal, ok, with_auth
from gatewright.auth.users import PrincipalUser
from gatewright.testing import EventList, call

pytestmark = pytest.mark.anyio


@dataclass
class Author:
    name: str


def _lookup(token: str) -> Principal[Author] | None:
    if token == "bad":
        return None
    return Principal(token, "bearer", scopes=frozenset({"read"}), roles=frozenset({"write"}), user=Author("Ada"))


bearer = BearerToken(_lookup)
ADA = {"authorization": "Bearer ada"}


def shown(request: Request) -> dict[str, Any]:
    user = request.user
    said: dict[str, Any] = {"in": user.is_authenticated, "name": user.display_name, "own": getattr(user, "name", None)}
    return said | {"scopes": sorted(request.auth.scopes)}


@with_auth(bearer, optional=True)
async def show(request: Request) -> Ok[dict[str, Any]]:
    return ok(shown(request))


KNOWN = {"in": True, "name": "ada", "scopes": ["authenticated", "read"], "own": "Ada"}
UNKNOWN = {"in": False, "name": "", "scopes": [], "own": None}


@pytest.mark.parametrize(("headers", "expected"), [(ADA, KNOWN), ({}, UNKNOWN)])
@pytest.mark.parametrize("installed", [True, False])
async def test_a_starlette_handler_reads_its_user(headers: dict[str, str], expected: Any, installed: bool) -> None:
    """With a gate and without; the loaded user's own attributes are there, too."""
    app = Starlette(routes=[Route("/", show)])
    if installed:
        Gate(log=EventList()).install(app)
    assert (await call(app, headers=headers)).json["data"] == expected


async def test_fastapi_reads_it_too() -> None:
    """It is the same request."""
    app = FastAPI()

    @app.get("/")
    @with_auth(bearer)
    async def _(request: FastRequest) -> dict[str, Any]:
        return shown(request)

    assert (await call(app, headers=ADA)).json == KNOWN


async def test_an_app_inside_reads_it() -> None:
    """And Starlette's own `requires` goes by it: scopes, and never a role of the same name."""

    @requires("read")
    async def may(request: Request) -> JSONResponse:
        return JSONResponse(shown(request))

    @requires("write")
    async def may_not(request: Request) -> JSONResponse:
        raise AssertionError("a role is no scope")

    inside = Starlette(routes=[Route("/may", may), Route("/may-not", may_not)])
    app = Starlette(routes=[Mount("/in", with_auth(bearer)(inside))])
    assert (await call(app, path="/in/may", headers=ADA)).json == KNOWN
    assert (await call(app, path="/in/may-not", headers=ADA)).status == 403


async def test_a_refused_credential_makes_nobody_a_user() -> None:
    """There is no handler that could read it."""
    app = Starlette(routes=[Route("/", show)])
    assert (await call(app, headers={"authorization": "Bearer bad"})).status == 401


def test_it_is_a_user_as_starlette_knows_them() -> None:
    """With an identity; what neither it nor the loaded user has is an AttributeError, also while it is copied."""
    user = PrincipalUser(Principal("ada", user=Author("Ada")))
    assert isinstance(user, BaseUser) and (user.identity, user.name) == ("ada", "Ada")
    with pytest.raises(AttributeError, match="age"):
        _ = user.age
    assert copy.copy(user).principal == user.principal
    with pytest.raises(AttributeError, match="name"):
        _ = PrincipalUser(Principal("ada")).name
