"""What a call made stale: told on success only, before the head leaves, to the hook, to htmx and in the envelope."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

from gatewright import Call, Conflict, Gate, Redirect, Result, err, ok, redirect, timeout
from gatewright._core.decorate import guarded_by
from gatewright._core.outcome import RawHeaders
from gatewright._core.stale import _with_trigger  # pyright: ignore[reportPrivateUsage]
from gatewright.testing import EventList, Reply, call
from tests.core.kit import Step
from tests.hosts import fastapi, fastapi_route, plain_route, starlette, starlette_route

pytestmark = pytest.mark.anyio

# A guard that does nothing here, so that a handler is ours.
guarded = guarded_by(Step())
HTMX = {"HX-Request": "true"}


class Cache:
    """Somebody who wants to know what is stale."""

    def __init__(self, *, waits: bool = False, fails: bool = False) -> None:
        self.events = EventList()
        self.order: list[object] = []
        self.fails = fails
        self.gate = Gate(log=self.events, on_invalidate=self.hear_waiting if waits else self.hear)

    def hear(self, names: Sequence[str]) -> None:
        self.order.append(list(names))
        if self.fails:
            raise RuntimeError("redis://:hunter2@cache")

    async def hear_waiting(self, names: Sequence[str]) -> None:
        await anyio.lowlevel.checkpoint()
        self.hear(names)

    async def post(self, app: ASGIApp, **more: Any) -> Reply:
        """Send a POST, and see when the answer begins."""

        async def seeing(scope: Any, receive: Any, send: Any) -> None:
            async def observed(message: Any) -> None:
                self.order.append(message["type"])
                await send(message)

            await app(scope, receive, observed)

        return await call(seeing, method="POST", **more)


HOSTS = [starlette, plain_route, starlette_route, fastapi, fastapi_route]
ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS, ids=[host.__name__ for host in HOSTS])
HEAD, BODY = "http.response.start", "http.response.body"


def saying(answer: Callable[[], Any], *names: str) -> Any:
    """Return a handler that says what it made stale, and answers."""

    @guarded
    async def change(call: Call) -> Any:
        call.invalidate(*names)
        return answer()

    return change


def _raised(exc: Exception) -> Callable[[], Any]:
    def answer() -> Any:
        raise exc

    return answer


# Who is told, and when


@ON_EVERY_HOST
@pytest.mark.parametrize("waits", [False, True], ids=["plain hook", "async hook"])
@pytest.mark.parametrize(
    ("status", "answer"),
    [(200, ok), (201, lambda: ok(1, status=201)), (303, lambda: redirect("/posts")), (202, lambda: Response("", 202))],
    ids=["ok", "created", "redirect", "response"],
)
async def test_it_is_told_before_the_head_leaves(
    host: Any, waits: bool, status: int, answer: Callable[[], Any]
) -> None:
    """Once, with all names in their order: who follows a redirect finds the new page (next.js#49450, #52075)."""
    cache = Cache(waits=waits)
    reply = await cache.post(host(saying(answer, "posts", "/posts", "posts"), cache.gate))
    assert (reply.status, cache.order) == (status, [["posts", "/posts"], HEAD, BODY])


@ON_EVERY_HOST
@pytest.mark.parametrize(
    "answer",
    [lambda: err("no"), lambda: PlainTextResponse("no", 500), _raised(Conflict()), _raised(ZeroDivisionError())],
    ids=["err", "response", "ApiError", "bug"],
)
async def test_a_failure_makes_nothing_stale(host: Any, answer: Callable[[], Any]) -> None:
    """What did not happen changed nothing: no hook, no header, no member."""
    cache = Cache()
    reply = await cache.post(host(saying(answer, "posts"), cache.gate), headers=HTMX)
    assert reply.status >= 400
    assert cache.order == [HEAD, BODY]
    assert "hx-trigger" not in reply.headers
    assert b"invalidated" not in reply.body


async def test_a_cancelled_call_makes_nothing_stale() -> None:
    """Nobody got an answer, so nothing is known to have happened."""
    cache = Cache()

    @timeout(first_byte=0.01)
    async def hang(call: Call) -> None:
        call.invalidate("posts")
        await anyio.sleep_forever()

    assert (await cache.post(starlette(hang, cache.gate))).status == 504
    assert cache.order == [HEAD, BODY]


async def test_nothing_is_told_where_nothing_is_stale() -> None:
    """Most calls change nothing."""
    cache = Cache()
    reply = await cache.post(starlette(saying(ok), cache.gate), headers=HTMX)
    assert (cache.order, "hx-trigger" in reply.headers) == ([HEAD, BODY], False)


@pytest.mark.parametrize("waits", [False, True])
async def test_a_hook_that_fails_is_logged_and_the_answer_stays(waits: bool) -> None:
    """What was done stays done."""
    cache = Cache(waits=waits, fails=True)
    reply = await cache.post(starlette(saying(ok, "posts"), cache.gate))
    (logged,) = [event for event in cache.events if event["event"] == "unhandled_exception"]
    assert (reply.status, logged["where"]) == (200, "on_invalidate")
    assert "hunter2" not in str(cache.events)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_hook_is_not_given_up_in_the_middle() -> None:
    """The change is there: whoever leaves now must not leave the old page in a cache."""
    begun, heard = anyio.Event(), list[str]()

    async def forget(names: Sequence[str]) -> None:
        begun.set()
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        heard.extend(names)

    app = starlette(saying(ok, "posts"), Gate(log=EventList(), on_invalidate=forget))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: call(app, method="POST"))
        await begun.wait()
        tasks.cancel_scope.cancel()
    assert heard == ["posts"]


async def test_each_gate_is_told_of_its_own() -> None:
    """An app that is mounted has its cache, and the one around it another."""
    outer, inner = Cache(), Cache()

    @guarded
    async def change(call: Call) -> Response:
        call.invalidate("inner")
        return Response("")

    mounted = starlette(change, inner.gate)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["gatewright.call"].invalidate("outer", "inner")
        await mounted(scope, receive, send)

    await outer.post(outer.gate.wrap(app))
    assert outer.order == [["outer"], HEAD, BODY]
    assert inner.order == [["inner"]]


# The envelope


@ON_EVERY_HOST
@pytest.mark.parametrize("declared", [False, True])
async def test_the_envelope_says_it(host: Any, declared: bool) -> None:
    """For a script that fetches; whether the handler declares a `Result` or not."""
    cache = Cache()

    async def change(call: Call) -> Any:
        call.invalidate("posts", "/posts")
        return ok({"id": 1}, status=201)

    if declared:
        change.__annotations__["return"] = Result[dict[str, int]]
    reply = await cache.post(host(guarded(change), cache.gate))
    assert reply.json == {"success": True, "data": {"id": 1}, "invalidated": ["posts", "/posts"]}
    assert int(reply.headers["content-length"]) == len(reply.body)


@ON_EVERY_HOST
async def test_the_envelope_is_as_ever_where_nothing_is_stale(host: Any) -> None:
    """No member that is empty."""
    cache = Cache()

    @guarded
    async def look() -> Result[int]:
        return ok(1)

    assert (await cache.post(host(look, cache.gate))).json == {"success": True, "data": 1}


async def test_a_plain_fastapi_route_refuses_with_words() -> None:
    """Its answer is FastAPI's to send, and nobody could tell the cache before."""
    app = FastAPI()

    @app.post("/")
    @guarded_by(Step())
    async def change(call: Call) -> Result[None]:
        call.invalidate("posts")
        return ok()

    with pytest.raises(Exception, match=r"write gate.install\(app\), or route_class=gatewright.fastapi.GuardedRoute"):
        await call(app, method="POST")


# htmx


async def _trigger(own: str | None, *names: str) -> Any:
    cache = Cache()
    headers = {} if own is None else {"HX-Trigger": own}
    reply = await cache.post(
        starlette(saying(lambda: JSONResponse(1, headers=headers), *names), cache.gate), headers=HTMX
    )
    return json.loads(reply.headers["hx-trigger"])


async def test_htmx_is_told_by_events() -> None:
    """One with all names, and one for each, to which a part of the page can listen."""
    assert await _trigger(None, "posts", "/posts") == {
        "invalidated": {"names": ["posts", "/posts"]},
        "invalidated:posts": {},
        "invalidated:/posts": {},
    }


async def test_a_gate_without_a_hook_tells_the_client() -> None:
    """There may be no cache, and a page that shows what is old all the same."""
    reply = await call(starlette(saying(ok, "posts"), Gate(log=EventList())), method="POST", headers=HTMX)
    assert reply.json["invalidated"] == ["posts"]
    assert "invalidated:posts" in json.loads(reply.headers["hx-trigger"])


async def test_who_is_not_htmx_gets_no_header() -> None:
    """A browser without a script does nothing with it."""
    cache = Cache()
    assert "hx-trigger" not in (await cache.post(starlette(saying(ok, "posts"), cache.gate))).headers


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ('{"saved": {"id": 1}, "closed": null}', {"saved": {"id": 1}, "closed": None}),
        ("saved, closed", {"saved": {}, "closed": {}}),
        ("saved", {"saved": {}}),
        (" , ", {}),
        ('["saved"]', {'["saved"]': {}}),
        ("1", {"1": {}}),
    ],
)
async def test_the_handlers_own_events_stay(own: str, kept: dict[str, Any]) -> None:
    """An object in JSON, or a list of names, as htmx takes both."""
    events = await _trigger(own, "posts")
    assert events == {**kept, "invalidated": {"names": ["posts"]}, "invalidated:posts": {}}


@given(
    names=st.lists(st.text(max_size=10), min_size=1, max_size=4, unique=True),
    own=st.lists(st.binary(max_size=30), max_size=3),
)
def test_any_name_makes_one_header_of_plain_ascii(names: list[str], own: list[bytes]) -> None:
    """Line breaks, quotes, other scripts and lone surrogates: nothing splits a header, and nothing is lost."""
    before: RawHeaders = [(b"HX-Trigger", value) for value in own]
    headers = _with_trigger([(b"x-other", b"1"), *before], names)
    (value,) = [value for name, value in headers if name == b"hx-trigger"]
    assert all(0x20 <= byte < 0x7F for byte in value)
    assert json.loads(value)["invalidated"]["names"] == names
    assert (b"x-other", b"1") in headers
    assert len(headers) == 2


async def test_a_redirect_for_htmx_carries_it_too() -> None:
    """The page that asked hears of it; what follows is for `action` to say."""
    cache = Cache()

    @guarded
    async def change(call: Call) -> Redirect:
        call.invalidate("posts")
        return redirect("/posts")

    reply = await cache.post(starlette(change, cache.gate), headers=HTMX)
    assert (reply.status, reply.headers["location"]) == (303, "/posts")
    assert json.loads(reply.headers["hx-trigger"])["invalidated"] == {"names": ["posts"]}


async def test_a_header_that_proxies_would_refuse_is_not_sent() -> None:
    """Names without events of their own are sent where that is short enough, else only that something is stale."""
    names = [f"posts/{number}" for number in range(150)]
    assert await _trigger("saved", *names) == {"saved": {}, "invalidated": {"names": names}}
    assert await _trigger("saved", *names, *("x" * 1000 + name for name in "abc")) == {
        "saved": {},
        "invalidated": {"names": []},
    }


@given(names=st.lists(st.text(), max_size=200, unique=True))
def test_the_header_is_bounded(names: list[str]) -> None:
    """Whatever the names, and however they are escaped."""
    ((_, value),) = _with_trigger([], names)
    assert len(value) <= 3000
    assert json.loads(value)["invalidated"]["names"] in (names, [])
