"""PayPal, which signs four words, one of them a checksum of the body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID
from zlib import crc32

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Covered, Delivery, Path, WebhookRejected
from gatewright.webhooks.schemes.certified import CertifiedScheme, from_base64, rsa
from gatewright.webhooks.schemes.signed import Algorithm, Candidate, Signed
from gatewright.webhooks.schemes.times import check_tolerance, from_iso, to_iso
from gatewright.webhooks.secret import Secret

if TYPE_CHECKING:
    from gatewright.webhooks.schemes.certificate import Rsa

__all__ = ["PayPal", "paypal"]

_ID, _TIME, _SIGNATURE, _URL, _ALGORITHM = (
    b"paypal-transmission-id",
    b"paypal-transmission-time",
    b"paypal-transmission-sig",
    b"paypal-cert-url",
    b"paypal-auth-algo",
)
_ONE_WE_TAKE = b"SHA256withRSA"
# The whole address, so that no two parsers can disagree on whose host it is.
_CERTIFICATE = re.compile(
    rb"https://api(?:\.sandbox)?\.paypal\.com(?::443)?/v1/notifications/certs/[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
)
# What separates the words of the message stands in none of them.
_WORD = re.compile(r"[!-{}~]{1,100}")


@dataclass(frozen=True, kw_only=True)
class PayPal(CertifiedScheme):
    """Verify PayPal's deliveries to one webhook; `paypal(...)` makes one."""

    webhook_id: str
    rsa: Rsa
    tolerance: float | None
    name: str = field(default="paypal", init=False)
    event_type: Path | None = field(default=("event_type",), init=False)

    def __repr__(self) -> str:
        return f"paypal({self.webhook_id!r})"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return what is signed; a CRC-32 is no signature of a body, because anybody can make another body with it."""
        return frozenset({"id", "timestamp"})

    @property
    def algorithms(self) -> Sequence[Algorithm]:
        """Return the one algorithm of this sender."""
        return (self.rsa,)

    def certificate_url(self, delivery: Delivery) -> str:
        """Return the certificate's address, under PayPal's API.

        Raises:
            WebhookRejected: for any other address, and for what is not worth a fetch, because no key verifies it.
        """
        self.read(delivery)
        return (delivery.header(_URL) or b"").decode()

    def read(self, delivery: Delivery) -> Signed:
        """Return the signature of *delivery*, and what it would be of."""
        signature = delivery.header(_SIGNATURE)
        if signature is None:
            raise WebhookRejected("signature_missing")
        if delivery.header(_ALGORITHM) != _ONE_WE_TAKE:
            raise WebhookRejected("no_supported_signature")
        if not _CERTIFICATE.fullmatch(delivery.header(_URL) or b""):
            raise WebhookRejected("cert_url_rejected")
        time = delivery.header(_TIME)
        if time is None:
            raise WebhookRejected("timestamp_missing")
        from_base64(signature)
        transmission = (delivery.header(_ID) or b"").decode("latin-1")
        if not _WORD.fullmatch(transmission):
            raise WebhookRejected("malformed")
        signed_at = from_iso(time)
        message = self._message(transmission, time.decode(), delivery.body)
        return Signed([Candidate(self.rsa, message, [signature])], signed_at=signed_at, event_id=transmission)

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as PayPal would deliver it.

        Args:
            body: the raw body.
            secret: a private key, in PEM.
            now: when, in Unix seconds.
            url: where to.
            method: the HTTP method.
            event_id: the transmission's id; by default one that is made of body and time.
        """
        time = to_iso(now)
        transmission = event_id or str(UUID(bytes=sha256(time.encode() + body).digest()[:16]))
        headers = {
            "PAYPAL-TRANSMISSION-ID": transmission,
            "PAYPAL-TRANSMISSION-TIME": time,
            "PAYPAL-TRANSMISSION-SIG": self.rsa.sign(secret, self._message(transmission, time, body)).decode(),
            "PAYPAL-CERT-URL": "https://api.paypal.com/v1/notifications/certs/CERT-test",
            "PAYPAL-AUTH-ALGO": _ONE_WE_TAKE.decode(),
        }
        return Delivery.of(body, headers, method=method, url=url)

    def _message(self, transmission: str, time: str, body: bytes) -> bytes:
        return f"{transmission}|{time}|{self.webhook_id}|{crc32(body)}".encode()


def paypal(webhook_id: str, *, tolerance: float | None = 262_800) -> PayPal:
    """Verify PayPal's webhooks offline (https://developer.paypal.com/api/rest/webhooks/rest).

    PayPal signs its transmission's id and time, the id of your webhook, and the CRC-32 of the body. That is no
    signature of the body: who has seen one delivery can make another body with the same CRC-32 in a second, and it
    verifies. So take the event as a hint, fetch what it speaks of from PayPal, and write `allow_unsigned_body=True`.

    The certificate comes from `https://api.paypal.com` or `https://api.sandbox.paypal.com`, below
    `/v1/notifications/certs/`, and from nowhere else; or give it as `secrets=`, in PEM, and nothing is fetched. Only
    `SHA256withRSA` is taken. The event's id is the transmission's; PayPal does not say whether a retry keeps it.

    Args:
        webhook_id: your webhook's id, from PayPal's dashboard; it is signed, but no secret.
        tolerance: seconds that the time of transmission may be off, either way; by default three days and an hour,
            because PayPal tries again for three days and does not say whether it signs anew. None looks at no time.

    Raises:
        ConfigurationError: for a webhook id that is none, and where cryptography is not installed.
    """
    if not isinstance(webhook_id, str) or not _WORD.fullmatch(webhook_id):  # pyright: ignore[reportUnnecessaryIsInstance]  # os.environ.get() may be None
        raise ConfigurationError(
            f"paypal(webhook_id={webhook_id!r}): write the webhook's id, as PayPal's dashboard has it; is its variable "
            "set?"
        )
    check_tolerance("paypal", tolerance)
    return PayPal(webhook_id=webhook_id, tolerance=tolerance, rsa=rsa("paypal"))
