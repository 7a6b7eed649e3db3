"""Linear, whose time of signing stands in the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gatewright.webhooks.scheme import Covered, Delivery, Path, Verified, WebhookRejected
from gatewright.webhooks.schemes.mac import Mac
from gatewright.webhooks.schemes.members import document
from gatewright.webhooks.schemes.signed import Candidate, Signed, SignedScheme
from gatewright.webhooks.schemes.times import check_tolerance, to_digits
from gatewright.webhooks.secret import Secret, Secrets

__all__ = ["LinearScheme", "linear"]

_HEADER, _TIME = "Linear-Signature", "webhookTimestamp"
_MAC = Mac()
# Fourteen digits of milliseconds reach the year 5138, and no datetime overflows on them.
_LATEST = 10**14


def linear(*, tolerance: float = 60) -> LinearScheme:
    """Verify Linear's `Linear-Signature` (https://linear.app/developers/webhooks#securing-webhooks).

    The time is the body's `webhookTimestamp`, so it is signed; the header that repeats it is never read. There is no
    event id: `Linear-Delivery` is anybody's word, and the body's `webhookId` is the subscription's.

    Args:
        tolerance: seconds that the time of signing may be off, either way.

    Raises:
        ConfigurationError: for a tolerance that is no number of seconds.
    """
    return LinearScheme(tolerance)


@dataclass(frozen=True, repr=False)
class LinearScheme(SignedScheme):
    """Verify an HMAC of the body, and then the time in the body.

    Args:
        tolerance: seconds that the time of signing may be off, either way.
    """

    tolerance: float | None = 60

    name = "linear"
    event_type: Path | None = ("type",)

    def __post_init__(self) -> None:
        check_tolerance(self.name, self.tolerance)

    def __repr__(self) -> str:
        return f"linear(tolerance={self.tolerance})"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return the parts of a request that the signature covers."""
        return frozenset({"body", "timestamp"})

    @property
    def algorithms(self) -> Sequence[Mac]:
        """Return the one algorithm."""
        return (_MAC,)

    def read(self, delivery: Delivery) -> Signed:
        """Return the signature of *delivery*; its time is not read until that is verified."""
        signature = delivery.header(_HEADER.lower().encode())
        if signature is None:
            raise WebhookRejected("signature_missing")
        return Signed([Candidate(_MAC, delivery.body, [signature])])

    def verify(self, delivery: Delivery, secrets: Secrets, now: float) -> Verified:
        """Verify *delivery*, and then the time in it; see `SignedScheme.verify`."""
        verified = super().verify(delivery, secrets, now)
        signed_at = _signed_at(delivery.body)
        self._check_age(Signed((), signed_at), now)
        return replace(verified, signed_at=datetime.fromtimestamp(signed_at, UTC))

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as Linear would deliver it: with `webhookTimestamp`, where it has none of its own."""
        body = _timed(body, now)
        return Delivery.of(body, {_HEADER: _MAC.sign(secret, body).decode()}, method=method, url=url)


def _signed_at(body: bytes) -> float:
    time = document(body).get(_TIME)
    if time is None:
        raise WebhookRejected("timestamp_missing")
    # True is an int, too.
    if type(time) is not int or not 0 <= time < _LATEST:
        raise WebhookRejected("malformed")
    return time / 1000


def _timed(body: bytes, now: float) -> bytes:
    try:
        members = document(body)
    except WebhookRejected:
        return body
    if _TIME in members:
        return body
    # Every other byte stays as it is, as the caller may compare them.
    start, brace, rest = body.partition(b"{")
    time = f'"{_TIME}":{to_digits(now, "ms")}{"," if members else ""}'
    return start + brace + time.encode() + rest
