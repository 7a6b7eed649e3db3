"""What type checkers see of decorated handlers; checked by mypy and pyright, never run.

A `type: ignore` here is an assertion: both checkers report one that hides no error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from typing import Any, assert_type

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gatewright import (
    Call,
    CursorPage,
    CursorParams,
    Err,
    FromBody,
    Gate,
    Guarded,
    Ok,
    Page,
    PageParams,
    Principal,
    Result,
    SessionCookie,
    compose,
    err,
    ok,
    paginate,
    require,
    role,
    validate,
    with_auth,
    with_rate_limit,
)
from gatewright._core.app import GuardedApp
from gatewright.auth import Owned, Requirement, owned, protect, public


class CreatePost(BaseModel):
    """A body."""

    title: str


class Post(BaseModel):
    """An answer."""

    id: int


session: SessionCookie[Any] = SessionCookie()


@with_rate_limit("100/minute")
@with_auth(session)
@validate
async def create_post(body: FromBody[CreatePost], principal: Principal) -> Result[Post]:
    """Called, called, bare."""
    return ok(Post(id=1), status=201)


async def calls_the_original(principal: Principal) -> None:
    """The original keeps its exact signature."""
    result = await create_post.handler(CreatePost(title="Hi"), principal)
    if result.success is True:
        assert_type(result.data, Post)
    if isinstance(result, Err):
        assert_type(result.code, str)
    await create_post.handler(body=CreatePost(title="Hi"), principal=principal)
    await create_post.handler(Post(id=1), principal)  # type: ignore[arg-type]
    await create_post.handler(CreatePost(title="Hi"))  # type: ignore[call-arg]
    await create_post.handler(title="Hi", principal=principal)  # type: ignore[call-arg]


@paginate(default_limit=5)
@validate()
def list_posts(page: PageParams, body: FromBody[CreatePost]) -> Result[Page[Post]]:
    """Sync, and called in both forms."""
    return ok(Page([Post(id=1)], total=1))


assert_type(list_posts.handler(PageParams(1, 5, 0), CreatePost(title="")), Ok[Page[Post]] | Err)


@paginate.cursor(order=("-created_at", "id"), unique="id")
def walk_posts(cursor: CursorParams) -> Result[CursorPage[Post]]:
    """The same as `paginate`, by cursor."""
    return ok(cursor.page([Post(id=1)]))


assert_type(walk_posts.handler(CursorParams(5, ("id",))), Ok[CursorPage[Post]] | Err)
assert_type(Page([1], 1).map(str), Page[str])
paginate.cursor(order=("id",))  # type: ignore[call-arg]
paginate.cursor(order=("id",), unique=1)  # type: ignore[arg-type]


@compose(with_auth(session), with_rate_limit("5/second"))
async def composed(request: Request) -> Result[None]:
    """Composed decorators keep the signature too."""
    return ok() if request.url else err("no")


async def calls_composed(request: Request) -> None:
    """What it returns is known."""
    assert_type(await composed.handler(request), Ok[None] | Err)


class Posts:
    """Methods work as functions do."""

    @with_auth(session)
    @validate
    async def post(self, request: Request, body: FromBody[CreatePost]) -> Result[Post]:
        """Take a body."""
        return ok(Post(id=1))


async def calls_a_method(request: Request) -> None:
    """The original of a method takes the instance first."""
    await Posts.post.handler(Posts(), request, CreatePost(title="Hi"))
    await Posts.post.handler(Posts(), request, "Hi")  # type: ignore[arg-type]


@with_auth(session)
async def stream(request: Request) -> AsyncIterator[bytes]:
    """A generator stays what it is."""
    yield b""


async def reads_a_stream(request: Request) -> None:
    """What it yields is known."""
    async for part in stream.handler(request):
        assert_type(part, bytes)


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """An app."""


assert_type(with_rate_limit("5/second")(asgi), GuardedApp)
assert_type(Gate().wrap(asgi), GuardedApp)


def takes_guarded(handler: Guarded[[CreatePost, Principal], Coroutine[Any, Any, Result[Post]]]) -> None:
    """A decorated function can be passed on under its own type."""


takes_guarded(create_post)


async def find(post_id: int) -> Post | None:
    """Load an object, or nothing."""
    return Post(id=post_id)


def read(post_id: int) -> Post:
    """Load an object, in a thread."""
    return Post(id=post_id)


async def allowed(principal: Principal, call: Call) -> bool:
    """Judge, after a while."""
    return True


@with_auth(session)
@require(role("admin") | owned(find, owner="author_id") & ~owned(read, owner=lambda post: post.id) | allowed)
@validate
async def update_post(post: Owned[Post], body: FromBody[CreatePost]) -> Result[Post]:
    """An owned object is what was loaded, to a type checker too."""
    assert_type(post, Post)
    return ok(post)


assert_type(owned(find, owner=lambda post: post.id), Requirement)
owned(find, owner=lambda post: post.author)  # type: ignore[attr-defined]
owned(find, owner="author_id", by="role")  # type: ignore[call-overload]


async def calls_with_an_object() -> None:
    """The original takes the object where a test passes it."""
    await update_post.handler(Post(id=1), CreatePost(title="Hi"))
    await update_post.handler("1", CreatePost(title="Hi"))  # type: ignore[arg-type]


@public
async def health(request: Request) -> Result[None]:
    """A bare decorator keeps the signature."""
    return ok()


async def calls_health(request: Request) -> None:
    """What it returns is known."""
    assert_type(await health.handler(request), Ok[None] | Err)


protect(Starlette(), {"/docs": public, "POST /posts": with_auth(session)}, default=with_auth(session))
protect(Starlette(), {"/docs": "public"})  # type: ignore[dict-item]
