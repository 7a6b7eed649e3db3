"""`@security_headers`: another policy for one handler, or one app."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from gatewright import ConfigurationError, Gate, HeaderPolicy, Result, ok, security_headers
from gatewright._core.decorate import guarded_by
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, call
from tests.toys import Refuse

pytestmark = pytest.mark.anyio
FRAMED = HeaderPolicy(frame_options="SAMEORIGIN", referrer_policy=None, permissions_policy="camera=()")


async def _handler(request: Request) -> Result[None]:
    return ok()


def _routes(handler: Any, gate: Gate | None = None) -> Starlette:
    app = Starlette(routes=[Route("/", handler)])
    if gate is not None:
        gate.install(app)
    return app


@pytest.mark.parametrize("installed", [False, True])
async def test_a_policy_replaces_the_gate_s(installed: bool) -> None:
    """Its headers are sent, what it leaves out is left out, what it does not name has its default."""
    gate = Gate(log=EventList()) if installed else None
    reply = await call(_routes(security_headers(FRAMED)(_handler), gate))
    assert (reply.headers["x-frame-options"], reply.headers["permissions-policy"]) == ("SAMEORIGIN", "camera=()")
    assert "referrer-policy" not in reply.headers
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_a_refusal_wears_the_policy_too() -> None:
    """It is set before anything can refuse."""
    handler = guarded_by(Refuse())(security_headers(FRAMED)(_handler))
    reply = await call(handler, gate=Gate(log=EventList()))
    assert (reply.status, reply.headers["x-frame-options"]) == (429, "SAMEORIGIN")


async def test_the_default_is_the_api_preset() -> None:
    """Also behind a gate that sends none."""
    gate = Gate(headers=None, log=EventList())
    assert "x-frame-options" not in (await call(_handler_of(_handler), gate=gate)).headers
    reply = await call(security_headers()(_handler), gate=gate)
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")


def _handler_of(handler: Any) -> Any:
    return guarded_by()(handler)


async def test_the_nearest_policy_wins() -> None:
    """A handler's over its app's, an app's over its gate's."""
    inner = security_headers(HeaderPolicy(frame_options="INNER"))(_handler)
    app = Starlette(routes=[Route("/inner", inner), Route("/", guarded_by()(_handler))])
    outer = security_headers(HeaderPolicy(frame_options="OUTER"))(app)
    gate = Gate(log=EventList())
    assert (await call(outer, path="/inner", gate=gate)).headers["x-frame-options"] == "INNER"
    assert (await call(outer, gate=gate)).headers["x-frame-options"] == "OUTER"
    assert (await call(outer, path="/nowhere", gate=gate)).headers["x-frame-options"] == "OUTER"


async def test_an_answer_s_own_header_wins() -> None:
    """What the handler sets is not sent twice."""

    @security_headers(FRAMED)
    async def handler(request: Request) -> Response:
        return PlainTextResponse("", headers={"X-Frame-Options": "ALLOWALL"})

    reply = await call(handler, gate=Gate(log=EventList()))
    assert [value for name, value in reply.raw_headers if name == b"x-frame-options"] == [b"ALLOWALL"]


async def test_a_page_gets_a_policy_that_lets_it_work() -> None:
    """`text/html` is not framed, and may have its scripts."""

    @security_headers()
    async def handler(request: Request) -> Response:
        return HTMLResponse("<p>")

    reply = await call(handler, gate=Gate(log=EventList()))
    assert reply.headers["content-security-policy"] == "base-uri 'none'; frame-ancestors 'none'; object-src 'none'"


async def test_strict_transport_security_is_for_https_only() -> None:
    """A browser ignores it over HTTP (RFC 6797, section 7.2)."""
    handler, gate = security_headers(FRAMED)(_handler), Gate(log=EventList())
    assert "strict-transport-security" in (await call(handler, gate=gate)).headers
    assert "strict-transport-security" not in (await call(handler, gate=gate, scheme="http")).headers


@pytest.mark.parametrize("how", ["plain", "route class", "installed"])
async def test_a_policy_on_fastapi(how: str) -> None:
    """In each of the three ways."""
    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()
    router.get("/")(security_headers(FRAMED)(_handler))
    app = FastAPI()
    app.include_router(router)
    if how == "installed":
        Gate(log=EventList()).install(app)
    reply = await call(app)
    assert (reply.headers["x-frame-options"], "referrer-policy" in reply.headers) == ("SAMEORIGIN", False)


def test_two_policies_are_refused() -> None:
    """One handler, one policy."""
    with pytest.raises(ConfigurationError, match="two security_headers"):
        security_headers()(security_headers()(_handler))
