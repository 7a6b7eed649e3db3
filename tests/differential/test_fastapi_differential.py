"""FastAPI's tutorial, with and without a stack that lets everything pass: same answers, same events, same document."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.routing import APIRoute

from gatewright import Gate, compose, limit_body, limit_concurrency, timeout, with_rate_limit
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, Reply, call
from tests.differential.endpoints import register
from tests.differential.requests import ASKED, Asked

pytestmark = pytest.mark.anyio

PASSING = (limit_body(1 << 20), with_rate_limit("1000000/second"))
GUARDS_ONLY = compose(*PASSING)
WITH_SURROUND = compose(*PASSING, limit_concurrency(1000), timeout(first_byte=60, read=60))
HOSTS: dict[str, tuple[Callable[[Any], Any], type[APIRoute], bool]] = {
    "bare": (lambda endpoint: endpoint, APIRoute, False),
    "nothing installed": (GUARDS_ONLY, APIRoute, False),
    "GuardedRoute": (WITH_SURROUND, GuardedRoute, False),
    "installed": (WITH_SURROUND, APIRoute, True),
}
GUARDED = [host for host in HOSTS if host != "bare"]


@cache
def app_of(host: str) -> tuple[FastAPI, list[str]]:
    """Return the app under a host, and what its dependencies say."""
    guarded, route, installed = HOSTS[host]
    events: list[str] = []
    app = FastAPI(title="The tutorial")
    register(app, APIRouter(route_class=route), guarded, events)
    if installed:
        Gate(log=EventList()).install(app)
    return app, events


async def ask(host: str, asked: Asked) -> tuple[Reply | str, list[str]]:
    """Return the reply, or what the app raised, and the events of this request."""
    app, events = app_of(host)
    events.clear()
    try:
        reply = await call(
            app,
            method=asked.method,
            path=f"/v1{asked.path}",
            query=asked.query,
            headers=asked.headers,
            json=asked.json,
            form=asked.form,
            data=asked.data,
        )
    except RuntimeError as exc:
        return str(exc), [*events]
    return reply, [*events]


def others(bare: Reply, guarded: Reply) -> set[str]:
    """Return the names of the headers that only one of them has, or has otherwise."""
    return {name.decode() for name, _ in set(bare.raw_headers) ^ set(guarded.raw_headers)}


async def dress_of(host: str) -> set[str]:
    """Return the headers that a gate adds to whatever answer."""
    plain = Asked("GET", "/hidden")
    (bare, _), (guarded, _) = await ask("bare", plain), await ask(host, plain)
    assert isinstance(bare, Reply) and isinstance(guarded, Reply)
    return others(bare, guarded)


GOOD = [asked for asked in ASKED if asked.well]
BAD = [asked for asked in ASKED if not asked.well]


@pytest.mark.parametrize("host", GUARDED)
@pytest.mark.parametrize("asked", GOOD, ids=str)
async def test_nobody_can_tell_from_a_good_answer(host: str, asked: Asked) -> None:
    """Status, body, headers and what dependencies went through are the same; a gate's own headers come on top."""
    (bare, bare_events), (guarded, events) = await ask("bare", asked), await ask(host, asked)
    assert isinstance(bare, Reply) and isinstance(guarded, Reply)
    assert bare.status < 400 and (guarded.status, guarded.body) == (bare.status, bare.body)
    assert others(bare, guarded) <= await dress_of(host)
    assert events == bare_events


@pytest.mark.parametrize("asked", BAD, ids=str)
async def test_where_nothing_is_installed_errors_are_fastapis_own(asked: Asked) -> None:
    """The very same answer, or the same exception; dependencies with yield roll back as before."""
    (bare, bare_events), (guarded, events) = await ask("bare", asked), await ask("nothing installed", asked)
    assert events == bare_events
    if isinstance(bare, str) or isinstance(guarded, str):
        assert guarded == bare
        return
    assert bare.status >= 400 and (guarded.status, guarded.body) == (bare.status, bare.body)
    assert others(bare, guarded) <= await dress_of("nothing installed") | {"cache-control"}


@pytest.mark.parametrize("host", ["GuardedRoute", "installed"])
@pytest.mark.parametrize("asked", BAD, ids=str)
async def test_where_a_gate_renders_an_error_says_the_same(host: str, asked: Asked) -> None:
    """The same status in the envelope, but 400 for 422; the same fields; and dependencies roll back as before."""
    (bare, bare_events), (guarded, events) = await ask("bare", asked), await ask(host, asked)
    assert events == bare_events
    assert isinstance(guarded, Reply)
    if isinstance(bare, str):
        assert (guarded.status, guarded.json["error"]) == (500, "Internal server error")
        assert bare.encode() not in guarded.body
        return
    if guarded.body == bare.body:
        # The author's own handler; and what no route answers, where a gate is in front of single routes only.
        assert guarded.status == bare.status == 418 or (host == "GuardedRoute" and bare.status in (404, 405))
        return
    assert guarded.status == {422: 400}.get(bare.status, bare.status)
    told, said = bare.json["detail"], guarded.json
    assert said["success"] is False
    if isinstance(told, str):
        assert said["error"] == told
    if bare.status == 422:
        wrong = {".".join(map(str, error["loc"][1:] or error["loc"])) for error in told}
        assert set(said["details"]) == (wrong if told[0]["type"] != "json_invalid" else {"_root"})


@pytest.mark.parametrize("host", GUARDED)
def test_the_document_is_the_same(host: str) -> None:
    """Guards that read nothing change nothing that OpenAPI says, down to the last operation id."""
    assert app_of(host)[0].openapi() == app_of("bare")[0].openapi()


async def test_a_frameworks_own_error_passes_as_it_is_behind_a_gate_that_does_not_render() -> None:
    """A gate in front of the app adds its headers when the answer passes it; what the error says stays."""
    app = FastAPI()

    @app.get("/")
    @GUARDS_ONLY
    async def refuse() -> None:
        raise HTTPException(409, {"why": "taken"}, {"x-own": "1"})

    reply = await call(Gate(log=EventList()).wrap(app))
    assert (reply.status, reply.json, reply.headers["x-own"]) == (409, {"detail": {"why": "taken"}}, "1")
    assert len(reply.headers["x-request-id"].split(",")) == 1
