"""The signatures that a message brings (RFC 9421, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.webhooks.scheme import WebhookRejected
from gatewright.webhooks.schemes.rfc9421.components import Message
from gatewright.webhooks.schemes.rfc9421.fields import InnerList, Item, dictionary
from gatewright.webhooks.schemes.signed import MAX_SIGNATURES
from gatewright.webhooks.schemes.times import from_digits

__all__ = ["MessageSignature", "signatures_of"]

_LONGEST = 8192


@dataclass(frozen=True, slots=True)
class MessageSignature:
    """Hold one signature; nobody has believed it yet.

    Args:
        label: tells it from the others of the message. It is not signed.
        signed: the components that it covers, and its parameters.
        value: the signature.
    """

    label: str
    signed: InnerList
    value: bytes

    def text(self, parameter: str) -> str | None:
        """Return a parameter that is a string; None where it is absent."""
        said = self.signed.parameters.get(parameter)
        if said is None or isinstance(said, str):
            return said
        raise WebhookRejected("malformed")

    def time(self, parameter: str) -> float | None:
        """Return a parameter that is a time, in Unix seconds; None where it is absent."""
        said = self.signed.parameters.get(parameter)
        if said is None:
            return None
        # A boolean is no number here, whatever Python says.
        if type(said) is not int:
            raise WebhookRejected("malformed")
        return from_digits(str(said).encode())


def signatures_of(message: Message) -> list[MessageSignature]:
    """Return the signatures of *message*, of which there is at least one.

    Raises:
        WebhookRejected: where there is none, where there are too many, and where the two headers do not agree.
    """
    inputs, values = message.field("signature-input"), message.field("signature")
    if not inputs or not values:
        raise WebhookRejected("signature_missing")
    if max(len(inputs), len(values)) > _LONGEST:
        raise WebhookRejected("malformed")
    signed, signatures = dictionary(inputs), dictionary(values)
    if signed.keys() != signatures.keys() or len(signed) > MAX_SIGNATURES:
        raise WebhookRejected("malformed")
    return [_signature(label, signed[label], signatures[label]) for label in signed]


def _signature(label: str, signed: object, signature: object) -> MessageSignature:
    if not isinstance(signed, InnerList) or not isinstance(signature, Item) or not isinstance(signature.value, bytes):
        raise WebhookRejected("malformed")
    return MessageSignature(label, signed, signature.value)
