"""The senders that reach people, Slack, Zoom, Meta and Intercom: all of them ask before they send."""

from __future__ import annotations

from gatewright.webhooks.schemes.challenges import Subscription, ping, url_validation, url_verification
from gatewright.webhooks.schemes.hmac import HmacScheme

__all__ = ["intercom", "meta", "slack", "zoom"]


def slack(*, tolerance: float = 300) -> HmacScheme:
    """Verify Slack's `X-Slack-Signature` (https://docs.slack.dev/authentication/verifying-requests-from-slack).

    The event type is the inner one, such as "app_mention", because the outer one of an event is always
    "event_callback". Commands and interactions are forms, and have neither type nor id. `X-Slack-Retry-Num` is
    anybody's word. The question whether an endpoint is yours, `url_verification`, is answered once it is verified.

    Args:
        tolerance: seconds that the time of signing may be off, either way.
    """
    return HmacScheme(
        name="slack",
        header="X-Slack-Signature",
        prefix="v0=",
        timestamp_header="X-Slack-Request-Timestamp",
        template="v0:{timestamp}:{body}",
        tolerance=tolerance,
        event_id=("event_id",),
        event_type=("event", "type"),
        answers=url_verification,
    )


def zoom(*, tolerance: float = 300) -> HmacScheme:
    """Verify Zoom's `x-zm-signature` (https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events).

    Its events have no id. The question whether an endpoint is yours, `endpoint.url_validation`, is answered once it
    is verified.

    Args:
        tolerance: seconds that the time of signing may be off, either way; Zoom names none.
    """
    return HmacScheme(
        name="zoom",
        header="x-zm-signature",
        prefix="v0=",
        timestamp_header="x-zm-request-timestamp",
        template="v0:{timestamp}:{body}",
        tolerance=tolerance,
        event_type=("event",),
        answers=url_validation,
    )


def meta(*, verify_token: str | None = None) -> HmacScheme:
    """Verify the `X-Hub-Signature-256` of Meta: WhatsApp, Messenger, Instagram, Facebook
    (https://developers.facebook.com/docs/graph-api/webhooks/getting-started).

    Only the body is signed, and it has no event id. The SHA-1 header is never read. The secret is the app's.

    Args:
        verify_token: the one that you gave to Meta for this endpoint. With it, the GET request with which Meta
            subscribes is answered; let the route take GET, too. None answers no GET request.

    Raises:
        ConfigurationError: for a token that is empty.
    """
    return HmacScheme(
        name="meta",
        header="X-Hub-Signature-256",
        prefix="sha256=",
        greets=None if verify_token is None else Subscription(verify_token),
    )


def intercom() -> HmacScheme:
    """Verify Intercom's `X-Hub-Signature` (https://developers.intercom.com/docs/webhooks).

    It is HMAC-SHA1, because Intercom has nothing better; no time is signed. The secret is the app's client secret.
    A `ping` is answered, and no event.
    """
    return HmacScheme(
        name="intercom",
        header="X-Hub-Signature",
        prefix="sha1=",
        algorithm="sha1",
        event_id=("id",),
        event_type=("topic",),
        answers=ping,
    )
