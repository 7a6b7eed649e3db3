"""Which form of error a client prefers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright._core.accept import prefers_problem

PROBLEM = b"application/problem+json"


@pytest.mark.parametrize(
    "accept",
    [
        PROBLEM,
        b"application/problem+json;q=0.001",
        b"text/html, application/problem+json",
        b"application/json;q=0.5, application/problem+json;q=0.6",
        b"application/problem+json; q=1.000 , application/json;q=0.9",
        b"application/json;q=0,application/problem+json",
        b"application/problem+json;Q=0.5",
        b"application/problem+json;profile=x;q=0.5",
        b"application/problem+json, */*;q=0.1",
    ],
)
def test_problem_details_are_for_those_who_prefer_them(accept: bytes) -> None:
    """A higher weight than JSON's decides, in any order and spacing (RFC 9110, section 12.5.1)."""
    assert prefers_problem(accept)


@pytest.mark.parametrize(
    "accept",
    [
        None,
        b"",
        b"*/*",
        b"application/json",
        b"application/*",
        b"application/json, application/problem+json",
        b"application/problem+json;q=0.5, application/json",
        b"application/problem+json;q=0.5, application/json;q=0.5",
        b"application/problem+json;q=0",
        b"application/problem+json;q=0.000",
        b"application/problem+jsonx",
        b"x-application/problem+json",
        b"text/problem+json",
    ],
)
def test_everyone_else_gets_the_envelope(accept: bytes | None) -> None:
    """Also where both weigh the same, and where neither is named."""
    assert not prefers_problem(accept)


def test_media_types_have_no_case() -> None:
    """RFC 9110, section 8.3.1."""
    assert prefers_problem(b"Application/Problem+JSON")


def test_a_range_speaks_for_json_too() -> None:
    """Who takes anything at full weight, and problem details at half, prefers JSON."""
    assert not prefers_problem(b"application/problem+json;q=0.5, */*")
    assert not prefers_problem(b"application/problem+json;q=0.5, application/*")


@pytest.mark.parametrize(
    "weight", [b"", b".", b"-1", b"1e3", b"nan", b"inf", b"0x1", b"0..5", b"0.12345", b"\xb2", b"1_0", b'"1"', b" "]
)
def test_a_weight_that_is_none_weighs_nothing(weight: bytes) -> None:
    """Garbage does not turn the answer's form."""
    assert not prefers_problem(PROBLEM + b";q=" + weight)


@pytest.mark.parametrize("weight", [b"1", b"1.000", b"2", b"99.9"])
def test_a_weight_over_one_is_one(weight: bytes) -> None:
    """A client cannot weigh more than everything."""
    assert prefers_problem(PROBLEM + b";q=" + weight)
    assert not prefers_problem(PROBLEM + b";q=" + weight + b", application/json;q=1")


@given(
    st.lists(
        st.sampled_from(
            [PROBLEM, b"application/json", b"*/*", b",", b";", b";q=", b"q=", b"0.5", b"1", b".", b" ", b"\xff"]
        )
        | st.binary(max_size=5),
        max_size=300,
    ).map(b"".join)
)
def test_any_bytes_have_an_answer(accept: bytes) -> None:
    """No header breaks a refusal."""
    assert prefers_problem(accept) in (True, False)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_higher_weight_decides(problem: int, json: int) -> None:
    """To three decimal places."""
    accept = b"application/json;q=%.3f, application/problem+json;q=%.3f" % (json / 1000, problem / 1000)
    assert prefers_problem(accept) is (problem > json)


def test_a_long_header_costs_little() -> None:
    """What stands after the first kilobyte is not read."""
    assert not prefers_problem(b"a" * 1024 + b"," + PROBLEM)
    assert prefers_problem(PROBLEM + b"," * 1_000_000)
