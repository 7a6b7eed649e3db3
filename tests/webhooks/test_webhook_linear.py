"""Linear: the time that counts is the one in the body, and it is read only once the body is verified."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.webhooks import Delivery
from gatewright.webhooks.schemes.linear import linear
from gatewright.webhooks.schemes.mac import Mac
from tests.webhooks.kit import NOW, headers_of, reason_of

SECRET = "lin_wh_secret"


def signed(body: bytes) -> Delivery:
    """Return exactly *body*, with Linear's signature."""
    return Delivery.of(body, {"Linear-Signature": Mac().sign(SECRET, body).decode()})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"type":"Issue"}', "timestamp_missing"),
        (b'{"webhookTimestamp":null}', "timestamp_missing"),
        (b'{"webhookTimestamp":"1760000000000"}', "malformed"),
        (b'{"webhookTimestamp":1760000000000.5}', "malformed"),
        (b'{"webhookTimestamp":true}', "malformed"),
        (b'{"webhookTimestamp":-1}', "malformed"),
        (b'{"webhookTimestamp":100000000000000}', "malformed"),
        (b'{"webhookTimestamp":' + b"9" * 5000 + b"}", "malformed"),
        (b'{"webhookTimestamp":99999999999999}', "timestamp_future"),
        (b"[1760000000000]", "malformed"),
        (b"", "malformed"),
        (b"\xff", "malformed"),
    ],
)
def test_a_body_without_a_time_of_signing_is_refused(body: bytes, reason: str) -> None:
    """However well it is signed: without a time it would be good for ever."""
    assert reason_of(linear(), signed(body), SECRET) == reason


def test_nothing_is_read_before_it_is_verified() -> None:
    """A body that nobody signed is a mismatch, whatever its time is or lacks."""
    for body in (b"", b"{", b'{"webhookTimestamp":0}'):
        delivery = Delivery.of(body, {"Linear-Signature": "00"})
        assert reason_of(linear(), delivery, SECRET) == "signature_mismatch"


def test_the_header_that_repeats_the_time_is_not_read() -> None:
    """Linear-Timestamp is not signed, so it makes no old body fresh."""
    old = linear().sign(b"{}", SECRET, NOW - 61)
    fresh = Delivery.of(old.body, headers_of(old) | {"Linear-Timestamp": f"{NOW * 1000:.0f}"})
    assert reason_of(linear(), fresh, SECRET) == "timestamp_expired"


def test_verified_has_the_time_of_the_body() -> None:
    """The handler sees when it was signed, to the millisecond, and that this is signed."""
    verified = linear().verify(signed(b'{"webhookTimestamp":1760000000250}'), SECRET, NOW)
    assert verified.signed_at == datetime(2025, 10, 9, 8, 53, 20, 250_000, tzinfo=UTC)
    assert verified.covers == {"body", "timestamp"}
    assert verified.event_id is None


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=3))
def test_sign_gives_a_body_its_time(members: dict[str, int]) -> None:
    """Linear's body has it, so ours gets it; everything else stays, and verifies."""
    delivery = linear().sign(b" " + json.dumps(members).encode(), SECRET, NOW)
    assert json.loads(delivery.body) == {"webhookTimestamp": 1_760_000_000_000, **members}
    assert linear().verify(delivery, SECRET, NOW).scheme == "linear"


@pytest.mark.parametrize("body", [b'{"webhookTimestamp":1}', b"not JSON", b"[]"])
def test_sign_leaves_a_body_as_it_is_where_there_is_no_place_for_a_time(body: bytes) -> None:
    """A test's own time stays the test's own; and what is no object is signed as it is."""
    assert linear().sign(body, SECRET, NOW).body == body


def test_linear_says_what_it_is() -> None:
    """The error messages and the pipeline name it, without a secret."""
    assert repr(linear()) == "linear(tolerance=60)"
    assert linear() == linear(tolerance=60)
