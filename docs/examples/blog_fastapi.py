"""The blog as a FastAPI app: `uvicorn blog_fastapi:app --app-dir docs/examples`, then look at /docs.

Accounts, posts, database and gate are those of `blog`; only the handlers are written in FastAPI's way. Its own
features stay what they were: path parameters, `Depends`, `Response`, `status_code`, the interactive documentation.
"""

from __future__ import annotations

from typing import Annotated

from blog import posts, settings, supporters, users
from blog.db import Post, User
from blog.gate import gate, session
from blog.handlers import own_account
from blog.limits import login_failures, reading
from blog.routes import lifespan
from blog.schemas import Credentials, PostChanges, PostId, PostIn, PostOut, Registration, UserChanges, UserOut
from fastapi import APIRouter, Depends, FastAPI, Response

from gatewright import (
    Attempts,
    FromBody,
    Page,
    PageParams,
    Principal,
    Result,
    Unauthorized,
    by_principal,
    by_principal_or_address,
    idempotent,
    limit_body,
    ok,
    paginate,
    require,
    role,
    validate,
    verify_webhook,
    with_auth,
    with_rate_limit,
)
from gatewright.fastapi import CurrentPrincipal
from gatewright.webhooks import Event, stripe

router = APIRouter(prefix="/api")


# Dependencies


async def own_post(post_id: PostId, principal: CurrentPrincipal) -> Post:
    """Return the post in the path, if it is the caller's."""
    return await posts.owned(post_id, by=principal.sub)


OwnPost = Annotated[Post, Depends(own_post)]
UserInPath = Annotated[User, Depends(users.find)]

# Accounts and sessions


@router.post("/auth/register", status_code=201)
@with_rate_limit("10/minute")
@validate
async def register(body: FromBody[Registration]) -> Result[UserOut]:
    """Make an account."""
    return ok(await users.register(body))


@router.post("/auth/login")
@login_failures
@with_rate_limit("30/minute")
@validate
async def login(body: FromBody[Credentials], attempts: Attempts) -> Result[UserOut]:
    """Begin a session."""
    async with attempts(body.email) as attempt:
        user = await users.by_password(body)
        if user is None:
            raise Unauthorized("The email address or the password is wrong", code="wrong_credentials")
        await attempt.succeed()
    roles = ["admin"] if user.is_admin else []
    return ok(user, cookies=[session.create_session(user.id, roles=roles)])


@router.post("/auth/logout", status_code=204)
@with_auth(session)
async def logout(response: Response) -> None:
    """End the session."""
    gate.set_cookie(response, session.end_session())


# Users


@router.get("/users")
@with_auth(session)
@require(role("admin"))
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
@require(own_account)
@validate
async def update_user(user: UserInPath, body: FromBody[UserChanges]) -> Result[UserOut]:
    """Change one's own account."""
    return ok(await users.change(user, body))


@router.delete("/users/{user_id}", status_code=204)
@with_auth(session)
@require(role("admin") | own_account)
async def delete_user(user: UserInPath) -> None:
    """Delete one's own account or, as an administrator, any."""
    await users.delete(user)


# Posts


@router.get("/posts")
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
async def create_post(body: FromBody[PostIn], principal: Principal) -> Result[PostOut]:
    """Publish a post."""
    return ok(await posts.create(body, author=principal.sub))


@router.get("/posts/{post_id}")
async def read_post(post_id: PostId) -> Result[PostOut]:
    """Show a post."""
    return ok(await posts.find(post_id))


@router.patch("/posts/{post_id}")
@limit_body(100_000)
@with_auth(session)
@validate
async def update_post(post: OwnPost, body: FromBody[PostChanges]) -> Result[PostOut]:
    """Change one's own post."""
    return ok(await posts.change(post, body))


@router.delete("/posts/{post_id}", status_code=204)
@with_auth(session)
async def delete_post(post: OwnPost) -> None:
    """Delete one's own post."""
    await posts.delete(post)


# Webhooks


@router.post("/webhooks/stripe")
@verify_webhook(stripe(), secrets=settings.STRIPE_SECRET)
async def stripe_webhook(event: Event[supporters.StripeEvent]) -> Result[None]:
    """Follow what Stripe says."""
    await supporters.follow(event)
    return ok()


app = FastAPI(title="The blog", lifespan=lifespan)
app.include_router(router)
gate.install(app)
