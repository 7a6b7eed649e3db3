"""Every refusal on every host: the same status, the same envelope, the same headers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright import (
    BearerToken,
    FromBody,
    Gate,
    NotFound,
    PageParams,
    Principal,
    Result,
    Verified,
    compose,
    err,
    limit_body,
    ok,
    paginate,
    require,
    role,
    validate,
    verify_webhook,
    with_auth,
    with_rate_limit,
)
from gatewright._core.decorate import Decorator
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.starlette import GuardedRoute as StarletteRoute
from gatewright.testing import EventList, FrozenClock, Reply, call
from gatewright.webhooks import stripe

pytestmark = pytest.mark.anyio

bearer = BearerToken(lambda token: Principal("u1", "bearer") if token == "good" else None)
GOOD = {"Authorization": "Bearer good"}


class Item(BaseModel):
    """What the handlers take."""

    name: str = Field(min_length=2)


# What stands behind the guards; plain functions, from which each host's shape is made.


def take(body: FromBody[Item]) -> Result[Item]:
    """Give back what came."""
    return ok(body)


def nothing() -> Result[None]:
    """Succeed without data."""
    return ok()


def page(params: PageParams) -> Result[int]:
    """Give back the page."""
    return ok(params.page)


def hook(event: Verified) -> Result[None]:
    """Take a webhook."""
    return ok()


def missing() -> Result[None]:
    """Find nothing."""
    raise NotFound("no such post")


def taken() -> Result[None]:
    """Return a refusal."""
    return err("taken", status=409, code="email_taken", details={"email": ["taken"]})


def broken() -> Result[None]:
    """Fail with a secret in the message."""
    raise ValueError("postgres://user:hunter2@db")


@dataclass(frozen=True)
class Case:
    """One way to be refused."""

    name: str
    handler: Callable[..., Any]
    guards: Callable[[], Decorator]
    status: int
    code: str
    request: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, list[str]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    before: int = 0
    on_apps: bool = False


def _nobody() -> Decorator:
    return with_auth(bearer)


CASES = [
    Case(
        "no credential",
        nothing,
        _nobody,
        401,
        "unauthorized",
        headers={"www-authenticate": 'Bearer realm="api"'},
        on_apps=True,
    ),
    Case(
        "rejected credential",
        nothing,
        _nobody,
        401,
        "invalid_token",
        {"headers": {"Authorization": "Bearer bad"}},
        headers={"www-authenticate": 'Bearer realm="api", error="invalid_token"'},
        on_apps=True,
    ),
    Case(
        "not allowed",
        nothing,
        lambda: compose(with_auth(bearer), require(role("admin"))),
        403,
        "forbidden",
        {"headers": GOOD},
        on_apps=True,
    ),
    Case(
        "over the limit",
        nothing,
        lambda: with_rate_limit("1/minute"),
        429,
        "too_many_requests",
        headers={"retry-after": "60", "ratelimit-policy": '"1-per-minute";q=1;w=60'},
        before=1,
        on_apps=True,
    ),
    Case(
        "invalid field",
        take,
        lambda: compose(validate),
        400,
        "validation_failed",
        {"json": {"name": "x"}},
        {"name": ["String should have at least 2 characters"]},
    ),
    Case(
        "malformed JSON",
        take,
        lambda: compose(validate),
        400,
        "validation_failed",
        {"data": b"{", "headers": {"Content-Type": "application/json"}},
        {"_root": ["The body is not valid JSON"]},
    ),
    Case(
        "wrong content type",
        take,
        lambda: compose(validate),
        415,
        "unsupported_media_type",
        {"data": b"{}", "headers": {"Content-Type": "text/plain"}},
    ),
    Case(
        "too large",
        take,
        lambda: compose(validate, limit_body(10)),
        413,
        "payload_too_large",
        {"json": {"name": "x" * 20}},
    ),
    Case(
        "page that is none",
        page,
        lambda: compose(paginate),
        400,
        "validation_failed",
        {"query": "page=0"},
        {"page": ["Input should be a whole number of 1 or more"]},
    ),
    Case(
        "forged webhook",
        hook,
        lambda: verify_webhook(stripe(), secrets="whsec_" + "s" * 32),
        401,
        "invalid_signature",
        {"data": b"{}", "headers": {"Stripe-Signature": "t=1,v1=00"}},
    ),
    Case("raised", missing, _nobody, 404, "not_found", {"headers": GOOD}),
    Case("returned", taken, _nobody, 409, "email_taken", {"headers": GOOD}, {"email": ["taken"]}),
    Case("unexpected", broken, _nobody, 500, "internal_error", {"headers": GOOD}),
]


def _shaped(function: Callable[..., Any], *, method: bool = False, sync: bool = False) -> Callable[..., Any]:
    """Return *function* as the kind of handler that a host wants."""

    async def handler(*args: Any, **kwargs: Any) -> Any:
        return function(**kwargs)

    def sync_handler(*args: Any, **kwargs: Any) -> Any:
        return function(**kwargs)

    shaped = sync_handler if sync else handler
    functools.update_wrapper(shaped, function)
    signature = inspect.signature(function, eval_str=True)
    if method:
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        signature = signature.replace(parameters=[own, *signature.parameters.values()])
    shaped.__signature__ = signature  # type: ignore[attr-defined]  # the shape that frameworks read
    return shaped


def _gate() -> Gate:
    return Gate(log=EventList(), clock=FrozenClock())


def _function(case: Case) -> ASGIApp:
    return Starlette(routes=[Route("/x", case.guards()(_shaped(case.handler)), methods=["POST"])])


def _sync(case: Case) -> ASGIApp:
    return Starlette(routes=[Route("/x", case.guards()(_shaped(case.handler, sync=True)), methods=["POST"])])


def _installed(case: Case) -> ASGIApp:
    app = _function(case)
    _gate().install(app)  # type: ignore[arg-type]  # a Starlette app
    return app


def _installed_sync(case: Case) -> ASGIApp:
    app = _sync(case)
    _gate().install(app)  # type: ignore[arg-type]
    return app


def _guarded_route(case: Case) -> ASGIApp:
    return Starlette(routes=[StarletteRoute("/x", case.guards()(_shaped(case.handler)), methods=["POST"])])


def _endpoint(case: Case) -> ASGIApp:
    post = case.guards()(_shaped(case.handler, method=True))
    return Starlette(routes=[Route("/x", type("Posts", (HTTPEndpoint,), {"post": post}))])


def _installed_endpoint(case: Case) -> ASGIApp:
    app = _endpoint(case)
    _gate().install(app)  # type: ignore[arg-type]
    return app


def _mounted(case: Case) -> ASGIApp:
    app = Starlette(routes=[Mount("/", app=_function(case))])
    _gate().install(app)
    return app


def _fastapi(case: Case, route_class: type[Any] | None = None) -> FastAPI:
    router = APIRouter() if route_class is None else APIRouter(route_class=route_class)
    router.post("/x")(case.guards()(_shaped(case.handler)))
    app = FastAPI()
    app.include_router(router)
    return app


def _fastapi_guarded(case: Case) -> ASGIApp:
    return _fastapi(case, FastAPIRoute)


def _fastapi_installed(case: Case) -> ASGIApp:
    app = _fastapi(case)
    _gate().install(app)
    return app


def _raw(case: Case) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"success": True, "data": None})(scope, receive, send)

    guarded: ASGIApp = case.guards()(app)
    return _gate().wrap(guarded)


HOSTS: dict[str, Callable[[Case], ASGIApp]] = {
    "function": _function,
    "function, installed": _installed,
    "sync function": _sync,
    "sync function, installed": _installed_sync,
    "GuardedRoute": _guarded_route,
    "HTTPEndpoint": _endpoint,
    "HTTPEndpoint, installed": _installed_endpoint,
    "mounted sub-app": _mounted,
    "FastAPI, GuardedRoute": _fastapi_guarded,
    "FastAPI, installed": _fastapi_installed,
    "raw app": _raw,
}
TABLE = [(host, case) for host in HOSTS for case in CASES if host != "raw app" or case.on_apps]

ALWAYS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "content-type": "application/json",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


async def _refused(app: ASGIApp, case: Case) -> Reply:
    for _ in range(case.before):
        assert (await call(app, path="/x", method="POST", **case.request)).status == 200
    return await call(app, path="/x", method="POST", **case.request)


@pytest.mark.parametrize(("host", "case"), TABLE, ids=[f"{host}: {case.name}" for host, case in TABLE])
async def test_every_refusal_on_every_host(host: str, case: Case) -> None:
    """One table: same status, same envelope, same headers, each once."""
    reply = await _refused(HOSTS[host](case), case)
    envelope = reply.json
    assert envelope.pop("request_id") == reply.headers["x-request-id"]
    assert envelope.pop("error")
    expected: dict[str, Any] = {"success": False, "code": case.code}
    if case.details is not None:
        expected["details"] = case.details
    assert (reply.status, envelope) == (case.status, expected)
    assert reply.headers.items() >= (ALWAYS | dict(case.headers)).items()
    names = [name for name, _ in reply.raw_headers if name != b"vary"]
    assert len(names) == len(set(names))
    assert b"hunter2" not in reply.body


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_plain_fastapi_is_as_documented(case: Case) -> None:
    """With nothing installed FastAPI renders the error: the envelope stands under `detail`; a 500 is the server's."""
    if case.status == 500:
        with pytest.raises(ValueError, match="hunter2"):  # for the server, which logs it
            await _refused(_fastapi(case), case)
        return
    reply = await _refused(_fastapi(case), case)
    assert reply.status == case.status
    envelope = reply.json["detail"]
    assert envelope["code"] == case.code
    assert envelope.get("details") == case.details
    assert reply.headers.items() >= (ALWAYS | dict(case.headers)).items()


@pytest.mark.parametrize("host", [host for host in HOSTS if host != "raw app"])
async def test_success_is_the_same_everywhere(host: str) -> None:
    """The happy path has one envelope too, and the handler's data in it."""
    case = Case("fine", take, lambda: compose(validate, with_auth(bearer)), 200, "")
    reply = await call(HOSTS[host](case), path="/x", json={"name": "Ada"}, headers=GOOD)
    assert (reply.status, reply.json) == (200, {"success": True, "data": {"name": "Ada"}})
    assert reply.headers["x-frame-options"] == "DENY"


async def test_an_installed_app_answers_for_its_framework() -> None:
    """404, 405 and unhandled exceptions come in the envelope, dressed, on Starlette and FastAPI, mounted too."""

    async def unguarded(request: object) -> None:
        raise ValueError("hunter2")

    inner = Starlette(routes=[Route("/boom", unguarded)])
    for app in (Starlette(routes=[Mount("/sub", inner), Route("/x", unguarded)]), FastAPI()):
        if isinstance(app, FastAPI):
            app.mount("/sub", Starlette(routes=[Route("/boom", unguarded)]))
            app.add_route("/x", unguarded)  # type: ignore[arg-type]  # it raises instead of answering
        _gate().install(app)
        for path, method, status, code in [
            ("/nowhere", "GET", 404, "not_found"),
            ("/x", "POST", 405, "method_not_allowed"),
            ("/x", "GET", 500, "internal_error"),
            ("/sub/nowhere", "GET", 404, "not_found"),
            ("/sub/boom", "DELETE", 405, "method_not_allowed"),
            ("/sub/boom", "GET", 500, "internal_error"),
        ]:
            reply = await call(app, path=path, method=method)
            assert (path, reply.status, reply.json["code"]) == (path, status, code)
            assert reply.headers.items() >= ALWAYS.items()
            assert b"hunter2" not in reply.body
