"""The baselines: nothing at all, and a bare Starlette endpoint."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.benchmarks.work import PATH, USERS, Served

__all__ = ["nothing", "starlette", "unsigned"]


def unsigned(user: str) -> bytes:
    """Return the cookie of an app that does not look at it."""
    return b"session=" + user.encode()


def nothing(limit: str) -> Served:
    """Answer at once: what is left is the harness."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return Served(app, unsigned)


def starlette(limit: str) -> Served:
    """Parse JSON and answer with a `JSONResponse`; check nothing."""

    async def create_post(request: Request) -> JSONResponse:
        body = await request.json()
        post = {"id": 1, "title": body["title"], "author": USERS[0]}
        return JSONResponse({"success": True, "data": post}, status_code=201)

    return Served(Starlette(routes=[Route(PATH, create_post, methods=["POST"])]), unsigned)
