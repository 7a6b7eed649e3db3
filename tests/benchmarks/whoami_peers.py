"""Who is asking, found out by Starlette's and FastAPI's own means, as their documentation shows it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from hmac import compare_digest
from secrets import token_hex, token_urlsafe
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
    requires,
)
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.benchmarks.whoami import AUDIENCE, ISSUER, UNREAD, WHOAMI, Asked, Subject, tokens, verifying_key
from tests.benchmarks.wire import Headers
from tests.benchmarks.work import SECRET, USERS, Envelope

__all__ = ["api_key_header", "authentication_middleware", "bare_fastapi", "bare_starlette", "http_bearer"]
__all__ += ["session_middleware"]

_DAY = 86400
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


# Starlette


def bare_starlette() -> Asked:
    """Ask for nothing."""

    async def whoami(request: Request) -> JSONResponse:
        return _answer(USERS[0])

    return Asked(Starlette(routes=[Route(WHOAMI, whoami)]), lambda user: UNREAD)


def session_middleware() -> Asked:
    """Read `request.session`; the middleware refuses nobody, so that the endpoint does."""
    signer = TimestampSigner(SECRET)

    async def whoami(request: Request) -> JSONResponse:
        sub: str | None = request.session.get("sub")
        if sub is None:
            raise HTTPException(401)
        return _answer(sub)

    def cookie(user: str) -> Headers:
        session = json.dumps({"sub": user, "sid": token_hex(16)})
        return [(b"cookie", b"session=" + signer.sign(b64encode(session.encode())))]

    sessions = Middleware(SessionMiddleware, secret_key=SECRET, max_age=_DAY, https_only=True)
    return Asked(Starlette(routes=[Route(WHOAMI, whoami)], middleware=[sessions]), cookie)


def authentication_middleware(algorithm: str) -> Asked:
    """Read a JSON Web Token in a backend that is written with PyJWT."""

    @requires("authenticated", status_code=401)
    async def whoami(request: Request) -> JSONResponse:
        return _answer(request.user.display_name)

    by_token = Middleware(AuthenticationMiddleware, backend=_Tokens(algorithm), on_error=_unauthorized)
    return tokens(Starlette(routes=[Route(WHOAMI, whoami)], middleware=[by_token]), algorithm)


class _Tokens(AuthenticationBackend):
    def __init__(self, algorithm: str) -> None:
        self.subject_of = _reading(algorithm)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        sub = self.subject_of(token)
        if sub is None:
            raise AuthenticationError("invalid token")
        return AuthCredentials(["authenticated"]), SimpleUser(sub)


def _unauthorized(conn: HTTPConnection, exc: Exception) -> Response:
    return PlainTextResponse(str(exc), 401, _CHALLENGE)


def _answer(sub: str) -> JSONResponse:
    return JSONResponse({"success": True, "data": {"sub": sub}})


# FastAPI

_BEARER = HTTPBearer()
_API_KEY = APIKeyHeader(name="X-API-Key")


def bare_fastapi() -> Asked:
    """Ask for nothing."""
    app = FastAPI()

    @app.get(WHOAMI)
    async def whoami() -> Envelope[Subject]:
        return Envelope(data=Subject(sub=USERS[0]))

    return Asked(app, lambda user: UNREAD)


def http_bearer(algorithm: str) -> Asked:
    """Read a JSON Web Token in a dependency that is written with PyJWT."""
    subject_of = _reading(algorithm)

    async def subject(credentials: Annotated[HTTPAuthorizationCredentials, Depends(_BEARER)]) -> str:
        sub = subject_of(credentials.credentials)
        if sub is None:
            raise HTTPException(401, headers=_CHALLENGE)
        return sub

    return tokens(_fastapi(subject), algorithm)


def api_key_header() -> Asked:
    """Read an API key, whose hash is in a dict."""
    owners: dict[str, tuple[str, str]] = {}

    async def subject(key: Annotated[str, Depends(_API_KEY)]) -> str:
        key_id, _, secret = key.partition(".")
        kept, owner = owners.get(key_id, ("", ""))
        if not compare_digest(kept, sha256(secret.encode()).hexdigest()):
            raise HTTPException(401)
        return owner

    def key_of(user: str) -> Headers:
        key_id, secret = token_hex(12), token_urlsafe(32)
        owners[key_id] = (sha256(secret.encode()).hexdigest(), user)
        return [(b"x-api-key", f"{key_id}.{secret}".encode())]

    unknown = f"{token_hex(12)}.{token_urlsafe(32)}".encode()
    return Asked(_fastapi(subject), key_of, {"not known": [(b"x-api-key", unknown)]})


def _fastapi(subject: Callable[..., Awaitable[str]]) -> FastAPI:
    app = FastAPI()

    # Not an annotation: those are looked up in the module, and `subject` is not there.
    @app.get(WHOAMI)
    async def whoami(sub: str = Depends(subject)) -> Envelope[Subject]:
        return Envelope(data=Subject(sub=sub))

    return app


def _reading(algorithm: str) -> Callable[[str], str | None]:
    """Return what takes a token and returns its subject, None where it is not valid."""
    # Here, because PyJWT is an extra of the benchmarks.
    import jwt

    # Parsed once, as everybody should.
    key = jwt.get_algorithm_by_name(algorithm).prepare_key(verifying_key(algorithm))
    options: Any = {"require": ["exp", "iss", "aud", "sub"]}

    def subject_of(token: str) -> str | None:
        try:
            claims = jwt.decode(token, key, [algorithm], audience=AUDIENCE, issuer=ISSUER, options=options)
        except jwt.InvalidTokenError:
            return None
        sub: str = claims["sub"]
        return sub

    return subject_of
