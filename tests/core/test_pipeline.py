"""Pipelines: the order, the folding, and what is refused when they are sealed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pytest
from starlette.requests import Request

from gatewright import Call, ConfigurationError, Logger, PageParams, Principal
from gatewright._core.guard import Guard, Surround
from gatewright._core.handler import Handler
from gatewright._core.phase import Phase
from gatewright._core.pipeline import Host, Pipeline
from gatewright.testing import make_call
from tests.core.kit import Enclose, Step, through
from tests.toys import Identify, Trace


def _handler(function: Callable[..., Any]) -> Handler:
    return Handler.read(function)


async def _plain(request: Request) -> None: ...


@dataclass(frozen=True)
class Needy(Guard):
    """Works from the principal."""

    name = "needy"
    phase = Phase.AUTHORIZE
    needs = (Principal,)


@dataclass(frozen=True)
class Reads(Guard):
    """Works from a handler's annotations."""

    name = "reads"
    phase = Phase.PARSE
    reads_handler = True
    provides = (PageParams,)


@dataclass(frozen=True)
class Limit(Guard):
    """Merges with its like into one."""

    name = "limit"
    phase: Phase  # type: ignore[misc]  # a field, because tests want one in each phase
    limits: tuple[int, ...]

    def merge(self, others: Sequence[Self]) -> Sequence[Self]:
        """Put all limits into one guard."""
        limits = self.limits + sum((other.limits for other in others), ())
        return (type(self)(self.phase, limits),)


@dataclass(frozen=True)
class Fitted(Guard):
    """Remembers the handler that it was fitted to."""

    name = "fitted"
    phase = Phase.PARSE
    to: str = ""

    def seal(self, handler: Handler) -> Guard:
        """Take the handler's name."""
        return Fitted(handler.name)


@dataclass(frozen=True)
class ByValue(Guard):
    """Acts once for equal values, the same object or not."""

    name = "by_value"
    phase = Phase.ADMIT
    value: int = 0

    def same_as(self, other: Guard) -> bool:
        """Compare by value."""
        return self == other


def test_a_pipeline_runs_by_phase_then_rank_then_configuration() -> None:
    """The order is total, and has nothing to do with the order of adding."""
    early, late = Step(Phase.OBSERVE), Step(Phase.RECALL)
    pipeline = Pipeline().with_(late, Trace(Phase.METER, "b"), Trace(Phase.METER, "a"), early)
    assert [getattr(guard, "label", guard) for guard in pipeline.guards] == [early, "a", "b", late]


def test_the_same_object_is_there_once_and_an_equal_one_twice() -> None:
    """Identity decides: two limits that look alike are two limits."""
    one, other = Trace(Phase.METER, "a"), Trace(Phase.METER, "a")
    assert Pipeline().with_(one, one).with_(one).guards == (one,)
    assert len(Pipeline().with_(one, other).guards) == 2


def test_a_second_single_guard_is_refused() -> None:
    """Two of a single kind are a mistake, in one call or in two."""
    for add in (
        lambda: Pipeline().with_(Identify(), Identify()),
        lambda: Pipeline().with_(Identify()).with_(Identify()),
    ):
        with pytest.raises(ConfigurationError, match=r"two identify\(\.\.\.\) on one handler"):
            add()


def test_a_guard_can_be_taken_out_by_what_it_provides() -> None:
    """`without(Principal)` leaves everything else where it is."""
    trace = Trace(Phase.ADMIT)
    assert Pipeline().with_(Identify(), trace).without(Principal).guards == (trace,)


def test_an_empty_pipeline_prints_that_it_is_empty() -> None:
    """`repr` is for people."""
    assert repr(Pipeline()) == "(no guards)"
    assert repr(Pipeline().with_(Identify())) == "IDENTIFY Identify()"


# Sealing


def test_a_need_that_nobody_meets_is_refused() -> None:
    """A guard that works from the principal says which decorator is missing, on a handler and on an app."""
    for handler in (_handler(_plain), None):
        with pytest.raises(ConfigurationError, match=r"needs a principal; add @with_auth"):
            Pipeline().with_(Needy()).seal(handler, Host.FUNCTION if handler else Host.APP)
    assert Pipeline().with_(Needy(), Identify()).seal(_handler(_plain), Host.FUNCTION)


def test_a_guard_that_reads_a_handler_cannot_guard_an_app() -> None:
    """An app has no annotations."""
    with pytest.raises(ConfigurationError, match="reads reads a handler's annotations"):
        Pipeline().with_(Reads()).seal(None, Host.APP)


def test_a_surround_is_refused_where_the_answer_is_not_ours() -> None:
    """A plain FastAPI route cannot be enclosed, and the message says what to write."""
    pipeline = Pipeline().with_(Enclose(through))
    with pytest.raises(ConfigurationError, match=r"route_class=gatewright.fastapi.GuardedRoute.*gate\.install"):
        pipeline.seal(_handler(_plain), Host.DEPENDENCY)
    for host in (Host.FUNCTION, Host.FRAMEWORK):
        assert pipeline.seal(_handler(_plain), host) == pipeline.guards


def test_a_want_that_no_guard_provides_is_refused() -> None:
    """The message names the parameter and the decorator that fills it, on every host."""

    async def handler(params: PageParams) -> None: ...

    for host in (Host.FUNCTION, Host.FRAMEWORK, Host.DEPENDENCY):
        with pytest.raises(ConfigurationError, match="params is filled by @paginate; add it"):
            Pipeline().seal(_handler(handler), host)
        assert Pipeline().with_(Reads()).seal(_handler(handler), host)


def test_call_and_logger_come_with_every_guard() -> None:
    """They need no decorator of their own."""

    async def handler(call: Call, logger: Logger) -> None: ...

    assert Pipeline().seal(_handler(handler), Host.FUNCTION) == ()


async def _async_generator() -> AsyncIterator[int]:
    yield 1


def _generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("function", [_async_generator, _generator])
def test_a_starlette_endpoint_does_not_yield(function: Callable[..., Any]) -> None:
    """A generator is FastAPI's; elsewhere it would send nothing."""
    with pytest.raises(ConfigurationError, match="return a StreamingResponse"):
        Pipeline().seal(_handler(function), Host.FUNCTION)
    assert Pipeline().seal(_handler(function), Host.FRAMEWORK) == ()


def test_an_annotation_that_names_nothing_is_refused() -> None:
    """Where nobody else could know better; FastAPI says so itself."""

    async def handler(one: Nowhere, two: Nothing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigurationError, match="the annotation of one, two names nothing"):
        Pipeline().seal(_handler(handler), Host.FUNCTION)
    assert Pipeline().seal(_handler(handler), Host.FRAMEWORK) == ()


def test_a_parameter_that_nobody_fills_is_refused() -> None:
    """A Starlette endpoint gets nothing but what guards provide and the connection."""

    async def handler(request: Request, q: str) -> None: ...

    with pytest.raises(ConfigurationError, match=r"nobody fills q; annotate it with FromPath"):
        Pipeline().seal(_handler(handler), Host.FUNCTION)
    assert Pipeline().seal(_handler(handler), Host.FRAMEWORK) == ()


def test_guards_of_one_kind_and_phase_merge() -> None:
    """They are given the others in canonical order; another phase is another decision."""
    pipeline = Pipeline().with_(*(Limit(Phase.METER, (n,)) for n in (3, 1)), Limit(Phase.ADMIT, (7,)))
    assert pipeline.seal(_handler(_plain), Host.FUNCTION) == (Limit(Phase.ADMIT, (7,)), Limit(Phase.METER, (1, 3)))


def test_guards_that_do_not_merge_stay_as_they_are() -> None:
    """The hook's default folds nothing."""
    guards = (Trace(Phase.METER, "a"), Trace(Phase.METER, "b"))
    assert Pipeline().with_(*guards).seal(_handler(_plain), Host.FUNCTION) == guards


def test_guards_are_fitted_to_their_handler_and_not_to_an_app() -> None:
    """`seal` is asked where there is a handler."""
    pipeline = Pipeline().with_(Fitted())
    assert pipeline.seal(_handler(_plain), Host.FUNCTION) == (Fitted(f"{__name__}._plain"),)
    assert pipeline.seal(None, Host.APP) == (Fitted(),)


def test_what_an_enclosing_pipeline_did_is_not_done_again() -> None:
    """The same object acts once; a guard may say that an equal one is the same."""
    trace, value = Trace(Phase.ADMIT), ByValue(1)
    pipeline = Pipeline().with_(trace, value)
    acted = (trace, ByValue(1))
    assert pipeline.seal(_handler(_plain), Host.FUNCTION, acted) == ()
    assert pipeline.seal(_handler(_plain), Host.FUNCTION, (Trace(Phase.ADMIT), ByValue(2))) == pipeline.guards


def test_what_an_enclosing_pipeline_did_still_counts_as_provided() -> None:
    """A guard left out because it acted already provides what it provided."""
    identify = Identify()
    pipeline = Pipeline().with_(identify, Needy())
    assert pipeline.seal(_handler(_plain), Host.FUNCTION, (identify,)) == (Needy(),)


def test_what_only_an_enclosing_pipeline_provides_counts_where_it_is_known() -> None:
    """A request through an app with `@with_auth` has its principal, whoever serves the endpoint."""

    def handler(principal: Principal) -> None: ...

    for pipeline in (Pipeline(), Pipeline().with_(Needy())):
        assert pipeline.seal(_handler(handler), Host.FUNCTION, (Identify(),)) == pipeline.guards
        with pytest.raises(ConfigurationError, match="@with_auth"):
            pipeline.seal(_handler(handler), Host.FUNCTION)


# The guard's own defaults


@pytest.mark.anyio
async def test_a_guard_that_does_nothing_says_so() -> None:
    """`enter` and `around` have no default: a guard that forgets them must not pass everybody."""

    @dataclass(frozen=True)
    class Empty(Surround):
        name = "empty"
        phase = Phase.ENCLOSE

    with pytest.raises(NotImplementedError):
        Empty().enter(make_call())
    with pytest.raises(NotImplementedError):
        await Empty().around(make_call(), lambda: None)  # type: ignore[arg-type, return-value]  # never called


def test_a_guard_s_hooks_return_the_guard() -> None:
    """Nothing to fit, nothing to take, nothing to merge."""
    guard, gate = Needy(), make_call().gate
    assert guard.seal(_handler(_plain)) is guard.bind(gate) is guard
    assert guard.merge([Needy()]) == (guard, Needy())
    assert guard.same_as(guard)
    assert not guard.same_as(Needy())
