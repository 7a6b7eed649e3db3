"""Proof (a): what hardening costs, counted in calls, which do not depend on the machine.

`tests/benchmarks` measures time; here the count holds the line, because a step that slips onto the hot path is a call.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import anyio
import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from gatewright import (
    FromBody,
    Gate,
    Principal,
    Result,
    SessionCookie,
    by_principal,
    ok,
    validate,
    with_auth,
    with_rate_limit,
)
from gatewright._core.decorate import guarded_by
from gatewright._core.phase import Phase
from tests.toys import Trace

BODY = json.dumps({"title": "hello", "body": "x" * 160}).encode()
session: SessionCookie = SessionCookie()


class Item(BaseModel):
    """What is posted."""

    title: str
    body: str


class Out(BaseModel):
    """What is answered."""

    id: int
    title: str


async def _bare(request: Request) -> JSONResponse:
    data = await request.json()
    return JSONResponse({"success": True, "data": {"id": 1, "title": data["title"]}})


@with_rate_limit("1000/minute", by=by_principal)
@with_auth(session)
@validate
async def _hardened(body: FromBody[Item], principal: Principal) -> Result[Out]:
    return ok(Out(id=1, title=body.title))


def _calls(app: ASGIApp, cookie: bytes, requests: int = 20) -> float:
    """Count the calls, of Python and of C, that one request makes once the app is warm."""
    counted = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    async def one() -> None:
        headers = [(b"host", b"x"), (b"content-type", b"application/json"), (b"cookie", cookie)]
        headers.append((b"content-length", b"%d" % len(BODY)))
        scope: dict[str, Any] = {
            "type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "",
            "scheme": "http", "http_version": "1.1", "headers": headers, "client": ("10.0.0.1", 1), "state": {},
        }  # fmt: skip

        async def receive() -> Message:
            return {"type": "http.request", "body": BODY, "more_body": False}

        async def send(message: Message) -> None:
            assert message.get("status", 200) == 200

        await app(scope, receive, send)

    async def many() -> None:
        for _ in range(5):
            await one()
        sys.setprofile(count)
        try:
            for _ in range(requests):
                await one()
        finally:
            sys.setprofile(None)

    anyio.run(many)
    return counted / requests


def _app(handler: Any, gate: Gate | None = None) -> ASGIApp:
    app = Starlette(routes=[Route("/", handler, methods=["POST"])])
    if gate is not None:
        gate.install(app)
    return app


def test_the_hardened_post_makes_few_more_calls_than_the_bare_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Session, limit, schema, envelope, headers, request id and log line: as many calls again as Starlette's own."""
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO()))
    gate = Gate(keys=["0123456789abcdef" * 2])
    cookie = session.create_session("u1").header(gate).split(b";")[0]
    bare, hardened = _calls(_app(_bare), cookie), _calls(_app(_hardened, gate), cookie)
    assert hardened / bare < 2.5


def test_guards_cost_the_same_whether_they_are_few_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twentieth guard makes no more calls than the second: nothing is looked up, nothing is nested."""
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO()))
    gate = Gate(keys=["0123456789abcdef" * 2])
    counts = []
    for number in (0, 10, 20):
        handler = _hardened
        if number:
            handler = guarded_by(*(Trace(Phase.ADMIT, f"t{index}") for index in range(number)))(_hardened)
        cookie = session.create_session("u1").header(gate).split(b";")[0]
        counts.append(_calls(_app(handler, Gate(keys=gate.keys)), cookie))
    first, second = counts[1] - counts[0], counts[2] - counts[1]
    assert second <= first * 1.1
