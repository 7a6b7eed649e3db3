"""Accounts. What changes one is part of its handler's transaction; what only looks has one of its own."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from blog.db import User, transaction
from blog.schemas import UserChanges
from gatewright import NotFound, Page, PageParams, Principal, Unauthorized
from gatewright.pagination import sql

EMAIL_TAKEN = "There is an account with this email address"
NAME_TAKEN = "This name is taken"


async def add(db: AsyncSession, name: str, email: str, password_hash: str, *, is_admin: bool) -> User:
    """Make an account."""
    user = User(name=name, email=email, password_hash=password_hash, is_admin=is_admin)
    db.add(user)
    await db.flush()  # now the database says whether name and address are free
    return user


async def by_email(typed: str) -> User | None:
    """Return the account with this address; it is kept in lower case, and typed as people like."""
    async with transaction() as db:
        return await db.scalar(select(User).where(User.email == typed.strip().lower()))


async def replace_hash(user: User, old: str, better: str) -> None:
    """Keep a better hash of the same password, unless the password was changed meanwhile."""
    async with transaction() as db:
        same = (User.id == user.id, User.password_hash == old)
        await db.execute(update(User).where(*same).values(password_hash=better))


async def keep_hash(db: AsyncSession, user: User, password_hash: str) -> None:
    """Keep the hash of another password."""
    db.add(user)
    user.password_hash = password_hash


async def of_session(principal: Principal) -> User | None:
    """Return whose session this is; None, which ends it, where the account is gone."""
    async with transaction() as db:
        return await db.get(User, principal.sub)


def of(principal: Principal[User]) -> User:
    """Return the account that `of_session` found."""
    if principal.user is None:
        raise Unauthorized
    return principal.user


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
        return await sql.page_of(db, select(User).order_by(User.name), page)


async def change(db: AsyncSession, user: User, changes: UserChanges) -> User:
    """Change an account."""
    db.add(user)
    user.name = changes.name
    return user


async def delete(db: AsyncSession, user: User) -> None:
    """Delete an account, and with it its posts."""
    await db.delete(user)
