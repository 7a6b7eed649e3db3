"""Decorators: what they take, what they make of it, and what they refuse."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, Router
from starlette.types import Receive, Scope, Send

from gatewright import ConfigurationError, Gate, Principal, Result, compose, ok
from gatewright._core.app import GuardedApp
from gatewright._core.decorate import guarded_by
from gatewright._core.guard import Guard
from gatewright._core.phase import Phase
from gatewright.testing import EventList, call
from tests.toys import Identify, Refuse, Trace

identified = guarded_by(Identify())


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"app": True})(scope, receive, send)


class Served:
    """An app as an object, and in its methods."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        await _app(scope, receive, send)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, under another name."""
        await _app(scope, receive, send)


class Posts(HTTPEndpoint):
    """A class that Starlette serves as an app."""

    async def get(self, request: Request) -> JSONResponse:
        """Answer."""
        return JSONResponse({"app": True})


async def _handler(request: Request) -> Result[str]:
    return ok("handler")


APPS = [_app, Served(), Served().serve, functools.partial(_app), Posts, Starlette(routes=[Route("/", Posts)]), Router()]


@pytest.mark.parametrize("app", APPS, ids=lambda app: type(app).__name__)
def test_an_app_becomes_an_app(app: Any) -> None:
    """By its shape: an object, a class, a function or method of `scope`, `receive`, `send`."""
    guarded = identified(app)
    assert isinstance(guarded, GuardedApp)
    assert guarded.app is app
    assert repr(guarded.pipeline) == "IDENTIFY Identify()"


@pytest.mark.anyio
@pytest.mark.parametrize("app", APPS[:-1], ids=lambda app: type(app).__name__)
async def test_a_guarded_app_is_served_behind_its_guards(app: Any) -> None:
    """Whatever its shape, alone and mounted."""
    guarded = identified(app)
    gate = Gate(log=EventList())
    assert (await call(guarded, gate=gate)).status == 401
    assert (await call(guarded, gate=gate, headers={"x-caller": "u"})).json == {"app": True}
    mounted = Starlette(routes=[Mount("/in", guarded)])
    assert (await call(mounted, path="/in/", gate=gate)).status == 401
    assert (await call(mounted, path="/in/", gate=gate, headers={"x-caller": "u"})).json == {"app": True}


@pytest.mark.parametrize("function", [_handler, functools.partial(_handler), lambda request: ok()])
def test_a_function_becomes_a_function(function: Any) -> None:
    """Functions, lambdas and partials."""
    guarded = identified(function)
    assert inspect.isfunction(guarded)
    assert guarded.handler is function


def test_names_and_not_the_number_of_parameters_make_an_app() -> None:
    """A handler with three parameters is a handler; so is one that has other names for an app's."""

    async def three(self, principal: Principal, request: Request) -> None: ...  # type: ignore[no-untyped-def]
    async def renamed(s, r, t) -> None: ...  # type: ignore[no-untyped-def]

    for function in (three, renamed):
        assert inspect.isfunction(identified(function))


def test_guards_on_a_guarded_app_fold() -> None:
    """One app, one pipeline."""
    guarded = guarded_by(Trace(Phase.ADMIT))(identified(_app))
    assert guarded.app is _app
    assert [guard.name for guard in guarded.pipeline.guards] == ["trace", "identify"]


def test_a_route_is_no_handler() -> None:
    """The message says where the decorator belongs."""
    for route in (Route("/", _handler), Mount("/", _app)):
        with pytest.raises(ConfigurationError, match=r"decorate the endpoint of .*, below the route"):
            identified(route)  # type: ignore[call-overload]  # the mistake


@pytest.mark.parametrize("mistake", [5, "handler", None, dict.update, Ellipsis])
def test_what_is_neither_a_handler_nor_an_app_is_refused(mistake: Any) -> None:
    """At once, and not by the first request."""
    with pytest.raises(ConfigurationError):
        identified(mistake)


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_a_descriptor_is_refused_or_unwrapped(kind: type[Any]) -> None:
    """`@guard` above `@staticmethod` must not make a plain function of a coroutine function."""

    async def handler(request: Request) -> Result[None]:
        return ok()

    try:
        guarded = identified(kind(handler))
    except ConfigurationError:
        return
    assert guarded.handler is handler


# compose


@pytest.mark.anyio
async def test_compose_makes_one_decorator() -> None:
    """Of several, for a function and for an app, in any order, nested too."""
    one, two = guarded_by(Trace(Phase.PARSE, "p")), guarded_by(Trace(Phase.ADMIT, "a"))
    for decorator in (compose(one, two, identified), compose(two, compose(identified, one))):
        for target in (_handler, _app):
            guarded = decorator(target)  # type: ignore[call-overload]  # both are fine
            assert [guard.name for guard in guarded.pipeline.guards] == ["trace", "identify", "trace"]
            reply = await call(guarded, headers={"x-caller": "u"}, gate=Gate(log=EventList()))
            assert (reply.headers["x-trace-a"], reply.headers["x-trace-p"]) == ("ADMIT", "PARSE")


def test_compose_refuses_what_is_not_ours() -> None:
    """A foreign decorator's place in the order could not be kept; wherever it stands."""

    def foreign(handler: Any) -> Any:
        @functools.wraps(handler)
        async def wrapper(*args: Any) -> Any:
            return await handler(*args)

        return wrapper

    for decorators in ((foreign, identified), (identified, foreign), (foreign,)):
        with pytest.raises(ConfigurationError, match=r"compose\(\) takes decorators of gatewright; .*foreign"):
            compose(*decorators)(_handler)


def test_compose_of_nothing_changes_nothing_that_is_guarded() -> None:
    """The neutral element."""
    guarded = identified(_handler)
    assert compose()(guarded) is guarded


def test_decorators_print_what_they_do() -> None:
    """For people who look at a chain."""
    assert repr(identified) == "<decorator IDENTIFY Identify()>"
    assert repr(compose(identified, guarded_by(Refuse()))) == (
        "compose(<decorator IDENTIFY Identify()>, <decorator ADMIT Refuse()>)"
    )


def test_a_decorator_takes_several_guards() -> None:
    """`guarded_by` for one's own; the same object once."""
    guard: Guard = Refuse()
    assert len(guarded_by(guard, guard, Identify())(_handler).pipeline.guards) == 2
