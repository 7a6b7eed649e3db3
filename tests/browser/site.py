"""A site of one page for the script to work on: what it serves and answers, a test says; what it got, a test reads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Self

import uvicorn
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gatewright.actions.browser import INTEGRITY, browser_script
from tests.servers import HOST, eventually, free_port

__all__ = ["CSP", "Got", "Site", "failure", "success"]

CSP = "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'"
_PATIENCE = 30

# What the page hears is noted where a test can read it: by a script of its own, since the policy allows no other.
_RECORDER = """
window.heard = [];
for (const name of ["submit", "progress", "invalidated", "success", "error"])
  addEventListener("action:" + name, (event) => heard.push([name, event.detail]));
addEventListener("pageshow", (event) => (window.persisted = event.persisted));
addEventListener("securitypolicyviolation", (event) => heard.push(["violation", event.violatedDirective]));
"""


def success(**members: object) -> Response:
    """Return the answer to what was done."""
    return JSONResponse({"success": True, "data": None, **members})


def failure(status: int = 422, **members: object) -> Response:
    """Return the answer to what was not."""
    told = {"success": False, "error": "Check your input", "code": "invalid_input", "request_id": "r1"}
    return JSONResponse({**told, **members}, status_code=status)


@dataclass(frozen=True)
class Got:
    """What was posted."""

    target: str
    content_type: str
    accept: str
    body: bytes


@dataclass
class Site:
    """The site; a context manager, so that it always ends.

    Attributes:
        page: the body of the page.
        script: what the page runs of its own.
        headers: of the page.
        integrity: what the page says of the script.
        answer: to all that is posted.
        posted: what was.
        open: whether posts are read, and answered; they wait until it is set.
        open_pages: the same, for pages other than the one.
    """

    page: str = ""
    script: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    integrity: str = INTEGRITY
    answer: Response = field(default_factory=success)
    posted: list[Got] = field(default_factory=list[Got])
    open: threading.Event = field(default_factory=threading.Event)
    open_pages: threading.Event = field(default_factory=threading.Event)
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        routes = [
            Route("/page", self._page),
            Route("/page.js", self._script),
            Route("/gatewright.js", browser_script),
            Route("/moved", self._moved, methods=["GET", "POST"]),
            Route("/{rest:path}", self._other, methods=["GET", "POST"]),
        ]
        self._app = Starlette(routes=routes)
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.page, self.script, self.headers, self.integrity = "", "", {"Content-Security-Policy": CSP}, INTEGRITY
        self.answer, self.posted = success(), []
        self.open.set()
        self.open_pages.set()

    @property
    def origin(self) -> str:
        """Return where it is."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self.open_pages.set()
        self.stop()

    def start(self) -> None:
        """Serve, and return when it does."""
        config = uvicorn.Config(self._app, host=HOST, port=self.port, log_config=None, ws="none", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        eventually(lambda: self._server.started, "the site did not start")

    def stop(self) -> None:
        """Stop serving."""
        # The browser holds connections open for a next time.
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()

    def opens_pages_after(self, target: str) -> None:
        """Wait until something was posted there, and then serve pages."""
        try:
            eventually(lambda: any(got.target == target for got in self.posted), f"nothing was posted to {target}")
        finally:
            self.open_pages.set()

    async def _page(self, request: Request) -> Response:
        scripts = (
            f'<script type="module" src="/gatewright.js" integrity="{self.integrity}"></script>'
            '<script src="/page.js"></script>'
        )
        return HTMLResponse(f"<!doctype html><title>page</title>{scripts}{self.page}", headers=self.headers)

    async def _script(self, request: Request) -> Response:
        return Response(_RECORDER + self.script, media_type="text/javascript")

    async def _moved(self, request: Request) -> Response:
        await request.body()
        return Response(status_code=303, headers={"Location": "/elsewhere?from=/page"})

    async def _other(self, request: Request) -> Response:
        if request.method == "GET":
            await run_sync(self.open_pages.wait, _PATIENCE)
            save = {"Content-Disposition": "attachment"} if request.url.query == "download" else None
            return PlainTextResponse(f"this is {request.url.path}", headers=save)
        await run_sync(self.open.wait, _PATIENCE)
        body = await request.body()
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        head = request.headers
        self.posted.append(Got(target, head.get("content-type", ""), head.get("accept", ""), body))
        return self.answer
