"""Amazon SNS, which signs its messages' members, and asks before it sends any."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Covered, Delivery, Path, Reply, WebhookRejected
from gatewright.webhooks.schemes.certified import CertifiedScheme, RsaHash, from_base64, rsa
from gatewright.webhooks.schemes.signed import Algorithm, Candidate, Signed
from gatewright.webhooks.schemes.sns_message import SnsMessage, canonical, composed
from gatewright.webhooks.schemes.times import check_tolerance, from_iso, to_iso
from gatewright.webhooks.secret import Secret

if TYPE_CHECKING:
    from gatewright.webhooks.schemes.certificate import Rsa

__all__ = ["ANY_TOPIC", "AnyTopic", "AwsSns", "SignatureVersion", "aws_sns"]

SignatureVersion = Literal["1", "2"]
"""How SNS signs: "1" with SHA-1, "2" with SHA-256."""


class AnyTopic(Enum):
    """Say that a message of any topic is taken."""

    ANY_TOPIC = "any topic"


ANY_TOPIC = AnyTopic.ANY_TOPIC
"""Every topic of everybody's: whoever has an AWS account can sign for the endpoint, so the handler has to look."""

_HASHES: Mapping[str, RsaHash] = {"1": "sha1", "2": "sha256"}
# A region begins with letters only: an S3 bucket that is called "sns" answers at sns.s3-us-west-2.amazonaws.com.
_REGION = r"[a-z]{2,4}(?:-[a-z]+){1,3}-[0-9]{1,2}"
_ARN = re.compile(rf"arn:(aws(?:-[a-z]+)*):sns:({_REGION}):[0-9]{{12}}:[A-Za-z0-9_-]{{1,256}}(?:\.fifo)?")
# The whole address, so that no two parsers can disagree on whose host it is.
_ADDRESS = re.compile(rf"https://(sns\.{_REGION}\.amazonaws\.com(?:\.cn)?)(/[!-\[\]-~]*)")
_CERTIFICATE = re.compile(r"/SimpleNotificationService(?:-[A-Za-z0-9]{1,64})?\.pem")


@dataclass(frozen=True, kw_only=True)
class AwsSns(CertifiedScheme):
    """Verify the messages of SNS topics; `aws_sns(...)` makes one."""

    topics: tuple[str, ...] | AnyTopic
    algorithm_of: Mapping[str, Rsa] = field(hash=False)
    unsigned_members: bool
    tolerance: float | None
    name: str = field(default="aws_sns", init=False)
    event_type: Path | None = field(default=("Type",), init=False)

    def __repr__(self) -> str:
        return f"aws_sns({'ANY_TOPIC' if isinstance(self.topics, AnyTopic) else list(self.topics)})"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return what is signed: all that a body may hold, unless it may hold unsigned members."""
        return frozenset({"id", "timestamp"} if self.unsigned_members else {"body", "id", "timestamp"})

    @property
    def algorithms(self) -> Sequence[Algorithm]:
        """Return the algorithms, the best first."""
        return tuple(self.algorithm_of.values())

    def certificate_url(self, delivery: Delivery) -> str:
        """Return the certificate's address, on the host of SNS in a topic's region.

        Raises:
            WebhookRejected: for any other address, and for what is not worth a fetch, because no key verifies it.
        """
        return self._message(delivery).certificate_url

    def read(self, delivery: Delivery) -> Signed:
        """Return the signature of *delivery*, and what it would be of."""
        message = self._message(delivery)
        candidate = Candidate(self.algorithm_of[message.version], canonical(message.signed), [message.signature])
        signed_at = from_iso(message.signed["Timestamp"].encode())
        return Signed([candidate], signed_at=signed_at, event_id=message.signed["MessageId"])

    def challenge(self, delivery: Delivery, secret: Secret) -> Reply | None:
        """Confirm a subscription to a topic of the list; leave one that ends as it is.

        Raises:
            WebhookRejected: where the confirmation leads to somewhere else than SNS.
        """
        signed = SnsMessage.read(delivery.body).signed
        if isinstance(self.topics, AnyTopic) or signed["Type"] == "Notification":
            return None
        if signed["Type"] == "UnsubscribeConfirmation":
            # To visit its address would be to subscribe again.
            return self.received
        if self._path(signed["SubscribeURL"]) is None:
            raise WebhookRejected("challenge_failed")
        return replace(self.received, visit=signed["SubscribeURL"])

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return a message as SNS would deliver it.

        Args:
            body: what was published; or, where it is a JSON object that has a `Type` of SNS's, the message, which is
                given what it lacks and signed.
            secret: a private key, in PEM.
            now: when, in Unix seconds.
            url: where to.
            method: the HTTP method.
            event_id: the message's id; by default one that is made of body and time.
        """
        usual = self._usual(body, to_iso(now, "ms"), event_id)
        signed, others = composed(body, usual)
        version, algorithm = next(iter(self.algorithm_of.items()))
        signature = {
            "SignatureVersion": version,
            "Signature": algorithm.sign(secret, canonical(signed)).decode(),
            "SigningCertURL": usual["SigningCertURL"],
        }
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "x-amz-sns-message-type": signed["Type"],
            "x-amz-sns-message-id": signed["MessageId"],
            "x-amz-sns-topic-arn": signed["TopicArn"],
        }
        return Delivery.of(json.dumps({**signed, **signature, **others}).encode(), headers, method=method, url=url)

    def _message(self, delivery: Delivery) -> SnsMessage:
        """Return the message, where a certificate can say whether it is true."""
        message = SnsMessage.read(delivery.body)
        if message.version not in self.algorithm_of:
            raise WebhookRejected("no_supported_signature")
        if not _CERTIFICATE.fullmatch(self._path(message.certificate_url) or ""):
            raise WebhookRejected("cert_url_rejected")
        if not isinstance(self.topics, AnyTopic) and message.signed["TopicArn"] not in self.topics:
            raise WebhookRejected("not_for_us")
        from_base64(message.signature)
        if not self.unsigned_members:
            self._check_unsigned(message.unsigned)
        return message

    def _check_unsigned(self, members: Mapping[str, object]) -> None:
        """Let nothing pass that is not signed, except the way out, which leads to SNS wherever it leads."""
        for name, value in members.items():
            if name != "UnsubscribeURL" or not isinstance(value, str) or self._path(value) is None:
                raise WebhookRejected("body_not_signed")

    def _path(self, url: str) -> str | None:
        """Return the path of an address of SNS's in the region of a topic; None for any other."""
        found = _ADDRESS.fullmatch(url)
        if found is None:
            return None
        return found[2] if self._hosts is None or found[1] in self._hosts else None

    @cached_property
    def _hosts(self) -> frozenset[str] | None:
        return None if isinstance(self.topics, AnyTopic) else frozenset(map(_host, self.topics))

    def _usual(self, body: bytes, now: str, message_id: str) -> dict[str, str]:
        topic = "arn:aws:sns:us-east-1:123456789012:any" if isinstance(self.topics, AnyTopic) else self.topics[0]
        origin, digest = f"https://{_host(topic)}", sha256(now.encode() + body)
        token = digest.hexdigest()
        return {
            "Type": "Notification",
            "Message": "A message of SNS's.",
            "MessageId": message_id or str(UUID(bytes=digest.digest()[:16])),
            "TopicArn": topic,
            "Timestamp": now,
            "Token": token,
            "SubscribeURL": f"{origin}/?Action=ConfirmSubscription&TopicArn={topic}&Token={token}",
            "SigningCertURL": f"{origin}/SimpleNotificationService-{'0' * 32}.pem",
        }


def aws_sns(
    topics: str | Collection[str] | AnyTopic,
    *,
    tolerance: float | None = 3_900,
    versions: Sequence[SignatureVersion] = ("2", "1"),
    unsigned_members: bool = False,
) -> AwsSns:
    """Verify messages of Amazon SNS
    (https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html).

    Signed are `Message`, `MessageId`, `Timestamp`, `TopicArn` and `Type`, `Subject` where there is one, and in a
    confirmation `SubscribeURL` and `Token`. A body that holds anything else is refused, but for the signature itself
    and an `UnsubscribeURL` of SNS's. A subscription to one of *topics* is confirmed by itself.

    The certificate comes from SNS in a topic's region, `https://sns.<region>.amazonaws.com`, and from nowhere else;
    or give it as `secrets=`, in PEM, and nothing is fetched. Raw message delivery signs nothing: leave it off.

    Args:
        topics: the ARN of your topic, or several; anybody's topic is signed by the same key. `ANY_TOPIC` takes all of
            them, and gives confirmations to the handler, which has to know whose they are.
        tolerance: seconds that `Timestamp` may be off, either way; SNS tries for an hour at most. None looks at none.
        versions: the signatures that are taken. Topics sign with SHA-1, "1", until `SignatureVersion` is set to 2
            (https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html); then write ("2",). NIST SP
            800-131A lets SHA-1 signatures be verified as a legacy. Two messages with one SHA-1 can be made only by
            who may publish to the topic, and differ in `Message` alone.
        unsigned_members: take bodies with members that AWS does not sign, which are `MessageAttributes` and what it
            may think of; then the body does not count as signed.

    Raises:
        ConfigurationError: for what is no topic's ARN, for other versions, and where cryptography is not installed.
    """
    check_tolerance("aws_sns", tolerance)
    if not versions or not set(versions) <= _HASHES.keys():
        raise ConfigurationError(f'aws_sns(versions={versions!r}): write ("2", "1"), or ("2",) for topics that have it')
    return AwsSns(
        topics=topics if isinstance(topics, AnyTopic) else _listed(topics),
        algorithm_of={version: rsa("aws_sns", _HASHES[version]) for version in versions},
        unsigned_members=unsigned_members,
        tolerance=tolerance,
    )


def _listed(topics: str | Collection[str]) -> tuple[str, ...]:
    listed = (topics,) if isinstance(topics, str) else tuple(topics or ())
    if not listed:
        raise ConfigurationError(
            "aws_sns(topics=...) is empty: write the ARNs of your topics, or ANY_TOPIC, and look at TopicArn yourself"
        )
    for topic in listed:
        _host(topic)
    return listed


def _host(topic: object) -> str:
    found = _ARN.fullmatch(topic) if isinstance(topic, str) else None
    if found is None:
        raise ConfigurationError(
            f'aws_sns(topics=...): {topic!r} is no topic; write its ARN, "arn:aws:sns:us-east-1:123456789012:MyTopic"'
        )
    return f"sns.{found[2]}.amazonaws.com{'.cn' if found[1] == 'aws-cn' else ''}"
