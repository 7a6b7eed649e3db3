"""Posts."""

from __future__ import annotations

from sqlalchemy import func, select

from blog.db import Post, transaction
from blog.schemas import PostChanges, PostId, PostIn
from gatewright import NotFound, Page, PageParams


async def create(new: PostIn, *, author: str) -> Post:
    """Publish a post."""
    async with transaction() as db:
        post = Post(title=new.title, text=new.text, author_id=author)
        db.add(post)
    return post


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
        posts = await db.scalars(select(Post).order_by(Post.id.desc()).offset(page.offset).limit(page.limit))
        total = await db.scalar(select(func.count()).select_from(Post))
        return Page(posts.all(), total or 0)


async def change(post: Post, changes: PostChanges) -> Post:
    """Change what is given."""
    async with transaction() as db:
        db.add(post)
        for field, value in changes.model_dump(exclude_none=True).items():
            setattr(post, field, value)
    return post


async def delete(post: Post) -> None:
    """Delete a post."""
    async with transaction() as db:
        await db.delete(post)
