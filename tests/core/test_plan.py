"""Plans: what guards and surrounds do to one request, and how they are compiled for each gate."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright import Call, Conflict, Forbidden, Gate, Principal, Result, err, ok
from gatewright._core.decorate import guarded_by
from gatewright._core.guard import Answer, Guard, Proceed
from gatewright._core.outcome import Outcome
from gatewright._core.phase import Phase
from gatewright.testing import EventList, Reply, call
from tests.core.kit import AsyncStep, Enclose, Repeat, Step, requests, through
from tests.toys import Identify, Trace

pytestmark = pytest.mark.anyio


class Scene:
    """A handler behind guards, the events of its gate, and what it did."""

    def __init__(self, *guards: Guard) -> None:
        self.events = EventList()
        self.gate = Gate(log=self.events)
        self.ran = 0

        @guarded_by(*guards)
        async def handler(request: Request) -> Result[str]:
            self.ran += 1
            return ok("done")

        self.handler = handler

    async def call(self, **request: Any) -> Reply:
        """Send one request."""
        return await call(self.handler, gate=self.gate, **request)

    @property
    def guards(self) -> dict[str, str]:
        """Return what the log says of each guard."""
        (event,) = requests(self.events)
        guards: dict[str, str] = event.get("guards", {})
        return guards


def _refuse(call: Call) -> None:
    raise Forbidden(code="not_today")


def _fail(call: Call) -> None:
    raise ValueError("hunter2")


def _answer(call: Call) -> Answer:
    return Answer(JSONResponse({"early": True}, status_code=202))


AROUND = pytest.mark.parametrize("enclosed", [False, True], ids=["bare", "enclosed"])


def _and(enclosed: bool) -> tuple[Guard, ...]:
    return (Enclose(through),) if enclosed else ()


@AROUND
async def test_guards_that_pass_are_logged_as_passed(enclosed: bool) -> None:
    """Sync and async ones, and surrounds."""
    scene = Scene(Step(), AsyncStep(), *_and(enclosed))
    assert (await scene.call()).json["data"] == "done"
    assert scene.guards == {"step": "passed", "async_step": "passed"} | ({"enclose": "passed"} if enclosed else {})


@AROUND
@pytest.mark.parametrize("kind", [Step, AsyncStep])
async def test_a_guard_that_refuses_stops_everything_after_it(enclosed: bool, kind: type[Step]) -> None:
    """The log has those before it, and its code; those after it were not asked."""
    scene = Scene(Trace(Phase.ORIGIN), kind(Phase.METER, _refuse), Identify(), Step(Phase.PARSE), *_and(enclosed))
    reply = await scene.call(headers={"x-caller": "u1"})
    assert (reply.status, reply.json["code"], scene.ran) == (403, "not_today", 0)
    assert scene.guards == {"trace": "passed", "identify": "passed", kind.name: "refused: not_today"}


@AROUND
@pytest.mark.parametrize("kind", [Step, AsyncStep])
async def test_a_guard_that_answers_stands_for_the_handler(enclosed: bool, kind: type[Step]) -> None:
    """A response of its own goes out as it is."""
    scene = Scene(Trace(Phase.ORIGIN), kind(Phase.METER, _answer), Identify(), *_and(enclosed))
    reply = await scene.call(headers={"x-caller": "u1"})
    assert (reply.status, reply.json, scene.ran) == (202, {"early": True}, 0)
    assert scene.guards == {"trace": "passed", "identify": "passed", kind.name: "answered"}


@pytest.mark.parametrize(
    ("result", "status", "body"),
    [
        (ok("kept", status=201), 201, {"success": True, "data": "kept"}),
        (err("gone", status=410, code="gone"), 410, {"success": False, "error": "gone", "code": "gone"}),
    ],
)
async def test_an_answer_may_be_a_result(result: Any, status: int, body: dict[str, object]) -> None:
    """It is rendered in the envelope like a handler's."""
    scene = Scene(Step(Phase.ADMIT, lambda call: Answer(result)))
    reply = await scene.call()
    assert (reply.status, {k: v for k, v in reply.json.items() if k != "request_id"}) == (status, body)


@AROUND
async def test_an_answer_is_the_guard_s_own(enclosed: bool) -> None:
    """What the handler declares that it returns is no filter for what a guard says in its place."""
    step = Step(Phase.ADMIT, lambda call: Answer(ok({"received": True})))
    reply = await Scene(step, *_and(enclosed)).call()  # the handler declares a Result[str]
    assert (reply.status, reply.json) == (200, {"success": True, "data": {"received": True}})


@AROUND
async def test_a_guard_that_breaks_is_a_500_without_an_outcome(enclosed: bool) -> None:
    """An unexpected exception is no refusal; nothing of it leaves, and the handler does not run."""
    scene = Scene(Step(Phase.ADMIT, _fail), *_and(enclosed))
    reply = await scene.call()
    assert (reply.status, scene.ran) == (500, 0)
    assert b"hunter2" not in reply.body
    assert scene.guards == {}
    assert [event["event"] for event in scene.events] == ["unhandled_exception", "request"]


async def test_guards_of_one_name_do_not_hide_what_passed_between_them() -> None:
    """Two limits, by address and by principal: when the second refuses, the log still has who was identified."""
    scene = Scene(Step(Phase.ADMIT), Identify(), Step(Phase.METER, _refuse))
    assert (await scene.call(headers={"x-caller": "u1"})).status == 403
    assert scene.guards == {"step": "refused: not_today", "identify": "passed"}


# Surrounds


async def test_a_surround_sees_the_outcome_before_it_is_sent() -> None:
    """Status and headers, and it may change both."""

    async def around(call: Call, proceed: Proceed) -> Outcome:
        outcome = await proceed()
        assert outcome.status == 200
        outcome.status = 203
        outcome.headers.append((b"x-seen", b"yes"))
        return outcome

    reply = await Scene(Enclose(around)).call()
    assert (reply.status, reply.headers["x-seen"], reply.json["data"]) == (203, "yes", "done")


async def test_a_surround_may_skip_the_rest() -> None:
    """A replay or a cache hit: the guards behind it are not asked, the log says that it answered."""

    async def around(call: Call, proceed: Proceed) -> Outcome:
        return Outcome(299, [(b"content-type", b"text/plain")], b"kept")

    scene = Scene(Identify(), Enclose(around), Step(Phase.RECALL, _refuse))
    reply = await scene.call(headers={"x-caller": "u1"})
    assert (reply.status, reply.body, scene.ran) == (299, b"kept", 0)
    assert scene.guards == {"identify": "passed", "enclose": "answered"}


async def test_a_surround_may_replace_the_outcome() -> None:
    """What it returns is what is sent."""

    async def around(call: Call, proceed: Proceed) -> Outcome:
        await proceed()
        return Outcome(200, [], b"another")

    scene = Scene(Enclose(around))
    assert ((await scene.call()).body, scene.ran) == (b"another", 1)
    assert scene.guards == {"enclose": "passed"}


async def test_a_surround_that_refuses_is_logged_as_such() -> None:
    """Before it let anything through."""

    async def around(call: Call, proceed: Proceed) -> Outcome:
        raise Conflict(code="in_flight")

    scene = Scene(Identify(), Enclose(around))
    reply = await scene.call(headers={"x-caller": "u1"})
    assert (reply.status, scene.ran) == (409, 0)
    assert scene.guards == {"identify": "passed", "enclose": "refused: in_flight"}


async def test_what_a_handler_raises_passes_through_the_surround() -> None:
    """The surround sees the exception; the refusal is the handler's, not the surround's."""
    seen: list[Exception] = []

    async def around(call: Call, proceed: Proceed) -> Outcome:
        try:
            return await proceed()
        except Exception as exc:
            seen.append(exc)
            raise

    @guarded_by(Enclose(around))
    async def handler(request: Request) -> Result[str]:
        raise Conflict

    events = EventList()
    reply = await call(handler, gate=Gate(log=events))
    assert reply.status == 409
    assert isinstance(seen[0], Conflict)
    assert requests(events)[0]["guards"] == {"enclose": "passed"}


async def test_a_guard_behind_a_surround_refuses_in_its_own_name() -> None:
    """The surround proceeded; who refused is the guard."""
    scene = Scene(Enclose(through), Step(Phase.RECALL, _refuse))
    assert (await scene.call()).status == 403
    assert scene.guards == {"enclose": "passed", "step": "refused: not_today"}


async def test_a_surround_may_answer_for_what_failed() -> None:
    """It catches an exception and returns an outcome of its own."""

    async def around(call: Call, proceed: Proceed) -> Outcome:
        try:
            return await proceed()
        except Forbidden:
            return Outcome(200, [], b"anyway")

    reply = await Scene(Enclose(around), Step(Phase.RECALL, _refuse)).call()
    assert (reply.status, reply.body) == (200, b"anyway")


async def test_proceeding_twice_is_an_error_where_it_was_not_declared_safe() -> None:
    """A handler runs once unless `repeats` says that it may run again."""

    async def around(call: Call, proceed: Proceed) -> Outcome:
        await proceed()
        return await proceed()

    careless, careful = Scene(Enclose(around)), Scene(Repeat(around))
    assert ((await careless.call()).status, careless.ran) == (500, 1)
    assert ((await careful.call()).status, careful.ran) == (200, 2)


async def test_surrounds_enclose_each_other_by_phase() -> None:
    """The earlier phase is outside."""
    order: list[str] = []

    def noting(label: str) -> Callable[[Call, Proceed], Any]:
        async def around(call: Call, proceed: Proceed) -> Outcome:
            order.append(f"{label} in")
            outcome = await proceed()
            order.append(f"{label} out")
            return outcome

        return around

    @dataclass(frozen=True, eq=False)
    class Earlier(Enclose):
        name = "earlier"
        phase = Phase.OBSERVE

    step = AsyncStep(Phase.METER, lambda call: order.append("guard"))
    scene = Scene(Enclose(noting("enclose")), Earlier(noting("earlier")), step)
    await scene.call()
    assert order == ["earlier in", "guard", "enclose in", "enclose out", "earlier out"]
    assert scene.guards == {"earlier": "passed", "async_step": "passed", "enclose": "passed"}


@pytest.mark.parametrize("build", ["result", "response", "app"])
async def test_the_head_that_is_sent_is_the_one_that_the_surround_left(build: str) -> None:
    """Status and headers, whatever the outcome was made of."""

    async def around(call: Call, proceed: Proceed) -> Outcome:
        outcome = await proceed()
        outcome.status = 203
        outcome.headers.append((b"x-seen", b"yes"))
        return outcome

    decorator = guarded_by(Enclose(around))

    @decorator
    async def with_result(request: Request) -> Result[str]:
        return ok("done")

    @decorator
    async def with_response(request: Request) -> JSONResponse:
        return JSONResponse("done")

    app: dict[str, Any] = {"result": with_result, "response": with_response, "app": decorator(JSONResponse("done"))}
    reply = await call(app[build], gate=Gate(log=EventList()))
    assert (reply.status, reply.headers["x-seen"]) == (203, "yes")


# Two levels


async def test_the_outcomes_of_both_levels_are_in_one_event() -> None:
    """An app's guards and its endpoint's."""

    @guarded_by(Step(Phase.PARSE))
    async def handler(request: Request) -> Result[None]:
        return ok()

    for inner in (handler, guarded_by(Enclose(through))(handler)):
        events = EventList()
        app = guarded_by(Trace(Phase.ADMIT))(Starlette(routes=[Route("/", inner)]))
        await call(app, gate=Gate(log=events))
        (event,) = requests(events)
        assert event["guards"].items() >= {"trace": "passed", "step": "passed"}.items()


async def test_a_refusal_inside_keeps_what_passed_outside() -> None:
    """The log of a request that an endpoint's guard refused names the app's guards too."""
    handler = guarded_by(Step(Phase.PARSE, _refuse))(_quiet)
    events = EventList()
    await call(guarded_by(Trace(Phase.ADMIT))(Starlette(routes=[Route("/", handler)])), gate=Gate(log=events))
    assert requests(events)[0]["guards"] == {"trace": "passed", "step": "refused: not_today"}


async def _quiet(request: Request) -> Result[None]:
    return ok()


# Binding


@dataclass(frozen=True, eq=False)
class Bound(Guard):
    """Counts how often it was bound, and says to which gate."""

    name = "bound"
    phase = Phase.ADMIT
    times: list[str] = field(default_factory=list)
    to: str = ""

    def bind(self, gate: Gate) -> Guard:
        """Take the storage's name."""
        self.times.append(gate.storage.url)
        return Bound(self.times, gate.storage.url)

    def enter(self, call: Call) -> None:
        """Say where it is bound."""
        call.add_header(b"x-bound", self.to.encode())


async def test_a_pipeline_is_bound_once_for_each_gate() -> None:
    """Nothing is found out per request that was found out before, even when gates take turns."""
    bound = Bound()
    handler = guarded_by(bound)(_quiet)
    gates = [Gate(storage=f"memory://{name}", log=EventList()) for name in ("one", "two")]
    apps = [gate.wrap(Starlette(routes=[Route("/", handler)])) for gate in gates]
    said = [(await call(app)).headers["x-bound"] for app in (*apps, *apps, *apps)]
    assert said == ["memory://one", "memory://two"] * 3
    assert sorted(bound.times) == ["memory://one", "memory://two"]


async def test_a_pipeline_is_compiled_for_what_was_done_outside() -> None:
    """The same function behind two apps: a guard that one of them has already acts once there, and here too."""
    trace = guarded_by(Trace(Phase.ADMIT, "a"))
    handler = trace(guarded_by(Trace(Phase.PARSE, "p"))(_order))
    gate = Gate(log=EventList())
    bare, outer = Starlette(routes=[Route("/", handler)]), trace(Starlette(routes=[Route("/", handler)]))
    said = [(await call(app, gate=gate)).json["data"] for app in (bare, outer, bare, outer)]
    assert said == ["ap"] * 4


async def _order(request: Request) -> Result[str]:
    return ok(request.scope["gatewright.call"].provided["order"])


async def _used(handler: ASGIApp) -> weakref.ref[Gate]:
    gate = Gate(log=EventList())
    app = Starlette(routes=[Route("/", handler)])
    gate.install(app)
    assert (await call(app)).status == 200
    return weakref.ref(gate)


async def test_a_dropped_gate_is_freed() -> None:
    """A handler at module level outlives the apps of a test suite; it must not keep their gates alive."""
    handler = guarded_by(Bound())(_quiet)
    first, _ = await _used(handler), await _used(handler)
    gc.collect()
    assert first() is None


async def test_the_gate_that_was_used_last_is_freed_too() -> None:
    """What is remembered for speed is remembered weakly."""
    last = await _used(guarded_by(Bound())(_quiet))
    gc.collect()
    assert last() is None


class Resource:
    """What a handler closes over."""


async def _served() -> weakref.ref[Resource]:
    resource = Resource()

    @guarded_by(Trace(Phase.ADMIT))
    async def handler(request: Request) -> Result[str]:
        return ok(type(resource).__name__)

    assert (await call(handler, gate=Gate(log=EventList()))).status == 200
    assert (await call(handler, principal=Principal("u1"), gate=Gate(log=EventList()))).status == 200
    return weakref.ref(resource)


async def test_a_dropped_handler_is_freed() -> None:
    """A function decorated inside a function lives no longer than whoever holds it, and takes its closure along."""
    resource = await _served()
    gc.collect()
    assert resource() is None


@dataclass(frozen=True, eq=False)
class Listen(Step):
    """A step that hears of later refusals."""

    name = "listen"
    heard: list[str] = field(default_factory=list[str], repr=False)

    def refused(self, call: Call, by: Guard) -> None:
        """Write down who it was."""
        self.heard.append(by.name)


def _enclosed_refusal(call: Call, proceed: Proceed) -> Any:
    raise Forbidden


@pytest.mark.parametrize(
    "refuser",
    [Step(Phase.METER, _refuse), AsyncStep(Phase.METER, _refuse), Enclose(_enclosed_refusal)],
    ids=["step", "async step", "surround"],
)
@AROUND
async def test_a_guard_hears_who_refused_what_it_let_pass(enclosed: bool, refuser: Guard) -> None:
    """Those before the refusal hear of it; the refuser itself, and those after it, do not."""
    heard: list[str] = []
    late: list[str] = []
    scene = Scene(Listen(Phase.ADMIT, heard=heard), refuser, Listen(Phase.RECALL, heard=late), *_and(enclosed))
    assert (await scene.call()).status == 403
    assert (heard, late) == ([refuser.name], [])


async def test_nobody_hears_of_a_call_that_passed() -> None:
    """What the handler refuses is its own business."""
    heard: list[str] = []
    scene = Scene(Listen(heard=heard), Step())
    assert (await scene.call()).status == 200
    assert heard == []
