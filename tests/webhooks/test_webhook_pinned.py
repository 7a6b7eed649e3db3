"""Senders with a public key: Discord and SendGrid."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gatewright._core.gate import Gate
from gatewright._core.log import EventList
from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, Reply, WebhookRejected, verify_webhook
from gatewright.webhooks.schemes.pinned import PinnedScheme, discord, sendgrid
from tests.web import Browser
from tests.webhooks.kit import NOW, headers_of, reason_of, recorded

pytest.importorskip("cryptography", reason='pip install "gatewright[webhooks]"')

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

SEED = bytes(range(32))
DISCORD_KEY = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw().hex()
P256 = ec.derive_private_key(2025, ec.SECP256R1())
SENDGRID_KEY = b64encode(P256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
SENDGRID_PRIVATE = P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

SENDERS = {"discord": (discord(), SEED, DISCORD_KEY), "sendgrid": (sendgrid(), SENDGRID_PRIVATE, SENDGRID_KEY)}
senders = pytest.mark.parametrize("name", SENDERS)

NAMES = [
    b"x-signature-ed25519",
    b"x-signature-timestamp",
    b"x-twilio-email-event-webhook-signature",
    b"x-twilio-email-event-webhook-timestamp",
]


def ping(delivery: Delivery, scheme: PinnedScheme | None = None) -> Reply | None:
    """Return what *delivery* is answered."""
    return (scheme or discord()).challenge(delivery, DISCORD_KEY)


@senders
@given(body=st.binary(max_size=300), now=st.floats(0, 4e9))
def test_what_sign_signs_verify_verifies(name: str, body: bytes, now: float) -> None:
    """sign and verify are one description read in two directions, for every body and time."""
    scheme, private, public = SENDERS[name]
    verified = scheme.verify(scheme.sign(body, private, now), public, now)
    assert (verified.scheme, verified.key_index, verified.covers) == (name, 0, {"body", "timestamp"})
    assert verified.signed_at is not None
    assert int(verified.signed_at.timestamp()) == int(now)


octets = st.binary(max_size=72) | st.binary(min_size=64, max_size=64)
values = octets | octets.map(lambda some: some.hex().encode()) | octets.map(b64encode) | st.just(b"1760000000")


@senders
@given(
    headers=st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=5),
    body=st.binary(max_size=60),
    now=st.floats(),
)
def test_verify_is_total(name: str, headers: list[tuple[bytes, bytes]], body: bytes, now: float) -> None:
    """For any headers and bytes, and any clock, the only exception is WebhookRejected."""
    scheme, _, public = SENDERS[name]
    with pytest.raises(WebhookRejected):
        scheme.verify(Delivery(body, headers), [public, "", "no key"], now)


@senders
def test_what_is_changed_missing_or_out_of_time_is_refused(name: str) -> None:
    """Each with its own reason, for the log."""
    scheme, private, public = SENDERS[name]
    good = scheme.sign(b'[{"a":1}]', private, NOW)
    (header, signature), (_, timestamp) = good.headers
    assert reason_of(scheme, replace(good, body=b'[{"a":2}]'), public) == "signature_mismatch"
    later = [(header, signature), (NAMES[1 if name == "discord" else 3], b"1760000001")]
    assert reason_of(scheme, replace(good, headers=later), public) == "signature_mismatch"
    assert reason_of(scheme, replace(good, headers=good.headers[1:]), public) == "signature_missing"
    assert reason_of(scheme, replace(good, headers=good.headers[:1]), public) == "timestamp_missing"
    assert (
        reason_of(scheme, replace(good, headers=[good.headers[0], (later[1][0], b"")]), public) == "timestamp_missing"
    )
    assert reason_of(scheme, replace(good, headers=[*good.headers, good.headers[0]]), public) == "malformed"
    assert scheme.tolerance is not None
    assert reason_of(scheme, good, public, NOW + scheme.tolerance + 1) == "timestamp_expired"
    assert reason_of(scheme, good, public, NOW - scheme.tolerance - 1) == "timestamp_future"
    assert replace(scheme, tolerance=None).verify(good, public, NOW + 1e8).scheme == name
    assert timestamp == b"1760000000"


@senders
@pytest.mark.parametrize("timestamp", ["soon", "NaN", "1760000000.0", "-1", "+1760000000", "1" * 12, "1" * 5000, "１"])
def test_a_timestamp_is_ascii_digits(name: str, timestamp: str) -> None:
    """What int() or float() would also read is malformed."""
    scheme, private, public = SENDERS[name]
    headers = scheme.sign(b"{}", private, NOW).headers
    changed = [headers[0], (headers[1][0], timestamp.encode())]
    assert reason_of(scheme, Delivery(b"{}", changed), public) == "malformed"


@senders
def test_several_keys_while_the_sender_rolls_its_own(name: str) -> None:
    """The index says which; a private key, or what is none, is passed over."""
    scheme, private, public = SENDERS[name]
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
    good = scheme.sign(b"{}", private, NOW)
    assert scheme.verify(good, [other, "no key", public], NOW).key_index == 2
    assert reason_of(scheme, good, ["no key", ""]) == "no_secret"
    scheme.check(public)
    with pytest.raises(ConfigurationError, match="no public"):
        scheme.check("no key")


def test_sendgrid_python_binascii_error_on_bad_base64() -> None:
    """A signature that is no base64, and for Discord no hex of its length, is malformed; a wrong one is a mismatch."""
    for signature in ("not base64!", "AAA", "AAAA=", "AA=A", "", "AAAA\n"):
        headers = {"X-Twilio-Email-Event-Webhook-Signature": signature}
        headers["X-Twilio-Email-Event-Webhook-Timestamp"] = "1760000000"
        expected = "malformed" if signature else "signature_missing"
        assert reason_of(sendgrid(), Delivery.of(b"[]", headers), SENDGRID_KEY) == expected
    headers = {"X-Twilio-Email-Event-Webhook-Signature": "AAAA", "X-Twilio-Email-Event-Webhook-Timestamp": "1760000000"}
    assert reason_of(sendgrid(), Delivery.of(b"[]", headers), SENDGRID_KEY) == "signature_mismatch"
    for signature in ("00" * 63, "zz" * 64, "00" * 64 + " ", "\xe9" * 128):
        headers = {"X-Signature-Ed25519": signature, "X-Signature-Timestamp": "1760000000"}
        assert reason_of(discord(), Delivery.of(b"{}", headers), DISCORD_KEY) == "malformed"


def test_sendgrid_signs_the_last_line_break() -> None:
    """The published delivery ends in CRLF: stripped, or read as JSON and written again, it is another."""
    found = recorded("sendgrid-published")
    assert found.delivery.body.endswith(b"\r\n")
    verified = sendgrid().verify(found.delivery, found.secret, found.now)
    assert verified.event_id is None
    for body in (found.delivery.body.strip(), json.dumps(json.loads(found.delivery.body)).encode()):
        changed = replace(found.delivery, body=body)
        assert reason_of(sendgrid(), changed, found.secret, found.now) == "signature_mismatch"


def test_sendgrid_replay_key_outlives_the_twin_of_a_signature() -> None:
    """Anybody can make a second good signature out of an ECDSA one; the replay key is of the bytes that are signed."""
    from base64 import b64decode

    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    good = sendgrid().sign(b"[]", SENDGRID_PRIVATE, NOW)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = decode_dss_signature(b64decode(good.headers[0][1]))
    twin = (good.headers[0][0], b64encode(encode_dss_signature(r, order - s)))
    first = sendgrid().verify(good, SENDGRID_KEY, NOW)
    assert sendgrid().verify(replace(good, headers=[twin, good.headers[1]]), SENDGRID_KEY, NOW) == first


def test_sendgrid_is_fresh_for_a_day() -> None:
    """It tries again for as long, and does not say whether it signs anew; five minutes could refuse what is its own."""
    good = sendgrid().sign(b"[]", SENDGRID_PRIVATE, NOW)
    assert sendgrid().verify(good, SENDGRID_KEY, NOW + 86_400).signed_at is not None
    assert reason_of(sendgrid(tolerance=300), good, SENDGRID_KEY, NOW + 301) == "timestamp_expired"


def test_discord_interactions_verifies_a_digit_that_moved() -> None:
    """Time and body have nothing between them: a capture may be split anew, and keeps its replay key."""
    body = b'0{"type":2,"id":"9"}'
    good = discord(tolerance=None).sign(body, SEED, 176_000_000)
    moved = Delivery.of(body[1:], headers_of(good) | {"x-signature-timestamp": "1760000000"})
    first, second = (discord(tolerance=None).verify(one, DISCORD_KEY, NOW) for one in (good, moved))
    assert first.replay_key == second.replay_key
    assert reason_of(discord(), good, DISCORD_KEY) == "timestamp_expired"


def test_discord_takes_its_id_from_the_body() -> None:
    """An interaction has an id, signed; a webhook event has none, and is known by its bytes."""
    interaction = discord().sign(b'{"type":2,"id":"1234"}', SEED, NOW)
    event = discord().sign(b'{"version":1,"type":1,"event":{"type":"ENTITLEMENT_CREATE"}}', SEED, NOW)
    assert discord().verify(interaction, DISCORD_KEY, NOW).event_id == "1234"
    assert discord().verify(event, DISCORD_KEY, NOW).event_id is None
    assert discord().event_type == ("event", "type")


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b'{"type":1,"id":"1","application_id":"2","token":"t","version":1}', Reply(b'{"type":1}')),
        (b'{"version":1,"application_id":"2","type":0}', Reply(b"", status=204)),
        (b'{"version":1,"type":1,"event":{"type":"APPLICATION_AUTHORIZED"}}', None),
        (b'{"type":2,"id":"1"}', None),
        (b'{"type":true}', None),
        (b'{"type":1.0}', None),
        (b'{"type":"1"}', None),
        (b'{"type":[]}', None),
        (b"{}", None),
        (b"[1]", None),
        (b"\xff", None),
    ],
)
def test_discord_pings_are_answered_and_events_are_not(body: bytes, reply: Reply | None) -> None:
    """PING is 1 among interactions and 0 among webhook events, whose 1 is an event."""
    assert ping(Delivery(body)) == reply
    assert ping(Delivery(body), sendgrid()) is None


@verify_webhook(discord(), secrets=DISCORD_KEY)
async def interactions() -> PlainTextResponse:
    """Answer an interaction."""
    return PlainTextResponse("done")


def test_discord_saves_no_endpoint_that_answers_everybody() -> None:
    """Discord asks with good signatures and with bad ones, and wants 401 for these."""

    class Stopped:
        def time(self) -> float:
            return NOW

        def monotonic(self) -> float:
            return NOW

    app = Starlette(routes=[Route("/", interactions, methods=["POST"])])
    Gate(log=EventList(), clock=Stopped()).install(app)
    client = Browser(app)
    for body, status, answered in [
        (b'{"type":1,"version":1}', 200, b'{"type":1}'),
        (b'{"type":0,"version":1}', 204, b""),
        (b'{"type":2,"id":"3"}', 200, b"done"),
    ]:
        good = headers_of(discord().sign(body, SEED, NOW))
        answer = client.post("/", content=body, headers=good)
        assert (answer.status, answer.body) == (status, answered)
        bad = good | {"x-signature-ed25519": "00" * 64}
        assert client.post("/", content=body, headers=bad).status == 401


def test_what_a_sender_looks_like_in_a_log() -> None:
    """A repr is short and stable, and shows no key."""
    assert repr(discord()) == "discord(tolerance=300)"
    assert repr(sendgrid(tolerance=None)) == "sendgrid(tolerance=None)"
    assert discord() == discord()
    assert hash(sendgrid()) == hash(sendgrid())
    assert discord().received == Reply(b"", status=204)


@pytest.mark.parametrize("tolerance", [0, -1, float("inf"), float("nan")])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    """None switches the check off, in so many words; 0 is a mistake."""
    for sender in (discord, sendgrid):
        with pytest.raises(ConfigurationError, match="write seconds"):
            sender(tolerance=tolerance)
