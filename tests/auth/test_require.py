"""Requirements: values that are joined, judged in three-valued logic, and never pass by accident."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import (
    ApiError,
    BearerToken,
    ConfigurationError,
    Forbidden,
    Gate,
    NotFound,
    Phase,
    Principal,
    Unauthorized,
    require,
    role,
    scopes,
)
from gatewright._core.call import Call
from gatewright.auth import Identified, Require, Requirement
from gatewright.auth.answers import Unknown
from gatewright.auth.authority.awaited import Findings, Late
from gatewright.auth.authority.kinds import fresh, is_self, same_tenant
from gatewright.auth.authority.owned import owned
from tests.auth.support import call_with, header_of, known

CALL = call_with()


def held(requirement: Requirement, *, roles: Iterable[str] = (), scopes: Iterable[str] = ()) -> bool | None:
    return requirement(known(roles=frozenset(roles), scopes=frozenset(scopes)), CALL)


def is_ada(principal: Principal, call: Call) -> bool:
    return principal.sub == "ada"


def is_unknown(principal: Principal, call: Call) -> bool | None:
    return None


def refusal(requirement: Any, principal: Principal | None) -> ApiError:
    call = call_with()
    call.principal = principal
    with pytest.raises((Forbidden, Unauthorized)) as caught:
        guard(requirement).enter(call)
    return caught.value


def guard(requirement: Any) -> Require:
    (only,) = require(requirement).pipeline.guards  # type: ignore[attr-defined]  # a decorator keeps what it folds in
    assert isinstance(only, Require)
    return only


# One requirement


def test_one_of_several_roles_is_enough() -> None:
    """`role(...)` is any of, exactly as written: a role is a name, not a prefix."""
    requirement = role("admin", "editor")
    assert held(requirement, roles=["editor", "user"]) is True
    assert held(requirement, roles=["administrator"]) is False
    assert held(requirement) is False


def test_all_of_several_scopes_are_needed() -> None:
    """`scopes(...)` is all of."""
    requirement = scopes("read", "write")
    assert held(requirement, scopes=["read", "write", "more"]) is True
    assert held(requirement, scopes=["read"]) is False


def test_a_role_is_not_a_scope() -> None:
    """What the caller is, and what the credential may do, are two things."""
    assert held(role("admin"), scopes=["admin"]) is False
    assert held(scopes("admin"), roles=["admin"]) is False


# Joined

ADMIN, EDITOR, READ, WRITE = role("admin"), role("editor"), scopes("read"), scopes("write")


def test_and_or_and_not_mean_what_they_say() -> None:
    """All combinations of two facts."""
    for is_admin, may_read in itertools.product([True, False], repeat=2):
        facts = {"roles": ["admin"] * is_admin, "scopes": ["read"] * may_read}
        assert held(ADMIN & READ, **facts) is (is_admin and may_read)
        assert held(ADMIN | READ, **facts) is (is_admin or may_read)
        assert held(~ADMIN, **facts) is (not is_admin)
        assert held(~(ADMIN | READ), **facts) is not (is_admin or may_read)


def test_the_order_in_which_they_are_joined_does_not_matter() -> None:
    """`a & b` and `b & a` are equal and look the same; nesting is flattened; twice is once."""
    orders = [functools.reduce(lambda a, b: a & b, order) for order in itertools.permutations([ADMIN, READ, WRITE])]
    assert len(set(orders)) == 1
    assert {repr(joined) for joined in orders} == {"role('admin') & scopes('read') & scopes('write')"}
    assert ADMIN & (READ & WRITE) == (ADMIN & READ) & WRITE == orders[0]
    assert READ | ADMIN == ADMIN | READ and ADMIN & ADMIN == ADMIN == ADMIN | ADMIN
    assert role("b", "a") == role("a", "b") and repr(role("b", "a")) == "role('a', 'b')"


@pytest.mark.parametrize(
    ("requirement", "written"),
    [
        (ADMIN & (READ | EDITOR), "role('admin') & (role('editor') | scopes('read'))"),
        ((ADMIN & READ) | EDITOR, "role('admin') & scopes('read') | role('editor')"),
        (~ADMIN, "~role('admin')"),
        (~(ADMIN & READ), "~(role('admin') & scopes('read'))"),
        (~(ADMIN | READ), "~(role('admin') | scopes('read'))"),
        (~~ADMIN, "role('admin')"),
        (ADMIN & is_ada, "role('admin') & tests.auth.test_require.is_ada"),
        (is_ada | ADMIN, "role('admin') | tests.auth.test_require.is_ada"),
        (is_ada & ADMIN, "role('admin') & tests.auth.test_require.is_ada"),
    ],
)
def test_a_requirement_reads_like_what_was_written(requirement: Requirement, written: str) -> None:
    """With the parentheses that it needs, in one order."""
    assert repr(requirement) == written


@pytest.mark.parametrize("mistake", [lambda: ADMIN and READ, lambda: ADMIN or READ, lambda: not ADMIN])
def test_and_or_not_as_words_are_refused(mistake: Any) -> None:
    """`role("a") and role("b")` would be `role("b")` alone, without a word."""
    with pytest.raises(ConfigurationError, match=r"join requirements with & \| ~, not with and, or, not"):
        mistake()


# Not known


def test_what_is_not_known_is_refused_and_stays_unknown_when_it_is_negated() -> None:
    """A check that could not be made is no permission, on either side of a `~`."""
    unknown = guard(is_unknown).requirement
    assert held(unknown) is None and held(~unknown) is None
    assert held(~unknown & ~ADMIN) is None and held(unknown | ADMIN) is None
    assert held(unknown & ADMIN) is False and held(unknown | ~ADMIN) is True
    for requirement in (unknown, ~unknown, ~(unknown | ADMIN), ~(unknown & ~ADMIN)):
        assert isinstance(refusal(requirement, known()), Forbidden)


_FACTS = st.sampled_from([True, False, None])


@given(st.lists(_FACTS, min_size=1, max_size=4))
def test_the_logic_is_kleenes(facts: list[bool | None]) -> None:
    """And is the least of its parts, or the greatest, not the opposite, with "not known" in the middle."""
    parts = [_fact(number, value) for number, value in enumerate(facts)]
    rank = {False: 0, None: 1, True: 2}
    both = functools.reduce(lambda a, b: a & b, parts)
    either = functools.reduce(lambda a, b: a | b, parts)
    assert rank[held(both)] == min(rank[value] for value in facts)
    assert rank[held(either)] == max(rank[value] for value in facts)
    assert rank[held(~both)] == 2 - rank[held(both)]


def _fact(number: int, value: bool | None) -> Requirement:
    def fact(principal: Principal, call: Call) -> bool | None:
        return value

    fact.__qualname__ = f"fact{number}"
    return guard(fact).requirement


# The guard


def test_a_caller_who_meets_it_passes() -> None:
    """Nothing is added, nothing is answered."""
    call = call_with()
    call.principal = known(roles=frozenset({"admin"}))
    guard(ADMIN).enter(call)
    assert call.added == []


def test_a_signed_in_user_who_is_denied_gets_a_403_not_a_401() -> None:
    """Story (starlette `requires`): a signed-in user without the scope is sent to the login page, in a loop."""
    error = refusal(ADMIN & READ, known())
    assert (error.status_code, error.code) == (403, "forbidden")
    assert error.headers is None
    assert error.reason == "require(role('admin') & scopes('read')) is not met" and "admin" not in error.message


def test_a_caller_who_is_not_known_gets_a_401_with_the_challenge() -> None:
    """With optional authentication nobody may get this far; a 401 then says how to become somebody."""
    call = call_with()
    call.provide(Identified, Identified(None, None, Unknown([BearerToken(lambda token: None)], Gate())))
    with pytest.raises(Unauthorized) as caught:
        guard(~ADMIN).enter(call)
    assert header_of(caught.value) == 'Bearer realm="api"'
    assert isinstance(refusal(~ADMIN, None), Unauthorized)


@pytest.mark.parametrize(
    ("requirement", "scope"),
    [
        (scopes("write", "read"), "read write"),
        (scopes("write") & scopes("read"), "read write"),
        (ADMIN | scopes("write"), "write"),
        (role("user") & scopes("write"), "write"),
        (role("user") & (ADMIN | scopes("write")), "write"),
        ((role("user") | scopes("other")) & scopes("write"), "write"),
        (ADMIN, None),
        (ADMIN & scopes("write"), None),
        (ADMIN | EDITOR, None),
        (~scopes("read"), None),
        (scopes("write") & is_unknown, None),
    ],
)
def test_a_bearer_is_told_which_scopes_would_help(requirement: Requirement, scope: str | None) -> None:
    """RFC 6750, section 3.1: `insufficient_scope` with the scopes, unless no scope would let this caller in."""
    bearer = known(method="bearer", roles=frozenset({"user"}), scopes=frozenset({"read"}))
    error = refusal(requirement, bearer)
    assert error.status_code == 403
    expected = None if scope is None else f'Bearer error="insufficient_scope", scope="{scope}"'
    assert header_of(error) == expected


def test_other_credentials_are_told_nothing_of_scopes() -> None:
    """The challenge belongs to bearer tokens."""
    assert header_of(refusal(scopes("write"), known(method="session"))) is None


def test_several_requires_are_all_enforced() -> None:
    """They merge into one, whatever their order; none replaces another."""
    guards = [guard(requirement) for requirement in (ADMIN, READ, is_ada)]
    for first, *others in itertools.permutations(guards):
        (merged,) = first.merge(others)
        assert repr(merged) == "require(role('admin') & scopes('read') & tests.auth.test_require.is_ada)"
        for roles, granted in (("admin", True), ("user", False)):
            call = call_with()
            call.principal = known(roles=frozenset({roles}), scopes=frozenset({"read"}))
            if granted:
                merged.enter(call)
            else:
                with pytest.raises(Forbidden):
                    merged.enter(call)


def test_a_requirement_inside_an_equal_one_is_judged_again() -> None:
    """An endpoint may identify by another credential than its app: then the principal is somebody else."""
    requirement = guard(ADMIN)
    assert not requirement.same_as(requirement)


def test_it_runs_once_the_caller_is_known() -> None:
    """In AUTHORIZE, and a pipeline without authentication is refused."""
    assert (guard(ADMIN).phase, guard(ADMIN).needs) == (Phase.AUTHORIZE, (Principal,))


# Functions


def test_a_function_judges_the_principal_and_the_call() -> None:
    """A plain function of both that returns a bool."""

    def on_websockets(principal: Principal, call: Call) -> bool:
        return call.is_websocket

    socket = call_with(kind="websocket")
    socket.principal = known()
    guard(on_websockets).enter(socket)
    assert isinstance(refusal(on_websockets, known()), Forbidden)


def test_a_function_may_refuse_in_its_own_words() -> None:
    """An `ApiError` that it raises is the answer."""

    def hidden(principal: Principal, call: Call) -> bool:
        raise NotFound("No such post")

    call = call_with()
    call.principal = known()
    with pytest.raises(NotFound):
        guard(hidden).enter(call)


@pytest.mark.parametrize("answer", [1, "yes", [], frozenset({"admin"})])
def test_a_function_that_returns_something_else_lets_nobody_pass(answer: Any) -> None:
    """Truthy is not True, and falsy under `~` would be a permission; the developer is told."""

    def sloppy(principal: Principal, call: Call) -> Any:
        return answer

    call = call_with()
    call.principal = known()
    for requirement in (guard(sloppy).requirement, ~guard(sloppy).requirement):
        with pytest.raises(ConfigurationError, match=r"sloppy returned a \w+; return True or False"):
            guard(requirement).enter(call)


def test_an_object_with_a_call_is_shown_by_its_repr() -> None:
    """Whatever has no name of its own says itself what it is."""

    class Named:
        def __call__(self, principal: Principal, call: Call) -> bool:
            return True

        def __repr__(self) -> str:
            return "named(7)"

    assert repr(guard(Named())) == "require(named(7))"


class SlowRequirement(Requirement):
    async def __call__(self, principal: Principal, call: Call) -> bool:  # type: ignore[override]
        return True


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (SlowRequirement(), "write an async function instead"),
        (role, r"require\(role\) says nothing yet; write require\(role\('admin'\)\)"),
        (scopes, r"write require\(scopes\('posts:write'\)\)"),
        (is_self, r"write require\(is_self\('user_id'\)\)"),
        (same_tenant, r"write require\(same_tenant\('tenant_id'\)\)"),
        (fresh, r"write require\(fresh\(300\)\)"),
        (owned, r"write require\(owned\(posts.find, owner='author_id'\)\)"),
        ("admin", r"write role\('\.\.\.'\)"),
        (lambda principal: True, r"takes \(principal, call\)"),
        (None, r"write role\('\.\.\.'\)"),
        ({"admin"}, r"write role\('\.\.\.'\)"),
    ],
)
def test_what_is_no_requirement_is_refused_when_it_is_written(mistake: Any, message: str) -> None:
    """Decorating raises, with what to write instead; joining does too."""
    with pytest.raises(ConfigurationError, match=message):
        require(mistake)
    with pytest.raises(ConfigurationError, match=message):
        ADMIN & mistake


@pytest.mark.parametrize("mistake", [role, lambda: role(""), scopes, lambda: scopes("read write"), lambda: scopes('"')])
def test_a_requirement_of_nothing_or_of_no_name_is_refused(mistake: Any) -> None:
    """`scopes()` would hold for everybody; one str with two scopes would hold for nobody."""
    with pytest.raises(ConfigurationError, match="write"):
        mistake()


def test_a_requirement_of_ones_own_says_what_it_judges() -> None:
    """A subclass implements `__call__`; the base judges nothing."""
    with pytest.raises(NotImplementedError):
        Requirement()(known(), CALL)
    with pytest.raises(NotImplementedError):
        anyio.run(Late().find, known(), CALL, Findings())


@pytest.mark.parametrize("make", [role, scopes])
def test_a_list_is_no_name(make: Any) -> None:
    """As one writes it who has the names in a list; the message says how."""
    with pytest.raises(ConfigurationError, match=r"write (the names themselves|scopes)"):
        make(["admin", "editor"])
