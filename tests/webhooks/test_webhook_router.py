"""WebhookRouter: each event to the function that takes its type, wherever the router stands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, Depends, FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import TypedDict

from gatewright import FromBody, Logger, Principal, Result, err, ok, protect, with_rate_limit
from gatewright._core.call import Call
from gatewright._core.gate import Gate
from gatewright._core.log import EventList
from gatewright.errors import ConfigurationError
from gatewright.fastapi import GuardedRoute
from gatewright.testing import FrozenClock, Reply, call, handshake, signed
from gatewright.webhooks import Claim, Event, Verified, github, hmac_scheme, stripe
from gatewright.webhooks.event_types import event_types
from gatewright.webhooks.router import WebhookRouter
from tests.web import Browser

SECRET = "whsec_router"


class Paid(BaseModel):
    type: Literal["invoice.paid"]
    amount: int = 0


class Voided(BaseModel):
    type: Literal["invoice.voided", "invoice.deleted"]


class Kind(StrEnum):
    OPENED = "opened"


@dataclass
class Opened:
    type: Literal[Kind.OPENED]


class Closed(TypedDict):
    type: Literal["closed"]


class Pushed(BaseModel):
    kind: Literal["push"] = Field(alias="type")


class Said(BaseModel):
    type: Literal["message"]
    text: str


class Joined(BaseModel):
    type: Literal["join"]


class Slack(BaseModel):
    event: Said | Joined


class Untagged(BaseModel):
    name: str


@dataclass
class Row:
    name: str = "x"
    password: str = "s3cr3t"


class Odd(BaseModel):
    type: Literal["odd"]
    work: Callable[[], None] = Field(default=print)


class Site:
    """A gate whose clock stands still, its log, and the deliveries that come to it."""

    def __init__(self, scheme: Any = None) -> None:
        self.events = EventList()
        self.clock = FrozenClock()
        self.gate = Gate(log=self.events, clock=self.clock)
        self.scheme = stripe() if scheme is None else scheme

    async def deliver(self, hooks: Any, body: Any) -> Reply:
        """Deliver *body*, signed, to a router behind the gate."""
        return await call(hooks, gate=self.gate, **signed(self.scheme, SECRET, json=body, clock=self.clock))

    async def deliver_to(self, app: ASGIApp, path: str) -> int:
        """Deliver an event to an app that has the gate already, and return the status."""
        event = {"id": "evt_1", "type": "invoice.paid"}
        return (await call(app, path=path, **signed(self.scheme, SECRET, json=event, clock=self.clock))).status

    def logged(self, event: str) -> dict[str, Any]:
        """Return the last event of that name."""
        return [entry for entry in self.events if entry["event"] == event][-1]


def stripe_hooks(**options: Any) -> WebhookRouter:
    """Return a router for Stripe."""
    return WebhookRouter(stripe(), secrets=SECRET, **options)


def counting(hooks: WebhookRouter) -> list[Any]:
    """Let *hooks* collect what is paid."""
    seen: list[Any] = []

    @hooks.on
    async def paid(event: Paid) -> None:
        seen.append(event)

    return seen


# Which function takes an event


@pytest.mark.anyio
async def test_each_event_goes_to_the_function_that_takes_its_type() -> None:
    """An exact name comes before the longest beginning, that before a shorter one, and all before the default."""
    hooks, site, seen = stripe_hooks(), Site(), []

    @hooks.default
    async def default(event: dict[str, Any]) -> None:
        seen.append(("default", event.get("type")))

    @hooks.on("invoice.*", "charge.refunded")
    async def invoice(event: dict[str, Any]) -> None:
        seen.append(("invoice.*", event["type"]))

    @hooks.on("invoice.payment.*")
    async def payment(event: dict[str, Any]) -> None:
        seen.append(("invoice.payment.*", event["type"]))

    @hooks.on("invoice.paid")
    async def paid(event: dict[str, Any]) -> None:
        seen.append(("invoice.paid", event["type"]))

    types = ["invoice.paid", "invoice.paid.x", "invoice.payment.failed", "charge.refunded", "charge.refunded.x", "in"]
    for event_type in types:
        assert (await site.deliver(hooks, {"type": event_type})).json == {"received": True}
        assert site.logged("request")["webhook_type"] == event_type
    await site.deliver(hooks, {"type": "invoice." + "x" * 200})
    assert site.logged("request")["webhook_type"] == "invoice." + "x" * 92
    assert seen.pop() == ("invoice.*", "invoice." + "x" * 200)
    await site.deliver(hooks, {"type": 7})
    assert seen == [
        ("invoice.paid", "invoice.paid"),
        ("invoice.*", "invoice.paid.x"),
        ("invoice.payment.*", "invoice.payment.failed"),
        ("invoice.*", "charge.refunded"),
        ("default", "charge.refunded.x"),
        ("default", "in"),
        ("default", 7),
    ]


@pytest.mark.anyio
async def test_names_come_from_the_annotation() -> None:
    """Without names, a model's or a union's `Literal` says which events a function takes, bare or called."""
    hooks, site, seen = stripe_hooks(), Site(), []

    @hooks.on
    async def one(event: Paid) -> None:
        seen.append(event)

    @hooks.on()
    async def several(event: Voided | Opened) -> None:
        seen.append(event)

    for event_type in ("invoice.paid", "invoice.deleted", "opened", "invoice.sent"):
        await site.deliver(hooks, {"type": event_type})
    assert seen == [Paid(type="invoice.paid"), Voided(type="invoice.deleted"), Opened(Kind.OPENED)]
    assert repr(hooks.pipeline).endswith("dispatch(invoice.paid, invoice.deleted, invoice.voided, opened)")


@pytest.mark.anyio
async def test_an_event_that_nobody_takes_is_received_and_logged() -> None:
    """Without a default it is answered as the sender wants, so that it stops, and logged without its payload."""
    hooks, site = stripe_hooks(), Site()
    seen = counting(hooks)
    reply = await site.deliver(hooks, {"id": "evt_2", "type": "customer." + "x" * 200, "email": "a@example.com"})
    assert (reply.status, reply.json) == (200, {"received": True})
    facts = site.logged("webhook_ignored")
    assert (facts["scheme"], facts["event_id"], facts["event_type"]) == ("stripe", "evt_2", "customer." + "x" * 91)
    await site.deliver(hooks, {"id": "evt_3"})
    assert site.logged("webhook_ignored")["event_type"] is None
    assert seen == []
    assert "a@example.com" not in repr(list(site.events))


@pytest.mark.anyio
async def test_a_beginning_takes_only_what_its_union_has() -> None:
    """An event that begins right and that the union does not have goes on to the default; it is no misfit."""
    hooks, site, seen = stripe_hooks(), Site(), []

    @hooks.on("invoice.*")
    async def invoice(event: Paid | Voided) -> None:
        seen.append(event)

    assert (await site.deliver(hooks, {"type": "invoice.sent"})).json == {"received": True}

    @hooks.default
    async def default(event: Closed) -> None:
        seen.append(event)

    for event_type in ("invoice.sent", "invoice.voided", "closed"):
        assert (await site.deliver(hooks, {"type": event_type})).status == 200
    assert seen == [Voided(type="invoice.voided"), {"type": "closed"}]


@pytest.mark.anyio
async def test_the_type_is_never_a_headers_word() -> None:
    """GitHub signs only the body: without `event_type` there is no router, and X-GitHub-Event changes nothing."""
    with pytest.raises(ConfigurationError, match=r"event_type, such as \(\"action\",\); a header .* nobody signed"):
        WebhookRouter(github(), secrets=SECRET)
    hooks, site, seen = WebhookRouter(github(), secrets=SECRET, event_type=("action",)), Site(github()), []

    @hooks.on("opened")
    async def opened(event: dict[str, Any]) -> None:
        seen.append(event)

    delivery = signed(github(), SECRET, json={"action": "opened"})
    delivery["headers"]["x-github-event"] = "push"
    await call(hooks, gate=site.gate, **delivery)
    assert seen == [{"action": "opened"}]
    for wrong in ("", (), ("event", "")):
        with pytest.raises(ConfigurationError, match="event_type"):
            WebhookRouter(github(), secrets=SECRET, event_type=wrong)


@pytest.mark.anyio
async def test_the_senders_own_field_tells_models_apart() -> None:
    """Wherever the type stands, a bad field is an error of the one model that it is of, and of no other."""

    class Opened(BaseModel):
        action: Literal["opened"]
        number: int

    class Labeled(BaseModel):
        action: Literal["labeled"]
        label: dict[str, str]

    site = Site(github())
    hooks = WebhookRouter(github(), secrets=SECRET, event_type="action")
    hooks.on(_takes(Opened | Labeled))
    assert (await site.deliver(hooks, {"action": "opened", "number": "x"})).status == 400
    assert site.logged("request")["reason"] == "event: opened.number int_parsing"


@pytest.mark.anyio
async def test_a_type_may_stand_deeper() -> None:
    """A path leads to it; a union of models with that path is told apart, and its names are found."""
    scheme = hmac_scheme("x-sig", name="chat", event_type=("event", "type"))
    hooks, site, seen = WebhookRouter(scheme, secrets=SECRET), Site(scheme), []

    @hooks.on
    async def said(event: Slack) -> None:
        seen.append(event.event)

    for body in ({"event": {"type": "join"}}, {"event": {"type": "other"}}, {"event": "message"}, {"type": "message"}):
        assert (await site.deliver(hooks, body)).status == 200
    assert seen == [Joined(type="join")]
    assert (await site.deliver(hooks, {"event": {"type": "message"}})).status == 400


# What an event is read as


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 422])
async def test_an_event_that_does_not_fit_is_refused(status: int) -> None:
    """A silent 200 would lose it: 400 or the gate's 422, logged, nothing of it echoed, and the function not run."""
    hooks, site = stripe_hooks(), Site()
    site.gate = Gate(log=site.events, clock=site.clock, invalid_status=status)
    seen = counting(hooks)
    reply = await site.deliver(hooks, {"type": "invoice.paid", "amount": "s3cr3t"})
    assert (reply.status, reply.json["code"], seen) == (status, "validation_failed", [])
    assert "s3cr3t" not in reply.body.decode()
    assert site.logged("request")["reason"] == "event: invoice.paid.amount int_parsing"


@pytest.mark.anyio
async def test_a_known_type_is_never_taken_for_an_unknown_one() -> None:
    """Registered by its name, an event that no model of the union fits is invalid, whichever field tells them apart."""
    hooks, site = stripe_hooks(), Site()

    class Card(BaseModel):
        by: Literal["card"]

    class Wire(BaseModel):
        by: Literal["wire"]

    hooks.on("charged")(_takes(Annotated[Card | Wire, Field(discriminator="by")]))
    assert (await site.deliver(hooks, {"type": "charged", "by": "card"})).status == 200
    assert (await site.deliver(hooks, {"type": "charged", "by": "cash"})).status == 400


def _takes(annotation: Any) -> Any:
    """Return a function whose event has this annotation."""

    async def taker(event: Any) -> None:
        """Take it."""

    taker.__annotations__["event"] = annotation
    return taker


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b'{"type":"invoice.paid","amount":NaN}', b"\xff"])
async def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    """400, before any function; even a default that would take anything is not asked."""
    hooks, site = stripe_hooks(), Site()
    hooks.default(_takes(dict[str, Any]))
    reply = await call(hooks, gate=site.gate, **signed(stripe(), SECRET, data=body, clock=site.clock))
    assert (reply.status, reply.json["code"]) == (400, "validation_failed")
    assert site.logged("request")["reason"] == "event: not a JSON object"


_HOOKS = stripe_hooks()
_HOOKS.on(_takes(Paid | Voided))
_HOOKS.on("customer.*")(_takes(dict[str, Any]))


@given(st.binary(max_size=60) | st.from_regex(rb'\{"type":.{0,40}\}', fullmatch=True))
@example(b"[" * 100_000)
@example(b'{"type":' * 100_000)
@example(b'{"type":"customer.\\ud800"}')
@example(b'{"type":"invoice.paid","amount":%b}' % (b"9" * 5000))
@example(b'{"type":{"a":1}}')
def test_dispatch_is_total(body: bytes) -> None:
    """Any signed bytes are received or refused; none of them is a 500."""
    site = Site()
    delivery = signed(stripe(), SECRET, data=body, clock=site.clock)
    browser = Browser(site.gate.wrap(_HOOKS))
    assert browser.post("/", content=body, headers=delivery["headers"]).status in (200, 400)


# What a function may ask for, and return


@pytest.mark.anyio
async def test_a_function_asks_for_what_it_needs() -> None:
    """The event in any place, Verified, Claim, Call, Logger and the Request, in any order; a method as well."""
    hooks, site, seen = stripe_hooks(once=True), Site(), []

    class Service:
        def take(self, request: Request, webhook: Verified, event: Paid, *, retries: int = 3) -> None:
            seen.append((request.method, webhook.event_id, event.amount, retries))

    async def voided(call: Call, claim: Claim, log: Logger, event: Event[Voided], **more: str) -> None:
        seen.append((call.method, bool(claim.fence), event.type, more))

    async def ping() -> None:
        seen.append("ping")

    hooks.on("invoice.paid")(Service().take)
    hooks.on(voided)
    hooks.on("ping")(functools.partial(ping))
    for number, event_type in enumerate(["invoice.paid", "invoice.voided", "ping"]):
        reply = await site.deliver(hooks, {"id": f"evt_{number}", "type": event_type, "amount": 7})
        assert reply.status == 200
    assert seen == [("POST", "evt_0", 7, 3), ("POST", True, "invoice.voided", {}), "ping"]


@pytest.mark.anyio
async def test_a_plain_function_runs_in_a_thread() -> None:
    """It cannot block the loop."""
    from threading import current_thread, main_thread

    hooks, site, seen = stripe_hooks(), Site(), []

    @hooks.on
    def paid(event: Paid) -> None:
        seen.append(current_thread() is main_thread())

    await site.deliver(hooks, {"type": "invoice.paid"})
    assert seen == [False]


def test_a_function_stays_what_it_is() -> None:
    """`on` and `default` return it unchanged, so a test calls it with an event that it made."""
    hooks = stripe_hooks()

    async def paid(event: Paid) -> None: ...

    def other(event: dict[str, Any]) -> None: ...

    assert hooks.on("invoice.paid")(paid) is paid
    assert hooks.on("invoice.*")(other) is other
    assert hooks.default(other) is other


@pytest.mark.anyio
async def test_what_a_function_returns_is_what_the_sender_reads() -> None:
    """None is what the sender wants to read; a Result is the envelope, filtered by its type; a Response is itself."""
    hooks, site = stripe_hooks(), Site()

    @hooks.on("result")
    async def result() -> Result[Untagged]:
        return ok(Row(), status=202)  # type: ignore[return-value]  # what an ORM gives

    @hooks.on("error")
    async def error(event: dict[str, Any]) -> Result[None]:
        return err("No such customer", status=404)

    @hooks.on("response")
    def response(event: dict[str, Any]) -> Response:
        return PlainTextResponse("[accepted]")

    @hooks.on("value")
    def value() -> dict[str, int]:
        return {"a": 1}

    replies = {name: await site.deliver(hooks, {"type": name}) for name in ("result", "error", "response", "value")}
    assert (replies["result"].status, replies["result"].json["data"]) == (202, {"name": "x"})
    assert (replies["error"].status, replies["error"].json["error"]) == (404, "No such customer")
    assert replies["response"].body == b"[accepted]"
    assert replies["value"].json["data"] == {"a": 1}


@pytest.mark.anyio
async def test_a_function_that_raises_is_a_500() -> None:
    """The sender tries again; it learns nothing of the reason."""
    hooks, site = stripe_hooks(), Site()

    @hooks.on
    async def paid(event: Paid) -> None:
        raise RuntimeError("the database is gone")

    reply = await site.deliver(hooks, {"type": "invoice.paid"})
    assert (reply.status, reply.json["error"]) == (500, "Internal server error")


# What is refused when it is written


def _refused(match: str, function: Callable[..., object], *names: str, hooks: WebhookRouter | None = None) -> None:
    with pytest.raises(ConfigurationError, match=match):
        (stripe_hooks() if hooks is None else hooks).on(*names)(function)


def test_a_parameter_that_nobody_fills_is_refused() -> None:
    """Unannotated, a second event, another guard's, FastAPI's: each message says what a function may ask for."""

    async def bare(event): ...  # type: ignore[no-untyped-def]

    async def variadic(*args: Any): ...  # type: ignore[no-untyped-def]

    async def two(event: Paid, other: Voided) -> None: ...

    async def marked(event: Event[Paid], other: Voided) -> None: ...

    async def claims(event: Paid, claim: Claim) -> None: ...

    async def knows(event: Paid, principal: Principal) -> None: ...

    async def validated(event: FromBody[Paid]) -> None: ...

    async def depends(event: Paid, service: int = Depends(int)) -> None: ...

    async def depends_too(service: Annotated[int, Depends(int)], event: Paid) -> None: ...

    async def positional(event: Paid, /) -> None: ...

    for function in (bare, variadic):
        _refused('annotate it: "event: dict', function, "x")
    for function in (two, marked):
        _refused("nobody fills other; a handler of events may ask for its event, Verified", function, "x")
    _refused(r"nobody fills claim; .*Claim \(with once", claims, "invoice.paid")
    _refused("nobody fills principal", knows, "invoice.paid")
    _refused("nobody fills event", validated, "invoice.paid")
    for function in (depends, depends_too):
        _refused("nobody fills service, which is FastAPI's", function, "invoice.paid")
    _refused("take the '/' out", positional, "invoice.paid")


def test_what_is_no_handler_is_refused() -> None:
    """A model in the place of a name, a function that yields, or one with guards of its own."""

    def yields(event: Paid) -> Iterator[int]:
        yield 1

    async def yields_later(event: Paid) -> AsyncIterator[int]:
        yield 1

    @with_rate_limit("1/minute")
    async def guarded(event: Paid) -> None: ...

    hooks: Any = stripe_hooks()
    for wrong in (Paid, 7):
        with pytest.raises(ConfigurationError, match="write a name; the model goes to"):
            hooks.on(wrong)
    for function in (yields, yields_later):
        _refused("it yields", function, "x")
    _refused("around the router", guarded, "x")
    _refused("pydantic cannot read", _takes(Unreadable), "x")


class Unreadable:
    """What pydantic knows nothing of."""


def test_names_are_checked() -> None:
    """Empty, with a star inside, or for everything; taken already; and such as the annotation never takes."""
    hooks = stripe_hooks()
    hooks.on("a", "b.*")(_takes(dict[str, Any]))
    for name in ("", "a*b", "*a", "**"):
        _refused("write a name, or how names begin", _takes(dict[str, Any]), name)
    _refused("write @hooks.default", _takes(dict[str, Any]), "*")
    for name in ("a", "b.*"):
        _refused("taker takes it already", _takes(dict[str, Any]), name, hooks=hooks)
    _refused("its event is never 'invoice.sent'; it takes invoice.paid", _takes(Paid), "invoice.sent")
    _refused("its event is never 'charge.*'", _takes(Paid), "invoice.*", "charge.*")
    for annotation in (dict[str, Any], Paid | Untagged, Untagged):
        _refused("which events\\?", _takes(annotation))
    hooks.on("b.c", "b.c*", "b*")(_takes(dict[str, Any]))
    hooks.default(_takes(dict[str, Any]))
    with pytest.raises(ConfigurationError, match="taker is it already"):
        hooks.default(_takes(dict[str, Any]))
    _refused("takes it already", _takes(dict[str, Any]), "new", "a", hooks=hooks)
    hooks.on("new")(_takes(dict[str, Any]))


@pytest.mark.anyio
async def test_a_name_that_is_defined_later_is_looked_at_later() -> None:
    """With names given, a model may be defined below; one that never is, is said when the router is installed."""
    hooks, site = stripe_hooks(), Site()

    async def paid(event: DefinedLater) -> None:  # type: ignore[name-defined]  # noqa: F821  # that is the point
        """Take what will be defined."""

    hooks.on("invoice.paid")(paid)
    _refused("names nothing", paid, hooks=hooks)
    with pytest.raises(ConfigurationError, match="annotation of event names nothing; define it at module level"):
        site.gate.install(Starlette(routes=[Route("/hooks", hooks, methods=["POST"])]))
    app = site.gate.wrap(hooks)
    assert await site.deliver_to(app, "/") == 500
    globals()["DefinedLater"] = Paid
    try:
        assert await site.deliver_to(app, "/") == 200
    finally:
        del globals()["DefinedLater"]


def test_the_routers_own_arguments_are_those_of_verify_webhook() -> None:
    """No secret, a scheme that signs no body, an origin: the same refusals, when it is made."""
    with pytest.raises(ConfigurationError, match="secret"):
        WebhookRouter(stripe())
    with pytest.raises(ConfigurationError, match="400 or 401"):
        stripe_hooks(on_invalid=403)
    with pytest.raises(ConfigurationError, match="public_url"):
        WebhookRouter(hmac_scheme("x-sig", template="{url}{body}", event_type="type"), secrets=SECRET)


@dataclass(frozen=True)
class Pretender:
    """Stripe, as if it did not sign the body."""

    covers: frozenset[Any] = frozenset()

    def __getattr__(self, name: str) -> Any:
        return getattr(stripe(), name)


def test_an_unsigned_body_has_to_be_asked_for() -> None:
    """A type in a body that anybody could change is anybody's word."""
    with pytest.raises(ConfigurationError, match="allow_unsigned_body=True"):
        WebhookRouter(Pretender(), secrets=SECRET)
    WebhookRouter(Pretender(), secrets=SECRET, allow_unsigned_body=True)


# Which types an annotation takes


@pytest.mark.parametrize(
    ("annotation", "types"),
    [
        (Paid, {"invoice.paid"}),
        (Paid | Voided, {"invoice.paid", "invoice.voided", "invoice.deleted"}),
        (Annotated[Paid | Voided, Field(discriminator="type")], {"invoice.paid", "invoice.voided", "invoice.deleted"}),
        (Opened | Closed, {"opened", "closed"}),
        (Pushed, {"push"}),
        (Odd, {"odd"}),
        (dict[str, Any], None),
        (Untagged, None),
        (Paid | Untagged, None),
        (int, None),
    ],
)
def test_the_types_of_an_annotation(annotation: Any, types: set[str] | None) -> None:
    """Models, dataclasses, typed dicts, unions, enums and aliases say theirs; what may be any says None."""
    assert event_types(TypeAdapter(annotation), ("type",)) == types


# Where a router stands


@pytest.mark.anyio
async def test_other_decorators_go_around() -> None:
    """Around the router as an app, and around its endpoint as a function; both are guarded by both."""
    for around in (lambda hooks: hooks, lambda hooks: hooks.endpoint):
        hooks, site = stripe_hooks(), Site()
        seen = counting(hooks)
        limited = with_rate_limit("1/minute")(around(hooks))
        assert (await site.deliver(limited, {"type": "invoice.paid"})).status == 200
        assert (await site.deliver(limited, {"type": "invoice.paid"})).status == 429
        assert len(seen) == 1


@pytest.mark.anyio
async def test_a_delivery_that_is_not_signed_gets_nowhere() -> None:
    """The signature is looked at before the type, however the router is reached."""
    hooks, site = stripe_hooks(), Site()
    seen = counting(hooks)
    for target in (hooks, hooks.endpoint):
        reply = await call(target, json={"type": "invoice.paid"}, gate=site.gate)
        assert (reply.status, reply.json["code"]) == (401, "invalid_signature")
    assert seen == []


def _starlette(hooks: WebhookRouter) -> tuple[Starlette, list[str]]:
    class Around:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)

    limited = with_rate_limit("1000/minute")(hooks)
    app = Starlette(
        routes=[
            Route("/hooks", hooks, methods=["POST"]),
            Route("/endpoint", hooks.endpoint, methods=["POST"]),
            Route("/tenants/{tenant}", limited, methods=["POST"]),
            Mount("/nested", routes=[Mount("/deeper", app=Router([Route("/hooks", hooks, methods=["POST"])]))]),
            Mount("/inside", app=FastAPI(routes=[Route("/hooks", hooks, methods=["POST"])])),
            Mount("/around", app=Around(Starlette(routes=[Route("/hooks", hooks, methods=["POST"])]))),
            Mount("/opaque", app=_opaque(Starlette(routes=[Route("/hooks", hooks, methods=["POST"])]))),
            Route("/mounted/below", _nothing, methods=["GET"]),
            Mount("/mounted", hooks),
            Mount("/mounts/{tenant}", app=limited, middleware=[Middleware(Around)]),
            Mount("/outer", routes=[Mount("/inner", app=Around(hooks))]),
            Host("testserver", app=Router([Mount("/hosted", hooks)])),
        ]
    )
    paths = ["/hooks", "/endpoint", "/tenants/acme", "/nested/deeper/hooks", "/inside/hooks", "/around/hooks"]
    return app, [*paths, "/opaque/hooks", "/mounted/", "/mounts/acme/", "/outer/inner/", "/hosted/"]


def _under(root: str, app: ASGIApp) -> ASGIApp:
    """Return *app* behind a server that tells it where it stands."""

    async def under(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": root, "path": root + scope["path"]}, receive, send)

    return under


async def _nothing(request: Request) -> Response:
    return Response()


def _opaque(app: ASGIApp) -> ASGIApp:
    async def opaque(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return opaque


def _fastapi(hooks: WebhookRouter) -> tuple[FastAPI, list[str]]:
    app = FastAPI()
    app.post("/operation")(hooks)
    app.post("/endpoint")(hooks.endpoint)
    app.add_route("/hooks", hooks, methods=["POST"])
    app.mount("/mounted", hooks)
    app.mount("/mounts", with_rate_limit("1000/minute")(hooks))
    router = APIRouter()
    router.post("/operation")(hooks)
    router.add_route("/hooks", hooks, methods=["POST"])
    app.include_router(router, prefix="/included")
    guarded = APIRouter(route_class=GuardedRoute)
    guarded.post("/operation")(hooks)
    app.include_router(guarded, prefix="/guarded")
    inner = FastAPI()
    inner.add_route("/hooks", hooks, methods=["POST"])
    app.mount("/nested", inner)
    paths = ["/operation", "/endpoint", "/hooks", "/mounted/", "/mounts/", "/included/operation"]
    return app, [*paths, "/included/hooks", "/guarded/operation", "/nested/hooks"]


@pytest.mark.anyio
@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize("framework", [_starlette, _fastapi])
async def test_it_is_an_endpoint_and_an_app_at_once(framework: Callable[..., Any], installed: bool) -> None:
    """As a route's endpoint, a path operation, a mount, included or nested, behind a gate or not: it serves."""
    hooks, site = stripe_hooks(), Site()
    seen = counting(hooks)
    app, paths = framework(hooks)
    target = app
    if installed:
        site.gate.install(app)
    else:
        target = site.gate.wrap(app)
    for number, path in enumerate(paths, 1):
        assert (await site.deliver_to(target, path), path) == (200, path)
        assert len(seen) == number
        refused = await call(target, path=path, json={})
        assert refused.status == 401


@pytest.mark.anyio
@pytest.mark.parametrize(("framework", "mounts"), [(_starlette, 4), (_fastapi, 2)])
async def test_a_mount_serves_its_own_path_only(framework: Callable[..., Any], mounts: int) -> None:
    """Below it there is nothing, or a capture could be delivered to another place; a websocket finds nobody either."""
    hooks, site = stripe_hooks(), Site()
    seen = counting(hooks)
    app, paths = framework(hooks)
    below = [f"{path}below" for path in paths if path.endswith("/")]
    assert len(below) == mounts
    for path in below:
        for target in (app, _under("/api", app)):
            assert (await site.deliver_to(site.gate.wrap(target), path), path) == (404, path)
    refused = await handshake(site.gate.wrap(app), path="/mounted/")
    assert (refused.accepted, refused.status) == (False, 404)
    assert seen == []


@pytest.mark.anyio
async def test_an_app_by_itself_and_a_path_by_hand() -> None:
    """Where no mount led here, the path is whose business it was; a server's start and stop are answered."""
    hooks, site = stripe_hooks(), Site()
    seen = counting(hooks)
    for path in ("/", "/by/hand"):
        assert await site.deliver_to(site.gate.wrap(hooks), path) == 200
    host = Starlette(routes=[Host("testserver", hooks)])
    assert await site.deliver_to(site.gate.wrap(host), "/") == 200
    assert len(seen) == 3
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    await hooks({"type": "lifespan"}, receive, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.anyio
async def test_the_log_names_the_route() -> None:
    """An installed gate knows the whole template, of several routes each its own."""
    hooks, site = stripe_hooks(), Site()
    counting(hooks)
    inner = Mount("/nested", routes=[Route("/{tenant}", hooks, methods=["POST"])])
    app = Starlette(routes=[Route("/hooks", hooks, methods=["POST"]), inner])
    site.gate.install(app)
    for path, template in [("/hooks", "/hooks"), ("/nested/acme", "/nested/{tenant}"), ("/hooks", "/hooks")]:
        await site.deliver_to(app, path)
        assert site.logged("request")["route"] == template


@pytest.mark.anyio
async def test_a_foreign_decorator_may_call_it() -> None:
    """With the request, as it would call a function."""
    hooks, site = stripe_hooks(), Site()
    seen = counting(hooks)

    async def counted(request: Request) -> Response:
        response = await hooks(request)
        response.headers["x-counted"] = "1"
        return response

    app = Starlette(routes=[Route("/hooks", counted, methods=["POST"])])
    site.gate.install(app)
    delivery = signed(stripe(), SECRET, json={"type": "invoice.paid"}, clock=site.clock)
    reply = await call(app, path="/hooks", **delivery)
    assert (reply.status, reply.headers["x-counted"], len(seen)) == (200, "1", 1)


@pytest.mark.anyio
async def test_a_mistaken_call_says_what_to_do() -> None:
    """Called like a function in a test, it names what to call instead."""
    hooks: Any = stripe_hooks()
    with pytest.raises(TypeError, match=r"gatewright\.testing"):
        await hooks({"type": "invoice.paid"})


def test_frameworks_see_its_name_and_its_sender() -> None:
    """A route, an operation and a document call it by its sender, or as its author did."""
    assert Route("/hooks", stripe_hooks()).name == "stripe_webhooks"
    app = FastAPI()
    app.post("/hooks")(stripe_hooks(name="billing"))
    operation = app.openapi()["paths"]["/hooks"]["post"]
    assert (operation["summary"], operation["description"]) == ("Billing", "Take what stripe delivers.")
    assert "parameters" not in operation
    hooks = stripe_hooks()
    counting(hooks)
    assert repr(hooks) == "<WebhookRouter VERIFY verify_webhook(stripe) > PARSE dispatch(invoice.paid)>"
    hooks.default(_takes(dict[str, Any]))
    hooks.on("b.*")(_takes(dict[str, Any]))
    assert "dispatch(invoice.paid, b.*, default)" in repr(hooks)
    assert SECRET not in repr(hooks)
    assert "turn" not in str(inspect.signature(WebhookRouter))


@pytest.mark.anyio
async def test_an_app_that_is_protected_needs_no_rule_for_it() -> None:
    """Its signature says who may come in: protect() takes it for guarded, on a route and mounted."""
    hooks, site = stripe_hooks(), Site()
    counting(hooks)
    outer = Mount("/outer", routes=[Mount("/mounted", hooks)])
    app = Starlette(routes=[Route("/hooks", hooks, methods=["POST"]), outer])
    protect(app, {"/outer/mounted": with_rate_limit("1/minute")})
    site.gate.install(app)
    for path in ("/hooks", "/outer/mounted/"):
        assert await site.deliver_to(app, path) == 200
        assert site.logged("request")["route"] == path.rstrip("/")
    assert await site.deliver_to(app, "/outer/mounted/") == 429


@pytest.mark.anyio
async def test_an_error_rolls_back_what_fastapi_depends_on() -> None:
    """err() is raised inside FastAPI, so that a dependency with `yield` sees it."""
    hooks, site, seen = stripe_hooks(), Site(), []

    @hooks.on("invoice.paid")
    async def paid() -> Result[None]:
        return err("Not now", status=503)

    async def transaction() -> AsyncIterator[None]:
        try:
            yield
        except Exception as exc:
            seen.append(type(exc).__name__)
            raise

    app = FastAPI(dependencies=[Depends(transaction)])
    app.post("/hooks")(hooks)
    site.gate.install(app)
    assert await site.deliver_to(app, "/hooks") == 503
    assert seen == ["ApiError"]


# Once


@pytest.mark.anyio
async def test_what_nobody_takes_is_never_claimed() -> None:
    """An event is claimed after somebody was found for it: one that is ignored or invalid can be taken later."""
    hooks, site = stripe_hooks(once=True), Site()

    @hooks.on("something.else")
    async def other(event: dict[str, Any]) -> None:
        """Take something else."""

    paid = {"id": "evt_1", "type": "invoice.paid", "amount": "x"}
    assert (await site.deliver(hooks, paid)).json == {"received": True}
    seen = counting(hooks)
    assert (await site.deliver(hooks, paid)).status == 400
    for _ in range(2):
        assert (await site.deliver(hooks, paid | {"amount": 1})).json == {"received": True}
    assert [event.amount for event in seen] == [1]


@pytest.mark.anyio
async def test_a_router_without_functions_loses_nothing() -> None:
    """The module with its functions was not imported: the sender is told to come again, and the log says why."""
    site = Site()
    reply = await site.deliver(stripe_hooks(), {"id": "evt_1", "type": "invoice.paid"})
    assert reply.status == 500
    assert "no function takes events" in str(list(site.events))


@pytest.mark.anyio
async def test_an_event_whose_function_failed_is_taken_again() -> None:
    """Raised or returned, an error releases the claim."""
    hooks, site, seen = stripe_hooks(once=True), Site(), []

    @hooks.on("invoice.paid")
    async def paid(event: Paid) -> Result[None]:
        seen.append(event)
        if len(seen) == 1:
            raise RuntimeError
        return err("Not now", status=503) if len(seen) == 2 else ok()

    replies = [await site.deliver(hooks, {"id": "evt_1", "type": "invoice.paid"}) for _ in range(4)]
    assert [reply.status for reply in replies] == [500, 503, 200, 200]
    assert len(seen) == 3


@pytest.mark.anyio
async def test_two_routers_of_one_sender_are_told_apart_by_name() -> None:
    """The same event for two endpoints is two events, where each has a name."""
    site = Site()
    for name in ("billing", "reports"):
        hooks = stripe_hooks(once=True, name=name)
        seen = counting(hooks)
        await site.deliver(hooks, {"id": "evt_1", "type": "invoice.paid"})
        assert len(seen) == 1


def test_a_server_takes_it_for_an_app_and_no_factory() -> None:
    """uvicorn calls an app without arguments to see whether it makes one."""
    uvicorn = pytest.importorskip("uvicorn", reason='pip install "gatewright[example]"')
    hooks = stripe_hooks()
    config = uvicorn.Config(hooks, log_config=None)
    config.load()
    assert config.interface == "asgi3"
    with pytest.raises(TypeError):
        hooks()  # type: ignore[call-overload]  # what it does
