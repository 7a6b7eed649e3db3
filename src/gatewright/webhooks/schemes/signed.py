"""What all schemes with a signature share: read it, match it, and only then look at the time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple, Protocol

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import RECEIVED, Covered, Delivery, Path, Reply, Verified, WebhookRejected
from gatewright.webhooks.schemes.members import member
from gatewright.webhooks.secret import Secret, Secrets, several

__all__ = ["MAX_SIGNATURES", "Algorithm", "Candidate", "Signed", "SignedScheme"]

MAX_SIGNATURES = 16
"""How many signatures of one delivery are looked at; each costs a comparison for each secret."""

_NOBODYS = b"of no tenant"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Algorithm(Protocol):
    """Make signatures, and recognise them. A secret that is none of its own is a `ConfigurationError`."""

    def check(self, secret: Secret) -> None:
        """Refuse a secret that this algorithm cannot use."""
        ...

    def matches(self, secret: Secret, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Say whether one of *signatures*, as the sender spells them, is that of *message*; look at each of them."""
        ...

    def sign(self, secret: Secret, message: bytes) -> bytes:
        """Return the signature of *message*, as the sender spells it."""
        ...


class Candidate(NamedTuple):
    """Signatures that a delivery brings, and what they would be of; nobody has believed them yet."""

    algorithm: Algorithm
    message: bytes
    signatures: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Signed:
    """Hold what a delivery says of itself; once a candidate matches, all of it is true.

    Args:
        candidates: one of them has to match.
        signed_at: the time under the signature, in Unix seconds; None where there is none.
        event_id: the id under the signature, where it does not stand in the body.
        expires_at: when the sender wants it to be refused, in Unix seconds.
        covers: what is under the signature, where that varies from delivery to delivery.
    """

    candidates: Sequence[Candidate]
    signed_at: float | None = None
    event_id: str | None = None
    expires_at: float | None = None
    covers: frozenset[Covered] | None = None


class SignedScheme(ABC):
    """Verify what one sender signed; a sender says how a delivery is read, and how one is made.

    Attributes:
        name: the sender's name: lower case, digits, underscores.
        tolerance: seconds that a signed time may be off, either way; None where none is signed, or none is looked at.
        covers: what is under the signature.
        event_id: where the signed body has the event's id; None where it has none.
        event_type: where the signed body says what happened; None where it does not.
        received: what the sender is told of a delivery that needs no work.
        algorithms: those that a secret may be meant for.
    """

    name: str
    tolerance: float | None = None
    event_id: Path | None = None
    event_type: Path | None = None
    received: Reply = RECEIVED

    @property
    @abstractmethod
    def covers(self) -> frozenset[Covered]:
        """Return the parts of a request that are under the signature."""

    @property
    @abstractmethod
    def algorithms(self) -> Sequence[Algorithm]:
        """Return the algorithms that a secret may be meant for."""

    @property
    def parted(self) -> bool:
        """Say whether something stands between the parts of what is signed, so that they are read in one way only."""
        return True

    @abstractmethod
    def read(self, delivery: Delivery) -> Signed:
        """Return what *delivery* brings, as it is spelled.

        Raises:
            WebhookRejected: for what is no signature of this sender.
        """

    @abstractmethod
    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as the sender would deliver it.

        Args:
            body: the raw body.
            secret: the one to sign with; a private key where the sender has one.
            now: when, in Unix seconds.
            url: where to.
            method: the HTTP method.
            event_id: the sender's id of the event, where that is no part of the body.
        """

    def greet(self, delivery: Delivery) -> Reply | None:
        """Answer nothing that is not signed."""
        return None

    def challenge(self, delivery: Delivery, secret: Secret) -> Reply | None:
        """Take every delivery for an event."""
        return None

    def check(self, secret: Secret) -> None:
        """Refuse a secret that cannot be one of this sender's.

        Raises:
            ConfigurationError: with what to write instead.
        """
        problems: list[ConfigurationError] = []
        for algorithm in self.algorithms:
            try:
                return algorithm.check(secret)
            except ConfigurationError as problem:
                problems.append(problem)
        raise problems[0]

    def verify(self, delivery: Delivery, secrets: Secrets, now: float) -> Verified:
        """Verify *delivery* with any of *secrets*, in constant time and without an early exit.

        The signature is looked at before the time, so that the log says "expired" only of what was signed.

        Args:
            delivery: what was received.
            secrets: one or several, while the sender's is being rolled.
            now: Unix seconds.

        Raises:
            WebhookRejected: and nothing else, for any bytes.
        """
        return self.judge(self.read(delivery), delivery, secrets, now)

    def judge(self, signed: Signed, delivery: Delivery, secrets: Secrets, now: float) -> Verified:
        """Return what is known of *delivery* where one of *secrets* signed what it says of itself; see `verify`."""
        key_index, message = _matching(signed, secrets)
        self._check_age(signed, now)
        event_id = signed.event_id
        if event_id is None and self.event_id is not None:
            event_id = member(delivery.body, self.event_id)
        return Verified(
            scheme=self.name,
            key_index=key_index,
            signed_at=None if signed.signed_at is None else _EPOCH + timedelta(seconds=signed.signed_at),
            covers=self.covers if signed.covers is None else signed.covers,
            replay_key=sha256(self.name.encode() + b"\0" + message).hexdigest(),
            event_id=event_id,
        )

    def _check_age(self, signed: Signed, now: float) -> None:
        # Each `not` refuses a clock that is not a number, too.
        if signed.expires_at is not None and not now <= signed.expires_at:
            raise WebhookRejected("timestamp_expired")
        if signed.signed_at is None or self.tolerance is None:
            return
        age = now - signed.signed_at
        if age > self.tolerance:
            raise WebhookRejected("timestamp_expired")
        if not age >= -self.tolerance:
            raise WebhookRejected("timestamp_future")


def _matching(signed: Signed, secrets: Secrets) -> tuple[int, bytes]:
    """Return the index of the first secret that made a signature, and what it signed."""
    usable = False
    found: tuple[int, bytes] | None = None
    for index, secret in enumerate(several(secrets)):
        for algorithm, message, signatures in signed.candidates:
            with suppress(ConfigurationError):
                matched = algorithm.matches(secret, message, signatures)
                usable = True
                if matched and found is None:
                    found = index, message
    if not usable:
        for algorithm, message, signatures in signed.candidates:
            with suppress(ConfigurationError):
                # The same work, so that time does not tell which tenants there are.
                algorithm.matches(_NOBODYS, message, signatures)
        raise WebhookRejected("no_secret")
    if found is None:
        raise WebhookRejected("signature_mismatch")
    return found
