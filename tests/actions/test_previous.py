"""`Previous`: what the page said of the last attempt comes back, as it was said, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route

from gatewright import (
    ActionState,
    BearerToken,
    Call,
    ConfigurationError,
    FromForm,
    Gate,
    Previous,
    Principal,
    Result,
    action,
    err,
    hidden_fields,
    ok,
    with_auth,
)
from gatewright._core.tokens import TokenSigner
from gatewright.testing import EventList, Reply, call, make_call
from tests.actions.kit import BROWSER
from tests.actions.test_hidden import Inputs
from tests.forms import KINDS, in_parts, urlencoded

pytestmark = pytest.mark.anyio

NEW, OLD = bytes(range(32)), bytes(range(32, 64))


async def page(call: Call, state: ActionState) -> str:
    """Show the form: nothing but what is hidden."""
    return hidden_fields(call, state)


class Door:
    """A form that opens for the right word, and notes what it was told of the attempt before."""

    def __init__(self, *keys: bytes) -> None:
        self.gate = Gate(keys=keys or (NEW,), log=EventList())
        self.before: list[Previous | None] = []
        self.errors: Mapping[str, Sequence[str]] = {"word": ["Not that one"]}
        self.message = "Wrong"

        @action(page=page)
        async def enter(word: FromForm[str], previous: Previous | None) -> Result[None]:
            self.before.append(previous)
            if word == "friend":
                return ok(None)
            return err(self.message, code="wrong", status=422, details=self.errors)

        self.enter = enter

    async def send(self, target: Any = None, *, write: Any = urlencoded, previous: str = "", **fields: str) -> Reply:
        """Send the form."""
        entries = [*fields.items(), *([("_previous", previous)] if previous else [])]
        sent = write(*entries)
        headers = {**BROWSER, "content-type": sent.kind}
        return await call(target or self.enter, method="POST", headers=headers, data=sent.body, gate=self.gate)


def token_of(reply: Reply) -> str:
    """Return what a page brings back."""
    return Inputs(reply.body.decode()).values["_previous"]


@pytest.mark.parametrize("write", KINDS)
async def test_an_attempt_knows_the_one_before(write: Any) -> None:
    """What the page said, and how many there were; the first knows of none. Success says nothing."""
    door = Door()
    said, token = [], ""
    for word in ("foe", "enemy", "friend"):
        reply = await door.send(word=word, write=write, previous=token)
        said.append(reply.status)
        token = token_of(reply) if reply.status == 422 else ""
    assert said == [422, 422, 303]
    wrong = [Previous("Wrong", "wrong", {"word": ["Not that one"]}, 422, attempt) for attempt in (1, 2)]
    assert door.before == [None, *wrong]


async def test_an_attempt_with_a_field_that_is_wrong_is_one_too() -> None:
    """The handler never saw it; the next attempt says what was wrong with it."""
    door = Door()
    token = token_of(await door.send(previous=token_of(await door.send())))
    assert door.before == []
    await door.send(word="friend", previous=token)
    (before,) = door.before
    assert before is not None
    assert (before.code, before.attempt, list(before.errors)) == ("validation_failed", 2, ["word"])


async def test_nothing_that_was_entered_is_in_it() -> None:
    """Nor anything that tells who it was: a page may be kept somewhere."""
    door = Door()
    read = TokenSigner(
        [NEW], f"gatewright.previous {door.enter.handler.__module__}.{door.enter.handler.__qualname__}", ANY
    )
    record: Any = read.read(token_of(await door.send(word="open sesame")).encode())
    assert set(record) == {"place", "previous"}
    assert set(record["previous"]) == {"message", "code", "errors", "status", "attempt"}
    assert "sesame" not in str(record)
    assert len(record["place"]) == 24


ANY: Any = {"type": "any"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: "",
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: ("A" if token[0] != "A" else "B") + token[1:],
        lambda token: token + "=",
        lambda token: token.replace(".", ""),
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: "x" * 5000,
        lambda token: token + "x" * 5000,
        lambda token: "\x00é" + token,
    ],
)
async def test_what_is_forged_or_too_long_is_none(spoil: Any) -> None:
    """As if it had been the first attempt: no refusal, and no 500."""
    door = Door()
    token = token_of(await door.send(word="foe"))
    await door.send(word="friend", previous=spoil(token))
    assert door.before == [None, None]


async def test_two_are_none() -> None:
    """Nobody can say which was meant."""
    door = Door()
    token = token_of(await door.send(word="foe"))
    sent = urlencoded(("word", "friend"), ("_previous", token), ("_previous", token))
    await call(
        door.enter, method="POST", headers={**BROWSER, "content-type": sent.kind}, data=sent.body, gate=door.gate
    )
    assert door.before == [None, None]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(token=st.text(max_size=200))
async def test_any_text_is_none(token: str, anyio_backend_name: str) -> None:
    """Whatever somebody writes there; lone surrogates do not come in by a form."""
    door = Door()
    sent = urlencoded(("word", "friend"), ("_previous", token.encode(errors="replace").decode()))
    headers = {**BROWSER, "content-type": sent.kind}
    reply = await call(door.enter, method="POST", headers=headers, data=sent.body, gate=door.gate)
    assert (reply.status, door.before) == (303, [None])


async def test_another_actions_is_none() -> None:
    """Of the same gate, with the same keys."""
    door = Door()
    seen: list[Previous | None] = []

    @action(page=page)
    async def other(word: FromForm[str], previous: Previous | None) -> Result[None]:
        seen.append(previous)
        return err("No", status=422)

    await door.send(other, word="foe", previous=token_of(await door.send(word="foe")))
    await door.send(word="foe", previous=token_of(await door.send(other, word="foe")))
    assert seen == [None, None]
    assert door.before == [None, None]


async def test_another_routes_is_none() -> None:
    """Where one action serves two, what was said on one is not said on the other."""
    door = Door()
    routes = [Route(path, door.enter, methods=["POST"]) for path in ("/front", "/back/{id}")]
    app = Starlette(routes=routes)
    door.gate.install(app)

    async def send(path: str, previous: str = "") -> str:
        sent = urlencoded(("word", "foe"), ("_previous", previous))
        headers = {**BROWSER, "content-type": sent.kind}
        return token_of(await call(app, method="POST", path=path, headers=headers, data=sent.body))

    token = await send("/front")
    await send("/back/1", token)
    await send("/front", token)
    token = await send("/back/1")
    await send("/back/2", token)
    assert [before and before.attempt for before in door.before] == [None, None, 1, None, 1]


async def test_another_callers_is_none() -> None:
    """What one was told is not told to the next who sits down there."""
    door = Door()
    people = {"a": Principal("ada", "bearer"), "b": Principal("bob", "bearer")}
    target = with_auth(BearerToken(people.get))(door.enter)

    async def send(who: str, previous: str = "") -> str:
        sent = urlencoded(("word", "foe"), ("_previous", previous))
        headers = {**BROWSER, "content-type": sent.kind, "authorization": f"Bearer {who}"}
        return token_of(await call(target, method="POST", headers=headers, data=sent.body, gate=door.gate))

    token = await send("a")
    await send("b", token)
    await send("a", token)
    assert [before and before.attempt for before in door.before] == [None, None, 1]


async def test_keys_may_change_between_two_attempts() -> None:
    """What the old key signed counts while that one is there; what no key signed any more does not."""
    token = token_of(await Door(OLD).send(word="foe"))
    for keys, attempt in (((NEW, OLD), 1), ((NEW,), None)):
        door = Door(*keys)
        await door.send(word="foe", previous=token)
        assert [before and before.attempt for before in door.before] == [attempt]


@pytest.mark.parametrize(
    ("errors", "brought"),
    [
        ({f"field{number}": ["x" * 60] * 9 for number in range(500)}, 8),
        ({f"f{number}": ["x"] for number in range(500)}, 20),
        ({"é" * 1000: ["\x00"], "\x00" * 900: ["é"]}, 2),
        ({"\U0001f600" * 300: ["\U0001f600" * 300] * 9}, 0),
        ({}, 0),
    ],
)
async def test_of_much_only_the_first_is_brought_back(errors: dict[str, list[str]], brought: int) -> None:
    """A form stays small, whatever was wrong with it; and what is brought back is read."""
    door = Door()
    door.errors, door.message = errors, "\x00" * 1000
    token = token_of(await door.send(word="foe"))
    assert len(token) <= 4096
    await door.send(word="foe", previous=token)
    before = door.before[1]
    assert before is not None
    assert before.message == "\x00" * 200
    assert len(before.errors) <= 20
    assert list(before.errors) == [path[:200] for path in list(errors)[: len(before.errors)]]
    assert all(len(texts) <= 3 and all(len(text) <= 200 for text in texts) for texts in before.errors.values())
    assert len(before.errors) == brought


async def test_a_lone_surrogate_in_a_message_is_no_failure() -> None:
    """It cannot be written down, so it is replaced."""
    door = Door()
    door.message = "\ud800!"
    token = token_of(await door.send(word="foe"))
    await door.send(word="foe", previous=token)
    assert door.before[1] is not None and door.before[1].message == "?!"


async def test_a_form_that_breaks_off_is_refused_by_those_who_read_it() -> None:
    """In the usual way, and with the page."""
    door = Door()
    whole = in_parts(("word", "foe"))
    headers = {**BROWSER, "content-type": whole.kind}
    reply = await call(door.enter, method="POST", headers=headers, data=whole.body[:-9], gate=door.gate)
    assert (reply.status, door.before) == (400, [])
    assert token_of(reply)


async def test_a_page_that_comes_first_has_none() -> None:
    """A GET handler shows it with a state that nothing has come of."""
    door = Door()
    assert set(Inputs(hidden_fields(make_call(gate=door.gate), ActionState())).values) == {"_once"}


async def test_nothing_is_said_of_a_success() -> None:
    """Where an action shows its form once more, the next attempt is a first one."""
    shown: list[str] = []

    @action(page=page)
    async def note(word: FromForm[str], previous: Previous | None, call: Call) -> Result[None]:
        shown.append(await page(call, ActionState()))
        return ok(None)

    await Door().send(note, word="foe")
    assert set(Inputs(shown[0]).values) == {"_once"}


async def test_who_does_not_ask_pays_nothing() -> None:
    """No keys, no reading, no entry on the page."""
    gate = Gate(log=EventList())

    @action(page=page)
    async def quiet(word: FromForm[str]) -> Result[None]:
        return err("Wrong", status=422)

    sent = urlencoded(("word", "foe"), ("_previous", "x"))
    headers = {**BROWSER, "content-type": sent.kind}
    reply = await call(quiet, method="POST", headers=headers, data=sent.body, gate=gate)
    assert reply.status == 422
    assert set(Inputs(reply.body.decode()).values) == {"_once"}


def test_it_needs_keys() -> None:
    """Said when the app starts, with the handler that asks."""
    door = Door()
    app = Starlette(routes=[Route("/", door.enter, methods=["POST"])])
    with pytest.raises(ConfigurationError, match=r"enter asks for Previous, and that signs with the gate's keys"):
        Gate(log=EventList()).install(app)


def test_the_first_attempt_has_none() -> None:
    """So a handler has to take None; said when it is decorated for good."""

    @action
    async def strict(word: FromForm[str], previous: Previous) -> Result[None]:
        return ok(None)

    with pytest.raises(ConfigurationError, match=r"write previous: Previous \| None"):
        Gate(keys=[NEW], log=EventList()).install(Starlette(routes=[Route("/", strict, methods=["POST"])]))


def test_only_an_action_has_it() -> None:
    """Elsewhere no page was shown."""

    async def plain(previous: Previous | None) -> Result[None]:
        return ok(None)

    target = with_auth(BearerToken({}.get))(plain)
    with pytest.raises(ConfigurationError, match="previous is filled by @action"):
        Gate(keys=[NEW], log=EventList()).install(Starlette(routes=[Route("/", target, methods=["POST"])]))
