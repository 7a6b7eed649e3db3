"""Webhooks: verify that the sender signed a delivery, handle each event once, answer challenges, and send your own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gatewright._core.late import late as _late
from gatewright.webhooks.certificates import Fetch
from gatewright.webhooks.events import Event, EventMarker
from gatewright.webhooks.guard import SecretsOf, VerifyWebhook, verify_webhook
from gatewright.webhooks.once.contract import Busy, Claim, ClaimLost, DeliveryStore, Done, Once
from gatewright.webhooks.scheme import Delivery, Reply, Scheme, Verified, WebhookRejected
from gatewright.webhooks.secret import Tenant

if TYPE_CHECKING:
    from gatewright.webhooks.once.sql import SqlDeliveries
    from gatewright.webhooks.router import WebhookRouter
    from gatewright.webhooks.schemes.adyen import adyen
    from gatewright.webhooks.schemes.chat import intercom, meta, slack, zoom
    from gatewright.webhooks.schemes.elements import Elements
    from gatewright.webhooks.schemes.gitlab import gitlab, gitlab_token
    from gatewright.webhooks.schemes.hmac import HmacScheme
    from gatewright.webhooks.schemes.hubspot import hubspot
    from gatewright.webhooks.schemes.linear import linear
    from gatewright.webhooks.schemes.mailgun import mailgun
    from gatewright.webhooks.schemes.paypal import paypal
    from gatewright.webhooks.schemes.pinned import discord, sendgrid
    from gatewright.webhooks.schemes.rfc9421.scheme import SignatureAlgorithm, http_message_signatures
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
    from gatewright.webhooks.schemes.signed import Algorithm, Candidate, Signed, SignedScheme
    from gatewright.webhooks.schemes.sns import ANY_TOPIC, aws_sns
    from gatewright.webhooks.schemes.standard import openai, standard_webhooks, svix
    from gatewright.webhooks.schemes.twilio import twilio
    from gatewright.webhooks.sending.addresses import Egress, check_url
    from gatewright.webhooks.sending.client import HttpxClient
    from gatewright.webhooks.sending.contract import Attempt, HttpClient, HttpRequest, HttpResponse, SendResult
    from gatewright.webhooks.sending.endpoint import UnsafeUrl
    from gatewright.webhooks.sending.message import new_webhook_secret
    from gatewright.webhooks.sending.retries import STANDARD_SCHEDULE, Retries
    from gatewright.webhooks.sending.sender import WebhookSender

__all__ = [
    "ANY_TOPIC",
    "STANDARD_SCHEDULE",
    "Algorithm",
    "Attempt",
    "Busy",
    "Candidate",
    "Claim",
    "ClaimLost",
    "Delivery",
    "DeliveryStore",
    "Done",
    "Egress",
    "Elements",
    "Event",
    "EventMarker",
    "Fetch",
    "HmacScheme",
    "HttpClient",
    "HttpRequest",
    "HttpResponse",
    "HttpxClient",
    "Once",
    "Reply",
    "Retries",
    "Scheme",
    "SecretsOf",
    "SendResult",
    "SignatureAlgorithm",
    "Signed",
    "SignedScheme",
    "SqlDeliveries",
    "Tenant",
    "UnsafeUrl",
    "Verified",
    "VerifyWebhook",
    "WebhookRejected",
    "WebhookRouter",
    "WebhookSender",
    "adyen",
    "aws_sns",
    "calendly",
    "check_url",
    "discord",
    "github",
    "gitlab",
    "gitlab_token",
    "hmac_scheme",
    "http_message_signatures",
    "hubspot",
    "intercom",
    "linear",
    "mailgun",
    "meta",
    "new_webhook_secret",
    "openai",
    "paddle",
    "paypal",
    "razorpay",
    "sendgrid",
    "shopify",
    "slack",
    "square",
    "standard_webhooks",
    "stripe",
    "svix",
    "twilio",
    "typeform",
    "verify_webhook",
    "workos",
    "zoom",
]

_LATE = {
    "ANY_TOPIC": "schemes.sns",
    "Algorithm": "schemes.signed",
    "Attempt": "sending.contract",
    "Candidate": "schemes.signed",
    "Egress": "sending.addresses",
    "Elements": "schemes.elements",
    "HmacScheme": "schemes.hmac",
    "HttpClient": "sending.contract",
    "HttpRequest": "sending.contract",
    "HttpResponse": "sending.contract",
    "HttpxClient": "sending.client",
    "Retries": "sending.retries",
    "STANDARD_SCHEDULE": "sending.retries",
    "SendResult": "sending.contract",
    "SignatureAlgorithm": "schemes.rfc9421.scheme",
    "Signed": "schemes.signed",
    "SignedScheme": "schemes.signed",
    "SqlDeliveries": "once.sql",
    "UnsafeUrl": "sending.endpoint",
    "WebhookRouter": "router",
    "WebhookSender": "sending.sender",
    "adyen": "schemes.adyen",
    "aws_sns": "schemes.sns",
    "calendly": "schemes.senders",
    "check_url": "sending.addresses",
    "discord": "schemes.pinned",
    "github": "schemes.senders",
    "gitlab": "schemes.gitlab",
    "gitlab_token": "schemes.gitlab",
    "hmac_scheme": "schemes.senders",
    "http_message_signatures": "schemes.rfc9421.scheme",
    "hubspot": "schemes.hubspot",
    "intercom": "schemes.chat",
    "linear": "schemes.linear",
    "mailgun": "schemes.mailgun",
    "meta": "schemes.chat",
    "new_webhook_secret": "sending.message",
    "openai": "schemes.standard",
    "paddle": "schemes.senders",
    "paypal": "schemes.paypal",
    "razorpay": "schemes.senders",
    "sendgrid": "schemes.pinned",
    "shopify": "schemes.senders",
    "slack": "schemes.chat",
    "square": "schemes.senders",
    "standard_webhooks": "schemes.standard",
    "stripe": "schemes.senders",
    "svix": "schemes.standard",
    "twilio": "schemes.twilio",
    "typeform": "schemes.senders",
    "workos": "schemes.senders",
    "zoom": "schemes.chat",
}

__getattr__: Callable[[str], object] = _late(__name__, _LATE, globals())
