"""Every handler of the API. The decorators of one may stand in any order; they always run in the same, secure one.

The app denies what says nothing of who may come in (`protect`, in `app.py`): hence `@public`.
"""

from __future__ import annotations

from blog import accounts, posts, settings, supporters, users
from blog.access import administrator, own_account, own_post
from blog.db import Database, Post, User, sessions
from blog.gate import session
from blog.limits import reading
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
from gatewright import (
    Call,
    FromBody,
    FromPath,
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
    public,
    require,
    transactional,
    validate,
    verify_webhook,
    with_auth,
    with_rate_limit,
)
from gatewright.webhooks import Event, stripe

# Accounts and sessions


@public
@cross_origin()
@with_rate_limit("10/minute")
@validate
@transactional(sessions)
async def register(body: FromBody[Registration], db: Database) -> Result[UserOut]:
    """Make an account. This returns the database's row, and what `UserOut` does not name stays here."""
    return ok(await accounts.register(db, body), status=201)


@public
@with_rate_limit("30/minute")
@validate
async def login(body: FromBody[Credentials], call: Call) -> Result[UserOut]:
    """Begin a session. That guesses are counted, and other sites refused, `Login` sees to."""
    known = await accounts.login.attempt(call, body.email, body.password.get_secret_value())
    return ok(known.user, cookies=known.cookies)


@with_auth(session)
async def logout(call: Call) -> Result[None]:
    """End the session, and all copies of its cookie."""
    return ok(status=204, cookies=[await session.end_session(call)])


@with_auth(session)
@validate
@transactional(sessions)
async def change_password(
    body: FromBody[PasswordChange], principal: Principal[User], call: Call, db: Database
) -> Result[None]:
    """Change one's own password, and log out everywhere else."""
    return ok(status=204, cookies=await accounts.change_password(db, call, users.of(principal), body))


# Users


@with_auth(session)
@require(administrator)
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
@require(administrator | own_account)
@validate
@transactional(sessions)
async def update_user(user_id: FromPath[str], body: FromBody[UserChanges], db: Database) -> Result[UserOut]:
    """Change one's own account or, as an administrator, any."""
    return ok(await users.change(db, await users.find(user_id), body))


@with_auth(session)
@require(administrator | own_account)
@validate
@transactional(sessions)
async def delete_user(user_id: FromPath[str], db: Database) -> Result[None]:
    """Delete one's own account or, as an administrator, any."""
    await users.delete(db, await users.find(user_id))
    return ok()


# Posts


@public
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
@transactional(sessions)
async def create_post(body: FromBody[PostIn], principal: Principal, db: Database) -> Result[PostOut]:
    """Publish a post."""
    return ok(await posts.create(db, body, author=principal.sub), status=201)


@public
@validate
async def read_post(post_id: FromPath[PostId]) -> Result[PostOut]:
    """Show a post."""
    return ok(await posts.find(post_id))


@limit_body(100_000)
@with_auth(session)
@require(own_post)
@validate
@transactional(sessions)
async def update_post(post: Owned[Post], body: FromBody[PostChanges], db: Database) -> Result[PostOut]:
    """Change one's own post; not even an administrator puts words into somebody's mouth."""
    return ok(await posts.change(db, post, body))


@with_auth(session)
@require(administrator | own_post)
@transactional(sessions)
async def delete_post(post: Owned[Post], db: Database) -> Result[None]:
    """Delete one's own post or, as an administrator, any."""
    await posts.delete(db, post)
    return ok()


# Webhooks


@verify_webhook(stripe(), secrets=settings.STRIPE_SECRET, once=True)
@transactional(sessions)
async def stripe_webhook(event: Event[supporters.StripeEvent], db: Database) -> Result[None]:
    """Follow what Stripe says, once; an event of another type never comes here, and is answered all the same."""
    await supporters.follow(db, event)
    return ok()
