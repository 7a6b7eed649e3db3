"""Stripe's own library and ours understand each other."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.webhooks import Delivery, WebhookRejected
from gatewright.webhooks import stripe as scheme
from tests.webhooks.kit import headers_of

stripe = pytest.importorskip("stripe")

SECRET = "whsec_interop"
BODY = '{"id":"evt_1","object":"event","type":"invoice.paid","data":{"object":{"note":"caf\u00e9"}}}'


@given(st.text(max_size=200), st.integers(0, 4_000_000_000))
def test_what_stripes_library_signs_verifies_here(body: str, now: int) -> None:
    """The header that stripe-python generates is accepted, for any text and time."""
    header = stripe.WebhookSignature.generate_signature_header(body, SECRET, timestamp=now)
    verified = scheme().verify(Delivery.of(body.encode(), {"Stripe-Signature": header}), SECRET, now=now)
    assert verified.key_index == 0


@given(st.text(max_size=200))
def test_what_we_sign_stripes_library_verifies(body: str) -> None:
    """The header that `sign` makes passes stripe-python's own check, freshness too."""
    header = headers_of(scheme().sign(body.encode(), SECRET, now=time.time()))["stripe-signature"]
    assert stripe.WebhookSignature.verify_header(body.encode(), header, SECRET, tolerance=300)


def test_construct_event_takes_our_delivery() -> None:
    """stripe.Webhook.construct_event builds its event out of what we signed."""
    header = headers_of(scheme().sign(BODY.encode(), SECRET, now=time.time()))["stripe-signature"]
    event = stripe.Webhook.construct_event(BODY.encode(), header, SECRET)
    assert (event.id, event.type) == ("evt_1", "invoice.paid")


def test_both_refuse_another_secret() -> None:
    """A signature with another secret is nobody's."""
    header = headers_of(scheme().sign(BODY.encode(), "whsec_other", now=time.time()))["stripe-signature"]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(BODY.encode(), header, SECRET)
    with pytest.raises(WebhookRejected):
        scheme().verify(Delivery.of(BODY.encode(), {"Stripe-Signature": header}), SECRET, now=time.time())
