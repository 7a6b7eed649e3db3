"""Posts. What changes one is part of its handler's transaction; what only looks has one of its own."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from blog.db import Post, transaction
from blog.schemas import PostChanges, PostId, PostIn
from gatewright import NotFound, Page, PageParams
from gatewright.pagination import sql


async def find(post_id: PostId) -> Post:
    """Return a post."""
    async with transaction() as db:
        post = await db.get(Post, post_id)
    if post is None:
        raise NotFound("There is no such post")
    return post


async def page_of(page: PageParams) -> Page[Post]:
    """Return posts, newest first."""
    async with transaction() as db:
        return await sql.page_of(db, select(Post).order_by(Post.id.desc()), page)


async def create(db: AsyncSession, new: PostIn, *, author: str) -> Post:
    """Publish a post."""
    post = Post(title=new.title, text=new.text, author_id=author)
    db.add(post)
    await db.flush()  # the database gives it its number
    return post


async def change(db: AsyncSession, post: Post, changes: PostChanges | PostIn) -> Post:
    """Change what is given."""
    db.add(post)
    for field, value in changes.model_dump(exclude_none=True).items():
        setattr(post, field, value)
    return post


async def delete(db: AsyncSession, post: Post) -> None:
    """Delete a post."""
    await db.delete(post)
