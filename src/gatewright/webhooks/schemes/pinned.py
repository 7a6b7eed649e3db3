"""Senders that sign time and body with a private key, and show you the public one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gatewright.webhooks.scheme import RECEIVED, Covered, Delivery, Path, Reply, WebhookRejected
from gatewright.webhooks.schemes.asymmetric import ecdsa_p256, ed25519
from gatewright.webhooks.schemes.hmac import Challenge
from gatewright.webhooks.schemes.members import document
from gatewright.webhooks.schemes.signed import Algorithm, Candidate, Signed, SignedScheme
from gatewright.webhooks.schemes.times import check_tolerance, from_digits, to_digits
from gatewright.webhooks.secret import Secret

__all__ = ["PinnedScheme", "discord", "sendgrid"]

_HEX = re.compile(rb"[0-9a-fA-F]{128}")
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def discord(*, tolerance: float | None = 300) -> PinnedScheme:
    """Verify Discord's interactions and webhook events
    (https://docs.discord.com/developers/interactions/overview#setting-up-an-endpoint).

    The secret is the application's public key, in hex. Both kinds of PING are answered once they are verified. An
    interaction wants an answer of its own, so return a `Response`; what needs none is told 204, as events want it.

    Nothing stands between time and body, so with None for *tolerance* a digit may move from one to the other; what is
    left is no JSON, and `replay_key` stays the same.

    Args:
        tolerance: seconds that the time of signing may be off, either way; None, as in Discord's own examples, takes
            a capture for ever.

    Raises:
        ConfigurationError: where cryptography is not installed; for a tolerance that is no number of seconds.
    """
    return PinnedScheme(
        name="discord",
        header="X-Signature-Ed25519",
        timestamp_header="X-Signature-Timestamp",
        algorithm=ed25519("hex"),
        spelling=_HEX,
        tolerance=tolerance,
        event_id=("id",),
        event_type=("event", "type"),
        answers=_pong,
        received=Reply(b"", status=204),
    )


def sendgrid(*, tolerance: float | None = 86_400) -> PinnedScheme:
    """Verify SendGrid's event webhook
    (https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features).

    The secret is the verification key of the webhook's settings, a P-256 key in base64. The body is a list of events,
    and its last line break is signed, too; each event has its own `sg_event_id`.

    Args:
        tolerance: seconds that the time of signing may be off, either way. SendGrid tries again for a day, and does
            not say whether it signs anew; None takes a capture for ever.

    Raises:
        ConfigurationError: where cryptography is not installed; for a tolerance that is no number of seconds.
    """
    return PinnedScheme(
        name="sendgrid",
        header="X-Twilio-Email-Event-Webhook-Signature",
        timestamp_header="X-Twilio-Email-Event-Webhook-Timestamp",
        algorithm=ecdsa_p256("base64"),
        spelling=_BASE64,
        tolerance=tolerance,
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class PinnedScheme(SignedScheme):
    """Describe a sender that signs time and body, one behind the other, with a private key.

    Args:
        name: the sender's name: lower case, digits, underscores.
        header: the header of the signature.
        timestamp_header: the header of the time, in seconds.
        algorithm: makes the signatures, and recognises them.
        spelling: what a signature looks like.
        tolerance: seconds that the time may be off, either way; None looks at no time.
        event_id: where the body has the event's id, a string.
        event_type: where the body says what happened.
        answers: answers a verified delivery that is a question.
        received: what the sender is told of a delivery that needs no work.
    """

    name: str
    header: str
    timestamp_header: str
    algorithm: Algorithm
    spelling: re.Pattern[bytes]
    tolerance: float | None
    event_id: Path | None = None
    event_type: Path | None = None
    answers: Challenge | None = field(default=None, repr=False)
    received: Reply = RECEIVED

    def __post_init__(self) -> None:
        check_tolerance(self.name, self.tolerance)

    def __repr__(self) -> str:
        return f"{self.name}(tolerance={self.tolerance})"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return the parts of a request that the signature covers."""
        return frozenset({"body", "timestamp"})

    @property
    def parted(self) -> bool:
        """Say no: the time ends where the body begins."""
        return False

    @property
    def algorithms(self) -> Sequence[Algorithm]:
        """Return the one algorithm of this sender."""
        return (self.algorithm,)

    def read(self, delivery: Delivery) -> Signed:
        """Return the signature of *delivery*, and what it would be of."""
        signature = delivery.header(self.header.lower().encode())
        timestamp = delivery.header(self.timestamp_header.lower().encode())
        if not signature:
            raise WebhookRejected("signature_missing")
        if not timestamp:
            raise WebhookRejected("timestamp_missing")
        if not self.spelling.fullmatch(signature):
            raise WebhookRejected("malformed")
        message = timestamp + delivery.body
        return Signed([Candidate(self.algorithm, message, [signature])], signed_at=from_digits(timestamp))

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as the sender would deliver it; *secret* is a private key."""
        timestamp = to_digits(now)
        signature = self.algorithm.sign(secret, timestamp.encode() + body).decode()
        return Delivery.of(body, {self.header: signature, self.timestamp_header: timestamp}, method=method, url=url)

    def challenge(self, delivery: Delivery, secret: Secret) -> Reply | None:
        """Answer a question, where this sender asks any."""
        return None if self.answers is None else self.answers(delivery, secret)


def _pong(delivery: Delivery, secret: Secret) -> Reply | None:
    """Answer Discord's PING: 1 among interactions, 0 among webhook events, whose 1 is an event."""
    try:
        said = document(delivery.body)
    except WebhookRejected:
        return None
    kind = said.get("type")
    # False and True are integers, too.
    if type(kind) is not int or "event" in said:
        return None
    return {0: Reply(b"", status=204), 1: Reply(b'{"type":1}')}.get(kind)
