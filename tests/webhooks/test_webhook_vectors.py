"""The recorded vectors: what official libraries signed, and what a strict verifier says to it."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatewright.webhooks import Delivery, HmacScheme, WebhookRejected, github, stripe

SENDERS: dict[str, Callable[[], HmacScheme]] = {"stripe": stripe, "github": github}
FILE = Path(__file__).parent.parent / "vectors" / "webhooks.json"
VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads(FILE.read_text(encoding="utf-8"))
    if vector["provider"] in SENDERS and vector["class"] in ("must", "policy")
]


def _scheme(vector: dict[str, Any]) -> HmacScheme:
    return stripe(tolerance=vector["tolerance"]) if vector["provider"] == "stripe" else github()


def _delivery(vector: dict[str, Any]) -> Delivery:
    body = vector["body"].encode() if vector["body_encoding"] == "utf8" else b64decode(vector["body"])
    headers = [(name.encode(), _raw(value)) for name, value in vector["headers"].items()]
    return Delivery(body, headers, vector["method"], vector["url"])


def _raw(value: str) -> bytes:
    """Return the bytes of a value that a server decoded as latin-1; other scripts were never on the wire like that."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()


def test_there_are_vectors_for_every_sender() -> None:
    """A sender without a vector is a sender without a proof."""
    assert {vector["provider"] for vector in VECTORS} == set(SENDERS)
    assert len(VECTORS) == 21


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    """Accept what is valid, refuse what is not, and for the recorded reason."""
    scheme, secrets, now = _scheme(vector), vector["secret"], float(vector["now"])
    if vector["valid"]:
        verified = scheme.verify(_delivery(vector), secrets, now=now)
        assert verified.scheme == vector["provider"]
        return
    with pytest.raises(WebhookRejected) as rejected:
        scheme.verify(_delivery(vector), secrets, now=now)
    assert rejected.value.reason == vector["reason"]


def test_github_published_vector_is_what_sign_makes() -> None:
    """docs.github.com, "Testing the webhook payload validation"."""
    expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    signed = github().sign(b"Hello, World!", "It's a Secret to Everybody", now=0)
    assert signed == {"X-Hub-Signature-256": expected}


def test_unsigned_headers_tell_nothing() -> None:
    """Whatever X-GitHub-Delivery and X-GitHub-Event say, replay key and event id are the same."""
    docs, *others = [v for v in VECTORS if v["id"] in ("github-docs", "github-tampered-delivery-header")]
    verified = github().verify(_delivery(docs), docs["secret"], now=0)
    assert verified.event_id is None
    for other in others:
        assert github().verify(_delivery(other), other["secret"], now=0) == verified
