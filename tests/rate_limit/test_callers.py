"""Who is limited, and by what: tiers, headers, and the address that pays for bad credentials."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gatewright import BearerToken, ConfigurationError, Gate, Principal, compose, require, role, with_auth
from gatewright._core.call import Call
from gatewright._core.callers import function_name
from gatewright.rate_limit import by_address, by_header, by_principal, by_principal_or_address, with_rate_limit
from gatewright.testing import EventList, FrozenClock, call, make_call
from tests.rate_limit.kit import from_header, hello, identified, statuses

pytestmark = pytest.mark.anyio

known = with_auth(BearerToken({"a": Principal("ann"), "b": Principal("bob")}.get), optional=True)
strict = with_auth(BearerToken({"a": Principal("ann"), "b": Principal("bob")}.get))


def as_(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# Tiers


def tier(call: Call) -> str | None:
    if call.principal is None:
        return "1/minute"
    return None if call.principal.sub == "bob" else "3/minute"


async def tier_later(call: Call) -> str | None:
    return tier(call)


@pytest.mark.parametrize("limit", [tier, tier_later])
async def test_tiers(gate: Gate, limit: Any) -> None:
    """slowapi #13, #41, #206: anonymous callers get one a minute, users three, and one user all he wants."""
    limited = compose(with_rate_limit(limit, by=by_principal_or_address), known)(hello)
    assert await statuses(limited, 2, gate=gate) == [200, 429]
    assert await statuses(limited, 4, gate=gate, headers=as_("a")) == [200, 200, 200, 429]
    assert await statuses(limited, 9, gate=gate, headers=as_("b")) == [200] * 9
    told = await call(limited, gate=gate, headers=as_("a"))
    assert told.headers["ratelimit-policy"] == '"3-per-minute";q=3;w=60'
    assert "ratelimit-policy" not in (await call(limited, gate=gate, headers=as_("b"))).headers


async def test_a_tier_beside_a_fixed_limit(gate: Gate) -> None:
    """What a tier says is decided together with the limits that hold for everybody."""
    limited = compose(
        with_rate_limit(tier, by=by_principal_or_address), with_rate_limit("2/hour", by=by_principal_or_address), known
    )(hello)
    assert await statuses(limited, 3, gate=gate, headers=as_("b")) == [200, 200, 429]
    told = await call(limited, gate=gate, headers=as_("a"))
    assert told.headers["ratelimit-policy"] == '"3-per-minute";q=3;w=60, "2-per-hour";q=2;w=3600'


async def test_a_tier_beside_a_limit_that_was_free(gate: Gate) -> None:
    """What is told is what was decided: one limit took nothing of this call, and a tier another."""
    limited = compose(with_rate_limit("2/hour", cost=lambda call: 0), with_rate_limit(tier, by=from_header))(hello)
    told = await call(limited, gate=gate, headers={"x-key": "k"})
    assert told.headers["ratelimit-policy"] == '"1-per-minute";q=1;w=60'
    assert told.headers["ratelimit"] == '"1-per-minute";r=0;t=60'


@pytest.mark.parametrize("said", ["1/minuet", 5, "", b"1/minute"])
async def test_story_a_tier_with_a_typo_is_loud(gate: Gate, log: EventList, said: Any) -> None:
    """slowapi, measured: what cannot be read limits nothing; here it is a 500 that names the function."""
    assert await statuses(with_rate_limit(lambda call: said)(hello), 1, gate=gate) == [500]
    assert "or return None for no limit" in str(log)


async def test_tiers_without_end_do_not_fill_the_memory(clock: FrozenClock) -> None:
    """A tier may make its limits up; what is prepared for them is bounded."""
    gate = Gate(clock=clock, log=EventList())
    limited = with_rate_limit(lambda call: f"{int(call.header(b'x-n') or 0) + 1}/minute")(hello)
    guard = limited.pipeline.guards[0].bind(gate)
    for number in range(1100):
        entering: Any = guard.enter(make_call(gate=gate, headers={"x-n": str(number)}))
        await entering
    assert len(guard.sheets) < 1024  # type: ignore[attr-defined]  # the guard at its gate


def with_two(call: Call, other: int) -> str:
    return ""


@pytest.mark.parametrize("mistake", [hello, lambda: "1/minute", with_two])
def test_a_handler_is_no_tier(mistake: Any) -> None:
    """`@with_rate_limit` without parentheses hands over the handler, and is refused at once."""
    with pytest.raises(ConfigurationError, match="is no rate limit; write with_rate_limit"):
        with_rate_limit(mistake)


def test_a_tier_says_everything() -> None:
    """A tier with further limits beside it has no order that everybody would expect."""
    with pytest.raises(ConfigurationError, match="a function says all limits of a call"):
        with_rate_limit(tier, "5/minute")


# Functions that come along


async def test_by_header(gate: Gate) -> None:
    """A tenant's header is a counter of its own, and cannot pass for an address; without it, the address counts."""
    limited = with_rate_limit("1/minute", by=by_header("X-Tenant"))(hello)
    tenants = [{"x-tenant": "acme"}, {"x-tenant": "203.0.113.7"}, {}, {"x-tenant": "acme"}, {"x-tenant": ""}]
    seen = [(await call(limited, gate=gate, headers=headers)).status for headers in tenants]
    assert seen == [200, 200, 200, 429, 429]
    assert "by=by_header('x-tenant')" in repr(with_rate_limit("1/minute", by=by_header("X-Tenant")))


@pytest.mark.parametrize("name", ["", "x tenant", "x:tenant", "tenänt", None])
def test_a_header_has_a_name(name: Any) -> None:
    """A name that cannot be one would never be found, and everybody would be counted by address."""
    with pytest.raises(ConfigurationError, match="write a header's name"):
        by_header(name)


async def test_by_principal_or_address_asks_for_nobody(gate: Gate) -> None:
    """It works where nothing identifies callers, and by principal does not."""
    gate.install(Starlette(routes=[Route("/", with_rate_limit("1/minute", by=by_principal_or_address)(hello))]))
    with pytest.raises(ConfigurationError, match="needs a principal"):
        Gate().install(Starlette(routes=[Route("/", with_rate_limit("1/minute", by=by_principal)(hello))]))


async def test_marked_functions_have_their_own_names() -> None:
    """Both count principals the same way; their buckets and their reprs stay apart."""
    reprs = {repr(with_rate_limit("1/minute", by=by)) for by in (by_principal, by_principal_or_address, by_address)}
    assert len(reprs) == 3


# Credentials


async def test_a_flood_of_bad_tokens_is_refused_before_they_are_looked_at(gate: Gate) -> None:
    """A limit by principal counts 401s by address: guesses are never more than the limit, whatever their number."""
    looked_at: list[str] = []

    def lookup(token: str) -> None:
        looked_at.append(token)

    limited = compose(with_rate_limit("3/minute", by=by_principal), with_auth(BearerToken(lookup)))(hello)
    assert [(await call(limited, gate=gate, headers=as_(f"t{n}"))).status for n in range(5)] == [401] * 3 + [429] * 2
    assert len(looked_at) == 3
    refused = await call(limited, gate=gate, headers=as_("t9"))
    assert refused.headers["ratelimit"] == '"3-per-minute";r=0;t=60'
    assert refused.headers["retry-after"] == "60"


async def test_absent_credentials_are_charged_too(gate: Gate) -> None:
    """Who sends none is as unknown as who sends a wrong one."""
    limited = compose(with_rate_limit("2/minute", by=by_principal), strict)(hello)
    assert await statuses(limited, 3, gate=gate) == [401, 401, 429]
    assert (await call(limited, gate=gate, client="203.0.113.99", headers=as_("a"))).status == 200


async def test_principals_do_not_pay_for_each_other(gate: Gate) -> None:
    """An office has one address; what its people are served is charged to each of them alone."""
    limited = compose(with_rate_limit("2/minute", by=by_principal), strict)(hello)
    assert await statuses(limited, 2, gate=gate, headers=as_("a")) == [200, 200]
    assert await statuses(limited, 3, gate=gate, headers=as_("b")) == [200, 200, 429]


async def test_anonymous_callers_who_are_welcome_lock_nobody_out(gate: Gate) -> None:
    """Where authentication is optional, anonymous calls are counted apart from refused credentials."""
    limited = compose(with_rate_limit("2/minute", by=by_principal), known)(hello)
    assert await statuses(limited, 3, gate=gate) == [200, 200, 429]
    assert (await call(limited, gate=gate, headers=as_("a"))).status == 200


async def test_malformed_credentials_are_charged_though_they_are_a_400(gate: Gate) -> None:
    """Two credentials at once are refused as malformed; they were looked at all the same."""
    limited = compose(with_rate_limit("1/minute", by=by_principal), strict)(hello)
    twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
    first = await call(limited, gate=gate, headers=twice)
    assert (first.status, (await call(limited, gate=gate, headers=twice)).status) == (first.status, 429)
    assert first.status in (400, 401)


async def test_other_refusals_are_not_charged_to_the_address(gate: Gate) -> None:
    """A 403 is somebody's, who pays for it as himself."""
    limited = compose(with_rate_limit("2/minute", by=by_principal), strict, require(role("admin")))(hello)
    assert await statuses(limited, 3, gate=gate, headers=as_("a")) == [403, 403, 429]
    assert await statuses(limited, 1, gate=gate, headers=as_("b")) == [403]


async def test_without_an_address_a_principal_is_served_all_the_same(gate: Gate) -> None:
    """Behind a socket that tells no address there is nobody to charge for a 401, and principals have their limit."""
    limited = compose(with_rate_limit("1/minute", by=by_principal), strict)(hello)
    assert await statuses(limited, 3, gate=gate, client=None) == [401] * 3
    assert await statuses(limited, 2, gate=gate, client=None, headers=as_("a")) == [200, 429]


async def test_the_guard_shows_what_it_does(gate: Gate) -> None:
    """One line of the pipeline says whom a limit by principal charges beside principals."""
    limited = compose(with_rate_limit("1/minute", by=by_principal), identified)(hello)
    assert "ADMIT with_rate_limit('1/minute', by=by_principal) for every 401" in repr(limited.pipeline)


async def test_shadows_and_tiers_watch_nobody() -> None:
    """A limit that only logs refuses no address, and a tier has no limit before it is known who calls."""
    for limit in (with_rate_limit("1/minute", by=by_principal, shadow=True), with_rate_limit(tier, by=by_principal)):
        assert [guard.name for guard in limit(hello).pipeline.guards] == ["with_rate_limit"]


@pytest.mark.parametrize("how", [{"count": "failures"}, {"charge_refused": True}])
async def test_however_principals_are_charged_guesses_are(gate: Gate, how: Any) -> None:
    """What a rule says of a principal's calls says nothing of guesses: each one counts, and refused ones do not."""
    limited = compose(with_rate_limit("2/minute", by=by_principal, **how), strict)(hello)
    assert await statuses(limited, 4, gate=gate) == [401, 401, 429, 429]


async def test_an_address_is_free_again_when_its_window_ends(gate: Gate, clock: FrozenClock) -> None:
    """However long that is: it is refused to the end, and not a second longer."""
    limited = compose(with_rate_limit("2/hour; 9/day", by=by_principal), strict)(hello)
    assert await statuses(limited, 3, gate=gate) == [401, 401, 429]
    for _ in range(35):
        clock.advance(100)
        refused = await call(limited, gate=gate)
        assert refused.status == 429
    assert refused.headers["ratelimit"] == '"2-per-hour";r=0;t=100'
    clock.advance(int(refused.headers["retry-after"]))
    assert await statuses(limited, 1, gate=gate) == [401]


@pytest.mark.parametrize(("function", "name"), [(str.lower, "builtins.str.lower"), (len, "builtins.len")])
def test_any_callable_has_a_name(function: Any, name: str) -> None:
    """A method of a builtin type has no module; its name is wanted for a message, and must not raise itself."""
    assert function_name(function) == name
