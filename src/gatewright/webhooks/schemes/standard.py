"""Standard Webhooks, and the senders that follow it (https://www.standardwebhooks.com)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Covered, Delivery, Path, Verified, WebhookRejected
from gatewright.webhooks.schemes.mac import Mac
from gatewright.webhooks.schemes.prefixed import KeyPair, shared_key, shared_or_raw_key, version_of
from gatewright.webhooks.schemes.signed import MAX_SIGNATURES, Algorithm, Candidate, Signed, SignedScheme
from gatewright.webhooks.schemes.times import check_tolerance, from_digits, to_digits
from gatewright.webhooks.secret import Secret, Secrets, several

__all__ = ["StandardWebhooks", "openai", "standard_webhooks", "svix"]

_VERSIONS = (b"v1", b"v1a")
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)")
# With a dot in it, the id could give its end to the time, and the time to the body (the spec's "certain attacks").
_ID = re.compile(rb"[!-\-/-~]{1,256}")


def standard_webhooks(*, tolerance: float = 300) -> StandardWebhooks:
    """Verify Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).

    Id, time and body are signed, and the id stays the same when the sender tries again: it is the event's. A secret
    `whsec_...` is for signatures `v1` (HMAC), a public key `whpk_...` for `v1a` (Ed25519), and neither for the other's.

    Args:
        tolerance: seconds that the time of signing may be off, either way.

    Raises:
        ConfigurationError: for a tolerance that is no number of seconds.
    """
    return StandardWebhooks(name="standard_webhooks", tolerance=tolerance)


def svix(*, tolerance: float = 300) -> StandardWebhooks:
    """Verify what Svix delivers, for Clerk and Resend among others (https://docs.svix.com/receiving/verifying-payloads).

    These are Standard Webhooks with headers `svix-*`, or else `webhook-*`; never some of these and some of those.

    Args:
        tolerance: seconds that the time of signing may be off, either way.

    Raises:
        ConfigurationError: for a tolerance that is no number of seconds.
    """
    return StandardWebhooks(name="svix", families=("svix", "webhook"), tolerance=tolerance)


def openai(*, tolerance: float = 300) -> StandardWebhooks:
    """Verify OpenAI's webhooks (https://platform.openai.com/docs/guides/webhooks#verifying-webhook-signatures).

    These are Standard Webhooks; a secret without `whsec_` is the key as it is, as in OpenAI's own library.

    Args:
        tolerance: seconds that the time of signing may be off, either way.

    Raises:
        ConfigurationError: for a tolerance that is no number of seconds.
    """
    return StandardWebhooks(name="openai", tolerance=tolerance, key=shared_or_raw_key)


@dataclass(frozen=True, kw_only=True, repr=False)
class StandardWebhooks(SignedScheme):
    """Describe a sender that follows Standard Webhooks.

    Args:
        name: the sender's name: lower case, digits, underscores.
        tolerance: seconds that the time of signing may be off, either way.
        families: what the headers' names begin with; the first one is signed with, each is understood.
        event_type: where the body says what happened.
        key: makes the HMAC key out of a secret, or raises `ConfigurationError`.
    """

    name: str
    tolerance: float | None = 300
    families: tuple[str, ...] = ("webhook",)
    event_type: Path | None = ("type",)
    key: Callable[[Secret], bytes] = field(default=shared_key, repr=False)

    def __post_init__(self) -> None:
        if self.tolerance is None:
            raise ConfigurationError(f"{self.name}: tolerance=None: write seconds, more than 0, such as 300")
        check_tolerance(self.name, self.tolerance)

    def __repr__(self) -> str:
        return f"{self.name}(tolerance={self.tolerance:g})"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return the parts of a request that the signature covers."""
        return frozenset({"body", "timestamp", "id"})

    @property
    def algorithms(self) -> Sequence[Algorithm]:
        """Return what `v1` and `v1a` stand for."""
        return tuple(self._versions.values())

    def check(self, secret: Secret) -> None:
        """Refuse a secret that cannot be one of this sender's; see `SignedScheme.check`."""
        self._versions[version_of(secret)].check(secret)

    def verify(self, delivery: Delivery, secrets: Secrets, now: float) -> Verified:
        """Verify *delivery* with any of *secrets*; see `SignedScheme.verify`."""
        try:
            return super().verify(delivery, secrets, now)
        except WebhookRejected as rejected:
            if rejected.reason == "no_secret" and any(self._usable(secret) for secret in several(secrets)):
                # There are secrets, only none for these signatures: v1a for a whsec_, or v1 for a whpk_.
                raise WebhookRejected("no_supported_signature") from None
            raise

    def read(self, delivery: Delivery) -> Signed:
        """Return the signatures of *delivery*, and what they would be of."""
        event_id, timestamp, listed = self._headers(delivery)
        signatures = _listed(listed)
        if not _ID.fullmatch(event_id):
            raise WebhookRejected("malformed")
        message = _message(event_id, timestamp, delivery.body)
        return Signed(
            [Candidate(self._versions[version], message, some) for version, some in signatures.items()],
            signed_at=from_digits(timestamp),
            event_id=event_id.decode("ascii"),
        )

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as the sender would deliver it.

        Args:
            body: the raw body.
            secret: a `whsec_...`, or a private key `whsk_...`.
            now: when, in Unix seconds.
            url: where to.
            method: the HTTP method.
            event_id: the event's; without one, the same body is the same event.

        Raises:
            ConfigurationError: for a public key, which signs nothing, and for an id with a dot or a space.
        """
        event_id = event_id or f"msg_{sha256(body).hexdigest()[:27]}"
        if not _ID.fullmatch(raw_id := event_id.encode("utf-8", "replace")):
            raise ConfigurationError(f"{self.name}: event_id={event_id!r}: write ASCII without dots and spaces")
        timestamp, version = to_digits(now), version_of(secret)
        signature = self._versions[version].sign(secret, _message(raw_id, timestamp.encode(), body))
        values = (event_id, timestamp, f"{version.decode()},{signature.decode()}")
        headers = {name.decode(): value for name, value in zip(self._names[0], values, strict=True)}
        return Delivery.of(body, headers, method=method, url=url)

    @cached_property
    def _versions(self) -> dict[bytes, Algorithm]:
        return dict(zip(_VERSIONS, (Mac("sha256", "base64", self.key), KeyPair()), strict=True))

    @cached_property
    def _names(self) -> list[list[bytes]]:
        """Return the names of the three headers, for each family."""
        return [[f"{family}-{part}".encode() for part in ("id", "timestamp", "signature")] for family in self.families]

    def _usable(self, secret: Secret) -> bool:
        try:
            self.check(secret)
        except ConfigurationError:
            return False
        return True

    def _headers(self, delivery: Delivery) -> tuple[bytes, bytes, bytes]:
        """Return id, time and signatures, out of one family."""
        present = [found for names in self._names if any(found := [delivery.header(name) for name in names])]
        event_id, timestamp, listed = present[0] if present else (None, None, None)
        if event_id and timestamp and listed:
            return event_id, timestamp, listed
        if len(present) > 1:
            # Some headers of one family and some of another are together signed by nobody.
            raise WebhookRejected("signature_mismatch")
        if not listed:
            raise WebhookRejected("signature_missing")
        raise WebhookRejected("malformed" if timestamp else "timestamp_missing")


def _message(event_id: bytes, timestamp: bytes, body: bytes) -> bytes:
    return b"%s.%s.%s" % (event_id, timestamp, body)


def _listed(header: bytes) -> dict[bytes, list[bytes]]:
    """Return the signatures of the versions that are known; what is unknown, or is none, hides no other."""
    entries = [entry.partition(b",") for entry in header.split(b" ")]
    signatures = {
        version: some
        for version in _VERSIONS
        if (some := [value for name, _, value in entries if name == version and _BASE64.fullmatch(value)])
    }
    if not signatures:
        others = any(name and comma and name not in _VERSIONS for name, comma, _ in entries)
        raise WebhookRejected("no_supported_signature" if others else "malformed")
    if sum(map(len, signatures.values())) > MAX_SIGNATURES:
        raise WebhookRejected("malformed")
    return signatures
