"""Whatever arrives: each scheme returns what is verified, or raises its one exception."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

pytest.importorskip("cryptography", reason='pip install "gatewright[webhooks]"')

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gatewright import webhooks
from gatewright.errors import ConfigurationError
from gatewright.webhooks import ANY_TOPIC, Delivery, Scheme, Verified, WebhookRejected
from gatewright.webhooks.secret import Secret
from tests.webhooks.certs import CERTIFICATE, KEY
from tests.webhooks.kit import NOW

URL = "https://api.example.com/hooks?tenant=1"
EVENT = to_json({"id": "evt_1", "type": "paid", "webhookTimestamp": int(NOW * 1000), "n": [1.5, None, "\u20ac"]})
_ITEM = {"pspReference": "1", "amount": {"value": 1, "currency": "EUR"}}
ADYEN = to_json({"notificationItems": [{"NotificationRequestItem": _ITEM}]})
FORM = urlencode({"From": "+1", "Body": "hi there", "Empty": ""}).encode()

_EDWARDS = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_P256 = ec.derive_private_key(7, ec.SECP256R1())


@dataclass(frozen=True)
class Sender:
    """A sender, with what it signs with, what it is verified with, and a body of its own."""

    scheme: Scheme
    signs: Secret = "a secret of this sender"
    verifies: Secret = "a secret of this sender"
    body: bytes = EVENT

    def delivered(self) -> Delivery:
        """Return a good delivery."""
        return self.scheme.sign(self.body, self.signs, NOW, url=URL, event_id="msg_1")


def _pair(scheme: Scheme, private: bytes, public: bytes) -> Sender:
    return Sender(scheme, private, public)


_SHARED = "whsec_" + b64encode(bytes(range(32))).decode()
_PUBLIC = _EDWARDS.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
_SEED = _EDWARDS.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
_POINT = _P256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
_SCALAR = _P256.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

SENDERS = {
    "adyen": Sender(webhooks.adyen(), "ab" * 32, "ab" * 32, ADYEN),
    "aws_sns": _pair(webhooks.aws_sns(ANY_TOPIC), KEY, CERTIFICATE),
    "calendly": Sender(webhooks.calendly()),
    "discord": _pair(webhooks.discord(), _SEED.hex().encode(), _PUBLIC.hex().encode()),
    "github": Sender(webhooks.github()),
    "gitlab": Sender(webhooks.gitlab(), _SHARED, _SHARED),
    "gitlab_token": Sender(webhooks.gitlab_token()),
    "hmac_scheme": Sender(
        webhooks.hmac_scheme(
            "x-sig", template="{id}.{timestamp}.{url}.{method}.{body}", timestamp_header="x-time", id_header="x-id"
        )
    ),
    "http_message_signatures": Sender(webhooks.http_message_signatures(algorithm="hmac-sha256")),
    "http_message_signatures with a key pair": _pair(
        webhooks.http_message_signatures(algorithm="ed25519", components=()), _SEED, _PUBLIC
    ),
    "hubspot": Sender(webhooks.hubspot()),
    "intercom": Sender(webhooks.intercom()),
    "linear": Sender(webhooks.linear()),
    "mailgun": Sender(webhooks.mailgun()),
    "meta": Sender(webhooks.meta(verify_token="a token of ours")),
    "openai": Sender(webhooks.openai(), _SHARED, _SHARED),
    "paddle": Sender(webhooks.paddle()),
    "paypal": _pair(webhooks.paypal("8PT597110X687430LKGECATA"), KEY, CERTIFICATE),
    "razorpay": Sender(webhooks.razorpay()),
    "sendgrid": _pair(webhooks.sendgrid(), b64encode(_SCALAR), b64encode(_POINT)),
    "shopify": Sender(webhooks.shopify()),
    "slack": Sender(webhooks.slack()),
    "square": Sender(webhooks.square()),
    "standard_webhooks": Sender(webhooks.standard_webhooks(), _SHARED, _SHARED),
    "standard_webhooks with a key pair": Sender(
        webhooks.standard_webhooks(), "whsk_" + b64encode(_SEED).decode(), "whpk_" + b64encode(_PUBLIC).decode()
    ),
    "stripe": Sender(webhooks.stripe()),
    "svix": Sender(webhooks.svix(), _SHARED, _SHARED),
    "twilio": Sender(webhooks.twilio(), body=FORM),
    "typeform": Sender(webhooks.typeform()),
    "workos": Sender(webhooks.workos()),
    "zoom": Sender(webhooks.zoom()),
}
_NO_SENDERS = {"check_url", "new_webhook_secret", "verify_webhook"}

senders = st.sampled_from(list(SENDERS.values()))
_WORDS = [
    b"",
    b"0" * 5000,
    b"9" * 400,
    b"\xe9",
    "١٧٦".encode(),
    b"v1,",
    b"sig1=()",
    b"t=,v1=",
    b"nan",
    b"=" * 64,
    b"v0=",
]
_URLS = [URL, "/hooks", "", "https://[", "http://x:99999/?bodySHA256=a&bodySHA256=b", "\udcff"]
_CLOCKS = [NOW, float("nan"), float("inf")]
anything = st.binary(max_size=60) | st.sampled_from(_WORDS)


def answer_of(sender: Sender, delivery: Delivery, now: float = NOW) -> Verified | str:
    """Return what is verified, or why it is not; anything else is raised, and is a failure."""
    scheme = sender.scheme
    try:
        if scheme.greet(delivery) is not None:
            return "greeted"
        verified = scheme.verify(delivery, ["", sender.verifies], now)
    except WebhookRejected as rejected:
        return rejected.reason
    try:
        scheme.challenge(delivery, sender.verifies)
    except WebhookRejected as rejected:
        return rejected.reason
    return verified


def test_there_is_every_sender() -> None:
    """A sender that is not here is a sender of which nothing is known; each public function that makes one is."""
    made = {name for name in webhooks.__all__ if name.islower()} - _NO_SENDERS
    assert made == {name.partition(" ")[0] for name in SENDERS}


@pytest.mark.parametrize("name", SENDERS)
def test_what_is_signed_verifies(name: str) -> None:
    """sign and verify are one description, read in two directions; the second of two secrets matched."""
    verified = answer_of(SENDERS[name], SENDERS[name].delivered())
    assert isinstance(verified, Verified), verified
    assert (verified.scheme, verified.key_index, verified.tenant) == (SENDERS[name].scheme.name, 1, None)


@pytest.mark.parametrize("name", SENDERS)
def test_a_time_counts_both_ways(name: str) -> None:
    """What has a tolerance is refused when it is older, when it is from the future, and by a clock that is none."""
    sender = SENDERS[name]
    tolerance = getattr(sender.scheme, "tolerance", None)
    good = sender.delivered()
    for now, reason in (
        (NOW + (tolerance or 0) + 1.001, "timestamp_expired"),
        (NOW - (tolerance or 0) - 1.001, "timestamp_future"),
        (float("nan"), "timestamp_future"),
    ):
        answer = answer_of(sender, good, now)
        assert isinstance(answer, Verified) if tolerance is None else answer == reason


@pytest.mark.parametrize("name", SENDERS)
def test_no_header_that_is_signed_may_come_twice(name: str) -> None:
    """Two readers could believe two different ones: a header that verification reads is there once."""
    sender = SENDERS[name]
    good = sender.delivered()
    for pair in good.headers:
        without = replace(good, headers=[other for other in good.headers if other != pair])
        if isinstance(answer_of(sender, without), Verified):
            continue
        assert not isinstance(answer_of(sender, replace(good, headers=[*good.headers, pair])), Verified), pair


@pytest.mark.parametrize("name", SENDERS)
def test_no_blank_secret_is_taken(name: str) -> None:
    """What a missing variable leaves behind is refused when it is written, and verifies nothing."""
    blank: list[Any] = ["", " ", b"", b"\n", None, 7, "\ud800"]
    for secret in blank:
        with pytest.raises(ConfigurationError):
            SENDERS[name].scheme.check(secret)
        with pytest.raises(WebhookRejected):
            SENDERS[name].scheme.verify(SENDERS[name].delivered(), [secret], NOW)


@settings(deadline=None)
@given(senders, st.data())
def test_nothing_else_is_raised_for_a_delivery_that_was_changed(sender: Sender, data: st.DataObject) -> None:
    """Headers that are missing, doubled, overwritten or cut, another body, another method and URL."""
    good = sender.delivered()
    headers = list(good.headers)
    for _ in range(data.draw(st.integers(1, 3))):
        headers = _changed(headers, data)
    bodies = st.sampled_from([good.body, good.body[:-1], b"", b"[]", b'{"signature":1}']) | st.binary(max_size=80)
    method = data.draw(st.sampled_from(["POST", "GET", "PUT", "\udcff"]))
    changed = Delivery(data.draw(bodies), headers, method, data.draw(st.sampled_from(_URLS)))
    answer_of(sender, changed, data.draw(st.sampled_from(_CLOCKS)))


def _changed(headers: Sequence[tuple[bytes, bytes]], data: st.DataObject) -> list[tuple[bytes, bytes]]:
    if not headers:
        return []
    at = data.draw(st.integers(0, len(headers) - 1))
    name, value = headers[at]
    cut = data.draw(st.integers(0, len(value)))
    instead = data.draw(
        st.sampled_from([[], [headers[at]] * 2, [(name, value[:cut])], [(name, value + value)], [(name, value * 200)]])
        | anything.map(lambda other: [(name, other)])
        | anything.map(lambda other: [(name, value[:cut] + other + value[cut:])])
    )
    return [*headers[:at], *instead, *headers[at + 1 :]]


@settings(deadline=None)
@given(senders, st.binary(min_size=1, max_size=8), st.data())
def test_a_byte_of_a_signed_body_is_never_changed(sender: Sender, junk: bytes, data: st.DataObject) -> None:
    """Where the scheme says that the body is signed, no other body verifies."""
    good = sender.delivered()
    at = data.draw(st.integers(0, len(good.body)))
    other = good.body[:at] + junk + good.body[at + data.draw(st.integers(0, 1)) :]
    verified = answer_of(sender, replace(good, body=other))
    if other != good.body and isinstance(verified, Verified):
        assert "body" not in verified.covers or _says_the_same(sender, good.body, other)


def _says_the_same(sender: Sender, body: bytes, other: bytes) -> bool:
    """Say whether a body says the same, where a sender signs what it says and not its bytes."""
    reads: dict[str, Callable[[bytes], object]] = {
        "aws_sns": from_json,
        "twilio": lambda form: sorted(set(parse_qsl(form, keep_blank_values=True))),
    }
    read = reads.get(sender.scheme.name)
    return read is not None and read(body) == read(other)


@settings(deadline=None)
@given(senders, st.lists(st.tuples(st.binary(max_size=20), anything), max_size=5), st.binary(max_size=200))
def test_nothing_else_is_raised_for_bytes_of_nobody(
    sender: Sender, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Bytes that no sender ever sent are refused."""
    assert not isinstance(answer_of(sender, Delivery(body, headers)), Verified)


def test_where_nothing_stands_between_the_parts_the_scheme_says_so() -> None:
    """There an id is no name for a delivery: the same signed bytes, cut elsewhere, have another one."""
    unparted = {name for name, sender in SENDERS.items() if not getattr(sender.scheme, "parted", True)}
    assert unparted == {"discord", "hubspot", "sendgrid", "square"}
