"""The paths of the blog, and what happens when it starts and stops."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.routing import BaseRoute, Mount, Route

from blog import accounts, db, handlers, pages

routes: list[BaseRoute] = [
    *pages.routes,
    Mount(
        "/api",
        routes=[
            Route("/auth/register", handlers.register, methods=["POST"]),
            Route("/auth/login", handlers.login, methods=["POST"]),
            Route("/auth/logout", handlers.logout, methods=["POST"]),
            Route("/auth/password", handlers.change_password, methods=["POST"]),
            Route("/users", handlers.list_users),
            Route("/users/{user_id}", handlers.read_user),
            Route("/users/{user_id}", handlers.update_user, methods=["PATCH"]),
            Route("/users/{user_id}", handlers.delete_user, methods=["DELETE"]),
            Route("/posts", handlers.list_posts),
            Route("/posts", handlers.create_post, methods=["POST"]),
            Route("/posts/{post_id}", handlers.read_post),
            Route("/posts/{post_id}", handlers.update_post, methods=["PATCH"]),
            Route("/posts/{post_id}", handlers.delete_post, methods=["DELETE"]),
            Route("/webhooks/stripe", handlers.stripe_webhook, methods=["POST"]),
        ],
    ),
]


@asynccontextmanager
async def lifespan(app: object) -> AsyncGenerator[None, None]:
    """Open the database, and close it."""
    await db.create_tables()
    await accounts.add_administrator()
    yield
    await db.engine.dispose()
