"""The surround: on every host, at every end of a handler, and whatever its store does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from math import inf
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright import ConfigurationError, Conflict, Forbidden, Gate, Result, ServiceUnavailable, err, ok
from gatewright._core.guard import Answer, Guard
from gatewright._core.phase import Phase
from gatewright._core.storage.opening import Storage
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.guards import guarded_by
from gatewright.starlette import GuardedRoute
from gatewright.testing import EventList, FrozenClock, Reply, call, signed
from gatewright.webhooks import (
    Busy,
    Claim,
    Delivery,
    Done,
    HmacScheme,
    Once,
    Verified,
    github,
    hmac_scheme,
    square,
    stripe,
    verify_webhook,
)
from gatewright.webhooks.once.contract import ClaimLost
from gatewright.webhooks.once.guard import HandleOnce
from gatewright.webhooks.once.key import Owner, digest
from gatewright.webhooks.once.records import GateDeliveries
from tests.webhooks.once.kit import SECRET, Slow

pytestmark = pytest.mark.anyio

EVENT = {"id": "evt_1", "type": "invoice.paid"}
RECEIVED = {"received": True}
Handler = Callable[..., Any]


class Shop:
    """A gate whose time and log are in view, and a list of the work that was done."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.events = EventList()
        self.gate = Gate(clock=self.clock, log=self.events)
        self.done: list[object] = []

    async def deliver(self, target: Any, event_id: str = "evt_1", path: str = "/hook", **more: Any) -> Reply:
        """Deliver an event of Stripe's, signed now."""
        sent = signed(stripe(), SECRET, json={**EVENT, "id": event_id}, clock=self.clock)
        return await call(target, gate=self.gate, path=path, **{**sent, **more})

    async def handler(self, request: Request) -> Response:
        """Do some work."""
        self.done.append(request.url.path)
        return JSONResponse({"done": True}, status_code=201)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return what was logged under a name."""
        return [entry for entry in self.events if entry["event"] == event]


@pytest.fixture
def shop() -> Shop:
    """Return a fresh one."""
    return Shop()


@dataclass
class Ledger:
    """A store that answers what it is told to, or fails with it; remember each question."""

    found: Any = None
    committed: Any = True
    released: Any = None
    asked: list[str] = field(default_factory=list[str])

    async def claim(self, key: str, lease: float, keep: float, /) -> Any:
        return self._answer("claim", Claim(key, "f", keep) if self.found is None else self.found)

    async def commit(self, claim: Claim, /) -> Any:
        return self._answer("commit", self.committed)

    async def release(self, claim: Claim, /) -> None:
        self._answer("release", self.released)

    def _answer(self, question: str, answer: Any) -> Any:
        self.asked.append(question)
        if isinstance(answer, Exception):
            raise answer
        return answer


def once(store: Any = True, **more: Any) -> Any:
    """Return the decorator."""
    return verify_webhook(stripe(), secrets=SECRET, once=store, **more)


# Hosts


def _plain(shop: Shop) -> ASGIApp:
    return Starlette(routes=[Route("/{hook}", once()(shop.handler), methods=["POST"])])


def _installed(shop: Shop) -> ASGIApp:
    app = Starlette(routes=[Route("/{hook}", once()(shop.handler), methods=["POST"])])
    shop.gate.install(app)
    return app


def _guarded_route(shop: Shop) -> ASGIApp:
    return Starlette(routes=[GuardedRoute("/{hook}", once()(shop.handler), methods=["POST"])])


def _fastapi_route(shop: Shop) -> ASGIApp:
    router = APIRouter(route_class=FastAPIRoute)
    router.post("/{hook}")(once()(shop.handler))
    app = FastAPI()
    app.include_router(router)
    return app


def _fastapi_installed(shop: Shop) -> ASGIApp:
    app = FastAPI()
    app.post("/{hook}")(once()(shop.handler))
    shop.gate.install(app)
    return app


def _in_front_of_an_app(shop: Shop) -> ASGIApp:
    return once()(Starlette(routes=[Route("/{hook}", shop.handler, methods=["POST"])]))  # type: ignore[no-any-return]


def _at_both_levels(shop: Shop) -> ASGIApp:
    inner = Starlette(routes=[GuardedRoute("/{hook}", once()(shop.handler), methods=["POST"])])
    return once()(inner)  # type: ignore[no-any-return]


HOSTS = [
    _plain,
    _installed,
    _guarded_route,
    _fastapi_route,
    _fastapi_installed,
    _in_front_of_an_app,
    _at_both_levels,
]


@pytest.mark.parametrize("host", HOSTS, ids=[host.__name__.strip("_") for host in HOSTS])
async def test_once_on_every_host(shop: Shop, host: Callable[[Shop], ASGIApp]) -> None:
    """The first is handled, the second is answered, and another event is another."""
    app = host(shop)
    replies = [await shop.deliver(app, event_id) for event_id in ("evt_1", "evt_1", "evt_2")]
    assert [(reply.status, reply.json) for reply in replies] == [
        (201, {"done": True}),
        (200, RECEIVED),
        (201, {"done": True}),
    ]
    assert shop.done == ["/hook", "/hook"]


async def test_two_guards_in_front_of_one_app_do_not_wait_for_each_other(shop: Shop) -> None:
    """With something between them they see the same path; the inner one would find the outer one at work."""
    inner = once()(Starlette(routes=[Route("/{hook}", shop.handler, methods=["POST"])]))

    async def between(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)

    app = once()(between)
    assert [(await shop.deliver(app)).status for _ in range(2)] == [201, 200]
    assert shop.done == ["/hook"]


# What a handler may end with


@pytest.mark.parametrize(
    ("end", "settled"),
    [
        (ok(), "commit"),
        (ok(status=201), "commit"),
        (ok(status=204), "commit"),
        (Response(status_code=299), "commit"),
        (StreamingResponse(iter([b"a", b"b"])), "commit"),
        (RedirectResponse("/elsewhere"), "release"),
        (Response(status_code=304), "release"),
        (err("no", status=400), "release"),
        (err("no", status=404), "release"),
        (err("no", status=503), "release"),
        (Forbidden(), "release"),
        (HTTPException(302, headers={"location": "/"}), "release"),
        (ClientDisconnect(), "release"),
        (KeyError("unexpected"), "release"),
    ],
)
async def test_only_an_answer_that_says_all_is_well_ends_the_matter(shop: Shop, end: Any, settled: str) -> None:
    """200 to 299: after any other the sender comes again, and is to find the delivery free."""
    ledger = Ledger()

    @once(ledger)
    async def hook(webhook: Verified) -> Any:
        if isinstance(end, Exception):
            raise end
        return end

    await shop.deliver(hook)
    assert ledger.asked == ["claim", settled]


@pytest.mark.parametrize("streams", [False, True])
async def test_it_is_remembered_before_the_first_byte_leaves(shop: Shop, streams: bool) -> None:
    """A sender that has its answer may come again at once; and where we die now, it has none and comes again."""
    ledger, seen = Ledger(), list[list[str]]()

    @once(ledger)
    async def hook(webhook: Verified) -> Response:
        return StreamingResponse(iter([b"a"])) if streams else Response(b"a")

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            seen.append(list(ledger.asked))
            await send(message)

        await app(scope, receive, watch)

    app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
    await shop.deliver(watched)
    assert seen[0] == ["claim", "commit"]


@dataclass(frozen=True)
class Later(Guard):
    """A guard that runs after the claim."""

    name = "later"
    phase = Phase.REFINE
    answers: bool = False

    def enter(self, call: Any) -> Answer | None:
        if self.answers:
            return Answer(Response(b"not for us", 200))
        raise Forbidden()


@pytest.mark.parametrize(("answers", "settled"), [(False, "release"), (True, "commit")])
async def test_a_later_guard_may_end_the_matter_too(shop: Shop, answers: bool, settled: str) -> None:
    """What it refuses is free again; what it answers well is answered."""
    ledger = Ledger()

    @once(ledger)
    @guarded_by(Later(answers))
    async def hook(webhook: Verified) -> None:
        raise AssertionError("a guard stands in front")

    await shop.deliver(hook)
    assert ledger.asked == ["claim", settled]


async def test_a_worker_that_ends_without_a_word_leaves_its_claim_behind(shop: Shop) -> None:
    """It runs out with the lease, in the gate's storage, and a retry is handled then."""
    store, runs = Silent(shop.gate), list[str]()

    @once(Once(store, lease=30))
    async def hook(webhook: Verified) -> None:
        runs.append(str(webhook.event_id))
        raise KeyError("unexpected")

    assert (await shop.deliver(hook)).status == 500
    refused = await shop.deliver(hook)
    assert (refused.status, refused.headers["retry-after"], runs) == (409, "1", ["evt_1"])
    shop.clock.advance(12)
    # It has worked for 12 seconds: come again in as many, so that the questions become fewer.
    assert (await shop.deliver(hook)).headers["retry-after"] == "12"
    shop.clock.advance(17.5)
    # Half a second to go.
    assert (await shop.deliver(hook)).headers["retry-after"] == "1"
    shop.clock.advance(0.5)
    assert (await shop.deliver(hook)).status == 500
    assert runs == ["evt_1", "evt_1"]


class Silent:
    """The gate's own storage, where nothing is ever released."""

    def __init__(self, gate: Gate) -> None:
        self._store = GateDeliveries(gate.records("the test"))
        self.claim = self._store.claim
        self.commit = self._store.commit

    async def release(self, claim: Claim, /) -> None:
        """Keep the claim."""


class Slowly(Ledger):
    """A store whose claim is made, and heard of later."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = Slow()

    async def claim(self, key: str, lease: float, keep: float, /) -> Any:
        found = await super().claim(key, lease, keep)
        await self.answer()
        return found


async def test_a_claim_is_heard_of_though_nobody_waits_for_it(shop: Shop) -> None:
    """Or it would stand in the sender's way until the lease is over: the handler is cancelled, and it is released."""
    store, scope = Slowly(), anyio.CancelScope()

    @once(store)
    async def hook(webhook: Verified) -> None:
        await anyio.lowlevel.checkpoint()
        raise AssertionError("cancelled by now")

    async def deliver() -> None:
        with scope:
            await shop.deliver(hook)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver)
        await store.answer.begun.wait()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        store.answer.end.set()
    assert store.asked == ["claim", "release"]


async def test_of_two_at_once_one_is_handled_on_either_loop(shop: Shop) -> None:
    """In memory there is no client that needs asyncio."""
    slow = Slow()

    @once()
    async def hook(webhook: Verified) -> None:
        await slow()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shop.deliver, hook)
        await slow.begun.wait()
        assert (await shop.deliver(hook)).status == 409
        slow.end.set()
    assert (await shop.deliver(hook)).json == RECEIVED


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both loops."""
    return str(request.param)


# What a store may answer, and how it may fail


async def test_a_duplicate_gets_what_the_sender_wants_to_read(shop: Shop) -> None:
    """As an event that nobody takes does; the handler never runs."""
    scheme = hmac_scheme("x-sig")

    @verify_webhook(scheme, secrets=SECRET, once=Ledger(Done()))
    async def hook(webhook: Verified) -> None:
        raise AssertionError("it was handled")

    reply = await call(hook, gate=shop.gate, **signed(scheme, SECRET, json=EVENT))
    assert (reply.status, reply.body) == (scheme.received.status, scheme.received.body)


@pytest.mark.parametrize(
    ("seconds", "wait"), [(59.2, "1"), (50.0, "10"), (31.0, "29"), (2.4, "3"), (0.0, "1"), (1e6, "1")]
)
async def test_one_that_is_in_flight_is_asked_for_again(shop: Shop, seconds: float, wait: str) -> None:
    """After as long as it has taken so far, at most until its lease is over, and never at once."""

    @once(Ledger(Busy(seconds)))
    async def hook(webhook: Verified) -> None:
        raise AssertionError("somebody else handles it")

    reply = await shop.deliver(hook)
    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (409, "webhook_in_flight", wait)


async def test_a_store_that_fails_lets_nothing_through(shop: Shop) -> None:
    """Whatever it raises: 503, so that the sender comes again; the log has what went wrong."""

    @once(Ledger(OSError("the disk is full")))
    async def hook(webhook: Verified) -> None:
        raise AssertionError("it might be handled twice")

    reply = await shop.deliver(hook)
    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "service_unavailable", "30")
    assert "disk" not in reply.body.decode()
    (fact,) = shop.logged("webhook_not_claimed")
    assert fact["level"] == "error"
    assert "the disk is full" in str(fact["exception"])
    assert shop.logged("request")[0]["reason"] == "OSError of the store"


@pytest.mark.parametrize(
    ("failure", "status", "wait"),
    [(ServiceUnavailable(headers={"Retry-After": "7"}), 503, "7"), (ConfigurationError("write this"), 500, None)],
)
async def test_a_store_may_say_itself_what_is_wrong(
    shop: Shop, failure: Exception, status: int, wait: str | None
) -> None:
    """When to come again; and what nobody but the developer can mend."""

    @once(Ledger(failure))
    async def hook(webhook: Verified) -> None:
        raise AssertionError("it might be handled twice")

    reply = await shop.deliver(hook)
    assert (reply.status, reply.headers.get("retry-after")) == (status, wait)


@pytest.mark.parametrize(
    ("answer", "level", "reason"),
    [
        (False, "warning", "the lease ran out, and another worker has the claim"),
        (OSError("gone"), "error", "OSError of the store"),
    ],
)
async def test_what_was_done_is_never_asked_for_again(shop: Shop, answer: Any, level: str, reason: str) -> None:
    """A 503 after the work would have it done twice for certain: the answer stays, and the log says what is missing."""
    ledger = Ledger(committed=answer)

    @once(ledger)
    async def hook(webhook: Verified) -> Result[str]:
        return ok("done")

    reply = await shop.deliver(hook)
    assert (reply.status, reply.json["data"], ledger.asked) == (200, "done", ["claim", "commit"])
    (fact,) = shop.logged("webhook_not_remembered")
    assert (fact["level"], fact["reason"]) == (level, reason)
    assert fact["request_id"] == reply.headers["x-request-id"]


async def test_a_release_that_fails_changes_no_answer(shop: Shop) -> None:
    """The lease runs out by itself; what the handler raised is what is answered."""

    @once(Ledger(released=OSError("gone")))
    async def hook(webhook: Verified) -> None:
        raise Forbidden()

    assert (await shop.deliver(hook)).status == 403
    (fact,) = shop.logged("webhook_not_released")
    assert (fact["level"], fact["reason"]) == ("warning", "OSError of the store")


async def test_a_full_memory_forgets_nothing(shop: Shop) -> None:
    """It says when there will be room, and handles nothing that it could not remember."""
    records: Any = shop.gate.records("the test")
    records._max_bytes = 1500

    @once()
    async def hook(webhook: Verified) -> None:
        shop.done.append(webhook.event_id)

    statuses = [(await shop.deliver(hook, f"evt_{number}")).status for number in range(5)]
    assert statuses == [200, 200, 200, 503, 503]
    assert len(shop.done) == 3


async def test_the_handler_may_ask_for_its_claim(shop: Shop) -> None:
    """With `keep`, for a store that it finishes in its own transaction; without `once=` nobody has one."""
    claims: list[Claim] = []

    @once(Once(keep=1000))
    async def hook(claim: Claim) -> None:
        claims.append(claim)

    await shop.deliver(hook)
    assert (len(claims[0].key), claims[0].keep) == (64, 1000)

    @verify_webhook(stripe(), secrets=SECRET)
    async def without(claim: Claim) -> None:
        """Ask in vain."""

    with pytest.raises(ConfigurationError, match=r"claim is filled by @verify_webhook\(..., once=...\)"):
        Gate().install(Starlette(routes=[Route("/", without)]))


# What makes two deliveries one


class Keys:
    """A store that keeps the keys that it is asked for."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def claim(self, key: str, lease: float, keep: float, /) -> Done:
        self.seen.append(key)
        return Done()

    async def commit(self, claim: Claim, /) -> bool:
        raise AssertionError("nothing is claimed")

    async def release(self, claim: Claim, /) -> None:
        raise AssertionError("nothing is claimed")

    @property
    def are_one(self) -> bool:
        """Say whether all of them were the same."""
        assert len(self.seen) > 1
        return len(set(self.seen)) == 1

    @property
    def are_apart(self) -> bool:
        """Say whether no two were the same."""
        assert len(self.seen) > 1
        return len(set(self.seen)) == len(self.seen)


def _hook(store: Any, **more: Any) -> Any:
    @verify_webhook(more.pop("scheme", stripe()), secrets=more.pop("secrets", SECRET), once=store, **more)
    async def hook(webhook: Verified) -> None:
        """Take a delivery."""

    return hook


def _other_hook(store: Any) -> Any:
    @once(store)
    async def other(webhook: Verified) -> None:
        """Take a delivery."""

    return other


async def test_a_parameter_of_the_path_makes_no_other_event(shop: Shop) -> None:
    """Who captured a delivery sends it to any path that leads to the handler: one of them is enough."""
    keys = Keys()
    app = Starlette(routes=[Route("/hooks/{tenant}", _hook(keys), methods=["POST"])])
    shop.gate.install(app)
    for path in ("/hooks/acme", "/hooks/other", "/hooks/%61cme"):
        await shop.deliver(app, path=path)
    assert keys.are_one


async def test_two_functions_are_two_endpoints(shop: Shop) -> None:
    """And so are two routes of one function: a factory makes many of one name."""
    keys = Keys()
    routes = [("/a", _hook(keys)), ("/b", _hook(keys)), ("/c", _other_hook(keys))]
    app = Starlette(routes=[Route(path, hook, methods=["POST"]) for path, hook in routes])
    shop.gate.install(app)
    for path in ("/a", "/b", "/c"):
        await shop.deliver(app, path=path)
    await shop.deliver(_other_hook(keys), path="/a")
    assert keys.are_apart


async def test_endpoints_of_one_scope_remember_together(shop: Shop) -> None:
    """Whatever their names and routes; and another scope is another."""
    keys = Keys()
    for path, hook in (("/a", _hook), ("/b", _other_hook)):
        await shop.deliver(hook(Once(keys, scope="payments")), path=path)
    await shop.deliver(once(Once(keys, scope="payments"))(Starlette()), path="/c")
    assert keys.are_one
    await shop.deliver(_hook(Once(keys, scope="others")))
    assert len(set(keys.seen)) == 2


async def test_in_front_of_an_app_the_path_counts(shop: Shop) -> None:
    """Nobody knows yet where it leads; two endpoints behind are not to take each other's events."""
    keys = Keys()
    app = once(keys)(Starlette())
    for path in ("/a", "/b"):
        await shop.deliver(app, path=path)
    assert keys.are_apart


class Day(Convertor[date]):
    """Reads a date, which is made of three numbers and not of its text."""

    regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}"

    def convert(self, value: str) -> date:
        """Return the date."""
        return date.fromisoformat(value)

    def to_string(self, value: date) -> str:
        """Return its text."""
        return value.isoformat()


register_url_convertor("day", Day())


async def test_in_front_of_a_mounted_app_only_the_names_of_parameters_count(shop: Shop) -> None:
    """What stands in the path for them is anybody's choice; what stands beside them is not."""
    keys = Keys()
    paths = ("/of/{tenant}", "/by/{team}", "/for", "/no/{number:int}", "/at/{number:int}", "/to/{day:day}")
    app = Starlette(routes=[Mount(path, once(keys)(Starlette())) for path in paths])
    for path in ("/of/acme/x", "/of/other/x", "/of/of/x"):
        await shop.deliver(app, path=path)
    assert keys.are_one
    for path in ("/of/acme/y", "/by/acme/x", "/for/x", "/no/7/x", "/no/007/x", "/at/7/x", "/to/2026-01-02/x"):
        await shop.deliver(app, path=path)
    assert len(set(keys.seen)) == 7


@pytest.mark.parametrize("installed", [True, False])
async def test_the_same_function_behind_two_mounts_is_two_endpoints(shop: Shop, installed: bool) -> None:
    """Handlers of one factory have one name, and each sender chooses its ids: none may suppress another's event."""
    keys = Keys()
    routes = [Mount(f"/{one}", routes=[Route("/hook", _hook(keys), methods=["POST"])]) for one in ("a", "b")]
    app = Starlette(routes=routes)
    if installed:
        shop.gate.install(app)
    for path in ("/a/hook", "/b/hook"):
        await shop.deliver(app, path=path)
    assert len(set(keys.seen)) == 2


async def test_the_sender_and_the_owner_count(shop: Shop) -> None:
    """Two senders may have ids alike; a secret that is rolled is another owner only where it says who that is."""
    keys, other = Keys(), "whsec_" + "n" * 32
    scheme = hmac_scheme("x-sig", event_id=("id",), name="another")
    static = _hook(keys, secrets=[other, SECRET])

    async def secrets_of(delivery: Delivery) -> list[str]:
        return [other, SECRET]

    asked = _hook(keys, secrets=secrets_of)
    for secret in (SECRET, other):
        await call(static, gate=shop.gate, **signed(stripe(), secret, json=EVENT, clock=shop.clock))
    assert keys.are_one
    for secret in (SECRET, other):
        await call(asked, gate=shop.gate, **signed(stripe(), secret, json=EVENT, clock=shop.clock))
    await call(_hook(keys, scheme=scheme), gate=shop.gate, **signed(scheme, SECRET, json=EVENT))
    assert len(set(keys.seen)) == 4


class Notary(HmacScheme):
    """A sender that names the document with its key."""

    def certificate_url(self, delivery: Delivery) -> str:
        return (delivery.header(b"x-key") or b"").decode()

    def validity(self, certificate: bytes) -> tuple[float, float]:
        return 0.0, inf


async def test_a_senders_new_certificate_makes_no_other_event(shop: Shop) -> None:
    """It is the sender's choice which one it signs a retry with, and there is but one owner of its key."""
    keys, scheme = Keys(), Notary(name="notary", header="x-sig", event_id=("id",))

    async def fetch(url: str) -> bytes:
        return url.encode()

    hook = _hook(keys, scheme=scheme, secrets=None, fetch=fetch)
    for url in ("https://notary.example/first", "https://notary.example/second"):
        sent = signed(scheme, url.encode(), json=EVENT)
        sent["headers"]["x-key"] = url
        await call(hook, gate=shop.gate, **sent)
    assert keys.are_one


async def test_an_id_and_signed_bytes_are_never_taken_for_each_other(shop: Shop) -> None:
    """An event whose id spells another delivery's bytes is another event."""
    keys, scheme = Keys(), hmac_scheme("x-sig", event_id=("id",))
    hook = _hook(keys, scheme=scheme)
    anonymous = signed(scheme, SECRET, json={})
    delivery = scheme.sign(b"{}", SECRET, 0.0)
    replay_key = scheme.verify(delivery, SECRET, 0.0).replay_key
    for sent in (anonymous, signed(scheme, SECRET, json={"id": replay_key})):
        await call(hook, gate=shop.gate, **sent)
    assert keys.are_apart


def test_a_key_is_the_same_in_every_process_and_every_version() -> None:
    """Another one would be another event to those that are in flight when a server is updated."""
    key = digest("webhook", ("path", "a.b", "/hook/"), 0, Owner(), "stripe", "id", "evt_1")
    assert key == "b4e44b3db5335f974863e86ce8bc9c9f1b61a59faa9b3a5da9638cf06b73e221"


# Configuration


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep": 0}, r"Once\(keep=0\): write seconds, more than 0"),
        ({"keep": float("inf")}, "keep=inf"),
        ({"lease": float("nan")}, r"Once\(lease=nan\)"),
        ({"lease": -1.0}, r"Once\(lease=-1.0\)"),
        ({"scope": ""}, r'Once\(scope=""\): write a name, or nothing'),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], message: str) -> None:
    """When it is written."""
    with pytest.raises(ConfigurationError, match=message):
        Once(**settings)


@pytest.mark.parametrize("store", [None, "redis://", 1.5, Ledger, lambda: Ledger()])
def test_what_is_no_store_is_refused(store: Any) -> None:
    """With what to write; a class is not its instance."""
    with pytest.raises(ConfigurationError, match=r"write True, Once\(...\), or a store of deliveries"):
        once(store)


def test_once_may_be_said_in_four_ways() -> None:
    """Yes, no, how, and where."""
    ledger, rules = Ledger(), Once(keep=1000)
    assert (Once.of(True), Once.of(False), Once.of(rules), Once.of(ledger)) == (Once(), None, rules, Once(ledger))


def test_nothing_is_forgotten_while_a_capture_is_fresh() -> None:
    """One from a clock that is ahead stays fresh for twice the tolerance."""
    with pytest.raises(ConfigurationError, match=r"stripe\(.*\) takes a delivery for up to 600 .* keep=600 or"):
        once(Once(keep=599))
    once(Once(keep=600))
    verify_webhook(github(), secrets=SECRET, once=Once(keep=1))


def test_a_storage_that_cannot_claim_is_refused() -> None:
    """At the start, and not at the first delivery."""
    with pytest.raises(ConfigurationError, match=r"verify_webhook\(once=True\) needs a storage that can claim"):
        Gate(storage=Storage("memcached://127.0.0.1:1")).install(Starlette(routes=[Route("/", _hook(True))]))
    Gate(storage=Storage("memcached://127.0.0.1:1")).install(Starlette(routes=[Route("/", _hook(Ledger()))]))


def test_it_says_what_it_is() -> None:
    """In a pipeline that is printed, between what parses and what encloses."""
    assert repr(HandleOnce(Once(), stripe())) == "handle_once(stripe)"
    assert repr(_hook(True).pipeline) == "VERIFY verify_webhook(stripe) > REPLAY handle_once(stripe)"


def test_a_lost_claim_is_a_conflict() -> None:
    """Whoever catches conflicts catches it, and no handler has to."""
    assert issubclass(ClaimLost, Conflict)


async def test_a_capture_that_is_cut_elsewhere_is_the_same_delivery(shop: Shop) -> None:
    """Nothing stands between Square's URL and body: with a byte moved from one to the other, the id is gone."""
    keys = Keys()
    url = "https://api.example.com/hook?k=v"
    square_only = verify_webhook(square(), secrets=SECRET, once=keys, public_url="https://api.example.com")
    hook = square_only(shop.handler)
    good = signed(square(), SECRET, json=EVENT, url=url)
    await call(hook, gate=shop.gate, **good)
    await call(hook, gate=shop.gate, **{**good, "query": "k=v{", "data": good["data"][1:]})
    assert keys.are_one
