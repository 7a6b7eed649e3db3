"""What callers are told: structured fields, problem details, old headers for those who ask for them."""

from __future__ import annotations

from typing import Any

import pytest

from gatewright import ConfigurationError, Gate, compose, with_rate_limit
from gatewright.rate_limit import by_principal
from gatewright.rate_limit.sheet import Sheet
from gatewright.testing import FrozenClock, call
from tests.rate_limit.kit import from_header, hello, identified, statuses

pytestmark = pytest.mark.anyio


async def test_a_refusal_is_a_problem_that_names_its_policies(gate: Gate) -> None:
    """draft-ietf-httpapi-ratelimit-headers-10: `quota-exceeded` lists the violated policies, by their names."""
    limited = with_rate_limit("1/minute; 9/hour")(hello)
    await statuses(limited, 1, gate=gate)
    refused = await call(limited, gate=gate, headers={"accept": "application/problem+json"})
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["cache-control"] == "no-store"
    problem = refused.json
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert (problem["status"], problem["violated-policies"]) == (429, ["1-per-minute"])


async def test_old_headers_for_those_who_ask(gate: Gate, clock: FrozenClock) -> None:
    """`X-RateLimit-*` tell of the limit that is closest to its end, and of the time in Unix seconds."""
    limited = with_rate_limit("5/minute", "2/hour", legacy_headers=True)(hello)
    answer = await call(limited, gate=gate)
    told = {name: answer.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset")}
    assert told == {"limit": "2", "remaining": "1", "reset": str(int(clock.time()) + 3600)}
    assert "x-ratelimit-limit" not in (await call(with_rate_limit("5/minute")(hello), gate=gate)).headers


@pytest.mark.parametrize("unit", ["", "tökens", "a\nb"])
def test_a_unit_is_a_word(unit: str) -> None:
    """It goes into a structured field, which holds printable ASCII (RFC 9651, section 3.3.3)."""
    with pytest.raises(ConfigurationError, match="write a word in printable ASCII"):
        with_rate_limit("5/minute", unit=unit)


async def test_a_unit_is_escaped(gate: Gate) -> None:
    """Quotes and backslashes are written as RFC 9651 wants them."""
    answer = await call(with_rate_limit("5/minute", unit='"a\\b"')(hello), gate=gate)
    assert answer.headers["ratelimit-policy"] == '"5-per-minute";q=5;w=60;qu="\\"a\\\\b\\""'


async def test_limits_of_both_phases_are_told_together(gate: Gate) -> None:
    """One header each, whatever the number of decisions: the closest to its end first, names told apart."""
    limited = compose(
        with_rate_limit("5/minute"),
        with_rate_limit("5/minute", by=by_principal),
        with_rate_limit("1/second", by=from_header),
        identified,
    )(hello)
    answer = await call(limited, gate=gate, headers={"x-caller": "ann", "x-key": "k"})
    policy = '"1-per-second";q=1;w=1, "5-per-minute";q=5;w=60, "5-per-minute-2";q=5;w=60'
    assert answer.headers["ratelimit-policy"] == policy
    state = '"1-per-second";r=0;t=1, "5-per-minute";r=4;t=60, "5-per-minute-2";r=4;t=60'
    assert answer.headers["ratelimit"] == state


async def test_short_windows_are_told_in_seconds(gate: Gate) -> None:
    """`w` and `t` are whole seconds; a window of less is one."""
    answer = await call(with_rate_limit("5/100 milliseconds")(hello), gate=gate)
    assert answer.headers["ratelimit-policy"] == '"5-per-100-milliseconds";q=5;w=1'
    assert answer.headers["ratelimit"] == '"5-per-100-milliseconds";r=4;t=1'


def sheet(*texts: str, **rule: Any) -> Sheet:
    from gatewright._core.callers import by_address
    from gatewright._core.storage.limit import parse_limits
    from gatewright.rate_limit.guard import sheet_for
    from gatewright.rate_limit.rule import Rule

    made = Rule(tuple(limit for text in texts for limit in parse_limits(text)), by_address, **rule)
    return sheet_for([(made, bucket) for bucket in made.buckets(made.limits, None, "h", False)])


@pytest.mark.parametrize("texts", [["5/minute"], ["5/minute", "6/hour"]])
async def test_nobody_is_told_what_nobody_knows(texts: list[str]) -> None:
    """While a store is down and lets pass, how a bucket stands is not made up; the policy holds all the same."""
    from gatewright.testing import make_call

    made = make_call()
    sheet(*texts, legacy_headers=True).tell(made, [(True, -1, 0.0, 0.0)] * len(texts))
    assert [name for name, _ in made.added] == [b"ratelimit-policy"]
