"""What a call is charged: its cost, only where it counts, corrected later, never for what was refused."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gatewright import (
    ConfigurationError,
    Forbidden,
    Gate,
    NotFound,
    Ok,
    Unauthorized,
    compose,
    ok,
    validate,
    with_rate_limit,
)
from gatewright._core.call import Call
from gatewright.guards import Head
from gatewright.rate_limit import Meter, by_principal
from gatewright.testing import EventList, FrozenClock, call, handshake
from tests.rate_limit.kit import from_header, hello, identified, left, statuses

pytestmark = pytest.mark.anyio


# Cost


def by_size(call: Call) -> int:
    return int(call.header(b"x-size") or 0)


async def by_size_later(call: Call) -> int:
    return by_size(call)


@pytest.mark.parametrize("cost", [by_size, by_size_later])
async def test_a_function_says_what_a_call_costs(gate: Gate, cost: Any) -> None:
    """limits #108, flask-limiter #318: an export is not a look-up; 0 is free, and told of no limit."""
    limited = with_rate_limit("5/minute", cost=cost)(hello)
    answers = [await call(limited, gate=gate, headers={"x-size": size}) for size in ("2", "0", "3", "1", "0")]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 200]
    assert "ratelimit" not in answers[1].headers


async def test_a_cost_over_the_limit_takes_all_of_it(gate: Gate, clock: FrozenClock) -> None:
    """What costs more than the limit holds passes when the bucket is full, and is not refused for ever."""
    limited = with_rate_limit("5/minute", cost=by_size)(hello)
    assert await left(limited, gate=gate, headers={"x-size": "9"}) == 0
    refused = await call(limited, gate=gate, headers={"x-size": "9"})
    clock.advance(int(refused.headers["retry-after"]))
    assert (await call(limited, gate=gate, headers={"x-size": "9"})).status == 200


@pytest.mark.parametrize("amount", [-1, 1.5, True, None, "1"])
async def test_story_a_negative_cost_is_no_credit(gate: Gate, log: EventList, amount: Any) -> None:
    """limits 5.8, reproduced: a cost of -3 on 10 leaves 13; here what is no amount is a 500 with the reason logged."""
    limited = with_rate_limit("5/minute", cost=lambda call: amount)(hello)
    assert await statuses(limited, 1, gate=gate) == [500]
    assert "return a number, 0 for a call that is free" in str(log)


# Only failures


async def test_only_failures_are_counted(gate: Gate) -> None:
    """flask-limiter #234: whoever succeeds is not slowed down, and is told what he really has left."""

    @with_rate_limit("2/minute", count="failures")
    async def login(request: Request) -> Ok[str]:
        if request.headers["x-password"] != "right":
            raise Unauthorized(headers={"WWW-Authenticate": "Form"})
        return ok("in")

    seen = [
        ((answer := await call(login, gate=gate, headers={"x-password": password})).status, answer.headers["ratelimit"])
        for password in ("right", "right", "wrong", "right", "wrong", "right")
    ]
    assert seen == [
        (200, '"2-per-minute";r=2;t=60'),
        (200, '"2-per-minute";r=2;t=60'),
        (401, '"2-per-minute";r=1;t=60'),
        (200, '"2-per-minute";r=1;t=60'),
        (401, '"2-per-minute";r=0;t=60'),
        (429, '"2-per-minute";r=0;t=60'),
    ]


async def test_a_function_of_the_head_says_what_counts(gate: Gate) -> None:
    """A predicate sees the status and the headers that are sent."""

    def missed(head: Head) -> bool:
        return dict(head.headers).get(b"x-cache") == b"miss"

    @with_rate_limit("1/minute", count=missed)
    async def cached(request: Request) -> PlainTextResponse:
        return PlainTextResponse("", headers={"X-Cache": request.headers["x-want"]})

    wanted = ["hit", "hit", "miss", "hit"]
    assert [(await call(cached, gate=gate, headers={"x-want": want})).status for want in wanted] == [200, 200, 200, 429]


async def test_what_had_no_answer_stays_charged(gate: Gate) -> None:
    """A guesser who leaves before the answer is charged for the guess."""
    entered = anyio.Event()

    @with_rate_limit("1/minute", count="failures")
    async def slow(request: Request) -> Ok[str]:
        entered.set()
        await anyio.sleep_forever()
        return ok("never")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: call(slow, gate=gate))
        await entered.wait()
        tasks.cancel_scope.cancel()
    assert await statuses(slow, 1, gate=gate) == [429]


async def test_story_failures_at_once_never_exceed_the_limit(gate: Gate) -> None:
    """flask-limiter #448: counted after the fact, any number of guesses at once pass a limit of three."""
    tried = 0

    @with_rate_limit("3/minute", count="failures")
    async def login(request: Request) -> Ok[str]:
        nonlocal tried
        tried += 1
        await anyio.lowlevel.checkpoint()
        raise NotFound

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(lambda: call(login, gate=gate))
    assert tried == 3


async def test_an_accepted_websocket_is_no_failure(gate: Gate) -> None:
    """A handshake that was accepted is not charged; one that was refused is."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    limited = gate.wrap(with_rate_limit("1/minute", count="failures")(app))
    assert [(await handshake(limited)).accepted for _ in range(3)] == [True] * 3


# Corrections


async def test_a_handler_charges_what_it_used(gate: Gate) -> None:
    """Tokens are known when the model has answered; they are charged then, and only to limits of tokens."""

    @with_rate_limit("3/minute")
    @with_rate_limit("100/hour", unit="tokens", by=from_header)
    async def complete(meter: Meter) -> Ok[str]:
        meter.charge(60, unit="tokens")
        return ok("...")

    ask = {"gate": gate, "headers": {"x-key": "a"}}
    first = await call(complete, **ask)
    assert '"100-per-hour";q=100;w=3600;qu="tokens"' in first.headers["ratelimit-policy"]
    assert '"100-per-hour";r=99;t=3600' in first.headers["ratelimit"]
    second = await call(complete, **ask)
    assert '"100-per-hour";r=38;t=3600' in second.headers["ratelimit"]
    assert '"3-per-minute";r=1;t=60' in second.headers["ratelimit"]
    assert (await call(complete, **ask)).status == 429  # 122 would be over the limit: it stopped at 100


@pytest.mark.parametrize("amount", [None, 1, 50])
async def test_a_handler_gives_back_what_was_charged_and_no_more(gate: Gate, amount: int | None) -> None:
    """A successful login is refunded: all of it, and never what another call paid."""
    limited = with_rate_limit("5/minute", scope="login", cost=1)

    @limited
    async def login(meter: Meter) -> Ok[None]:
        meter.refund(amount)
        return ok()

    @limited
    async def other() -> Ok[None]:
        return ok()

    await statuses(other, 3, gate=gate)
    assert await left(login, gate=gate) == 1
    assert await left(login, gate=gate) == 1


async def test_corrections_add_up(gate: Gate) -> None:
    """Charges and refunds of one call are one change, so nothing is clamped on the way."""

    @with_rate_limit("10/minute", cost=2)
    async def handler(meter: Meter) -> Ok[str]:
        meter.refund(2)
        meter.charge(5)
        return ok(repr(meter.corrections))

    assert await left(handler, gate=gate) == 8
    assert await left(handler, gate=gate) == 3


async def test_a_correction_goes_to_the_window_that_was_charged(gate: Gate, clock: FrozenClock) -> None:
    """A call that outlasts its window gives nothing back to the next one."""

    @with_rate_limit("2/minute")
    async def slow(meter: Meter) -> Ok[None]:
        clock.advance(60)
        await call(fast, gate=gate)
        meter.refund()
        return ok()

    @with_rate_limit("2/minute")
    async def fast() -> Ok[None]:
        return ok()

    shared = Starlette(routes=[Route("/slow", slow), Route("/fast", fast)])
    gate.install(shared)
    await call(shared, path="/slow")
    assert await left(shared, path="/fast") == 1


async def test_a_meter_works_in_a_unit_test() -> None:
    """A handler by itself takes a meter that only remembers."""
    meter = Meter()
    meter.charge(3, unit="tokens")
    meter.refund(1, unit="tokens")
    meter.refund()
    assert meter.corrections == {"tokens": 2, "requests": None}
    assert repr(meter) == "<Meter {'tokens': 2, 'requests': None}>"
    for wrong in (-1, 1.0, True):
        with pytest.raises(ConfigurationError, match="write a number, 0 or more"):
            meter.charge(wrong)  # type: ignore[arg-type]  # the mistake


async def test_a_handler_that_wants_a_meter_needs_a_limit() -> None:
    """Nobody else fills it, and that is said before the first call."""

    @validate
    async def handler(meter: Meter) -> Ok[None]:
        return ok()

    with pytest.raises(ConfigurationError, match="meter is filled by @with_rate_limit"):
        Gate().install(Starlette(routes=[Route("/", handler)]))


# Refusals


async def test_a_refusal_by_principal_gives_back_what_the_address_paid(gate: Gate) -> None:
    """One decision in two phases: who is refused in the second one paid nothing in the first."""
    limited = compose(with_rate_limit("3/hour"), with_rate_limit("1/minute", by=by_principal), identified)(hello)
    ann, bob = {"x-caller": "ann"}, {"x-caller": "bob"}
    assert await statuses(limited, 5, gate=gate, headers=ann) == [200] + [429] * 4
    assert await left(limited, gate=gate, headers=bob) == 0
    told = (await call(limited, gate=gate, headers={"x-caller": "cid"})).headers["ratelimit"]
    assert '"3-per-hour";r=0;t=3600' in told  # ann, bob and cid: three calls were served


async def test_what_is_given_back_is_given_back_once(gate: Gate) -> None:
    """A refusal, an answer that does not count and a refund may meet in one call; other calls pay for none of them."""
    only_403 = with_rate_limit("5/hour", count=lambda head: head.status == 403, scope="tries", by=from_header)
    refunds = compose(only_403, with_rate_limit("1/minute", by=by_principal), identified)

    @refunds
    async def handler(meter: Meter) -> Ok[None]:
        meter.refund()
        return ok()

    @compose(only_403, with_rate_limit("1/minute", by=by_principal, scope="rare"), identified)
    async def rare() -> Ok[None]:
        return ok()

    @only_403
    async def forbidden() -> Ok[None]:
        raise Forbidden

    key = {"x-key": "k", "x-caller": "ann"}
    assert await statuses(forbidden, 3, gate=gate, headers=key) == [403] * 3
    assert await statuses(handler, 3, gate=gate, headers=key) == [200] * 3
    assert await statuses(rare, 3, gate=gate, headers=key) == [200, 429, 429]
    assert [a.remaining for a in await only_403.peek(gate, "k")] == [2]


async def test_a_refusal_of_the_handler_gives_back_what_the_app_paid(gate: Gate) -> None:
    """The same across levels: the app's limit is not charged for what the handler's limit refused."""
    app = Starlette(routes=[Route("/", with_rate_limit("1/minute")(hello))])
    limited = gate.wrap(with_rate_limit("3/hour")(app))
    await statuses(limited, 5)
    told = await call(limited, path="/nowhere")
    assert told.headers["ratelimit"] == '"3-per-hour";r=1;t=3600'


async def test_refused_calls_can_be_charged(gate: Gate, clock: FrozenClock) -> None:
    """Who does not stop stays blocked, where it says so; in a window that slides."""
    limited = with_rate_limit("2/minute burst 1", charge_refused=True)(hello)
    assert await statuses(limited, 1, gate=gate) == [200]
    for _ in range(5):
        clock.advance(29)
        assert await statuses(limited, 1, gate=gate) == [429]
    clock.advance(30)
    assert await statuses(limited, 1, gate=gate) == [200]


async def test_a_shadow_only_writes_to_the_log(gate: Gate, log: EventList) -> None:
    """A new limit is tried out before it bites: no refusal, no header, one note."""
    limited = compose(with_rate_limit("1/minute", shadow=True), with_rate_limit("5/minute"))(hello)
    answers = [await call(limited, gate=gate) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[1].headers["ratelimit-policy"] == '"5-per-minute";q=5;w=60'
    assert answers[1].headers["ratelimit"] == '"5-per-minute";r=3;t=60'
    assert [event.get("shadow_limited") for event in log] == [None, ["1/minute"]]
    alone = await call(with_rate_limit("1/minute", shadow=True)(hello), gate=gate)
    assert "ratelimit-policy" not in alone.headers


async def test_preflights_are_free(gate: Gate) -> None:
    """A browser asks before it asks; that is not charged, and an OPTIONS of other kinds is."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("")(scope, receive, send)

    limited = with_rate_limit("1/minute")(app)
    asks = {"origin": "https://a.example", "access-control-request-method": "POST"}
    assert await statuses(limited, 3, gate=gate, method="OPTIONS", headers=asks) == [200] * 3
    assert await statuses(limited, 2, gate=gate, method="OPTIONS") == [200, 429]


# Asking and forgetting


async def test_a_named_limit_can_be_asked_and_reset(gate: Gate) -> None:
    """Support looks at a caller's counter, which costs nothing, and lets him go."""
    limit = with_rate_limit("2/minute; 9/hour", scope="export")
    limited = limit(hello)
    assert await statuses(limited, 3, gate=gate) == [200, 200, 429]
    assert await limit.peek(gate, "203.0.113.7") == [("2/minute", 0, 60.0), ("9/hour", 7, 3600.0)]
    assert await limit.peek(gate, "203.0.113.9") == [("2/minute", 2, 0.0), ("9/hour", 9, 0.0)]
    await limit.reset(gate, "203.0.113.7")
    assert await statuses(limited, 3, gate=gate) == [200, 200, 429]


async def test_only_a_named_limit_can_be_asked() -> None:
    """Without a name there is a counter for each route, and nobody could say which one is meant."""
    gate = Gate()
    for limit in (with_rate_limit("2/minute"), with_rate_limit(lambda call: "2/minute", scope="a")):
        with pytest.raises(ConfigurationError, match='write scope="a name"'):
            await limit.peek(gate, "203.0.113.7")


async def test_a_refusal_waits_for_what_it_was_charged_itself(gate: Gate, clock: FrozenClock) -> None:
    """A refused call may take the last that another limit had: who waits as long as he is told is served."""
    limited = compose(
        with_rate_limit("1/second", by=from_header), with_rate_limit("2/minute burst 2", charge_refused=True)
    )(hello)
    key = {"x-key": "k"}
    assert await statuses(limited, 1, gate=gate, headers=key) == [200]
    refused = await call(limited, gate=gate, headers=key)
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    clock.advance(60)
    assert await statuses(limited, 1, gate=gate, headers=key) == [200]


async def test_a_limited_call_leaves_nothing_for_the_garbage_collector(clock: FrozenClock) -> None:
    """Call and ledger do not hold each other: with a cycle in each request, collecting cost as much as the limits."""
    calls: list[weakref.ref[Call]] = []

    def by_key(call: Call) -> str:
        calls.append(weakref.ref(call))
        return "k"

    @compose(with_rate_limit("3/minute", by=by_key), with_rate_limit("3/minute", by=by_principal), identified)
    async def plain() -> Ok[None]:
        return ok()

    @with_rate_limit("3/minute", by=by_key, count="failures")
    async def corrected(meter: Meter) -> Ok[None]:
        meter.charge(1)
        return ok()

    gate = Gate(clock=clock, log=EventList())
    app = Starlette(routes=[Route("/plain", plain), Route("/corrected", corrected)])
    gate.install(app)
    asked = [("/plain", {"x-caller": "a"}), ("/plain", {}), ("/corrected", {})]
    for path, headers in asked:
        await call(app, path=path, headers=headers)
    gc.collect()
    gc.disable()
    try:
        calls.clear()
        for path, headers in asked:
            await call(app, path=path, headers=headers)
        await anyio.lowlevel.checkpoint()
        assert [reference() for reference in calls] == [None] * 3
    finally:
        gc.enable()
