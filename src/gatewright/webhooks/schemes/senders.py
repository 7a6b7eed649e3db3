"""The senders, each a few lines of data, and the scheme for those that are not here."""

from __future__ import annotations

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Path
from gatewright.webhooks.schemes.elements import Elements
from gatewright.webhooks.schemes.hmac import HmacScheme
from gatewright.webhooks.schemes.mac import Encoding, Hash
from gatewright.webhooks.schemes.times import Unit
from gatewright.webhooks.secret import Secret, secret_bytes

__all__ = [
    "calendly",
    "github",
    "hmac_scheme",
    "paddle",
    "razorpay",
    "shopify",
    "square",
    "stripe",
    "typeform",
    "workos",
]

_API_KEYS = (b"sk_", b"rk_", b"pk_")


def stripe(*, tolerance: float = 300) -> HmacScheme:
    """Verify Stripe's `Stripe-Signature` (https://docs.stripe.com/webhooks#verify-manually).

    The time is signed, and refused in the future as well as in the past. `v0`, the signature of test events, never
    counts. The whole `whsec_...` text is the key. The event's id is the body's, so it is signed.

    Args:
        tolerance: seconds that the time of signing may be off, either way.
    """
    return HmacScheme(
        name="stripe",
        header="Stripe-Signature",
        elements=Elements(signature="v1", timestamp="t"),
        template="{timestamp}.{body}",
        tolerance=tolerance,
        event_id=("id",),
        event_type=("type",),
        key=_endpoint_secret,
    )


def github() -> HmacScheme:
    """Verify GitHub's `X-Hub-Signature-256`
    (https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries).

    Only the body is signed: a capture is valid for ever, and `X-GitHub-Event` and `X-GitHub-Delivery` are anybody's
    word, so there is no event id, and an `Event[...]` is told apart by its body. The SHA-1 header is never read.
    Choose the content type `application/json` for the hook.
    """
    return HmacScheme(name="github", header="X-Hub-Signature-256", prefix="sha256=")


def shopify() -> HmacScheme:
    """Verify Shopify's `X-Shopify-Hmac-SHA256`, or `Shopify-Hmac-SHA256` of its newer events
    (https://shopify.dev/docs/apps/build/webhooks/subscribe/https).

    Only the body is signed: topic, shop domain and ids come in headers that anybody could write, so there is no event
    id and no event type. Give each topic an endpoint of its own, and look the shop up by what the body says.
    """
    return HmacScheme(name="shopify", header="X-Shopify-Hmac-SHA256", also="Shopify-Hmac-SHA256", encoding="base64")


def typeform() -> HmacScheme:
    """Verify Typeform's `Typeform-Signature` (https://www.typeform.com/developers/webhooks/secure-your-webhooks/).

    It looks like GitHub's and is base64; no time is signed.
    """
    return HmacScheme(
        name="typeform",
        header="Typeform-Signature",
        prefix="sha256=",
        encoding="base64",
        event_id=("event_id",),
        event_type=("event_type",),
    )


def calendly(*, tolerance: float = 180) -> HmacScheme:
    """Verify Calendly's `Calendly-Webhook-Signature`
    (https://developer.calendly.com/api-docs/overview/webhooks/webhook-signatures).

    Its events have no id.

    Args:
        tolerance: seconds that the time of signing may be off, either way.
    """
    return HmacScheme(
        name="calendly",
        header="Calendly-Webhook-Signature",
        elements=Elements(signature="v1", timestamp="t"),
        template="{timestamp}.{body}",
        tolerance=tolerance,
        event_type=("event",),
    )


def workos(*, tolerance: float = 180) -> HmacScheme:
    """Verify WorkOS's `WorkOS-Signature`, whose time is in milliseconds
    (https://workos.com/docs/events/data-syncing/webhooks).

    Args:
        tolerance: seconds that the time of signing may be off, either way.
    """
    return HmacScheme(
        name="workos",
        header="WorkOS-Signature",
        elements=Elements(signature="v1", timestamp="t", separator=", "),
        template="{timestamp}.{body}",
        unit="ms",
        tolerance=tolerance,
        event_id=("id",),
        event_type=("event",),
    )


def paddle(*, tolerance: float = 5) -> HmacScheme:
    """Verify Paddle Billing's `Paddle-Signature` (https://developer.paddle.com/webhooks/signature-verification).

    Args:
        tolerance: seconds that the time of signing may be off, either way. Five are what Paddle's own libraries take;
            give more where your clock is worse.
    """
    return HmacScheme(
        name="paddle",
        header="Paddle-Signature",
        elements=Elements(signature="h1", timestamp="ts", separator=";"),
        template="{timestamp}:{body}",
        tolerance=tolerance,
        event_id=("event_id",),
        event_type=("event_type",),
    )


def razorpay() -> HmacScheme:
    """Verify Razorpay's `X-Razorpay-Signature` (https://razorpay.com/docs/webhooks/validate-test/).

    Only the body is signed, and it has no event id: `X-Razorpay-Event-Id` is anybody's word. The secret is the
    webhook's, not the API key's.
    """
    return HmacScheme(name="razorpay", header="X-Razorpay-Signature", event_type=("event",))


def square() -> HmacScheme:
    """Verify Square's `X-Square-HmacSha256-Signature` (https://developer.squareup.com/docs/webhooks/step3validate).

    The URL is signed as the subscription spells it, to the last slash. The SHA-1 header is never read.
    """
    return HmacScheme(
        name="square",
        header="X-Square-HmacSha256-Signature",
        template="{url}{body}",
        encoding="base64",
        event_id=("event_id",),
        event_type=("type",),
    )


def hmac_scheme(
    header: str,
    *,
    name: str = "hmac",
    template: str = "{body}",
    prefix: str = "",
    elements: Elements | None = None,
    encoding: Encoding = "hex",
    algorithm: Hash = "sha256",
    timestamp_header: str | None = None,
    unit: Unit = "s",
    tolerance: float | None = None,
    id_header: str | None = None,
    event_id: str | Path | None = None,
    event_type: str | Path | None = None,
) -> HmacScheme:
    """Verify a sender of your own, or one that has no scheme here.

    Args:
        header: the header of the signature.
        name: the sender's name, for `Verified.scheme` and the log.
        template: what is signed, out of `{body}`, `{timestamp}`, `{id}`, `{url}` and `{method}`, such as
            "{timestamp}.{body}".
        prefix: what stands before the signature, such as "sha256=".
        elements: how the header lists its elements, where it is a list.
        encoding: "hex" or "base64".
        algorithm: "sha256", "sha384" or "sha512"; "sha1" where the sender has nothing better.
        timestamp_header: the header of the time, where it has one of its own.
        unit: the timestamp's: "s" or "ms".
        tolerance: seconds that a signed time may be off, either way; None is 300 where a time is signed.
        id_header: the header of the event's id, where it is signed: `{id}` in the template.
        event_id: where the JSON body has the event's id, a string: a member at the top, or the path to one.
        event_type: where it says what happened, in the same way; for `WebhookRouter`.

    Raises:
        ConfigurationError: for a time that is not signed, a body that is not, and what else would verify too little.
    """
    if tolerance is None and "{timestamp}" in template:
        tolerance = 300
    return HmacScheme(
        name=name,
        header=header,
        template=template,
        prefix=prefix,
        elements=elements,
        encoding=encoding,
        algorithm=algorithm,
        timestamp_header=timestamp_header,
        unit=unit,
        tolerance=tolerance,
        id_header=id_header,
        event_id=_path(event_id),
        event_type=_path(event_type),
    )


def _path(said: str | Path | None) -> Path | None:
    return (said,) if isinstance(said, str) else said


def _endpoint_secret(secret: Secret) -> bytes:
    # Only what is certainly something else is refused: Stripe calls the secret opaque, and tests make up their own.
    key = secret_bytes(secret)
    if key.startswith(_API_KEYS):
        raise ConfigurationError("stripe: that is an API key; the endpoint's signing secret starts with whsec_")
    return key
