"""Accounts."""

from __future__ import annotations

from sqlalchemy import func, select

from blog import passwords, settings
from blog.db import User, transaction
from blog.schemas import Credentials, Registration, UserChanges
from gatewright import Conflict, NotFound, Page, PageParams, Principal

EMAIL_TAKEN = "There is an account with this email address"
NAME_TAKEN = "This name is taken"


async def register(new: Registration) -> User:
    """Make an account.

    The address is looked up first, because a hash is expensive. Of two requests at the same time, the second fails
    at the database's own constraint; the gate answers that with the same 409 (see `gate.py`).
    """
    if await _by_email(new.email):
        raise Conflict(EMAIL_TAKEN, details={"email": [EMAIL_TAKEN]})
    return await _add(new)


async def by_password(given: Credentials) -> User | None:
    """Return whose email address and password these are."""
    user = await _by_email(given.email)
    password_hash = user.password_hash if user else None
    return user if await passwords.matches(password_hash, given.password.get_secret_value()) else None


async def of_session(principal: Principal) -> User | None:
    """Return whose session this is; None, which ends it, where the account is gone."""
    async with transaction() as db:
        return await db.get(User, principal.sub)


async def find(user_id: str) -> User:
    """Return an account."""
    async with transaction() as db:
        user = await db.get(User, user_id)
    if user is None:
        raise NotFound("There is no such user")
    return user


async def page_of(page: PageParams) -> Page[User]:
    """Return accounts by name."""
    async with transaction() as db:
        users = await db.scalars(select(User).order_by(User.name).offset(page.offset).limit(page.limit))
        total = await db.scalar(select(func.count()).select_from(User))
        return Page(users.all(), total or 0)


async def change(user: User, changes: UserChanges) -> User:
    """Change an account."""
    async with transaction() as db:
        db.add(user)
        user.name = changes.name
    return user


async def delete(user: User) -> None:
    """Delete an account, and with it its posts."""
    async with transaction() as db:
        await db.delete(user)


async def add_administrator() -> None:
    """Make the account that the settings name, unless it is there."""
    email, password = settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD
    if email and password and not await _by_email(email):
        await _add(Registration.model_validate({"name": "admin", "email": email, "password": password}), is_admin=True)


async def _by_email(email: str) -> User | None:
    async with transaction() as db:
        return await db.scalar(select(User).where(User.email == email))


async def _add(new: Registration, *, is_admin: bool = False) -> User:
    password_hash = await passwords.hashed(new.password.get_secret_value())
    async with transaction() as db:
        user = User(name=new.name, email=new.email, password_hash=password_hash, is_admin=is_admin)
        db.add(user)
    return user
