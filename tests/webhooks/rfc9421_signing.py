"""Deliveries with HTTP Message Signatures, as tests want them."""

from __future__ import annotations

from typing import Any

from gatewright.webhooks import Delivery
from gatewright.webhooks.schemes.mac import Mac
from gatewright.webhooks.schemes.rfc9421.components import Message
from gatewright.webhooks.schemes.rfc9421.fields import InnerList, dictionary
from gatewright.webhooks.schemes.rfc9421.scheme import (
    HttpMessageSignatures,
    http_message_signatures,
)
from tests.webhooks.kit import NOW, headers_of
from tests.webhooks.rfc9421_examples import KEYS, SHARED

__all__ = ["BODY", "HMAC", "SHA256", "URL", "both", "policy", "sent", "signed", "with_headers"]

URL = "https://api.example.com/hooks?a=1"
BODY = b'{"hello": "world"}'
SHA256 = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
HMAC = http_message_signatures(algorithm="hmac-sha256", key_id="k1", tag="webhook")


def sent(scheme: HttpMessageSignatures = HMAC, body: bytes = BODY, now: float = NOW, url: str = URL) -> Delivery:
    """Return what a sender delivers that signs what *scheme* wants."""
    return scheme.sign(body, KEYS[scheme.algorithm][1], now, url=url)


def signed(parameters: str, key: bytes = SHARED, **headers: str) -> Delivery:
    """Return BODY with an HMAC signature that has *parameters*, components and all, and some headers more."""
    given = {"content-digest": SHA256} | {name.replace("_", "-"): value for name, value in headers.items()}
    member = dictionary(f"a={parameters}".encode())["a"]
    assert isinstance(member, InnerList)
    base = Message(Delivery.of(BODY, given, url=URL)).base(member)
    signature = Mac("sha256", "base64").sign(key, base).decode()
    fields = {"signature-input": f"sig1={parameters}", "signature": f"sig1=:{signature}:"}
    return Delivery.of(BODY, given | fields, url=URL)


def policy(**options: Any) -> HttpMessageSignatures:
    """Return a scheme that wants nothing but the body, unless *options* say otherwise."""
    return http_message_signatures(algorithm="hmac-sha256", **{"components": (), **options})


def with_headers(delivery: Delivery, **headers: str) -> Delivery:
    """Return *delivery* with other headers."""
    changed = headers_of(delivery) | {name.replace("_", "-"): value for name, value in headers.items()}
    return Delivery.of(delivery.body, changed, method=delivery.method, url=delivery.url)


def both(first: Delivery, second: Delivery) -> Delivery:
    """Return one delivery with the signatures of two."""
    ours, theirs = headers_of(first), headers_of(second)
    fields = {
        name: f"{ours[name]}, {theirs[name].replace('sig1', 'sig2')}" for name in ("signature-input", "signature")
    }
    return with_headers(first, **fields)
