"""verify_webhook on real handlers: what passes, what is refused, and what nobody learns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from gatewright._core.call import Call
from gatewright._core.decorate import Decorator
from gatewright._core.gate import Gate
from gatewright._core.handler import Handler
from gatewright._core.log import EventList
from gatewright.errors import ApiError, ConfigurationError, PayloadTooLarge
from gatewright.webhooks import (
    Delivery,
    Event,
    Scheme,
    Tenant,
    Verified,
    VerifyWebhook,
    WebhookRejected,
    github,
    hmac_scheme,
    square,
    stripe,
    verify_webhook,
)
from gatewright.webhooks.events import EventMarker
from gatewright.webhooks.scheme import Covered
from gatewright.webhooks.secret import Secret, Secrets
from tests.web import Browser
from tests.webhooks.kit import headers_of

NOW = 1_760_000_000.0
SECRET = "whsec_guard"
BODY = b'{"id":"evt_1","type":"invoice.paid","amount":7}'


class Paid(BaseModel):
    id: str
    type: Literal["invoice.paid"]
    amount: int


class Voided(BaseModel):
    type: Literal["invoice.voided"]


@dataclass(frozen=True)
class Stopped:
    """A clock that stands still."""

    at: float = NOW

    def time(self) -> float:
        """Return the one time."""
        return self.at

    def monotonic(self) -> float:
        """Return the one time."""
        return self.at


class Hook:
    """An installed app with one webhook, and its log."""

    def __init__(self, endpoint: Any, backend: str = "asyncio", **options: Any) -> None:
        self.events = EventList()
        app = Starlette(routes=[Route("/hooks/{tenant}", endpoint, methods=["POST"])])
        Gate(log=self.events, clock=Stopped(), **options).install(app)
        self.client = Browser(app, backend)

    def post(self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/hooks/acme") -> Any:
        """Deliver *body*, signed as Stripe does unless *headers* say otherwise."""
        return self.client.post(path, content=body, headers=signed(body) if headers is None else headers)

    def logged(self, event: str) -> dict[str, Any]:
        """Return the only event of that name."""
        (found,) = [entry for entry in self.events if entry["event"] == event]
        return found


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Return Stripe's header."""
    return headers_of(stripe().sign(body, secret, now=NOW))


def call_of(body: bytes, headers: Sequence[tuple[bytes, bytes]], scope: Mapping[str, Any] | None = None) -> Call:
    """Return a call with a body."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        """Take nothing."""

    base: Scope = {"type": "http", "method": "POST", "path": "/hooks/a b", "headers": list(headers)}
    return Call(Gate(clock=Stopped(), body_limit=1000), {**base, **(scope or {})}, receive, send)


def raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def guard_of(decorator: Decorator) -> VerifyWebhook:
    """Return the guard that a decorator adds."""

    @decorator
    async def handler(webhook: Verified) -> None:
        """Take a delivery."""

    (guard,) = handler.pipeline.guards
    assert isinstance(guard, VerifyWebhook)
    return guard


def test_a_verified_delivery_reaches_the_handler(anyio_backend: str) -> None:
    """Event, Verified and the Request are there, in any order, and None is a success."""
    seen: list[object] = []

    @verify_webhook(stripe(), secrets=["whsec_new", SECRET])
    async def hook(request: Request, webhook: Verified, event: Event[Paid | Voided]) -> None:
        seen.extend([event, webhook.event_id, webhook.key_index, await request.body()])

    hooks = Hook(hook, anyio_backend)
    response = hooks.post(BODY)
    assert (response.status, response.json) == (200, {"success": True, "data": None})
    assert seen == [Paid(id="evt_1", type="invoice.paid", amount=7), "evt_1", 1, BODY]
    facts = hooks.logged("request")
    assert (facts["webhook"], facts["webhook_key_index"], facts["webhook_event"]) == ("stripe", 1, "evt_1")


def test_every_refusal_looks_the_same() -> None:
    """Missing, forged, stale or malformed: one answer; the log alone tells them apart, and the handler never ran."""
    ran: list[bool] = []

    @verify_webhook(stripe(), secrets=SECRET)
    async def hook(event: Event[Paid]) -> None:
        ran.append(True)

    hooks = Hook(hook)
    stale = headers_of(stripe().sign(BODY, SECRET, now=NOW - 301))
    cases = [{}, signed(BODY, "whsec_x"), stale, {"Stripe-Signature": "t=x,v1=00"}, signed(b"another body")]
    answers = {_answer(hooks.post(BODY, headers)) for headers in cases}
    assert answers == {
        (
            401,
            "Webhook",
            '{"success": false, "error": "The webhook\'s signature is not valid", "code": "invalid_signature"}',
        )
    }
    assert [entry["reason"] for entry in hooks.events] == [
        "stripe: signature_missing",
        "stripe: signature_mismatch",
        "stripe: timestamp_expired",
        "stripe: malformed",
        "stripe: signature_mismatch",
    ]
    assert not ran


def _answer(response: Any) -> tuple[int, str, str]:
    body = {name: value for name, value in response.json.items() if name != "request_id"}
    return response.status, response.headers["www-authenticate"], json.dumps(body)


def test_the_log_has_neither_secret_nor_signature() -> None:
    """What would let a reader of the log sign, or the sender's signature itself, is never written."""

    @verify_webhook(stripe(), secrets=SECRET)
    async def hook(event: Event[Voided]) -> None:
        """Take what is voided."""

    hooks = Hook(hook)
    for headers in (signed(BODY), signed(b"other")):
        hooks.post(BODY, headers)
    written = repr(list(hooks.events))
    assert SECRET not in written
    assert signed(BODY)["stripe-signature"][-64:] not in written
    assert SECRET not in repr(hook.pipeline)


def test_senders_that_want_a_400_get_it() -> None:
    """on_invalid=400 changes the status and leaves the challenge out, nothing else."""

    @verify_webhook(github(), secrets=SECRET, on_invalid=400)
    async def hook(webhook: Verified) -> None:
        """Take a delivery."""

    response = Hook(hook).post(BODY, {})
    assert (response.status, response.json["code"]) == (400, "invalid_signature")
    assert "www-authenticate" not in response.headers


def test_an_unknown_event_is_received_and_logged(anyio_backend: str) -> None:
    """An event that the handler does not take is answered, so that the sender stops, and logged without payload."""

    @verify_webhook(stripe(), secrets=SECRET)
    async def hook(event: Event[Paid | Voided]) -> None:
        raise AssertionError("not for this handler")

    hooks = Hook(hook, anyio_backend)
    response = hooks.post(b'{"id":"evt_2","type":"customer.created","email":"a@example.com"}')
    assert (response.status, response.json) == (200, {"received": True})
    facts = hooks.logged("webhook_ignored")
    assert (facts["scheme"], facts["event_id"], facts["event_type"]) == ("stripe", "evt_2", "customer.created")
    assert "a@example.com" not in repr(list(hooks.events))


def test_a_signed_event_that_does_not_fit_is_invalid_input() -> None:
    """A silent 200 would lose it: 400, or the gate's 422, without a word of the event."""

    @verify_webhook(stripe(), secrets=SECRET)
    async def hook(event: Event[Paid]) -> None:
        """Take what is paid."""

    body = b'{"id":"evt_3","type":"invoice.paid","amount":"s3cr3t"}'
    hooks = Hook(hook, invalid_status=422)
    response = hooks.post(body)
    assert (response.status, response.json["code"]) == (422, "validation_failed")
    assert "s3cr3t" not in response.body.decode()
    assert hooks.logged("request")["reason"] == "event: invoice.paid.amount int_parsing"


def test_fastapi_parses_json_before_any_dependency() -> None:
    """An unsigned body that does not even parse is refused for its signature, and nothing tells what would fit."""

    @verify_webhook(stripe(), secrets=SECRET)
    async def hook(event: Event[Paid]) -> None:
        """Take what is paid."""

    response = Hook(hook).post(b"{", signed(b"other"))
    assert (response.status, response.json["code"]) == (401, "invalid_signature")
    assert Hook(hook).post(b"").status == 400


def test_a_body_over_the_cap_is_refused_before_it_is_hashed() -> None:
    """413, whatever the signature says."""

    @verify_webhook(stripe(), secrets=SECRET)
    async def hook(event: Event[Paid]) -> None:
        """Take what is paid."""

    assert Hook(hook, body_limit=10).post(BODY).status == 413


@pytest.mark.anyio
async def test_a_chunked_body_over_the_cap_is_refused() -> None:
    """Without a length the cap counts what arrives."""
    guard = VerifyWebhook(stripe(), (SECRET,))
    with pytest.raises(PayloadTooLarge):
        await guard.enter(call_of(b"x" * 1001, raw(signed(b""))))


@pytest.mark.anyio
async def test_base_http_middleware_streams_the_body_away() -> None:
    """A body that somebody read before us is our fault, not the sender's: it says so, in the log, and is a 500."""
    guard = VerifyWebhook(stripe(), (SECRET,))
    with pytest.raises(ConfigurationError, match="consumed upstream"):
        await guard.enter(call_of(b"", [*raw(signed(BODY)), (b"content-length", b"47")]))
    await guard.enter(call_of(b"", [*raw(signed(b"")), (b"content-length", b"0")]))


def test_a_body_consumed_upstream_is_a_500_that_explains_itself() -> None:
    """The client reads the fixed text, the developer reads where to look."""

    @verify_webhook(stripe(), secrets=SECRET)
    async def hook(event: Event[Paid]) -> None:
        """Take what is paid."""

    hooks = Hook(hook)
    inner: Any = hooks.client.app

    async def thief(scope: Scope, receive: Receive, send: Send) -> None:
        async def empty() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        await inner(scope, empty if scope["type"] == "http" else receive, send)

    hooks.client = Browser(thief)
    response = hooks.post(BODY)
    assert (response.status, response.json["error"]) == (500, "Internal server error")
    assert "consumed upstream" in repr(hooks.logged("unhandled_exception"))


def test_secrets_of_a_tenant_come_from_a_function(anyio_backend: str) -> None:
    """A function of the delivery, sync or async, finds the secrets; a tenant without any is refused like a forgery."""
    asked: list[str] = []
    known: dict[str, Secrets | None] = {
        "acme": "whsec_acme",
        "beta": [b"whsec_b1", "whsec_b2"],
        "none": None,
        "blank": "",
    }

    def lookup(delivery: Delivery) -> Secrets | None:
        asked.append(delivery.url)
        return known.get(delivery.url.rpartition("/")[2], ())

    async def lookup_later(delivery: Delivery) -> Secrets | None:
        return lookup(delivery)

    for secrets in (lookup, lookup_later):

        @verify_webhook(stripe(), secrets=secrets, public_url="https://api.example.com/v1/")
        async def hook(webhook: Verified) -> int:
            return webhook.key_index

        hooks = Hook(hook, anyio_backend)
        assert hooks.post(BODY, signed(BODY, "whsec_acme")).json["data"] == 0
        assert hooks.post(BODY, signed(BODY, "whsec_b2"), "/hooks/beta").json["data"] == 1
        assert hooks.post(BODY, signed(BODY, "whsec_acme"), "/hooks/beta").status == 401
        for tenant in ("none", "blank", "nobody"):
            assert hooks.post(BODY, signed(BODY, "whsec_acme"), f"/hooks/{tenant}").status == 401
            assert hooks.events[-1]["reason"] == "stripe: no_secret"
    assert asked[0] == "https://api.example.com/v1/hooks/acme"


@pytest.mark.anyio
async def test_the_delivery_has_the_url_as_it_was_sent() -> None:
    """Path and query come from the wire; the origin is the configured one, never the Host header's."""
    seen: list[tuple[str, str]] = []

    def lookup(delivery: Delivery) -> str:
        seen.append((delivery.method, delivery.url))
        return SECRET

    headers = [*raw(signed(BODY)), (b"host", b"evil.example")]
    scopes: list[dict[str, Any]] = [
        {},
        {"query_string": b"a=1&b=%20"},
        {"raw_path": b"/hooks/a%20b?a=1", "query_string": b"a=1"},
        {"method": "PUT"},
    ]
    for scope in scopes:
        await VerifyWebhook(stripe(), lookup).enter(call_of(BODY, headers, scope))
    await VerifyWebhook(stripe(), lookup, "https://api.example.com").enter(call_of(BODY, headers))
    assert seen == [
        ("POST", "/hooks/a%20b"),
        ("POST", "/hooks/a%20b?a=1&b=%20"),
        ("POST", "/hooks/a%20b?a=1"),
        ("PUT", "/hooks/a%20b"),
        ("POST", "https://api.example.com/hooks/a%20b"),
    ]


@pytest.mark.anyio
async def test_the_guard_provides_what_it_says() -> None:
    """Verified is on the call; the event is an argument, once the guard is sealed to a handler."""

    async def hook(paid: Event[Paid]) -> None:
        """Take what is paid."""

    guard = VerifyWebhook(stripe(), (SECRET,))
    call = call_of(BODY, raw(signed(BODY)))
    assert await guard.enter(call) is None
    assert call.get(Verified).event_id == "evt_1"
    assert call.arguments == {}
    await guard.seal(Handler.read(hook)).enter(call)
    assert call.arguments == {"paid": Paid(id="evt_1", type="invoice.paid", amount=7)}
    assert guard.provides == (Verified, EventMarker)


def test_a_whole_app_can_stand_behind_a_signature() -> None:
    """An ASGI app that verifies nothing itself is verified as a whole, and reads the same body."""

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)

    app = Gate(clock=Stopped(), log=EventList()).wrap(verify_webhook(stripe(), secrets=SECRET)(echo))
    client = Browser(app)
    assert client.post("/", content=BODY, headers=signed(BODY)).body == BODY
    assert client.post("/", content=BODY).status == 401


def test_the_same_guard_on_app_and_handler_still_reads_the_event() -> None:
    """Verified outside is verified, but only the inner guard reads the event: it runs again."""
    verified = verify_webhook(stripe(), secrets=SECRET)

    @verified
    async def hook(event: Event[Paid]) -> int:
        return event.amount

    inner = Starlette(routes=[Route("/hooks/acme", hook, methods=["POST"])])
    client = Browser(Gate(clock=Stopped(), log=EventList()).wrap(verified(inner)))
    assert client.post("/hooks/acme", content=BODY, headers=signed(BODY)).json["data"] == 7


def test_the_original_is_tested_without_http() -> None:
    """`.handler` takes an event that a test made."""

    @verify_webhook(stripe(), secrets=SECRET)
    def hook(event: Event[Paid | Voided]) -> str:
        return event.type

    assert hook.handler(Voided(type="invoice.voided")) == "invoice.voided"


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        (None, "NoneType.*environment variable"),
        ("", "anybody could sign"),
        (b"", "anybody could sign"),
        ([], "anybody could sign"),
        ((), "anybody could sign"),
        (" ", "anybody could sign"),
        (["whsec_a", ""], "anybody could sign"),
        (["whsec_a", None], "NoneType"),
        (7, "int"),
        ({"whsec_a"}, "set"),
        ("sk_live_123", "whsec_"),
    ],
)
def test_secrets_that_protect_nothing_are_refused_at_import(secrets: Any, message: str) -> None:
    """A variable that is not set must not become an endpoint that anybody can call."""
    with pytest.raises(ConfigurationError, match=message):
        verify_webhook(stripe(), secrets=secrets)


class Custom(Scheme):
    """A scheme of one's own: what the protocol asks for, and nothing else."""

    name = "custom"

    def __init__(self, *covers: Covered) -> None:
        self._covers: frozenset[Covered] = frozenset(covers)

    @property
    def covers(self) -> frozenset[Covered]:
        """Cover what it was told."""
        return self._covers

    def check(self, secret: Secret) -> None:
        """Take any secret."""

    def verify(self, delivery: Delivery, secrets: Secrets, now: float) -> Verified:
        """Believe one URL."""
        if delivery.url != "https://api.example.com/hooks/a%20b":
            raise WebhookRejected("signature_mismatch")
        return Verified(self.name, 0, None, self.covers, "key", None)

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Sign nothing."""
        return Delivery(body)


@pytest.mark.anyio
async def test_a_scheme_of_ones_own_that_signs_the_url() -> None:
    """Any value that fits the protocol is a scheme; one that signs the URL has to be told the public one."""
    scheme = Custom("body", "url")
    assert (scheme.event_type, scheme.received.body) == (None, b'{"received":true}')
    with pytest.raises(ConfigurationError, match="public_url"):
        verify_webhook(scheme, secrets="s")
    guard = guard_of(verify_webhook(scheme, secrets="s", public_url="https://api.example.com"))
    assert await guard.enter(call_of(BODY, [])) is None
    with pytest.raises(ApiError):
        await guard.enter(call_of(BODY, [], {"query_string": b"a=1"}))


def test_wrong_arguments_say_what_to_write() -> None:
    """Each mistake is refused when decorating, with its cure."""
    factory: Any = stripe
    decorate: Any = verify_webhook
    with pytest.raises(ConfigurationError, match="parentheses"):
        decorate(factory, secrets=SECRET)
    with pytest.raises(ConfigurationError, match="does not sign the body"):
        decorate(Custom("timestamp"), secrets=SECRET)
    with pytest.raises(ConfigurationError, match="write 400 or 401"):
        decorate(github(), secrets=SECRET, on_invalid=403)
    for url in ("api.example.com", "ftp://x", "https://", "https://x?a=1", "https://x#a"):
        with pytest.raises(ConfigurationError, match="write scheme and host"):
            decorate(github(), secrets=SECRET, public_url=url)


def test_two_signatures_on_one_handler_are_refused() -> None:
    """A delivery has one sender."""
    with pytest.raises(ConfigurationError, match="two verify_webhook"):

        @verify_webhook(github(), secrets=SECRET)
        @verify_webhook(hmac_scheme("x-sig"), secrets=SECRET)
        async def hook(webhook: Verified) -> None:
            """Take a delivery."""


@pytest.mark.parametrize("found", [{"acme": SECRET}, 5, {SECRET}])
def test_secrets_of_another_kind_are_nobodys(found: Any) -> None:
    """The keys of a dict would be tried as secrets: it is a mistake of ours, and no forgery."""

    @verify_webhook(stripe(), secrets=lambda delivery: found)
    async def hook() -> None:
        """Take anything."""

    hooks = Hook(hook)
    assert hooks.post(BODY, signed(BODY, "acme")).status == 500
    assert "return a secret, a list of them" in str(list(hooks.events))


def test_a_tenant_has_a_name_and_secrets() -> None:
    """Without a name all tenants would be one, and each could pass for another."""
    for name in ("", None, 7):
        with pytest.raises(ConfigurationError, match="write a name"):
            Tenant(name, SECRET)  # type: ignore[arg-type]  # wrong on purpose
    for secrets in (None, {SECRET}, 7):
        with pytest.raises(ConfigurationError, match="no secret"):
            Tenant("acme", secrets)  # type: ignore[arg-type]  # wrong on purpose
    assert repr(Tenant("acme", SECRET)) == "Tenant(name='acme')"


def test_a_fetch_that_is_not_async_is_refused() -> None:
    """It would be found out with the first certificate."""
    with pytest.raises(ConfigurationError, match="async def"):
        verify_webhook(stripe(), secrets=SECRET, fetch=lambda url: b"")  # type: ignore[arg-type,return-value]  # wrong on purpose


@pytest.mark.parametrize(("scheme", "url"), [(square(), "https://api.example.com/hooks/acme"), (stripe(), None)])
def test_the_log_has_the_url_that_was_compared(scheme: Scheme, url: str | None) -> None:
    """A public URL that is not the sender's is the usual mistake; a query may hold secrets, and is left out."""

    @verify_webhook(scheme, secrets=SECRET, public_url="https://api.example.com")
    async def hook() -> None:
        """Take anything."""

    hooks = Hook(hook)
    wrong = {"x-square-hmacsha256-signature": "A" * 44, "stripe-signature": "t=1,v1=00"}
    assert hooks.post(BODY, wrong, "/hooks/acme?token=hush").status == 401
    assert hooks.logged("request").get("webhook_url") == url


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"content-length": "5"}, 500), ({"content-length": "5", "transfer-encoding": "chunked"}, 401)],
)
def test_a_length_beside_chunks_says_nothing(headers: dict[str, str], status: int) -> None:
    """Some servers leave the header that anybody wrote; only a length that was read is a body that is missing."""

    @verify_webhook(stripe(), secrets=SECRET)
    async def hook() -> None:
        """Take anything."""

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    with pytest.raises((ApiError, ConfigurationError)) as raised:
        asyncio.run(_entered(guard_of(verify_webhook(stripe(), secrets=SECRET)), call_of(b"", raw)))
    assert getattr(raised.value, "status_code", 500) == status


async def _entered(guard: VerifyWebhook, made: Call) -> None:
    await guard.enter(made)


def test_a_whole_address_as_target_is_refused() -> None:
    """`POST http://elsewhere/hooks`: its host is anybody's word, and stands for no public URL."""
    guard = guard_of(verify_webhook(stripe(), secrets=SECRET))
    made = call_of(BODY, [], {"raw_path": b"http://elsewhere.example.com/hooks"})
    with pytest.raises(ApiError) as raised:
        asyncio.run(_entered(guard, made))
    assert raised.value.status_code == 400


def test_an_unknown_tenant_costs_as_much_as_a_wrong_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time does not tell which tenants there are: the body is hashed for nobody, too."""
    import hmac

    hashed: list[int] = []
    real = hmac.digest

    def counting(key: bytes, message: bytes, algorithm: Any) -> bytes:
        hashed.append(len(message))
        return real(key, message, algorithm)

    monkeypatch.setattr(hmac, "digest", counting)
    for secrets in ([], ["whsec_another"]):
        hashed.clear()
        with pytest.raises(WebhookRejected):
            stripe().verify(stripe().sign(BODY, SECRET, NOW), secrets, NOW)
        assert hashed[1:] == [len(BODY) + 11]
