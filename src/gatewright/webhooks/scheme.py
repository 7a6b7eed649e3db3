"""What every scheme speaks of: a delivery, what is known once it is verified, and why it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, Protocol

from gatewright.errors import ConfigurationError

__all__ = [
    "Covered",
    "Delivery",
    "Reason",
    "Scheme",
    "Secret",
    "Secrets",
    "Verified",
    "WebhookRejected",
    "secret_bytes",
    "several",
]

Secret = str | bytes
Secrets = Secret | Sequence[Secret]

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
]


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
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    method: str = "POST"
    url: str = ""

    @classmethod
    def of(cls, body: bytes, headers: Mapping[str, str], *, method: str = "POST", url: str = "") -> Delivery:
        """Make a delivery from any framework's mapping of headers, whatever the case of their names."""
        pairs = [(_raw(name).lower(), _raw(value)) for name, value in headers.items()]
        return cls(body, pairs, method, url)

    def header(self, name: bytes) -> bytes | None:
        """Return the only value of a header, or None where it is absent.

        Raises:
            WebhookRejected: where it occurs twice: two readers could believe two different ones.
        """
        values = [value for key, value in self.headers if key == name]
        if len(values) > 1:
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
    """

    __injected_by__: ClassVar[str] = "@verify_webhook(...)"

    scheme: str
    key_index: int
    signed_at: datetime | None
    covers: frozenset[Covered]
    replay_key: str
    event_id: str | None


class Scheme(Protocol):
    """Verify and sign in the way of one sender: pure functions over bytes, without I/O."""

    @property
    def name(self) -> str:
        """Return the sender's name."""
        ...

    @property
    def covers(self) -> frozenset[Covered]:
        """Return the parts of a request that the signature covers."""
        ...

    def check(self, secret: Secret) -> None:
        """Refuse, with `ConfigurationError`, a secret that cannot be one of this sender's."""
        ...

    def verify(self, delivery: Delivery, secrets: Secrets, *, now: float) -> Verified:
        """Verify *delivery* with any of *secrets*; *now* is in Unix seconds.

        Raises:
            WebhookRejected: and nothing else, for any bytes.
        """
        ...

    def sign(self, body: bytes, secret: Secret, *, now: float, url: str = "") -> dict[str, str]:
        """Return the headers with which the sender would deliver *body* to *url* at *now*, in Unix seconds."""
        ...


def several(secrets: Secrets) -> Sequence[Secret]:
    """Return secrets as a sequence; one string is one secret, not its characters."""
    return (secrets,) if isinstance(secrets, (str, bytes)) else secrets


def secret_bytes(secret: object) -> bytes:
    """Return *secret* as the sender uses it; where an environment variable was missing, it may be anything.

    Raises:
        ConfigurationError: for one that is blank, which anybody can sign with; for text with whitespace around it.
    """
    if not isinstance(secret, (str, bytes)):
        raise ConfigurationError(f"a webhook secret is str or bytes, not {type(secret).__name__}; is its variable set?")
    if not secret.strip():
        raise ConfigurationError("a webhook secret is empty: anybody could sign with it; is its variable set?")
    if isinstance(secret, bytes):
        return secret
    if secret != secret.strip():
        raise ConfigurationError(
            "a webhook secret has whitespace around it; strip it, or give bytes if it belongs there"
        )
    try:
        return secret.encode()
    except UnicodeEncodeError:
        raise ConfigurationError("a webhook secret is not text; give bytes (os.environb)") from None


def _raw(text: str) -> bytes:
    return text.encode("latin-1", "replace")
