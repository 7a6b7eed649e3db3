"""HTTP Message Signatures as a scheme: what has to be signed, by whom, when, and what nobody can make of it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gatewright._core.gate import Gate
from gatewright._core.log import EventList
from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, Verified, verify_webhook
from gatewright.webhooks.schemes.rfc9421.scheme import (
    http_message_signatures,
)
from tests.web import Browser
from tests.webhooks.kit import NOW, headers_of, reason_of
from tests.webhooks.rfc9421_examples import KEYS, SHARED
from tests.webhooks.rfc9421_signing import BODY, HMAC, SHA256, URL, both, policy, sent, signed, with_headers

# What other verifiers let happen.


def test_http_message_signatures_takes_a_body_that_was_swapped() -> None:
    """Its verify() says yes to this, unless it is given the body: the digest is covered, and nobody computed it."""
    delivery = sent()
    assert reason_of(HMAC, replace(delivery, body=b'{"hello": "w0rld"}'), SHARED) == "body_digest_mismatch"
    assert HMAC.verify(delivery, SHARED, NOW).covers == {"body", "timestamp", "method", "url"}


def test_a_digest_that_is_not_signed_says_nothing() -> None:
    """Its verify() says yes to this, too: a signature that leaves the body out, beside a digest of any body."""
    delivery = signed('("@method" "@target-uri");created=1760000000')
    assert reason_of(policy(), delivery, SHARED) == "body_not_signed"
    swapped = with_headers(replace(delivery, body=b"{}"), content_digest="sha-256=:AAAA:")
    loose = policy(require_body=False)
    assert "body" not in loose.covers
    assert loose.verify(swapped, SHARED, NOW).covers == {"timestamp", "method", "url"}


def test_a_signature_cannot_choose_its_algorithm() -> None:
    """The public key of a pair is no HMAC key, whatever "alg" says; RFC 9421, section 7.3.6."""
    public = str(KEYS["ed25519"][0])
    scheme = http_message_signatures(algorithm="ed25519", components=())
    named = signed('("content-digest");created=1760000000;alg="hmac-sha256"', public.encode())
    assert reason_of(scheme, named, public) == "no_supported_signature"
    for silent in ("", ';alg="ed25519"'):
        forged = signed(f'("content-digest");created=1760000000{silent}', public.encode())
        assert reason_of(scheme, forged, public) == "signature_mismatch"
    for pem in (public, public.strip(), public.encode()):
        with pytest.raises(ConfigurationError, match="shared secret"):
            policy().check(pem)


# What has to be signed.


@pytest.mark.parametrize(
    ("components", "covers"),
    [
        ('"content-digest"', {"body"}),
        ('"content-digest";sf', {"body"}),
        ('"content-digest";bs', {"body"}),
        ('"content-digest";key="sha-256"', {"body"}),
        ('"content-digest" "@method"', {"body", "method"}),
        ('"content-digest" "@target-uri"', {"body", "url"}),
        ('"content-digest" "@authority"', {"body"}),
        ('"content-digest" "@path" "@query" "@authority"', {"body"}),
        ('"content-digest" "@path" "@query" "@authority" "@scheme"', {"body", "url"}),
        ('"content-digest" "@request-target" "@authority" "@scheme"', {"body", "url"}),
    ],
)
def test_verified_says_what_the_signature_covers(components: str, covers: set[str]) -> None:
    """A handler may believe the whole URL, and no other part of the request than a signature has."""
    assert policy().verify(signed(f"({components});created=1760000000"), SHARED, NOW).covers == covers | {"timestamp"}


@pytest.mark.parametrize(
    ("digest", "components", "reason"),
    [
        ("sha-256=:AAAA:", '"content-digest"', "body_digest_mismatch"),
        (SHA256 + ", sha-512=:AAAA:", '"content-digest"', "body_digest_mismatch"),
        (SHA256 + ", sha-512=:AAAA:", '"content-digest";key="sha-256"', "body_digest_mismatch"),
        ("md5=:AAAA:", '"content-digest"', "body_not_signed"),
        ("", '"content-digest"', "body_not_signed"),
        ("md5=:AAAA:, " + SHA256, '"content-digest";key="md5"', "body_not_signed"),
        ('sha-256="AAAA"', '"content-digest"', "malformed"),
        ("sha-256=(:AAAA:)", '"content-digest"', "malformed"),
        ("sha-256=:A:", '"content-digest"', "malformed"),
        (f"{SHA256}, {SHA256}", '"content-digest"', "malformed"),
    ],
)
def test_the_body_is_what_every_digest_says(digest: str, components: str, reason: str) -> None:
    """RFC 9530: one digest that is no collision's, and all of those that are known, have to be the body's."""
    delivery = signed(f"({components});created=1760000000", content_digest=digest)
    assert reason_of(policy(), delivery, SHARED) == reason


def test_digests_that_are_not_known_do_no_harm() -> None:
    """RFC 9530: a sender may add an algorithm; two that are known are both looked at."""
    sha512 = b64encode(hashlib.sha512(BODY).digest()).decode()
    for digest in (f"md5=:AAAA:, {SHA256}", f"x=1, {SHA256}, sha-512=:{sha512}:", f"sha-512=:{sha512}:", SHA256 + ";a"):
        delivery = signed('("content-digest");created=1760000000', content_digest=digest)
        assert "body" in policy().verify(delivery, SHARED, NOW).covers


def test_a_digest_in_two_lines_is_one() -> None:
    """RFC 9110, section 5.3: whoever computes the digest, and whoever signed it, read the same field."""
    delivery = signed('("content-digest");created=1760000000', content_digest=f"x=1, {SHA256}")
    lines = [(b"content-digest", b"x=1"), (b"content-digest", SHA256.encode())]
    split = [*lines, *(pair for pair in delivery.headers if pair[0] != b"content-digest")]
    assert policy().verify(replace(delivery, headers=split), SHARED, NOW)


def test_a_covered_digest_counts_even_where_none_is_wanted() -> None:
    """What the sender says of the body is never passed over."""
    loose = policy(require_body=False)
    assert reason_of(loose, replace(sent(), body=b"{}"), SHARED) == "body_digest_mismatch"


@pytest.mark.parametrize(
    ("wanted", "components", "reason"),
    [
        (["@method"], '"content-digest"', "no_supported_signature"),
        (["@method"], '"@path"', "body_not_signed"),
        (["content-type"], '"content-digest" "x-a"', "no_supported_signature"),
        (["Content-Type"], '"content-digest" "content-type"', None),
        (["content-type"], '"content-digest" "content-type";bs', None),
        (["x-dict"], '"content-digest" "x-dict";key="a"', "no_supported_signature"),
        (['"x-dict";key="a"'], '"content-digest" "x-dict";key="a"', None),
        (['"x-dict";key="a"'], '"content-digest" "x-dict";key="b"', "no_supported_signature"),
        (['"x-dict";key="a"'], '"content-digest" "x-dict"', "no_supported_signature"),
        (['"@query-param";name="a"'], '"content-digest" "@query-param";name="a"', None),
        (["content-digest"], '"content-digest";bs', None),
        (['"content-digest";key="sha-256"'], '"content-digest";key="sha-256"', None),
        (['"content-digest";key="sha-256"'], '"content-digest"', "no_supported_signature"),
    ],
)
def test_what_has_to_be_covered(wanted: list[str], components: str, reason: str | None) -> None:
    """Less is refused; a name alone asks for all of a field, and a part of it is not all."""
    delivery = signed(f"({components});created=1760000000", content_type="a/b", x_a="1", x_dict="a=1, b=2")
    if reason is None:
        assert policy(components=wanted).verify(delivery, SHARED, NOW)
    else:
        assert reason_of(policy(components=wanted), delivery, SHARED) == reason


def test_by_default_a_signature_is_for_one_request() -> None:
    """RFC 9421, section 7.2.1: without method and address it would be good for any endpoint of the same key."""
    scheme = http_message_signatures(algorithm="hmac-sha256")
    assert scheme.covers == {"body", "timestamp", "method", "url"}
    assert scheme.verify(sent(), SHARED, NOW).covers == scheme.covers
    for less in ('("content-digest")', '("content-digest" "@method")', '("content-digest" "@target-uri")'):
        assert reason_of(scheme, signed(f"{less};created=1760000000"), SHARED) == "no_supported_signature"
    assert reason_of(scheme, replace(sent(), url=URL + "&b"), SHARED) == "signature_mismatch"
    assert reason_of(scheme, replace(sent(), method="PUT"), SHARED) == "signature_mismatch"


def test_the_guard_asks_for_what_a_scheme_needs() -> None:
    """A URL that is signed wants public_url, and a body that is not, a word of consent."""
    with pytest.raises(ConfigurationError, match="public_url"):
        verify_webhook(HMAC, secrets=SHARED)
    with pytest.raises(ConfigurationError, match="public_url"):
        verify_webhook(policy(components=["@authority"]), secrets=SHARED)
    with pytest.raises(ConfigurationError, match="allow_unsigned_body"):
        verify_webhook(policy(require_body=False), secrets=SHARED)
    verify_webhook(policy(components=["@path"]), secrets=SHARED)
    verify_webhook(policy(require_body=False), secrets=SHARED, allow_unsigned_body=True)
    assert policy(components=["@authority"]).verify(
        signed('("content-digest" "@authority");created=1760000000'), SHARED, NOW
    ).covers == {"body", "timestamp"}


def test_without_a_public_url_a_signed_address_does_not_count() -> None:
    """Nothing is made of the Host header; the log says that the signature is none that can be looked at."""
    delivery = replace(signed('("content-digest" "@authority");created=1760000000'), url="/hooks?a=1")
    assert reason_of(policy(), with_headers(delivery, host="api.example.com"), SHARED) == "no_supported_signature"


@dataclass(frozen=True)
class Stopped:
    """A clock that stands still."""

    def time(self) -> float:
        """Return the one time."""
        return NOW

    def monotonic(self) -> float:
        """Return the one time."""
        return NOW


def test_an_endpoint_gets_what_was_signed_for_it() -> None:
    """The address is the public one, behind whichever proxy; another body is refused, and the log says why."""

    @verify_webhook(HMAC, secrets=SHARED, public_url="https://api.example.com/")
    async def hook(webhook: Verified) -> list[str]:
        return sorted(webhook.covers)

    events = EventList()
    app = Starlette(routes=[Route("/hooks", hook, methods=["POST"])])
    Gate(log=events, clock=Stopped()).install(app)
    headers = headers_of(sent()) | {"host": "10.0.0.7:8000"}
    answer = Browser(app).post("/hooks?a=1", content=BODY, headers=headers)
    assert answer.json["data"] == ["body", "method", "timestamp", "url"]
    for path, body in (("/hooks?a=1", b"{}"), ("/hooks?a=2", BODY)):
        assert Browser(app).post(path, content=body, headers=headers).status == 401
    reasons = [event["reason"] for event in events if "reason" in event]
    assert reasons == [f"{HMAC.name}: body_digest_mismatch", f"{HMAC.name}: signature_mismatch"]


# When.


def test_the_time_is_off_by_its_tolerance_at_most() -> None:
    """Either way, to the second."""
    for off in (-300, 0, 300):
        assert HMAC.verify(sent(), SHARED, NOW + off).signed_at == datetime.fromtimestamp(NOW, UTC)
    assert reason_of(HMAC, sent(), SHARED, NOW + 301) == "timestamp_expired"
    assert reason_of(HMAC, sent(), SHARED, NOW - 301) == "timestamp_future"


def test_expires_is_the_senders_own_word() -> None:
    """RFC 9421, section 2.3: it counts within the tolerance, and without one."""
    delivery = signed('("content-digest");created=1760000000;expires=1760000010')
    for scheme in (policy(), policy(tolerance=None)):
        assert scheme.verify(delivery, SHARED, NOW + 10)
        assert reason_of(scheme, delivery, SHARED, NOW + 11) == "timestamp_expired"


def test_a_signature_without_a_time_is_for_ever() -> None:
    """So it is refused, unless no time is asked for; and then Verified says so."""
    delivery = signed('("content-digest")')
    assert reason_of(policy(), delivery, SHARED) == "timestamp_missing"
    timeless = policy(tolerance=None)
    assert "timestamp" not in timeless.covers
    verified = timeless.verify(delivery, SHARED, NOW)
    assert verified.signed_at is None
    assert verified.covers == {"body"}
    assert timeless.verify(sent(), SHARED, NOW + 10**6).signed_at == datetime.fromtimestamp(NOW, UTC)


@pytest.mark.parametrize(
    "parameters",
    [
        'created="1760000000"',
        "created=-1",
        "created=?1",
        "created",
        "created=100000000000",
        "created=1760000000;expires=:AA==:",
        "created=1760000000;expires=-1760000000",
        "created=1760000000;keyid=k1",
        "created=1760000000;tag=1",
        "created=1760000000;alg=hmac-sha256",
    ],
)
def test_parameters_have_their_types(parameters: str) -> None:
    """RFC 9421, section 2.3: times are integers, and names are strings; a date of another calendar is none."""
    delivery = signed(f'("content-digest");{parameters}')
    assert reason_of(policy(), delivery, SHARED) == "malformed"


def test_decimals_and_other_digits_are_no_times() -> None:
    """What is no integer of structured fields is refused before anybody computes with it."""
    for created in ("1760000000.0", "1_760_000_000", "\u0661\u0667\u0666", "1e9", "@1760000000"):
        headers = headers_of(signed('("content-digest");created=1760000000'))
        spelled = headers["signature-input"].replace("1760000000", created)
        raw = [(name.encode(), value.encode()) for name, value in (headers | {"signature-input": spelled}).items()]
        assert reason_of(policy(), Delivery(BODY, raw, url=URL), SHARED) == "malformed"


def test_the_signature_is_judged_before_time_and_body() -> None:
    """The log says "expired", or "another body", only of what was signed."""
    forged = with_headers(replace(sent(), body=b"{}"), signature="sig1=:AAAA:")
    assert reason_of(HMAC, forged, SHARED, NOW + 10**6) == "signature_mismatch"
    assert reason_of(HMAC, replace(sent(), body=b"{}"), SHARED, NOW + 10**6) == "timestamp_expired"


# By whom.


@pytest.mark.parametrize(
    ("options", "parameters", "reason"),
    [
        ({"key_id": "k1"}, "", "no_supported_signature"),
        ({"key_id": "k1"}, ';keyid="k2"', "no_supported_signature"),
        ({"key_id": "k1"}, ';keyid="k1"', None),
        ({"tag": "t"}, "", "no_supported_signature"),
        ({"tag": "t"}, ';tag="u"', "no_supported_signature"),
        ({"tag": "t"}, ';tag="t"', None),
        ({"label": "sig2"}, "", "no_supported_signature"),
        ({"label": "sig1"}, "", None),
        ({}, ';alg="hmac-sha256"', None),
        ({}, ';alg="HMAC-SHA256"', "no_supported_signature"),
        ({}, ';alg="ed25519"', "no_supported_signature"),
        ({}, ';keyid="any";tag="any";nonce="n";x=1', None),
    ],
)
def test_whose_signature_counts(options: dict[str, Any], parameters: str, reason: str | None) -> None:
    """Key, tag, label and algorithm are those of the configuration; what was not asked for does not matter."""
    delivery = signed(f'("content-digest");created=1760000000{parameters}')
    if reason is None:
        assert policy(**options).verify(delivery, SHARED, NOW)
    else:
        assert reason_of(policy(**options), delivery, SHARED) == reason


def test_one_signature_that_counts_is_enough() -> None:
    """Whatever stands beside it: another key's, another purpose's, an expired one; in whichever order."""
    good = signed('("content-digest");created=1760000000;tag="good"')
    others = [
        signed('("content-digest");created=1700000000'),
        signed('("content-digest");created=1760000000;alg="ed25519"'),
        signed('("@method");created=1760000000'),
        signed('("content-digest")'),
        with_headers(good, signature="sig1=:AAAA:"),
    ]
    alone = policy().verify(good, SHARED, NOW)
    for other in others:
        assert policy().verify(both(good, other), SHARED, NOW) == alone
        assert policy().verify(both(other, good), SHARED, NOW) == alone


def test_the_signature_that_came_furthest_says_why() -> None:
    """Of several that fail, the log has the reason that helps."""
    expired = signed('("content-digest");created=1700000000')
    unsigned = signed('("@method");created=1760000000')
    named = signed('("content-digest");created=1760000000;alg="ed25519"')
    assert reason_of(policy(), both(unsigned, expired), SHARED) == "timestamp_expired"
    assert reason_of(policy(), both(expired, unsigned), SHARED) == "timestamp_expired"
    assert reason_of(policy(), both(named, unsigned), SHARED) == "body_not_signed"


def test_read_says_what_the_first_signature_says() -> None:
    """For those who build on SignedScheme."""
    found = policy().read(both(signed('("content-digest");created=1760000000;expires=1760000001'), sent()))
    assert (found.signed_at, found.expires_at) == (NOW, NOW + 1)
    assert found.covers == {"body", "timestamp"}


@pytest.mark.parametrize(
    ("signature_input", "signature", "reason"),
    [
        (None, "sig1=:AAAA:", "signature_missing"),
        ("sig1=()", None, "signature_missing"),
        ("", "sig1=:AAAA:", "signature_missing"),
        ("sig1=()", " ", "signature_missing"),
        ("sig1=()", "sig2=:AAAA:", "malformed"),
        ("sig1=(), sig2=()", "sig1=:AAAA:", "malformed"),
        ("sig1=()", "sig1=:AAAA:, sig2=:AAAA:", "malformed"),
        ("sig1=(), sig1=()", "sig1=:AAAA:", "malformed"),
        ("sig1=()", "sig1=:AAAA:, sig1=:AAAA:", "malformed"),
        ('sig1="date"', "sig1=:AAAA:", "malformed"),
        ("sig1", "sig1=:AAAA:", "malformed"),
        ("sig1=()", 'sig1="AAAA"', "malformed"),
        ("sig1=()", "sig1=(:AAAA:)", "malformed"),
        ("sig1=()", "sig1=:A-_A:", "malformed"),
        ("sig1=()", "sig1", "malformed"),
        ("sig1=(", "sig1=:AAAA:", "malformed"),
        (f'sig1=();created=1;x="{"1" * 8192}"', "sig1=:AAAA:", "malformed"),
        ("sig1=()", "sig1=:" + "A" * 8192 + ":", "malformed"),
        (", ".join(f"s{n}=()" for n in range(17)), ", ".join(f"s{n}=:AAAA:" for n in range(17)), "malformed"),
        (", ".join(f"s{n}=()" for n in range(16)), ", ".join(f"s{n}=:AAAA:" for n in range(16)), "timestamp_missing"),
    ],
)
def test_what_is_no_signature_is_refused(signature_input: str | None, signature: str | None, reason: str) -> None:
    """RFC 9421, section 4: the two headers agree, label by label, or there is nothing to verify."""
    given = {"signature-input": signature_input, "signature": signature, "content-digest": SHA256}
    delivery = Delivery.of(BODY, {name: value for name, value in given.items() if value is not None}, url=URL)
    assert reason_of(policy(), delivery, SHARED) == reason


def test_signatures_in_two_lines_are_one_field() -> None:
    """RFC 9651, section 3.2: a proxy may add its own line; two lines of one label are refused."""
    first, second = headers_of(signed('("content-digest");created=1760000000')), headers_of(sent())
    lines = [(b"content-digest", SHA256.encode())]
    for name in ("signature-input", "signature"):
        lines += [(name.encode(), second[name].replace("sig1", "sig2").encode()), (name.encode(), first[name].encode())]
    assert policy().verify(Delivery(BODY, lines, url="/hooks"), SHARED, NOW)
    twice = [(name, value.replace(b"sig2", b"sig1")) for name, value in lines]
    assert reason_of(policy(), Delivery(BODY, twice, url=URL), SHARED) == "malformed"


# Configuration.


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"algorithm": "none"}, "write one of hmac-sha256, ed25519"),
        ({"algorithm": "rsa-v1_5-sha1"}, "write one of"),
        ({"tolerance": 0}, "write seconds"),
        ({"tolerance": float("nan")}, "write seconds"),
        ({"components": "@method"}, r'write a list, \["@method"\]'),
        ({"components": ["@status"]}, "'@status' is no component of a request"),
        ({"components": ["@signature-params"]}, "no component"),
        ({"components": ["@query-param"]}, "no component"),
        ({"components": ['"@query-param";name=a']}, "no component"),
        ({"components": ['"@method";req']}, "no component"),
        ({"components": ['"host";req']}, "no component"),
        ({"components": ["two words"]}, "no component"),
        ({"components": [""]}, "no component"),
        ({"components": ['"host']}, "no component"),
        ({"components": ['"hôst"']}, "no component"),
        ({"components": ['"\ud800"']}, "no component"),
        ({"components": ['"host", "date"']}, "no component"),
        ({"label": "Sig 1"}, "label='Sig 1'"),
        ({"label": ""}, "label=''"),
        ({"key_id": ""}, "key_id=''"),
        ({"key_id": "clé"}, "printable ASCII"),
        ({"tag": "a\nb"}, "tag="),
        ({"require_body": False, "event_id": "id"}, "require_body=True"),
        ({"require_body": False, "event_type": "type"}, "require_body=True"),
    ],
)
def test_what_no_signature_could_satisfy_is_refused(options: dict[str, Any], said: str) -> None:
    """A mistake in a configuration is told when it is made, with what to write instead."""
    with pytest.raises(ConfigurationError, match=said):
        http_message_signatures(**{"algorithm": "hmac-sha256", "components": (), **options})


def test_a_scheme_says_what_it_is() -> None:
    """In logs and errors: the scheme and its algorithm, and no key."""
    assert repr(HMAC) == "http_message_signatures(hmac-sha256)"


def test_the_event_is_read_from_a_signed_body() -> None:
    """A retry that is signed anew has another replay key, and the same event id."""
    scheme = policy(event_id="id", event_type=("event", "type"))
    body = b'{"id": "evt_1", "event": {"type": "paid"}}'
    first, second = (scheme.verify(sent(scheme, body, NOW + late), SHARED, NOW) for late in (0, 1))
    assert first.event_id == second.event_id == "evt_1"
    assert first.replay_key != second.replay_key
    assert scheme.event_type == ("event", "type")
    assert policy(event_id=("a", "b")).event_id == ("a", "b")
