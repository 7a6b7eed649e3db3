"""Functions that wait: judged late, refused early where nothing they say could help."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import (
    ApiError,
    Call,
    ConfigurationError,
    Conflict,
    Forbidden,
    Ok,
    Principal,
    Unauthorized,
    ok,
    require,
    role,
    scopes,
    with_auth,
)
from gatewright.auth import Require, Requirement
from gatewright.auth.authority.kinds import fresh
from gatewright.guards import Phase
from gatewright.testing import call, enter, make_call
from tests.auth.authority.support import PEOPLE, ask, bearer, gate

pytestmark = pytest.mark.anyio

ADMIN = role("admin")


class Says:
    """Say what it was told to, after a while, and count how often."""

    def __init__(self, answer: Any, name: str = "says") -> None:
        self.answer = answer
        self.name = name
        self.asked = 0

    async def __call__(self, principal: Principal, call: Call) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def __repr__(self) -> str:
        return self.name


def guards(requirement: Any) -> tuple[Require, ...]:
    found: tuple[Require, ...] = require(requirement).pipeline.guards  # type: ignore[attr-defined]  # a decorator keeps what it folds in
    return found


async def judged(requirement: Any, principal: Principal | None = PEOPLE["ada"]) -> ApiError | None:
    """Return the refusal, or None."""
    made = make_call(principal=principal, gate=gate())
    try:
        await enter(require(requirement), made)
    except ApiError as error:
        return error
    return None


async def test_an_async_function_is_awaited_and_decides() -> None:
    """True passes; False and "not known" do not, on either side of a `~`."""
    assert await judged(Says(True)) is None
    assert await judged(~guards(Says(False))[0].requirement) is None
    for answer in (False, None):
        assert isinstance(await judged(Says(answer)), Forbidden)
    assert isinstance(await judged(~guards(Says(None))[0].requirement), Forbidden)


async def test_two_guards_judge_it_early_and_late() -> None:
    """Both show the whole expression, in the phases in which they run."""
    early, late = guards(ADMIN | Says(True))
    assert (early.phase, late.phase) == (Phase.AUTHORIZE, Phase.REFINE)
    assert repr(early) == repr(late) == "require(role('admin') | says)"
    assert len(guards(ADMIN)) == 1


async def test_what_nothing_can_mend_is_refused_before_anything_is_asked() -> None:
    """False with the late part not known is False whatever it is."""
    says = Says(True)
    assert isinstance(await judged(ADMIN & says), Forbidden)
    assert isinstance(await judged(~(ADMIN | ~guards(says)[0].requirement) & ADMIN), Forbidden)
    assert says.asked == 0


async def test_a_function_is_asked_only_where_it_matters() -> None:
    """Who passes anyway costs no query."""
    says, other = Says(True, "a"), Says(True, "b")
    assert await judged(ADMIN | says, PEOPLE["root"]) is None and says.asked == 0
    assert await judged(guards(says)[0].requirement | other) is None
    assert (says.asked, other.asked) == (1, 0)


async def test_nobody_is_refused_with_a_401() -> None:
    """Optional authentication lets nobody pass here, and nothing is asked for nobody."""
    says = Says(True)
    assert isinstance(await judged(says, None), Unauthorized) and says.asked == 0
    late = guards(says)[1]
    with pytest.raises(Unauthorized):
        await enter(late, make_call(gate=gate()))


async def test_a_function_may_refuse_in_its_own_words() -> None:
    """An `ApiError` that it raises is the answer."""
    assert isinstance(await judged(Says(Conflict("later"))), Conflict)


@pytest.mark.parametrize("answer", [1, "yes", []])
async def test_a_function_that_returns_something_else_lets_nobody_pass(answer: Any) -> None:
    """Truthy is not True."""
    with pytest.raises(ConfigurationError, match=r"says returned a \w+; return True or False"):
        await judged(Says(answer))


async def test_a_lack_that_can_be_mended_is_told_before_anything_is_asked() -> None:
    """Of what is not known yet the best is hoped; once it is known to be False, nothing else would help."""
    says = Says(True)
    refusal = await judged(fresh(300) & ~guards(says)[0].requirement & guards(says)[0].requirement, PEOPLE["bob"])
    assert refusal is not None and refusal.status_code == 401 and says.asked == 0
    never = Says(False, "a")
    both = await judged((fresh(300) | Says(False, "b")) & never, PEOPLE["bob"])
    assert both is not None and both.status_code == 403


async def test_several_requires_are_all_enforced() -> None:
    """A plain one that is not known is not hidden behind a late one that passes, in whatever order they are written."""

    def unknown(principal: Principal, call: Call) -> bool | None:
        return None

    for first, second, third in itertools.permutations([require(unknown), require(Says(True)), require(fresh(7_200))]):
        handler = with_auth(bearer)(first(second(third(_done))))
        assert (await ask(handler, "ada")).status == 403
    for first, second in itertools.permutations([require(Says(True, "a")), require(Says(False, "b"))]):
        assert (await ask(with_auth(bearer)(first(second(_done))), "ada")).status == 403
    both = with_auth(bearer)(require(Says(True, "a"))(require(Says(True, "b"))(_done)))
    assert (await ask(both, "ada")).status == 200


async def test_what_is_known_at_once_is_judged_first_and_together() -> None:
    """A late expression that sorts between two plain ones does not part them: a bearer is told of all scopes."""
    late = Says(True, "scopes('m')")
    handler = with_auth(bearer)(require(scopes("a"))(require(late)(require(scopes("z"))(_done))))
    assert (await ask(handler, "ada")).headers["www-authenticate"].endswith('scope="a z"')


async def _done() -> Ok[None]:
    return ok()


_FACTS = st.sampled_from([True, False, None])


@given(st.lists(st.tuples(_FACTS, st.booleans(), st.booleans()), min_size=1, max_size=4), st.booleans())
async def test_early_and_late_judgement_come_to_what_one_judgement_would(
    facts: list[tuple[bool | None, bool, bool]], joined_by_and: bool
) -> None:
    """Whatever is late and whatever is negated: the early guard refuses nobody whom the late one would let pass."""
    parts: list[Requirement] = []
    plain: list[Requirement] = []
    for number, (value, late, negated) in enumerate(facts):
        part = guards(Says(value, f"late{number}") if late else _fact(number, value))[0].requirement
        other = guards(_fact(number, value))[0].requirement
        parts.append(~part if negated else part)
        plain.append(~other if negated else other)
    join = (lambda a, b: a & b) if joined_by_and else (lambda a, b: a | b)
    expected = functools.reduce(join, plain)(PEOPLE["ada"], make_call())
    assert (await judged(functools.reduce(join, parts)) is None) is (expected is True)


def _fact(number: int, value: bool | None) -> Any:
    def fact(principal: Principal, call: Call) -> bool | None:
        return value

    fact.__qualname__ = f"fact{number}"
    return fact


async def test_a_late_part_outside_of_its_guard_is_not_known() -> None:
    """A requirement that is called by hand decides nothing by itself."""
    (late,) = guards(Says(True))[0].requirement.late
    assert late(PEOPLE["ada"], make_call()) is None and late.pending(make_call())


async def test_it_works_without_a_gate_too() -> None:
    """A decorated function on a route of its own accord."""
    handler = with_auth(bearer)(require(Says(True))(_done))
    assert (await call(handler, headers={"Authorization": "Bearer ada"})).status == 200
