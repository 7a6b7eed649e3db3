"""The family of most senders: one HMAC over the body, configured by data."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from math import inf
from typing import Literal, cast, get_args

from pydantic_core import from_json

from gatewright.errors import ConfigurationError
from gatewright.webhooks.elements import Elements
from gatewright.webhooks.scheme import (
    Covered,
    Delivery,
    Secret,
    Secrets,
    Verified,
    WebhookRejected,
    secret_bytes,
    several,
)

__all__ = ["MAX_SIGNATURES", "Algorithm", "Encoding", "HmacScheme", "Unit"]

MAX_SIGNATURES = 16
"""How many signatures of one header are looked at; each costs a comparison for each secret."""

Algorithm = Literal["sha256", "sha384", "sha512"]
Encoding = Literal["hex", "base64"]
Unit = Literal["s", "ms"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 1000}
# Eleven digits of seconds reach the year 5138, and no int() or datetime overflows on them.
_DIGITS: dict[Unit, int] = {"s": 11, "ms": 14}
_UNTIMED: frozenset[Covered] = frozenset({"body"})
_TIMED: frozenset[Covered] = frozenset({"body", "timestamp"})
_BODY, _TIMESTAMP = b"{body}", b"{timestamp}"
_TEMPLATE = re.compile(rb"(?:[^{}]|\{timestamp\})*\{body\}(?:[^{}]|\{timestamp\})*")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclass(frozen=True, kw_only=True)
class HmacScheme:
    """Describe a sender that signs with an HMAC (RFC 2104).

    Args:
        name: the sender's name: lower case, digits, underscores.
        header: the header of the signature.
        template: what is signed, out of `{body}` and `{timestamp}`.
        elements: how the header lists its elements; None where it is one signature.
        prefix: what stands before that one signature.
        encoding: "hex", in either case, or canonical "base64".
        algorithm: the hash.
        timestamp_header: the header of the time, where it has one of its own.
        unit: the timestamp's: "s" or "ms".
        tolerance: seconds that the time may be off, either way; None where none is signed, and only there.
        event_id: the body's top-level JSON member that holds the event's id, a string.
        key: makes the HMAC key out of a secret, or raises `ConfigurationError`.

    Raises:
        ConfigurationError: for a description that would verify less than it seems to.
    """

    name: str
    header: str
    template: str = "{body}"
    elements: Elements | None = None
    prefix: str = ""
    encoding: Encoding = "hex"
    algorithm: Algorithm = "sha256"
    timestamp_header: str | None = None
    unit: Unit = "s"
    tolerance: float | None = None
    event_id: str | None = None
    key: Callable[[Secret], bytes] = field(default=secret_bytes, repr=False)

    def __post_init__(self) -> None:
        self._check_words()
        self._check_layout()
        self._check_time()

    def _check_words(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"a scheme's name={self.name!r}: write lower case, digits and underscores")
        for header in (self.header, self.timestamp_header):
            if header is not None and not _HEADER.fullmatch(header):
                raise ConfigurationError(f'{self.name}: {header!r} is no header name; write one like "X-Signature"')
        choices: list[tuple[str, str, tuple[str, ...]]] = [
            ("encoding", self.encoding, get_args(Encoding)),
            ("algorithm", self.algorithm, get_args(Algorithm)),
            ("unit", self.unit, get_args(Unit)),
        ]
        for what, chosen, known in choices:
            if chosen not in known:
                raise ConfigurationError(f"{self.name}: {what}={chosen!r}: write one of {', '.join(known)}")

    def _check_layout(self) -> None:
        if not _TEMPLATE.fullmatch(self.template.encode()):
            raise ConfigurationError(
                f"{self.name}: template={self.template!r} has to hold {{body}} once, and may hold {{timestamp}}"
            )
        if self.elements is None:
            return
        if self.prefix:
            raise ConfigurationError(f"{self.name}: in a list the element's name is the prefix; leave prefix out")
        if not (self.elements.signature and self.elements.separator and self.elements.assign):
            raise ConfigurationError(f"{self.name}: elements={self.elements!r}: a name, separator or assign is empty")

    def _check_time(self) -> None:
        listed = self.elements is not None and self.elements.timestamp is not None
        signed = "{timestamp}" in self.template
        if listed and self.timestamp_header is not None:
            raise ConfigurationError(f"{self.name}: the time is in the list or in timestamp_header, not in both")
        if signed != (listed or self.timestamp_header is not None):
            raise ConfigurationError(
                f'{self.name}: a time counts only where it is signed; write template="{{timestamp}}.{{body}}" and '
                "where it is: timestamp_header=..., or elements=Elements(timestamp=...)"
            )
        if signed and (self.tolerance is None or not 0 < self.tolerance < inf):
            raise ConfigurationError(
                f"{self.name}: tolerance={self.tolerance}: write seconds, more than 0, such as 300"
            )
        if not signed and self.tolerance is not None:
            raise ConfigurationError(f"{self.name}: no time is signed, so tolerance={self.tolerance} would do nothing")

    def __repr__(self) -> str:
        tolerance = f"tolerance={self.tolerance:g}" if self.tolerance is not None else ""
        return f"{self.name}({tolerance})"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return the parts of a request that the signature covers."""
        return _UNTIMED if self.tolerance is None else _TIMED

    def check(self, secret: Secret) -> None:
        """Refuse a secret that cannot be one of this sender's.

        Raises:
            ConfigurationError: with what to write instead.
        """
        self.key(secret)

    def verify(self, delivery: Delivery, secrets: Secrets, *, now: float) -> Verified:
        """Verify *delivery* with any of *secrets*, in constant time and without an early exit.

        The signature is looked at before the time, so that the log says "expired" only of what was signed.

        Args:
            delivery: what was received.
            secrets: one or several, while the sender's is being rolled.
            now: Unix seconds.

        Raises:
            WebhookRejected: and nothing else, for any bytes.
        """
        signatures, timestamp = self._read(delivery)
        signed = self._signed(delivery.body, timestamp)
        key_index = self._matching(secrets, signed, signatures)
        return Verified(
            scheme=self.name,
            key_index=key_index,
            signed_at=self._fresh(int(timestamp), now) if timestamp else None,
            covers=self.covers,
            replay_key=sha256(self._domain + signed).hexdigest(),
            event_id=_member(delivery.body, self.event_id) if self.event_id is not None else None,
        )

    def sign(self, body: bytes, secret: Secret, *, now: float, url: str = "") -> dict[str, str]:
        """Return the headers with which the sender would deliver *body* at *now*, in Unix seconds.

        Args:
            body: the raw body.
            secret: the one to sign with.
            now: when, in Unix seconds.
            url: where to; this family does not sign it.
        """
        timestamp = "" if self.tolerance is None else str(int(now * _PER_SECOND[self.unit]))
        signature = self._mac(self.key(secret), self._signed(body, timestamp.encode())).decode()
        value = self.prefix + signature if self.elements is None else self.elements.write(signature, timestamp)
        headers = {self.header: value}
        return headers if self.timestamp_header is None else headers | {self.timestamp_header: timestamp}

    @cached_property
    def _headers(self) -> tuple[bytes, bytes]:
        return self.header.lower().encode(), (self.timestamp_header or "").lower().encode()

    @cached_property
    def _around(self) -> tuple[bytes, bytes]:
        before, _, after = self.template.encode().partition(_BODY)
        return before, after

    @cached_property
    def _domain(self) -> bytes:
        return self.name.encode() + b"\0"

    def _read(self, delivery: Delivery) -> tuple[list[bytes], bytes]:
        """Return the signatures and the timestamp's digits, none where the scheme has no time."""
        signature_header, timestamp_header = self._headers
        value = delivery.header(signature_header)
        if value is None:
            raise WebhookRejected("signature_missing")
        times: list[bytes] = []
        if self.elements is None:
            prefix = self.prefix.encode()
            if not value.startswith(prefix):
                raise WebhookRejected("malformed")
            signatures = [value[len(prefix) :]]
        else:
            signatures, times = self.elements.read(value)
        if timestamp_header and (time := delivery.header(timestamp_header)) is not None:
            times = [time]
        if not signatures:
            raise WebhookRejected("no_supported_signature")
        if len(signatures) > MAX_SIGNATURES:
            raise WebhookRejected("malformed")
        return signatures, b"" if self.tolerance is None else self._digits(times)

    def _digits(self, times: list[bytes]) -> bytes:
        if not times:
            raise WebhookRejected("timestamp_missing")
        # bytes.isdigit() knows ASCII digits only; int() would take those of every script, signs and underscores.
        if len(times) > 1 or not times[0].isdigit() or len(times[0]) > _DIGITS[self.unit]:
            raise WebhookRejected("malformed")
        return times[0]

    def _signed(self, body: bytes, timestamp: bytes) -> bytes:
        before, after = self._around
        return before.replace(_TIMESTAMP, timestamp) + body + after.replace(_TIMESTAMP, timestamp)

    def _matching(self, secrets: Secrets, signed: bytes, signatures: list[bytes]) -> int:
        """Return the index of the first secret that made one of *signatures*."""
        keys = [(index, key) for index, secret in enumerate(several(secrets)) if (key := self._usable(secret))]
        if not keys:
            raise WebhookRejected("no_secret")
        if self.encoding == "hex":
            signatures = [signature.lower() for signature in signatures]
        hits = [(index, self._hits(key, signed, signatures)) for index, key in keys]
        matching = [index for index, count in hits if count]
        if not matching:
            raise WebhookRejected("signature_mismatch")
        return matching[0]

    def _usable(self, secret: Secret) -> bytes | None:
        try:
            return self.key(secret)
        except ConfigurationError:
            return None

    def _hits(self, key: bytes, signed: bytes, signatures: list[bytes]) -> int:
        expected = self._mac(key, signed)
        # The list is complete before it is summed up: each comparison is made, whatever the others said.
        return sum([hmac.compare_digest(expected, signature) for signature in signatures])

    def _mac(self, key: bytes, signed: bytes) -> bytes:
        """Return the MAC as the sender spells it.

        Ours is encoded and compared, instead of decoding theirs: no lenient decoder, and nothing that can raise.
        """
        digest = hmac.digest(key, signed, self.algorithm)
        return digest.hex().encode() if self.encoding == "hex" else b64encode(digest)

    def _fresh(self, timestamp: int, now: float) -> datetime:
        signed_at = timestamp / _PER_SECOND[self.unit]
        age, tolerance = now - signed_at, self.tolerance or 0
        if age > tolerance:
            raise WebhookRejected("timestamp_expired")
        # `not >=` refuses a clock that is not a number, too.
        if not age >= -tolerance:
            raise WebhookRejected("timestamp_future")
        return _EPOCH + timedelta(seconds=signed_at)


def _member(body: bytes, name: str) -> str | None:
    """Return a string at the top of a JSON object; None for anything else."""
    try:
        document: object = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None
    value = cast("dict[str, object]", document).get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) else None
