"""What else `validate(...)` takes: a deadline for its checks, a status; and what one that nobody wrote does."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from gatewright._core.decorate import guarded_by
from gatewright._core.gate import Gate
from gatewright._core.handler import Handler
from gatewright._core.log import EventList
from gatewright.errors import ConfigurationError, InvalidInput
from gatewright.result import Result, ok
from gatewright.testing import FrozenClock, enter, make_call
from gatewright.validation import FromBody, FromQuery, Refined, Validate, validate
from tests.validation.kit import data, send

pytestmark = pytest.mark.anyio


class Post(BaseModel):
    title: str


async def create(body: FromBody[Post]) -> Result[Any]:
    return ok(body.title)


async def search(q: FromQuery[str]) -> Result[Any]:
    return ok(q)


def _gate(status: int) -> Gate:
    return Gate(invalid_status=status, clock=FrozenClock(), log=EventList())


async def test_checks_that_take_too_long_are_cancelled_and_a_504() -> None:
    """The client is told that something behind took too long; the log, which."""
    ended: list[str] = []

    async def for_ever(q: str) -> Refined:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(q)
        raise AssertionError

    async def at_once(q: str) -> Refined:
        return {"q": "is odd"}

    for checks in ([for_ever], [for_ever, at_once]):
        log = EventList()
        gate = Gate(clock=FrozenClock(), log=log)
        reply = await send(validate(refine=checks, refine_within=0.01)(search), query="q=a", gate=gate)
        assert (reply.status, reply.json["code"]) == (504, "gateway_timeout")
        assert any(event.get("reason") == "the checks of refine= took longer than 0.01 s" for event in log)
    assert ended == ["a", "a"]


async def test_a_check_may_time_out_by_itself_without_being_taken_for_late() -> None:
    """What it raises is its own."""

    async def impatient(q: str) -> Refined:
        with anyio.fail_after(0):
            await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(TimeoutError):
        await enter(Validate((impatient,), refine_within=60).seal(Handler.read(search)), make_call(query="q=a"))


async def test_there_is_a_deadline_by_default_and_none_may_be_asked_for() -> None:
    """A check that hangs holds a request; five seconds are long for a look at a database."""
    assert Validate().refine_within == 5.0

    async def quick(q: str) -> Refined:
        return None

    assert await data(validate(refine=quick, refine_within=None)(search), query="q=a") == "a"


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), True, "5"])
def test_a_deadline_is_a_number_of_seconds(seconds: Any) -> None:
    """Refused when decorating."""
    with pytest.raises(ConfigurationError, match="write a number of seconds above 0, or None"):
        validate(refine_within=seconds)


@pytest.mark.parametrize(
    ("gate", "own", "status"), [(400, None, 400), (422, None, 422), (400, 422, 422), (422, 400, 400)]
)
async def test_a_handler_may_have_a_status_of_its_own(gate: int, own: int | None, status: int) -> None:
    """Either way round: one old client counts as much as another."""
    reply = await send(validate(status=own)(create), json={}, gate=_gate(gate))
    assert (reply.status, reply.json["code"]) == (status, "validation_failed")


async def test_checks_refuse_with_the_same_status() -> None:
    """A taken name is no other kind of mistake."""
    handler = validate(status=422, refine=lambda q: {"q": "is taken"})(search)
    assert (await send(handler, query="q=a")).status == 422


@pytest.mark.parametrize("status", [200, 404, 0, "422", True])
def test_other_statuses_are_refused(status: Any) -> None:
    """When decorating."""
    with pytest.raises(ConfigurationError, match="write 400 or 422"):
        validate(status=status)


async def test_an_error_without_a_status_of_its_own_gets_the_gates() -> None:
    """Raised by a handler; one that was given a status keeps it."""

    @validate
    async def handler(q: FromQuery[str]) -> Result[Any]:
        raise InvalidInput(details={"q": ["no"]}) if q == "a" else InvalidInput(status=400)

    assert (await send(handler, query="q=a", gate=_gate(422))).status == 422
    assert (await send(handler, query="q=b", gate=_gate(422))).status == 400


async def test_an_implied_guard_with_nothing_to_validate_does_nothing() -> None:
    """Nobody wrote it, so nobody made a mistake."""

    async def bare() -> Result[Any]:
        return ok("done")

    guard = Validate(implied=True).seal(Handler.read(bare))
    assert guard.enter(make_call(query="q=%ff")) is None and not guard.reads_body
    with pytest.raises(ConfigurationError, match="nothing to validate"):
        Validate().seal(Handler.read(bare))


async def test_an_implied_guard_makes_room_for_a_written_one() -> None:
    """With all that was written there."""
    handler = guarded_by(Validate(status=400, implied=True))(validate(status=422)(create))
    assert (await send(handler, json={})).status == 422


def test_a_check_has_to_be_callable_in_a_guard_too() -> None:
    """Whoever makes the guard."""
    with pytest.raises(ConfigurationError, match="write a function, or a list of functions"):
        Validate((3,))  # type: ignore[arg-type]


async def test_the_deadline_is_the_only_reason_for_a_504() -> None:
    """Checks that are in time answer as ever."""

    async def quick(q: str) -> Refined:
        await anyio.lowlevel.checkpoint()
        return {"q": "no"}

    assert (await send(validate(refine=[quick, quick], refine_within=30)(search), query="q=a")).status == 400
