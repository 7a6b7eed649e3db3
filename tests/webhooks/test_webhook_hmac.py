"""The HMAC family: what it describes, what it refuses to describe, and that it is total."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, Elements, HmacScheme, Verified, WebhookRejected, github, hmac_scheme, stripe
from gatewright.webhooks.schemes.mac import Encoding, Hash
from gatewright.webhooks.schemes.times import Unit
from tests.webhooks.kit import headers_of

NOW = 1_760_000_000.0
SECRET = "whsec_hmac"

TIMED = hmac_scheme("X-Sig", template="v0:{timestamp}:{body}", prefix="v0=", timestamp_header="X-Time")
MILLISECONDS = hmac_scheme(
    "X-Sig",
    name="workos",
    template="{timestamp}.{body}",
    elements=Elements(signature="v1", timestamp="t", separator=", "),
    unit="ms",
    tolerance=180,
)
MIXED = hmac_scheme(
    "X-Sig",
    template="{body}.{timestamp}",
    elements=Elements(signature="h1", separator=";", assign=":"),
    timestamp_header="X-Time",
    encoding="base64",
    algorithm="sha512",
    event_id="event_id",
)
SCHEMES = [stripe(), github(), hmac_scheme("X-Sig", encoding="base64", algorithm="sha384"), TIMED, MILLISECONDS, MIXED]

schemes = st.sampled_from(SCHEMES)
names = st.sampled_from([b"stripe-signature", b"x-hub-signature-256", b"x-sig", b"x-time", b"host"])
values = st.binary(max_size=40) | st.from_regex(rb"(t|v1|v0|h1)?[=:]?[0-9a-z,;= ]{0,80}", fullmatch=True)


def deliver(scheme: HmacScheme, body: bytes, secret: str | bytes = SECRET, now: float = NOW) -> Delivery:
    """Return what the sender would deliver."""
    return scheme.sign(body, secret, now=now, url="https://api.example.com/hooks")


def rejected(scheme: HmacScheme, delivery: Delivery, now: float = NOW) -> str:
    """Return why *delivery* is refused."""
    with pytest.raises(WebhookRejected) as raised:
        scheme.verify(delivery, SECRET, now=now)
    return raised.value.reason


@given(schemes, st.binary(max_size=300), st.floats(0, 4e9), st.binary(min_size=1).filter(bytes.strip))
def test_what_sign_signs_verify_verifies(scheme: HmacScheme, body: bytes, now: float, secret: bytes) -> None:
    """sign and verify are one description read in two directions, for every body, time and secret."""
    if scheme.name == "stripe":
        secret = b"whsec_" + secret
    verified = scheme.verify(deliver(scheme, body, secret, now), secret, now=now)
    assert (verified.scheme, verified.key_index) == (scheme.name, 0)
    assert (verified.signed_at is None) == ("timestamp" not in verified.covers)


@given(schemes, st.binary(min_size=1, max_size=60), st.data())
def test_any_changed_byte_of_the_body_is_rejected(scheme: HmacScheme, body: bytes, data: st.DataObject) -> None:
    """Change, drop or add one byte anywhere in the body, and the signature is another's."""
    at = data.draw(st.integers(0, len(body) - 1))
    flipped = bytes([body[at] ^ data.draw(st.integers(1, 255))])
    good = deliver(scheme, body)
    for changed in (body[:at] + flipped + body[at + 1 :], body[:at] + body[at + 1 :], body[:at] + flipped + body[at:]):
        assert rejected(scheme, replace(good, body=changed)) == "signature_mismatch"


@given(st.sampled_from([stripe(), TIMED, MILLISECONDS, MIXED]), st.integers(-200, 200).filter(bool))
def test_a_changed_timestamp_is_rejected(scheme: HmacScheme, by: int) -> None:
    """A time moved within its tolerance is not the one that was signed."""
    signed, time = headers_of(scheme.sign(b"{}", SECRET, now=NOW)), f"{NOW:.0f}"
    moved = {name: value.replace(time, str(int(time) + by)) for name, value in signed.items()}
    assert moved != signed
    assert rejected(scheme, Delivery.of(b"{}", moved)) == "signature_mismatch"


@given(schemes, st.lists(st.tuples(names, values), max_size=6), st.binary(max_size=60), st.floats())
@example(stripe(), [(b"stripe-signature", b"t=9" + b"9" * 10 + b",v1=00")], b"", float("inf"))
@example(stripe(), [(b"stripe-signature", b"=,=,,")], b"\xff", float("nan"))
def test_verify_is_total(scheme: HmacScheme, headers: list[tuple[bytes, bytes]], body: bytes, now: float) -> None:
    """For any headers and bytes, and any clock, the only exception is WebhookRejected."""
    with pytest.raises(WebhookRejected):
        scheme.verify(Delivery(body, headers), [SECRET, "", "sk_live"], now=now)


@given(st.binary(max_size=100) | st.from_regex(rb'\{"id":.{0,30}\}?', fullmatch=True))
@example(b"[" * 100_000)
@example(b'{"id":' + b"9" * 5000 + b"}")
@example(b'{"id":NaN}')
@example(b'{"id":"\\ud800"}')
def test_an_event_id_is_a_string_or_none(body: bytes) -> None:
    """Whatever a sender signs, the event's id is text at the top of a JSON object, or there is none."""
    verified = stripe().verify(deliver(stripe(), body), SECRET, now=NOW)
    assert verified.event_id is None or isinstance(verified.event_id, str)


@pytest.mark.parametrize(
    ("body", "event_id"),
    [
        (b'{"id":"evt_1"}', "evt_1"),
        (b'{"id":7}', None),
        (b'{"id":null}', None),
        (b'{"data":{"id":"evt_1"}}', None),
        (b'["id"]', None),
        (b"", None),
    ],
)
def test_stripe_event_id_is_the_bodys(body: bytes, event_id: str | None) -> None:
    """The id comes out of signed bytes, from the top of the object."""
    assert stripe().verify(deliver(stripe(), body), SECRET, now=NOW).event_id == event_id


def test_verified_says_all_there_is_to_know() -> None:
    """Everything that a handler, a store or a metric needs is in one frozen value."""
    body = b'{"id":"evt_1"}'
    verified = stripe().verify(deliver(stripe(), body, "whsec_old"), ["whsec_new", "whsec_old"], now=NOW + 5)
    assert verified == Verified(
        scheme="stripe",
        key_index=1,
        signed_at=datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC),
        covers=frozenset({"body", "timestamp"}),
        replay_key=hashlib.sha256(b"stripe\x001760000000." + body).hexdigest(),
        event_id="evt_1",
    )


def test_milliseconds_are_signed_as_sent() -> None:
    """A sender's milliseconds are its own: signed to the digit, fresh to the second."""
    delivery = deliver(MILLISECONDS, b"{}", now=NOW + 0.25)
    assert dict(delivery.headers)[b"x-sig"].startswith(b"t=1760000000250, v1=")
    verified = MILLISECONDS.verify(delivery, SECRET, now=NOW)
    assert verified.signed_at == datetime(2025, 10, 9, 8, 53, 20, 250_000, tzinfo=UTC)
    assert rejected(MILLISECONDS, delivery, now=NOW + 180.5) == "timestamp_expired"


def test_replay_key_is_of_the_signed_bytes_alone() -> None:
    """Another secret, spelling or unsigned header makes no other key; another body, time or sender does."""

    def key(scheme: HmacScheme, delivery: Delivery) -> str:
        return scheme.verify(delivery, [SECRET, "whsec_other"], now=NOW).replay_key

    base = key(stripe(), deliver(stripe(), b"{}"))
    headers = {name.decode(): value.decode() for name, value in deliver(stripe(), b"{}").headers}
    shouted = headers["stripe-signature"].replace("v1=", "v9=x, v1=").upper().replace("V", "v").replace("T=", "t=")
    assert key(stripe(), deliver(stripe(), b"{}", "whsec_other")) == base
    assert key(stripe(), Delivery.of(b"{}", {"stripe-signature": shouted, "x-id": "1"})) == base
    others = {
        key(stripe(), deliver(stripe(), b"{ }")),
        key(stripe(), deliver(stripe(), b"{}", now=NOW + 1)),
        key(hmac_scheme("x-sig"), deliver(hmac_scheme("x-sig"), b"{}")),
        key(hmac_scheme("x-sig", name="other"), deliver(hmac_scheme("x-sig", name="other"), b"{}")),
    }
    assert base not in others
    assert len(others) == 4


def test_the_first_of_several_secrets_that_matches_is_named() -> None:
    """The index tells whether the old secret is still in use; a secret that is none is passed over, not used."""
    delivery = deliver(github(), b"{}", "two")
    assert github().verify(delivery, ("one", "", "two", "two"), now=NOW).key_index == 2
    with pytest.raises(WebhookRejected, match="signature_mismatch"):
        github().verify(delivery, ["one", "three"], now=NOW)
    with pytest.raises(WebhookRejected, match="no_secret"):
        github().verify(delivery, [], now=NOW)


def test_every_secret_meets_every_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever matches, all comparisons are made: time does not tell which one did."""
    import hmac

    compared: list[bytes] = []
    real = hmac.compare_digest

    def counting(expected: bytes, signature: bytes) -> bool:
        compared.append(signature)
        return real(expected, signature)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    header = headers_of(stripe().sign(b"{}", SECRET, now=NOW))["stripe-signature"] + ",v1=" + "0" * 64
    stripe().verify(Delivery.of(b"{}", {"Stripe-Signature": header}), [SECRET, "whsec_b", "whsec_c"], now=NOW)
    assert len(compared) == 6


def test_the_signature_is_judged_before_the_time() -> None:
    """The log says "expired" only of what was signed; a forged old time is a forgery."""
    header = f"t=1,v1={'0' * 64}"
    assert rejected(stripe(), Delivery.of(b"{}", {"Stripe-Signature": header})) == "signature_mismatch"


def test_what_is_missing_is_named() -> None:
    """Each missing part has its own reason, for the log."""
    signature = headers_of(stripe().sign(b"{}", SECRET, now=NOW))["stripe-signature"].split(",")[1]
    assert rejected(stripe(), Delivery.of(b"{}", {})) == "signature_missing"
    assert rejected(stripe(), Delivery.of(b"{}", {"Stripe-Signature": signature})) == "timestamp_missing"
    assert rejected(stripe(), Delivery.of(b"{}", {"Stripe-Signature": "t=1760000000"})) == "no_supported_signature"
    alone = {"X-Sig": headers_of(TIMED.sign(b"{}", SECRET, now=NOW))["x-sig"]}
    assert rejected(TIMED, Delivery.of(b"{}", alone)) == "timestamp_missing"


def test_generic_schemes_write_the_headers_of_their_description() -> None:
    """Template, prefix, list, encoding and time come out on the wire as they were described."""
    assert list(headers_of(TIMED.sign(b"{}", SECRET, now=NOW))) == ["x-sig", "x-time"]
    assert headers_of(TIMED.sign(b"{}", SECRET, now=NOW))["x-sig"].startswith("v0=")
    signed = headers_of(MIXED.sign(b"{}", SECRET, now=NOW + 0.9))
    assert signed["x-time"] == "1760000000"
    assert signed["x-sig"].startswith("h1:")
    import hmac

    mac = b64encode(hmac.digest(SECRET.encode(), b"{}.1760000000", "sha512")).decode()
    assert signed["x-sig"] == f"h1:{mac}"


def test_slack_published_vector_through_the_generic_scheme() -> None:
    """api.slack.com's example: a sender that has no scheme of its own yet is a few lines of data."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    slack = hmac_scheme(
        "X-Slack-Signature",
        name="slack",
        prefix="v0=",
        template="v0:{timestamp}:{body}",
        timestamp_header="X-Slack-Request-Timestamp",
    )
    assert headers_of(slack.sign(body, "8f742231b10e8888abcd99yyyzzz85a5", now=1531420618)) == {
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "x-slack-request-timestamp": "1531420618",
    }


def test_covers_is_what_the_template_signs() -> None:
    """What the signature does not cover, nobody may believe."""
    assert github().covers == {"body"}
    assert TIMED.covers == {"body", "timestamp"}


def test_tolerance_is_300_seconds_where_a_time_is_signed() -> None:
    """A signed time without a limit is a capture that is valid for ever."""
    assert (TIMED.tolerance, hmac_scheme("x-sig").tolerance, stripe().tolerance) == (300, None, 300)
    assert stripe(tolerance=30).tolerance == 30


def test_repr_shows_the_sender_and_nothing_else() -> None:
    """A repr goes into logs and decides the order of guards: short and stable."""
    assert repr(stripe()) == "stripe(tolerance=300)"
    assert repr(github()) == "github()"
    assert stripe() == stripe()
    assert hash(stripe()) == hash(stripe())


@pytest.mark.parametrize("tolerance", [0, -1, float("inf"), float("nan")])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    """stripe-python switches the check off for 0; here that is a mistake."""
    with pytest.raises(ConfigurationError, match="write seconds"):
        stripe(tolerance=tolerance)


def test_descriptions_that_would_verify_too_little_are_refused() -> None:
    """A scheme that cannot work, or looks stricter than it is, does not get past the import."""
    timed = Elements(signature="v1", timestamp="t")
    wrong: list[tuple[str, dict[str, object]]] = [
        ("no header name", {"header": "x sig"}),
        ("no header name", {"header": "x-sig", "template": "{timestamp}{body}", "timestamp_header": ""}),
        ("lower case", {"header": "x-sig", "name": "My Sender"}),
        ("one of hex, base64", {"header": "x-sig", "encoding": "base32"}),
        ("one of sha256", {"header": "x-sig", "algorithm": "md5"}),
        ("one of s, ms", {"header": "x-sig", "unit": "us"}),
        ("{body} once", {"header": "x-sig", "template": "{timestamp}"}),
        ("{body} once", {"header": "x-sig", "template": "{body}{body}"}),
        ("{body} once", {"header": "x-sig", "template": "{body}{path}"}),
        ("an id counts only", {"header": "x-sig", "template": "{id}.{body}"}),
        ("an id counts only", {"header": "x-sig", "id_header": "x-id"}),
        ("{body} once", {"header": "x-sig", "template": "{body}{"}),
        ("leave prefix out", {"header": "x-sig", "prefix": "v1=", "elements": Elements(signature="v1")}),
        ("is empty", {"header": "x-sig", "elements": Elements(signature="")}),
        ("is empty", {"header": "x-sig", "elements": Elements(signature="v1", separator="")}),
        ("counts only where it is signed", {"header": "x-sig", "template": "{timestamp}.{body}"}),
        ("counts only where it is signed", {"header": "x-sig", "elements": timed}),
        ("not in both", {"header": "x-sig", "elements": timed, "timestamp_header": "x-time"}),
        ("would do nothing", {"header": "x-sig", "tolerance": 300}),
    ]
    for message, arguments in wrong:
        with pytest.raises(ConfigurationError, match=message):
            hmac_scheme(**arguments)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ConfigurationError, match="write seconds"):
        HmacScheme(name="own", header="x-sig", template="{timestamp}.{body}", timestamp_header="x-time")


@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_every_choice_works(encoding: Encoding, algorithm: Hash, unit: Unit) -> None:
    """What the signature of hmac_scheme offers, it does."""
    scheme = hmac_scheme(
        "x-sig",
        template="{timestamp}.{body}",
        timestamp_header="x-time",
        encoding=encoding,
        algorithm=algorithm,
        unit=unit,
    )
    assert scheme.verify(deliver(scheme, b"{}"), SECRET, now=NOW).key_index == 0


def test_a_delivery_shows_no_header_and_no_body() -> None:
    """A delivery that lands in a traceback or a log gives nothing away."""
    delivery = Delivery(b"card=4242", [(b"stripe-signature", b"t=1")], "POST", "/hooks")
    assert repr(delivery) == "Delivery(method='POST', url='/hooks')"
    assert Delivery.of(b"", {"X-Name": "caf\u00e9 \u2713"}).headers == [(b"x-name", b"caf\xe9 ?")]


@pytest.mark.parametrize("template", ["{id}{body}", "{body}{id}", "{timestamp}{id}.{body}"])
def test_an_id_ends_somewhere(template: str) -> None:
    """Without anything around it, a part of the id could be moved to its neighbour, under the same signature."""
    with pytest.raises(ConfigurationError, match=r"where does \{id\} end"):
        hmac_scheme(
            "x-sig", template=template, id_header="x-id", timestamp_header="x-time" if "time" in template else None
        )


def test_an_id_holds_nothing_of_what_ends_it() -> None:
    """`a.b` and `a` with `b.` before the body were signed by the same bytes."""
    scheme = hmac_scheme("x-sig", template="{id}.{body}", id_header="x-id")
    good = scheme.sign(b"b.{}", SECRET, NOW, event_id="a")
    assert scheme.verify(good, SECRET, NOW).event_id == "a"
    moved = [(name, b"a.b" if name == b"x-id" else value) for name, value in good.headers]
    assert rejected(scheme, Delivery(b"{}", moved)) == "malformed"
    at_the_end = hmac_scheme("x-sig", template="{body}|{id}", id_header="x-id")
    assert at_the_end.verify(at_the_end.sign(b"{}", SECRET, NOW, event_id="a.b"), SECRET, NOW).event_id == "a.b"
