"""The blog as a FastAPI app: `uvicorn blog_fastapi:app --app-dir docs/examples`, then look at /docs.

Accounts, posts, database and gate are those of `blog`; only the handlers are written in FastAPI's way. Its own
features stay what they were: path parameters, `Depends`, `Response`, `status_code`, the interactive documentation.
"""

from __future__ import annotations

from typing import Annotated

from blog import accounts, pages, posts, settings, supporters, users
from blog.access import administrator, own_account, own_post
from blog.db import Database, Post, User, sessions
from blog.gate import gate, session
from blog.limits import reading
from blog.routes import lifespan
from blog.schemas import (
    Credentials,
    PasswordChange,
    PostChanges,
    PostId,
    PostIn,
    PostOut,
    Registration,
    UserChanges,
    UserOut,
)
from fastapi import APIRouter, Depends, FastAPI, Response

from gatewright import (
    Call,
    FromBody,
    Owned,
    Page,
    PageParams,
    Principal,
    Result,
    by_principal,
    by_principal_or_address,
    cross_origin,
    idempotent,
    limit_body,
    ok,
    paginate,
    protect,
    public,
    require,
    transactional,
    validate,
    verify_webhook,
    with_auth,
    with_rate_limit,
)
from gatewright.webhooks import Event, stripe

router = APIRouter(prefix="/api")

UserInPath = Annotated[User, Depends(users.find)]

# Accounts and sessions


@router.post("/auth/register", status_code=201)
@public
@cross_origin()
@with_rate_limit("10/minute")
@validate
@transactional(sessions)
async def register(body: FromBody[Registration], db: Database) -> Result[UserOut]:
    """Make an account."""
    return ok(await accounts.register(db, body))


@router.post("/auth/login")
@public
@with_rate_limit("30/minute")
@validate
async def login(body: FromBody[Credentials], call: Call) -> Result[UserOut]:
    """Begin a session."""
    known = await accounts.login.attempt(call, body.email, body.password.get_secret_value())
    return ok(known.user, cookies=known.cookies)


@router.post("/auth/logout", status_code=204)
@with_auth(session)
async def logout(call: Call, response: Response) -> None:
    """End the session."""
    gate.set_cookie(response, await session.end_session(call))


@router.post("/auth/password", status_code=204)
@with_auth(session)
@validate
@transactional(sessions)
async def change_password(
    body: FromBody[PasswordChange], principal: Principal[User], call: Call, response: Response, db: Database
) -> None:
    """Change one's own password, and log out everywhere else."""
    for cookie in await accounts.change_password(db, call, users.of(principal), body):
        gate.set_cookie(response, cookie)


# Users


@router.get("/users")
@with_auth(session)
@require(administrator)
@paginate(max_limit=50)
async def list_users(page: PageParams) -> Result[Page[UserOut]]:
    """List the accounts, for administrators."""
    return ok(await users.page_of(page))


@router.get("/users/{user_id}")
@with_auth(session)
async def read_user(user: UserInPath) -> Result[UserOut]:
    """Show an account, to everybody who has one."""
    return ok(user)


@router.patch("/users/{user_id}")
@with_auth(session)
@require(administrator | own_account)
@validate
@transactional(sessions)
async def update_user(user: UserInPath, body: FromBody[UserChanges], db: Database) -> Result[UserOut]:
    """Change one's own account or, as an administrator, any."""
    return ok(await users.change(db, user, body))


@router.delete("/users/{user_id}", status_code=204)
@with_auth(session)
@require(administrator | own_account)
@transactional(sessions)
async def delete_user(user: UserInPath, db: Database) -> None:
    """Delete one's own account or, as an administrator, any."""
    await users.delete(db, user)


# Posts


@router.get("/posts")
@public
@with_auth(session, optional=True)
@with_rate_limit(reading, by=by_principal_or_address)
@paginate(max_limit=50)
async def list_posts(page: PageParams) -> Result[Page[PostOut]]:
    """List the posts, newest first."""
    return ok(await posts.page_of(page))


@router.post("/posts", status_code=201)
@limit_body(100_000)
@with_rate_limit("30/minute", by=by_principal)
@idempotent()
@with_auth(session)
@validate
@transactional(sessions)
async def create_post(body: FromBody[PostIn], principal: Principal, db: Database) -> Result[PostOut]:
    """Publish a post."""
    return ok(await posts.create(db, body, author=principal.sub))


@router.get("/posts/{post_id}")
@public
async def read_post(post_id: PostId) -> Result[PostOut]:
    """Show a post."""
    return ok(await posts.find(post_id))


@router.patch("/posts/{post_id}")
@limit_body(100_000)
@with_auth(session)
@require(own_post)
@validate
@transactional(sessions)
async def update_post(post: Owned[Post], body: FromBody[PostChanges], db: Database) -> Result[PostOut]:
    """Change one's own post."""
    return ok(await posts.change(db, post, body))


@router.delete("/posts/{post_id}", status_code=204)
@with_auth(session)
@require(administrator | own_post)
@transactional(sessions)
async def delete_post(post: Owned[Post], db: Database) -> None:
    """Delete one's own post or, as an administrator, any."""
    await posts.delete(db, post)


# Webhooks


@router.post("/webhooks/stripe")
@verify_webhook(stripe(), secrets=settings.STRIPE_SECRET, once=True)
@transactional(sessions)
async def stripe_webhook(event: Event[supporters.StripeEvent], db: Database) -> Result[None]:
    """Follow what Stripe says."""
    await supporters.follow(db, event)
    return ok()


# The pages are those of the Starlette blog; the rest of what FastAPI adds by itself is left out.
app = FastAPI(
    title="The blog", lifespan=lifespan, routes=pages.routes, redoc_url=None, swagger_ui_oauth2_redirect_url=None
)
app.include_router(router)
gate.install(app)
protect(app, {"/docs": public, "/openapi.json": public})
