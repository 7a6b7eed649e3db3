"""Rate limits: never silently off, fair to every caller, one decision for all limits, told in every answer."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from gatewright import ConfigurationError, Decorator, Gate, Ok, Phase, Principal, compose, ok, with_rate_limit
from gatewright._core.call import Call
from gatewright._core.callers import By
from gatewright._core.function import state_of
from gatewright.errors import TooManyRequests
from gatewright.rate_limit import by_address, by_header, by_principal, metered
from gatewright.testing import EventList, FrozenClock, call, enter, handshake, make_call
from tests.rate_limit.kit import ANN, far_gate, from_header, hello, identified, statuses

pytestmark = pytest.mark.anyio


async def from_header_later(call: Call) -> str:
    return from_header(call)


# What is limited


async def test_calls_over_the_limit_are_refused_until_the_window_ends(gate: Gate, clock: FrozenClock) -> None:
    """Two a minute: two pass, the third is a 429, and after the minute it begins anew."""
    limited = with_rate_limit("2/minute")(hello)
    assert await statuses(limited, 3, gate=gate) == [200, 200, 429]
    clock.advance(60)
    assert await statuses(limited, 3, gate=gate) == [200, 200, 429]


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: with_rate_limit("10/minuet"),
        lambda: with_rate_limit("10/minute", "0/second"),
        lambda: with_rate_limit(hello),  # type: ignore[arg-type]  # the mistake: no parentheses
        lambda: with_rate_limit("10/minute", by="ip"),  # type: ignore[arg-type]  # the mistake
        lambda: with_rate_limit("10/minute", by=by_header),  # type: ignore[arg-type]  # the mistake: no name
        lambda: with_rate_limit("10/minute", cost=0),
        lambda: with_rate_limit("10/minute", cost=-1),
        lambda: with_rate_limit("10/minute", cost=True),
        lambda: with_rate_limit("10/minute", "5/second", cost=6),
        lambda: with_rate_limit("10/minute", scope=""),
        lambda: with_rate_limit("10/minute", count="some"),  # type: ignore[arg-type]  # the mistake
        lambda: with_rate_limit("10/minute", on_error="ajar"),  # type: ignore[arg-type]  # the mistake
    ],
)
async def test_story_a_mistake_raises_when_decorating(mistake: Any) -> None:
    """slowapi, measured: a limit with a typo is logged and switched off; here the module does not import."""
    with pytest.raises(ConfigurationError, match="write "):
        mistake()


async def test_story_clients_do_not_share_one_bucket(gate: Gate) -> None:
    """fastapi-limiter #80: since 0.2 the form in its README is one bucket for all clients."""
    limited = with_rate_limit("1/minute")(hello)
    clients = ["203.0.113.1", "203.0.113.2", "203.0.113.1"]
    assert [(await call(limited, gate=gate, client=client)).status for client in clients] == [200, 200, 429]


async def test_story_ipv6_clients_share_their_network(gate: Gate) -> None:
    """express-rate-limit #502: whoever has a /64 has all the addresses that he wants, and one bucket."""
    limited = with_rate_limit("1/minute")(hello)
    clients = ["2001:db8:1:2::1", "2001:db8:1:2:3::4", "2001:db8:1:3::1"]
    assert [(await call(limited, gate=gate, client=client)).status for client in clients] == [200, 429, 200]


async def test_story_mapped_addresses_are_counted_one_by_one(gate: Gate) -> None:
    """meshmonitor #2001: cut to a /64, all of `::ffff:a.b.c.d` is one client."""
    limited = with_rate_limit("1/minute")(hello)
    clients = ["::ffff:203.0.113.1", "::ffff:203.0.113.2", "203.0.113.1"]
    assert [(await call(limited, gate=gate, client=client)).status for client in clients] == [200, 200, 429]


async def test_story_rotating_a_forwarded_address_does_not_help(clock: FrozenClock) -> None:
    """fastapi-limiter #10 and many more: with the leftmost hop for a key, each call can be another client."""
    gate = Gate(clock=clock, log=EventList(), trusted_proxies=["10.0.0.0/8"])
    limited = with_rate_limit("2/minute")(hello)
    answers = [
        await call(limited, gate=gate, client="10.0.0.1", headers={"x-forwarded-for": f"1.1.1.{n}, 203.0.113.1"})
        for n in range(3)
    ]
    assert [answer.status for answer in answers] == [200, 200, 429]


async def test_story_clients_without_an_address_are_not_one_client(gate: Gate, log: EventList) -> None:
    """fastapi-redis-sdk #39: an unknown peer is a mistake in the set-up, said loudly, not a bucket called unknown."""
    limited = with_rate_limit("1/minute")(hello)
    assert (await call(limited, gate=gate, client=None)).status == 500
    assert 'trusted_proxies=["unix"]' in str(log)


async def test_story_the_key_is_the_template_not_the_url(gate: Gate) -> None:
    """slowapi #217: keyed by the concrete URL, `/users/{id}` has a bucket for every id."""

    @with_rate_limit("2/minute")
    async def user(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["id"])

    app = Starlette(routes=[Route("/users/{id}", user)])
    gate.install(app)
    assert [(await call(app, path=f"/users/{n}")).status for n in range(3)] == [200, 200, 429]


def same_name(at: str) -> Any:
    @with_rate_limit("1/minute")
    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(at)

    return endpoint


async def test_story_functions_of_one_name_are_counted_apart(gate: Gate) -> None:
    """slowapi #191: two endpoints with one name share a counter and count double."""
    app = Starlette(routes=[Route("/a", same_name("a")), Route("/b", same_name("b"))])
    gate.install(app)
    assert [(await call(app, path=path)).status for path in ("/a", "/b", "/a", "/b")] == [200, 200, 429, 429]


async def test_two_handlers_on_one_path_are_counted_apart(gate: Gate) -> None:
    """A path that is read by one function and written by another has two budgets."""

    @with_rate_limit("1/minute")
    async def read(request: Request) -> PlainTextResponse:
        return PlainTextResponse("read")

    @with_rate_limit("1/minute")
    async def write(request: Request) -> PlainTextResponse:
        return PlainTextResponse("written")

    app = Starlette(routes=[Route("/", read, methods=["GET"]), Route("/", write, methods=["POST"])])
    gate.install(app)
    assert [(await call(app, method=method)).status for method in ("GET", "POST", "GET", "POST")] == [
        200,
        200,
        429,
        429,
    ]


async def test_a_scope_is_shared_on_one_gate_only(gate: Gate, clock: FrozenClock) -> None:
    """Handlers count together where they have one scope; two gates never do."""
    shared = with_rate_limit("2/minute", scope="posts")

    async def other() -> Ok[str]:
        return ok("other")

    one, two = shared(hello), shared(other)
    assert [(await call(target, gate=gate)).status for target in (one, two, one)] == [200, 200, 429]
    assert (await call(one, gate=Gate(clock=clock, log=EventList()))).status == 200


async def test_a_whole_app_has_one_budget(gate: Gate) -> None:
    """On an app, a limit counts before any route is known, what the app answers with 404 too."""
    app = Starlette(routes=[Route("/", with_rate_limit("9/minute")(hello))])
    limited = gate.wrap(with_rate_limit("3/minute")(app))
    assert [(await call(limited, path=path)).status for path in ("/", "/no", "/", "/no")] == [200, 404, 200, 429]


async def test_story_routers_and_mounts_are_limited_like_the_rest(gate: Gate) -> None:
    """slowapi #281: in an included router or a mount no handler is found, and so nothing is limited."""
    inner = Starlette(routes=[Route("/in", with_rate_limit("1/minute")(hello))])
    app = Starlette(routes=[Mount("/sub", inner)])
    gate.install(app)
    assert await statuses(app, 2, path="/sub/in") == [200, 429]


async def test_the_same_limiter_met_twice_charges_once(gate: Gate) -> None:
    """A limiter on the app and, the very same one, on a route inside takes one call for one call."""
    limiter = with_rate_limit("2/minute", scope="all")
    app = gate.wrap(limiter(Starlette(routes=[Route("/", limiter(hello))])))
    assert await statuses(app, 3) == [200, 200, 429]


async def test_a_websocket_is_refused_before_it_is_accepted(gate: Gate) -> None:
    """A handshake is a call like any other (slowapi raises on one)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    limited = gate.wrap(with_rate_limit("1/minute")(app))
    first, second = await handshake(limited), await handshake(limited)
    assert (first.accepted, second.accepted, second.status) == (True, False, 429)


# Who is counted


async def test_principals_are_counted_after_they_are_identified(gate: Gate) -> None:
    """By principal, one address has as many budgets as callers; who is not identified is not counted."""
    limited = compose(with_rate_limit("1/minute", by=by_principal), identified)(hello)
    calls = [{"x-caller": "ann"}, {"x-caller": "bob"}, {"x-caller": "ann"}]
    assert [(await call(limited, gate=gate, headers=headers)).status for headers in calls] == [200, 200, 429]


async def test_a_limit_by_principal_wants_somebody_to_identify_them(gate: Gate) -> None:
    """Without an authenticator there is nobody to count, and that is said before the first call."""
    limited = with_rate_limit("1/minute", by=by_principal)(hello)
    with pytest.raises(ConfigurationError, match="needs a principal; add"):
        gate.install(Starlette(routes=[Route("/", limited)]))


async def test_an_anonymous_caller_is_counted_by_address_and_never_as_a_principal(gate: Gate) -> None:
    """Where authentication is optional, nobody is exempt, and no name can be chosen that is somebody's address."""
    limit = with_rate_limit("1/minute", by=by_principal)
    for principal, client in ((None, "203.0.113.1"), (None, "203.0.113.2"), (Principal("203.0.113.1"), "203.0.113.1")):
        await enter(limit, make_call(gate=gate, principal=principal, client=client))
    with pytest.raises(TooManyRequests):
        await enter(limit, make_call(gate=gate, client="203.0.113.1"))


@pytest.mark.parametrize("by", [from_header, from_header_later, functools.partial(from_header)])
async def test_a_function_of_the_call_says_who_is_counted(gate: Gate, by: By) -> None:
    """Any function of the call tells callers apart, whether it is async or not."""
    limited = with_rate_limit("1/minute", by=by)(hello)
    answers = [await call(limited, gate=gate, headers={"x-key": key}) for key in "aba"]
    assert [answer.status for answer in answers] == [200, 200, 429]


class ByTenant:
    """An object that says who is counted; it asks a service, so it is async."""

    async def __call__(self, call: Call) -> str:
        return from_header(call)


async def test_an_object_may_say_who_is_counted(gate: Gate) -> None:
    """A callable with settings of its own is named after its class, and awaited where it is async."""
    decorator = with_rate_limit("1/minute", by=ByTenant())
    assert "by=ByTenant" in repr(decorator)
    assert await statuses(decorator(hello), 2, gate=gate, headers={"x-key": "a"}) == [200, 429]


def forgets_to_wait(call: Call) -> Any:
    return from_header_later(call)


def returns_none(call: Call) -> Any:
    return None


@pytest.mark.parametrize("by", [from_header, from_header_later, forgets_to_wait, returns_none])
async def test_story_a_caller_without_a_key_is_not_let_through(gate: Gate, log: EventList, by: By) -> None:
    """slowapi, measured: a key function that returns "" skips the limit; here it is a 500, its reason logged."""
    limited = with_rate_limit("1/minute", by=by)(hello)
    assert await statuses(limited, 2, gate=gate) == [500, 500]
    assert "return a str that names the caller" in str(log)


async def test_a_principal_without_a_sub_is_not_let_through(gate: Gate) -> None:
    """All nameless principals would be one caller."""
    with pytest.raises(ConfigurationError, match="an empty string"):
        await enter(with_rate_limit("1/minute", by=by_principal), make_call(gate=gate, principal=Principal("")))


async def test_a_metered_function_runs_once_the_principal_is_known(gate: Gate) -> None:
    """Marked with `metered`, a function of one's own finds the principal; it is awaited where it is async."""

    @metered
    async def by_tenant(call: Call) -> str:
        assert call.principal is not None
        return call.principal.sub[0]

    limited = compose(with_rate_limit("1/minute", by=by_tenant), identified)(hello)
    callers = ["ann", "bob", "abe"]
    answers = [await call(limited, gate=gate, headers={"x-caller": caller}) for caller in callers]
    assert [answer.status for answer in answers] == [200, 200, 429]


async def test_the_phase_follows_from_who_is_counted() -> None:
    """Limits by address run before anybody is identified, limits by principal after; those watch for 401s, too."""
    both = compose(with_rate_limit("1/day", by=by_principal), identified, with_rate_limit("2/day"))(hello)
    state = state_of(both)
    assert state is not None
    order = [(guard.phase, guard.name) for guard in state.pipeline.guards]
    assert order == [
        (Phase.ADMIT, "with_rate_limit"),
        (Phase.ADMIT, "credential_limit"),
        (Phase.IDENTIFY, "identify"),
        (Phase.METER, "with_rate_limit"),
    ]


async def test_a_flood_of_bad_credentials_is_paid_by_the_address(gate: Gate) -> None:
    """The address's budget is charged before a credential is looked at, so guessing ends in a 429."""
    limited = compose(with_rate_limit("2/minute"), identified)(hello)
    assert await statuses(limited, 3, gate=gate) == [401, 401, 429]


# Several limits


async def test_story_a_refused_call_burns_no_other_limit(gate: Gate, clock: FrozenClock) -> None:
    """slowapi, measured: "100/hour;1/minute" charges the hour six times while one call is served."""
    limited = with_rate_limit("3/hour; 1/minute")(hello)
    assert await statuses(limited, 6, gate=gate) == [200] + [429] * 5
    for expected in (200, 200, 429):
        clock.advance(60)
        assert (await call(limited, gate=gate)).status == expected


LIMITS = ["3/hour", "2/minute", "1/second"]


@given(order=st.permutations(LIMITS), pauses=st.lists(st.sampled_from([0, 1, 30, 60, 3600]), max_size=12))
def test_story_the_order_of_limits_never_matters(order: list[str], pauses: list[int]) -> None:
    """slowapi, measured: what is charged depends on which decorator is written first; here stacks commute."""
    expected = course(with_rate_limit(*LIMITS), pauses)
    assert course(compose(*map(with_rate_limit, order)), pauses) == expected
    assert course(with_rate_limit("; ".join(order)), pauses) == expected


def course(decorator: Decorator, pauses: Sequence[int]) -> list[Any]:
    """Run one guard through a course of calls; return what the caller was told."""
    clock = FrozenClock()
    gate = Gate(clock=clock, log=EventList())
    state = state_of(decorator(hello))
    assert state is not None
    (guard,) = state.pipeline.guards[0].merge(state.pipeline.guards[1:])
    bound, told = guard.bind(gate), list[Any]()
    for pause in pauses:
        clock.advance(pause)
        made = make_call(gate=gate)
        try:
            bound.enter(made)
        except TooManyRequests as refusal:
            told.append((refusal.headers, refusal.reason))
        told.append(made.added)
    return told


async def test_stacks_in_any_order_are_one_pipeline(gate: Gate) -> None:
    """The written order of decorators leaves no trace: the pipelines read the same, and so do the answers."""
    decorators = [with_rate_limit("5/minute"), with_rate_limit("2/second", by=from_header), with_rate_limit("3/minute")]
    seen: set[tuple[str, str]] = set()
    for order in permutations(decorators):
        limited = compose(*order)(hello)
        answer = await call(limited, gate=Gate(clock=FrozenClock(), log=EventList()), headers={"x-key": "a"})
        seen.add((repr(state_of(limited)), answer.headers["ratelimit"]))
    assert len({state for _, state in seen}) == 1
    assert {state for _, state in seen} == {'"2-per-second";r=1;t=1, "3-per-minute";r=2;t=60, "5-per-minute";r=4;t=60'}


async def test_story_a_limit_written_twice_is_charged_once(gate: Gate) -> None:
    """slowapi #191 counts double where a limit is met twice."""
    limited = compose(with_rate_limit("2/minute"), with_rate_limit("2/minute"), with_rate_limit("2/minute"))(hello)
    assert await statuses(limited, 3, gate=gate) == [200, 200, 429]


@pytest.mark.parametrize(
    "others",
    [
        [with_rate_limit("2/minute", cost=2)],
        [with_rate_limit("2/minute", by=lambda call: "a"), with_rate_limit("2/minute", by=lambda call: "b")],
    ],
)
async def test_limits_that_would_share_a_bucket_are_refused(gate: Gate, others: list[Decorator]) -> None:
    """Two costs for one bucket, or two functions of one name, have no meaning that does not surprise somebody."""
    app = Starlette(routes=[Route("/", compose(with_rate_limit("2/minute"), *others)(hello))])
    with pytest.raises(ConfigurationError, match="give one a scope="):
        gate.install(app)


async def test_a_call_may_cost_more(gate: Gate) -> None:
    """A call takes its cost, and is refused where less is left."""
    limited = with_rate_limit("5/minute", cost=2)(hello)
    answers = [await call(limited, gate=gate) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=3", "r=1", "r=1"]


# What the caller is told


async def test_every_answer_says_how_the_limit_stands(gate: Gate, clock: FrozenClock) -> None:
    """`RateLimit-Policy` and `RateLimit` (draft 10) are on answers, refusals and errors alike; seconds round up."""
    limited = with_rate_limit("2/10 seconds")(hello)
    told: list[tuple[int, str]] = []
    for pause in (0, 0.5, 0.2):
        clock.advance(pause)
        answer = await call(limited, gate=gate)
        assert answer.headers["ratelimit-policy"] == '"2-per-10-seconds";q=2;w=10'
        told.append((answer.status, answer.headers["ratelimit"]))
    assert told == [
        (200, '"2-per-10-seconds";r=1;t=10'),
        (200, '"2-per-10-seconds";r=0;t=10'),
        (429, '"2-per-10-seconds";r=0;t=10'),
    ]
    broken = compose(with_rate_limit("2/minute"), identified)(hello)
    refused = await call(broken, gate=gate)
    assert (refused.status, refused.headers["ratelimit"]) == (401, '"2-per-minute";r=1;t=60')


async def test_a_refusal_says_when_to_come_back_and_is_never_early(gate: Gate, clock: FrozenClock) -> None:
    """`Retry-After` is whole seconds, rounded up: who keeps to it is served. A 429 is never cached (RFC 6585)."""
    limited = with_rate_limit("1/second; 2/minute")(hello)
    assert (await call(limited, gate=gate)).status == 200
    clock.advance(0.75)
    refused = await call(limited, gate=gate)
    assert (refused.status, refused.headers["retry-after"], refused.headers["cache-control"]) == (429, "1", "no-store")
    assert refused.json["code"] == "too_many_requests"
    clock.advance(1)
    assert (await call(limited, gate=gate)).status == 200
    clock.advance(0.5)
    refused = await call(limited, gate=gate)
    assert refused.headers["retry-after"] == "58"
    clock.advance(58)
    assert (await call(limited, gate=gate)).status == 200


async def test_the_limit_closest_to_its_end_comes_first(gate: Gate) -> None:
    """Policies are in one order always; states begin with the limit that will refuse first."""
    limited = with_rate_limit("100/hour", "10/minute", "50/second")(hello)
    answer = await call(limited, gate=gate)
    assert answer.headers["ratelimit-policy"] == (
        '"50-per-second";q=50;w=1, "10-per-minute";q=10;w=60, "100-per-hour";q=100;w=3600'
    )
    assert (
        answer.headers["ratelimit"] == '"10-per-minute";r=9;t=60, "50-per-second";r=49;t=1, "100-per-hour";r=99;t=3600'
    )


async def test_equal_limits_of_different_callers_have_names_of_their_own(gate: Gate) -> None:
    """A policy's name tells it from the others of the same answer."""
    limited = compose(with_rate_limit("5/minute"), with_rate_limit("5/minute", by=from_header))(hello)
    answer = await call(limited, gate=gate, headers={"x-key": "a"})
    assert answer.headers["ratelimit-policy"] == '"5-per-minute";q=5;w=60, "5-per-minute-2";q=5;w=60'


async def test_story_no_header_is_sent_twice(gate: Gate) -> None:
    """slowapi, measured: two decorators send `x-ratelimit-limit: 1, 1`; here each header stands once."""
    limited = compose(
        with_rate_limit("5/minute"),
        with_rate_limit("6/minute"),
        with_rate_limit("7/minute", by=by_principal),
        identified,
    )(hello)
    answer = await call(limited, gate=gate, headers={"x-caller": "ann"})
    names = [name for name, _ in answer.raw_headers]
    assert names.count(b"ratelimit") == names.count(b"ratelimit-policy") == 1
    assert answer.headers["ratelimit"] == '"5-per-minute";r=4;t=60, "6-per-minute";r=5;t=60, "7-per-minute";r=6;t=60'


async def test_the_log_says_which_limit_refused(gate: Gate, log: EventList) -> None:
    """The reason is for the log; the caller reads it from the headers."""
    limited = with_rate_limit("1/minute; 9/hour")(hello)
    await statuses(limited, 2, gate=gate)
    assert (log[-1]["status"], log[-1]["reason"]) == (429, "over 1/minute")


async def test_repr_is_what_was_written() -> None:
    """A pipeline shows its limits in the words of the decorator."""
    decorator = with_rate_limit("5/second; 100/minute", by=by_principal, cost=2, scope="posts")
    assert "with_rate_limit('5/second', '100/minute', by=by_principal, cost=2, scope='posts')" in repr(decorator)
    assert "with_rate_limit('5/second', by=by_address)" in repr(with_rate_limit("5/second"))


def test_who_is_counted_can_be_asked_without_a_limit() -> None:
    """The functions for `by=` are functions: a test of one's own calls them."""
    made = make_call(client="2001:db8:1:2::7", principal=ANN)
    assert (by_address(made), by_principal(made)) == ("2001:db8:1:2::/64", "sub ann")


# Stores that have to be waited for


async def test_an_async_store_is_asked_once_for_all_limits(clock: FrozenClock, log: EventList) -> None:
    """Whatever the number of limits, a decision is one question, so that it can be one round trip."""
    gate, far = far_gate(clock, log)
    limited = compose(with_rate_limit("2/minute; 9/hour"), with_rate_limit("5/second", by=from_header_later))(hello)
    assert await statuses(limited, 3, gate=gate, headers={"x-key": "a"}) == [200, 200, 429]
    assert [len(charges) for charges in far.hits] == [3, 3, 3]
