"""What people complained about elsewhere, each as a rule that holds here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from gatewright import (
    Call,
    Conflict,
    FromInput,
    Gate,
    InternalError,
    Redirect,
    Result,
    action,
    err,
    hidden_fields,
    ok,
    redirect,
)
from gatewright.actions import ActionState
from gatewright.testing import call
from tests.actions.kit import BROWSER, CLIENTS, HTMX, PROGRAM, Blog, PostIn, form_page

pytestmark = pytest.mark.anyio


async def test_next_js_49298_a_redirect_is_not_swallowed_by_try_except() -> None:
    """And #50757, #55586, #59930, #66669, #71740, zsa#42, #127, #188: there it is thrown, and caught by the caller."""

    @action
    async def handler(form: FromInput[PostIn]) -> Redirect | Result[None]:
        try:
            return redirect("/posts/3")
        except Exception:
            return err("Could not be saved")

    blog = Blog()
    assert (await blog.post(handler, form={"title": "a"})).headers["location"] == "/posts/3"
    assert await handler.run(PostIn(title="a")) == redirect("/posts/3")


async def test_kit_14922_a_redirect_under_fetch_is_json() -> None:
    """A 302 is followed by `fetch` itself, which then reads a page as JSON."""
    reply = await Blog().post(action(_go), client={**PROGRAM, "sec-fetch-mode": "cors"}, form={"title": "a"})
    assert (reply.status, reply.json["redirect"]) == (200, "/posts/3")


async def _go(form: FromInput[PostIn]) -> Redirect:
    return redirect("/posts/3")


async def test_kit_7429_an_unexpected_error_does_not_lose_what_was_entered() -> None:
    """The error page is the form; what somebody wrote for an hour is in it."""

    @action(page=form_page)
    async def handler(form: FromInput[PostIn]) -> Result[None]:
        raise ValueError("hunter2")

    reply = await Blog().post(handler, form={"title": "an hour's work"})
    assert reply.status == 500
    assert b"an hour's work" in reply.body
    assert b"hunter2" not in reply.body


async def test_kit_7233_the_status_is_the_same_with_and_without_a_script() -> None:
    """There a failure is 400 without, and 200 with."""

    @action(page=form_page)
    async def handler(form: FromInput[PostIn]) -> Result[None]:
        return err("No", status=409)

    assert {(await Blog().post(handler, client=c, form={"title": "a"})).status for c in (BROWSER, PROGRAM)} == {409}


async def test_htmx_369_a_redirect_does_not_land_in_a_fragment() -> None:
    """And #632, #2052, #2563: XHR follows a 3xx by itself, and `HX-*` headers on it are lost."""
    reply = await Blog().post(action(_go), client=HTMX, form={"title": "a"})
    assert (reply.status, reply.headers["hx-redirect"], reply.body) == (204, "/posts/3", b"")
    assert "location" not in reply.headers


async def test_zsa_keeps_the_message_of_what_nobody_foresaw() -> None:
    """So does tRPC (#6153). Here no client sees it, whatever it asks for."""

    @action(page=form_page)
    async def handler(form: FromInput[PostIn]) -> Result[None]:
        raise {"a": RuntimeError, "b": InternalError}[form.title]("connect to 10.0.0.3 as admin:hunter2")

    for client in CLIENTS.values():
        for title in ("a", "b"):
            reply = await Blog().post(handler, client=client, form={"title": title})
            assert b"hunter2" not in reply.body
            assert b"10.0.0.3" not in reply.body


async def test_react_29034_a_form_is_not_reset_by_a_failure() -> None:
    """React 19 empties it after every action, failed or not."""
    seen: list[ActionState] = []

    @action(page=lambda call, state: seen.append(state) or "")
    async def handler(form: FromInput[PostIn]) -> Result[None]:
        raise Conflict("Taken", details={"title": ["is taken"]})

    await Blog().post(handler, form={"title": "a", "stars": "5"})
    (state,) = seen
    assert (state.value("title"), state.value("stars"), state.error("title")) == ("a", "5", "is taken")


async def test_next_js_49450_what_is_stale_is_told_before_the_redirect_leaves() -> None:
    """And #52075, #74757, #49778; next-safe-action#281: a redirect is a success like any other."""
    order: list[object] = []
    blog = Blog(on_invalidate=lambda names: order.append(tuple(names)))
    handler = action(invalidates=["posts", "/posts"])(_go)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def noting(message: Any) -> None:
            order.append(message["type"])
            await send(message)

        await blog.gate.wrap(Starlette(routes=[Route("/", handler, methods=["POST"])]))(scope, receive, noting)

    for client in CLIENTS.values():
        order.clear()
        reply = await call(app, form={"title": "a"}, headers=client)
        assert order == [("posts", "/posts"), "http.response.start", "http.response.body"]
        if "hx-request" in client:
            assert "invalidated:posts" in reply.headers["hx-trigger"]
        elif client is not BROWSER:
            assert reply.json["invalidated"] == ["posts", "/posts"]


async def test_what_failed_has_made_nothing_stale() -> None:
    """Neither what the action declares, nor what the handler said before it failed."""

    @action(page=form_page, invalidates=["posts"], htmx_status=200)
    async def handler(form: FromInput[PostIn], call: Call) -> Result[None]:
        call.invalidate("users")
        if form.title == "raise":
            raise ValueError
        return err("No")

    for client in CLIENTS.values():
        for title in ("raise", "return", ""):
            blog = Blog()
            reply = await blog.post(handler, client=client, form={"title": title})
            assert blog.stale == []
            assert b"invalidated" not in reply.body
            assert "hx-trigger" not in reply.headers


@pytest.mark.parametrize("debug", [True, False])
async def test_kit_checks_the_origin_in_production_only(debug: bool) -> None:
    """There is no switch for it here: what is refused in production is refused while it is written."""
    app = Starlette(debug=debug, routes=[Route("/", action(page=form_page)(_go), methods=["POST"])])
    Gate().install(app)
    for foreign in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "", "origin": "null"}, {"origin": "http://x"}):
        for client in CLIENTS.values():
            plain = {key: value for key, value in {**client, **foreign}.items() if value}
            if "origin" in foreign:
                plain.pop("sec-fetch-site", None)
            reply = await call(app, form={"title": "a"}, headers=plain)
            assert reply.status == (422 if "hx-request" in client else 403)
    assert (await call(app, form={"title": "a"}, headers=BROWSER)).status == 303


async def test_kit_15992_a_form_without_an_origin_is_taken() -> None:
    """Programs, and browsers of before 2020, say nothing of where they come from; `missing="deny"` refuses them."""
    reply = await Blog().post(action(_go), client={"accept": "text/html"}, form={"title": "a"})
    assert reply.status == 303


@pytest.mark.parametrize("title", ["ok", "redirect", "err", "raise"])
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
async def test_a_dependency_commits_what_succeeded_and_nothing_else(title: str, client: dict[str, str]) -> None:
    """FastAPI: an answer that takes another's place must not cancel what commits after it; an error rolls back."""
    app = FastAPI()
    app.state.ended = ended = []
    app.post("/")(_in_session)
    Blog().gate.install(app)
    await call(app, form={"title": title}, headers=client)
    assert ended == ["commit" if title in ("ok", "redirect") else "rollback for HTTPException"]


async def _session(request: Request) -> AsyncIterator[str]:
    try:
        yield "session"
    except HTTPException:
        request.app.state.ended.append("rollback for HTTPException")
        raise
    except BaseException as exc:
        request.app.state.ended.append(f"rollback for {type(exc).__name__}")
        raise
    request.app.state.ended.append("commit")


@action(page=form_page)
async def _in_session(form: FromInput[PostIn], db: Annotated[str, Depends(_session)]) -> Redirect | Result[None]:
    match form.title:
        case "ok":
            return ok()
        case "redirect":
            return redirect("/posts")
        case "err":
            return err("No")
        case _:
            raise Conflict


async def test_two_clicks_do_it_once() -> None:
    """Double submit: the second click gets what the first one came to, as a page, and as JSON."""
    done: list[str] = []

    @action(page=form_page, once=True)
    async def handler(form: FromInput[PostIn]) -> Redirect | Result[None]:
        done.append(form.title)
        return err("Not allowed", status=403, details={"title": ["no"]}) if form.title == "no" else redirect("/posts/3")

    for title in ("yes", "no"):
        blog = Blog()
        once = {"title": title, "_once": "k" * 22}
        first, second = [await blog.post(handler, form=once) for _ in range(2)]
        assert (first.status, first.body) == (second.status, second.body)
        assert first.headers.get("location") == second.headers.get("location")
    assert done == ["yes", "no"]
    assert second.body == b"<form id=form>403 forbidden: Not allowed | {'title': 'no'} | {'title': ['no']}"


async def test_django_does_not_render_a_password_again() -> None:
    """Nor does a page here that writes down everything it is given."""

    @action(page=form_page)
    async def log_in(call: Call) -> Result[None]:
        return err("Wrong name or password", status=403)

    reply = await Blog().post(log_in, form={"name": "ada", "password": "hunter2", "remember": "on"})
    assert b"'name': 'ada', 'remember': 'on'" in reply.body
    assert b"hunter2" not in reply.body


async def test_a_page_that_was_left_open_is_sent_again_with_a_new_key() -> None:
    """After a failure the page has another `_once`, so that mending the form is no replay of the failure."""

    async def page(call: Call, state: ActionState) -> str:
        return hidden_fields(call, state)

    @action(page=page, once=True)
    async def handler(form: FromInput[PostIn]) -> Result[None]:
        return err("No", status=403)

    blog = Blog()
    pages = {(await blog.post(handler, form={"title": "a", "_once": "k" * 22})).body for _ in range(2)}
    assert len(pages) == 2
