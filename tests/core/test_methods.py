"""What changes something is out of the reach of a GET; guards that leave for others, and what they carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from gatewright import Call, ConfigurationError, Gate, compose
from gatewright._core.decorate import guarded_by
from gatewright._core.function import GuardedFunction
from gatewright._core.guard import Guard
from gatewright._core.methods import SAFE_METHODS, refuse_safe
from gatewright._core.phase import Phase
from gatewright._core.pipeline import Pipeline
from gatewright.errors import MethodNotAllowed
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.starlette import GuardedRoute
from gatewright.testing import EventList, call, make_call
from tests.core.kit import Step

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Changing(Guard):
    """Something stands behind that changes something."""

    name = "changing"
    phase = Phase.ENCLOSE
    changes = True

    def enter(self, call: Call) -> None:
        """Refuse what is safe."""
        refuse_safe(call)


changing = guarded_by(Changing())


@changing
async def change() -> Response:
    return PlainTextResponse("changed")


@guarded_by(Step())
async def look() -> Response:
    return PlainTextResponse("seen")


# When a route is put together


@pytest.mark.parametrize("methods", [None, ["GET"], ["HEAD", "POST"], ["OPTIONS"], ["get", "post"]])
def test_a_route_that_serves_a_safe_method_is_refused(methods: list[str] | None) -> None:
    """By `install` and by both route classes, with what to write instead; a route without methods serves GET."""
    message = r'changing changes something, and this route serves [A-Z, ]+; write methods=\["POST"\]'
    with pytest.raises(ConfigurationError, match=f"/posts: {message}"):
        Gate().install(Starlette(routes=[Route("/posts", change, methods=methods)]))
    with pytest.raises(ConfigurationError, match=message):
        GuardedRoute("/posts", change, methods=methods)
    router = APIRouter(route_class=FastAPIRoute)
    with pytest.raises(ConfigurationError, match=message):
        router.add_api_route("/posts", change, methods=methods, response_model=None)
    app = FastAPI()
    app.add_api_route("/posts", change, methods=methods, response_model=None)
    with pytest.raises(ConfigurationError, match=message):
        Gate().install(app)


def test_where_it_is_mounted_it_is_named_whole() -> None:
    """As the client would ask for it."""
    inner = Starlette(routes=[Route("/posts", change)])
    with pytest.raises(ConfigurationError, match=r"^/api/posts: "):
        Gate().install(Starlette(routes=[Mount("/api", inner)]))


def test_a_method_of_an_endpoint_class_is_its_name() -> None:
    """`get` cannot change anything, and `post` can."""

    class Wrong(HTTPEndpoint):
        @changing
        async def get(self) -> Response:
            return Response()

    class Right(HTTPEndpoint):
        @changing
        async def post(self) -> Response:
            return Response()

        @guarded_by(Step())
        async def get(self) -> Response:
            return Response()

    with pytest.raises(ConfigurationError, match="this route serves GET"):
        Gate().install(Starlette(routes=[Route("/", Wrong)]))
    Gate().install(Starlette(routes=[Route("/", Right)]))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_other_methods_are_served(method: str) -> None:
    """On every kind of route."""
    gate = Gate(log=EventList())
    installed = Starlette(routes=[Route("/", change, methods=[method])])
    gate.install(installed)
    router = APIRouter(route_class=FastAPIRoute)
    router.add_api_route("/", change, methods=[method], response_model=None)
    app = FastAPI()
    app.include_router(router)
    for served in (installed, Starlette(routes=[GuardedRoute("/", change, methods=[method])]), app):
        assert (await call(served, method=method)).body == b"changed"


def test_what_changes_nothing_is_served_by_any() -> None:
    """The check is about what says that it changes something."""
    Gate().install(Starlette(routes=[Route("/", look)]))


# When it is called


@pytest.mark.parametrize("method", sorted(SAFE_METHODS))
async def test_a_safe_method_is_refused_at_run_time(method: str) -> None:
    """Where no route says which methods there are: 405, with what is allowed (RFC 9110, 15.5.6)."""
    reply = await call(change, method=method, gate=Gate(log=EventList()))
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    with pytest.raises(MethodNotAllowed):
        refuse_safe(make_call(method=method))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE"])
def test_what_is_not_known_to_be_safe_passes(method: str) -> None:
    """Nobody is led to such a request by a link."""
    refuse_safe(make_call(method=method))


# Guards that leave a pipeline for others


@dataclass(frozen=True)
class Implied(Guard):
    """One that others bring along."""

    name = "implied"
    phase = Phase.ADMIT
    single = True
    written: bool = False

    def yields_to(self, other: Guard) -> bool:
        """Leave for one that was written."""
        return isinstance(other, Implied) and other.written and not self.written

    def enter(self, call: Call) -> None:
        """Let everything pass."""

    def carries(self, function: GuardedFunction) -> Mapping[str, Any]:
        """Say what it is, and about which function."""
        return {"implied": not self.written, "about": function.function.__name__}


@pytest.mark.parametrize("order", [(False, True), (True, False), (False, True, False)])
def test_an_implied_guard_leaves_for_a_written_one(order: tuple[bool, ...]) -> None:
    """In whatever order they come, at once or one after another; a second implied one would be one too many."""
    guards = [Implied(written) for written in dict.fromkeys(order)]
    assert Pipeline().with_(*guards).guards == (Implied(written=True),)
    assert Pipeline().with_(guards[0]).with_(*guards[1:]).guards == (Implied(written=True),)


def test_it_stays_where_nothing_else_is_written() -> None:
    """Beside guards of any other kind."""
    step = Step()
    assert set(Pipeline().with_(Implied(), step).guards) == {Implied(), step}


def test_two_that_were_written_are_still_one_too_many() -> None:
    """Leaving is for those that nobody wrote."""
    with pytest.raises(ConfigurationError, match="two implied"):
        Pipeline().with_(Implied(written=True)).with_(Implied(written=True))


# What a decorated function has on a guard's behalf


def test_a_function_carries_what_its_guards_say() -> None:
    """The attributes of the guards that are there in the end."""

    async def handler() -> None: ...

    by_implied: Any = guarded_by(Implied())(handler)
    by_written: Any = guarded_by(Implied(written=True))(by_implied)
    assert (by_implied.implied, by_implied.about) == (True, "handler")
    assert (by_written.implied, by_written.handler) == (False, handler)
    composed: Any = compose(guarded_by(Implied()), guarded_by(Step()))(handler)
    assert composed.implied


def test_a_guard_carries_nothing_by_itself() -> None:
    """Most have nothing to give."""
    assert not hasattr(guarded_by(Step())(look.handler), "implied")
    assert Step().carries(None) == {}  # type: ignore[arg-type]
    assert not Step().yields_to(Implied())
