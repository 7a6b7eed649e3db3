"""What every scheme speaks of: a delivery, what is known once it is verified, and why it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, Protocol

from gatewright.webhooks.secret import Secret, Secrets

__all__ = ["RECEIVED", "Covered", "Delivery", "Path", "Reason", "Reply", "Scheme", "Verified", "WebhookRejected"]

Covered = Literal["body", "timestamp", "id", "url", "method"]
Reason = Literal[
    "signature_missing",
    "signature_mismatch",
    "no_supported_signature",
    "timestamp_missing",
    "timestamp_expired",
    "timestamp_future",
    "malformed",
    "no_secret",
    "body_not_signed",
    "body_digest_mismatch",
    "cert_url_rejected",
    "challenge_failed",
    "not_for_us",
]

Path = tuple[str, ...]
"""Where a member stands in a JSON document, such as ("event", "type")."""

# Nobody needs more for a signature; what is longer is looked at by nobody.
_LONGEST = 8192


class WebhookRejected(Exception):
    """Say why a delivery is not verified; for the log, never for the sender."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Delivery:
    """Hold one request as a sender made it, in bytes.

    Args:
        body: the raw body; never what a parser made of it.
        headers: raw pairs with lower-case names, as ASGI has them.
        method: the HTTP method.
        url: what the sender called: the public URL with path and query; without a public URL, path and query alone.
    """

    body: bytes = field(repr=False)
    headers: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    method: str = "POST"
    url: str = ""

    @classmethod
    def of(cls, body: bytes, headers: Mapping[str, str], *, method: str = "POST", url: str = "") -> Delivery:
        """Make a delivery from any framework's mapping of headers, whatever the case of their names."""
        pairs = [(_raw(name).lower(), _raw(value)) for name, value in headers.items()]
        return cls(body, pairs, method, url)

    def header(self, name: str | bytes) -> bytes | None:
        """Return the only value of a header, whatever the case of its name, or None where it is absent.

        Raises:
            WebhookRejected: where it occurs twice, because two readers could believe two different ones; and where it
                is longer than any signature.
        """
        wanted = (_raw(name) if isinstance(name, str) else name).lower()
        values = [value for key, value in self.headers if key == wanted]
        if len(values) > 1 or (values and len(values[0]) > _LONGEST):
            raise WebhookRejected("malformed")
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Verified:
    """Tell a handler what its delivery's signature says.

    Args:
        scheme: the sender's name.
        key_index: which secret matched, 0 for the first; more than 0 means that an old one is still in use.
        signed_at: when the sender signed it, in UTC; None where the scheme signs no time.
        covers: the parts of the request that are under the signature; believe no other.
        replay_key: the same for the same signed bytes, whichever secret signed them and however the header spells it.
        event_id: the sender's id of the event, only ever from signed bytes; a delivery that is tried again keeps it.
        tenant: whose secret matched, where the secrets came with a `Tenant`.
    """

    __injected_by__: ClassVar[str] = "@verify_webhook(...)"

    scheme: str
    key_index: int
    signed_at: datetime | None
    covers: frozenset[Covered]
    replay_key: str
    event_id: str | None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a sender wants to read.

    Args:
        body: as it is sent.
        media_type: its content type.
        status: the HTTP status.
        visit: an address that has to be fetched first, and successfully: a subscription's confirmation.
    """

    body: bytes
    media_type: str = "application/json"
    status: int = 200
    visit: str | None = None


RECEIVED = Reply(b'{"received":true}')
"""What most senders are told of a delivery that needs nothing more."""


class Scheme(Protocol):
    """Verify and sign in the way of one sender: pure functions over bytes, without I/O.

    Inherit from it, and what has a default need not be written; for a signature over parts of the request, describe
    the sender with `hmac_scheme(...)`.
    """

    @property
    def name(self) -> str:
        """Return the sender's name."""
        ...

    @property
    def covers(self) -> frozenset[Covered]:
        """Return the parts of a request that a signature always covers."""
        ...

    @property
    def event_type(self) -> Path | None:
        """Return where the signed body says what happened; None where it does not."""
        return None

    @property
    def received(self) -> Reply:
        """Return what the sender is told of a delivery that needs no work."""
        return RECEIVED

    def check(self, secret: Secret) -> None:
        """Refuse, with `ConfigurationError`, a secret that cannot be one of this sender's."""
        ...

    def verify(self, delivery: Delivery, secrets: Secrets, now: float) -> Verified:
        """Verify *delivery* with any of *secrets*; *now* is in Unix seconds.

        Raises:
            WebhookRejected: and nothing else, for any bytes.
        """
        ...

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as the sender would deliver it to *url* at *now*, in Unix seconds."""
        ...

    def greet(self, delivery: Delivery) -> Reply | None:
        """Answer a question that the sender asks before it signs anything; None for what is no such question.

        Raises:
            WebhookRejected: for a question that somebody else asks.
        """
        return None

    def challenge(self, delivery: Delivery, secret: Secret) -> Reply | None:
        """Answer a verified delivery that is no event but a question; None for an event.

        Args:
            delivery: what was verified.
            secret: the one that matched.
        """
        return None


def _raw(text: str) -> bytes:
    return text.encode("latin-1", "replace")
