"""Amazon SNS: which members are signed, whose topics count, and which addresses are visited."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gatewright import ConfigurationError, Gate
from gatewright.testing import EventList, FrozenClock, call, signed
from gatewright.webhooks import Delivery, Event, Verified, WebhookRejected, verify_webhook
from gatewright.webhooks.schemes.certificate import Rsa
from gatewright.webhooks.schemes.sns import ANY_TOPIC, AwsSns, aws_sns
from tests.webhooks.certs import CERTIFICATE, KEY, NOW, OTHER_CERTIFICATE, OTHER_KEY
from tests.webhooks.kit import headers_of

FILE = Path(__file__).parent.parent / "vectors" / "webhooks.json"
VECTORS: list[dict[str, Any]] = [
    vector for vector in json.loads(FILE.read_text(encoding="utf-8")) if vector["provider"] == "aws_sns"
]
TOPIC = "arn:aws:sns:us-east-1:123456789012:MyTopic"
OTHER_TOPIC = "arn:aws:sns:us-east-1:999999999999:MyTopic"
SCHEME, ANY = aws_sns(TOPIC), aws_sns(ANY_TOPIC)
HOST = "https://sns.us-east-1.amazonaws.com"
PEM = f"{HOST}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
HOUR = 3600


def members(kind: str = "Notification", /, **changes: Any) -> dict[str, Any]:
    """Return the members of a signed message, with some added or changed before it was signed."""
    body = json.dumps({"Type": kind, **changes}).encode()
    return json.loads(SCHEME.sign(body, KEY, NOW).body)


def delivery_of(message: dict[str, Any], /, **changes: Any) -> Delivery:
    """Return a delivery of a message with members changed, or left out where they are `...`."""
    changed = {**message, **changes}
    return Delivery(json.dumps({name: value for name, value in changed.items() if value is not ...}).encode())


def reason(delivery: Delivery, scheme: AwsSns = SCHEME, now: float = NOW) -> str:
    """Return why a delivery is refused."""
    with pytest.raises(WebhookRejected) as rejected:
        scheme.verify(delivery, CERTIFICATE, now)
    return rejected.value.reason


def by_hand(string: str, version: Literal["1", "2"] = "2", **changes: Any) -> dict[str, Any]:
    """Return the members that go with a signature of *string*."""
    signature = Rsa("sha256" if version == "2" else "sha1").sign(KEY, string.encode()).decode()
    return {"SignatureVersion": version, "Signature": signature, "SigningCertURL": PEM, **changes}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    """Accept what is valid, refuse what is not, and for the recorded reason."""
    scheme = aws_sns(ANY_TOPIC, tolerance=vector["tolerance"])
    delivery = Delivery.of(vector["body"].encode(), vector["headers"], method=vector["method"], url=vector["url"])
    if vector["valid"]:
        assert scheme.verify(delivery, vector["secret"], vector["now"]).scheme == "aws_sns"
        return
    with pytest.raises(WebhookRejected) as rejected:
        scheme.verify(delivery, vector["secret"], vector["now"])
    assert rejected.value.reason == vector["reason"]


def test_there_are_vectors() -> None:
    """A sender without a vector is a sender without a proof."""
    assert len(VECTORS) >= 3


def test_what_is_signed_is_verified() -> None:
    """The id is the message's, the time is signed, and so is all of the body that a handler looks at."""
    verified = SCHEME.verify(delivery_of(members(MessageId="22b80b92")), [OTHER_CERTIFICATE, CERTIFICATE], NOW)
    assert (verified.scheme, verified.key_index, verified.event_id) == ("aws_sns", 1, "22b80b92")
    assert verified.signed_at is not None and verified.signed_at.timestamp() == NOW
    assert verified.covers == {"body", "id", "timestamp"}


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_string_to_sign_is_the_one_of_the_documentation(version: Literal["1", "2"]) -> None:
    """Names and values by turns, in the order of the alphabet; a subject where there is one; each with a line break."""
    time = "2025-10-09T08:53:20.000Z"
    plain = {"Message": "grüße\nzwei", "MessageId": "m", "Timestamp": time, "TopicArn": TOPIC, "Type": "Notification"}
    string = f"Message\ngrüße\nzwei\nMessageId\nm\nTimestamp\n{time}\nTopicArn\n{TOPIC}\nType\nNotification\n"
    SCHEME.verify(delivery_of({**plain, **by_hand(string, version)}), CERTIFICATE, NOW)
    titled = string.replace("Timestamp\n", "Subject\nmy subject\nTimestamp\n")
    SCHEME.verify(delivery_of({**plain, "Subject": "my subject", **by_hand(titled, version)}), CERTIFICATE, NOW)
    for kind in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        string = (
            f"Message\nhi\nMessageId\nm\nSubscribeURL\n{HOST}/?a=b\nTimestamp\n{time}\nToken\nt\n"
            f"TopicArn\n{TOPIC}\nType\n{kind}\n"
        )
        asked = {**plain, "Message": "hi", "Token": "t", "SubscribeURL": f"{HOST}/?a=b", "Type": kind}
        SCHEME.verify(delivery_of({**asked, **by_hand(string, version)}), CERTIFICATE, NOW)


@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"])
def test_each_member_of_a_notification_is_signed(name: str) -> None:
    """Another value, and it is another message."""
    message = members(Subject="my subject")
    others = {"Timestamp": "2025-10-09T08:53:20Z", "TopicArn": OTHER_TOPIC, "Type": "UnsubscribeConfirmation"}
    changed = delivery_of(message, **{name: others.get(name, message[name] + ".")})
    expected = {"TopicArn": "not_for_us", "Type": "malformed"}
    assert reason(changed) == expected.get(name, "signature_mismatch")
    assert reason(changed, ANY) == expected.get(name if name == "Type" else "", "signature_mismatch")


@pytest.mark.parametrize("name", ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token"])
def test_each_member_of_a_confirmation_is_signed(name: str) -> None:
    """The address above all: whoever could change it would have us visit his."""
    message = members("SubscriptionConfirmation")
    others = {"Timestamp": "2025-10-09T08:53:20Z", "SubscribeURL": f"{HOST}/?Action=DeleteTopic"}
    assert reason(delivery_of(message, **{name: others.get(name, message[name] + ".")})) == "signature_mismatch"
    assert reason(delivery_of(message, Type="UnsubscribeConfirmation")) == "signature_mismatch"


def test_a_subject_is_there_or_not() -> None:
    """One that is added or taken out breaks the signature; null, as AWS's validator has it, is no subject."""
    assert reason(delivery_of(members(), Subject="")) == "signature_mismatch"
    assert reason(delivery_of(members(Subject="s"), Subject=...)) == "signature_mismatch"
    assert reason(delivery_of(members(Subject="s"), Subject=None)) == "signature_mismatch"
    SCHEME.verify(delivery_of(members(), Subject=None), CERTIFICATE, NOW)
    SCHEME.verify(delivery_of(members(Subject="")), CERTIFICATE, NOW)


def test_one_string_is_one_message() -> None:
    """Values have lines of their own, so a line break in one would let a message pass for another: none but the
    message itself may have one, and from the end each string then reads in one way."""
    message = members(Message="a\nMessageId\nb")
    string_of_both = {**message, "Message": "a", "MessageId": f"b\nMessageId\n{message['MessageId']}"}
    assert reason(delivery_of(string_of_both)) == "malformed"
    for name in ("MessageId", "Subject", "Timestamp", "TopicArn"):
        assert reason(delivery_of(members(Subject="s"), **{name: "a\nb"}), ANY) == "malformed"
    for name in ("Token", "SubscribeURL"):
        assert reason(delivery_of(members("SubscriptionConfirmation"), **{name: "a\nb"})) == "malformed"


@pytest.mark.parametrize(
    "name", ["Message", "MessageId", "TopicArn", "Type", "SignatureVersion", "SigningCertURL", "Signature", "Timestamp"]
)
def test_members_that_are_missing_or_no_text_are_malformed(name: str) -> None:
    """A number that looks like one is none; what was never signed, and has no time, has a reason of its own."""
    absent = {"Signature": "signature_missing", "Timestamp": "timestamp_missing"}.get(name, "malformed")
    assert reason(delivery_of(members(), **{name: ...})) == absent
    for value in (None, 1, 1.5, True, [], {}, ["Notification"]):
        assert reason(delivery_of(members(), **{name: value})) == "malformed"


@pytest.mark.parametrize("name", ["SubscribeURL", "Token"])
def test_a_confirmation_has_all_its_members(name: str) -> None:
    """An address that is not signed is not visited."""
    assert reason(delivery_of(members("SubscriptionConfirmation"), **{name: ...})) == "malformed"


@pytest.mark.parametrize("value", ["a", "", None])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Notification", "SubscribeURL"),
        ("Notification", "Token"),
        ("SubscriptionConfirmation", "Subject"),
    ],
)
def test_members_of_other_messages_are_malformed(kind: str, name: str, value: Any) -> None:
    """A SubscribeURL in a notification is not signed, and handlers were written that visit it: even where unsigned
    members are taken, those that look signed are not."""
    for scheme in (SCHEME, aws_sns(TOPIC, unsigned_members=True)):
        if name == "Subject" and value is None:
            scheme.verify(delivery_of(members(kind), **{name: value}), CERTIFICATE, NOW)
        else:
            assert reason(delivery_of(members(kind), **{name: value}), scheme) == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff",
        b"{}x",
        b'{"a":NaN}',
        b"[" * 100_000,
        b'{"Message":"\\ud800"}',
    ],
)
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    """Raw message delivery, for one, which signs nothing: there is nothing to verify."""
    assert reason(Delivery(body)) == "malformed"


def test_a_message_that_is_not_signed_at_all() -> None:
    """Any JSON that somebody posts."""
    assert reason(Delivery(b"{}")) == "signature_missing"


def test_a_member_that_is_said_twice_is_malformed() -> None:
    """Two parsers could believe two different ones."""
    body = delivery_of(members()).body
    for name in (b"Message", b"SigningCertURL", b"TopicArn"):
        assert reason(Delivery(body[:-1] + b', "%b": "another"}' % name)) == "malformed"


def test_members_that_nobody_signed_are_refused() -> None:
    """MessageAttributes can be changed by whoever has seen a message, and so can what AWS never wrote."""
    attributes = {"role": {"Type": "String", "Value": "admin"}}
    for unsigned in ({"MessageAttributes": attributes}, {"message": "another"}, {"x": 1}, {"x": f"{HOST}/"}):
        assert reason(delivery_of(members(), **unsigned)) == "body_not_signed"


def test_members_that_nobody_signed_may_be_taken() -> None:
    """Then the body does not count as signed, and the guard wants to be told that this is known."""
    scheme = aws_sns(TOPIC, unsigned_members=True)
    delivery = delivery_of(members(), MessageAttributes={}, UnsubscribeURL="https://evil.example/")
    assert scheme.verify(delivery, CERTIFICATE, NOW).covers == {"id", "timestamp"}
    with pytest.raises(ConfigurationError, match=r"does not sign the body.*allow_unsigned_body=True"):
        verify_webhook(scheme, secrets=CERTIFICATE)
    verify_webhook(scheme, secrets=CERTIFICATE, allow_unsigned_body=True)


def test_the_way_out_leads_to_sns() -> None:
    """UnsubscribeURL is in every notification and in no signature: it may be any of SNS's, and nobody else's."""
    for url in (f"{HOST}/?Action=Unsubscribe&SubscriptionArn={TOPIC}:2bcfbf39", f"{HOST}/"):
        SCHEME.verify(delivery_of(members(), UnsubscribeURL=url), CERTIFICATE, NOW)
    for other in ("https://evil.example/", "http://sns.us-east-1.amazonaws.com/", f"{HOST}.evil.example/", 7, None):
        assert reason(delivery_of(members(), UnsubscribeURL=other)) == "body_not_signed"


def test_signatures_of_each_version() -> None:
    """Two is SHA-256 and one is SHA-1, which topics use until they are told otherwise; nothing else is a version."""
    one, two = aws_sns(TOPIC, versions=("1",)), aws_sns(TOPIC, versions=("2",))
    messages = {scheme: scheme.sign(b"hi", KEY, NOW) for scheme in (one, two)}
    for delivery in messages.values():
        SCHEME.verify(delivery, CERTIFICATE, NOW)
    assert reason(messages[one], two) == "no_supported_signature"
    assert reason(messages[two], one) == "no_supported_signature"
    for version in ("0", "3", "", "01", "١", "2 "):
        assert reason(delivery_of(members(), SignatureVersion=version)) == "no_supported_signature"


def test_a_version_is_no_downgrade() -> None:
    """A signature of one version is none of the other."""
    assert reason(delivery_of(members(), SignatureVersion="1")) == "signature_mismatch"
    weak = json.loads(aws_sns(TOPIC, versions=("1",)).sign(b"hi", KEY, NOW).body)
    assert reason(delivery_of(weak, SignatureVersion="2")) == "signature_mismatch"


@pytest.mark.parametrize("signature", ["not base64", "AA", "AAB=", "AAAA\n", "é", "=" * 10_000])
def test_a_signature_is_canonical_base64(signature: str) -> None:
    """What is not is malformed, and nothing is fetched for it."""
    delivery = delivery_of(members(), Signature=signature)
    assert reason(delivery) == "malformed"
    with pytest.raises(WebhookRejected, match="malformed"):
        SCHEME.certificate_url(delivery)


def test_a_signature_by_another_key_is_none() -> None:
    """Whatever certificate it names; and an empty one is none either."""
    assert reason(SCHEME.sign(b"hi", OTHER_KEY, NOW)) == "signature_mismatch"
    assert reason(delivery_of(members(), Signature="")) == "signature_mismatch"


GOOD = [
    PEM,
    f"{HOST}/SimpleNotificationService.pem",
    "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem",
    "https://sns.us-gov-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
    "https://sns.ap-southeast-2.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
    "https://sns.cn-northwest-1.amazonaws.com.cn/SimpleNotificationService-0123456789abcdef.pem",
]
PATH = "/SimpleNotificationService-0123456789abcdef.pem"
EVIL = [
    f"https://evil.example{PATH}",
    f"{HOST}.evil.example{PATH}",
    f"https://evil.example/sns.us-east-1.amazonaws.com{PATH}",
    f"https://evil.example?{HOST}{PATH}",
    f"https://evil.example#sns.us-east-1.amazonaws.com{PATH}",
    f"https://sns.us-east-1.amazonaws.com@evil.example{PATH}",
    f"https://evil.example\\@sns.us-east-1.amazonaws.com{PATH}",
    f"https://evil.sns.us-east-1.amazonaws.com{PATH}",
    f"https://evilsns.us-east-1.amazonaws.com{PATH}",
    f"https://sns-us-east-1.amazonaws.com{PATH}",
    f"https://snsxus-east-1xamazonaws.com{PATH}",
    f"https://sns.us-east-1.amazonaws.com.cn.evil.example{PATH}",
    f"https://sns.us-east-1.amazonaws.org{PATH}",
    f"https://sns.amazonaws.com{PATH}",
    f"https://sns.us-east-1.evil.amazonaws.com{PATH}",
    f"{HOST}:8443{PATH}",
    f"https://user:password@sns.us-east-1.amazonaws.com{PATH}",
    f"http://sns.us-east-1.amazonaws.com{PATH}",
    f"//sns.us-east-1.amazonaws.com{PATH}",
    f"file://{PATH}",
    f"{HOST}{PATH}?x=1",
    f"{HOST}{PATH}#",
    f"{HOST}/?Action=GetTopicAttributes&x=.pem",
    f"{HOST}/a{PATH}",
    f"{HOST}/../evil.pem",
    f"{HOST}/evil.pem",
    f"{HOST}/SimpleNotificationService-0123456789abcdef.txt",
    f"{HOST}/SimpleNotificationService-{'a' * 65}.pem",
    f"{HOST}{PATH}\n",
    f" {HOST}{PATH}",
    f"https://169.254.169.254{PATH}",
    f"https://sns.us-eäst-1.amazonaws.com{PATH}",
    HOST,
    "",
]
BUCKETS = [
    f"https://sns.{place}.amazonaws.com{PATH}"
    for place in (
        "s3",
        "s3-us-west-2",
        "s3-external-1",
        "s3-accelerate",
        "s3-website-us-east-1",
        "s3-ap-southeast-2",
        "s3.us-east-1",
        "us-east-1.s3",
        "ec2",
        "execute-api.us-east-1",
    )
]


@pytest.mark.parametrize("url", GOOD)
def test_the_addresses_of_sns_are_taken(url: str) -> None:
    """In every region, and in China; what the address says is not signed, and need not be."""
    delivery = delivery_of(members(), SigningCertURL=url)
    assert ANY.certificate_url(delivery) == url
    ANY.verify(delivery, CERTIFICATE, NOW)


@pytest.mark.parametrize("url", EVIL)
def test_sns_validators_with_an_unanchored_pattern(url: str) -> None:
    """Validators that searched for `sns...amazonaws.com`, or for its end, fetched what others put there: the whole
    address is one of SNS's, or nobody is asked."""
    for scheme in (SCHEME, ANY):
        delivery = delivery_of(members(), SigningCertURL=url)
        assert reason(delivery, scheme) == "cert_url_rejected"
        with pytest.raises(WebhookRejected, match="cert_url_rejected"):
            scheme.certificate_url(delivery)


@pytest.mark.parametrize("url", BUCKETS)
def test_validatesns_an_s3_bucket_that_is_called_sns(url: str) -> None:
    """AWS's own pattern, `sns.[a-zA-Z0-9-]{3,}.amazonaws.com`, fits a bucket of that name, which was anybody's: a
    region is what looks like one (nathforge/validatesns#6)."""
    assert reason(delivery_of(members(), SigningCertURL=url), ANY) == "cert_url_rejected"


def test_a_certificate_comes_from_the_region_of_a_topic() -> None:
    """As in AWS's SDK for Java; other regions are other hosts, and nobody's business."""
    elsewhere = "arn:aws-cn:sns:cn-north-1:123456789012:MyTopic"
    chinese = f"https://sns.cn-north-1.amazonaws.com.cn{PATH}"
    assert reason(delivery_of(members(), SigningCertURL=chinese)) == "cert_url_rejected"
    for scheme in (aws_sns([TOPIC, elsewhere]), ANY):
        scheme.verify(delivery_of(members(), SigningCertURL=chinese), CERTIFICATE, NOW)
    assert (
        aws_sns(elsewhere)
        .certificate_url(aws_sns(elsewhere).sign(b"hi", KEY, NOW))
        .startswith("https://sns.cn-north-1.amazonaws.com.cn/")
    )


def test_a_message_of_another_topic_is_not_for_us() -> None:
    """Everybody's topics are signed by the same key. Nothing is fetched for what is not ours anyway."""
    delivery = delivery_of(members(TopicArn=OTHER_TOPIC))
    assert reason(delivery) == "not_for_us"
    with pytest.raises(WebhookRejected, match="not_for_us"):
        SCHEME.certificate_url(delivery)
    for scheme in (aws_sns([TOPIC, OTHER_TOPIC]), ANY):
        scheme.verify(delivery, CERTIFICATE, NOW)


def test_sns_tries_for_an_hour() -> None:
    """A retry keeps its time, and is still fresh then; a capture of yesterday is not. None looks at no time."""
    delivery = delivery_of(members())
    for now in (NOW, NOW + HOUR, NOW - HOUR):
        SCHEME.verify(delivery, CERTIFICATE, now)
    assert reason(delivery, now=NOW + 2 * HOUR) == "timestamp_expired"
    assert reason(delivery, now=NOW - 2 * HOUR) == "timestamp_future"
    assert reason(delivery, aws_sns(TOPIC, tolerance=300), NOW + 301) == "timestamp_expired"
    aws_sns(TOPIC, tolerance=None).verify(delivery, CERTIFICATE, NOW + 10_000 * HOUR)


@pytest.mark.parametrize(
    "time", ["1760000000", "2025-10-09", "2025-10-09T08:53:20", "٢٠٢٥-10-09T08:53:20Z", "soon", ""]
)
def test_a_time_that_is_none_is_malformed(time: str) -> None:
    """It is ISO 8601, with a zone, in ASCII digits."""
    assert reason(delivery_of(members(Timestamp=time))) == "malformed"


@pytest.mark.parametrize(
    "topics",
    [
        None,
        "",
        [],
        (),
        [""],
        "MyTopic",
        [TOPIC, "MyTopic"],
        [None],
        [7],
        "*",
        f"{TOPIC}:2bcfbf39-05c3-41de-beaa",
        f"{TOPIC}\n",
        "arn:aws:sqs:us-east-1:123456789012:MyTopic",
        "arn:aws:sns:us-east-1:*:MyTopic",
        "arn:aws:sns:us-east-1:1:MyTopic",
        "arn:aws:sns:s3-us-east-1:123456789012:MyTopic",
    ],
)
def test_topics_that_are_none_are_refused(topics: Any) -> None:
    """A variable that is not set must not become an endpoint that takes everybody's: ANY_TOPIC has to be written."""
    with pytest.raises(ConfigurationError, match=r"aws_sns\(topics=...\).*write"):
        aws_sns(topics)


@pytest.mark.parametrize("versions", [(), ("3",), ("2", "1", "0"), (2,), "12x"])
def test_versions_that_are_none_are_refused(versions: Any) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=r'write \("2", "1"\), or \("2",\)'):
        aws_sns(TOPIC, versions=versions)


def test_a_tolerance_that_is_none_is_refused() -> None:
    """It would refuse everything, or nothing."""
    with pytest.raises(ConfigurationError, match="aws_sns: tolerance=0: write seconds"):
        aws_sns(TOPIC, tolerance=0)


def test_it_shows_itself_shortly() -> None:
    """In errors and logs."""
    assert (repr(SCHEME), repr(ANY)) == (f"aws_sns(['{TOPIC}'])", "aws_sns(ANY_TOPIC)")


def test_what_is_published_is_the_message() -> None:
    """A test signs what its topic would publish, and gets the notification of it."""
    delivery = SCHEME.sign(b'{"order":7}', KEY, NOW, url="https://api.example.com/")
    message = json.loads(delivery.body)
    assert (message["Type"], message["Message"], message["TopicArn"]) == ("Notification", '{"order":7}', TOPIC)
    assert message["Timestamp"] == "2025-10-09T08:53:20.000Z" and message["SignatureVersion"] == "2"
    headers = headers_of(delivery)
    assert headers["content-type"] == "text/plain; charset=UTF-8" and headers["x-amz-sns-topic-arn"] == TOPIC
    assert headers["x-amz-sns-message-type"] == "Notification"
    assert headers["x-amz-sns-message-id"] == message["MessageId"]
    assert delivery.url == "https://api.example.com/"


def test_a_message_is_given_what_it_lacks() -> None:
    """A test that needs a subject, a confirmation, or another topic writes that, and no more."""
    message = json.loads(SCHEME.sign(b'{"Type":"SubscriptionConfirmation","Token":"t"}', KEY, NOW, event_id="m").body)
    assert (message["Type"], message["Token"], message["MessageId"]) == ("SubscriptionConfirmation", "t", "m")
    assert message["SubscribeURL"].startswith(f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=")
    given = {"Type": "Notification", "Subject": "s", "UnsubscribeURL": f"{HOST}/", "SigningCertURL": PEM}
    assert json.loads(SCHEME.sign(json.dumps(given).encode(), KEY, NOW).body).items() >= given.items()
    assert json.loads(ANY.sign(b"hi", KEY, NOW).body)["TopicArn"].startswith("arn:aws:sns:us-east-1:")


def test_a_message_that_cannot_be_signed_is_a_mistake() -> None:
    """The error names the member."""
    for name, value in (("Message", {"order": 7}), ("MessageId", None), ("Subject", 7)):
        with pytest.raises(ConfigurationError, match=f"aws_sns: {name} is a text in a message of SNS's, not"):
            SCHEME.sign(json.dumps({"Type": "Notification", name: value}).encode(), KEY, NOW)


@settings(deadline=None)
@given(body=st.binary(), now=st.floats(0, 4e9), event_id=st.from_regex(r"[A-Za-z0-9-]{0,50}", fullmatch=True))
def test_what_sign_makes_verifies(body: bytes, now: float, event_id: str) -> None:
    """Whatever is published, at any time, with any id; without one, other messages have others."""
    for scheme in (SCHEME, ANY):
        verified = scheme.verify(scheme.sign(body, KEY, now, event_id=event_id), CERTIFICATE, now)
        assert verified.event_id == (event_id or json.loads(scheme.sign(body, KEY, now).body)["MessageId"])
        assert verified.event_id != json.loads(scheme.sign(b"?" + body, KEY, now).body)["MessageId"]


names = st.sampled_from([*members(Subject="s"), "SubscribeURL", "Token", "UnsubscribeURL", "MessageAttributes"])
texts = st.text() | st.sampled_from([*members().values(), PEM, *GOOD, *EVIL, "SubscriptionConfirmation", TOPIC])
values = texts | st.none() | st.integers() | st.floats() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())


@settings(deadline=None)
@given(changes=st.dictionaries(names, values), now=st.floats(), raw=st.none() | st.binary())
def test_whatever_comes_there_is_a_verdict(changes: dict[str, Any], now: float, raw: bytes | None) -> None:
    """Verified or WebhookRejected, for any bytes, and so for the certificate's address and for a challenge."""
    body = json.dumps({**members(), **changes}).encode() if raw is None else raw
    for scheme in (SCHEME, ANY, aws_sns(TOPIC, unsigned_members=True)):
        with suppress(WebhookRejected):
            assert scheme.certificate_url(Delivery(body)).startswith("https://sns.")
        with suppress(WebhookRejected):
            scheme.verify(Delivery(body), CERTIFICATE, now)
            scheme.challenge(Delivery(body), CERTIFICATE)


class Sns:
    """SNS itself, as far as it matters: it has a certificate, and takes confirmations."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: Exception | None = None

    async def fetch(self, url: str) -> bytes:
        """Return a certificate, or the answer to a confirmation."""
        self.asked.append(url)
        if self.failure is not None:
            raise self.failure
        return CERTIFICATE if url.endswith(".pem") else b"<ConfirmSubscriptionResponse/>"

    @property
    def visited(self) -> list[str]:
        """Return the addresses that were asked for, without the certificates'."""
        return [url for url in self.asked if not url.endswith(".pem")]


class Notification(BaseModel):
    """What a handler takes."""

    Type: Literal["Notification"]
    Message: str
    Subject: str | None = None


class World:
    """A webhook for SNS at a gate, and SNS."""

    def __init__(self, scheme: AwsSns = SCHEME) -> None:
        self.sns, self.clock, self.events = Sns(), FrozenClock(NOW), EventList()
        self.gate = Gate(clock=self.clock, log=self.events)
        self.scheme = scheme
        self.seen: list[object] = []

        @verify_webhook(scheme, fetch=self.sns.fetch)
        async def hook(event: Event[Notification]) -> None:
            self.seen.append(event.Message)

        self.hook: Any = hook

    async def send(self, message: Any, key: bytes = KEY) -> Any:
        """Send a message that is signed now."""
        return await call(self.hook, gate=self.gate, **signed(self.scheme, key, json=message, clock=self.clock))

    def reason(self) -> object:
        """Return what the log says of the last request."""
        return self.events[-1]["reason"]


SUBSCRIPTION = {"Type": "SubscriptionConfirmation"}


@pytest.mark.anyio
async def test_notifications_reach_the_handler() -> None:
    """As `text/plain`, which is what SNS calls them; the certificate is fetched once."""
    world = World()
    for number in range(3):
        assert (await world.send({"order": number})).status == 200
    assert world.seen == ['{"order": 0}', '{"order": 1}', '{"order": 2}']
    assert world.sns.asked == [f"{HOST}/SimpleNotificationService-{'0' * 32}.pem"]


@pytest.mark.anyio
async def test_a_subscription_is_confirmed() -> None:
    """By a visit to the address that is signed; the handler is not bothered."""
    world = World()
    reply = await world.send(
        {**SUBSCRIPTION, "Token": "t", "SubscribeURL": f"{HOST}/?Action=ConfirmSubscription&Token=t"}
    )
    assert (reply.status, reply.json) == (200, {"received": True})
    assert world.sns.visited == [f"{HOST}/?Action=ConfirmSubscription&Token=t"] and world.seen == []


@pytest.mark.anyio
async def test_a_subscription_that_cannot_be_confirmed_is_asked_for_again() -> None:
    """503 with a time: SNS tries again."""
    world = World()
    await world.send({})
    world.sns.failure = OSError("it answers 500")
    reply = await world.send(SUBSCRIPTION)
    assert (reply.status, reply.headers["retry-after"]) == (503, "30")
    world.sns.failure = None
    assert (await world.send(SUBSCRIPTION)).status == 200
    assert len(world.sns.visited) == 2


@pytest.mark.anyio
async def test_the_end_of_a_subscription_is_left_as_it_is() -> None:
    """To visit its address would be to subscribe again."""
    world = World()
    reply = await world.send({"Type": "UnsubscribeConfirmation"})
    assert (reply.status, reply.json, world.sns.visited, world.seen) == (200, {"received": True}, [], [])


@pytest.mark.anyio
async def test_cve_2026_32096_a_forged_confirmation_is_not_visited() -> None:
    """Endpoints that visited SubscribeURL before they verified it were open doors to their network (SSRF)."""
    world = World()
    forged = {**SUBSCRIPTION, "SubscribeURL": "http://169.254.169.254/latest/meta-data"}
    assert (await world.send(forged, OTHER_KEY)).status == 401
    assert world.reason() == "aws_sns: signature_mismatch" and world.sns.visited == []


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://evil.example/", f"{HOST}.evil.example/", HOST, ""])
@pytest.mark.anyio
async def test_a_confirmation_leads_to_sns_or_nowhere(url: str) -> None:
    """Even where it is signed."""
    world = World()
    assert (await world.send({**SUBSCRIPTION, "SubscribeURL": url})).status == 400
    assert world.reason() == "aws_sns: challenge_failed" and world.sns.visited == []


@pytest.mark.anyio
async def test_nobody_subscribes_us_to_his_topic() -> None:
    """SNS signs a stranger's confirmation, too: his topic is not on the list, and nothing is asked of anybody."""
    world = World()
    assert (await world.send({**SUBSCRIPTION, "TopicArn": OTHER_TOPIC})).status == 401
    assert world.reason() == "aws_sns: not_for_us" and world.sns.asked == []


@pytest.mark.anyio
async def test_with_any_topic_the_handler_decides() -> None:
    """A confirmation of whoever's topic is an event there: nobody else can say whether it is wanted."""
    world, seen = World(ANY), []

    @verify_webhook(ANY, fetch=world.sns.fetch)
    async def hook(webhook: Verified, event: Event[dict[str, Any]]) -> None:
        seen.append((event["Type"], event["TopicArn"]))

    world.hook = hook
    kinds = ("SubscriptionConfirmation", "UnsubscribeConfirmation", "Notification")
    for kind in kinds:
        assert (await world.send({"Type": kind, "TopicArn": OTHER_TOPIC})).status == 200
    assert seen == [(kind, OTHER_TOPIC) for kind in kinds] and world.sns.visited == []


@pytest.mark.parametrize("url", [*EVIL, *BUCKETS])
@pytest.mark.anyio
async def test_an_evil_address_is_never_fetched(url: str) -> None:
    """It is a 401 like any other, and nobody is asked for anything."""
    world = World(ANY)
    assert (await world.send({"Type": "Notification", "SigningCertURL": url})).status == 401
    assert world.reason() == "aws_sns: cert_url_rejected" and world.sns.asked == [] and world.seen == []


@pytest.mark.anyio
async def test_while_there_is_no_certificate_sns_tries_again() -> None:
    """503 with a time, and the handler has not run."""
    world = World()
    world.sns.failure = OSError("it answers 500")
    for _ in range(2):
        reply = await world.send({})
        assert (reply.status, reply.headers["retry-after"]) == (503, "10")
    assert len(world.sns.asked) == 1 and world.seen == []
    world.sns.failure = None
    world.clock.advance(10)
    assert (await world.send({})).status == 200


@pytest.mark.anyio
async def test_the_log_has_no_token() -> None:
    """A confirmation's token is what subscribes: it is the sender's secret until it is used."""
    world = World()
    world.sns.failure = OSError("it answers 500")
    await world.send({**SUBSCRIPTION, "Token": "s3cr3t", "SubscribeURL": f"{HOST}/?Token=s3cr3t"})
    world.sns.failure = None
    world.clock.advance(10)
    await world.send({**SUBSCRIPTION, "Token": "s3cr3t", "SubscribeURL": f"{HOST}/?Token=s3cr3t"})
    assert world.sns.visited and "s3cr3t" not in repr(list(world.events))
