"""Passwords and logins: who may have an account, who gets in, and what ends when a password changes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from blog import settings, users
from blog.db import User, transaction
from blog.gate import session
from blog.limits import login_failures
from blog.schemas import PasswordChange, Registration
from gatewright import Call, Conflict, Cookie
from gatewright.auth import Login, NistPolicy, Passwords, argon2id

passwords = Passwords([argon2id()], NistPolicy(context=["blog"]))


def roles_of(user: User) -> list[str]:
    """Return what an account's sessions may do beside what everybody may."""
    return ["admin"] if user.is_admin else []


login = Login(
    users.by_email,
    passwords,
    login_failures,
    session=session,
    roles=roles_of,
    save_hash=users.replace_hash,
)


async def register(db: AsyncSession, new: Registration, *, is_admin: bool = False) -> User:
    """Make an account.

    The address is looked up first, because a hash is expensive. Of two requests at the same time, the second fails
    at the database's own constraint; the gate answers that with the same 409 (see `gate.py`).
    """
    password = new.password.get_secret_value()
    await passwords.check(password, context=[new.name, new.email])
    if await users.by_email(new.email):
        raise Conflict(users.EMAIL_TAKEN, details={"email": [users.EMAIL_TAKEN]})
    return await users.add(db, new.name, new.email, await passwords.hash(password), is_admin=is_admin)


async def change_password(db: AsyncSession, call: Call, user: User, change: PasswordChange) -> Sequence[Cookie]:
    """Keep another password, end every session that was begun with the old one, and return the cookie of a new one."""
    new = change.new.get_secret_value()
    await login.confirm(call, user, change.current.get_secret_value())
    await passwords.check(new, context=[user.name, user.email], field="new")
    await users.keep_hash(db, user, await passwords.hash(new))
    await session.end_all(call, user.id)
    return (await login.sign_in(call, user)).cookies


async def add_administrator() -> None:
    """Make the account that the settings name, unless it is there."""
    email, password = settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD
    if email and password and not await users.by_email(email):
        administrator = {"name": "admin", "email": email, "password": password}
        async with transaction() as db:
            await register(db, Registration.model_validate(administrator), is_admin=True)
