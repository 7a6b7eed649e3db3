"""Senders whose signature stands in the body, and signs only some of it: Mailgun and Adyen."""

from __future__ import annotations

import json
from base64 import b64encode
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, Reply, WebhookRejected, verify_webhook
from gatewright.webhooks.schemes.adyen import adyen
from gatewright.webhooks.schemes.mac import Mac
from gatewright.webhooks.schemes.mailgun import mailgun
from tests.webhooks.kit import NOW, reason_of, recorded

KEY = "key-hawk-test-signing"
HEX = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
OPENED = b'{"event-data":{"event":"opened","id":"Ase7"}}'
ITEM: dict[str, Any] = {
    "pspReference": "7914073381342284",
    "originalReference": "",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "amount": {"value": 1130, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


async def endpoint() -> None:
    """Handle a delivery."""


def mail(**changes: object) -> Delivery:
    """Return what Mailgun would deliver, with the members of its signature changed; ... takes one out."""
    said = json.loads(mailgun().sign(OPENED, KEY, NOW).body)
    said["signature"] = {k: v for k, v in (said["signature"] | changes).items() if v is not ...}
    return Delivery(json.dumps(said).encode())


def payments(*items: dict[str, Any]) -> bytes:
    """Return a body of Adyen's that nobody has signed."""
    wrapped = [{"NotificationRequestItem": item} for item in items]
    return json.dumps({"live": "false", "notificationItems": wrapped}).encode()


def paid(*items: dict[str, Any]) -> Delivery:
    """Return what Adyen would deliver."""
    return adyen().sign(payments(*items), HEX, NOW)


def items_of(delivery: Delivery) -> list[dict[str, Any]]:
    """Return the items that Adyen delivers."""
    return [item["NotificationRequestItem"] for item in json.loads(delivery.body)["notificationItems"]]


@given(now=st.floats(1, 4e9), data=json_values, token=st.text(max_size=60))
def test_what_mailgun_signs_verifies(now: float, data: Any, token: str) -> None:
    """sign and verify are one description read in two directions; whatever else is in the body stays there."""
    body = json.dumps({"event-data": data, "signature": "replaced"}).encode()
    delivery = mailgun().sign(body, KEY, now, event_id=token)
    verified = mailgun().verify(delivery, KEY, now)
    assert verified.covers == {"timestamp", "id"}
    assert verified.event_id is not None
    assert verified.event_id.startswith(str(int(now)))
    assert verified.event_id.endswith(token)
    assert json.loads(delivery.body)["event-data"] == data


@given(
    body=st.binary(max_size=60)
    | st.from_regex(rb'\{"signature":\{"(signature|timestamp|token)":.{0,20}\}\}')
    | st.builds(lambda said: json.dumps({"signature": said}).encode(), json_values)
    | st.builds(
        lambda a, b, c: json.dumps({"signature": {"signature": a, "timestamp": b, "token": c}}).encode(),
        json_values,
        json_values,
        json_values,
    ),
    now=st.floats(),
)
def test_verifying_mailgun_is_total(body: bytes, now: float) -> None:
    """For any body and any clock, the only exception is WebhookRejected."""
    with pytest.raises(WebhookRejected):
        mailgun().verify(Delivery(body), [KEY, ""], now)


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (Delivery(b"{}"), "signature_missing"),
        (Delivery(b'{"signature":null}'), "signature_missing"),
        (Delivery(b'{"signature":[]}'), "malformed"),
        (Delivery(b'{"signature":"00"}'), "malformed"),
        (Delivery(b"[]"), "malformed"),
        (Delivery(b""), "malformed"),
        (Delivery(b"signature=00&timestamp=1"), "malformed"),
        (Delivery(b'{"signature":{"signature":"\\ud800"}}'), "malformed"),
        (Delivery(b"[" * 100_000), "malformed"),
        (mail(signature=...), "signature_missing"),
        (mail(timestamp=...), "timestamp_missing"),
        (mail(token=...), "malformed"),
        (mail(signature=None), "malformed"),
        (mail(timestamp=1_760_000_000), "malformed"),
        (mail(timestamp=True), "malformed"),
        (mail(timestamp="1760000000.0"), "malformed"),
        (mail(timestamp="١٧٦٠٠٠٠٠٠٠"), "malformed"),
        (mail(timestamp="9" * 400), "malformed"),
        (mail(token=["x"]), "malformed"),
        (mail(**{"parent-signature": 7}), "malformed"),
        (mail(signature="é"), "signature_mismatch"),
        (mail(signature=""), "signature_mismatch"),
        (mail(timestamp="1760000001"), "signature_mismatch"),
        (mail(token="another"), "signature_mismatch"),
    ],
)
def test_mailgun_members_are_of_any_type_that_a_stranger_likes(delivery: Delivery, reason: str) -> None:
    """Each is refused for its own reason, and none raises."""
    assert reason_of(mailgun(), delivery, KEY) == reason


def test_mailgun_does_not_sign_the_event() -> None:
    """Any event passes beside a signature that was seen once: the guard wants that to be said."""
    good = mail()
    forged = Delivery(good.body.replace(b"opened", b"complained"))
    assert forged.body != good.body
    assert mailgun().verify(forged, KEY, NOW) == mailgun().verify(good, KEY, NOW)
    with pytest.raises(ConfigurationError, match="allow_unsigned_body=True"):
        verify_webhook(mailgun(), secrets=KEY)
    assert verify_webhook(mailgun(), secrets=KEY, allow_unsigned_body=True)(endpoint)


def test_mailgun_token_cache_is_bypassed_by_a_digit_that_moved() -> None:
    """timestamp + token may be split anew: id and replay key are of both together, so that they stay the same."""
    good = mail(timestamp="1760000000", token="7" * 50, signature=Mac().sign(KEY, b"1760000000" + b"7" * 50).decode())
    moved = Delivery(good.body.replace(b'"1760000000"', b'"176000000"').replace(b'"' + b"7" * 50, b'"0' + b"7" * 50))
    first, second = (mailgun(tolerance=None).verify(delivery, KEY, NOW) for delivery in (good, moved))
    assert first.signed_at != second.signed_at
    assert (first.replay_key, first.event_id) == (second.replay_key, second.event_id)
    assert reason_of(mailgun(), moved, KEY) == "timestamp_expired"


def test_mailgun_is_fresh_for_a_day() -> None:
    """It tries again for eight hours with the same time, so five minutes would refuse what is its own."""
    assert mailgun().verify(mail(), KEY, NOW + 86_400).signed_at is not None
    assert reason_of(mailgun(), mail(), KEY, NOW + 86_401) == "timestamp_expired"
    assert reason_of(mailgun(), mail(), KEY, NOW - 86_401) == "timestamp_future"
    assert mailgun(tolerance=None).verify(mail(), KEY, NOW + 1e9).event_id is not None
    for tolerance in (0, -1, float("nan")):
        with pytest.raises(ConfigurationError, match="write seconds"):
            mailgun(tolerance=tolerance)


def test_mailgun_signs_a_subaccounts_events_for_its_parent_too() -> None:
    """parent-signature is of the same time and token, with the key of the account above."""
    good = json.loads(mail().body)["signature"]
    parents = Mac().sign("parent-key", (good["timestamp"] + good["token"]).encode()).decode()
    delivery = mail(**{"parent-signature": parents})
    assert mailgun().verify(delivery, "parent-key", NOW) == mailgun().verify(mail(), KEY, NOW)
    assert reason_of(mailgun(), mail(), "parent-key") == "signature_mismatch"


def test_mailgun_recorded_and_signed_again() -> None:
    """What is recorded comes out of sign, byte for byte where it counts."""
    found = recorded("mailgun-ok")
    said = json.loads(found.delivery.body)
    body = json.dumps({"event-data": said["event-data"]}).encode()
    signed = mailgun().sign(body, found.secret, found.now, event_id=said["signature"]["token"])
    assert json.loads(signed.body) == said
    for no_object in (b"", b"[]", b"\xff"):
        with pytest.raises(ConfigurationError, match="a JSON object"):
            mailgun().sign(no_object, KEY, NOW)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "amount": st.fixed_dictionaries(
                    {"value": st.integers(-(2**63), 2**63 - 1), "currency": st.text(max_size=3)}
                )
            },
            optional={name: st.text(max_size=20) for name in ITEM if name != "amount"},
        ),
        min_size=1,
        max_size=16,
    )
)
def test_what_adyen_signs_verifies(items: list[dict[str, Any]]) -> None:
    """sign and verify are one description read in two directions, for up to sixteen items."""
    verified = adyen().verify(paid(*items), HEX, NOW)
    assert (verified.covers, verified.signed_at, verified.event_id) == (frozenset(), None, None)


@given(
    body=st.binary(max_size=60)
    | st.builds(lambda items: json.dumps({"notificationItems": items}).encode(), json_values)
    | st.builds(
        lambda name, value, data: payments(ITEM | {"additionalData": data, name: value}),
        st.sampled_from([*ITEM]),
        json_values,
        json_values | st.builds(lambda signature: {"hmacSignature": signature}, json_values),
    ),
    now=st.floats(),
)
def test_verifying_adyen_is_total(body: bytes, now: float) -> None:
    """For any body and any clock, the only exception is WebhookRejected."""
    with pytest.raises(WebhookRejected):
        adyen().verify(Delivery(body), [HEX, "", "no hex"], now)


def altered(**changes: object) -> Delivery:
    """Return a delivery of Adyen's with members of its item changed after it was signed; ... takes one out."""
    item = items_of(paid(ITEM))[0] | changes
    return Delivery(payments({name: value for name, value in item.items() if value is not ...}))


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (Delivery(b""), "malformed"),
        (Delivery(b"[]"), "malformed"),
        (Delivery(b"{}"), "malformed"),
        (Delivery(b'{"notificationItems":[]}'), "malformed"),
        (Delivery(b'{"notificationItems":{}}'), "malformed"),
        (Delivery(b'{"notificationItems":[7]}'), "malformed"),
        (Delivery(b'{"notificationItems":[{}]}'), "malformed"),
        (Delivery(b'{"notificationItems":[{"NotificationRequestItem":[]}]}'), "malformed"),
        (Delivery(payments({})), "signature_missing"),
        (Delivery(payments(*[items_of(paid(ITEM))[0]] * 17)), "malformed"),
        (altered(additionalData=...), "signature_missing"),
        (altered(additionalData=None), "signature_missing"),
        (altered(additionalData={}), "signature_missing"),
        (altered(additionalData={"hmacSignature": None}), "signature_missing"),
        (altered(additionalData={"hmacSignature": ""}), "signature_missing"),
        (altered(additionalData={"hmacSignature": 7}), "malformed"),
        (altered(additionalData=[]), "malformed"),
        (altered(additionalData={"hmacSignature": "é"}), "signature_mismatch"),
        (altered(additionalData={"hmacSignature": b64encode(bytes(32)).decode()}), "signature_mismatch"),
        (altered(pspReference="another"), "signature_mismatch"),
        (altered(originalReference="another"), "signature_mismatch"),
        (altered(merchantAccountCode=None), "signature_mismatch"),
        (altered(merchantReference=...), "signature_mismatch"),
        (altered(amount={"value": 1, "currency": "EUR"}), "signature_mismatch"),
        (altered(amount={"value": 1130, "currency": "USD"}), "signature_mismatch"),
        (altered(amount=None), "signature_mismatch"),
        (altered(amount=...), "signature_mismatch"),
        (altered(eventCode="REFUND"), "signature_mismatch"),
        (altered(success="false"), "signature_mismatch"),
        (altered(success=False), "signature_mismatch"),
        (altered(success=["true"]), "malformed"),
        (altered(pspReference={}), "malformed"),
        (altered(amount=[]), "malformed"),
        (altered(amount=False), "malformed"),
        (altered(amount={"value": 1130.0, "currency": "EUR"}), "malformed"),
        (altered(amount={"value": 2**63, "currency": "EUR"}), "malformed"),
        (Delivery(paid(ITEM).body.replace(b"1130", b"9" * 5000)), "malformed"),
        (Delivery(paid(ITEM).body.replace(b"1130", b"9" * 4000)), "malformed"),
    ],
)
def test_adyen_fields_are_signed_and_of_their_type(delivery: Delivery, reason: str) -> None:
    """Each of the eight fields counts; what is of another type is refused before anybody writes it out."""
    assert reason_of(adyen(), delivery, HEX) == reason


def test_adyen_signs_eight_fields_and_nothing_else() -> None:
    """Whatever else stands in an item or around it is anybody's: the guard wants that to be said."""
    good = adyen().verify(paid(ITEM), HEX, NOW)
    unsigned = altered(reason="forged", eventDate="2030-01-01", paymentMethod="cash")
    assert adyen().verify(Delivery(unsigned.body.replace(b'"false"', b'"true"', 1)), HEX, NOW) == good
    with pytest.raises(ConfigurationError, match="allow_unsigned_body=True"):
        verify_webhook(adyen(), secrets=HEX)
    assert verify_webhook(adyen(), secrets=HEX, allow_unsigned_body=True)(endpoint)


def test_adyens_library_looks_at_the_first_item_only() -> None:
    """A good item vouches for no other: each is verified, wherever it stands."""
    first, second = items_of(paid(ITEM, ITEM | {"pspReference": "2"}))
    forged = deepcopy(second) | {"amount": {"value": 1, "currency": "EUR"}}
    adyen().verify(Delivery(payments(first, second)), HEX, NOW)
    for items in ([first, forged], [forged, first], [first, second, forged]):
        assert reason_of(adyen(), Delivery(payments(*items)), HEX) == "signature_mismatch"
    swapped = [
        first | {"additionalData": second["additionalData"]},
        second | {"additionalData": first["additionalData"]},
    ]
    assert reason_of(adyen(), Delivery(payments(*swapped)), HEX) == "signature_mismatch"
    unsigned = Delivery(payments(first, {**second, "additionalData": {}}))
    assert reason_of(adyen(), unsigned, HEX) == "signature_missing"


def test_adyen_items_are_signed_with_one_key() -> None:
    """While the key is rolled a delivery is of the old one or the new one, and not some items of each."""
    other = "00" * 31 + "01"
    first, second = items_of(paid(ITEM))[0], items_of(adyen().sign(payments(ITEM), other, NOW))[0]
    assert adyen().verify(Delivery(payments(second)), [HEX, other], NOW).key_index == 1
    assert reason_of(adyen(), Delivery(payments(first, second)), [HEX, other]) == "signature_mismatch"


def test_adyen_items_in_another_order_are_the_same_delivery() -> None:
    """Each is signed alone, so anybody can shuffle and repeat them: the replay key is of what they are."""
    first, second = items_of(paid(ITEM, ITEM | {"pspReference": "2"}))
    orders = ([first, second], [second, first], [second, first, first])
    keys = {adyen().verify(Delivery(payments(*items)), HEX, NOW).replay_key for items in orders}
    assert len(keys) == 1
    alone = {adyen().verify(Delivery(payments(item)), HEX, NOW).replay_key for item in (first, second)}
    assert len(alone | keys) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "791:::ref:1130:EUR:AUTHORISATION:true"),
        ({"originalReference": None, "success": True}, "791:::ref:1130:EUR:AUTHORISATION:true"),
        ({"merchantAccountCode": "a:b\\c", "success": False}, "791::a:b\\c:ref:1130:EUR:AUTHORISATION:false"),
        ({"amount": None, "eventCode": "é"}, "791:::ref:::é:true"),
        ({"amount": {"value": -5}, "success": ""}, "791:::ref:-5::AUTHORISATION:"),
        ({"amount": {"value": "10", "currency": None}}, "791:::ref:10::AUTHORISATION:true"),
    ],
)
def test_adyen_joins_fields_as_its_libraries_do(changes: dict[str, Any], message: str) -> None:
    """Nothing for null and for what is missing, booleans in lower case, and no colon is escaped."""
    base = {"pspReference": "791", "merchantReference": "ref", "amount": {"value": 1130, "currency": "EUR"}}
    item = base | {"eventCode": "AUTHORISATION", "success": "true"} | changes
    expected = Mac("sha256", "base64", lambda secret: bytes.fromhex(str(secret))).sign(HEX, message.encode()).decode()
    assert items_of(paid(item))[0]["additionalData"] == {"hmacSignature": expected}


def test_adyen_recorded_and_signed_again() -> None:
    """What Adyen's library signed comes out of sign; other additionalData stays."""
    found = recorded("adyen-ok")
    (item,) = items_of(found.delivery)
    signature = item.pop("additionalData")
    assert items_of(paid(item | {"additionalData": {"a": "b"}}))[0]["additionalData"] == {"a": "b"} | signature
    for body in (b"", b"{}", payments({"pspReference": []}), payments({"additionalData": 7})):
        with pytest.raises(ConfigurationError, match="notificationItems"):
            adyen().sign(body, HEX, NOW)


@pytest.mark.parametrize("secret", ["no hex", HEX[:-1], f"{HEX[:10]} {HEX[10:]}", "é" * 64])
def test_an_adyen_key_is_hex(secret: str) -> None:
    """bytes.fromhex would look over spaces; what is no key is said when decorated, and verifies nothing."""
    with pytest.raises(ConfigurationError, match="is hex"):
        adyen().check(secret)
    assert reason_of(adyen(), paid(ITEM), [secret]) == "no_secret"
    adyen().check(HEX.lower())


def test_adyen_wants_to_read_accepted() -> None:
    """Whatever else it reads, it tries again."""
    assert adyen().received == Reply(b"[accepted]", "text/plain")


def test_what_a_sender_looks_like_in_a_log() -> None:
    """A repr is short and stable."""
    assert (repr(mailgun()), repr(mailgun(tolerance=None))) == ("mailgun(tolerance=86400)", "mailgun(tolerance=None)")
    assert repr(adyen()) == "adyen()"
    assert adyen() == adyen()
    assert hash(mailgun()) == hash(mailgun())
    assert (mailgun().event_type, adyen().event_type) == (("event-data", "event"), None)
    assert mailgun().algorithms
    assert adyen().algorithms
