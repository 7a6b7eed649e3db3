"""One handler, four answers, on every host."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from gatewright import Call, Conflict, Cookie, FromInput, Redirect, Result, action, err, ok, redirect
from gatewright._core.guard import Proceed, Surround
from gatewright._core.outcome import Outcome
from gatewright._core.phase import Phase
from gatewright.actions.answers import Wanted, wanted
from gatewright.guards import guarded_by
from gatewright.testing import Reply, call
from tests.actions.kit import BROWSER, CLIENTS, HOSTS, HTMX, PROBLEM, PROGRAM, Blog, Host, PostIn, PostOut, form_page

pytestmark = pytest.mark.anyio

ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
FOR_EVERY_CLIENT = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)


@action(page=form_page, target="#form")
async def create_post(form: FromInput[PostIn]) -> Result[PostOut] | Redirect:
    """Come to what the title says."""
    match form.title:
        case "redirect":
            return redirect("/posts/3", headers={"X-Seen": "1"}, cookies=[Cookie("flash", "created")])
        case "err":
            return err("Not today", status=403, details={"title": ["is tired"]}, headers={"Retry-After": "9"})
        case "refused":
            raise Conflict("Taken", details={"title": ["is taken"]}, headers={"X-Seen": "1"})
        case "broken":
            raise ValueError("hunter2")
        case _:
            return ok(PostOut(id=3, title=form.title), status=201, cookies=[Cookie("flash", "created")])


async def _send(host: Host, blog: Blog, client: dict[str, str], **form: str) -> Reply:
    return await call(host(create_post, blog.gate), path="/posts", query="a=1", headers=client, form=form)


def _seen(reply: Reply) -> tuple[int, str | None, str | None]:
    head = reply.headers
    return reply.status, head.get("content-type"), head.get("location", head.get("hx-redirect"))


@ON_EVERY_HOST
@FOR_EVERY_CLIENT
async def test_every_answer_says_what_it_depends_on(host: Host, client: dict[str, str]) -> None:
    """A cache between must not give one client's answer to another (RFC 9110, section 12.5.5)."""
    for title in ("fine", "redirect", "err", "broken"):
        reply = await _send(host, Blog(), client, title=title)
        assert {"Accept", "HX-Request", "Sec-Fetch-Mode"} <= set(reply.headers["vary"].split(", "))


@ON_EVERY_HOST
async def test_success(host: Host) -> None:
    """A program reads the envelope; a browser goes where it came to; htmx is told where to go."""
    blog = Blog()
    for client in (PROGRAM, PROBLEM):
        reply = await _send(host, blog, client, title="fine")
        assert _seen(reply) == (201, "application/json", None)
        assert reply.json == {"success": True, "data": {"id": 3, "title": "fine"}}
    page, fragment = [await _send(host, blog, client, title="fine") for client in (BROWSER, HTMX)]
    assert (_seen(page), page.body) == ((303, None, "/posts?a=1"), b"")
    assert (_seen(fragment), fragment.body) == ((204, None, "/posts?a=1"), b"")
    assert page.cookies == fragment.cookies == reply.cookies == {"flash": "created"}


@ON_EVERY_HOST
async def test_a_redirect(host: Host) -> None:
    """It is a member of the envelope, a 303, or `HX-Redirect`; its headers and cookies come along."""
    replies = {name: await _send(host, Blog(), client, title="redirect") for name, client in CLIENTS.items()}
    for name in ("program", "problem"):
        assert _seen(replies[name]) == (200, "application/json", None)
        assert replies[name].json == {"success": True, "data": None, "redirect": "/posts/3"}
    assert (_seen(replies["browser"]), replies["browser"].body) == ((303, None, "/posts/3"), b"")
    assert (_seen(replies["htmx"]), replies["htmx"].body) == ((204, None, "/posts/3"), b"")
    assert "hx-redirect" not in replies["browser"].headers
    for reply in replies.values():
        assert (reply.headers["x-seen"], reply.cookies) == ("1", {"flash": "created"})


FAILURES = {
    "invalid": (400, "validation_failed", "The input is not valid", {"title": ["Field required"]}),
    "err": (403, "forbidden", "Not today", {"title": ["is tired"]}),
    "refused": (409, "conflict", "Taken", {"title": ["is taken"]}),
    "broken": (500, "internal_error", "Internal server error", {}),
}


@ON_EVERY_HOST
@pytest.mark.parametrize("what", FAILURES)
async def test_failure(host: Host, what: str) -> None:
    """A program reads it; a browser and htmx get the form again, with what was entered, and what is wrong with it."""
    status, code, message, errors = FAILURES[what]
    sent = {"stars": "7"} if what == "invalid" else {"title": what, "stars": "7"}
    replies = {name: await _send(host, Blog(), client, **sent) for name, client in CLIENTS.items()}
    program, problem, page, fragment = (replies[name] for name in CLIENTS)
    assert (program.status, program.headers["content-type"]) == (status, "application/json")
    assert (program.json["code"], program.json["error"], program.json.get("details", {})) == (code, message, errors)
    assert (problem.status, problem.headers["content-type"]) == (status, "application/problem+json")
    assert (problem.json["title"], problem.json["status"]) == (message, status)
    shown = f"<form id=form>{status} {code}: {message} | {sent} | {errors}"
    assert (page.status, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert (fragment.status, fragment.headers["content-type"]) == (422, "text/html; charset=utf-8")
    assert page.body.decode() == fragment.body.decode() == shown
    steering = {name: value for name, value in fragment.headers.items() if name.startswith("hx-")}
    assert steering == {"hx-retarget": "#form", "hx-reswap": "outerHTML", "hx-reselect": "#form"}
    assert not any(name.startswith("hx-") for name in page.headers)
    kept = {"err": ("retry-after", "9"), "refused": ("x-seen", "1")}
    if what in kept:
        name, value = kept[what]
        assert {reply.headers.get(name) for reply in replies.values()} == {value}


@ON_EVERY_HOST
async def test_what_is_unexpected_is_told_once(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """To the log, and to the monitor, whatever the client is; never to the client."""
    told: list[str] = []
    blog = Blog(on_unhandled=lambda exc, call: told.append(str(exc)))
    reply = await _send(host, blog, BROWSER, title="broken")
    assert b"hunter2" not in reply.body
    logged = len(blog.unhandled) + capsys.readouterr().err.count('"unhandled_exception"')
    assert logged == 1
    assert told == (["hunter2"] if blog.unhandled else [])


@ON_EVERY_HOST
async def test_what_a_handler_wrote_for_people_is_left_alone(host: Host) -> None:
    """A page, a text, a file to save, an error page: the client gets it as it is."""

    @action(page=form_page)
    async def handler(request: Request) -> Response:
        answers: dict[str, Response] = {
            "page": HTMLResponse("<p>Thanks", 200),
            "gone": HTMLResponse("<p>Gone", 410),
            "text": PlainTextResponse("thanks", 202),
            "own": JSONResponse({"mine": True}, 409),
            "odd": Response(status_code=304),
            "file": JSONResponse({"a": 1}, headers={"Content-Disposition": 'attachment; filename="a.json"'}),
        }
        return answers[request.query_params["as"]]

    app = host(handler, Blog().gate)
    seen = {"page": 200, "gone": 410, "text": 202, "own": 409, "odd": 304, "file": 200}
    for client in CLIENTS.values():
        for what, status in seen.items():
            reply = await call(app, method="POST", path="/posts", query={"as": what}, headers=client)
            assert (reply.status, bool(reply.body)) == (status, what != "odd")
            assert {"location", "hx-redirect"}.isdisjoint(reply.headers)


@ON_EVERY_HOST
async def test_a_response_that_redirects_is_a_redirect(host: Host) -> None:
    """However a handler spells it; a program must not follow it to a page, nor htmx by itself."""

    @action
    async def handler(request: Request) -> Response:
        return RedirectResponse("/posts/4", 302)

    app = host(handler, Blog().gate)
    program, page, fragment = [
        await call(app, method="POST", path="/posts", headers=client) for client in (PROGRAM, BROWSER, HTMX)
    ]
    assert program.json == {"success": True, "data": None, "redirect": "/posts/4"}
    assert (_seen(page), _seen(fragment)) == ((302, None, "/posts/4"), (204, None, "/posts/4"))


@ON_EVERY_HOST
async def test_the_work_goes_on_behind_another_answer(host: Host) -> None:
    """A background task belongs to the work, not to the envelope that a browser never sees."""
    done: list[str] = []

    @action
    async def handler(request: Request) -> Response:
        return JSONResponse({}, background=BackgroundTask(done.append, "mail"))

    app = host(handler, Blog().gate)
    for client, status in ((BROWSER, 303), (HTMX, 204)):
        reply = await call(app, method="POST", path="/posts", headers=client)
        assert (reply.status, reply.body) == (status, b"")
    assert done == ["mail", "mail"]


@ON_EVERY_HOST
@pytest.mark.parametrize("answer", [Response(), Response(status_code=204), JSONResponse([1])])
async def test_an_answer_that_says_nothing_to_people_leads_on(host: Host, answer: Response) -> None:
    """No browser is left on an empty page, or on one in JSON."""

    @action
    async def handler(request: Request) -> Response:
        return answer

    app = host(handler, Blog().gate)
    assert (await call(app, method="POST", path="/posts", headers=BROWSER)).headers["location"] == "/posts"
    assert (await call(app, method="POST", path="/posts", headers=HTMX)).headers["hx-redirect"] == "/posts"


@pytest.mark.parametrize("client", [BROWSER, HTMX], ids=["browser", "htmx"])
@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"error":"No","code":"no","details":{"a":["b"]}}', "no: No | {} | {'a': ['b']}"),
        (b'{"title":"No"}', "error: No | {} | {}"),
        (b'{"title":"No","code":7,"details":["a"]}', "7: No | {} | {}"),
        (b'{"error":1}', None),
        (b"[]", None),
        (b"\xff", None),
        (b"", None),
    ],
)
async def test_an_answer_that_was_kept_is_read(client: dict[str, str], body: bytes, shown: str | None) -> None:
    """As the envelope, or as problem details; what is neither is somebody's own."""

    @dataclass(frozen=True)
    class Kept(Surround):
        name = "kept"
        phase = Phase.REPLAY

        async def around(self, call: Call, proceed: Proceed) -> Outcome:
            return Outcome(403, [(b"content-length", b"%d" % len(body))], body)

    reply = await Blog().post(guarded_by(Kept())(action(page=form_page)(_nothing)), client=client)
    assert reply.body.decode(errors="replace") == (
        f"<form id=form>403 {shown}" if shown else body.decode(errors="replace")
    )
    assert reply.status == (422 if shown and client is HTMX else 403)


async def _nothing() -> Result[None]:
    return ok()


async def test_then() -> None:
    """Where a browser goes after success; a redirect that the handler returns says it better."""
    blog = Blog()

    @action(then="/posts?new=1")
    async def handler(form: FromInput[PostIn]) -> Result[None] | Redirect:
        return redirect("/elsewhere") if form.title == "redirect" else ok()

    for title, place in (("ok", "/posts?new=1"), ("redirect", "/elsewhere")):
        page, fragment = [await blog.post(handler, client=client, form={"title": title}) for client in (BROWSER, HTMX)]
        assert (_seen(page), _seen(fragment)) == ((303, None, place), (204, None, place))


async def test_a_handler_that_steers_htmx_itself_is_not_overruled() -> None:
    """`HX-Location` and its kin say more than we can."""

    @action
    async def handler() -> Result[None]:
        return ok(headers={"HX-Location": "/posts", "HX-Trigger": "saved"})

    reply = await Blog().post(handler, client=HTMX)
    assert (reply.status, reply.headers["hx-location"], reply.headers["hx-trigger"]) == (204, "/posts", "saved")
    assert "hx-redirect" not in reply.headers


async def test_htmx_before_4_gets_its_errors_with_a_200() -> None:
    """htmx#59, #60, #1619, #2564: it drops what comes with an error status. Nothing is told to be stale by that."""
    blog = Blog()

    @action(page=form_page, htmx_status=200, invalidates=["posts"])
    async def handler(form: FromInput[PostIn]) -> Result[None]:
        return err("No")

    reply = await blog.post(handler, client=HTMX, form={"title": "a"})
    assert (reply.status, blog.stale) == (200, [])
    assert "hx-trigger" not in reply.headers
    assert (await blog.post(handler, client=BROWSER, form={"title": "a"})).status == 400


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, Wanted.DATA),
        ({"accept": "*/*"}, Wanted.DATA),
        ({"accept": "application/json, text/plain, */*"}, Wanted.DATA),
        ({"accept": "text/html, application/json"}, Wanted.DATA),
        ({"accept": "text/html;q=0.5, application/json;q=0.4"}, Wanted.PAGE),
        ({"accept": "text/html;q=0, */*"}, Wanted.DATA),
        ({"accept": "application/xhtml+xml"}, Wanted.PAGE),
        ({"accept": "text/html, application/problem+json"}, Wanted.DATA),
        ({"accept": "text/html, application/problem+json;q=0.9"}, Wanted.PAGE),
        ({"accept": "application/problem+json, text/html;q=0.9"}, Wanted.DATA),
        ({"accept": "TEXT/HTML"}, Wanted.PAGE),
        ({"accept": "text/html;q=nan"}, Wanted.DATA),
        ({"accept": "*/*", "sec-fetch-mode": "navigate"}, Wanted.PAGE),
        ({"accept": "text/html", "sec-fetch-mode": "cors"}, Wanted.PAGE),
        ({"accept": "*/*", "sec-fetch-mode": "cors"}, Wanted.DATA),
        ({"hx-request": "true", "accept": "application/json"}, Wanted.HTMX),
        ({"hx-request": "true", "hx-boosted": "true", "accept": "text/html"}, Wanted.HTMX),
        ({"hx-request": "false"}, Wanted.DATA),
        ({"hx-request": "true, true"}, Wanted.DATA),
    ],
)
def test_what_is_wanted(headers: dict[str, str], kind: Wanted) -> None:
    """`*/*` alone is a program's; HTML has to be named, with more weight than JSON, or be navigated to."""
    assert wanted({name.encode(): value.encode() for name, value in headers.items()}) is kind
