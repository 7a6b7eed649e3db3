"""Every handler of the blog. The decorators of one may stand in any order; they always run in the same, secure one."""

from __future__ import annotations

from blog import posts, settings, supporters, users
from blog.gate import session
from blog.limits import login_failures, reading
from blog.schemas import (
    Credentials,
    PostChanges,
    PostId,
    PostIn,
    PostOut,
    Registration,
    UserChanges,
    UserOut,
)
from gatewright import (
    Attempts,
    Call,
    FromBody,
    FromPath,
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
from gatewright.webhooks import Event, stripe

# Accounts and sessions


@with_rate_limit("10/minute")
@validate
async def register(body: FromBody[Registration]) -> Result[UserOut]:
    """Make an account. This returns the database's row, and what `UserOut` does not name stays here."""
    return ok(await users.register(body), status=201)


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


@with_auth(session)
async def logout() -> Result[None]:
    """End the session."""
    return ok(status=204, cookies=[session.end_session()])


# Users


def own_account(principal: Principal, call: Call) -> bool:
    """Say whether the account in the path is the caller's."""
    return bool(call.path_params["user_id"] == principal.sub)


@with_auth(session)
@require(role("admin"))
@paginate(max_limit=50)
async def list_users(page: PageParams) -> Result[Page[UserOut]]:
    """List the accounts, for administrators."""
    return ok(await users.page_of(page))


@with_auth(session)
@validate
async def read_user(user_id: FromPath[str]) -> Result[UserOut]:
    """Show an account, to everybody who has one."""
    return ok(await users.find(user_id))


@with_auth(session)
@require(own_account)
@validate
async def update_user(user_id: FromPath[str], body: FromBody[UserChanges]) -> Result[UserOut]:
    """Change one's own account."""
    return ok(await users.change(await users.find(user_id), body))


@with_auth(session)
@require(role("admin") | own_account)
@validate
async def delete_user(user_id: FromPath[str]) -> Result[None]:
    """Delete one's own account or, as an administrator, any."""
    await users.delete(await users.find(user_id))
    return ok()


# Posts


@with_auth(session, optional=True)
@with_rate_limit(reading, by=by_principal_or_address)
@paginate(max_limit=50)
async def list_posts(page: PageParams) -> Result[Page[PostOut]]:
    """List the posts, newest first."""
    return ok(await posts.page_of(page))


@limit_body(100_000)
@with_rate_limit("30/minute", by=by_principal)
@idempotent()
@with_auth(session)
@validate
async def create_post(body: FromBody[PostIn], principal: Principal) -> Result[PostOut]:
    """Publish a post."""
    return ok(await posts.create(body, author=principal.sub), status=201)


@validate
async def read_post(post_id: FromPath[PostId]) -> Result[PostOut]:
    """Show a post."""
    return ok(await posts.find(post_id))


@limit_body(100_000)
@with_auth(session)
@validate
async def update_post(post_id: FromPath[PostId], body: FromBody[PostChanges], principal: Principal) -> Result[PostOut]:
    """Change one's own post."""
    post = await posts.owned(post_id, by=principal.sub)
    return ok(await posts.change(post, body))


@with_auth(session)
@validate
async def delete_post(post_id: FromPath[PostId], principal: Principal) -> Result[None]:
    """Delete one's own post."""
    await posts.delete(await posts.owned(post_id, by=principal.sub))
    return ok()


# Webhooks


@verify_webhook(stripe(), secrets=settings.STRIPE_SECRET)
async def stripe_webhook(event: Event[supporters.StripeEvent]) -> Result[None]:
    """Follow what Stripe says; an event of another type never comes here, and is answered all the same."""
    await supporters.follow(event)
    return ok()
