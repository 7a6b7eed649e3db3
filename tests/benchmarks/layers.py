"""Where the time of the hardened POST goes: one layer more at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gatewright import FromBody, Gate, HeaderPolicy, Principal, Result, SessionCookie, ok, validate, with_auth
from tests.benchmarks import bare, ours
from tests.benchmarks.candidates import BARE, creating
from tests.benchmarks.method import Effort, Setup, measure
from tests.benchmarks.table import Table, micro, ratio
from tests.benchmarks.wire import serving
from tests.benchmarks.work import PATH, SECRET, USERS, CreatePost, Post, Served, post_by

__all__ = ["table"]

_NOTE = (
    "Each row has what the rows above it have, and one thing more. The first two rows parse no JSON, and from "
    "`@validate` on pydantic does what `request.json()` does for bare Starlette."
)
_session = SessionCookie()


class _Silent:
    """A logger that drops events."""

    def info(self, event: str, /, **fields: object) -> None:
        """Drop an event."""

    error = info


async def _fixed(request: Request) -> JSONResponse:
    post = {"id": 1, "title": "Hello", "author": USERS[0]}
    return JSONResponse({"success": True, "data": post}, status_code=201)


@validate
async def _validated(body: FromBody[CreatePost]) -> Result[Post]:
    return ok(post_by(USERS[0], body), status=201)


@with_auth(_session)
@validate
async def _identified(body: FromBody[CreatePost], principal: Principal) -> Result[Post]:
    return ok(post_by(principal.sub, body), status=201)


_ENDPOINTS: dict[str, Callable[..., Any]] = {"fixed": _fixed, "validated": _validated, "identified": _identified}


def _app(endpoint: str, *, gate: bool = True, headers: bool = True, log: bool = True) -> Served:
    app = Starlette(routes=[Route(PATH, _ENDPOINTS[endpoint], methods=["POST"])])
    own = Gate(keys=[SECRET], headers=HeaderPolicy() if headers else None, log=None if log else _Silent())
    if gate:
        own.install(app)
    return ours.served(app, own, _session)


_LAYERS: dict[str, Setup] = {
    "Starlette, a fixed `JSONResponse`": partial(serving, partial(_app, "fixed", gate=False), 201),
    "+ a gate: call, request id, redaction": partial(serving, partial(_app, "fixed", headers=False, log=False), 201),
    "+ security headers": partial(serving, partial(_app, "fixed", log=False), 201),
    "+ structlog, JSON, write": partial(serving, partial(_app, "fixed"), 201),
    "+ the ASGI driver, `@validate`, envelope": partial(serving, partial(_app, "validated"), 201),
    "+ `@with_auth`": partial(serving, partial(_app, "identified"), 201),
    "+ `@with_rate_limit`": creating(ours.installed),
}


def table(effort: Effort) -> Table:
    """Measure the layers, and how much each adds."""
    figures = measure({BARE: creating(bare.starlette), **_LAYERS}, effort)
    base = figures.pop(BARE).minimum
    costs = {name: own.minimum for name, own in figures.items()}
    below = [0.0, *costs.values()]
    rows = [
        (name, micro(cost), micro(cost - before), ratio(cost, base))
        for (name, cost), before in zip(costs.items(), below, strict=False)
    ]
    return Table("Layers", ("with", "min µs", "more than before", "÷ bare, min"), rows, _NOTE)
