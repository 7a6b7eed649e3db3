"""Standard Webhooks, Svix and OpenAI: lists of signatures, ids, families of headers, and two kinds of keys."""

from __future__ import annotations

import hmac
import json
import sys
import time
from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, Verified, WebhookRejected
from gatewright.webhooks.schemes.standard import StandardWebhooks, openai, standard_webhooks, svix
from gatewright.webhooks.secret import Secrets
from tests.webhooks.kit import NOW, headers_of, reason_of, recorded

KEY = bytes(range(100, 124))
SECRET = "whsec_" + b64encode(KEY).decode()
OTHER = "whsec_" + b64encode(KEY[::-1]).decode()
BODY = b'{"type":"invoice.paid","data":{}}'
# Made with PyNaCl, and the one that the specification's libraries print as an example of a whsk_ (64 bytes).
SEED = bytes(range(32))
POINT = bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
PRIVATE, PUBLIC = "whsk_" + b64encode(SEED + POINT).decode(), "whpk_" + b64encode(POINT).decode()

# Loads cryptography, before anything is timed.
standard_webhooks().check(PUBLIC)
SENDERS = [standard_webhooks(), svix(), openai()]
senders = pytest.mark.parametrize("scheme", SENDERS, ids=repr)
NAMES = [f"{family}-{part}".encode() for family in ("webhook", "svix") for part in ("id", "timestamp", "signature")]
octets = st.binary(max_size=72)
entries = st.tuples(st.sampled_from([b"", b"v1", b"v1,", b"v1a,", b"v2,"]), octets | octets.map(b64encode)).map(
    b"".join
)
values = octets | st.just(b"1760000000") | st.just(b"msg_1") | st.lists(entries, max_size=4).map(b" ".join)


def signed(body: bytes = BODY, secret: str = SECRET, event_id: str = "msg_1", now: float = NOW) -> Delivery:
    """Return what a sender would deliver."""
    return standard_webhooks().sign(body, secret, now, event_id=event_id)


def changed(delivery: Delivery, **headers: str | None) -> Delivery:
    """Return *delivery* with other `webhook-...` headers; None takes one out."""
    named = {f"webhook-{name}": value for name, value in headers.items()}
    kept = {name: value for name, value in (headers_of(delivery) | named).items() if value is not None}
    return Delivery.of(delivery.body, kept)


def reason(delivery: Delivery, secrets: Secrets = SECRET, now: float = NOW) -> str:
    """Return why *delivery* is refused."""
    return reason_of(standard_webhooks(), delivery, secrets, now)


def signature(delivery: Delivery) -> str:
    """Return the list of signatures."""
    return headers_of(delivery)["webhook-signature"]


@senders
@given(body=st.binary(max_size=300), now=st.floats(0, 4e9), key=st.binary(min_size=1, max_size=64))
def test_what_sign_signs_verify_verifies(scheme: StandardWebhooks, body: bytes, now: float, key: bytes) -> None:
    """sign and verify are one description read in two directions, for every body, time and key."""
    secret = "whsec_" + b64encode(key).decode()
    verified = scheme.verify(scheme.sign(body, secret, now), secret, now)
    assert (verified.scheme, verified.covers) == (scheme.name, {"body", "timestamp", "id"})
    assert verified.event_id == f"msg_{sha256(body).hexdigest()[:27]}"


@senders
@given(
    headers=st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=6),
    body=st.binary(max_size=60),
    now=st.floats(),
)
def test_verify_is_total(scheme: StandardWebhooks, headers: list[tuple[bytes, bytes]], body: bytes, now: float) -> None:
    """For any headers and bytes, and any clock, the only exception is WebhookRejected."""
    with pytest.raises(WebhookRejected):
        scheme.verify(Delivery(body, headers), [SECRET, PUBLIC, PRIVATE, "", "whsec_"], now)


def test_verified_says_all_there_is_to_know() -> None:
    """The id is signed and stays the same when the sender tries again; the key is of the bytes that are signed."""
    assert standard_webhooks().verify(signed(), [OTHER, SECRET], NOW + 5) == Verified(
        scheme="standard_webhooks",
        key_index=1,
        signed_at=datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC),
        covers=frozenset({"body", "timestamp", "id"}),
        replay_key=sha256(b"standard_webhooks\x00msg_1.1760000000." + BODY).hexdigest(),
        event_id="msg_1",
    )
    again = standard_webhooks().verify(signed(now=NOW + 60), SECRET, NOW + 60)
    assert again.event_id == "msg_1"
    assert again.replay_key != standard_webhooks().verify(signed(), SECRET, NOW).replay_key


def test_all_three_are_signed() -> None:
    """Another id, time or body is another's signature."""
    for other in ({"id": "msg_2"}, {"timestamp": "1760000001"}):
        assert reason(changed(signed(), **other)) == "signature_mismatch"
    assert reason(replace(signed(), body=BODY + b" ")) == "signature_mismatch"
    assert reason(signed(secret=OTHER)) == "signature_mismatch"


def test_freshness_counts_both_ways() -> None:
    """What is signed in advance is no fresher than what is old."""
    assert reason(signed(), now=NOW + 301) == "timestamp_expired"
    assert reason(signed(), now=NOW - 301) == "timestamp_future"
    assert reason(changed(signed(), timestamp="1"), now=NOW) == "signature_mismatch"
    with pytest.raises(ConfigurationError, match="write seconds"):
        standard_webhooks(tolerance=0)
    with pytest.raises(ConfigurationError, match="write seconds"):
        StandardWebhooks(name="own", tolerance=None)


def test_what_is_missing_is_named() -> None:
    """Each header has its own reason; an empty one is as good as none."""
    for nothing in (None, ""):
        assert reason(changed(signed(), signature=nothing)) == "signature_missing"
        assert reason(changed(signed(), timestamp=nothing)) == "timestamp_missing"
        assert reason(changed(signed(), id=nothing)) == "malformed"
    assert reason(Delivery(BODY)) == "signature_missing"


@pytest.mark.parametrize("bad", ["", "garbage", "v1", ",", "v1,", "v1,%%%", "v1,AAAA,AAAA", "v2,AAAA", "v1a,AAAA", "é"])
def test_standardwebhooks_a_bad_entry_hides_the_valid_one_after_it(bad: str) -> None:
    """An entry without a comma, two spaces or bad base64 raised ValueError: what is no signature is passed over."""
    good = signature(signed())
    for listed in (f"{bad} {good}", f"{good} {bad}", f" {bad}  {good} "):
        assert standard_webhooks().verify(changed(signed(), signature=listed), SECRET, NOW).event_id == "msg_1"


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ("garbage", "malformed"),
        ("v1", "malformed"),
        (" ", "malformed"),
        (",", "malformed"),
        (",AAAA", "malformed"),
        ("v1 v1a", "malformed"),
        ("v1,", "malformed"),
        ("v1,%%%", "malformed"),
        ("v1,AAA v1,A=== v1,AAAAA v1,AA=A v1,AAAA=", "malformed"),
        ("v1a,AA-_", "malformed"),
        ("v1,\xe9\xff\xff\xff", "malformed"),
        ("v2,AAAA", "no_supported_signature"),
        ("v1,%%% v2,%%%", "no_supported_signature"),
        ("v0,AAAA V1,AAAA", "no_supported_signature"),
        ("v1,AAAA", "signature_mismatch"),
        ("v1,AAA= garbage", "signature_mismatch"),
        (" ".join(["v1,AAAA"] * 16), "signature_mismatch"),
        (" ".join(["v1,AAAA"] * 17), "malformed"),
        (" ".join(["v1,AAAA", "v1a,AAAA"] * 9), "malformed"),
    ],
)
def test_a_list_without_a_good_signature_says_why(listed: str, why: str) -> None:
    """No base64 after a version, no version that is known, none that matches, or more than anybody needs."""
    assert reason(changed(signed(), signature=listed)) == why


def test_while_the_sender_rolls_its_secret_both_are_signed_with() -> None:
    """Ours may come first, last or in between."""
    ours, theirs = signature(signed()), signature(signed(secret=OTHER))
    for listed in (f"{ours} {theirs}", f"{theirs} {ours}", f"{theirs} v1a,AAAA {ours} v1,AAAA"):
        assert standard_webhooks().verify(changed(signed(), signature=listed), SECRET, NOW).key_index == 0


def test_standardwebhooks_drops_what_is_no_base64_from_a_signature() -> None:
    """b64decode without validate looks over other characters: a signature has one spelling."""
    good = signature(signed())
    for other in (good[:9] + "$" + good[9:], good.rstrip("="), good + "=", good + "\t"):
        assert reason(changed(signed(), signature=other)) == "malformed"
    last = chr(ord(good[-2]) + 1)
    assert b64decode(good[3:-2] + last + "=") == b64decode(good[3:])
    assert reason(changed(signed(), signature=good[:-2] + last + "=")) == "signature_mismatch"


@pytest.mark.parametrize(
    "timestamp",
    ["1760000000.9", "1760000000.0", "1.76e9", "1760000000abc", "nan", "inf", "-1", "+1760000000", "1" * 400],
)
def test_standardwebhooks_signs_the_floor_of_a_float(timestamp: str) -> None:
    """float() and parseInt() read what was never signed: the time is digits, and signed as received."""
    assert reason(changed(signed(), timestamp=timestamp)) == "malformed"


def test_a_leading_zero_is_another_time() -> None:
    """The text is signed, not the number that it spells."""
    assert reason(changed(signed(), timestamp="01760000000")) == "signature_mismatch"


def test_standardwebhooks_unicode_decode_error_on_a_binary_body() -> None:
    """Python decoded the body, JavaScript hashed U+FFFD for it: bytes are signed as bytes."""
    found = recorded("sw-published")
    binary = Delivery.of(b"\xff\xfe", headers_of(signed(b"\xff\xfe")))
    assert standard_webhooks().verify(binary, SECRET, NOW).event_id == "msg_1"
    assert reason(replace(binary, body=b"\xff\xfd")) == "signature_mismatch"
    assert standard_webhooks().verify(found.delivery, found.secret, found.now).key_index == 0


def test_tern_mangles_dollars_in_a_body() -> None:
    """String.replace knows $$ and $&: here nothing in a body means anything, nor in an id."""
    for body in (b"$$ $& $1 $`", b"%s %d {0} {body}", b"a.b.c"):
        assert standard_webhooks().verify(signed(body, event_id="msg_$&_%s"), SECRET, NOW).event_id == "msg_$&_%s"


@pytest.mark.parametrize("event_id", ["msg.1", "msg 1", "msg_\xe9", "msg_\t1", "m" * 257])
def test_an_id_is_ascii_without_dots(event_id: str) -> None:
    """With a dot in it, id, time and body could be split anew, and the user's own text become the body."""
    raw = event_id.encode("latin-1")
    forged = hmac.digest(KEY, b"%s.1760000000.%s" % (raw, BODY), "sha256")
    headers = {"id": event_id, "signature": "v1," + b64encode(forged).decode()}
    assert reason(changed(signed(), **headers)) == "malformed"
    with pytest.raises(ConfigurationError, match="without dots"):
        signed(event_id=event_id)


def test_a_body_that_begins_with_a_time_cannot_be_split_anew() -> None:
    """The specification's "certain attacks": text of a user's, signed as a body, passes for a whole delivery."""
    honest = signed(b'1760000100.{"type":"admin.created"}')
    attack = changed(honest, id="msg_1.1760000000", timestamp="1760000100")
    assert reason(replace(attack, body=b'{"type":"admin.created"}')) == "malformed"


def test_a_header_that_comes_twice_is_malformed() -> None:
    """Which of two ids is the signed one? Nobody is asked."""
    for pair in signed().headers:
        assert reason(replace(signed(), headers=[*signed().headers, pair])) == "malformed"


@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        SECRET.encode(),
        SECRET.removeprefix("whsec_"),
        "whsec_YQ==",
        "whsec_YQ=",
        "whsec_YQ",
        "whsec_YWE=",
        "YWFh",
    ],
)
def test_a_secret_may_lack_prefix_and_padding(secret: str) -> None:
    """Senders show it in several ways; what it spells is the key."""
    text = secret.encode() if isinstance(secret, str) else secret
    key = b64decode(text.removeprefix(b"whsec_").rstrip(b"=") + b"==")
    expected = b64encode(hmac.digest(key, b"msg_1.1760000000." + BODY, "sha256")).decode()
    assert signature(standard_webhooks().sign(BODY, secret, NOW, event_id="msg_1")) == f"v1,{expected}"
    standard_webhooks().check(secret)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("whsec_", "empty after its prefix"),
        ("whsec_==", "empty after its prefix"),
        ("", "is empty"),
        ("whsec_a", "is base64"),
        ("whsec_YW-_", "is base64"),
        ("whsec_YW=Fh", "is base64"),
        ("whsec_YWFh\n", "whitespace"),
        ("v1,whsec_YWFh", "is base64"),
        ("whsec_YWFh!", "is base64"),
        ("WHSEC_YWFh", "is base64"),
        (b"\xff\xfe", "is base64"),
        (None, "is its variable set"),
        (PRIVATE, "verified with a public key"),
        ("whpk_", "empty after its prefix"),
        ("whpk_YWFh", "no public Ed25519 key"),
        ("whpk_!", "is base64"),
    ],
)
def test_a_secret_that_is_none_is_refused(secret: str, why: str) -> None:
    """When decorated, with what to write; and where it comes from a function, it verifies nothing."""
    with pytest.raises(ConfigurationError, match=why):
        standard_webhooks().check(secret)
    assert reason(signed(), [secret]) == "no_secret"


@pytest.mark.parametrize("secret", [PRIVATE, "whsk_" + b64encode(SEED).decode()])
def test_v1a_is_signed_with_a_private_key_and_verified_with_its_public_one(secret: str) -> None:
    """whsk_ signs, as 32 bytes or with the public half behind it, and whpk_ verifies."""
    delivery = signed(secret=secret)
    assert signature(delivery).startswith("v1a,")
    standard_webhooks().check(PUBLIC)
    verified = standard_webhooks().verify(delivery, [SECRET, PUBLIC], NOW)
    assert (verified.key_index, verified.event_id) == (1, "msg_1")
    assert verified.replay_key == standard_webhooks().verify(signed(), SECRET, NOW).replay_key
    assert reason(replace(delivery, body=b"{}"), PUBLIC) == "signature_mismatch"
    both = changed(delivery, signature=f"{signature(signed())} {signature(delivery)}")
    for key in (SECRET, PUBLIC):
        assert standard_webhooks().verify(both, key, NOW).key_index == 0


@pytest.mark.parametrize("public", [PUBLIC, PUBLIC.encode(), PUBLIC.rstrip("=")])
@pytest.mark.parametrize("of", ["text", "after its prefix", "decoded"])
def test_a_public_key_is_never_an_hmac_key(public: str, of: str) -> None:
    """Everybody knows a whpk_: a v1 made with it, in whatever spelling, is made by anybody."""
    keys = {"text": PUBLIC.encode(), "after its prefix": PUBLIC[5:].encode(), "decoded": POINT}
    forged = b64encode(hmac.digest(keys[of], b"msg_1.1760000000." + BODY, "sha256")).decode()
    for scheme in (standard_webhooks(), openai()):
        for listed in (f"v1,{forged}", f"v1a,{forged}", f"v1,{forged} v1a,AAAA"):
            why = reason_of(scheme, changed(signed(), signature=listed), public)
            assert why == ("signature_mismatch" if "v1a" in listed else "no_supported_signature")
        with pytest.raises(ConfigurationError, match="signed with a private one"):
            scheme.sign(BODY, public, NOW)


def test_a_shared_secret_is_never_a_public_key() -> None:
    """32 bytes could be a point, too; the prefix decides, and v1a is no signature for a whsec_."""
    shared = "whsec_" + b64encode(POINT).decode()
    assert reason(signed(secret=PRIVATE), shared) == "no_supported_signature"
    assert reason(signed(secret=PRIVATE), PUBLIC.removeprefix("whpk_")) == "no_supported_signature"
    assert reason(signed(secret=PRIVATE), [shared, PRIVATE]) == "no_supported_signature"
    for private in (PRIVATE, "whsk_" + b64encode(POINT).decode()):
        assert reason(signed(secret=PRIVATE), private) == "no_secret"


def test_v1a_recorded() -> None:
    """Made with PyNaCl, because no library of the specification's own can."""
    found = recorded("sw-v1a-ok")
    assert standard_webhooks().verify(found.delivery, found.secret, found.now).signed_at is not None


def test_without_cryptography_v1_works_and_v1a_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named when decorated, and a v1a that nobody can verify hides no v1."""
    both = changed(signed(), signature=f"{signature(signed(secret=PRIVATE))} {signature(signed())}")
    monkeypatch.setitem(sys.modules, "gatewright.webhooks.schemes.public_key", None)
    assert standard_webhooks().verify(both, SECRET, NOW).key_index == 0
    with pytest.raises(ConfigurationError, match=r'pip install "gatewright\[webhooks\]"'):
        standard_webhooks().check(PUBLIC)


def test_svix_has_its_own_headers_or_the_standard_ones() -> None:
    """It signs with svix-*, and understands webhook-* where all three are there."""
    theirs = svix().sign(BODY, SECRET, NOW, event_id="msg_1")
    assert list(headers_of(theirs)) == ["svix-id", "svix-timestamp", "svix-signature"]
    assert svix().verify(theirs, SECRET, NOW).event_id == "msg_1"
    assert svix().verify(signed(), SECRET, NOW).event_id == "msg_1"
    assert reason(theirs) == "signature_missing"


def test_svix_mixed_brands() -> None:
    """The library takes each header from either family: here a mix is signed by nobody."""
    whole = headers_of(svix().sign(BODY, SECRET, NOW, event_id="msg_1"))
    standard = headers_of(signed(event_id="msg_2"))
    for name in standard:
        mixed = Delivery.of(BODY, standard | {name.replace("webhook", "svix"): whole[name.replace("webhook", "svix")]})
        assert reason_of(svix(), mixed, SECRET) == "signature_mismatch"
        assert svix().verify(Delivery.of(BODY, whole | {name: "anything"}), SECRET, NOW).event_id == "msg_1"
    partly = {"svix-id": "msg_1", "svix-timestamp": "1760000000"}
    assert reason_of(svix(), Delivery.of(BODY, partly), SECRET) == "signature_missing"
    assert reason_of(svix(), Delivery.of(BODY, partly | {"webhook-signature": "v1,AAAA"}), SECRET) == (
        "signature_mismatch"
    )


def test_openai_uses_a_secret_without_prefix_as_it_is() -> None:
    """As its own library does; with the prefix it is base64 like everybody's."""
    raw = hmac.digest(b"my own secret", b"msg_1.1760000000." + BODY, "sha256")
    delivery = changed(signed(), signature="v1," + b64encode(raw).decode())
    openai().check("my own secret")
    assert openai().verify(delivery, ["my own secret"], NOW).key_index == 0
    assert openai().verify(signed(), SECRET, NOW).scheme == "openai"
    assert reason_of(openai(), signed(), SECRET.removeprefix("whsec_")) == "signature_mismatch"
    with pytest.raises(ConfigurationError, match="is base64"):
        openai().check("whsec_!")


def test_openai_accepts_entries_without_a_version() -> None:
    """What says of itself no version has none."""
    bare = signature(signed()).removeprefix("v1,")
    assert reason_of(openai(), changed(signed(), signature=bare), SECRET) == "malformed"


@pytest.fixture(scope="module")
def libraries() -> dict[str, Any]:
    """Return the libraries of Standard Webhooks and of Svix, by the family of their headers."""
    return {"webhook": pytest.importorskip("standardwebhooks"), "svix": pytest.importorskip("svix.webhooks")}


@given(body=st.text(max_size=100), key=st.binary(min_size=1, max_size=64))
def test_what_standardwebhooks_and_svix_sign_verifies_here(libraries: dict[str, Any], body: str, key: bytes) -> None:
    """The header that their libraries make is accepted, for any text and key."""
    secret = "whsec_" + b64encode(key).decode()
    for family, library in libraries.items():
        listed = library.Webhook(secret).sign("msg_1", datetime.fromtimestamp(NOW, UTC), body)
        values = {"id": "msg_1", "timestamp": "1760000000", "signature": listed}
        delivery = Delivery.of(body.encode(), {f"{family}-{name}": value for name, value in values.items()})
        scheme = svix() if family == "svix" else standard_webhooks()
        assert scheme.verify(delivery, secret, NOW).event_id == "msg_1"


@given(body=st.text(max_size=100), key=st.binary(min_size=1, max_size=64))
def test_what_we_sign_standardwebhooks_and_svix_verify(libraries: dict[str, Any], body: str, key: bytes) -> None:
    """What `sign` makes passes their libraries' own checks, freshness too."""
    secret, raw, now = "whsec_" + b64encode(key).decode(), json.dumps(body).encode(), time.time()
    theirs = libraries["webhook"].Webhook(secret)
    theirs.verify(raw, headers_of(standard_webhooks().sign(raw, secret, now)))
    libraries["svix"].Webhook(secret).verify(raw, headers_of(svix().sign(raw, secret, now)))
    headers = headers_of(standard_webhooks().sign(raw, secret, now, event_id="msg_1"))
    with pytest.raises(libraries["webhook"].WebhookVerificationError):
        theirs.verify(raw + b" ", headers)


def test_what_a_sender_looks_like_in_a_log() -> None:
    """A repr is short and stable, and values are values."""
    assert repr(svix(tolerance=30)) == "svix(tolerance=30)"
    assert standard_webhooks() == standard_webhooks()
    assert hash(openai()) == hash(openai())
    assert svix() != svix(tolerance=30)
    assert {scheme.event_type for scheme in SENDERS} == {("type",)}
    assert len(standard_webhooks().algorithms) == 2
