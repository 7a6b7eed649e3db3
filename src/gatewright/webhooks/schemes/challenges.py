"""What senders ask before they send: whether the endpoint is there, and whether it is yours."""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import RECEIVED, Delivery, Reply, WebhookRejected
from gatewright.webhooks.schemes.mac import Mac
from gatewright.webhooks.schemes.members import member
from gatewright.webhooks.secret import Secret

__all__ = ["Subscription", "ping", "url_validation", "url_verification"]

# No space, bracket, ampersand or quote: whatever reads the answer, it is no markup.
_ECHOED = re.compile(r"[A-Za-z0-9._~+/=:-]{1,256}")
# Without dot or colon it is never what Zoom signs, `v0:time:body`; otherwise the answer would be anybody's signature.
_PLAIN_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


def url_verification(delivery: Delivery, secret: Secret) -> Reply | None:
    """Answer Slack's question (https://docs.slack.dev/reference/events/url_verification); None for an event.

    Raises:
        WebhookRejected: for a question without a challenge.
    """
    if member(delivery.body, ("type",)) != "url_verification":
        return None
    challenge = member(delivery.body, ("challenge",))
    if challenge is None:
        raise WebhookRejected("challenge_failed")
    return _json(challenge=challenge)


def url_validation(delivery: Delivery, secret: Secret) -> Reply | None:
    """Answer Zoom's question (https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint).

    Raises:
        WebhookRejected: for a token that is none: the answer is signed with the key of all deliveries.
    """
    if member(delivery.body, ("event",)) != "endpoint.url_validation":
        return None
    token = member(delivery.body, ("payload", "plainToken"))
    if token is None or not _PLAIN_TOKEN.fullmatch(token):
        raise WebhookRejected("challenge_failed")
    return _json(plainToken=token, encryptedToken=Mac().sign(secret, token.encode()).decode())


def ping(delivery: Delivery, secret: Secret) -> Reply | None:
    """Answer Intercom's question whether anybody is there (https://developers.intercom.com/docs/webhooks)."""
    return RECEIVED if member(delivery.body, ("topic",)) == "ping" else None


@dataclass(frozen=True, slots=True)
class Subscription:
    """Answer the GET request with which Meta subscribes
    (https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests).

    Args:
        verify_token: proves that it is Meta, because nothing is signed.

    Raises:
        ConfigurationError: for a token that is empty.
    """

    verify_token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.verify_token.strip():
            raise ConfigurationError("meta(verify_token=...) is empty: anybody could subscribe; is its variable set?")

    def __call__(self, delivery: Delivery) -> Reply | None:
        """Return the challenge of a subscription; None for any other request.

        Raises:
            WebhookRejected: without the token, or with a challenge that could be more than one.
        """
        if delivery.method != "GET":
            return None
        query = parse_qs(delivery.url.partition("?")[2], keep_blank_values=True)
        if query.get("hub.mode") != ["subscribe"]:
            return None
        token, challenge = query.get("hub.verify_token", []), query.get("hub.challenge", [])
        if not self._knows(token) or len(challenge) != 1 or not _ECHOED.fullmatch(challenge[0]):
            raise WebhookRejected("challenge_failed")
        return Reply(challenge[0].encode(), "text/plain")

    def _knows(self, token: list[str]) -> bool:
        expected = self.verify_token.encode("utf-8", "replace")
        return len(token) == 1 and hmac.compare_digest(expected, token[0].encode("utf-8", "replace"))


def _json(**members: str) -> Reply:
    return Reply(json.dumps(members, separators=(",", ":")).encode())
