"""The family of most senders: one HMAC over parts of the request, configured by data."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import get_args

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import RECEIVED, Covered, Delivery, Path, Reply, WebhookRejected
from gatewright.webhooks.schemes.elements import Elements
from gatewright.webhooks.schemes.mac import Encoding, Hash, Mac
from gatewright.webhooks.schemes.signed import MAX_SIGNATURES, Candidate, Signed, SignedScheme
from gatewright.webhooks.schemes.times import Unit, check_tolerance, from_digits, only, to_digits
from gatewright.webhooks.secret import Secret, secret_bytes

__all__ = ["Challenge", "Greeting", "HmacScheme"]

Challenge = Callable[[Delivery, Secret], Reply | None]
"""Answers a verified delivery that is a question, with the secret that matched; None for an event."""

Greeting = Callable[[Delivery], Reply | None]
"""Answers a question that comes without a signature; None for what is no such question."""

_PARTS: tuple[Covered, ...] = ("body", "timestamp", "id", "url", "method")
_PART = re.compile(r"\{(" + "|".join(_PARTS) + r")\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ID = re.compile(rb"[!-~]{1,256}")
_OTHER_VERSION = re.compile(rb"[a-z0-9]{1,10}=")


@dataclass(frozen=True, kw_only=True)
class HmacScheme(SignedScheme):
    """Describe a sender that signs with an HMAC (RFC 2104).

    Args:
        name: the sender's name: lower case, digits, underscores.
        header: the header of the signature.
        template: what is signed, out of `{body}`, `{timestamp}`, `{id}`, `{url}` and `{method}`.
        elements: how the header lists its elements; None where it is one signature.
        prefix: what stands before that one signature.
        encoding: "hex", in either case, or canonical "base64".
        algorithm: the hash.
        timestamp_header: the header of the time, where it has one of its own.
        id_header: the header of the event's id, which has to be signed.
        unit: the timestamp's: "s" or "ms".
        tolerance: seconds that the time may be off, either way; None where none is signed, and only there.
        event_id: where the body has the event's id, a string: a member at the top, or the path to one.
        event_type: where the body says what happened, in the same way.
        key: makes the HMAC key out of a secret, or raises `ConfigurationError`.
        answers: answers a verified delivery that is a question.
        greets: answers a question that the sender asks before it signs anything.
        also: another name of the signature's header, looked at where the first is absent.

    Raises:
        ConfigurationError: for a description that would verify less than it seems to.
    """

    name: str
    header: str
    template: str = "{body}"
    elements: Elements | None = None
    prefix: str = ""
    encoding: Encoding = "hex"
    algorithm: Hash = "sha256"
    timestamp_header: str | None = None
    id_header: str | None = None
    unit: Unit = "s"
    tolerance: float | None = None
    event_id: Path | None = None
    event_type: Path | None = None
    key: Callable[[Secret], bytes] = field(default=secret_bytes, repr=False)
    answers: Challenge | None = field(default=None, repr=False)
    greets: Greeting | None = field(default=None, repr=False)
    also: str | None = None
    received: Reply = RECEIVED

    def __post_init__(self) -> None:
        self._check_words()
        self._check_layout()
        self._check_time()

    def _check_words(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"a scheme's name={self.name!r}: write lower case, digits and underscores")
        for header in (self.header, self.timestamp_header, self.id_header, self.also):
            if header is not None and not _HEADER.fullmatch(header):
                raise ConfigurationError(f'{self.name}: {header!r} is no header name; write one like "X-Signature"')
        choices: list[tuple[str, str, tuple[str, ...]]] = [
            ("encoding", self.encoding, get_args(Encoding)),
            ("algorithm", self.algorithm, get_args(Hash)),
            ("unit", self.unit, get_args(Unit)),
        ]
        for what, chosen, known in choices:
            if chosen not in known:
                raise ConfigurationError(f"{self.name}: {what}={chosen!r}: write one of {', '.join(known)}")

    def _check_layout(self) -> None:
        text = _PART.sub("", self.template)
        if "{" in text or "}" in text or self._parts.count("body") != 1:
            raise ConfigurationError(
                f"{self.name}: template={self.template!r} has to hold {{body}} once, and may hold {{timestamp}}, "
                "{id}, {url} and {method}"
            )
        if ("id" in self._parts) != (self.id_header is not None):
            raise ConfigurationError(
                f"{self.name}: an id counts only where it is signed; write id_header=..., and {{id}} in the template"
            )
        if any(not around for around in self._beside_id):
            raise ConfigurationError(
                f"{self.name}: template={self.template!r}: where does {{id}} end? Put a dot, say, around it"
            )
        if self.elements is None:
            return
        if self.prefix:
            raise ConfigurationError(f"{self.name}: in a list the element's name is the prefix; leave prefix out")
        if not (self.elements.signature and self.elements.separator and self.elements.assign):
            raise ConfigurationError(f"{self.name}: elements={self.elements!r}: a name, separator or assign is empty")

    def _check_time(self) -> None:
        listed = self.elements is not None and self.elements.timestamp is not None
        signed = "timestamp" in self._parts
        if listed and self.timestamp_header is not None:
            raise ConfigurationError(f"{self.name}: the time is in the list or in timestamp_header, not in both")
        if signed != (listed or self.timestamp_header is not None):
            raise ConfigurationError(
                f'{self.name}: a time counts only where it is signed; write template="{{timestamp}}.{{body}}" and '
                "where it is: timestamp_header=..., or elements=Elements(timestamp=...)"
            )
        if signed and self.tolerance is None:
            raise ConfigurationError(f"{self.name}: tolerance=None: write seconds, more than 0, such as 300")
        if not signed and self.tolerance is not None:
            raise ConfigurationError(f"{self.name}: no time is signed, so tolerance={self.tolerance} would do nothing")
        check_tolerance(self.name, self.tolerance)

    def __repr__(self) -> str:
        tolerance = f"tolerance={self.tolerance:g}" if self.tolerance is not None else ""
        return f"{self.name}({tolerance})"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return the parts of a request that the signature covers."""
        return self._covers

    @cached_property
    def _covers(self) -> frozenset[Covered]:
        return frozenset(part for part in _PARTS if part in self._parts)

    @property
    def algorithms(self) -> Sequence[Mac]:
        """Return the one algorithm of this sender."""
        return (self._mac,)

    def read(self, delivery: Delivery) -> Signed:
        """Return the signatures of *delivery*, and what they would be of."""
        signatures, times = self._signatures(delivery)
        timestamp = only(times) if "timestamp" in self.covers else b""
        event_id = self._id(delivery)
        return Signed(
            [Candidate(self._mac, self._message(delivery, timestamp, event_id), signatures)],
            signed_at=from_digits(timestamp, self.unit) if "timestamp" in self.covers else None,
            event_id=event_id.decode("ascii") if self.id_header is not None else None,
        )

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as the sender would deliver it; see `SignedScheme.sign`.

        Where the id has a header and none is given, the same body is the same event.
        """
        if self.id_header is not None:
            event_id = event_id or f"msg_{sha256(body).hexdigest()[:27]}"
        timestamp = to_digits(now, self.unit) if "timestamp" in self.covers else ""
        unsigned = Delivery(body, (), method, url)
        signature = self._mac.sign(secret, self._message(unsigned, timestamp.encode(), event_id.encode())).decode()
        value = self.prefix + signature if self.elements is None else self.elements.write(signature, timestamp)
        headers = {self.header: value}
        if self.timestamp_header is not None:
            headers[self.timestamp_header] = timestamp
        if self.id_header is not None:
            headers[self.id_header] = event_id
        return Delivery.of(body, headers, method=method, url=url)

    def greet(self, delivery: Delivery) -> Reply | None:
        """Answer a question that is not signed, where this sender asks any."""
        return None if self.greets is None else self.greets(delivery)

    def challenge(self, delivery: Delivery, secret: Secret) -> Reply | None:
        """Answer a question, where this sender asks any."""
        return None if self.answers is None else self.answers(delivery, secret)

    @cached_property
    def _mac(self) -> Mac:
        return Mac(self.algorithm, self.encoding, self.key)

    @cached_property
    def _parts(self) -> list[str]:
        return _PART.findall(self.template)

    @cached_property
    def _pieces(self) -> list[tuple[bytes, str]]:
        """Return the template as the text before each part, and the part; the last one has none."""
        texts = _PART.split(self.template)[::2]
        return list(zip([text.encode() for text in texts], [*self._parts, ""], strict=True))

    @cached_property
    def _beside_id(self) -> list[bytes]:
        """Return the text that stands between the id and its neighbours."""
        if "id" not in self._parts:
            return []
        at = self._parts.index("id")
        before, after = self._pieces[at][0], self._pieces[at + 1][0]
        # At either end of the message nothing has to mark where the id ends.
        return ([before] if at > 0 else []) + ([after] if at + 1 < len(self._parts) else [])

    @property
    def parted(self) -> bool:
        """Say whether something stands between all parts of the template."""
        return "}{" not in self.template

    @cached_property
    def _names(self) -> tuple[bytes, bytes, bytes, bytes]:
        names = (self.header, self.also or "", self.timestamp_header or "", self.id_header or "")
        header, also, timestamp, event_id = (name.lower().encode() for name in names)
        return header, also, timestamp, event_id

    def _signatures(self, delivery: Delivery) -> tuple[list[bytes], list[bytes]]:
        """Return the signatures, and the timestamps that come with them."""
        header, also, timestamp_header, _ = self._names
        value = delivery.header(header)
        if value is None and also:
            value = delivery.header(also)
        if value is None:
            raise WebhookRejected("signature_missing")
        times: list[bytes] = []
        if self.elements is None:
            signatures = [self._after_prefix(value)]
        else:
            signatures, times = self.elements.read(value)
        if timestamp_header and (time := delivery.header(timestamp_header)) is not None:
            times = [time]
        if not signatures:
            raise WebhookRejected("no_supported_signature")
        if len(signatures) > MAX_SIGNATURES:
            raise WebhookRejected("malformed")
        return signatures, times

    def _after_prefix(self, value: bytes) -> bytes:
        prefix = self.prefix.encode()
        if value.startswith(prefix):
            return value[len(prefix) :]
        raise WebhookRejected("no_supported_signature" if _OTHER_VERSION.match(value) else "malformed")

    def _id(self, delivery: Delivery) -> bytes:
        name = self._names[3]
        if not name:
            return b""
        found = delivery.header(name)
        if found is None or not _ID.fullmatch(found) or any(around in found for around in self._beside_id):
            # Where the id ended, the message would not say; a part of it could be moved to its neighbour.
            raise WebhookRejected("malformed")
        return found

    def _message(self, delivery: Delivery, timestamp: bytes, event_id: bytes) -> bytes:
        parts = {"body": delivery.body, "timestamp": timestamp, "id": event_id, "": b""}
        if "url" in self._covers or "method" in self._covers:
            parts["url"] = delivery.url.encode("utf-8", "replace")
            parts["method"] = delivery.method.encode("utf-8", "replace")
        return b"".join([text + parts[part] for text, part in self._pieces])
