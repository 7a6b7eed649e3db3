"""`make_call` and `enter`: one guard by itself."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from gatewright import Gate, Principal, Unauthorized, compose, ok
from gatewright._core.call import Call
from gatewright._core.decorate import guarded_by
from gatewright._core.guard import Answer, Guard
from gatewright._core.phase import Phase
from gatewright.testing import EventList, FrozenClock, chunked, enter, make_call
from tests.core.kit import AsyncStep, Step
from tests.toys import Identify

pytestmark = pytest.mark.anyio


async def test_a_call_is_made_of_what_a_request_is_made_of() -> None:
    """The arguments are those of `call`."""
    made = make_call(
        method="PUT",
        path="/a",
        query={"x": 1},
        headers={"X-A": "1"},
        cookies={"crumb": "c"},
        data=chunked(b"hello", 2),
        path_params={"id": 7},
        principal=Principal("alice"),
        client="198.51.100.1",
    )
    assert (made.method, made.scope["path"], made.scope["query_string"]) == ("PUT", "/a", b"x=1")
    assert (made.header(b"x-a"), made.cookie(b"crumb"), made.client) == (b"1", b"c", "198.51.100.1")
    assert (await made.body(), made.scope["path_params"], made.principal) == (b"hello", {"id": 7}, Principal("alice"))


async def test_a_made_call_has_a_gate_whose_time_stands_still() -> None:
    """And one's own where one is given; what is sent goes nowhere."""
    made = make_call()
    assert isinstance(made.gate.clock, FrozenClock)
    made.report(made.gate)
    await made.send({"type": "http.response.start", "status": 200, "headers": []})
    assert made.status == 200
    gate = Gate(log=EventList())
    assert make_call(gate=gate).gate is gate
    assert make_call(client=None).client is None


async def test_a_call_enters_a_guard_or_a_decorator() -> None:
    """It passes, or a refusal is raised."""
    for guard in (Identify(), guarded_by(Identify())):
        made = make_call(headers={"x-caller": "alice"})
        assert await enter(guard, made) is None
        assert made.principal == Principal("alice")
        with pytest.raises(Unauthorized):
            await enter(guard, make_call())


@pytest.mark.parametrize("kind", [Step, AsyncStep])
async def test_an_answer_is_returned(kind: type[Step]) -> None:
    """The first one; guards after it are not asked."""
    answer = Answer(PlainTextResponse("early"))

    def fail(call: Call) -> None:
        raise AssertionError

    decorator = guarded_by(kind(Phase.ADMIT, lambda call: answer), Step(Phase.PARSE, fail))
    assert await enter(decorator, make_call()) is answer


async def test_a_guard_is_bound_to_the_call_s_gate() -> None:
    """So that it has keys, storage and clock."""

    class Binding(Step):
        def bind(self, gate: Gate) -> Guard:
            return Step(Phase.ADMIT, lambda call: Answer(ok(gate.storage.url)))

    answer = await enter(guarded_by(Binding()), make_call(gate=Gate(storage="memory://mine", log=EventList())))
    assert answer == Answer(ok("memory://mine"))


async def test_a_composed_decorator_can_be_entered() -> None:
    """What `compose` returns is a decorator like any other."""
    made = make_call(headers={"x-caller": "alice"})
    composed: Any = compose(guarded_by(Identify()), compose(guarded_by(Step())))
    assert await enter(composed, made) is None
    assert made.principal == Principal("alice")
