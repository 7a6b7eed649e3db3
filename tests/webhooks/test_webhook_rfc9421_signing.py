"""What sign() makes, and that verify() has an answer for any bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, Verified, WebhookRejected
from gatewright.webhooks.schemes.rfc9421.scheme import (
    HttpMessageSignatures,
    SignatureAlgorithm,
    http_message_signatures,
)
from tests.webhooks.kit import NOW, headers_of
from tests.webhooks.rfc9421_examples import KEYS, SHARED
from tests.webhooks.rfc9421_signing import BODY, HMAC, SHA256, URL, both, policy, sent, signed, with_headers

algorithms = st.sampled_from(get_args(SignatureAlgorithm))


@given(algorithms, st.binary(max_size=100), st.integers(0, 10**11 - 1))
@settings(deadline=None, max_examples=40)
def test_what_sign_signs_verify_verifies(algorithm: SignatureAlgorithm, body: bytes, now: int) -> None:
    """sign and verify are one description read in two directions, for every body, time and algorithm."""
    scheme = http_message_signatures(algorithm=algorithm, key_id="k", tag="t", label="l")
    verified = scheme.verify(sent(scheme, body, now), KEYS[algorithm][0], now)
    assert verified.covers == scheme.covers
    assert verified.signed_at is not None


def test_every_component_may_be_signed() -> None:
    """Tests of an endpoint may want any of them; of headers, those are written that have an obvious value."""
    wanted = [
        *["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"],
        *['"@query-param";name="a"', "Content-Type", "content-length", "date", '"content-digest";sf', "@method"],
    ]
    headers = headers_of(sent(policy(components=wanted)))
    assert headers["date"] == "Thu, 09 Oct 2025 08:53:20 GMT"
    assert (headers["content-type"], headers["content-length"]) == ("application/json", "18")
    assert policy(components=wanted).verify(sent(policy(components=wanted)), SHARED, NOW)
    assert set(headers_of(sent())) == {"content-digest", "signature-input", "signature"}


def test_what_cannot_be_signed_is_told() -> None:
    """Without an address there is no @target-uri, and of another header nobody knows the value."""
    with pytest.raises(ConfigurationError, match="write url="):
        HMAC.sign(BODY, SHARED, NOW)
    with pytest.raises(ConfigurationError, match="only content-digest"):
        policy(components=["x-other"]).sign(BODY, SHARED, NOW)
    for same in (policy(require_body=False), policy(components=["content-digest"])):
        assert same.sign(BODY, SHARED, NOW) == policy().sign(BODY, SHARED, NOW)


def test_the_replay_key_is_of_the_signed_bytes_alone() -> None:
    """Another key, spelling, label or header makes no other key; another nonce, time, address or body does."""

    def key(delivery: Delivery, scheme: HttpMessageSignatures = HMAC) -> str:
        return scheme.verify(delivery, [SHARED, b"other"], NOW).replay_key

    headers = headers_of(sent())
    parameters = headers["signature-input"].removeprefix("sig1=").replace(";", ";  ").replace('" "', '"  "')
    signature = headers["signature"].removeprefix("sig1=")
    respelled = with_headers(sent(), signature_input=f"s={parameters}", signature=f'  s={signature};x="y"', x_id="1")
    base = key(sent())
    assert key(respelled) == base
    assert key(HMAC.sign(BODY, b"other", NOW, url=URL)) == base
    components = (
        '("@method" "@target-uri" "content-digest");created=1760000000;keyid="k1";alg="hmac-sha256";tag="webhook"'
    )
    assert key(signed(components)) == base
    others = {
        key(signed(components + ';nonce="n-1"')),
        key(signed(components + ';nonce="n-2"')),
        key(sent(body=b"{}")),
        key(sent(now=NOW + 1)),
        key(sent(url=URL + "&b")),
        base,
    }
    assert len(others) == 6


def test_every_signature_is_looked_at_with_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever matches, all comparisons are made: time does not tell which one did."""
    import hmac

    compared: list[bytes | str] = []
    real = hmac.compare_digest

    def counting(expected: Any, given: Any) -> bool:
        compared.append(given)
        return real(expected, given)

    delivery = both(signed('("content-digest");created=1760000000'), signed('("content-digest");created=1760000001'))
    monkeypatch.setattr(hmac, "compare_digest", counting)
    policy().verify(delivery, [SHARED, b"two", b"three"], NOW)
    # Two signatures with three secrets, and the digest of each.
    assert len(compared) == 8


names = st.sampled_from([b"signature-input", b"signature", b"content-digest", b"host", b"x", b"date"])
values = st.binary(max_size=40) | st.from_regex(
    rb'(sig1=)?(\(("(@method|@path|@query|@target-uri|x|content-digest)"(;(sf|bs|key="a"|name="a"))? ?){0,3}\))?'
    rb'(;(created|expires|keyid|alg|tag)=("k1"|[0-9]{1,12}|-1|\?1|t))*|(sig1|sha-256)=:[A-Za-z0-9+/]{0,8}={0,2}:',
    fullmatch=True,
)


@given(
    algorithms,
    st.booleans(),
    st.none() | st.just(300.0),
    st.lists(st.tuples(names, values), max_size=6),
    st.text(max_size=10),
    st.binary(max_size=20),
    st.floats(),
)
@settings(deadline=None)
def test_verify_is_total(
    algorithm: SignatureAlgorithm,
    require_body: bool,
    tolerance: float | None,
    headers: list[tuple[bytes, bytes]],
    url: str,
    body: bytes,
    now: float,
) -> None:
    """For any headers, bytes, address and clock, the only exception is WebhookRejected, with a reason that is known."""
    scheme = http_message_signatures(algorithm=algorithm, components=(), require_body=require_body, tolerance=tolerance)
    with pytest.raises(WebhookRejected):
        scheme.verify(Delivery(body, headers, url, url), [KEYS[algorithm][0], "", "text"], now)


@given(st.data())
@settings(max_examples=150)
def test_any_change_of_what_is_signed_is_refused(data: st.DataObject) -> None:
    """Change a byte of a covered header, of the parameters or of the body, and it is not what was signed."""
    delivery = sent()
    place = data.draw(st.sampled_from(["content-digest", "signature-input", "signature", "body"]))
    raw = delivery.body if place == "body" else headers_of(delivery)[place].encode()
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    if place == "body":
        forged = replace(delivery, body=changed)
    else:
        forged = replace(
            delivery, headers=[(name, changed if name == place.encode() else value) for name, value in delivery.headers]
        )
    try:
        verified = HMAC.verify(forged, SHARED, NOW)
    except WebhookRejected:
        return
    # A space more, or less, is the one change that is none.
    assert verified == HMAC.verify(delivery, SHARED, NOW)
    assert place != "body"


def test_verified_is_all_there_is_to_know() -> None:
    """Everything that a handler, a store or a metric needs is in one frozen value."""
    base = (
        f'"@method": POST\n"@target-uri": {URL}\n"content-digest": {SHA256}\n"@signature-params": '
        '("@method" "@target-uri" "content-digest");created=1760000000;keyid="k1";alg="hmac-sha256";tag="webhook"'
    )
    assert HMAC.verify(sent(), [b"new", SHARED], NOW) == Verified(
        scheme="http_message_signatures",
        key_index=1,
        signed_at=datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC),
        covers=frozenset({"body", "timestamp", "method", "url"}),
        replay_key=hashlib.sha256(b"http_message_signatures\0" + base.encode()).hexdigest(),
        event_id=None,
    )
