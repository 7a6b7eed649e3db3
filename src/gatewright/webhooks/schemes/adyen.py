"""Adyen, whose signatures stand in the items of the body, each over eight of an item's fields."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from pydantic_core import to_json

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Covered, Delivery, Reply, WebhookRejected
from gatewright.webhooks.schemes.mac import Mac
from gatewright.webhooks.schemes.members import document
from gatewright.webhooks.schemes.signed import MAX_SIGNATURES, Candidate, Signed, SignedScheme
from gatewright.webhooks.secret import Secret, secret_bytes

__all__ = ["Adyen", "adyen"]

_Object = dict[str, object]
_REFERENCES = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
_BIGGEST = 2**63


def adyen() -> Adyen:
    """Verify Adyen's standard webhooks
    (https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures).

    The secret is the HMAC key, in hex. Of each item pspReference, originalReference, merchantAccountCode,
    merchantReference, amount, eventCode and success are signed, and nothing else: not `live`, `reason`, `eventDate` or
    `additionalData`. So `verify_webhook` wants `allow_unsigned_body=True`; believe the signed fields, and fetch the
    rest. No time is signed: a capture is valid for ever. Items are signed one by one, so each may come again without
    the others; what an item asks for, do once for its pspReference and eventCode.
    """
    return Adyen()


@dataclass(frozen=True, repr=False)
class Adyen(SignedScheme):
    """Verify an HMAC in each item; all of them have to match, with one key."""

    name = "adyen"
    received: Reply = field(default=Reply(b"[accepted]", "text/plain"), init=False)

    def __repr__(self) -> str:
        return "adyen()"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return nothing: no part of the request is signed as a whole."""
        return frozenset()

    @property
    def algorithms(self) -> Sequence[Mac]:
        """Return the one algorithm."""
        return (_MAC,)

    def read(self, delivery: Delivery) -> Signed:
        """Return the signatures in the items of *delivery*, and what they would be of."""
        items = _items(document(delivery.body))
        messages = [_signed_fields(item) for item in items]
        signatures = [_signature(item) for item in items]
        return Signed(
            [Candidate(_EachOf(_MAC.hash, _MAC.encoding, _MAC.key, messages), _in_any_order(messages), signatures)]
        )

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body*, what has `notificationItems`, as Adyen would deliver it: with a signature in each of them.

        Raises:
            ConfigurationError: for a body that is none of Adyen's.
        """
        try:
            members = document(body)
            items = _items(members)
            for item in items:
                signature = _MAC.sign(secret, _signed_fields(item)).decode()
                item["additionalData"] = _optional(item.get("additionalData")) | {"hmacSignature": signature}
        except WebhookRejected:
            raise ConfigurationError(
                'adyen signs {"notificationItems":[{"NotificationRequestItem":{"pspReference":"...",...}}]}'
            ) from None
        return Delivery(to_json(members), (), method, url)


def _key(secret: Secret) -> bytes:
    try:
        return unhexlify(secret_bytes(secret))
    except ValueError:
        raise ConfigurationError("adyen: the HMAC key is hex, as the Customer Area shows it") from None


_MAC = Mac("sha256", "base64", _key)


@dataclass(frozen=True)
class _EachOf(Mac):
    """Match where each signature is that of its own message: a single good one vouches for no other item."""

    messages: Sequence[bytes] = ()

    def matches(self, secret: Secret, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Say whether all of *signatures* match."""
        pairs = zip(self.messages, signatures, strict=True)
        matched = [Mac.matches(self, secret, signed, [signature]) for signed, signature in pairs]
        return sum(matched) == len(matched)


def _items(members: _Object) -> list[_Object]:
    items = members.get("notificationItems")
    if not isinstance(items, list) or not 0 < len(cast("list[object]", items)) <= MAX_SIGNATURES:
        raise WebhookRejected("malformed")
    return [_object(_object(item).get("NotificationRequestItem")) for item in cast("list[object]", items)]


def _signed_fields(item: _Object) -> bytes:
    """Return what is signed of *item*: eight fields with colons between them, which nothing escapes."""
    amount = _optional(item.get("amount"))
    fields = [item.get(name) for name in _REFERENCES]
    fields += [amount.get("value"), amount.get("currency"), item.get("eventCode"), item.get("success")]
    return ":".join(map(_text, fields)).encode()


def _signature(item: _Object) -> bytes:
    signature = _optional(item.get("additionalData")).get("hmacSignature")
    if signature is None or signature == "":
        raise WebhookRejected("signature_missing")
    if not isinstance(signature, str):
        raise WebhookRejected("malformed")
    return signature.encode()


def _in_any_order(messages: Sequence[bytes]) -> bytes:
    """Return the same bytes for the same items, in whatever order and however often they come."""
    return b"".join(b"%d:%s" % (len(message), message) for message in sorted(set(messages)))


def _object(found: object) -> _Object:
    if not isinstance(found, dict):
        raise WebhookRejected("malformed")
    return cast("_Object", found)


def _optional(found: object) -> _Object:
    return {} if found is None else _object(found)


def _text(found: object) -> str:
    """Return a field as Adyen's libraries write it: nothing for null, and a boolean in lower case."""
    if found is None:
        return ""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, int) and -_BIGGEST <= found < _BIGGEST:
        return str(found)
    if isinstance(found, str):
        return found
    raise WebhookRejected("malformed")
