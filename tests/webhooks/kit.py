"""What several tests of webhooks need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from gatewright.webhooks import Delivery, Scheme, WebhookRejected
from gatewright.webhooks.secret import Secrets

__all__ = ["NOW", "Recorded", "headers_of", "reason_of", "recorded"]

NOW = 1_760_000_000.0


def headers_of(delivery: Delivery) -> dict[str, str]:
    """Return a delivery's headers as text, by name in lower case."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in delivery.headers}


def reason_of(scheme: Scheme, delivery: Delivery, secrets: Secrets, now: float = NOW) -> str:
    """Return why *delivery* is refused."""
    with pytest.raises(WebhookRejected) as rejected:
        scheme.verify(delivery, secrets, now)
    return rejected.value.reason


@dataclass(frozen=True)
class Recorded:
    """A delivery as its sender's own library, or its documentation, has it."""

    delivery: Delivery
    secret: str
    now: float


def recorded(name: str) -> Recorded:
    """Return the recorded vector of that name."""
    path = Path(__file__).parent.parent / "vectors" / "webhooks.json"
    (found,) = [vector for vector in json.loads(path.read_text(encoding="utf-8")) if vector["id"] == name]
    delivery = Delivery.of(found["body"].encode(), found["headers"], method=found["method"], url=found["url"])
    return Recorded(delivery, found["secret"], found["now"])
