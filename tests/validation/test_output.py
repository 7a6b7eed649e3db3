"""What a handler returns is checked too: data that does not fit is a fault of ours, and says nothing to the client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import fastapi
import pytest
from pydantic import BaseModel, TypeAdapter
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright import Gate
from gatewright._core.log import EventList
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.result import Result, ok
from gatewright.starlette import GuardedRoute
from gatewright.testing import call
from gatewright.validation import FromQuery, validate

pytestmark = pytest.mark.anyio

MARKER = "hunter2marker"


class Row(BaseModel):
    n: int


class Out(BaseModel):
    name: str
    rows: list[Row]


@dataclass
class Found:
    name: str
    rows: list[dict[str, Any]]
    secret: str = MARKER


@validate
async def broken(kind: FromQuery[str]) -> Result[Out]:
    found: dict[str, Any] = {
        "dict": {"name": "a", "rows": [{"n": 1}, {"n": MARKER}]},
        "object": Found("a", [{"n": MARKER}]),
        "nothing": None,
        "good": Found("a", [{"n": 1}]),
    }
    return ok(cast("Out", found[kind]))


@validate
async def confused(kind: FromQuery[str]) -> Result[Out]:
    return ok(TypeAdapter(Out).validate_python({"name": MARKER, "rows": MARKER}))


def _starlette(gate: Gate) -> ASGIApp:
    app = Starlette(routes=[Route("/broken", broken), Route("/confused", confused)])
    gate.install(app)
    return app


def _fastapi(gate: Gate) -> ASGIApp:
    app = fastapi.FastAPI()
    app.get("/broken")(broken)
    app.get("/confused")(confused)
    gate.install(app)
    return app


HOSTS = pytest.mark.parametrize("host", [_starlette, _fastapi])


@HOSTS
@pytest.mark.parametrize("where", ["/broken?dict", "/broken?object", "/broken?nothing", "/confused?any"])
async def test_data_that_does_not_fit_is_a_500_and_the_log_has_the_path_without_the_value(
    host: Callable[[Gate], ASGIApp], where: str
) -> None:
    """The same for a pydantic error that the handler raises itself: neither is the client's mistake."""
    log = EventList()
    path, _, kind = where.partition("?")
    reply = await call(host(Gate(log=log)), path=path, query=f"kind={kind}")
    assert (reply.status, reply.json["error"], reply.json["code"]) == (500, "Internal server error", "internal_error")
    assert set(reply.json) == {"success", "error", "code", "request_id"}
    written = repr(list(log))
    assert MARKER not in written and "ValidationError" in written
    if kind == "dict":
        assert "rows.1.n" in written


@HOSTS
async def test_data_that_fits_is_filtered(host: Callable[[Gate], ASGIApp]) -> None:
    """What was not declared does not leave."""
    reply = await call(host(Gate(log=EventList())), path="/broken", query="kind=good")
    assert (reply.status, reply.json["data"]) == (200, {"name": "a", "rows": [{"n": 1}]})


@pytest.mark.parametrize("route", [GuardedRoute, FastAPIRoute])
async def test_so_it_is_on_a_route_without_a_gate_around(route: Any) -> None:
    """Where the framework's own error handling is outside."""
    app = Starlette(routes=[route("/broken", broken, methods=["GET"])])
    try:
        reply = await call(app, path="/broken", query="kind=dict")
    except Exception as raised:
        # Starlette raises again what a handler raised, once it has answered, for the server's log.
        assert type(raised).__name__ == "ValidationError"
    else:
        assert reply.status == 500 and MARKER.encode() not in reply.body
