"""FastAPI, bare and hardened with slowapi and dependencies, as their documentation shows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from secrets import token_hex
from time import perf_counter
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from itsdangerous import BadData
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.benchmarks.bare import unsigned
from tests.benchmarks.by_hand import REQUEST_ID, SESSIONS, json_logger, signed_in
from tests.benchmarks.work import PATH, SECURITY, USERS, CreatePost, Envelope, Post, Served, post_by

__all__ = ["fastapi", "slowapi", "slowapi_without_base"]

_DAY = 86400


def fastapi(limit: str) -> Served:
    """Validate the body and filter the answer, as FastAPI does by itself."""
    app = FastAPI()

    @app.post(PATH, status_code=201)
    async def create_post(body: CreatePost) -> Envelope[Post]:
        return Envelope(data=post_by(USERS[0], body))

    return Served(app, unsigned)


def slowapi(limit: str) -> Served:
    """Harden it with what most people take: slowapi, `Depends`, and one `@app.middleware("http")`."""
    app = _hardened(limit)
    log = json_logger()

    @app.middleware("http")
    async def observe(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started = perf_counter()
        request.state.request_id = _request_id(request.headers)
        response = await call_next(request)
        for name, value in _ALWAYS.items():
            response.headers[name] = value
        response.headers["X-Request-ID"] = request.state.request_id
        _report(log, request.scope, response.status_code, started)
        return response

    return Served(app, signed_in)


def slowapi_without_base(limit: str) -> Served:
    """Harden it as well, with the middleware written in plain ASGI, as people do who have measured the other one."""
    app = _hardened(limit)
    app.add_middleware(_Observe)
    return Served(app, signed_in)


class _Observe:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log = json_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        request_id = scope["state"]["request_id"] = _request_id(Headers(scope=scope))
        status = 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(_ALWAYS)
                headers["X-Request-ID"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, observed)
        finally:
            _report(self.log, scope, status, started)


_ALWAYS = {name.decode(): value.decode() for name, value in SECURITY}


def _request_id(headers: Headers) -> str:
    offered = headers.get("x-request-id")
    return offered if offered is not None and REQUEST_ID.fullmatch(offered) else token_hex(16)


def _report(log: Any, scope: Scope, status: int, started: float) -> None:
    log.info(
        "request",
        method=scope["method"],
        route=getattr(scope.get("route"), "path", None),
        status=status,
        duration_ms=round((perf_counter() - started) * 1000, 3),
        request_id=scope["state"]["request_id"],
        client=scope["client"][0],
        principal=scope["state"].get("principal"),
    )


async def _current_user(request: Request) -> str:
    try:
        record = SESSIONS.loads(request.cookies.get("session", ""), max_age=_DAY)
    except BadData:
        challenge = {"WWW-Authenticate": 'Session realm="api"'}
        raise HTTPException(401, "Authentication required", challenge) from None
    request.state.principal = record["sub"]
    sub: str = record["sub"]
    return sub


def _principal(request: Request) -> str:
    principal: str = request.state.principal
    return principal


def _hardened(limit: str) -> FastAPI:
    # Here, because slowapi is an extra of the benchmarks.
    from slowapi import Limiter
    from slowapi.errors import RateLimitExceeded

    limiter = Limiter(key_func=_principal, headers_enabled=True)
    app = FastAPI()
    app.state.limiter = limiter

    @app.post(PATH, status_code=201)
    @limiter.limit(limit)
    async def create_post(
        request: Request, response: Response, body: CreatePost, user: Annotated[str, Depends(_current_user)]
    ) -> Envelope[Post]:
        return Envelope(data=post_by(user, body))

    @app.exception_handler(RateLimitExceeded)
    async def limited(request: Request, exc: RateLimitExceeded) -> Response:
        response = _error(request, 429, "Too many requests", "too_many_requests")
        # As slowapi's own handler does.
        return limiter._inject_headers(response, request.state.view_rate_limit)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, exc: HTTPException) -> Response:
        return _error(request, exc.status_code, exc.detail, "refused", headers=exc.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: RequestValidationError) -> Response:
        details: dict[str, list[str]] = {}
        for error in exc.errors():
            details.setdefault(".".join(map(str, error["loc"][1:])), []).append(error["msg"])
        return _error(request, 422, "Validation failed", "validation_failed", details=details)

    return app


def _error(request: Request, status: int, error: str, code: str, headers: Any = None, **more: Any) -> Response:
    envelope = {"success": False, "error": error, "code": code, **more, "request_id": request.state.request_id}
    return JSONResponse(envelope, status, headers)
