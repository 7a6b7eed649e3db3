"""Mailgun, whose signature stands in the body, and signs nothing else that stands there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import cast

from pydantic_core import to_json

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Covered, Delivery, Path, Reason, WebhookRejected
from gatewright.webhooks.schemes.mac import Mac
from gatewright.webhooks.schemes.members import document
from gatewright.webhooks.schemes.signed import Candidate, Signed, SignedScheme
from gatewright.webhooks.schemes.times import check_tolerance, from_digits, to_digits
from gatewright.webhooks.secret import Secret

__all__ = ["Mailgun", "mailgun"]

_MAC = Mac()


def mailgun(*, tolerance: float | None = 86_400) -> Mailgun:
    """Verify Mailgun's JSON webhooks (https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks).

    The secret is the HTTP webhook signing key. Time and token are signed, and no byte of `event-data`: who has seen one
    delivery can put any event beside its signature, so `verify_webhook` wants `allow_unsigned_body=True`, and `once=`
    is what keeps a signature from being used again. Nothing stands between time and token, so a digit may move from
    one to the other; `event_id` is both together, and stays the same.

    Args:
        tolerance: seconds that the time of signing may be off, either way. Mailgun tries again for eight hours with
            the same time; None takes a capture for ever.

    Raises:
        ConfigurationError: for a tolerance that is no number of seconds.
    """
    return Mailgun(tolerance)


@dataclass(frozen=True, repr=False)
class Mailgun(SignedScheme):
    """Verify an HMAC of time and token, all three in the body's `signature`.

    Args:
        tolerance: seconds that the time of signing may be off, either way; None looks at no time.
    """

    tolerance: float | None

    name = "mailgun"
    event_type: Path | None = field(default=("event-data", "event"), init=False)

    def __post_init__(self) -> None:
        check_tolerance(self.name, self.tolerance)

    def __repr__(self) -> str:
        return f"mailgun(tolerance={self.tolerance})"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return the parts of a request that the signature covers: not the body."""
        return frozenset({"timestamp", "id"})

    @property
    def algorithms(self) -> Sequence[Mac]:
        """Return the one algorithm."""
        return (_MAC,)

    def read(self, delivery: Delivery) -> Signed:
        """Return the signature in the body of *delivery*, and what it would be of."""
        said = document(delivery.body).get("signature")
        if said is None:
            raise WebhookRejected("signature_missing")
        if not isinstance(said, dict):
            raise WebhookRejected("malformed")
        members = cast("dict[str, object]", said)
        signatures = [_text(members, "signature", "signature_missing")]
        if "parent-signature" in members:
            # With the key of the account that the subaccount belongs to; of the same message.
            signatures.append(_text(members, "parent-signature", "malformed"))
        timestamp = _text(members, "timestamp", "timestamp_missing")
        message = timestamp + _text(members, "token", "malformed")
        return Signed(
            [Candidate(_MAC, message.encode(), [signature.encode() for signature in signatures])],
            signed_at=from_digits(timestamp.encode()),
            event_id=message,
        )

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body*, a JSON object, as Mailgun would deliver it: with a `signature` in it.

        Args:
            body: what has `event-data`; a `signature` that it has is replaced.
            secret: the signing key.
            now: when, in Unix seconds.
            url: where to.
            method: the HTTP method.
            event_id: the token; without one, the same body has the same.

        Raises:
            ConfigurationError: for a body that is no JSON object.
        """
        try:
            members = document(body)
        except WebhookRejected:
            raise ConfigurationError("mailgun signs a JSON object, such as b'{\"event-data\":{}}'") from None
        timestamp, token = to_digits(now), event_id or sha256(body).hexdigest()[:50]
        signature = _MAC.sign(secret, (timestamp + token).encode()).decode()
        signed = {"signature": {"timestamp": timestamp, "token": token, "signature": signature}}
        return Delivery(to_json(members | signed), (), method, url)


def _text(members: dict[str, object], name: str, missing: Reason) -> str:
    if name not in members:
        raise WebhookRejected(missing)
    found = members[name]
    if not isinstance(found, str):
        raise WebhookRejected("malformed")
    return found
