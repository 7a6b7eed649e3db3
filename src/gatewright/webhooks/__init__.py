"""Webhooks: verify that the sender signed a delivery, then read its event."""

from __future__ import annotations

from gatewright.webhooks.elements import Elements
from gatewright.webhooks.events import Event, EventMarker
from gatewright.webhooks.guard import VerifyWebhook, verify_webhook
from gatewright.webhooks.hmac import HmacScheme
from gatewright.webhooks.scheme import Delivery, Scheme, Verified, WebhookRejected
from gatewright.webhooks.senders import github, hmac_scheme, stripe

__all__ = [
    "Delivery",
    "Elements",
    "Event",
    "EventMarker",
    "HmacScheme",
    "Scheme",
    "Verified",
    "VerifyWebhook",
    "WebhookRejected",
    "github",
    "hmac_scheme",
    "stripe",
    "verify_webhook",
]
