"""What is sent: bytes that stay the same, under an id that nobody can misread, with every signature that is wanted."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan
from typing import Annotated, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, Field

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Delivery, Scheme, WebhookRejected
from gatewright.webhooks.schemes.elements import Elements
from gatewright.webhooks.schemes.mailgun import mailgun
from gatewright.webhooks.schemes.senders import github, hmac_scheme
from gatewright.webhooks.schemes.standard import standard_webhooks, svix
from gatewright.webhooks.sending.message import (
    check_event_id,
    event_body,
    new_event_id,
    new_webhook_secret,
    sign_with_each,
)
from tests.webhooks.kit import headers_of
from tests.webhooks.sending.receivers import SECRET, counting

NOW = 1_800_000_000.0
OLD = "whsec_" + "b2xkIG9u" * 4


class Paid(BaseModel):
    """An event as a model."""

    amount: Annotated[int, Field(alias="amountInCents")]
    at: datetime


@dataclass
class Voided:
    """An event as a dataclass."""

    number: str


@pytest.mark.parametrize(
    ("event", "body"),
    [
        (b"\xff raw", b"\xff raw"),
        ({"a": [1, "\u00e9"]}, b'{"a":[1,"\xc3\xa9"]}'),
        (
            Paid(amountInCents=5, at=datetime(2027, 1, 1, tzinfo=UTC)),
            b'{"amountInCents":5,"at":"2027-01-01T00:00:00Z"}',
        ),
        ([Voided("1")], b'[{"number":"1"}]'),
        ({"x": nan}, b'{"x":null}'),
        (None, b"null"),
    ],
)
def test_an_event_is_written_as_json(event: object, body: bytes) -> None:
    """Bytes as they are, anything else as pydantic writes it, by its aliases; never what JSON has no word for."""
    assert event_body(event) == body


@pytest.mark.parametrize("event", ['{"already": "JSON"}', object(), {"x": object()}, {"x": "\ud800"}])
def test_what_is_no_event_is_refused(event: object) -> None:
    """Text would be written as JSON twice, and other things not at all: the developer is told."""
    with pytest.raises(ConfigurationError, match="event"):
        event_body(event)


def test_an_id_is_made_of_random_bytes() -> None:
    """128 bits in the way of Standard Webhooks; the same bytes, the same id."""
    assert new_event_id(counting) == "msg_000102030405060708090a0b0c0d0e0f"
    assert check_event_id(new_event_id(counting)) == new_event_id(counting)


def test_a_secret_is_made_of_random_bytes() -> None:
    """256 bits, as the scheme takes them."""
    secret = new_webhook_secret(counting)
    assert b64decode(secret.removeprefix("whsec_")) == bytes(range(32))
    standard_webhooks().check(secret)
    assert new_webhook_secret() != new_webhook_secret()


@pytest.mark.parametrize("event_id", ["", "a.b", "a b", "a\n", "\u00e9", "x" * 257, "a\r\nb"])
def test_an_id_that_can_be_misread_is_refused(event_id: str) -> None:
    """A full stop would let a part of the id pass for the time, and a line break for a header."""
    with pytest.raises(ConfigurationError, match="event_id"):
        check_event_id(event_id)


def signed(scheme: Scheme, secrets: str | Sequence[str], body: bytes = b"{}") -> dict[str, str]:
    """Return the headers of a delivery."""
    return headers_of(sign_with_each(scheme, body, secrets, NOW, url="https://example.com/", event_id="msg_1"))


def test_one_secret_signs_as_the_scheme_does() -> None:
    """A list of one is the same as the one."""
    assert signed(standard_webhooks(), SECRET) == signed(standard_webhooks(), [SECRET])
    assert signed(standard_webhooks(), SECRET)["webhook-id"] == "msg_1"


OWN = hmac_scheme("X-Acme", elements=Elements(signature="v1", timestamp="t"), template="{timestamp}.{body}")


@pytest.mark.parametrize("scheme", [standard_webhooks(), svix(), OWN])
def test_while_secrets_are_rolled_each_of_them_signs(scheme: Scheme) -> None:
    """A receiver that holds either of them verifies, and one that holds another does not."""
    delivery = sign_with_each(scheme, b"{}", [SECRET, OLD, SECRET], NOW, url="", event_id="msg_1")
    for secret in (SECRET, OLD):
        assert scheme.verify(delivery, secret, NOW).key_index == 0
    with pytest.raises(WebhookRejected, match="signature_mismatch"):
        scheme.verify(delivery, "whsec_" + "bmVpdGhl" * 4, NOW)


def test_the_newest_secret_signs_first_and_each_signs_once() -> None:
    """Receivers that look at one signature only look at the first."""
    one, other = (signed(standard_webhooks(), secret)["webhook-signature"] for secret in (SECRET, OLD))
    assert signed(standard_webhooks(), [SECRET, OLD, SECRET])["webhook-signature"] == f"{one} {other}"
    time, newest = signed(OWN, SECRET)["x-acme"].split(",")
    assert signed(OWN, [SECRET, OLD])["x-acme"].startswith(f"{time},{newest},v1=")


def test_a_shared_secret_and_a_key_pair_sign_together() -> None:
    """A receiver may hold either: v1 and v1a stand in one header."""
    private, public = _key_pair()
    delivery = sign_with_each(standard_webhooks(), b"{}", [SECRET, private], NOW, url="", event_id="msg_1")
    for secret in (SECRET, public):
        assert standard_webhooks().verify(delivery, secret, NOW).event_id == "msg_1"


def _key_pair() -> tuple[str, str]:
    key = Ed25519PrivateKey.from_private_bytes(counting(32))
    raw = (key.private_bytes_raw(), key.public_key().public_bytes_raw())
    private, public = (b64encode(one).decode() for one in raw)
    return f"whsk_{private}", f"whpk_{public}"


@pytest.mark.parametrize("scheme", [github(), hmac_scheme("X-Acme"), mailgun()])
def test_a_scheme_with_room_for_one_signature_takes_one_secret(scheme: Scheme) -> None:
    """Two signatures in a header, or in a body, that holds one would verify nowhere."""
    body = json.dumps({"event-data": {}}).encode()
    signed(scheme, ["one"], body)
    with pytest.raises(ConfigurationError, match="newest"):
        signed(scheme, ["one", "two"], body)


@pytest.mark.parametrize("secrets", [[], (), None])
def test_without_a_secret_nothing_is_signed(secrets: Any) -> None:
    """A delivery that nobody can verify is not sent."""
    with pytest.raises(ConfigurationError, match="no secret"):
        signed(standard_webhooks(), secrets)


@pytest.mark.parametrize("secret", ["", " ", "whpk_" + "c2Vj" * 8, "whsec_?"])
def test_a_secret_that_cannot_sign_is_refused(secret: str) -> None:
    """The scheme says which it takes; it is refused among others, too."""
    for secrets in (secret, [SECRET, secret]):
        with pytest.raises(ConfigurationError):
            signed(standard_webhooks(), secrets)


class _Changing:
    """A scheme whose headers depend on the secret."""

    name = "changing"

    def sign(self, body: bytes, secret: str, now: float, **_: Any) -> Delivery:
        return Delivery.of(body, {f"x-{secret}": "1"})


def test_headers_of_different_names_are_not_merged() -> None:
    """Another shape for another secret is no list of signatures."""
    scheme: Any = _Changing()
    with pytest.raises(ConfigurationError, match="newest"):
        signed(scheme, ["one", "two"])
