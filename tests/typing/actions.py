"""What type checkers see of actions; checked by mypy and pyright, never run.

A `type: ignore` here is an assertion: both checkers report one that hides no error.
"""

from __future__ import annotations

from typing import Any, assert_type

from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from gatewright import (
    Call,
    Err,
    FromInput,
    Ok,
    Principal,
    Redirect,
    Result,
    SessionCookie,
    ok,
    redirect,
    validate,
    with_auth,
    with_rate_limit,
)
from gatewright.actions import ActionState, action


class PostIn(BaseModel):
    """A form."""

    title: str


class Post(BaseModel):
    """An answer."""

    id: int


session: SessionCookie[Any] = SessionCookie()


async def post_form(call: Call, state: ActionState) -> str:
    """A page is async or plain, a text or a response."""
    return state.value("title") + state.error("title")


def plain_form(call: Call, state: ActionState) -> Response:
    """Show a plain page."""
    return HTMLResponse(state.message)


def wrong_page(call: Call) -> str:
    """Not a page: it cannot say what is wrong."""
    return ""


def is_free(form: PostIn) -> dict[str, str] | None:
    """Check something."""
    return None


@action(page=post_form, invalidates=["posts"], once=True, refine=is_free)
@with_auth(session)
async def create_post(form: FromInput[PostIn], principal: Principal) -> Result[Post] | Redirect:
    """An action with settings."""
    return redirect("/posts/1")


@with_rate_limit("5/minute")
@validate
@action
async def update_post(form: FromInput[PostIn]) -> Result[Post]:
    """An action that is decorated on."""
    return ok(Post(id=1))


@action(page=plain_form)
def delete_post(call: Call) -> Redirect:
    """A plain handler."""
    return redirect("/")


async def can_be_called(principal: Principal, call: Call) -> None:
    """`run` takes what the handler takes, and returns what it returns, or an error."""
    created = await create_post.run(PostIn(title="Hi"), principal=principal)
    assert_type(created, Ok[Post] | Err | Redirect)
    updated = await update_post.run(PostIn(title="Hi"))
    assert_type(updated, Ok[Post] | Err)
    deleted = await delete_post.run(call)
    assert_type(deleted, Redirect | Err)
    assert_type(await create_post.handler(PostIn(title="Hi"), principal), Ok[Post] | Err | Redirect)
    await create_post.run(PostIn(title="Hi"))  # type: ignore[call-overload]
    await update_post.run(Post(id=1))  # type: ignore[call-overload]
    await delete_post.run()  # type: ignore[call-arg]


@action(page=wrong_page)  # type: ignore[arg-type]
async def shows_nothing(form: FromInput[PostIn]) -> Result[Post]:
    """A page has to take the state."""
    return ok(Post(id=1))
