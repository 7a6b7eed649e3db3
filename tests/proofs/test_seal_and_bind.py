"""Proof (e): stacks commute, gates do not meet, and a combination that cannot work is refused when it is sealed."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route

from gatewright import ConfigurationError, Gate, Principal, Result, compose, ok
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.phase import Phase
from gatewright.starlette import GuardedRoute
from gatewright.testing import EventList, FrozenClock, Reply, call
from tests.toys import Identify, Refuse, Trace

GUARDS = (
    Identify(),
    Trace(Phase.ADMIT, "a"),
    Trace(Phase.METER, "m"),
    Trace(Phase.METER, "n"),
    Trace(Phase.PARSE, "p"),
    Trace(Phase.RECALL, "r"),
)


async def _handler(request: Request, principal: Principal) -> Result[str]:
    return ok(principal.sub)


def _stacked(decorators: Sequence[Decorator]) -> tuple[str, Reply, Reply]:
    handler = _handler
    for decorator in decorators:
        handler = decorator(handler)  # type: ignore[assignment]  # the type changes once
    gate = Gate(log=EventList(), clock=FrozenClock(), entropy=lambda n: b"\1" * n)
    seen = anyio.run(lambda: call(handler, headers={"x-caller": "u1"}, gate=gate))
    refused = anyio.run(lambda: call(handler, gate=gate))
    return repr(handler.pipeline), seen, refused  # type: ignore[attr-defined]  # decorated


@given(st.permutations(GUARDS), st.integers(0, len(GUARDS)))
def test_written_order_never_matters(guards: list[object], split: int) -> None:
    """Any permutation, one by one or composed, prints the same pipeline and answers the same bytes."""
    decorators = [guarded_by(guard) for guard in guards]  # type: ignore[arg-type]  # they are guards
    expected = _stacked([guarded_by(guard) for guard in GUARDS])
    assert _stacked(decorators) == expected
    together = [compose(*decorators[:split]), *decorators[split:]] if split else decorators
    assert _stacked(together) == expected


def test_the_pipeline_prints_its_real_order() -> None:
    """`repr(pipeline)` names phases in running order."""
    printed, _, _ = _stacked([guarded_by(guard) for guard in GUARDS])
    phases = [part.split(" ")[0] for part in printed.split(" > ")]
    assert phases == ["ADMIT", "IDENTIFY", "METER", "METER", "PARSE", "RECALL"]


@pytest.mark.anyio
async def test_two_gates_in_one_process_do_not_meet() -> None:
    """The same decorated function, installed in two apps, uses each app's own gate; so does a mounted app with one."""

    @guarded_by(Identify())
    async def whoami(request: Request, principal: Principal) -> Result[str]:
        return ok(request.scope["gatewright.call"].gate.storage.url)

    logs = [EventList(), EventList(), EventList()]
    inner = Starlette(routes=[Route("/", whoami)])
    first, second = (Starlette(routes=[Route("/", whoami), Mount("/inner", inner)]) for _ in range(2))
    Gate(log=logs[2], storage="memory://inner").install(inner)
    Gate(log=logs[0], storage="memory://first").install(first)
    Gate(log=logs[1], storage="memory://second").install(second)
    answers = [
        (await call(app, path=path, headers={"x-caller": "u"})).json["data"]
        for app in (first, second)
        for path in ("/", "/inner/")
    ]
    assert answers == ["memory://first", "memory://inner", "memory://second", "memory://inner"]
    assert [len(log) for log in logs] == [2, 2, 0]  # one event for each request, from the outermost gate


def test_what_cannot_work_is_refused_when_sealed() -> None:
    """A principal that nobody provides is said when a route is built or a gate installed, with what to write."""
    wanting = guarded_by(Trace(Phase.ADMIT))(_handler)
    with pytest.raises(ConfigurationError, match=r"principal is filled by @with_auth"):
        GuardedRoute("/", wanting)
    with pytest.raises(ConfigurationError, match=r"@with_auth"):
        Gate().install(Starlette(routes=[Route("/", wanting)]))


@pytest.mark.anyio
async def test_what_cannot_work_is_a_500_where_nothing_was_installed() -> None:
    """Without install or lifespan, the first request finds out: a fixed text outside, the explanation in the log."""
    wanting = guarded_by(Trace(Phase.ADMIT))(_handler)
    reply = await call(Starlette(routes=[Route("/", wanting)]))
    assert (reply.status, reply.json["error"]) == (500, "Internal server error")


def test_two_of_a_kind_are_refused_at_once() -> None:
    """A second guard of a single kind is a mistake that decorating finds."""
    with pytest.raises(ConfigurationError, match="two identify"):
        guarded_by(Identify())(guarded_by(Identify())(_handler))


def test_the_same_decorator_twice_is_once() -> None:
    """Folding the same guard object again changes nothing."""
    identify = guarded_by(Identify())
    assert identify(identify(_handler)).pipeline == identify(_handler).pipeline


@pytest.mark.anyio
async def test_the_outer_pipeline_completes_first() -> None:
    """An app's guards refuse before its endpoints' guards are asked."""

    @guarded_by(Identify())
    async def handler(request: Request) -> Result[None]:
        return ok()

    app = guarded_by(Refuse())(Starlette(routes=[Route("/", handler)]))
    reply = await call(app, gate=Gate(log=EventList()))
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")


@pytest.mark.anyio
async def test_the_same_guard_met_twice_acts_once() -> None:
    """A guard on an app and on its endpoint, the same object, runs once for a request."""
    trace = guarded_by(Trace(Phase.ADMIT, "a"))

    @trace
    @guarded_by(Trace(Phase.PARSE, "p"))
    async def handler(request: Request) -> Result[str]:
        return ok(request.scope["gatewright.call"].provided["order"])

    app = trace(Starlette(routes=[Route("/", handler)]))
    reply = await call(app, gate=Gate(log=EventList()))
    assert reply.json["data"] == "ap"
