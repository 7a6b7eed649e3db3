"""Posts: to read, to write, to change and to delete."""

from __future__ import annotations

from starlette.responses import Response

from blog import posts
from blog.access import administrator, own_post
from blog.db import Database, Post, sessions
from blog.gate import session
from blog.pages.html import render
from blog.schemas import PostId, PostIn
from gatewright import (
    ActionState,
    Call,
    FromInput,
    FromPath,
    Owned,
    PageParams,
    Principal,
    Redirect,
    action,
    by_principal,
    limit_body,
    paginate,
    public,
    redirect,
    require,
    transactional,
    validate,
    with_auth,
    with_rate_limit,
)


@public
@with_auth(session, optional=True)
@paginate(max_limit=50)
async def list_posts(page: PageParams, call: Call) -> Response:
    """List the posts, newest first."""
    return render(call, "list.html", page=page, posts=await posts.page_of(page))


@public
@with_auth(session, optional=True)
@validate
async def read_post(post_id: FromPath[PostId], call: Call) -> Response:
    """Show a post."""
    return render(call, "post.html", post=await posts.find(post_id))


def post_form(call: Call, state: ActionState) -> Response:
    """Show the form of a post, new or not: it goes to where it is shown."""
    return render(call, "form.html", state)


@with_auth(session)
async def new_post(call: Call) -> Response:
    """Show an empty form."""
    return post_form(call, ActionState())


@action(page=post_form, target="main", once=True, invalidates=["posts"])
@limit_body(100_000)
@with_rate_limit("30/minute", by=by_principal)
@with_auth(session)
@transactional(sessions)
async def create_post(form: FromInput[PostIn], principal: Principal, db: Database) -> Redirect:
    """Publish a post, once for each form that was shown, and show it."""
    post = await posts.create(db, form, author=principal.sub)
    return redirect(f"/posts/{post.id}")


@with_auth(session)
@require(own_post)
async def edit_post(post: Owned[Post], call: Call) -> Response:
    """Show the form, with what the post is now."""
    return post_form(call, ActionState(values={"title": post.title, "text": post.text}))


@action(page=post_form, target="main", invalidates=["posts"])
@limit_body(100_000)
@with_auth(session)
@require(own_post)
@transactional(sessions)
async def update_post(post: Owned[Post], form: FromInput[PostIn], db: Database) -> Redirect:
    """Change one's own post."""
    await posts.change(db, post, form)
    return redirect(f"/posts/{post.id}")


@action(invalidates=["posts"])
@with_auth(session)
@require(administrator | own_post)
@transactional(sessions)
async def delete_post(post: Owned[Post], db: Database) -> Redirect:
    """Delete one's own post or, as an administrator, any."""
    await posts.delete(db, post)
    return redirect("/")
