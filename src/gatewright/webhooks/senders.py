"""The senders, each a few lines of data, and the scheme for those that are not here."""

from __future__ import annotations

from gatewright.errors import ConfigurationError
from gatewright.webhooks.elements import Elements
from gatewright.webhooks.hmac import Algorithm, Encoding, HmacScheme, Unit
from gatewright.webhooks.scheme import Secret, secret_bytes

__all__ = ["github", "hmac_scheme", "stripe"]

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
        event_id="id",
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


def hmac_scheme(
    header: str,
    *,
    name: str = "hmac",
    template: str = "{body}",
    prefix: str = "",
    elements: Elements | None = None,
    encoding: Encoding = "hex",
    algorithm: Algorithm = "sha256",
    timestamp_header: str | None = None,
    unit: Unit = "s",
    tolerance: float | None = None,
    event_id: str | None = None,
) -> HmacScheme:
    """Verify a sender of your own, or one that has no scheme here.

    Args:
        header: the header of the signature.
        name: the sender's name, for `Verified.scheme` and the log.
        template: what is signed, out of `{body}` and `{timestamp}`, such as "{timestamp}.{body}".
        prefix: what stands before the signature, such as "sha256=".
        elements: how the header lists its elements, where it is a list.
        encoding: "hex" or "base64".
        algorithm: "sha256", "sha384" or "sha512".
        timestamp_header: the header of the time, where it has one of its own.
        unit: the timestamp's: "s" or "ms".
        tolerance: seconds that a signed time may be off, either way; None is 300 where a time is signed.
        event_id: the body's top-level JSON member that holds the event's id, a string.

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
        event_id=event_id,
    )


def _endpoint_secret(secret: Secret) -> bytes:
    # Only what is certainly something else is refused: Stripe calls the secret opaque, and tests make up their own.
    key = secret_bytes(secret)
    if key.startswith(_API_KEYS):
        raise ConfigurationError("stripe: that is an API key; the endpoint's signing secret starts with whsec_")
    return key
