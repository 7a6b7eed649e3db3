"""PayPal: what is signed, what is not, and whose certificates count."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright import ConfigurationError, Gate
from gatewright.testing import EventList, FrozenClock, call, signed
from gatewright.webhooks import Delivery, Verified, WebhookRejected, verify_webhook
from gatewright.webhooks.schemes.certificate import Rsa
from gatewright.webhooks.schemes.paypal import paypal
from tests.webhooks.certs import CERTIFICATE, KEY, NOW, OTHER_CERTIFICATE, OTHER_KEY, certificate_of
from tests.webhooks.kit import headers_of

FILE = Path(__file__).parent.parent / "vectors" / "webhooks.json"
VECTORS: list[dict[str, Any]] = [
    vector for vector in json.loads(FILE.read_text(encoding="utf-8")) if vector["provider"] == "paypal"
]
WEBHOOK = "8PT597110X687430LKGECATA"
SCHEME = paypal(WEBHOOK)
BODY = b'{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED","resource":{"amount":{"value":"10.00"}}}'
SIGNED = headers_of(SCHEME.sign(BODY, KEY, NOW, event_id="69cd13f0-d67a-11e5-baa3-778b53f4ae55"))
DAY = 86_400


def reason(headers: dict[str, str], body: bytes = BODY, now: float = NOW, scheme: Any = SCHEME) -> str:
    """Return why a delivery is refused."""
    with pytest.raises(WebhookRejected) as rejected:
        scheme.verify(Delivery.of(body, headers), CERTIFICATE, now)
    return rejected.value.reason


def changed(**changes: str | None) -> dict[str, str]:
    """Return signed headers, with some changed or left out; their names without `paypal-`."""
    headers = {**SIGNED, **{f"paypal-{name.replace('_', '-')}": value for name, value in changes.items()}}
    return {name: value for name, value in headers.items() if value is not None}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    """Accept what is valid, refuse what is not, and for the recorded reason."""
    scheme = paypal(vector["webhook_id"], tolerance=vector["tolerance"])
    delivery = Delivery.of(vector["body"].encode(), vector["headers"], method=vector["method"], url=vector["url"])
    if vector["valid"]:
        assert scheme.verify(delivery, vector["secret"], vector["now"]).scheme == "paypal"
        return
    with pytest.raises(WebhookRejected) as rejected:
        scheme.verify(delivery, vector["secret"], vector["now"])
    assert rejected.value.reason == vector["reason"]


def test_there_are_vectors() -> None:
    """A sender without a vector is a sender without a proof."""
    assert len(VECTORS) >= 5


def test_what_is_signed_is_verified() -> None:
    """The id is the transmission's, the time is signed, and the certificate says which key it was."""
    verified = SCHEME.verify(Delivery.of(BODY, SIGNED), [OTHER_CERTIFICATE, CERTIFICATE], NOW)
    assert (verified.scheme, verified.key_index) == ("paypal", 1)
    assert verified.event_id == "69cd13f0-d67a-11e5-baa3-778b53f4ae55"
    assert verified.signed_at is not None and verified.signed_at.timestamp() == NOW
    assert verified.covers == {"id", "timestamp"}


def test_a_body_is_only_summed_up() -> None:
    """A CRC-32 is no signature: the forged body of the vectors has the signed one's, and so both are one delivery.

    That is why "body" is not covered, and why the guard wants to be told that this is known.
    """
    collision = next(vector for vector in VECTORS if vector["id"] == "paypal-crc32-collision")
    genuine = next(vector for vector in VECTORS if vector["id"] == "paypal-ok")
    forged, real = collision["body"].encode(), genuine["body"].encode()
    assert forged != real and crc32(forged) == crc32(real)
    scheme = paypal(genuine["webhook_id"], tolerance=None)
    verdicts = [
        scheme.verify(Delivery.of(body, genuine["headers"]), genuine["secret"], 0).replay_key for body in (forged, real)
    ]
    assert verdicts[0] == verdicts[1]
    with pytest.raises(ConfigurationError, match=r"does not sign the body.*allow_unsigned_body=True"):
        verify_webhook(scheme, secrets=CERTIFICATE)
    verify_webhook(scheme, secrets=CERTIFICATE, allow_unsigned_body=True)


def test_the_sum_is_unsigned_decimal() -> None:
    """A body whose CRC-32 has its first bit set is where signed integers would go wrong."""
    body = next(body for body in (str(n).encode() for n in range(100)) if crc32(body) >= 1 << 31)
    delivery = SCHEME.sign(body, KEY, NOW)
    headers = headers_of(delivery)
    message = f"{headers['paypal-transmission-id']}|2025-10-09T08:53:20Z|{WEBHOOK}|{crc32(body)}".encode()
    assert Rsa().matches(CERTIFICATE, message, [headers["paypal-transmission-sig"].encode()])


@pytest.mark.parametrize(
    "url",
    [
        "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270",
        "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270",
        "https://api.paypal.com:443/v1/notifications/certs/CERT-360caa42",
    ],
)
def test_paypals_own_addresses_are_taken(url: str) -> None:
    """Those of the API and of the sandbox; what the address says is not signed, and need not be."""
    delivery = Delivery.of(BODY, changed(cert_url=url))
    assert SCHEME.certificate_url(delivery) == url
    SCHEME.verify(delivery, CERTIFICATE, NOW)


EVIL = [
    "https://evil.example/v1/notifications/certs/CERT-1",
    "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
    "https://evil-api.paypal.com/v1/notifications/certs/CERT-1",
    "https://evil.example/api.paypal.com/v1/notifications/certs/CERT-1",
    "https://evil.example#api.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
    "https://evil.example\\@api.paypal.com/v1/notifications/certs/CERT-1",
    "https://api-paypal.com/v1/notifications/certs/CERT-1",
    "https://apixpaypal.com/v1/notifications/certs/CERT-1",
    "https://www.paypal.com/v1/notifications/certs/CERT-1",
    "https://paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
    "https://user:password@api.paypal.com/v1/notifications/certs/CERT-1",
    "http://api.paypal.com/v1/notifications/certs/CERT-1",
    "//api.paypal.com/v1/notifications/certs/CERT-1",
    "file:///v1/notifications/certs/CERT-1",
    "https://api.paypal.com/v1/notifications/certs/",
    "https://api.paypal.com/v1/notifications/certs/../webhooks",
    "https://api.paypal.com/v1/notifications/certs/CERT-1/../../uploads",
    "https://api.paypal.com/v1/notifications/certs/CERT-1?next=https://evil.example",
    "https://api.paypal.com/v1/notifications/certs/CERT-1#",
    "https://api.paypal.com/v1/redirect?to=/v1/notifications/certs/CERT-1",
    "https://api.paypal.com/v1/notifications/certs/CERT-1\n",
    "https://api.paypal.com/v1/notifications/certs/CERT-1 ",
    " https://api.paypal.com/v1/notifications/certs/CERT-1",
    "https://169.254.169.254/v1/notifications/certs/CERT-1",
    "https://api.paypal.com/v1/notifications/certs/" + "C" * 201,
    "https://api.paypàl.com/v1/notifications/certs/CERT-1",
    "",
]


@pytest.mark.parametrize("url", EVIL)
def test_paypal_python_sdk_fetches_any_cert_url(url: str) -> None:
    """The SDK fetches whatever the header names, which is SSRF: here it is refused before anybody looks it up."""
    headers = changed(cert_url=url)
    assert reason(headers) == "cert_url_rejected"
    with pytest.raises(WebhookRejected, match="cert_url_rejected"):
        SCHEME.certificate_url(Delivery.of(BODY, headers))


def test_paypal_python_sdk_takes_sha1_with_rsa() -> None:
    """The SDK lets the header choose SHA-1: one algorithm is taken, as PayPal writes it."""
    message = f"{SIGNED['paypal-transmission-id']}|{SIGNED['paypal-transmission-time']}|{WEBHOOK}|{crc32(BODY)}"
    sha1 = Rsa("sha1").sign(KEY, message.encode()).decode()
    for algorithm in ("SHA1withRSA", "sha256WithRSAEncryption", "sha256withrsa", "SHA512withRSA", "none", "", None):
        assert reason(changed(auth_algo=algorithm, transmission_sig=sha1)) == "no_supported_signature"
        assert reason(changed(auth_algo=algorithm)) == "no_supported_signature"
    assert reason(changed(transmission_sig=sha1)) == "signature_mismatch"


def test_each_part_is_signed() -> None:
    """Another id, time, webhook, body or key, and it is another message."""
    mismatch = "signature_mismatch"
    assert reason(changed(transmission_id="69cd13f0")) == mismatch
    assert reason(changed(transmission_time="2025-10-09T08:53:21Z")) == mismatch
    assert reason(changed(transmission_time="2025-10-09T08:53:20.0Z")) == mismatch
    assert reason(SIGNED, BODY + b"\n") == mismatch
    assert reason(SIGNED, scheme=paypal("another")) == mismatch
    assert reason(headers_of(SCHEME.sign(BODY, OTHER_KEY, NOW))) == mismatch


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"transmission_sig": None}, "signature_missing"),
        ({"transmission_time": None}, "timestamp_missing"),
        ({"cert_url": None}, "cert_url_rejected"),
        ({"transmission_id": None}, "malformed"),
        ({"transmission_id": ""}, "malformed"),
        ({"transmission_id": "a|b"}, "malformed"),
        ({"transmission_id": "a b"}, "malformed"),
        ({"transmission_id": "é"}, "malformed"),
        ({"transmission_id": "a" * 101}, "malformed"),
        ({"transmission_time": "1760000000"}, "malformed"),
        ({"transmission_time": "2025-10-09T08:53:20"}, "malformed"),
        ({"transmission_time": "2025-13-09T08:53:20Z"}, "malformed"),
        ({"transmission_time": "2025-10-09T08:53:20Z|a"}, "malformed"),
        ({"transmission_time": "٢٠٢٥-10-09T08:53:20Z"}, "malformed"),
        ({"transmission_sig": ""}, "signature_mismatch"),
        ({"transmission_sig": "AAAA"}, "signature_mismatch"),
        ({"transmission_sig": "not base64"}, "malformed"),
        ({"transmission_sig": SIGNED["paypal-transmission-sig"] + "="}, "malformed"),
        ({"transmission_sig": "é" + SIGNED["paypal-transmission-sig"]}, "malformed"),
        ({"transmission_sig": "A" * 9000}, "malformed"),
    ],
)
def test_what_is_missing_or_malformed_says_so(changes: dict[str, str | None], expected: str) -> None:
    """For the log; the sender is told nothing. And nothing is fetched for it."""
    headers = changed(**changes)
    assert reason(headers) == expected
    if expected != "signature_mismatch":
        with pytest.raises(WebhookRejected, match=expected):
            SCHEME.certificate_url(Delivery.of(BODY, headers))


@pytest.mark.parametrize("name", [name for name in SIGNED if name.startswith("paypal-")])
def test_a_header_that_is_there_twice_is_refused(name: str) -> None:
    """Two readers could believe two different ones."""
    pairs = [(key.encode(), value.encode()) for key, value in [*SIGNED.items(), (name, SIGNED[name])]]
    with pytest.raises(WebhookRejected, match="malformed"):
        SCHEME.verify(Delivery(BODY, pairs), CERTIFICATE, NOW)


def test_paypal_tries_again_for_three_days() -> None:
    """A retry that keeps its time is still fresh then, and a capture of last week is not; None looks at no time."""
    for now in (NOW, NOW + 3 * DAY, NOW - 3 * DAY):
        SCHEME.verify(Delivery.of(BODY, SIGNED), CERTIFICATE, now)
    assert reason(SIGNED, now=NOW + 4 * DAY) == "timestamp_expired"
    assert reason(SIGNED, now=NOW - 4 * DAY) == "timestamp_future"
    assert reason(SIGNED, now=NOW + 301, scheme=paypal(WEBHOOK, tolerance=300)) == "timestamp_expired"
    paypal(WEBHOOK, tolerance=None).verify(Delivery.of(BODY, SIGNED), CERTIFICATE, NOW + 400 * DAY)


def test_the_signature_is_looked_at_before_the_time() -> None:
    """The log says "expired" only of what PayPal signed."""
    assert reason(SIGNED, BODY + b" ", NOW + 4 * DAY) == "signature_mismatch"


@pytest.mark.parametrize("webhook_id", [None, "", " ", "a|b", "8PT\n", "é", 7, "a" * 101])
def test_a_webhook_id_that_is_none_is_refused(webhook_id: Any) -> None:
    """A variable that is not set must not become a webhook that nobody has."""
    with pytest.raises(ConfigurationError, match=r"write the webhook's id.*variable"):
        paypal(webhook_id)


@pytest.mark.parametrize("tolerance", [0, -1, float("nan"), float("inf")])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    """It would refuse everything, or nothing."""
    with pytest.raises(ConfigurationError, match=r"paypal: tolerance=.*: write seconds"):
        paypal(WEBHOOK, tolerance=tolerance)


def test_it_shows_itself_shortly() -> None:
    """In errors and logs."""
    assert repr(SCHEME) == f"paypal('{WEBHOOK}')"


@settings(deadline=None, max_examples=20)
@given(body=st.binary(), now=st.floats(0, 4e9), event_id=st.from_regex(r"[A-Za-z0-9-]{0,50}", fullmatch=True))
def test_what_sign_makes_verifies(body: bytes, now: float, event_id: str) -> None:
    """Any body, at any time, with any id; without one, other deliveries have others."""
    delivery = SCHEME.sign(body, KEY, now, url="https://api.example.com/", event_id=event_id)
    verified = SCHEME.verify(delivery, CERTIFICATE, now)
    assert (delivery.body, delivery.url) == (body, "https://api.example.com/")
    assert verified.event_id == (event_id or headers_of(SCHEME.sign(body, KEY, now))["paypal-transmission-id"])
    assert verified.event_id != headers_of(SCHEME.sign(b"?" + body, KEY, now))["paypal-transmission-id"]


names = st.sampled_from(sorted(SIGNED)).map(str.encode)
values = st.binary(max_size=60) | names.map(lambda name: SIGNED[name.decode()].encode())


@given(body=st.binary(max_size=30), headers=st.lists(st.tuples(names | st.binary(), values)), now=st.floats())
def test_whatever_comes_there_is_a_verdict(body: bytes, headers: list[tuple[bytes, bytes]], now: float) -> None:
    """Verified or WebhookRejected, for any bytes, and so for the certificate's address."""
    genuine = [(name.encode(), value.encode()) for name, value in SIGNED.items() if name.encode() not in dict(headers)]
    for pairs in (headers, [*genuine, *headers]):
        delivery = Delivery(body, pairs)
        for look in (
            lambda delivery: SCHEME.verify(delivery, CERTIFICATE, now),
            lambda delivery: SCHEME.certificate_url(delivery),
        ):
            with suppress(WebhookRejected):
                look(delivery)


class PayPalHost:
    """PayPal's host, as far as it matters."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.document: bytes | Exception = CERTIFICATE

    async def fetch(self, url: str) -> bytes:
        """Return a certificate."""
        self.asked.append(url)
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


class World:
    """A webhook of PayPal's at a gate, and the host that has the certificates."""

    def __init__(self) -> None:
        self.host, self.clock, self.events = PayPalHost(), FrozenClock(NOW), EventList()
        self.gate = Gate(clock=self.clock, log=self.events)
        self.seen: list[str | None] = []

        @verify_webhook(SCHEME, fetch=self.host.fetch, allow_unsigned_body=True)
        async def hook(webhook: Verified) -> None:
            self.seen.append(webhook.event_id)

        self.hook = hook

    async def send(self, key: bytes = KEY, **changes: str) -> Any:
        """Send a delivery that was signed now."""
        request = signed(SCHEME, key, json={"id": "WH-1"}, clock=self.clock)
        request["headers"] = {name.lower(): value for name, value in request["headers"].items()} | changes
        return await call(self.hook, gate=self.gate, **request)

    def reason(self) -> object:
        """Return what the log says of the last request."""
        return self.events[-1]["reason"]


@pytest.mark.anyio
async def test_the_certificate_is_fetched_once() -> None:
    """By the first delivery that names it."""
    world = World()
    for _ in range(3):
        assert (await world.send()).status == 200
        world.clock.advance(1)
    assert len(world.host.asked) == 1 and len(set(world.seen)) == 3


@pytest.mark.anyio
async def test_a_forgery_that_names_a_genuine_certificate_is_refused() -> None:
    """The certificate is public; the key is not."""
    world = World()
    assert (await world.send(OTHER_KEY)).status == 401
    assert world.reason() == "paypal: signature_mismatch" and world.seen == []


@pytest.mark.parametrize("url", [url for url in EVIL if url.isascii() and url.isprintable()])
@pytest.mark.anyio
async def test_an_evil_address_is_never_fetched(url: str) -> None:
    """It is a 401 like any other, and nobody is asked for anything."""
    world = World()
    reply = await world.send(**{"paypal-cert-url": url})
    assert (reply.status, world.host.asked, world.seen) == (401, [], [])
    assert world.reason() == "paypal: cert_url_rejected"


@pytest.mark.anyio
async def test_while_there_is_no_certificate_paypal_tries_again() -> None:
    """503 with a time, and not a refusal that would make it stop; the handler has not run."""
    world = World()
    world.host.document = OSError("it answers 500")
    for _ in range(2):
        reply = await world.send()
        assert (reply.status, reply.headers["retry-after"]) == (503, "10")
    assert len(world.host.asked) == 1 and world.seen == []
    assert str(world.reason()).endswith("/CERT-test: OSError (it answers 500)")
    assert b"CERT-test" not in reply.body
    world.host.document = CERTIFICATE
    world.clock.advance(10)
    assert (await world.send()).status == 200


@pytest.mark.anyio
async def test_a_certificate_that_is_over_verifies_nothing() -> None:
    """Its key may be anybody's by now."""
    world = World()
    world.host.document = certificate_of(load_pem_private_key(KEY, None), NOW - 100, NOW - 1)
    assert (await world.send()).status == 401
    assert world.reason() == "paypal: cert_url_rejected" and world.seen == []


@pytest.mark.anyio
async def test_a_certificate_that_is_given_is_not_fetched() -> None:
    """Pinned as the secret it needs no network; a delivery that names another host is still refused."""
    host = PayPalHost()

    @verify_webhook(
        SCHEME, secrets=[CERTIFICATE.decode(), OTHER_CERTIFICATE], fetch=host.fetch, allow_unsigned_body=True
    )
    async def hook(webhook: Verified) -> int:
        return webhook.key_index

    clock = FrozenClock(NOW)
    gate = Gate(clock=clock, log=EventList())
    for index, key in enumerate((KEY, OTHER_KEY)):
        assert (await call(hook, gate=gate, **signed(SCHEME, key, json={}, clock=clock))).json["data"] == index
    assert host.asked == []
