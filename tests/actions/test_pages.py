"""The page that says what went wrong: the author's, or a plain one."""

from __future__ import annotations

import threading
from html.parser import HTMLParser

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from gatewright import ActionState, Call, Cookie, FromInput, NotFound, Redirect, Result, action, err, redirect
from gatewright.testing import Reply, call
from tests.actions.kit import BROWSER, HTMX, Blog, PostIn

pytestmark = pytest.mark.anyio


def _refusing(page: object = None, **options: object) -> object:
    async def handler(form: FromInput[PostIn]) -> Result[None]:
        return err("No", status=403, headers={"X-Seen": "1", "Cache-Control": "private"}, cookies=[Cookie("a", "1")])

    decorate: object = action(page=page, **options)  # type: ignore[call-overload]
    return decorate(handler)  # type: ignore[operator]


async def _show(page: object, **more: object) -> Reply:
    return await Blog().post(_refusing(page), form={"title": "a"}, **more)


async def test_a_page_is_plain_or_async_a_text_or_a_response() -> None:
    """A plain one may render for long, so that it runs in a thread."""
    threads: list[int] = []

    def plain(call: Call, state: ActionState) -> str:
        threads.append(threading.get_ident())
        return "<p>"

    def response(call: Call, state: ActionState) -> Response:
        return HTMLResponse("<p>")

    async def awaited(call: Call, state: ActionState) -> str:
        return "<p>"

    class Template:
        async def __call__(self, call: Call, state: ActionState) -> Response:
            return HTMLResponse("<p>")

    for page in (plain, response, awaited, Template(), lambda call, state: awaited(call, state)):
        reply = await _show(page)
        assert (reply.status, reply.body, reply.headers["content-type"]) == (403, b"<p>", "text/html; charset=utf-8")
    assert threads != [threading.get_ident()]


async def test_a_page_has_the_headers_of_what_it_shows() -> None:
    """All but those of the body, and of its own the page's win; cookies are set by both."""

    async def page(call: Call, state: ActionState) -> Response:
        made = HTMLResponse("<p>", headers={"Cache-Control": "no-cache", "X-Page": "1"})
        made.set_cookie("b", "2")
        return made

    reply = await _show(page)
    head = reply.headers
    assert (head["x-seen"], head["x-page"], head["cache-control"]) == ("1", "1", "no-cache")
    assert (head["content-type"], head["content-length"]) == ("text/html; charset=utf-8", "3")
    assert reply.cookies == {"a": "1", "b": "2"}


async def test_a_page_may_choose_its_status() -> None:
    """Its own, or a way out, such as to a login page; and it may stream."""

    async def teapot(call: Call, state: ActionState) -> Response:
        return HTMLResponse("<p>", 418)

    async def away(call: Call, state: ActionState) -> Response:
        return RedirectResponse("/login", 303)

    async def stream(call: Call, state: ActionState) -> Response:
        async def parts() -> object:
            yield "<p>"
            yield "</p>"

        return StreamingResponse(parts(), media_type="text/html")  # type: ignore[arg-type]

    async def elsewhere(call: Call, state: ActionState) -> Redirect:
        return redirect("/login")

    assert (await _show(teapot)).status == 418
    for page in (away, elsewhere):
        reply = await _show(page)
        assert (reply.status, reply.headers["location"], reply.cookies) == (303, "/login", {"a": "1"})
        reply = await Blog().post(_refusing(page, target="#form"), client=HTMX, form={"title": "a"})
        assert (reply.status, reply.headers["hx-redirect"], reply.cookies) == (204, "/login", {"a": "1"})
        assert "hx-retarget" not in reply.headers
    streamed = await _show(stream)
    assert (streamed.status, streamed.body) == (403, b"<p></p>")


async def test_a_page_that_fails_is_a_logged_500() -> None:
    """Said on a plain page, once; no circle of pages that show why a page cannot be shown."""
    shown: list[int] = []

    async def page(call: Call, state: ActionState) -> str:
        shown.append(state.status)
        raise ValueError("hunter2")

    for client, status in ((BROWSER, 500), (HTMX, 422)):
        blog = Blog()
        reply = await blog.post(_refusing(page, target="#form"), client=client, form={"title": "a"})
        assert (reply.status, reply.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert b"Internal server error" in reply.body
        assert b"hunter2" not in reply.body
        assert "hx-retarget" not in reply.headers
        assert [event["exception"]["message"] for event in blog.unhandled] == ["hunter2"]
    assert shown == [403, 403]


async def test_what_is_no_page_is_a_fault() -> None:
    """None would otherwise be shown as a page that says None."""

    async def page(call: Call, state: ActionState) -> None:
        return None

    blog = Blog()
    assert (await blog.post(_refusing(page), form={"title": "a"})).status == 500
    assert "returned a NoneType; return HTML" in blog.unhandled[0]["exception"]["message"]


async def test_a_page_may_find_that_there_is_nothing_to_show() -> None:
    """What it raises on purpose is an answer, and no fault."""

    async def page(call: Call, state: ActionState) -> str:
        raise NotFound("This post is gone")

    blog = Blog()
    reply = await blog.post(_refusing(page), form={"title": "a"})
    assert (reply.status, blog.unhandled) == (404, [])
    assert b"<h1>This post is gone</h1>" in reply.body


async def test_the_apps_own_handlers_win() -> None:
    """Of one exception, and of everything: their authors chose what people see, and what programs read."""

    class OwnError(Exception): ...

    @action(page=_page_that_fails, invalidates=["posts"])
    async def handler(form: FromInput[PostIn]) -> Result[None]:
        if form.title == "own":
            raise OwnError
        if form.title == "page":
            return err("No")
        raise ValueError

    async def own(request: Request, exc: Exception) -> Response:
        return JSONResponse("own", 200)

    async def everything(request: Request, exc: Exception) -> Response:
        return HTMLResponse("everything", 500)

    blog = Blog()
    app = Starlette(
        routes=[Route("/", handler, methods=["POST"])], exception_handlers={OwnError: own, Exception: everything}
    )
    blog.gate.install(app)
    for title, body in (("own", b'"own"'), ("other", b"everything"), ("page", b"everything")):
        assert (await call(app, form={"title": title}, headers=BROWSER)).body == body
    assert blog.stale == []


async def _page_that_fails(call: Call, state: ActionState) -> str:
    raise ValueError("hunter2")


class Document(HTMLParser):
    """What a browser makes of a page: its tags, its text, and where it leads."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data


PLAIN = ["html", "meta", "meta", "title", "main", "h1", "ul", "li", "p", "a"]
ENTERED = ["p", "label", "br", "textarea"]
TEXTS = st.text(min_size=1) | st.sampled_from(
    ["</title><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{0} {message}", "&lt;", "\x00", "\ud800"]
)


@settings(max_examples=150, deadline=None)
@given(message=TEXTS, path=TEXTS, text=TEXTS, entered=TEXTS, query=st.binary(max_size=20))
def test_nothing_becomes_markup(message: str, path: str, text: str, entered: str, query: bytes) -> None:
    """Messages, paths, and where the form was sent are texts, and so is what was entered, with its name."""

    @action
    async def handler(request: Request) -> Result[None]:
        return err(message, details={path: [text]})

    name, value = path.encode(errors="replace").decode()[:99], entered.encode(errors="replace").decode()

    async def send() -> Reply:
        return await Blog().post(handler, form={name: value}, query=query.decode("latin-1"))

    page = Document(anyio.run(send).body)
    assert page.tags == [*PLAIN[:-2], *ENTERED, *PLAIN[-2:]]
    (link,) = page.links
    assert link is not None
    assert link.startswith("/")
    assert not link.startswith("//")


@pytest.mark.parametrize(
    ("referer", "link"),
    [
        ("https://testserver/posts/new?draft=1#top", "/posts/new?draft=1"),
        ("https://testserver/posts/new", "/posts/new"),
        ("https://evil.example/posts/new", "/posts"),
        ("https://testserver//evil.example/", "/posts"),
        ("https://testserver", "/posts"),
        ("https://[", "/posts"),
        ('https://testserver/a"><img/src=x>', '/a"><img/src=x>'),
        ("https://testserver/\xe9", "/posts"),
        ("", "/posts"),
    ],
)
async def test_the_way_back(referer: str, link: str) -> None:
    """To the page with the form, where the browser says which that was; never to another host."""
    reply = await Blog().post(_refusing(), form={"title": "a"}, path="/posts", headers={"referer": referer})
    assert Document(reply.body).links == [link]


async def test_the_plain_page_says_what_is_wrong() -> None:
    """By path; what belongs to the form as a whole stands alone."""

    @action
    async def handler() -> Result[None]:
        return err("No", details={"title": ["is taken", "is odd"], "_root": ["is late"]})

    page = Document((await Blog().post(handler)).body)
    lines = [line for line in page.text.split("\n") if line]
    assert lines == ["No", "No", "title: is taken", "title: is odd", "is late", "Back"]
    assert Document((await Blog().post(_create)).body).tags == [tag for tag in PLAIN if tag not in ("ul", "li")]


@action
async def _create() -> Result[None]:
    return err("No")
