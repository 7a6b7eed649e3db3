"""A message of Amazon SNS, and the string that is signed of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gatewright._core.strict_json import json_object
from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import WebhookRejected

__all__ = ["SnsMessage", "canonical", "composed"]

_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
# What is signed, in the order in which it is; only the subject may be absent.
_SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_EVER_SIGNED = frozenset(name for names in _SIGNED.values() for name in names)
_OF_THE_SIGNATURE = ("Signature", "SignatureVersion", "SigningCertURL")


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """Hold what a message says of itself.

    Args:
        signed: the members under the signature, in the order in which they are signed.
        signature: the signature, in base64.
        version: which signature it is.
        certificate_url: where the certificate is.
        unsigned: the other members, of any type.
    """

    signed: Mapping[str, str]
    signature: bytes
    version: str
    certificate_url: str
    unsigned: Mapping[str, object]

    @classmethod
    def read(cls, body: bytes) -> SnsMessage:
        """Return the message in *body*.

        Raises:
            WebhookRejected: for anything but a JSON object with the members of its type, each a text and there once.
        """
        try:
            found: dict[str, object] = json_object(body)
        except ValueError:
            raise WebhookRejected("malformed") from None
        if "Signature" not in found:
            raise WebhookRejected("signature_missing")
        signature, version, certificate_url = (_text(found, name) for name in _OF_THE_SIGNATURE)
        signed = _signed(found)
        told = {*signed, *_OF_THE_SIGNATURE}
        unsigned = {name: value for name, value in found.items() if name not in told}
        if not unsigned.keys().isdisjoint(_EVER_SIGNED):
            # What is signed in messages of another type would look signed in this one as well.
            raise WebhookRejected("malformed")
        return cls(signed, signature.encode(), version, certificate_url, unsigned)


def canonical(members: Mapping[str, str]) -> bytes:
    """Return the string to sign: each name and each value, in their order, on a line of its own."""
    return "".join(f"{name}\n{value}\n" for name, value in members.items()).encode()


def composed(body: bytes, usual: Mapping[str, str]) -> tuple[dict[str, str], dict[str, object]]:
    """Return the signed and the other members of a message that is made of *body*.

    Args:
        body: a JSON object that has a `Type` of SNS's is the message, and is given what it lacks; anything else is
            the text that was published.
        usual: the members that it may lack.

    Raises:
        ConfigurationError: for a member that is no text, where it has to be one.
    """
    given = _given(body)
    members = {**usual, **given}
    signed: dict[str, str] = {}
    for name in _SIGNED[str(members["Type"])]:
        value = members.get(name)
        if isinstance(value, str):
            signed[name] = value
        elif name != "Subject" or value is not None:
            raise ConfigurationError(f"aws_sns: {name} is a text in a message of SNS's, not {type(value).__name__}")
    return signed, {name: value for name, value in given.items() if name not in signed}


def _given(body: bytes) -> Mapping[str, object]:
    try:
        found: dict[str, object] = json_object(body)
    except ValueError:
        found = {}
    kind = found.get("Type")
    return found if isinstance(kind, str) and kind in _SIGNED else {"Message": body.decode("utf-8", "replace")}


def _signed(found: dict[str, object]) -> dict[str, str]:
    names = _SIGNED.get(_text(found, "Type"))
    if names is None:
        raise WebhookRejected("malformed")
    if "Timestamp" not in found:
        raise WebhookRejected("timestamp_missing")
    if found.get("Subject", ...) is None:
        # AWS's own validator for JavaScript takes it for absent, too.
        del found["Subject"]
    signed = {name: _text(found, name) for name in names if name != "Subject" or name in found}
    # The message comes first and may have any lines. With a line break in another value, one string to sign could be
    # read as two different messages.
    if any("\n" in value for name, value in signed.items() if name != "Message"):
        raise WebhookRejected("malformed")
    return signed


def _text(found: Mapping[str, object], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise WebhookRejected("malformed")
    return value
