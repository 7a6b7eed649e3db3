"""`gatewright.starlette.GuardedRoute`: guards on single routes, without installing a gate."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gatewright import ConfigurationError, Principal, Result, ok
from gatewright._core.decorate import guarded_by
from gatewright._core.endpoint import Endpoint
from gatewright.starlette import GuardedRoute
from gatewright.testing import call
from tests.core.kit import Step, printed, requests
from tests.toys import Identify

pytestmark = pytest.mark.anyio
ALICE = {"x-caller": "alice"}


@guarded_by(Identify())
async def whoami(principal: Principal) -> Result[str]:
    """Say who is calling."""
    return ok(principal.sub)


@guarded_by(Step())
async def mistaken(principal: Principal) -> Result[None]:
    """Want what nobody provides."""
    return ok()


class Adding(BaseHTTPMiddleware):
    """Adds a header."""

    async def dispatch(self, request: Request, call_next: object) -> Response:
        """Add."""
        response: Response = await call_next(request)  # type: ignore[operator]  # Starlette's
        response.headers["x-added"] = "yes"
        return response


async def test_a_guarded_endpoint_is_served_by_the_asgi_driver(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """With the default gate: guards, envelope, headers and one event, under the route's template."""
    route = GuardedRoute("/items/{item}", whoami, methods=["GET"], name="item")
    assert isinstance(route.app, Endpoint)
    assert (route.name, route.path, route.endpoint) == ("item", "/items/{item}", whoami)
    app = Starlette(routes=[route])
    reply = await call(app, path="/items/1", headers=ALICE)
    assert (reply.status, reply.json["data"]) == (200, "alice")
    assert "x-request-id" in reply.headers
    assert (await call(app, path="/items/1")).json["code"] == "unauthorized"
    assert [event["route"] for event in requests(printed(capsysbinary))] == ["/items/{item}"] * 2


async def test_methods_are_those_of_a_function() -> None:
    """GET and HEAD unless more are given."""
    app = Starlette(routes=[GuardedRoute("/", whoami)])
    assert (await call(app, method="POST", headers=ALICE)).status == 405
    assert (await call(app, method="HEAD", headers=ALICE)).status == 200


async def test_anything_else_is_served_as_by_a_route() -> None:
    """Bare functions, endpoint classes, apps."""

    async def bare(request: Request) -> Response:
        return PlainTextResponse("bare")

    class Posts(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return PlainTextResponse("class")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("app")(scope, receive, send)

    class App:
        __call__ = staticmethod(app)

    for endpoint, expected in ((bare, b"bare"), (Posts, b"class"), (App(), b"app")):
        route = GuardedRoute("/", endpoint)
        assert type(route.app) is type(Route("/", endpoint).app)
        assert (await call(Starlette(routes=[route]))).body == expected


@pytest.mark.parametrize("options", [{"middleware": [Middleware(Adding)]}, {"max_body_size": 10}])
async def test_middleware_and_body_size_of_the_route_stay_around_it(options: dict[str, object]) -> None:
    """The function driver guards it then."""
    route = GuardedRoute("/", whoami, methods=["GET", "POST"], **options)
    assert not isinstance(route.app, Endpoint)
    app = Starlette(routes=[route])
    reply = await call(app, headers=ALICE)
    assert (reply.status, reply.json["data"]) == (200, "alice")
    assert (await call(app)).status == 401
    if "middleware" in options:
        assert reply.headers["x-added"] == "yes"
    else:
        assert (await call(app, data=b"x" * 20, headers=ALICE)).status == 413


@pytest.mark.parametrize("options", [{}, {"middleware": [Middleware(Adding)]}])
def test_what_cannot_work_is_refused_when_the_route_is_built(options: dict[str, object]) -> None:
    """With or without middleware of its own."""
    with pytest.raises(ConfigurationError, match="principal is filled by @with_auth"):
        GuardedRoute("/", mistaken, **options)
