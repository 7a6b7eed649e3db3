"""Ownership: loaded once, checked, handed over; and a stranger learns nothing, not even that there is something."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator
from operator import attrgetter
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from gatewright import (
    Call,
    ConfigurationError,
    FromBody,
    NotFound,
    Ok,
    Principal,
    compose,
    ok,
    require,
    role,
    scopes,
    validate,
    with_auth,
)
from gatewright.auth.authority.kinds import fresh
from gatewright.auth.authority.owned import Owned, owned
from gatewright.testing import EventList, call, handshake
from tests.auth.authority.support import PEOPLE, Post, Posts, ask, bare, bearer, gate

pytestmark = pytest.mark.anyio


class Changes(BaseModel):
    """A body."""

    title: str


def handler(requirement: Any) -> Any:
    @with_auth(bearer)
    @require(requirement)
    async def show(post: Owned[Post]) -> Ok[int]:
        return ok(post.id)

    return show


# Whose it is


async def test_the_owner_gets_the_very_object_that_was_loaded() -> None:
    """Once: what was checked is what is used, without a second look that could find something else."""
    posts = Posts()
    seen: list[Post] = []

    @with_auth(bearer)
    @require(owned(posts.find, owner="author_id"))
    async def show(post: Owned[Post], principal: Principal) -> Ok[str]:
        seen.append(post)
        return ok(principal.sub)

    reply = await ask(show, "ada", "1")
    assert (reply.status, reply.json["data"]) == (200, "ada")
    assert seen == [Post(1, "ada", "acme")] and posts.asked == [1]


async def test_what_is_missing_and_what_is_foreign_are_the_same_answer() -> None:
    """Byte for byte, header for header, however the loader says that there is nothing, and whatever the path holds."""
    for load in (Posts().find, Posts().get):
        show = handler(owned(load, owner="author_id"))
        foreign = await ask(show, "ada", 2)
        assert (foreign.status, foreign.json["code"], foreign.json["error"]) == (404, "not_found", "Not found")
        for post in (99, "99", "not a number", "", "1e400", "9" * 5_000, "1\x00"):
            assert bare(await ask(show, "ada", post)) == bare(foreign)


async def test_the_log_knows_what_the_answer_does_not() -> None:
    """That a stranger knocked is an event (ASVS 5.0, 16.3.2); that nothing was there is none."""
    events = EventList()
    show = handler(owned(Posts().find, owner="author_id"))
    await ask(show, "ada", 2, events)
    assert events[-1]["security"] == ["access_denied"] and "is not met" in events[-1]["reason"]
    await ask(show, "ada", 99, events)
    assert "security" not in events[-1] and "found nothing" in events[-1]["reason"]


async def test_what_has_no_owner_is_nobodys() -> None:
    """Not even of a caller whose `sub` is "None", or who has no tenant."""
    show = handler(owned(Posts().find, owner="author_id"))
    assert (await call(show, principal=Principal("None"), path_params={"post_id": 3}, gate=gate())).status == 404
    by_tenant = handler(owned(Posts().find, owner="tenant_id", by="tenant"))
    assert (await ask(by_tenant, "eve", 3)).status == 404


async def test_a_tenant_owns_too() -> None:
    """`by="tenant"` compares the principal's tenant, so that a colleague passes and a stranger does not."""
    show = handler(owned(Posts().find, owner="tenant_id", by="tenant"))
    assert [(await ask(show, who, 1)).status for who in ("ada", "bob", "eve")] == [200, 200, 404]


async def test_reveal_says_that_it_is_there() -> None:
    """403 for what is somebody else's, and still 404 for what is not there."""
    show = handler(owned(Posts().find, owner="author_id", reveal=True))
    assert [(await ask(show, "ada", post)).status for post in (1, 2, 99)] == [200, 403, 404]


class Ulid:
    """An identifier that knows how it is written."""

    def __str__(self) -> str:
        return "ada"


@pytest.mark.parametrize("owner", ["author.name", attrgetter("author.name"), lambda post: Ulid()])
async def test_an_owner_is_an_attribute_or_a_function(owner: Any) -> None:
    """Dotted, too; compared as text, as identifiers come in many types."""

    class Author:
        name = "ada"

    class Article:
        id, author = 1, Author()

    async def find(post_id: str) -> Article:
        return Article()

    show = handler(owned(find, owner=owner))
    assert [(await ask(show, who)).status for who in ("ada", "bob")] == [200, 404]


# Joined with others


async def test_an_admin_gets_the_object_too() -> None:
    """The loader is awaited for everybody, so that the handler has it, and the time tells nothing."""
    posts = Posts()
    show = handler(role("admin") | owned(posts.find, owner="author_id"))
    assert [(await ask(show, "root", post)).status for post in (1, 2, 99)] == [200, 200, 404]
    assert posts.asked == [1, 2, 99]


async def test_not_the_owner_may_be_what_is_wanted() -> None:
    """Nobody reviews their own post; the owner knows that it is there, so that is no secret, and a 404 no help."""
    review = handler(~owned(Posts().find, owner="author_id"))
    assert [(await ask(review, "ada", post)).status for post in (1, 2, 3, 99)] == [403, 200, 200, 404]


async def test_who_cannot_pass_anyway_is_refused_before_anything_is_loaded() -> None:
    """The early judgement: no object, no body, and so the same 403 whether there is one or not."""
    posts = Posts()

    @with_auth(bearer)
    @require(scopes("write") & owned(posts.find, owner="author_id"))
    @validate
    async def update(post: Owned[Post], body: FromBody[Changes]) -> Ok[int]:
        return ok(post.id)

    replies = [await ask(update, "ada", post, data=b"{") for post in (1, 2, 99)]
    assert [reply.status for reply in replies] == [403] * 3 and posts.asked == []
    assert [reply.consumed for reply in replies] == [0] * 3
    assert replies[0].headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="write"'


async def test_the_body_is_parsed_before_the_object_is_loaded() -> None:
    """REFINE comes after PARSE, inside a transaction: what is malformed costs no query."""
    posts = Posts()

    @with_auth(bearer)
    @require(owned(posts.find, owner="author_id"))
    @validate
    async def update(post: Owned[Post], body: FromBody[Changes]) -> Ok[str]:
        return ok(f"{post.id} {body.title}")

    assert (await ask(update, "ada", 2, json={"title": 7})).status == 400 and posts.asked == []
    reply = await ask(update, "ada", 1, json={"title": "Hi"})
    assert reply.json["data"] == "1 Hi"
    assert repr(update.pipeline).split(" > ")[-1].startswith("REFINE require(owned(")


async def test_an_owner_who_is_stale_is_asked_to_authenticate_again_and_a_stranger_is_not() -> None:
    """An object's existence is told by no remedy: where it is foreign, the answer is that of a missing one."""

    async def never(principal: Principal, call: Call) -> bool:
        return False

    both = handler(fresh(300) & owned(Posts().find, owner="author_id"))
    assert [(await ask(both, "bob", post)).status for post in (2, 1, 99)] == [401, 401, 401]
    either = handler((fresh(300) | never) & owned(Posts().find, owner="author_id"))
    assert [(await ask(either, "bob", post)).status for post in (2, 1, 99)] == [401, 404, 404]
    alone = handler(fresh(300) | owned(Posts().find, owner="author_id"))
    assert [(await ask(alone, "bob", post)).status for post in (2, 1, 99)] == [200, 404, 404]
    assert bare(await ask(alone, "bob", 1)) == bare(await ask(alone, "bob", 99))


async def test_the_same_object_in_several_places_is_loaded_once() -> None:
    """Equal parts are one part, in one expression and in several `require`."""
    posts = Posts()

    @with_auth(bearer)
    @require(
        (role("admin") | owned(posts.find, owner="author_id")) & ~(role("x") & owned(posts.find, owner="author_id"))
    )
    @require(owned(posts.find, owner="author_id"))
    async def show(post: Owned[Post]) -> Ok[int]:
        return ok(post.id)

    assert (await ask(show, "ada", 1)).status == 200 and posts.asked == [1]


async def test_two_objects_can_be_asked_for_where_the_handler_takes_none() -> None:
    """Each has to be there, and to be theirs."""
    posts, drafts = Posts(), Posts()

    @with_auth(bearer)
    @require(owned(posts.find, owner="author_id"))
    @require(owned(drafts.get, owner="author_id", reveal=True))
    async def show() -> Ok[None]:
        return ok()

    assert [(await ask(show, "ada", post)).status for post in (1, 2, 99)] == [200, 404, 404]
    assert posts.asked == drafts.asked == [1, 2, 99]


# The loader


async def test_a_loader_takes_what_its_annotations_say() -> None:
    """From the text of the path, whatever a convertor made of it; with defaults, the caller and the call."""
    asked: list[Any] = []

    async def find(post_id: UUID, number: str, raw, principal: Principal, request: Call, lang: str = "en") -> Post:  # type: ignore[no-untyped-def]  # it is the point
        asked.append((post_id, number, raw, principal.sub, request.method, lang))
        return Post(1, "ada")

    path: dict[str, Any] = {"post_id": "8c0a3f4e-0b1c-4d6e-9d8a-3a1f5b7c9d2e", "number": 7, "raw": "r"}
    reply = await ask(handler(owned(find, owner="author_id")), "ada", path_params=path)
    assert reply.status == 200
    assert asked == [(UUID(path["post_id"]), "7", "r", "ada", "GET", "en")]


async def test_a_plain_loader_runs_in_a_thread() -> None:
    """As a plain handler does: a driver that blocks would stop the loop."""
    threads: list[int] = []

    class Blocking(Posts):
        def read(self, post_id: int) -> Post | None:
            threads.append(threading.get_ident())
            return super().read(post_id)

    show = handler(owned(Blocking().read, owner="author_id"))
    assert [(await ask(show, "ada", post)).status for post in (1, 99)] == [200, 404]
    assert threading.get_ident() not in threads


async def test_whatever_can_be_called_by_name_loads() -> None:
    """A partial, an object, a lambda."""
    posts = Posts()

    class Finder:
        async def __call__(self, post_id: int) -> Post | None:
            return await posts.find(post_id)

    async def find(kind: str, post_id: int) -> Post | None:
        return await posts.find(post_id)

    for load in (Finder(), functools.partial(find, "post"), lambda post_id: posts.read(int(post_id))):
        show = handler(owned(load, owner="author_id"))
        assert [(await ask(show, "ada", post)).status for post in (1, 2)] == [200, 404]


class NoRow(Exception):
    """What a database says."""


@pytest.mark.parametrize("error", [NotFound("No such post"), HTTPException(404, "x", {"X-Seen": "1"}), NoRow()])
async def test_however_a_loader_says_not_found_it_is_the_same_404(error: Exception) -> None:
    """A text, a header or a mapping of its own would tell a missing object from a foreign one."""

    async def find(post_id: int) -> Post:
        if post_id == 99:
            raise error
        return Post(2, "bob")

    ours = gate()
    ours.errors.register(NoRow, lambda _: NotFound("no row", code="no_row"))
    show = handler(owned(find, owner="author_id"))
    assert bare(await ask(show, "ada", 99, gate=ours)) == bare(await ask(show, "ada", 2, gate=ours))


async def test_what_else_a_loader_raises_is_what_it_is() -> None:
    """An outage is not an absence."""

    async def find(post_id: int) -> Post:
        raise RuntimeError("the database is down")

    assert (await ask(handler(owned(find, owner="author_id")), "ada")).status == 500


async def test_a_route_that_cannot_fill_the_loader_is_a_fault_of_ours() -> None:
    """A 500 for everybody, and the log names the parameters that are there."""
    events = EventList()
    show = handler(role("admin") | owned(Posts().find, owner="author_id"))
    assert (await ask(show, "root", path_params={"id": "1"}, events=events)).status == 500
    assert "Posts.find): the route has no parameter post_id; those of its path are: id" in str(events)


@given(st.text())
async def test_no_path_is_our_fault(post: str) -> None:
    """Whatever a client writes there is found, or it is not."""
    show = handler(owned(Posts().find, owner="author_id"))
    assert (await ask(show, "ada", post)).status in (200, 404)


# Mistakes


async def _yields(post_id: int) -> AsyncIterator[Post]:
    yield Post(1, "ada")


async def _by_position(post_id: int, /) -> None: ...


async def _anything(*post_id: int) -> None: ...


async def _nothing(principal: Principal) -> None: ...


async def _body(post_id: int, body: FromBody[Changes]) -> None: ...


async def _whose(post: Post) -> str:
    return "ada"


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: owned("post_id", owner="x"), r'write owned\(posts.find, owner="author_id"\)'),  # type: ignore[call-overload]
        (lambda: owned(Post, owner="x"), r"write owned\(posts.find"),
        (lambda: owned(_by_position, owner="x"), "has no name in the path"),
        (lambda: owned(_anything, owner="x"), "has no name in the path"),
        (lambda: owned({}.get, owner="x"), "has no name in the path"),
        (lambda: owned(min, owner="x"), "does not say what it takes"),
        (lambda: owned(_yields, owner="x"), "it yields; return the object"),
        (lambda: owned(_nothing, owner="x"), "takes nothing of the path"),
        (
            lambda: owned(_body, owner="x"),
            "nobody fills body; it may ask for the path's parameters, Principal and Call",
        ),
        (lambda: owned(Posts().find, owner=""), 'owner="author_id"'),
        (lambda: owned(Posts().find, owner="author id"), 'owner="author_id"'),
        (lambda: owned(Posts().find, owner=7), 'owner="author_id"'),  # type: ignore[call-overload]
        (lambda: owned(Posts().find, owner=str), 'owner="author_id"'),
        (lambda: owned(Posts().find, owner=_whose), "write a plain function"),
        (lambda: owned(Posts().find, owner="x", by="role"), "by='sub' or by='tenant'"),  # type: ignore[call-overload]
        (lambda: owned(Posts().find, owner="x", reveal=1), "True or False"),  # type: ignore[call-overload]
    ],
)
def test_a_mistake_is_refused_when_it_is_written(mistake: Any, message: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        mistake()


def test_it_reads_like_what_was_written() -> None:
    """As far as functions have names."""
    name = "tests.auth.authority.support.Posts.find"
    assert repr(owned(Posts().find, owner="author_id")) == f"owned({name}, owner='author_id')"
    assert repr(owned(Posts().find, owner=_named, by="tenant", reveal=True)) == (
        f"owned({name}, owner=_named, by='tenant', reveal=True)"
    )


def _named(post: Post) -> str | None:
    return post.author_id


_Later = int


async def test_an_annotation_may_be_defined_later_but_not_never() -> None:
    """Read again at the start; then it has to name something, and something that a path can hold."""

    async def later(post_id: _Later) -> Post:
        return Post(post_id, "ada")

    kept = globals().pop("_Later")
    try:
        show = handler(owned(later, owner="author_id"))
        with pytest.raises(ConfigurationError, match="the annotation of post_id names nothing"):
            gate().install(Starlette(routes=[Route("/{post_id}", show)]))
    finally:
        globals()["_Later"] = kept
    assert (await ask(show, "ada")).status == 200

    async def unreadable(post_id: Request) -> Post:
        return Post(1, "ada")

    with pytest.raises(ConfigurationError, match="pydantic cannot read post_id from a path"):
        gate().install(Starlette(routes=[Route("/{post_id}", handler(owned(unreadable, owner="author_id")))]))


def test_what_is_not_clear_is_refused_when_it_is_sealed() -> None:
    """An object that nobody loads, one of two that might be meant, and two parameters for one."""

    @with_auth(bearer)
    async def nobody_loads(post: Owned[Post]) -> Ok[None]:
        return ok()

    @with_auth(bearer)
    @require(role("admin"))
    async def still_nobody(post: Owned[Post]) -> Ok[None]:
        return ok()

    @with_auth(bearer)
    @require(owned(Posts().find, owner="author_id"))
    @require(owned(Posts().get, owner="author_id"))
    async def which(post: Owned[Post]) -> Ok[None]:
        return ok()

    @with_auth(bearer)
    @require(owned(Posts().find, owner="author_id"))
    async def both(post: Owned[Post], copy: Owned[Post]) -> Ok[None]:
        return ok()

    for endpoint, message in (
        (nobody_loads, r"post is filled by @require\(owned\(...\)\); add it to the handler"),
        (still_nobody, r"post is filled by @require\(owned\(...\)\); add it to the handler"),
        (which, r"post may be what any of owned\(.+\), owned\(.+\) loads; write one owned"),
        (both, r"post, copy all ask for Owned\[...\]; write one"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            gate().install(Starlette(routes=[Route("/{post_id}", endpoint)]))

    async def a_check(principal: Principal, call: Call) -> bool:
        return True

    async def p_check(principal: Principal, call: Call) -> bool:
        return True

    @with_auth(bearer)
    @require(a_check | owned(Posts().find, owner="author_id"))
    @require(p_check)
    @require(owned(Posts().get, owner="author_id"))
    async def between(post: Owned[Post]) -> Ok[None]:
        return ok()

    with pytest.raises(ConfigurationError, match=r"post may be what any of"):
        gate().install(Starlette(routes=[Route("/{post_id}", between)]))

    @require(owned(Posts().find, owner="author_id"))
    async def whose(post: Owned[Post]) -> Ok[None]:
        return ok()

    with pytest.raises(ConfigurationError, match="needs a principal; add @with_auth"):
        gate().install(Starlette(routes=[Route("/{post_id}", whose)]))


# Everywhere


async def test_a_websocket_is_refused_before_it_is_accepted_or_gets_its_object() -> None:
    """With and without a gate in front."""

    @with_auth(bearer)
    @require(owned(Posts().find, owner="author_id"))
    async def chat(websocket: WebSocket, post: Owned[Post]) -> None:
        await websocket.accept()
        await websocket.send_json(post.id)
        await websocket.close()

    for install in (True, False):
        app = Starlette(routes=[WebSocketRoute("/{post_id}", chat)])
        if install:
            gate().install(app)
        mine = await handshake(app, path="/1", headers={"Authorization": "Bearer ada"})
        assert mine.accepted and any(message.get("text") == "1" for message in mine.messages)
        for path in ("/2", "/99"):
            refused = await handshake(app, path=path, headers={"Authorization": "Bearer ada"})
            assert (refused.accepted, refused.status) == (False, 404)


async def test_it_stands_in_front_of_an_app_too() -> None:
    """Where a mount's path names the object; nothing is injected there."""
    inside = Starlette(routes=[Route("/", lambda request: ok_response())])
    posts = compose(with_auth(bearer), require(role("admin") | owned(Posts().find, owner="author_id")))
    app = Starlette(routes=[Mount("/posts/{post_id}", posts(inside))])
    gate().install(app)
    for who, path, status in (("ada", 1, 200), ("ada", 2, 404), ("root", 2, 200), ("root", 99, 404), ("eve", 1, 404)):
        assert (await call(app, path=f"/posts/{path}/", headers={"Authorization": f"Bearer {who}"})).status == status


def ok_response() -> Any:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse("inside")


async def test_what_an_outer_guard_found_counts_for_it_alone() -> None:
    """The app's requirement is judged for the app's caller, the handler's for the handler's."""
    posts = Posts()

    @with_auth(bearer)
    @require(owned(posts.find, owner="author_id"))
    async def show(post: Owned[Post]) -> Ok[int]:
        return ok(post.id)

    inside = Starlette(routes=[Route("/", show)])
    outer = compose(with_auth(bearer), require(owned(posts.find, owner="author_id")))
    app = Starlette(routes=[Mount("/posts/{post_id}", outer(inside))])
    assert (await call(app, path="/posts/1/", headers={"Authorization": "Bearer ada"})).json["data"] == 1
    assert (await call(app, path="/posts/2/", headers={"Authorization": "Bearer ada"})).status == 404
    assert PEOPLE["ada"].sub == "ada" and posts.asked == [1, 1, 2]
