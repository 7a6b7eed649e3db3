"""The senders of the HMAC family: what each signs, what it says of an event, and what it never believes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, Scheme, WebhookRejected
from gatewright.webhooks.scheme import Path
from gatewright.webhooks.schemes.chat import intercom, meta, slack, zoom
from gatewright.webhooks.schemes.hubspot import hubspot
from gatewright.webhooks.schemes.linear import linear
from gatewright.webhooks.schemes.senders import (
    calendly,
    github,
    hmac_scheme,
    paddle,
    razorpay,
    shopify,
    square,
    stripe,
    typeform,
    workos,
)
from gatewright.webhooks.schemes.twilio import twilio
from tests.webhooks.kit import NOW, headers_of, reason_of, recorded

SECRET = "a secret of ours"
URL = "https://hooks.example.com/in"
BODY = b'{"type":"a","n":1}'

UNTIMED: list[Scheme] = [github(), shopify(), typeform(), razorpay(), square(), meta(), intercom(), twilio()]
TIMED: dict[Callable[..., Scheme], float] = {
    stripe: 300,
    slack: 300,
    calendly: 180,
    workos: 180,
    paddle: 5,
    zoom: 300,
    hubspot: 300,
    linear: 60,
}
SENDERS = [*UNTIMED, *(sender() for sender in TIMED)]

any_sender = pytest.mark.parametrize("scheme", SENDERS, ids=lambda scheme: scheme.name)

PATHS: list[tuple[Scheme, Path | None, Path | None]] = [
    (stripe(), ("id",), ("type",)),
    (github(), None, None),
    (slack(), ("event_id",), ("event", "type")),
    (shopify(), None, None),
    (typeform(), ("event_id",), ("event_type",)),
    (calendly(), None, ("event",)),
    (workos(), ("id",), ("event",)),
    (razorpay(), None, ("event",)),
    (intercom(), ("id",), ("topic",)),
    (paddle(), ("event_id",), ("event_type",)),
    (zoom(), None, ("event",)),
    (square(), ("event_id",), ("type",)),
    (meta(), None, None),
    (linear(), None, ("type",)),
    (hubspot(), None, None),
    (twilio(), None, None),
]

SIGNED = [
    (stripe(), "stripe-ok", "stripe-signature"),
    (github(), "github-docs", "x-hub-signature-256"),
    (slack(), "slack-docs", "x-slack-signature"),
    (shopify(), "shopify-ok", "x-shopify-hmac-sha256"),
    (typeform(), "typeform-ok", "typeform-signature"),
    (calendly(), "calendly-ok", "calendly-webhook-signature"),
    (workos(), "workos-ok", "workos-signature"),
    (razorpay(), "razorpay-ok", "x-razorpay-signature"),
    (intercom(), "intercom-ok", "x-hub-signature"),
    (paddle(), "paddle-ok", "paddle-signature"),
    (zoom(), "zoom-ok", "x-zm-signature"),
    (square(), "square-ok", "x-square-hmacsha256-signature"),
    (meta(), "meta-ok", "x-hub-signature-256"),
    (linear(), "linear-ok", "linear-signature"),
]


@pytest.mark.parametrize(("scheme", "name", "header"), SIGNED, ids=lambda value: str(value))
def test_sign_makes_what_the_sender_made(scheme: Scheme, name: str, header: str) -> None:
    """To the byte, header and body are those that the sender's library or documentation has for them."""
    theirs = recorded(name)
    signed = scheme.sign(theirs.delivery.body, theirs.secret, theirs.now, url=theirs.delivery.url)
    assert signed.body == theirs.delivery.body
    assert headers_of(signed)[header] == headers_of(theirs.delivery)[header]


def test_there_is_a_rule_for_every_sender() -> None:
    """A sender that is in no table here would be tested by nobody."""
    names = [scheme.name for scheme in SENDERS]
    assert sorted(names) == sorted({scheme.name for scheme, _, _ in PATHS})
    assert len(names) == 16


@any_sender
@given(body=st.binary(max_size=80) | st.just(BODY), now=st.integers(0, 10**10).map(float))
def test_what_is_signed_verifies(scheme: Scheme, body: bytes, now: float) -> None:
    """sign and verify are one description, whatever the body; Linear's and Twilio's have rules of their own."""
    if scheme.name in ("linear", "twilio"):
        body = BODY
    verified = scheme.verify(scheme.sign(body, SECRET, now, url=URL), SECRET, now)
    assert (verified.scheme, verified.key_index, verified.covers) == (scheme.name, 0, scheme.covers)
    assert (verified.signed_at is None) == (scheme.name in {untimed.name for untimed in UNTIMED})


@any_sender
@given(
    headers=st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=60)), max_size=4),
    body=st.binary(max_size=60),
    method=st.text(max_size=6),
    url=st.text(max_size=40) | st.just("https://a.example:443/?bodySHA256=%3A"),
    now=st.floats(),
)
def test_every_sender_is_total(
    scheme: Scheme, headers: list[tuple[int, bytes]], body: bytes, method: str, url: str, now: float
) -> None:
    """For any request at all, there is a refusal and no other exception; nothing is greeted, either."""
    names = [*(name for name, _ in scheme.sign(BODY, SECRET, NOW, url=URL).headers), b"content-type", b"host"]
    delivery = Delivery(body, [(names[at], value) for at, value in headers], method, url)
    assert scheme.greet(delivery) is None
    with pytest.raises(WebhookRejected):
        scheme.verify(delivery, SECRET, now)
    try:
        assert scheme.challenge(delivery, SECRET) is None
    except WebhookRejected as rejected:
        assert rejected.reason == "challenge_failed"


@any_sender
def test_a_delivery_with_any_other_byte_is_refused(scheme: Scheme) -> None:
    """Body, URL and secret are another's; each alone is enough where it is signed."""
    good = scheme.sign(BODY, SECRET, NOW, url=URL)
    changed = replace(good, body=good.body.replace(b"1", b"2"))
    assert reason_of(scheme, changed, SECRET) in ("signature_mismatch", "body_digest_mismatch")
    assert reason_of(scheme, good, "another") == "signature_mismatch"
    moved = replace(good, url=good.url.replace("/in", "/out"))
    if "url" in scheme.covers:
        assert reason_of(scheme, moved, SECRET) == "signature_mismatch"
    else:
        assert scheme.verify(moved, SECRET, NOW) == scheme.verify(good, SECRET, NOW)


@any_sender
def test_a_delivery_without_a_signature_is_refused(scheme: Scheme) -> None:
    """Whatever else it has."""
    good = scheme.sign(BODY, SECRET, NOW, url=URL)
    others = [(name, value) for name, value in good.headers if not name.endswith((b"signature", b"256", b"-v3"))]
    assert reason_of(scheme, replace(good, headers=others), SECRET) == "signature_missing"


@any_sender
def test_a_second_signature_header_is_refused(scheme: Scheme) -> None:
    """Two readers could believe two different ones."""
    good = scheme.sign(BODY, SECRET, NOW, url=URL)
    assert reason_of(scheme, replace(good, headers=[*good.headers, *good.headers]), SECRET) == "malformed"


@any_sender
def test_an_empty_secret_is_refused_at_once(scheme: Scheme) -> None:
    """Where its variable is missing, anybody could sign."""
    scheme.check(SECRET)
    with pytest.raises(ConfigurationError, match="empty"):
        scheme.check("")


@any_sender
def test_nothing_unsigned_is_believed(scheme: Scheme) -> None:
    """Whatever the senders' many other headers say, what is verified stays the same."""
    good = scheme.sign(BODY, SECRET, NOW, url=URL)
    said = [
        (name.encode(), b"forged")
        for name in (
            "x-github-event",
            "x-github-delivery",
            "x-shopify-topic",
            "x-shopify-webhook-id",
            "x-slack-retry-num",
            "x-razorpay-event-id",
            "linear-delivery",
            "linear-event",
            "linear-timestamp",
            "x-hubspot-signature",
            "x-hubspot-signature-version",
            "i-twilio-idempotency-token",
        )
    ]
    forged = replace(good, headers=[*good.headers, *said])
    assert scheme.verify(forged, SECRET, NOW) == scheme.verify(good, SECRET, NOW)


@pytest.mark.parametrize("sender", TIMED, ids=lambda sender: sender.__name__)
def test_a_signed_time_is_held_to_the_senders_tolerance(sender: Callable[..., Scheme]) -> None:
    """Both ways, to the second; and to another tolerance where one is given."""
    scheme, tolerance = sender(), TIMED[sender]
    good = scheme.sign(BODY, SECRET, NOW)
    scheme.verify(good, SECRET, NOW + tolerance)
    scheme.verify(good, SECRET, NOW - tolerance)
    assert reason_of(scheme, good, SECRET, NOW + tolerance + 1) == "timestamp_expired"
    assert reason_of(scheme, good, SECRET, NOW - tolerance - 1) == "timestamp_future"
    assert sender(tolerance=1000).verify(good, SECRET, NOW + 1000).signed_at is not None
    with pytest.raises(ConfigurationError, match="write seconds"):
        sender(tolerance=0)


@pytest.mark.parametrize(("scheme", "event_id", "event_type"), PATHS, ids=lambda value: str(value))
def test_the_paths_of_event_id_and_type(scheme: Scheme, event_id: Path | None, event_type: Path | None) -> None:
    """They stand in the signed body, where the sender's documentation has them; or there are none."""
    assert (getattr(scheme, "event_id", None), scheme.event_type) == (event_id, event_type)


def test_an_event_id_comes_out_of_the_body() -> None:
    """Intercom numbers its attempts within the body, so only the id tells that the event is the same."""
    first, again = (
        intercom().sign(json.dumps({"id": "notif_1", "delivery_attempts": n}).encode(), SECRET, NOW) for n in (1, 2)
    )
    one, other = (intercom().verify(delivery, SECRET, NOW) for delivery in (first, again))
    assert one.replay_key != other.replay_key
    assert one.event_id == other.event_id == "notif_1"


def test_shopify_names_its_header_in_two_ways() -> None:
    """Events drop the X-; where both come, the older one is looked at, and a wrong one is wrong."""
    value = headers_of(shopify().sign(BODY, SECRET, NOW))["x-shopify-hmac-sha256"]
    shopify().verify(Delivery.of(BODY, {"Shopify-Hmac-Sha256": value}), SECRET, NOW)
    both = Delivery.of(BODY, {"Shopify-Hmac-Sha256": value, "X-Shopify-Hmac-Sha256": "AAAA"})
    assert reason_of(shopify(), both, SECRET) == "signature_mismatch"


def test_workos_may_leave_the_space_out() -> None:
    """A comma separates, with or without a space; WorkOS writes one, and its library wants it."""
    signed = workos().sign(BODY, SECRET, NOW)
    value = headers_of(signed)["workos-signature"]
    assert value.startswith("t=1760000000000, v1=")
    without = Delivery.of(BODY, {"WorkOS-Signature": value.replace(" ", "")})
    assert workos().verify(without, SECRET, NOW) == workos().verify(signed, SECRET, NOW)


def test_workos_milliseconds_are_not_seconds() -> None:
    """The digits are milliseconds: as seconds they would be a year far away."""
    assert reason_of(workos(), workos().sign(BODY, SECRET, NOW / 1000), SECRET) == "timestamp_expired"


@pytest.mark.parametrize("prefix", ["sha1=", "sha512="])
@pytest.mark.parametrize("sender", [github, meta, typeform])
def test_another_hash_in_the_header_is_no_signature(sender: Callable[..., Scheme], prefix: str) -> None:
    """Whoever may choose the hash chooses the weakest."""
    (name, value), *_ = headers_of(sender().sign(BODY, SECRET, NOW)).items()
    delivery = Delivery.of(BODY, {name: value.replace("sha256=", prefix)})
    assert reason_of(sender(), delivery, SECRET) == "no_supported_signature"


def test_intercom_signs_with_sha1_and_nothing_else_does() -> None:
    """The same header with SHA-1 is Intercom's; GitHub's and Meta's schemes do not even look at it."""
    signed = intercom().sign(BODY, SECRET, NOW)
    assert headers_of(signed)["x-hub-signature"].startswith("sha1=")
    for other in (github(), meta()):
        assert reason_of(other, signed, SECRET) == "signature_missing"


def test_paddle_rolls_its_secret_with_two_signatures() -> None:
    """Ours may be the first of them or the last, and what else is in the list does not count."""
    signed, old = paddle().sign(BODY, SECRET, NOW), paddle().sign(BODY, "the old one", NOW)
    ours, theirs = (headers_of(delivery)["paddle-signature"].partition("h1=")[2] for delivery in (signed, old))
    for listed in (f"h1={ours};h1={theirs}", f"h1={theirs};h1={ours}", f"h2=zz;h1={ours}"):
        delivery = Delivery.of(BODY, {"Paddle-Signature": f"ts=1760000000;{listed}"})
        assert paddle().verify(delivery, SECRET, NOW).key_index == 0
    only_h2 = Delivery.of(BODY, {"Paddle-Signature": f"ts=1760000000;h2={ours}"})
    assert reason_of(paddle(), only_h2, SECRET) == "no_supported_signature"


def test_paddle_may_list_sixteen_signatures() -> None:
    """Each costs a comparison for each secret, so a list without end is refused before that."""
    ours = headers_of(paddle().sign(BODY, SECRET, NOW))["paddle-signature"]
    full = Delivery.of(BODY, {"Paddle-Signature": ours + ";h1=0" * 15})
    assert paddle().verify(full, SECRET, NOW).key_index == 0
    over = Delivery.of(BODY, {"Paddle-Signature": ours + ";h1=0" * 16})
    assert reason_of(paddle(), over, SECRET) == "malformed"


IDENTIFIED = hmac_scheme(
    "X-Sig", template="{id}.{timestamp}.{body}", id_header="X-Id", timestamp_header="X-Time", event_id="id"
)


def test_an_id_in_a_header_counts_where_it_is_signed() -> None:
    """It is the event's, before any in the body; another one is another signature's."""
    signed = IDENTIFIED.sign(b'{"id":"body"}', SECRET, NOW, event_id="evt_1")
    assert IDENTIFIED.verify(signed, SECRET, NOW).event_id == "evt_1"
    forged = Delivery.of(signed.body, headers_of(signed) | {"x-id": "evt_2"})
    assert reason_of(IDENTIFIED, forged, SECRET) == "signature_mismatch"


def test_an_id_that_is_not_given_is_made_of_the_body() -> None:
    """What is signed twice is one event; and every delivery that sign makes verifies."""
    ids = [
        IDENTIFIED.verify(IDENTIFIED.sign(body, SECRET, now), SECRET, now).event_id
        for body, now in ((BODY, NOW), (BODY, NOW + 9), (b"", NOW))
    ]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("said", [None, "", "a b", "\xe9", "a\n", "a" * 257])
def test_an_id_that_is_none_is_refused(said: str | None) -> None:
    """Absent, blank, in another script or without end: it would be a bad key of a store, well signed as it is."""
    headers = headers_of(IDENTIFIED.sign(BODY, SECRET, NOW))
    headers = {name: value for name, value in headers.items() if name != "x-id"}
    headers |= {} if said is None else {"x-id": said}
    assert reason_of(IDENTIFIED, Delivery.of(BODY, headers), SECRET) == "malformed"


@given(st.text(max_size=200))
def test_slacks_library_verifies_what_we_sign(body: str) -> None:
    """slack_sdk takes our delivery, and we take what slack_sdk signs."""
    signature = pytest.importorskip("slack_sdk.signature")

    class Stopped(signature.Clock):
        def now(self) -> float:
            return NOW

    theirs = signature.SignatureVerifier(SECRET, Stopped())
    assert theirs.is_valid_request(body, headers_of(slack().sign(body.encode(), SECRET, NOW)))
    value = theirs.generate_signature(timestamp="1760000000", body=body)
    headers = {"X-Slack-Signature": value, "X-Slack-Request-Timestamp": "1760000000"}
    assert slack().verify(Delivery.of(body.encode(), headers), SECRET, NOW).key_index == 0
