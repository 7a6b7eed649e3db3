"""The blog and, on the same origin, what only its tests need: pages with htmx, and a place where two requests meet."""

from __future__ import annotations

from html import escape
from importlib.resources import files

import anyio
from blog.app import app as blog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Meeting:
    """Hold the next form that is sent, when told to, until another one comes; nobody waits for ever.

    Args:
        app: what comes then.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._other: anyio.Event | None = None
        self.state = "open"

    def close(self) -> None:
        """Hold the next one."""
        self._other, self.state = anyio.Event(), "closed"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            # All of it, first: of a request that the browser gives up, a server has nothing to read any more.
            body = await Request(scope, receive).body()
            await self._meet()
            receive = _replayed(body, receive)
        await self._app(scope, receive, send)

    async def _meet(self) -> None:
        if self.state == "closed" and self._other is not None:
            self.state = "somebody waits"
            with anyio.fail_after(15):
                await self._other.wait()
        elif self.state == "somebody waits" and self._other is not None:
            self.state = "open"
            self._other.set()


def _replayed(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


meeting = Meeting(blog)


async def close(request: Request) -> Response:
    """Hold the next form that is sent until another one comes."""
    meeting.close()
    return PlainTextResponse(meeting.state)


async def state(request: Request) -> Response:
    """Say whether one is held, and whether two have met."""
    return PlainTextResponse(meeting.state)


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>htmx</title>
{config}
<script src="/test/htmx-{major}.js"></script>
<script>
addEventListener("invalidated:posts", () => sessionStorage.setItem("heard", "posts"));
</script>
</head>
<body {boost}>
<p id="beside">What is beside the form.</p>
<main hx-get="{form}" hx-trigger="load" hx-select="main" hx-swap="outerHTML"></main>
</body>
</html>
"""
# The second version drops what comes with an error, unless it is told otherwise; the fourth lets nothing be inherited.
OF_VERSION = {
    2: {
        "boost": 'hx-boost="true"',
        "config": """<meta name="htmx-config" content='{"responseHandling": [
            {"code": "204", "swap": false}, {"code": "[23]..|422", "swap": true},
            {"code": "[45]..", "swap": false, "error": true}]}'>""",
    },
    4: {"boost": 'hx-boost:inherited="true"', "config": ""},
}


async def htmx(request: Request) -> Response:
    """Show a form of the blog, which htmx fetches, and sends."""
    major = request.path_params["major"]
    return HTMLResponse(PAGE.format(major=major, form=escape(request.query_params["form"]), **OF_VERSION[major]))


async def htmx_itself(request: Request) -> Response:
    """Send htmx, as its authors wrote it."""
    name = f"htmx-{request.path_params['major']}.min.js"
    script = files("django_htmx").joinpath("static", "django_htmx", name).read_bytes()
    return Response(script, media_type="text/javascript")


beside = Starlette(
    routes=[
        Route("/test/close", close),
        Route("/test/state", state),
        Route("/test/htmx-{major:int}", htmx),
        Route("/test/htmx-{major:int}.js", htmx_itself),
    ]
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the blog; its lifespan is the app's."""
    apart = scope["type"] == "http" and scope["path"].startswith("/test/")
    await (beside if apart else meeting)(scope, receive, send)
