"""`@idempotent`: the work is done once, and its answer given as often as it is asked for."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from gatewright import (
    ApiError,
    BearerToken,
    Call,
    ConfigurationError,
    Cookie,
    Forbidden,
    FromBody,
    Gate,
    NotFound,
    Principal,
    Result,
    ServiceUnavailable,
    TooManyRequests,
    by_address,
    by_principal,
    compose,
    err,
    ok,
    validate,
    with_auth,
    with_rate_limit,
)
from gatewright._core.guard import Answer, Proceed
from gatewright._core.outcome import Outcome
from gatewright._core.phase import Phase
from gatewright._core.storage.contract import Claimed, Kept, Pending
from gatewright.guards import guarded_by
from gatewright.idempotency import idempotent
from gatewright.testing import chunked, disconnecting
from tests.core.kit import Collect, Enclose, Step, requests
from tests.idempotency.kit import KEY, Shop, reasons, replayed, short

pytestmark = pytest.mark.anyio


class Order(BaseModel):
    """What is ordered."""

    item: str


def _orders(shop: Shop, **settings: Any) -> Any:
    @idempotent(**settings)
    @validate
    async def create_order(body: FromBody[Order]) -> Result[int]:
        shop.done.append(body.item)
        return ok(len(shop.done), status=201, headers={"Location": f"/orders/{len(shop.done)}"})

    return create_order


def _answers(shop: Shop, *answers: Any, **settings: Any) -> Any:
    """Make a handler that gives one answer after the other, or raises it."""
    left = list(answers)

    @idempotent(**settings)
    async def handler(request: Request) -> Any:
        shop.done.append("work")
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler


# Once


async def test_a_retry_is_a_replay() -> None:
    """Status, headers and body are the first one's; the work is done once, and the answer says that it is a replay."""
    shop = Shop()
    create = _orders(shop)
    first, second = [await shop.post(create, json={"item": "tea"}) for _ in range(2)]
    assert shop.done == ["tea"]
    assert (first.status, first.json["data"], replayed(first)) == (201, 1, False)
    assert (second.status, second.body, replayed(second)) == (201, first.body, True)
    for name in ("location", "content-type", "content-length"):
        assert second.headers[name] == first.headers[name]


async def test_quotes_make_no_difference() -> None:
    """The draft's spelling and the usual one are the same key."""
    shop = Shop()
    for key in ("k", '"k"'):
        await shop.post(_orders(shop), json={"item": "tea"}, headers={"Idempotency-Key": key})
    assert shop.done == ["tea"]


@pytest.mark.parametrize("headers", [{"Idempotency-Key": "other"}, {}])
async def test_without_the_same_key_it_is_another_request(headers: dict[str, str]) -> None:
    """Another key, or none."""
    shop = Shop()
    for sent in (KEY, headers):
        assert not replayed(await shop.post(_orders(shop), json={"item": "tea"}, headers=sent))
    assert shop.done == ["tea", "tea"]


async def test_a_replay_is_this_request_s_own_answer() -> None:
    """Its request id, security headers, rate limit and event; in the body is the id of the one that did the work."""
    shop = Shop()
    handler = compose(with_rate_limit("5/minute"), idempotent())(_answers(shop, err("No tea", code="out")).handler)
    first, second = [await shop.post(handler) for _ in range(2)]
    assert replayed(second)
    assert first.json["request_id"] == second.json["request_id"] == first.headers["x-request-id"]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert second.headers["x-content-type-options"] == "nosniff"
    assert first.headers["ratelimit"] != second.headers["ratelimit"]
    before, after = requests(shop.events)
    assert "idempotent" not in before
    assert (after["idempotent"], after["guards"]["idempotent"]) == ("replayed", "answered")
    assert after["request_id"] == second.headers["x-request-id"]


async def test_an_answer_is_kept_for_a_while() -> None:
    """Then the key is new."""
    shop = Shop()
    create = _orders(shop, keep=100)
    assert (await shop.post(create, json={"item": "tea"})).status == 201
    shop.clock.advance(99)
    assert replayed(await shop.post(create, json={"item": "tea"}))
    shop.clock.advance(1)
    assert not replayed(await shop.post(create, json={"item": "tea"}))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_idempotent_by_themselves(method: str) -> None:
    """RFC 9110, section 9.2.2: a key says nothing there, not even a malformed one, and none is missed."""
    shop = Shop()
    handler = _answers(shop, PlainTextResponse("done"), required=True)
    for key in ("k", "k", ""):
        reply = await shop.post(handler, method=method, headers={"Idempotency-Key": key})
        assert (reply.status, replayed(reply)) == (200, False)
    assert (await shop.post(handler, method=method, headers={})).status == 200


async def test_methods_can_be_chosen() -> None:
    """For a DELETE whose second answer would be a 404."""
    shop = Shop()
    handler = _answers(shop, Response(status_code=204), NotFound(), methods=["delete"])
    replies = [await shop.post(handler, method="DELETE") for _ in range(2)]
    assert [(reply.status, replayed(reply)) for reply in replies] == [(204, False), (204, True)]
    assert [(await shop.post(handler)).status, len(shop.done)] == [404, 2]


async def test_background_work_is_done_once() -> None:
    """It belongs to the work, not to the answer."""
    shop = Shop()

    def answer() -> Response:
        return PlainTextResponse("done", background=BackgroundTask(shop.done.append, "background"))

    handler = _answers(shop, answer())
    assert [replayed(await shop.post(handler)) for _ in range(2)] == [False, True]
    assert shop.done == ["work", "background"]


# Refusals


async def test_another_request_under_the_same_key_is_refused() -> None:
    """422, and the first one's answer is still there."""
    shop = Shop()
    create = _orders(shop)
    await shop.post(create, json={"item": "tea"})
    assert short(await shop.post(create, json={"item": "coffee"})) == (422, "idempotency_key_reused")
    assert short(await shop.post(create, json={"item": "tea"}, query="gift=1")) == (422, "idempotency_key_reused")
    assert replayed(await shop.post(create, json={"item": "tea"}))
    assert shop.done == ["tea"]


async def test_a_retry_while_the_first_is_at_work_is_refused() -> None:
    """409, with when to come back; another request under the key is a 422 even then."""
    shop = Shop()
    entered, leave = anyio.Event(), anyio.Event()
    replies: list[Any] = []

    @idempotent(lease=60)
    async def slow(request: Request) -> Result[str]:
        entered.set()
        await leave.wait()
        return ok("done")

    async def first() -> None:
        replies.append(await shop.post(slow, data=b"a"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await entered.wait()
        # As long again as the work has taken so far, at most until the lease ends.
        for passed, wait in ((0, "1"), (8.5, "9"), (30, "22"), (21.4, "1")):
            shop.clock.advance(passed)
            reply = await shop.post(slow, data=b"a")
            assert (short(reply), reply.headers["retry-after"]) == ((409, "idempotency_key_in_use"), wait)
        assert short(await shop.post(slow, data=b"b")) == (422, "idempotency_key_reused")
        leave.set()
    assert replies[0].status == 200
    assert replayed(await shop.post(slow, data=b"a"))


async def test_a_malformed_key_is_refused() -> None:
    """400, before anything is done."""
    shop = Shop()
    reply = await shop.post(_orders(shop), json={"item": "tea"}, headers={"Idempotency-Key": "a b"})
    assert (short(reply), shop.done) == ((400, "idempotency_key_malformed"), [])


async def test_a_key_can_be_required() -> None:
    """As the draft has it for operations that are documented so."""
    shop = Shop()
    reply = await shop.post(_orders(shop, required=True), json={"item": "tea"}, headers={})
    assert (short(reply), shop.done) == ((400, "idempotency_key_missing"), [])
    assert (await shop.post(_orders(shop, required=True), json={"item": "tea"})).status == 201


async def test_input_that_is_not_valid_claims_nothing() -> None:
    """It is refused in PARSE, before the key is looked at, and may be corrected under the same key."""
    shop = Shop()
    create = _orders(shop)
    assert (await shop.post(create, json={"item": 5})).status == 400
    assert (await shop.post(create, json={"item": "tea"})).status == 201


# Whose key it is

bearer = BearerToken(lambda token: Principal(token, "bearer") if token != "bad" else None)


async def test_callers_do_not_get_each_other_s_answers() -> None:
    """The same key and the same request, of another principal, or of another network where nobody is known."""
    shop = Shop()
    create = _orders(shop)
    senders: list[dict[str, Any]] = [
        {"principal": Principal("u1")},
        {"principal": Principal("u2")},
        {"client": "203.0.113.7"},
        {"client": "203.0.113.8"},
    ]
    for sender in senders:
        assert not replayed(await shop.post(create, json={"item": "tea"}, **sender))
    for sender in senders:
        assert replayed(await shop.post(create, json={"item": "tea"}, **sender))
    assert len(shop.done) == 4


async def test_who_may_not_call_gets_no_replay() -> None:
    """Callers are identified before keys are looked at."""
    shop = Shop()
    handler = compose(with_auth(bearer), idempotent())(_answers(shop, PlainTextResponse("secret")).handler)
    for token, status in (("u1", 200), ("bad", 401), ("u2", 200)):
        reply = await shop.post(handler, headers={**KEY, "Authorization": f"Bearer {token}"})
        assert (reply.status, replayed(reply)) == (status, False)


async def test_a_fresh_token_of_the_same_caller_gets_the_replay() -> None:
    """The caller is a name, not a credential."""
    shop = Shop()
    anybody = BearerToken(lambda token: Principal("u1", "bearer"))
    handler = compose(with_auth(anybody), idempotent())(_answers(shop, PlainTextResponse("done")).handler)
    for token, again in (("a", False), ("b", True)):
        assert replayed(await shop.post(handler, headers={**KEY, "Authorization": f"Bearer {token}"})) is again


async def test_credentials_that_nobody_here_reads_are_part_of_the_request() -> None:
    """The handler may read them itself, so their owner's answer is for them only, even from the same network."""
    shop = Shop()
    handler = _answers(shop, PlainTextResponse("secret"))
    assert (await shop.post(handler, headers={**KEY, "Authorization": "Bearer a"})).status == 200
    assert replayed(await shop.post(handler, headers={**KEY, "Authorization": "Bearer a"}))
    for headers in ({**KEY, "Authorization": "Bearer b"}, {**KEY, "Cookie": "s=1"}, KEY):
        assert short(await shop.post(handler, headers=headers)) == (422, "idempotency_key_reused")


async def test_your_own_function_says_who_calls() -> None:
    """Then neither network nor credentials count."""
    shop = Shop()

    async def by_tenant(call: Call) -> str:
        return (call.header(b"x-tenant") or b"").decode()

    handler = _answers(shop, PlainTextResponse("done"), by=by_tenant)
    assert not replayed(await shop.post(handler, headers={**KEY, "X-Tenant": "a", "Cookie": "s=1"}))
    assert replayed(await shop.post(handler, headers={**KEY, "X-Tenant": "a"}, client="198.51.100.1"))
    assert not replayed(await shop.post(handler, headers={**KEY, "X-Tenant": "b"}))


async def test_a_key_is_good_for_one_path_and_method() -> None:
    """Without a scope, each has its own keys."""
    shop = Shop()
    handler = _answers(shop, PlainTextResponse("done"))
    for where in ({"path": "/a"}, {"path": "/b"}, {"path": "/a", "method": "PATCH"}, {"path_params": {"id": 1}}):
        assert not replayed(await shop.post(handler, **where))
        assert replayed(await shop.post(handler, **where))


async def test_routes_may_share_their_keys() -> None:
    """A key is for one request among all of them."""
    shop = Shop()
    order, pay = [_answers(shop, PlainTextResponse(name), scope="shop") for name in ("order", "pay")]
    assert (await shop.post(order, path="/order")).body == b"order"
    assert short(await shop.post(pay, path="/pay")) == (422, "idempotency_key_reused")
    assert replayed(await shop.post(order, path="/order"))


# What is kept


@pytest.mark.parametrize(
    "answer",
    [
        Response(status_code=204),
        RedirectResponse("/orders/1", 303),
        PlainTextResponse("no", 422),
        err("Declined", status=402, code="declined"),
        NotFound("No such tea"),
        Forbidden(),
        HTTPException(303, headers={"Location": "/orders/1"}),
        HTTPException(418, "teapot"),
        LookupError("mapped"),
    ],
    ids=repr,
)
async def test_what_the_handler_decided_is_kept(answer: Any) -> None:
    """An answer, an `err(...)`, an error that it raised, an exception that is mapped to one."""
    shop = Shop()
    shop.gate.errors.register(LookupError, lambda exc: NotFound("Nothing found"))
    handler = _answers(shop, answer, AssertionError())
    first, second = [await shop.post(handler) for _ in range(2)]
    assert 200 <= first.status < 500
    assert (second.status, second.body, replayed(second)) == (first.status, first.body, True)
    assert second.headers.get("location") == first.headers.get("location")
    assert shop.done == ["work"]


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("later", 503),
        ServiceUnavailable(),
        TooManyRequests(),
        err("Who?", status=401),
        err("Later", status=409),
        RedirectResponse("/elsewhere", 307),
        HTTPException(308, headers={"Location": "/elsewhere"}),
        ValueError("hunter2"),
        HTTPException(500, "hunter2"),
    ],
    ids=repr,
)
async def test_what_says_not_now_is_not_kept(answer: Any) -> None:
    """The key is free at once, and the next one may do better."""
    shop = Shop()
    handler = _answers(shop, answer, PlainTextResponse("done"))
    first, second, third = [await shop.post(handler) for _ in range(3)]
    assert b"hunter2" not in first.body
    assert (second.status, replayed(second), replayed(third)) == (200, False, True)
    assert shop.done == ["work", "work"]


async def test_a_failure_is_told_once() -> None:
    """The surround looks at what is raised, and changes nothing about who hears of it."""
    shop = Shop()
    await shop.post(_answers(shop, ValueError("hunter2")))
    assert [event["event"] for event in shop.events].count("unhandled_exception") == 1


async def test_a_mapping_that_fails_frees_the_key() -> None:
    """It is a failure like any other, told once."""
    shop = Shop()

    def broken(exc: Exception) -> NotFound:
        raise RuntimeError("hunter2")

    shop.gate.errors.register(LookupError, broken)
    handler = _answers(shop, LookupError(), PlainTextResponse("done"))
    assert [(await shop.post(handler)).status for _ in range(2)] == [500, 200]
    assert [event["event"] for event in shop.events].count("unhandled_exception") == 1


@pytest.mark.parametrize("how", ["refuses", "answers"])
async def test_what_a_later_guard_decides_is_not_kept(how: str) -> None:
    """Nothing was begun: who was not allowed to then may be allowed to now."""
    shop = Shop()
    allowed: list[bool] = []

    def check(call: Call) -> Answer | None:
        if allowed:
            return None
        if how == "answers":
            return Answer(PlainTextResponse("maintenance"))
        raise Forbidden

    guard = guarded_by(Step(Phase.REFINE, check))
    handler = guard(_answers(shop, PlainTextResponse("done")))
    assert (await shop.post(handler)).status == (403 if how == "refuses" else 200)
    assert shop.done == []
    allowed.append(True)
    assert [replayed(await shop.post(handler)) for _ in range(2)] == [False, True]


async def test_an_answer_that_is_overruled_is_not_kept() -> None:
    """Whoever overrules it says what is wrong with the request; it is not what the handler made of it."""
    shop = Shop()
    wrong: list[ApiError | None] = [Forbidden(), None]

    def overrule(call: Call) -> None:
        call.overruled_by = wrong.pop(0)

    handler = guarded_by(Step(Phase.REFINE, overrule))(_answers(shop, PlainTextResponse("done")))
    assert [(await shop.post(handler)).status for _ in range(2)] == [403, 200]
    assert shop.done == ["work", "work"]


async def test_a_surround_inside_sees_and_shapes_what_is_kept() -> None:
    """A transaction or a timeout has ended before the answer is kept."""
    shop = Shop()

    async def around(call: Call, proceed: Proceed) -> Outcome:
        outcome = await proceed()
        shop.done.append("committed")
        outcome.status = 202
        return outcome

    handler = guarded_by(Collect(around))(_answers(shop, PlainTextResponse("done")))
    assert [(await shop.post(handler)).status for _ in range(2)] == [202, 202]
    assert shop.done == ["work", "committed"]


async def test_cookies_and_passing_headers_are_not_kept() -> None:
    """A session is for whoever got it; what is listed is kept, and what the decorator was asked to keep."""
    shop = Shop()

    def answer() -> Response:
        response = JSONResponse({}, headers={"ETag": '"1"', "X-Version": "3", "X-Other": "1", "Vary": "Accept"})
        response.set_cookie("session", "secret")
        return response

    handler = _answers(shop, answer(), headers=["X-Version"])
    first, second = [await shop.post(handler) for _ in range(2)]
    assert first.headers["set-cookie"].startswith("session=secret")
    assert (second.headers["etag"], second.headers["x-version"], second.headers["vary"]) == ('"1"', "3", "Accept")
    assert {"set-cookie", "x-other"}.isdisjoint(second.headers)
    assert {"x-other", "set-cookie"} <= first.headers.keys()


async def test_cookies_of_a_result_are_not_kept_either() -> None:
    """However they are set."""
    shop = Shop()
    handler = _answers(shop, ok("in", cookies=[Cookie("session", "secret")]))
    first, second = [await shop.post(handler) for _ in range(2)]
    assert (first.cookies, second.cookies, replayed(second)) == ({"session": "secret"}, {}, True)


async def test_an_answer_that_is_too_large_is_sent_and_the_work_is_not_done_again() -> None:
    """A retry is told that it was done; which is less than an answer, and better than a second order."""
    shop = Shop()
    handler = _answers(shop, PlainTextResponse("x" * 101), max_body=100)
    assert (await shop.post(handler)).body == b"x" * 101
    reply = await shop.post(handler)
    assert (short(reply), replayed(reply)) == ((409, "idempotency_answer_lost"), False)
    assert requests(shop.events)[-1]["reason"] == "it was larger than max_body"
    assert shop.done == ["work"]
    fits = _answers(shop, PlainTextResponse("x" * 100), max_body=100)
    assert [replayed(await shop.post(fits, path="/fits")) for _ in range(2)] == [False, True]


# What goes wrong


async def test_a_cancelled_request_frees_the_key() -> None:
    """At once: the next one may try."""
    shop = Shop()
    entered = anyio.Event()
    calls: list[int] = []

    @idempotent()
    async def handler(request: Request) -> Result[str]:
        calls.append(1)
        if len(calls) == 1:
            entered.set()
            await anyio.sleep_forever()
        return ok("done")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shop.post, handler)
        await entered.wait()
        tasks.cancel_scope.cancel()
    assert (await shop.post(handler)).json["data"] == "done"


async def test_a_client_that_leaves_before_its_body_is_there_claims_nothing() -> None:
    """Who is cut off in the middle of an upload sends it again."""
    shop = Shop()
    handler = _answers(shop, PlainTextResponse("done"))
    assert (await shop.post(handler, data=disconnecting(b"half"))).status == 400
    assert [replayed(await shop.post(handler, data=chunked(b"whole", 2))) for _ in range(2)] == [False, True]


async def test_a_handler_that_misses_its_client_frees_the_key() -> None:
    """What it raises then is answered with a 400, which is not what came of the work."""
    shop = Shop()
    handler = _answers(shop, ClientDisconnect(), PlainTextResponse("done"))
    assert [(await shop.post(handler)).status for _ in range(2)] == [400, 200]


async def test_a_body_over_the_cap_claims_nothing() -> None:
    """413, and nothing is done."""
    shop = Shop(body_limit=10)
    handler = _answers(shop, PlainTextResponse("done"))
    assert (await shop.post(handler, data=b"x" * 11)).status == 413
    assert (await shop.post(handler, data=b"x" * 10)).status == 200


class FailingRecords:
    """Records of a storage that fails where a test says so."""

    def __init__(self, *fails: str) -> None:
        self.fails = fails
        self.told: list[str] = []
        self.claims = 0

    def _asked(self, what: str) -> None:
        self.told.append(what)
        if f"{what} {self.told.count(what)}" in self.fails:
            raise ServiceUnavailable(headers={"Retry-After": "1"})

    async def claim(self, key: str, fingerprint: str, lease: float) -> Claimed | Pending | Kept:
        """Claim."""
        self._asked("claim")
        return Pending(fingerprint, 1) if f"claimed {self.told.count('claim')}" in self.fails else Claimed("token")

    async def keep(self, key: str, token: str, value: bytes, seconds: float) -> bool:
        """Keep."""
        self._asked("keep")
        return f"kept {self.told.count('keep')}" not in self.fails

    async def release(self, key: str, token: str) -> None:
        """Release."""
        self._asked("release")


class FailingGate(Gate):
    """A gate with such records."""

    def records(self, who: str) -> Any:
        """Return them."""
        return self.failing

    failing: Any


def _failing(*fails: str) -> Shop:
    shop = Shop()
    shop.gate = FailingGate(log=shop.events)
    shop.gate.failing = FailingRecords(*fails)
    return shop


def _told(shop: Shop) -> list[str]:
    assert isinstance(shop.gate, FailingGate)
    return shop.gate.failing.told


async def test_without_a_storage_nothing_is_done() -> None:
    """503: what cannot be claimed might be done twice. Requests without a key do not depend on it."""
    shop = _failing("claim 1")
    handler = _answers(shop, PlainTextResponse("done"))
    reply = await shop.post(handler)
    assert (reply.status, reply.headers["retry-after"], shop.done) == (503, "1", [])
    assert (await shop.post(handler, headers={})).status == 200


@pytest.mark.parametrize(
    ("fails", "told", "reason"),
    [
        (("keep 1",), ["claim", "keep"], "ServiceUnavailable of the storage"),
        (("kept 1", "claim 2"), ["claim", "keep", "claim"], "ServiceUnavailable of the storage"),
        (("kept 1", "claimed 2"), ["claim", "keep", "claim"], "the lease ran out, and somebody else claimed the key"),
    ],
)
async def test_an_answer_that_cannot_be_kept_is_sent(fails: tuple[str, ...], told: list[str], reason: str) -> None:
    """The work is done, and whoever did it says so; the log has that a retry may do it again."""
    shop = _failing(*fails)
    reply = await shop.post(_answers(shop, PlainTextResponse("done")))
    assert (reply.status, reply.body) == (200, b"done")
    assert (_told(shop), reasons(shop.events)) == (told, [reason])
    (event,) = [event for event in shop.events if event["event"] == "idempotent_answer_not_kept"]
    assert event["request_id"] == reply.headers["x-request-id"]


class FarRecords:
    """Records at the end of a wire: every question can be cancelled, before it arrives and after."""

    def __init__(self, shop: Shop) -> None:
        self.near = shop.gate.records("the test")
        self.asked = anyio.Event()
        self.told: list[str] = []

    async def _ask(self, what: str, asked: Any) -> Any:
        try:
            self.asked.set()
            await anyio.lowlevel.checkpoint()
            self.told.append(what)
            answer = await asked
            await anyio.lowlevel.checkpoint()
            return answer
        finally:
            asked.close()

    async def claim(self, key: str, fingerprint: str, lease: float) -> Any:
        """Claim."""
        return await self._ask("claim", self.near.claim(key, fingerprint, lease))

    async def keep(self, key: str, token: str, value: bytes, seconds: float) -> Any:
        """Keep."""
        return await self._ask("keep", self.near.keep(key, token, value, seconds))

    async def release(self, key: str, token: str) -> Any:
        """Release."""
        return await self._ask("release", self.near.release(key, token))


@pytest.mark.parametrize("when", ["it claims", "it works", "it keeps"])
async def test_no_moment_to_be_cancelled_strands_a_key(when: str) -> None:
    """A claim that is made is heard of and given back; an answer to work that was done is kept."""
    shop = Shop()
    gate = FailingGate(clock=shop.clock, log=shop.events)
    records = gate.failing = FarRecords(shop)
    working = anyio.Event()

    @idempotent()
    async def handler(request: Request) -> Result[str]:
        await anyio.lowlevel.checkpoint()
        shop.done.append("work")
        working.set()
        if when == "it works" and len(shop.done) == 1:
            await anyio.sleep_forever()
        records.asked = anyio.Event()
        return ok("done")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: shop.post(handler, gate=gate))
        await (records.asked if when == "it claims" else working).wait()
        if when == "it keeps":
            await records.asked.wait()
        tasks.cancel_scope.cancel()
    done = when == "it keeps"
    assert records.told == ["claim", "keep" if done else "release"]
    reply = await shop.post(handler, gate=gate)
    assert (reply.status, replayed(reply)) == (200, done)


async def test_a_lease_that_ran_out_with_nobody_there_loses_nothing() -> None:
    """A slow handler's answer is kept all the same, so that the retry does not begin anew."""
    shop = Shop()

    @idempotent(lease=5)
    async def slow(request: Request) -> Result[str]:
        shop.done.append("work")
        shop.clock.advance(6)
        return ok("done")

    assert [replayed(await shop.post(slow)) for _ in range(2)] == [False, True]
    assert (shop.done, reasons(shop.events)) == (["work"], [])


async def test_who_lost_the_claim_answers_and_leaves_the_other_s_record_alone() -> None:
    """The fence: the record is the later one's, who holds the key now."""
    shop = Shop()
    turns: list[int] = []
    entered, leave = anyio.Event(), anyio.Event()
    replies: dict[str, Any] = {}

    @idempotent(lease=5)
    async def slow(request: Request) -> Result[int]:
        turns.append(1)
        turn = len(turns)
        if turn == 1:
            entered.set()
            await leave.wait()
        return ok(turn)

    async def first() -> None:
        replies["first"] = await shop.post(slow)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await entered.wait()
        shop.clock.advance(5)
        replies["second"] = await shop.post(slow)
        leave.set()
    assert (replies["first"].json["data"], replies["second"].json["data"]) == (1, 2)
    assert reasons(shop.events) == ["the lease ran out, and somebody else claimed the key"]
    assert (await shop.post(slow)).json["data"] == 2


async def test_a_record_that_nobody_can_read_is_work_that_was_done() -> None:
    """One of a later version, after a rollback: not the answer, but not a second order either."""
    shop = Shop()
    handler = _answers(shop, PlainTextResponse("done"))
    await shop.post(handler)
    (record,) = shop.gate.records("the test")._records.values()  # type: ignore[attr-defined]
    record.value = b"2 of a later version"
    assert short(await shop.post(handler)) == (409, "idempotency_answer_lost")
    assert requests(shop.events)[-1]["reason"] == "its record cannot be read"
    assert shop.done == ["work"]


async def test_an_outcome_that_is_dropped_further_out_is_done_all_the_same() -> None:
    """What was kept of it is what a retry gets."""
    shop = Shop()

    async def around(call: Call, proceed: Proceed) -> Outcome:
        await proceed()
        return Outcome(200, [], b"instead")

    @guarded_by(Early(around))
    @idempotent()
    async def handler(request: Request) -> Response:
        shop.done.append("work")
        return PlainTextResponse("done")

    assert [(await shop.post(handler)).body for _ in range(2)] == [b"instead", b"instead"]
    assert shop.done == ["work"]


class Early(Enclose):
    """A surround that stands before the keys."""

    name = "early"
    phase = Phase.ADMIT


# Configuration


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lease": 0}, r"idempotent\(lease=0\): write seconds, more than 0"),
        ({"lease": float("nan")}, "lease=nan"),
        ({"keep": -1}, r"idempotent\(keep=-1\): write seconds"),
        ({"keep": float("inf")}, "keep=inf"),
        ({"max_body": -1}, r"max_body=-1\): write a number of bytes"),
        ({"scope": ""}, "write a name, or nothing"),
        ({"by": "address"}, "leave it out for the principal"),
        ({"by": None, "headers": "x-version"}, "write names, such as headers="),
        ({"headers": ["x version"]}, "write names, such as headers="),
        ({"headers": [""]}, "write names, such as headers="),
        ({"headers": ["Set-Cookie"]}, r"headers=\['set-cookie'\]\): this belongs to one answer only"),
        ({"headers": ["RateLimit-Policy"]}, "this belongs to one answer only"),
        ({"methods": "POST"}, r'write methods that do something: \["POST"\]'),
        ({"methods": []}, "write methods that do something"),
        ({"methods": ["get"]}, "write methods that do something"),
        ({"methods": ["P OST"]}, "write methods that do something"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], message: str) -> None:
    """When decorating, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        idempotent(**settings)


def test_the_callers_of_limits_are_no_callers_of_keys() -> None:
    """By address alone, one who is logged in would get another's answer."""
    for by in (by_address, by_principal):
        with pytest.raises(ConfigurationError, match="leave it out for the principal"):
            idempotent(by=by)


def test_two_on_one_handler_are_refused() -> None:
    """One handler, one claim."""
    with pytest.raises(ConfigurationError, match="two idempotent"):
        idempotent(lease=1)(_orders(Shop()))


def test_a_storage_that_cannot_claim_is_refused_when_bound() -> None:
    """Counting is not claiming."""

    class Counting(Gate):
        def records(self, who: str) -> Any:
            raise ConfigurationError(f"{who} needs a storage that can claim")

    (guard,) = idempotent()(_handler).pipeline.guards
    with pytest.raises(ConfigurationError, match="idempotent needs a storage that can claim"):
        guard.bind(Counting())


async def _handler(request: Request) -> Result[None]:
    return ok()


def _tenant(call: Call) -> str:
    return "t"


@pytest.mark.parametrize(
    ("decorator", "written"),
    [
        (idempotent(), "idempotent()"),
        (idempotent(required=True, lease=5, scope="a"), "idempotent(required=True, lease=5, scope='a')"),
        (idempotent(headers=["X-B", "x-a"]), "idempotent(headers=('x-a', 'x-b'))"),
        (idempotent(methods=["post"], by=_tenant), f"idempotent(methods=('POST',), by={__name__}._tenant)"),
    ],
)
def test_it_prints_as_it_is_written(decorator: Any, written: str) -> None:
    """With what is not the default."""
    assert repr(decorator(_handler).pipeline) == f"REPLAY {written}"
