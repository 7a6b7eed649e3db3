"""HTTP Message Signatures as a scheme for webhooks: what has to be signed, by whom, and when."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import cached_property
from typing import Literal, get_args

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Covered, Delivery, Path, Reason, Verified, WebhookRejected
from gatewright.webhooks.schemes.mac import Mac
from gatewright.webhooks.schemes.rfc9421.components import Message
from gatewright.webhooks.schemes.rfc9421.coverage import BODY, component, covered, needs_origin, satisfies
from gatewright.webhooks.schemes.rfc9421.digest import check_digest, content_digest
from gatewright.webhooks.schemes.rfc9421.fields import Bare, InnerList, Item, serialized
from gatewright.webhooks.schemes.rfc9421.signatures import MessageSignature, signatures_of
from gatewright.webhooks.schemes.signed import Algorithm, Candidate, Signed, SignedScheme
from gatewright.webhooks.schemes.times import check_tolerance
from gatewright.webhooks.secret import Secret, Secrets, secret_bytes

__all__ = ["HttpMessageSignatures", "SignatureAlgorithm", "http_message_signatures"]

SignatureAlgorithm = Literal["hmac-sha256", "ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256"]
"""An algorithm as RFC 9421 registers it (section 6.2.2)."""

_LABEL = re.compile(r"[a-z*][a-z0-9_\-.*]*")
_TEXT = re.compile(r"[\x20-\x7e]+")
# Where several signatures fail, the one that came furthest says most.
_PROGRESS: Sequence[Reason] = (
    "no_supported_signature",
    "malformed",
    "timestamp_missing",
    "body_not_signed",
    "no_secret",
    "signature_mismatch",
    "timestamp_future",
    "timestamp_expired",
    "body_digest_mismatch",
)


@dataclass(frozen=True, kw_only=True, repr=False)
class HttpMessageSignatures(SignedScheme):
    """Describe a sender that signs with HTTP Message Signatures; `http_message_signatures` says what each argument is.

    Raises:
        ConfigurationError: for what no signature could satisfy.
    """

    algorithm: SignatureAlgorithm
    key_id: str | None = None
    components: Sequence[str] = ("@method", "@target-uri")
    tag: str | None = None
    label: str | None = None
    tolerance: float | None = 300
    require_body: bool = True
    event_id: Path | None = None
    event_type: Path | None = None
    name: str = "http_message_signatures"

    def __post_init__(self) -> None:
        check_tolerance(self.name, self.tolerance)
        if self.label is not None and not _LABEL.fullmatch(self.label):
            raise ConfigurationError(f'{self.name}: label={self.label!r}: write lower case and digits, such as "sig1"')
        for what, text in (("key_id", self.key_id), ("tag", self.tag)):
            if text is not None and not _TEXT.fullmatch(text):
                raise ConfigurationError(f"{self.name}: {what}={text!r}: write printable ASCII, or leave it out")
        if isinstance(self.components, str):
            raise ConfigurationError(f'{self.name}: components={self.components!r}: write a list, ["@method"]')
        if BODY not in self._required and (self.event_id or self.event_type):
            raise ConfigurationError(f"{self.name}: without require_body=True, the body says nothing; leave events out")
        # Now, and not at the first delivery, is the time to miss a library.
        self._algorithm  # noqa: B018

    def __repr__(self) -> str:
        return f"{self.name}({self.algorithm})"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return what a signature has to cover, with "url" where it has to cover a part that a public URL tells."""
        return self._covers

    @property
    def algorithms(self) -> Sequence[Algorithm]:
        """Return the one algorithm that is configured; no delivery can choose another."""
        return (self._algorithm,)

    def verify(self, delivery: Delivery, secrets: Secrets, now: float) -> Verified:
        """Verify *delivery* by any of its signatures that covers enough; see `SignedScheme.verify`.

        The body is read last, so that only a digest that was signed is believed to be wrong.
        """
        message = Message(delivery)
        verified: list[Verified] = []
        reasons: list[Reason] = []
        for signature in signatures_of(message):
            try:
                verified.append(self._verified(signature, message, delivery, secrets, now))
            except WebhookRejected as rejected:
                reasons.append(rejected.reason)
        if not verified:
            raise WebhookRejected(max(reasons, key=_PROGRESS.index))
        return verified[0]

    def read(self, delivery: Delivery) -> Signed:
        """Return what the first signature of *delivery* says; `verify` looks at each."""
        message = Message(delivery)
        return self._read(signatures_of(message)[0], message)

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as a sender would deliver it that signs what is wanted here, and the body always.

        Raises:
            ConfigurationError: where a component has no value: for want of *url*, or for a header that is not written.
        """
        components = tuple(self._required) if BODY in self._required else (*self._required, BODY)
        headers = {"Content-Digest": content_digest(body)} | _written(components, body, now)
        signed = InnerList(components, self._parameters(now))
        try:
            base = Message(Delivery.of(body, headers, method=method, url=url)).base(signed)
        except WebhookRejected:
            raise ConfigurationError(
                f"{self.name}: to sign {serialized(signed)}, write url=... with its host; of headers, only "
                "content-digest, content-type, content-length and date are written"
            ) from None
        label, signature = self.label or "sig1", self._algorithm.sign(secret, base).decode()
        headers |= {"Signature-Input": f"{label}={serialized(signed)}", "Signature": f"{label}=:{signature}:"}
        return Delivery.of(body, headers, method=method, url=url)

    def _verified(
        self, signature: MessageSignature, message: Message, delivery: Delivery, secrets: Secrets, now: float
    ) -> Verified:
        verified = self.judge(self._read(signature, message), delivery, secrets, now)
        if "body" in verified.covers:
            check_digest(message.field("content-digest") or b"", delivery.body)
        return verified

    def _read(self, signature: MessageSignature, message: Message) -> Signed:
        self._check_signer(signature)
        created, components = signature.time("created"), signature.signed.items
        if created is None and self.tolerance is not None:
            raise WebhookRejected("timestamp_missing")
        missing = [wanted for wanted in self._required if not any(satisfies(one, wanted) for one in components)]
        if missing:
            raise WebhookRejected("body_not_signed" if BODY in missing else "no_supported_signature")
        base = message.base(signature.signed)
        return Signed(
            [Candidate(self._algorithm, base, [b64encode(signature.value)])],
            signed_at=created,
            expires_at=signature.time("expires"),
            covers=covered(components, timed=created is not None),
        )

    def _check_signer(self, signature: MessageSignature) -> None:
        """Let a signature pass that is by whom and of what kind is wanted; its label alone is not signed."""
        chosen = (
            self.label in (None, signature.label)
            and self.tag in (None, signature.text("tag"))
            and self.key_id in (None, signature.text("keyid"))
            and signature.text("alg") in (None, self.algorithm)
        )
        if not chosen:
            raise WebhookRejected("no_supported_signature")

    def _parameters(self, now: float) -> dict[str, Bare]:
        said = {"created": int(now), "keyid": self.key_id, "alg": self.algorithm, "tag": self.tag}
        return {name: value for name, value in said.items() if value is not None}

    @cached_property
    def _required(self) -> list[Item]:
        """Return what a signature has to cover."""
        named = [component(text) for text in dict.fromkeys(self.components)]
        return [*named, BODY] if self.require_body and BODY not in named else named

    @cached_property
    def _covers(self) -> frozenset[Covered]:
        parts = covered(self._required, timed=self.tolerance is not None)
        return parts.union(["url"]) if needs_origin(self._required) else parts

    @cached_property
    def _algorithm(self) -> Algorithm:
        if self.algorithm not in get_args(SignatureAlgorithm):
            known = ", ".join(get_args(SignatureAlgorithm))
            raise ConfigurationError(f"{self.name}: algorithm={self.algorithm!r}: write one of {known}")
        if self.algorithm == "hmac-sha256":
            return Mac("sha256", "base64", _shared)
        try:
            from gatewright.webhooks.schemes.rfc9421.algorithms import ALGORITHMS
        except ImportError as missing:
            raise ConfigurationError(
                f'{self.algorithm} signatures need cryptography: pip install "gatewright[webhooks]"'
            ) from missing
        return ALGORITHMS[self.algorithm]


def http_message_signatures(
    *,
    algorithm: SignatureAlgorithm,
    key_id: str | None = None,
    components: Sequence[str] = ("@method", "@target-uri"),
    tag: str | None = None,
    label: str | None = None,
    tolerance: float | None = 300,
    require_body: bool = True,
    event_id: str | Path | None = None,
    event_type: str | Path | None = None,
) -> HttpMessageSignatures:
    """Verify HTTP Message Signatures (RFC 9421) with Content-Digest (RFC 9530).

    A signature counts where it is by the algorithm and the key that are written here, whatever it says of itself, and
    covers enough; `Verified.covers` tells what else it covers. The body is under it where it covers `content-digest`,
    and that is computed anew, with SHA-256 or SHA-512. Of several signatures, one that counts is enough; each has its
    own `replay_key`, so where a sender signs twice, name one by *key_id* or *tag*.

    `@target-uri`, `@authority` and `@scheme` are those of `public_url`, never those of a Host header. Where no
    component here is one of them, no public URL is asked for; without it, a signature that covers one does not count.

    Args:
        algorithm: the sender's. The secret of "hmac-sha256" is the key itself: decode one that is shown in base64, and
            give bytes. That of the others is the public key, in PEM or DER.
        key_id: the `keyid` that a signature has to name.
        components: what it has to cover besides the body: names such as "@method", "@target-uri", "content-type", or
            with parameters, '"@query-param";name="id"'.
        tag: the `tag` that it has to have, which says what it is for.
        label: the one signature that is looked at.
        tolerance: seconds that `created` may be off, either way; None asks for no time. `expires` counts always.
        require_body: that the body has to be signed.
        event_id: where the JSON body has the event's id, a string: a member at the top, or the path to one.
        event_type: where it says what happened, in the same way; for `WebhookRouter`.

    Raises:
        ConfigurationError: for what no signature could satisfy; where cryptography is not installed, and needed.
    """
    return HttpMessageSignatures(
        algorithm=algorithm,
        key_id=key_id,
        components=components,
        tag=tag,
        label=label,
        tolerance=tolerance,
        require_body=require_body,
        event_id=(event_id,) if isinstance(event_id, str) else event_id,
        event_type=(event_type,) if isinstance(event_type, str) else event_type,
    )


def _written(components: Sequence[Item], body: bytes, now: float) -> dict[str, str]:
    """Return the headers that tests may want to be signed."""
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Date": formatdate(now, usegmt=True),
    }
    return {name: value for name, value in headers.items() if Item(name.lower()) in components}


def _shared(secret: Secret) -> bytes:
    # A PEM file ends with a line break, which is not what is wrong with it.
    pem = isinstance(secret, str) and "-----BEGIN" in secret
    key = secret_bytes(secret.strip() if pem else secret)
    if b"-----BEGIN" in key:
        raise ConfigurationError("that is a key pair's, and everybody may have the public one; write a shared secret")
    return key
