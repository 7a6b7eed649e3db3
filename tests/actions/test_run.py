"""Calling an action as a function: typed, without HTTP, and nothing is thrown."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from starlette.exceptions import HTTPException

from gatewright import (
    Call,
    Conflict,
    Err,
    ErrorMapper,
    FromInput,
    FromQuery,
    Gate,
    InternalError,
    Principal,
    Redirect,
    Result,
    SessionCookie,
    action,
    err,
    ok,
    redirect,
    validate,
    with_auth,
)
from gatewright.testing import EventList, make_call
from tests.actions.kit import PostIn

pytestmark = pytest.mark.anyio


@with_auth(SessionCookie())
@action
async def create_post(form: FromInput[PostIn], principal: Principal, source: FromQuery[str] = "web") -> Result[str]:
    """Create a post."""
    return ok(f"{principal.sub}: {form.title} by {source}")


async def test_it_takes_what_the_handler_takes() -> None:
    """By position, by name, with defaults; it has the handler's name, and says what it is."""
    ada = Principal("ada")
    assert await create_post.run(PostIn(title="Hi"), ada) == ok("ada: Hi by web")
    assert await create_post.run(form=PostIn(title="Hi"), principal=ada, source="app") == ok("ada: Hi by app")
    assert (create_post.run.__name__, create_post.run.__doc__) == ("create_post", "Create a post.")


async def test_a_wrong_call_is_the_callers_mistake() -> None:
    """A checker would have said so, too."""
    with pytest.raises(TypeError):
        await create_post.run(PostIn(title="Hi"))  # type: ignore[call-overload]


def _raising(exc: BaseException) -> Any:
    @action
    async def handler() -> Result[None]:
        raise exc

    return handler


async def test_what_is_raised_comes_back() -> None:
    """With everything that the client would have been told."""
    refused = await _raising(Conflict("Taken", details={"title": ["is taken"]}, headers={"X-A": "1"})).run()
    assert refused == Err("Taken", 409, "conflict", {"title": ["is taken"]}, {"X-A": "1"})
    assert await _raising(HTTPException(404, "No such post")).run() == Err("No such post", 404, "not_found")
    assert await _raising(HTTPException(303, headers={"Location": "/posts"})).run() == redirect("/posts")


async def test_what_is_unexpected_is_logged_and_says_a_fixed_text(capsys: pytest.CaptureFixture[str]) -> None:
    """zsa, tRPC#6153: the message of an exception that nobody foresaw is nobody's business."""
    fixed = Err("Internal server error", 500, "internal_error")
    assert await _raising(ValueError("hunter2")).run() == fixed
    assert "hunter2" in capsys.readouterr().err
    assert await _raising(InternalError("database at 10.0.0.3")).run() == fixed
    assert "10.0.0.3" in capsys.readouterr().err


async def test_the_gate_of_a_call_is_asked() -> None:
    """Where the handler takes a `Call`, that knows the app's mapper and log; else it is the process's own."""
    events = EventList()

    class OwnError(Exception): ...

    def broken(exc: Exception) -> None:
        raise RuntimeError("mapper")

    gate = Gate(log=events, errors=ErrorMapper().register(OwnError, lambda _: Conflict()).register(KeyError, broken))

    @action
    async def handler(call: Call, fail: FromQuery[str]) -> Result[None]:
        raise KeyError if fail == "key" else OwnError

    call = make_call(gate=gate)
    assert (await handler.run(call, "own")).status == 409
    assert not events
    assert (await handler.run(call, "key")).status == 500
    assert [event["exception"]["message"] for event in events] == ["mapper"]


async def test_a_cancellation_passes() -> None:
    """It is no answer; whoever cancelled waits for the end."""

    @action
    async def handler() -> Result[None]:
        await anyio.sleep_forever()
        return ok()

    with anyio.move_on_after(0.01) as scope:
        await handler.run()
    assert scope.cancelled_caught


async def test_a_plain_handler_runs_in_a_thread() -> None:
    """It may block, and the loop must not."""
    threads: list[int] = []

    @action
    def handler(form: FromInput[PostIn]) -> Redirect:
        threads.append(threading.get_ident())
        return redirect("/")

    assert await handler.run(PostIn(title="Hi")) == redirect("/")
    assert threads != [threading.get_ident()]


def is_free(form: PostIn) -> dict[str, str] | None:
    """Refuse one title."""
    return {"title": "is taken"} if form.title == "taken" else None


async def is_wanted(form: PostIn, source: str) -> dict[str, list[str]] | None:
    """Refuse another one, after a look elsewhere."""
    await anyio.lowlevel.checkpoint()
    return {"title": [f"is not wanted by {source}"]} if form.title == "unwanted" else None


async def _never(form: PostIn) -> None:
    await anyio.sleep_forever()


def _handler(decorate: Callable[[Any], Any]) -> Any:
    async def handler(form: FromInput[PostIn], source: FromQuery[str] = "web") -> Result[str]:
        return ok(form.title)

    return decorate(handler)


@pytest.mark.parametrize(
    "decorate",
    [
        action(refine=[is_free, is_wanted]),
        lambda handler: action(validate(refine=[is_free, is_wanted])(handler)),
        lambda handler: validate(refine=[is_free, is_wanted])(action(handler)),
    ],
)
async def test_it_asks_the_authors_checks(decorate: Callable[[Any], Any]) -> None:
    """They are part of what the handler counts on, wherever they were written."""
    handler = _handler(decorate)
    assert await handler.run(PostIn(title="Hi")) == ok("Hi")
    taken = Err("The input is not valid", 400, "validation_failed", {"title": ["is taken"]})
    assert await handler.run(PostIn(title="taken")) == taken
    unwanted = await handler.run(PostIn(title="unwanted"), source="app")
    assert unwanted.details == {"title": ["is not wanted by app"]}


async def test_checks_have_their_time_and_their_status() -> None:
    """What takes too long is an answer, too."""
    assert (await _handler(action(refine=_never, refine_within=0.01)).run(PostIn(title="a"))).status == 504
    assert (
        await _handler(lambda h: action(validate(refine=is_free, status=422)(h))).run(PostIn(title="taken"))
    ).status == 422


async def test_an_error_that_is_returned_is_returned() -> None:
    """It is a value already."""

    @action
    async def handler() -> Result[None]:
        return err("No", code="no")

    assert await handler.run() == err("No", code="no")
