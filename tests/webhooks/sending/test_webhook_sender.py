"""A sender signs each attempt anew, keeps the event's id, tries again in time, and calls nobody inside."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from ipaddress import ip_address
from itertools import repeat
from time import sleep
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from gatewright.errors import ConfigurationError
from gatewright.testing import EventList, FrozenClock
from gatewright.webhooks import Delivery, Verified, verify_webhook
from gatewright.webhooks.events import Event
from gatewright.webhooks.schemes.rfc9421.scheme import http_message_signatures
from gatewright.webhooks.schemes.senders import hmac_scheme
from gatewright.webhooks.schemes.standard import standard_webhooks
from gatewright.webhooks.schemes.twilio import twilio
from gatewright.webhooks.sending.addresses import Egress, is_public
from gatewright.webhooks.sending.contract import Attempt, HttpRequest, HttpResponse, SendResult
from gatewright.webhooks.sending.retries import STANDARD_SCHEDULE, Retries
from gatewright.webhooks.sending.sender import WebhookSender
from tests.webhooks.sending.receivers import (
    LOOPBACK,
    SECRET,
    Recorder,
    ScriptedClient,
    counting,
    resolving,
    scripted,
    serving,
)
from tests.webhooks.sending.test_webhook_endpoint import URLS

pytestmark = pytest.mark.anyio

URL = "https://hooks.example.com/in?to=me"
BODY = b'{"type":"invoice.paid"}'
PUBLIC = ["93.184.216.34"]


class Paid(BaseModel):
    """What a receiver expects."""

    type: str
    amount: int


class Bench:
    """A sender whose clock stands still, whose sleeps are written down, and whose client answers by a script."""

    def __init__(self, *answers: HttpResponse | Exception, **options: Any) -> None:
        self.client = ScriptedClient(list(answers))
        self.clock = FrozenClock()
        self.sleeps: list[float] = []
        self.log = EventList()
        options = {"resolve": self._resolve, "entropy": counting, "client": self.client, **options}
        self.sender = WebhookSender(log=self.log, clock=self.clock, sleep=self._sleep, **options)

    async def send(self, url: str = URL, event: object = BODY, **options: Any) -> SendResult:
        """Send an event."""
        return await self.sender.send(url, event, **{"secret": SECRET, **options})

    async def attempt(self, number: int = 1) -> Attempt:
        """Make one attempt."""
        return await self.sender.attempt(URL, BODY, secret=SECRET, event_id="msg_1", number=number)

    @property
    def requests(self) -> list[HttpRequest]:
        """Return what was sent."""
        return self.client.requests

    async def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.clock.advance(seconds)

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        return PUBLIC


def delivery_of(request: HttpRequest) -> Delivery:
    """Return a request as its receiver sees it."""
    endpoint = request.endpoint
    url = f"{endpoint.scheme}://{endpoint.authority}{endpoint.target}"
    return Delivery.of(request.body, request.headers, method=request.method, url=url)


async def test_our_receiver_takes_what_our_sender_sends() -> None:
    """From a model at one end to a model at the other, over a real server, under one id."""
    seen: list[tuple[Paid, str | None]] = []

    @verify_webhook(standard_webhooks(), secrets=SECRET)
    async def hook(event: Event[Paid], webhook: Verified) -> Response:
        seen.append((event, webhook.event_id))
        return Response(status_code=202)

    sender = WebhookSender(egress=LOOPBACK, resolve=resolving(["127.0.0.1"]), log=EventList())
    paid = Paid(type="invoice.paid", amount=5)
    with serving(Starlette(routes=[Route("/in", hook, methods=["POST"])])) as port:
        result = await sender.send(f"http://hooks.example.com:{port}/in", paid, secret=SECRET)
    assert (result.ok, result.status, len(result.attempts)) == (True, 202, 1)
    assert seen == [(paid, result.event_id)]


@pytest.mark.parametrize("library", ["standardwebhooks", "svix.webhooks"])
async def test_official_libraries_verify_what_is_sent(library: str) -> None:
    """standardwebhooks and svix take the headers and the body that arrive, with either secret of two."""
    official, app, other = pytest.importorskip(library), Recorder(), "whsec_" + "b2xkIG9u" * 4
    sender = WebhookSender(egress=LOOPBACK, resolve=resolving(["127.0.0.1"]), log=EventList())
    with serving(app) as port:
        await sender.send(f"http://hooks.example.com:{port}/", {"caf\u00e9": 1}, secret=[SECRET, other])
    ((request, body),) = app.received
    for secret in (SECRET, other):
        official.Webhook(secret).verify(body, dict(request.headers))
    with pytest.raises(official.WebhookVerificationError):
        official.Webhook("whsec_" + "bmVpdGhl" * 4).verify(body, dict(request.headers))


async def test_a_request_is_complete() -> None:
    """A client of yours needs to add nothing: the name, the type of the content, the signature."""
    bench = Bench(headers={"User-Agent": "Acme-Webhooks", "X-Env": "test"})
    result = await bench.send()
    (request,) = bench.requests
    assert result.event_id == "msg_000102030405060708090a0b0c0d0e0f"
    assert (request.method, request.address, request.body, request.timeout) == ("POST", PUBLIC[0], BODY, 15)
    assert request.headers.items() >= {
        "host": "hooks.example.com",
        "content-type": "application/json",
        "user-agent": "Acme-Webhooks",
        "x-env": "test",
        "webhook-id": result.event_id,
        "webhook-timestamp": "1800000000",
    }.items()  # fmt: skip
    assert standard_webhooks().verify(delivery_of(request), SECRET, bench.clock.time()).event_id == result.event_id
    plain = Bench()
    await plain.send()
    assert plain.requests[0].headers["user-agent"] == "gatewright"


async def test_each_attempt_is_signed_anew_under_the_same_id() -> None:
    """A later attempt with the first one's time would be too old for its receiver."""
    bench = Bench(HttpResponse(500), HttpResponse(500), retries=Retries([100, 1000], jitter=0))
    result = await bench.send(event_id="evt_7")
    assert (result.ok, result.event_id, len(result.attempts)) == (True, "evt_7", 3)
    assert bench.sleeps == [100, 1000]
    times = [int(request.headers["webhook-timestamp"]) for request in bench.requests]
    assert times == [1_800_000_000, 1_800_000_100, 1_800_001_100]
    for request, time in zip(bench.requests, times, strict=True):
        verified = standard_webhooks().verify(delivery_of(request), SECRET, time)
        assert (verified.event_id, request.body) == ("evt_7", BODY)


async def test_the_same_bytes_of_entropy_are_the_same_waits() -> None:
    """Jitter is replayed by a test that wants it."""
    answers = [HttpResponse(503)] * 2
    sleeps: list[list[float]] = []
    for entropy in (counting, counting, bytes):
        bench = Bench(*answers, entropy=entropy)
        await bench.send()
        sleeps.append(bench.sleeps)
    assert sleeps[0] == sleeps[1] != sleeps[2]
    assert sleeps[2] == [2, 10]


async def test_it_ends_with_the_last_attempt() -> None:
    """What is returned says what each attempt came to; nothing is raised for a receiver's failures."""
    bench = Bench(TimeoutError(), ValueError("broken"), HttpResponse(418))
    result = await bench.send()
    assert [(one.number, one.failure, one.status) for one in result.attempts] == [
        (1, "timeout", None),
        (2, "no_answer", None),
        (3, "status", 418),
    ]
    assert (result.ok, result.gone, result.failure, result.status) == (False, False, "status", 418)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_is_success(status: int) -> None:
    """Whatever else a receiver says."""
    bench = Bench(HttpResponse(status))
    result = await bench.send()
    assert (result.ok, result.failure, result.status, len(bench.requests)) == (True, None, status, 1)


@pytest.mark.parametrize("status", [101, 199, 300, 301, 304, 308, 400, 404, 500, 599])
async def test_nothing_else_is_success(status: int) -> None:
    """A redirect is a failure like the others, and leads nowhere."""
    bench = Bench(HttpResponse(status, {"location": "https://elsewhere.example.com/"}), retries=Retries(()))
    result = await bench.send()
    assert (result.ok, result.failure, result.status, len(bench.requests)) == (False, "status", status, 1)


async def test_gone_is_the_end() -> None:
    """410 says that nothing more is wanted: it is not tried again, and the caller is told."""
    bench = Bench(HttpResponse(410))
    result = await bench.send()
    assert (result.ok, result.gone, len(bench.requests), bench.sleeps) == (False, True, 1, [])


@pytest.mark.parametrize("name", ["retry-after", "Retry-After"])
async def test_retry_after_is_honoured(name: str) -> None:
    """In seconds or as a date, up to the longest wait; other clients spell the name as it came."""
    date = format_datetime(datetime.fromtimestamp(1_800_000_020 + 17, UTC), usegmt=True)
    bench = Bench(HttpResponse(429, {name: "20"}), HttpResponse(503, {name: date}), entropy=lambda size: b"\xff" * size)
    result = await bench.send()
    assert [one.retry_after for one in result.attempts] == [20, 17, None]
    assert bench.sleeps == [20, 17]


async def test_a_queue_of_yours_makes_one_attempt_at_a_time() -> None:
    """An attempt is a value, and when the next one is due follows from it: the process may end in between."""
    bench = Bench(HttpResponse(500), HttpResponse(410))
    first = await bench.attempt()
    assert STANDARD_SCHEDULE.wait(first, bytes) == 5
    second = await bench.attempt(number=2)
    assert (second.number, STANDARD_SCHEDULE.wait(second, bytes)) == (2, None)
    assert bench.sleeps == []


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/",
        "https://localhost/",
        "http://hooks.example.com/",
        "https://a@b.example.com/",
        "",
        "?",
    ],
)
async def test_an_unsafe_url_is_not_called(url: str) -> None:
    """It is the words of whoever registered it: a failure of theirs, which stops no worker, and is final."""
    bench = Bench(resolve=resolving())
    result = await bench.send(url)
    assert (result.failure, bench.requests, bench.sleeps, len(result.attempts)) == ("unsafe_url", [], [], 1)


async def test_a_name_that_points_inside_is_not_called() -> None:
    """One private address among public ones is enough."""
    bench = Bench(resolve=resolving(["93.184.216.34", "10.0.0.1"]))
    result = await bench.send()
    assert (result.failure, bench.requests, bench.sleeps) == ("unsafe_url", [], [])
    assert result.attempts[0].problem == "hooks.example.com has the address 10.0.0.1"


async def test_rebinding_gets_nobody_inside() -> None:
    """A host is looked up once for an attempt, and the connection goes to what was looked at."""
    bench = Bench(HttpResponse(500), HttpResponse(200), resolve=resolving(PUBLIC, ["127.0.0.1"]))
    result = await bench.send()
    assert [request.address for request in bench.requests] == PUBLIC
    assert [one.failure for one in result.attempts] == ["status", "unsafe_url"]


async def test_rebinding_over_a_real_connection() -> None:
    """The name resolves nowhere, and nobody asks: the address that was looked up is the one that is called."""
    app = Recorder()
    sender = WebhookSender(egress=LOOPBACK, resolve=resolving(["127.0.0.1"]), log=EventList())
    with serving(app) as port:
        result = await sender.send(f"http://hooks.invalid:{port}/", {}, secret=SECRET)
    assert (result.ok, app.received[0][0].headers["host"]) == (True, f"hooks.invalid:{port}")


async def test_each_attempt_tries_another_address() -> None:
    """One of several may be out of reach from here: IPv6 often is."""
    several = ["2a00::1", "93.184.216.34"]
    bench = Bench(*[OSError()] * 2, resolve=resolving(several, several, several))
    await bench.send()
    assert [request.address for request in bench.requests] == ["2a00::1", "93.184.216.34", "2a00::1"]


async def test_a_host_without_an_address_may_have_one_later() -> None:
    """What the DNS does not know yet is tried again."""
    bench = Bench(resolve=resolving([], PUBLIC))
    result = await bench.send()
    assert [one.failure for one in result.attempts] == ["no_address", None]


async def test_a_slow_look_at_the_dns_is_cut_off() -> None:
    """The time of an attempt begins with it."""

    async def slow(host: str, port: int) -> Sequence[str]:
        await anyio.sleep_forever()
        raise AssertionError

    bench = Bench(resolve=slow, timeout=0.05, retries=Retries(()))
    assert (await bench.send()).failure == "timeout"


def dripping() -> Iterable[bytes]:
    """Return a head that never ends, though something comes all the time."""
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(100):
        sleep(0.02)
        yield b"X-%d: 1\r\n" % number


@pytest.mark.parametrize("answer", [list, dripping, lambda: repeat(b"HTTP/1.1 102 Processing\r\n\r\n", 1 << 20)])
async def test_a_slow_receiver_is_cut_off(answer: Any) -> None:
    """Silence, a head byte by byte, answers that are none yet: after the timeout it is over."""
    with scripted(answer) as (port, _):
        sender = WebhookSender(
            egress=LOOPBACK, resolve=resolving(["127.0.0.1"]), timeout=0.3, retries=Retries(()), log=EventList()
        )
        result = await sender.send(f"http://hooks.example.com:{port}/", {}, secret=SECRET)
    assert result.failure == "timeout"


async def test_what_a_client_says_is_for_the_log() -> None:
    """The error at the root says most, no more of it than fits, and one that is its own cause has an end."""
    wrapping, circular = OSError(), OSError("round")
    wrapping.__cause__ = ValueError("certificate " + "x" * 500)
    circular.__cause__ = circular
    bench = Bench(wrapping, circular)
    told, ended, _ = (await bench.send()).attempts
    assert (told.problem or "").startswith("ValueError: certificate")
    assert len(told.problem or "") == 200
    assert ended.problem == "OSError: round"


async def test_the_reason_of_a_failed_handshake_is_told() -> None:
    """A receiver's owner wants to know what is wrong with the certificate."""
    with scripted(lambda: [b"no TLS\r\n\r\n"]) as (port, _):
        sender = WebhookSender(egress=LOOPBACK, resolve=resolving(["127.0.0.1"]), retries=Retries(()), log=EventList())
        result = await sender.send(f"https://hooks.example.com:{port}/", {}, secret=SECRET)
    (attempt,) = result.attempts
    assert attempt.failure == "no_answer"
    assert "SSL" in (attempt.problem or "")


async def test_every_attempt_is_one_event_of_the_log() -> None:
    """It names the host, and not the URL, which may be a secret."""
    bench = Bench(HttpResponse(500), retries=Retries([1], jitter=0))
    await bench.send("https://hooks.example.com/T0K3N", event_id="msg_1")
    await bench.send("https://10.0.0.1/T0K3N", event_id="msg_2")
    common = {"event_id": "msg_1", "host": "hooks.example.com", "seconds": 0.0}
    assert list(bench.log) == [
        {"level": "warning", "event": "webhook_not_sent", **common, "attempt": 1, "status": 500, "failure": "status"},
        {"level": "info", "event": "webhook_sent", **common, "attempt": 2, "status": 204},
        {
            "level": "warning",
            "event": "webhook_not_sent",
            "event_id": "msg_2",
            "attempt": 1,
            "failure": "unsafe_url",
            "problem": "10.0.0.1 has the address 10.0.0.1",
            "seconds": 0.0,
        },
    ]
    assert "T0K3N" not in str(bench.log)


async def test_any_scheme_signs() -> None:
    """One's own format, and one that puts something into the URL: what is called is what was signed."""
    own = Bench(scheme=hmac_scheme("X-Acme-Signature"))
    await own.send()
    assert "x-acme-signature" in own.requests[0].headers
    voice = Bench(scheme=twilio())
    await voice.send(secret="token")
    (request,) = voice.requests
    assert request.endpoint.target.startswith("/in?to=me&bodySHA256=")
    assert twilio().verify(delivery_of(request), "token", 0).key_index == 0
    await voice.send(event=b"From=1&To=2", secret="token")
    assert voice.requests[1].headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("url", ["", "/in", "https://", "https://a@b.example.com/"])
async def test_a_scheme_is_given_no_url_that_is_unsafe(url: str) -> None:
    """One that signs the host has a word with the developer where there is none; here it is the customer's fault."""
    scheme = http_message_signatures(algorithm="hmac-sha256")
    result = await Bench(scheme=scheme).send(url, secret="a secret of thirty-two bytes 012")
    assert result.failure == "unsafe_url"
    sound = Bench(scheme=scheme)
    await sound.send(secret="a secret of thirty-two bytes 012")
    assert "signature-input" in sound.requests[0].headers


@pytest.mark.parametrize(
    ("event", "options"),
    [
        ("text", {}),
        (object(), {}),
        (BODY, {"secret": []}),
        (BODY, {"secret": ""}),
        (BODY, {"secret": "whpk_" + "c2Vj" * 8}),
        (BODY, {"event_id": "a.b"}),
        (BODY, {"event_id": "a\r\nX-Evil: 1"}),
    ],
)
async def test_wrong_use_is_the_developers(event: object, options: dict[str, Any]) -> None:
    """What no receiver had a part in is raised, and nothing is sent."""
    bench = Bench()
    with pytest.raises(ConfigurationError):
        await bench.send(event=event, **options)
    assert bench.requests == []


async def test_an_id_is_looked_at_whatever_the_scheme() -> None:
    """One's own format may write it into a header, and sign it with a full stop behind it."""
    bench = Bench(scheme=hmac_scheme("X-Acme", template="{id}.{body}", id_header="X-Acme-Id"))
    for event_id in ("a.b", "a\r\nX-Evil: 1"):
        with pytest.raises(ConfigurationError, match="event_id"):
            await bench.send(event_id=event_id)
    await bench.send(event_id="a:b")
    assert [request.headers["x-acme-id"] for request in bench.requests] == ["a:b"]


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        *(
            {"headers": {name: "1"}}
            for name in ("Host", "content-length", "Transfer-Encoding", "connection", "a b", "")
        ),
        *({"headers": {"x-own": value}} for value in ("a\r\nb", "caf\u00e9", "", " a", "a\x00")),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    """A sender that could not send is not made."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Bench(**options)


async def test_a_call_that_is_cancelled_is_over() -> None:
    """Nobody's cancellation is taken for a failure of the receiver."""

    class Waiting:
        async def send(self, request: HttpRequest, /) -> HttpResponse:
            await anyio.sleep_forever()
            raise AssertionError

    bench = Bench(client=Waiting())
    with anyio.move_on_after(0.05) as scope:
        await bench.send()
    assert scope.cancelled_caught
    assert bench.log == []


def test_without_httpx_a_client_of_yours_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra, and what to write instead."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "gatewright.webhooks.sending.client", raising=False)
    with pytest.raises(ConfigurationError, match=r"gatewright\[webhooks\].*client="):
        WebhookSender()
    assert "standard_webhooks" in repr(WebhookSender(client=ScriptedClient()))


@given(URLS | st.just(URL), st.lists(st.ip_addresses().map(str) | st.text(max_size=5), max_size=3))
def test_whatever_a_url_and_the_dns_say_nobody_inside_is_called(url: str, found: list[str]) -> None:
    """For any text and any answer, a value comes back, and a request goes to a public address or to none."""
    bench = Bench(resolve=resolving(found), retries=Retries(()), egress=Egress(http=True))
    result = anyio.run(bench.send, url)
    assert result.ok == bool(bench.requests)
    for request in bench.requests:
        told = [request.endpoint.host] if request.endpoint.address else found
        assert request.address in told
        assert all(is_public(ip_address(address)) for address in told)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"retries": 3}, r"write retries=Retries"),
        ({"egress": ["10.0.0.0/8"]}, r"write egress=Egress"),
        ({"scheme": Egress()}, "write a scheme, such as standard_webhooks"),
        ({"scheme": standard_webhooks}, "write a scheme, such as standard_webhooks"),
        ({"timeout": "5"}, "write seconds"),
    ],
)
def test_what_is_no_part_of_a_sender_is_refused(wrong: dict[str, Any], message: str) -> None:
    """It is said when the sender is made, and not with the first event."""
    with pytest.raises(ConfigurationError, match=message):
        WebhookSender(**wrong)
