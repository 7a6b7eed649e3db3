"""signed: deliveries for `call`, and clients that sign what they send."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from gatewright import Gate, Result, Verified, ok, verify_webhook
from gatewright.errors import ConfigurationError
from gatewright.testing import EventList, FrozenClock, call, signed
from gatewright.webhooks import (
    Delivery,
    Scheme,
    github,
    hmac_scheme,
    mailgun,
    square,
    standard_webhooks,
    stripe,
    svix,
    twilio,
)

with warnings.catch_warnings():
    # Starlette would rather have another client library than the one that is installed.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

SECRET = "whsec_" + "c2VjcmV0" * 4
ORIGIN = "https://api.example.com"
URL = f"{ORIGIN}/hooks"
EVENT = {"id": "evt_1", "type": "invoice.paid"}
CLOCK = FrozenClock()
BY_HEADERS = [stripe(), github(), standard_webhooks(), svix()]
BY_URL = [twilio(), square(), hmac_scheme("x-sig", template="{method}{url}{body}")]


def hook_of(scheme: Scheme) -> Any:
    """Return a handler that tells what it got."""
    where = ORIGIN if "url" in scheme.covers else None

    @verify_webhook(scheme, secrets=SECRET, public_url=where, allow_unsigned_body=True)
    async def hook(request: Request, webhook: Verified) -> Result[dict[str, Any]]:
        body = (await request.body()).decode()
        return ok({"id": webhook.event_id, "body": body, "headers": dict(request.headers), "query": request.url.query})

    return hook


def app_of(scheme: Scheme) -> Starlette:
    """Return an app with a webhook under /hooks."""
    app = Starlette(routes=[Route("/hooks", hook_of(scheme), methods=["POST", "PUT"])])
    Gate(clock=CLOCK, log=EventList()).install(app)
    return app


async def deliver(scheme: Scheme, **parts: Any) -> Any:
    """Return the reply to a delivery that is signed with these parts."""
    gate = Gate(clock=CLOCK, log=EventList())
    return await call(hook_of(scheme), gate=gate, **signed(scheme, SECRET, clock=CLOCK, **parts))


# The arguments of `call`


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", [*BY_HEADERS, mailgun()], ids=str)
async def test_a_delivery_is_a_call(scheme: Scheme) -> None:
    """A JSON value is all that it takes."""
    reply = await deliver(scheme, json=EVENT)
    assert reply.status == 200
    assert reply.json["data"]["headers"]["content-type"] == "application/json"


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", BY_URL, ids=str)
async def test_where_the_url_is_signed_the_call_goes_there(scheme: Scheme) -> None:
    """With the public URL, path and query are arguments of the call, also what the sender adds to the query."""
    for url in (URL, f"{URL}?a=1&b=%20", ORIGIN + "/"):
        assert (await deliver(scheme, json=EVENT, url=url)).status == 200
        assert (await deliver(scheme, json=EVENT, url=url, method="POST")).status == 200
    arguments = signed(twilio(), SECRET, json=EVENT, url=f"{URL}?a=1", clock=CLOCK)
    assert arguments["path"] == "/hooks"
    assert arguments["query"].startswith("a=1&bodySHA256=")
    assert signed(square(), SECRET, url=ORIGIN)["path"] == "/"
    with pytest.raises(ConfigurationError, match=r'the URL is signed; write url="https://'):
        signed(scheme, SECRET, json=EVENT)


@pytest.mark.anyio
async def test_a_form_and_other_bytes() -> None:
    """Twilio sends forms, and says so itself; of other bytes, the test says what they are."""
    form = urlencode({"From": "+1", "Body": "Hi"}).encode()
    reply = await deliver(twilio(), data=form, url=URL)
    assert (reply.status, reply.json["data"]["headers"]["content-type"]) == (200, "application/x-www-form-urlencoded")
    assert reply.json["data"]["body"] == form.decode()
    reply = await deliver(github(), data=b"\x00raw", content_type="application/octet-stream")
    assert reply.json["data"]["headers"]["content-type"] == "application/octet-stream"


@pytest.mark.anyio
async def test_further_headers_and_the_events_id() -> None:
    """What nobody signs is sent along in any case, the id is the sender's, and the signature has the last word."""
    parts = {"event_id": "msg_7", "headers": {"X-Topic": "a", "Webhook-Signature": "v1,forged"}}
    reply = await deliver(standard_webhooks(), json=EVENT, **parts)
    assert (reply.status, reply.json["data"]["id"]) == (200, "msg_7")
    assert reply.json["data"]["headers"]["x-topic"] == "a"
    arguments = signed(stripe(), SECRET, json=EVENT, method="PUT")
    assert arguments["method"] == "PUT"
    assert arguments.keys() == {"method", "data", "headers"}


def test_a_signature_in_the_body_is_in_the_body() -> None:
    """A sender may sign within the body: what is delivered is what it made of it."""
    arguments = signed(mailgun(), SECRET, json={"event-data": {}}, clock=CLOCK)
    assert b'"signature"' in arguments["data"]


# Clients


@pytest.mark.parametrize("scheme", [*BY_HEADERS, *BY_URL, mailgun()], ids=str)
def test_a_client_signs(scheme: Scheme) -> None:
    """Starlette's client delivers what its sender signed, under the client's own address."""
    client = signed(TestClient(app_of(scheme), base_url=ORIGIN), scheme, SECRET, clock=CLOCK)
    for path in ("/hooks", "hooks", "/hooks?a=1", URL):
        response = client.post(path, json=EVENT)
        assert response.status_code == 200
        assert response.json()["data"]["headers"]["content-type"] == "application/json"
    assert client.request("PUT", "/hooks", json=EVENT).status_code == 200
    forged = signed(TestClient(app_of(scheme), base_url=ORIGIN), scheme, "whsec_b3RoZXI=", clock=CLOCK)
    assert forged.post("/hooks", json=EVENT).status_code == 401


def test_a_client_is_told_the_public_url() -> None:
    """Where the client knows the app by another name, the URL says how the sender does; for one request, or all."""
    for scheme in BY_URL:
        client = TestClient(app_of(scheme))
        assert signed(client, scheme, SECRET, clock=CLOCK).post("/hooks", json=EVENT).status_code == 401
        assert signed(client, scheme, SECRET, clock=CLOCK, url=URL).post("/hooks", json=EVENT).status_code == 200
        one = signed(client, scheme, SECRET, clock=CLOCK).post("/hooks", json=EVENT, url=f"{URL}?a=1")
        assert (one.status_code, one.json()["data"]["query"].partition("&")[0]) == (200, "a=1")


def test_a_client_delivers_forms_ids_and_headers() -> None:
    """The parts are those of a call."""
    response = signed(TestClient(app_of(twilio()), base_url=ORIGIN), twilio(), SECRET).post("/hooks", data=b"From=%2B1")
    assert response.json()["data"]["headers"]["content-type"] == "application/x-www-form-urlencoded"
    client = signed(TestClient(app_of(standard_webhooks())), standard_webhooks(), SECRET, clock=CLOCK)
    response = client.post("/hooks", data=b"x", content_type="text/plain", headers={"X-Topic": "a"}, event_id="msg_7")
    data = response.json()["data"]
    assert (data["id"], data["body"], data["headers"]["x-topic"]) == ("msg_7", "x", "a")
    assert data["headers"]["content-type"] == "text/plain"


def test_httpx_sends_what_was_signed() -> None:
    """A client of httpx, with a base that has a path: what arrives verifies."""
    seen: list[Delivery] = []

    def arrive(request: httpx.Request) -> httpx.Response:
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        seen.append(Delivery(request.content, headers, request.method, str(request.url)))
        return httpx.Response(204)

    with httpx.Client(base_url=f"{ORIGIN}/v1", transport=httpx.MockTransport(arrive)) as client:
        for scheme in BY_URL:
            response = signed(client, scheme, SECRET, clock=CLOCK).post("/hooks?a=1", json=EVENT)
            assert response.status_code == 204
            assert seen[-1].url.startswith(f"{ORIGIN}/v1/hooks?a=1")
            scheme.verify(seen[-1], SECRET, CLOCK.time())


@pytest.mark.anyio
async def test_an_async_client_is_awaited() -> None:
    """An AsyncClient's own answer comes back: something to await."""
    for scheme in (stripe(), twilio()):
        transport = httpx.ASGITransport(app_of(scheme))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            response = await signed(client, scheme, SECRET, clock=CLOCK).post("/hooks", json=EVENT)
        assert response.status_code == 200


def test_any_client_with_a_request_will_do() -> None:
    """Only `base_url` and `request` are asked for, so httpx need not be there."""

    class Recorder:
        base_url = "http://localhost:8000/"

        def request(self, method: str, url: str, *, content: bytes, headers: Sequence[tuple[bytes, bytes]]) -> str:
            return f"{method} {url} {content.decode()} {b'stripe-signature' in dict(headers)}"

    sent = signed(Recorder(), stripe(), SECRET, clock=CLOCK).post("/hooks", data=b"{}")
    assert sent == "POST http://localhost:8000/hooks {} True"
    elsewhere = signed(Recorder(), stripe(), SECRET, clock=CLOCK, url=f"{URL}?a=1").post("/hooks?b=1", data=b"{}")
    assert elsewhere == "POST http://localhost:8000/hooks?a=1 {} True"


def test_httpx_is_not_imported_for_it() -> None:
    """Whoever tests with `call` alone needs no HTTP client."""
    code = "import sys, gatewright.testing; print('httpx' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_form_is_what_a_browser_would_send() -> None:
    """Fields by name, some of them several times; the content type is a form's."""
    parts = signed(twilio(), SECRET, form={"From": "+1", "MediaUrl": ["a", "b"]}, url=ORIGIN + "/sms")
    assert parts["data"] == b"From=%2B1&MediaUrl=a&MediaUrl=b"
    assert parts["headers"]["content-type"] == "application/x-www-form-urlencoded"


def test_json_takes_what_pydantic_writes() -> None:
    """A model, a date: as `WebhookSender` sends them."""
    from datetime import date

    assert signed(stripe(), SECRET, json={"on": date(2026, 1, 2)})["data"] == b'{"on": "2026-01-02"}'


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"jsn": {}}, TypeError, "knows no jsn; it takes json, form, data"),
        ({"content": b"x"}, TypeError, "knows no content"),
        ({"json": {}, "data": b"x"}, TypeError, "one of json, form and data"),
        ({"data": "From=x"}, TypeError, "write bytes, or form="),
        ({"data": {"From": "x"}}, TypeError, "write bytes, or form="),
    ],
)
def test_a_delivery_is_never_signed_without_what_it_was_given(
    parts: dict[str, Any], error: type[Exception], message: str
) -> None:
    """A part that nobody knows would leave the body empty, and the test would pass for the wrong reason."""
    with pytest.raises(error, match=message):
        signed(stripe(), SECRET, **parts)
    client = httpx.Client(base_url=ORIGIN)
    with client, pytest.raises(error, match=message):
        signed(client, stripe(), SECRET).post("/hooks", **parts)


def test_a_scheme_needs_its_parentheses() -> None:
    """`signed(stripe, ...)` says what to write."""
    with pytest.raises(ConfigurationError, match="with its parentheses"):
        signed(stripe, SECRET)  # type: ignore[call-overload]  # wrong on purpose
