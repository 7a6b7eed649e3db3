"""The hardened POST written by hand, carefully, with the dependencies that gatewright has."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass, field
from secrets import token_hex
from time import perf_counter, time
from typing import Any

import structlog
from itsdangerous import BadData, URLSafeTimedSerializer, want_bytes
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.benchmarks.work import PATH, SECRET, SECURITY, CreatePost, Served, post_by

__all__ = ["REQUEST_ID", "SESSIONS", "by_hand", "json_logger", "signed_in"]

SESSIONS = URLSafeTimedSerializer(
    SECRET, salt="session", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_DAY, _MEBIBYTE = 86400, 1 << 20


def signed_in(user: str) -> bytes:
    """Return a user's cookie."""
    return b"session=" + want_bytes(SESSIONS.dumps({"sub": user, "sid": token_hex(16)}))


def json_logger() -> Any:
    """Return a structlog logger that writes bytes, with the fewest processors that say when, how bad and what."""
    return structlog.wrap_logger(
        structlog.BytesLogger(sys.stderr.buffer),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(serializer=_as_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    ).bind()


def _as_json(event: object, **_: object) -> bytes:
    return to_json(event)


@dataclass
class Refusal(Exception):
    """End a request with an error."""

    status: int
    error: str
    code: str
    details: dict[str, list[str]] | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])


def by_hand(limit: str) -> Served:
    """Do everything in the endpoint, so that no layer costs anything."""
    log, item, limiter = json_logger(), parse(limit), FixedWindowRateLimiter(MemoryStorage())
    policy = f'"default";q={item.amount};w={item.get_expiry()}'

    async def pay(principal: str, headers: dict[str, str]) -> None:
        allowed = await limiter.hit(item, PATH, principal)
        window = await limiter.get_window_stats(item, PATH, principal)
        reset = max(0, int(window.reset_time - time()) + 1)
        headers["RateLimit-Policy"] = policy
        headers["RateLimit"] = f'"default";r={window.remaining};t={reset}'
        if not allowed:
            retry = {"Retry-After": str(reset)}
            raise Refusal(429, "Too many requests", "too_many_requests", headers=retry)

    async def create_post(request: Request) -> Response:
        started = perf_counter()
        offered = request.headers.get("x-request-id")
        request_id = offered if offered is not None and REQUEST_ID.fullmatch(offered) else token_hex(16)
        principal: str | None = None
        headers: dict[str, str] = {}
        try:
            principal = _principal(request)
            await pay(principal, headers)
            post = post_by(principal, await _body(request))
            status, envelope = 201, to_json({"success": True, "data": post})
        except Refusal as refusal:
            headers |= refusal.headers
            status, envelope = refusal.status, _error(refusal, request_id)
        response = Response(envelope, status, headers, "application/json")
        response.raw_headers += [(b"x-request-id", request_id.encode()), *SECURITY]
        log.info(
            "request",
            method=request.method,
            route=PATH,
            status=status,
            duration_ms=round((perf_counter() - started) * 1000, 3),
            request_id=request_id,
            client=request.client.host if request.client else None,
            principal=principal,
        )
        return response

    return Served(Starlette(routes=[Route(PATH, create_post, methods=["POST"])]), signed_in)


def _principal(request: Request) -> str:
    try:
        record = SESSIONS.loads(request.cookies.get("session", ""), max_age=_DAY)
    except BadData:
        challenge = {"WWW-Authenticate": 'Session realm="api"'}
        raise Refusal(401, "Authentication required", "unauthorized", headers=challenge) from None
    sub: str = record["sub"]
    return sub


async def _body(request: Request) -> CreatePost:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refusal(415, "Unsupported media type", "unsupported_media_type")
    if int(request.headers.get("content-length", "0")) > _MEBIBYTE:
        raise Refusal(413, "Payload too large", "payload_too_large")
    try:
        return CreatePost.model_validate_json(await request.body())
    except ValidationError as exc:
        details: dict[str, list[str]] = {}
        for error in exc.errors(include_url=False, include_context=False, include_input=False):
            details.setdefault(".".join(map(str, error["loc"])), []).append(error["msg"])
        raise Refusal(400, "Validation failed", "validation_failed", details) from None


def _error(refusal: Refusal, request_id: str) -> bytes:
    envelope: dict[str, Any] = {"success": False, "error": refusal.error, "code": refusal.code}
    if refusal.details:
        envelope["details"] = refusal.details
    return to_json({**envelope, "request_id": request_id})
