"""refine=: the author's own checks of parsed input."""

from __future__ import annotations

import functools
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from gatewright.errors import ConfigurationError, Conflict
from gatewright.result import Result, ok
from gatewright.testing import enter, make_call
from gatewright.validation import FromBody, FromQuery, Refined, validate
from tests.validation.kit import data, details, sealed, send

pytestmark = pytest.mark.anyio


class User(BaseModel):
    name: str
    email: str = ""


async def create(body: FromBody[User], team: FromQuery[str] = "t") -> Result[Any]:
    return ok(body.name)


def search(q: FromQuery[str]) -> Result[Any]:
    return ok(q)


async def name_is_free(body: User) -> Refined:
    await anyio.lowlevel.checkpoint()
    return {"name": "is taken"} if body.name == "bob" else None


def no_admins(body: User, team: str) -> Refined:
    return {"team": ["is closed", "ask an admin"]} if team == "admins" else {}


async def test_a_check_sees_the_parsed_values_that_it_names() -> None:
    """Plain and async checks; nothing said, or nothing in it, is consent."""
    handler = validate(refine=[name_is_free, no_admins])(create)
    assert await data(handler, json={"name": "ann"}) == "ann"
    assert await details(handler, json={"name": "bob"}) == {"name": ["is taken"]}
    assert await details(handler, json={"name": "ann"}, query="team=admins") == {"team": ["is closed", "ask an admin"]}


async def test_a_text_is_one_message() -> None:
    """A str is a sequence of letters; it is not taken for one."""
    handler = validate(refine=lambda q: {"q": "is odd", "": "all is odd"})(search)
    assert await details(handler, query="q=a") == {"q": ["is odd"], "_root": ["all is odd"]}


async def test_checks_run_on_parsed_input_only() -> None:
    """What does not fit the schema is never shown to a check."""
    seen: list[User] = []
    handler = validate(refine=lambda body: seen.append(body))(create)
    await details(handler, json={"name": 1})
    assert seen == []
    await data(handler, json={"name": "ann"})
    assert seen == [User(name="ann")]


async def test_plain_checks_come_before_async_ones() -> None:
    """A question that costs nothing is asked before the database is."""
    asked: list[str] = []

    async def ask(body: User) -> None:
        asked.append(body.name)

    handler = validate(refine=[ask, no_admins])(create)
    await details(handler, json={"name": "ann"}, query="team=admins")
    assert asked == []


async def test_several_async_checks_run_at_the_same_time() -> None:
    """Each waits for the other, so one after the other they would never end."""
    first, second = anyio.Event(), anyio.Event()

    async def one(body: User) -> Refined:
        first.set()
        await second.wait()
        return {"name": "one"}

    async def two(body: User) -> Refined:
        second.set()
        await first.wait()
        return {"name": "two"}

    handler = validate(refine=[one, two])(create)
    with anyio.fail_after(5):
        assert await details(handler, json={"name": "ann"}) == {"name": ["one", "two"]}


async def test_an_error_that_a_check_raises_is_the_answer() -> None:
    """Alone or among several, it is raised itself, never in a group; the first as written wins."""

    async def conflict(body: User) -> None:
        raise Conflict("taken")

    async def later(body: User) -> None:
        raise ZeroDivisionError

    for checks in ([conflict], [name_is_free, conflict, later]):
        reply = await send(validate(refine=checks)(create), json={"name": "ann"})
        assert (reply.status, reply.json["error"]) == (409, "taken")


async def test_an_async_check_without_a_body_is_awaited() -> None:
    """The guard becomes async only for it."""

    async def short(q: str) -> Refined:
        return {"q": "is long"} if len(q) > 3 else None

    handler = validate(refine=short)(search)
    assert await data(handler, query="q=a") == "a"
    assert await details(handler, query="q=aaaa") == {"q": ["is long"]}
    guard = sealed(search, lambda q: {"q": "no"} if q == "b" else None)
    assert guard.enter(make_call(query="q=a")) is None


async def test_callable_objects_and_partials_are_checks() -> None:
    """Async or not is found out once, for them too."""

    class Check:
        async def __call__(self, q: str) -> Refined:
            return {"q": "object"}

    async def partial(word: str, q: str) -> Refined:
        return {"q": word}

    assert await details(validate(refine=Check())(search), query="q=a") == {"q": ["object"]}
    assert await details(validate(refine=functools.partial(partial, "part"))(search), query="q=a") == {"q": ["part"]}


@pytest.mark.parametrize("said", [False, True, "no", ["no"]])
async def test_an_answer_that_is_no_answer_fails_closed(said: Any) -> None:
    """A check that returns False meant no; it must not pass for yes."""
    with pytest.raises(ConfigurationError, match="return None, or messages by path"):
        await enter(sealed(search, lambda q: said), make_call(query="q=a"))


@pytest.mark.parametrize("check", [lambda missing: None, lambda *args: None, lambda **kwargs: None, lambda q, /: None])
def test_a_check_that_names_what_the_handler_has_not_is_refused_when_sealed(check: Any) -> None:
    """The message lists what it may name."""
    with pytest.raises(ConfigurationError, match="it may name q"):
        sealed(search, check)


@pytest.mark.parametrize("refine", [3, "abc", [3]])
def test_a_check_has_to_be_callable(refine: Any) -> None:
    """Refused when decorating."""
    with pytest.raises(ConfigurationError, match="write a function, or a list of functions"):
        validate(refine=refine)
