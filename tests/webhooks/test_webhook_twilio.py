"""Twilio: a URL in three spellings, the parameters of a form, or the digest of a body."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.webhooks import Delivery
from gatewright.webhooks.schemes.mac import Hash, Mac
from gatewright.webhooks.schemes.twilio import twilio
from tests.webhooks.kit import NOW, headers_of, reason_of, recorded

SECRET = "12345"
URL = "https://hooks.example.com/in?foo=1"
FORM = "application/x-www-form-urlencoded"
SETTINGS = "X-Twilio-Webhooks-Signature-Settings"
JSON = b'{"a":"\xc3\xa9"}'


def delivered(
    message: str,
    body: bytes = b"",
    *,
    url: str = URL,
    content_type: str | None = FORM,
    algorithm: Hash = "sha1",
    settings: str | None = None,
) -> Delivery:
    """Return a delivery whose signature is that of *message*."""
    headers = {"X-Twilio-Signature": Mac(algorithm, "base64").sign(SECRET, message.encode()).decode()}
    headers |= {} if content_type is None else {"Content-Type": content_type}
    headers |= {} if settings is None else {SETTINGS: settings}
    return Delivery.of(body, headers, url=url)


def accepted(delivery: Delivery) -> bool:
    """Say whether *delivery* verifies."""
    return twilio().verify(delivery, SECRET, NOW).scheme == "twilio"


def digest(body: bytes) -> str:
    """Return what Twilio appends to the URL of a body that is no form."""
    return f"bodySHA256={sha256(body).hexdigest()}"


@pytest.mark.parametrize("name", ["twilio-docs", "twilio-repeated-param", "twilio-space-param", "twilio-get-no-params"])
def test_sign_makes_what_twilios_library_made(name: str) -> None:
    """To the byte, for forms and for a GET request."""
    theirs = recorded(name)
    given_ = theirs.delivery
    signed = twilio().sign(given_.body, theirs.secret, NOW, url=given_.url, method=given_.method)
    assert headers_of(signed)["x-twilio-signature"] == headers_of(given_)["x-twilio-signature"]
    assert (signed.url, signed.body, signed.method) == (given_.url, given_.body, given_.method)


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=5))
def test_any_form_is_signed_by_its_sorted_parameters(pairs: list[tuple[str, str]]) -> None:
    """Names sort first, then values, each pair once; escapes, blanks and other scripts are read as they were meant."""
    body = urlencode(pairs, errors="replace").encode()
    signed = twilio().sign(body, SECRET, NOW, url=URL)
    clean = {tuple(part.encode("utf-8", "replace").decode() for part in pair) for pair in pairs}
    message = URL + "".join(name + value for name, value in sorted(clean))
    assert headers_of(signed)["x-twilio-signature"] == headers_of(delivered(message))["x-twilio-signature"]
    if message != URL:
        assert accepted(signed)


def test_bytes_that_are_no_utf8_are_signed_as_they_are() -> None:
    """Neither an escape nor a raw byte of another encoding is replaced by anything."""
    assert accepted(twilio().sign(b"a=%ff&b=\xff", SECRET, NOW, url=URL))
    other = replace(twilio().sign(b"a=%ff", SECRET, NOW, url=URL), body=b"a=%fe")
    assert reason_of(twilio(), other, SECRET) == "signature_mismatch"


def test_blank_values_count() -> None:
    """A blank parameter's name is signed, so nobody may add or drop it."""
    assert accepted(delivered(URL + "A1B", b"A=1&B="))
    assert reason_of(twilio(), delivered(URL + "A1", b"A=1&B="), SECRET) == "signature_mismatch"


def test_another_parameter_is_refused() -> None:
    """Adding or changing one changes what is signed."""
    for body in (b"A=2", b"A=1&B=1", b"A=1&A=2", b"C=1"):
        assert reason_of(twilio(), delivered(URL + "A1", body), SECRET) == "signature_mismatch"


@pytest.mark.parametrize("scheme", ["https", "http", "HTTPS"])
@pytest.mark.parametrize("host", ["hooks.example.com", "user:pass@hooks.example.com", "[::1]"])
@pytest.mark.parametrize("rest", ["/in", "/in?foo=1:2", "?foo=1", ""])
def test_the_default_port_may_be_signed_or_not(scheme: str, host: str, rest: str) -> None:
    """Twilio signs its URL with the port or without; of the host, path and query it changes nothing."""
    default = "80" if scheme == "http" else "443"
    plain, ported = f"{scheme}://{host}{rest}", f"{scheme}://{host}:{default}{rest}"
    for called in (plain, ported):
        for signed in (plain, ported):
            assert accepted(delivered(signed, url=called))
    assert reason_of(twilio(), delivered(f"{scheme}://{host}:81{rest}", url=plain), SECRET) == "signature_mismatch"


def test_a_port_of_ones_own_may_be_left_out() -> None:
    """As Twilio's library has it; but no other port takes its place."""
    url = "https://hooks.example.com:8443/in"
    assert accepted(delivered(url, url=url))
    assert accepted(delivered("https://hooks.example.com/in", url=url))
    assert reason_of(twilio(), delivered("https://hooks.example.com:443/in", url=url), SECRET) == "signature_mismatch"


@pytest.mark.parametrize("url", ["/in", "https://a:b:c/", "", "ftp://a:21/"])
def test_what_is_no_web_address_is_taken_as_it_is(url: str) -> None:
    """Nothing is guessed of it."""
    assert accepted(delivered(url, url=url))


def test_json_counts_by_its_digest_in_the_url() -> None:
    """The URL is signed, and the digest in it is the body's."""
    signed = twilio().sign(JSON, SECRET, NOW, url=URL)
    assert signed.url == f"{URL}&{digest(JSON)}"
    assert headers_of(signed)["content-type"] == "application/json"
    assert accepted(signed)
    assert reason_of(twilio(), replace(signed, body=JSON + b" "), SECRET) == "body_digest_mismatch"
    assert reason_of(twilio(), replace(signed, body=b""), SECRET) == "body_digest_mismatch"
    assert twilio().sign(b" [1]", SECRET, NOW, url="https://a.example").url.startswith("https://a.example?bodySHA256=")


def test_a_digest_in_the_url_is_signed() -> None:
    """Another body with its own digest is another URL."""
    other = b'{"a":2}'
    forged = replace(twilio().sign(JSON, SECRET, NOW, url=URL), body=other, url=f"{URL}&{digest(other)}")
    assert reason_of(twilio(), forged, SECRET) == "signature_mismatch"


def test_two_digests_have_to_agree() -> None:
    """Two readers could take one each."""
    url = f"{URL}&{digest(JSON)}&bodySHA256=00"
    assert reason_of(twilio(), delivered(url, JSON, url=url), SECRET) == "body_digest_mismatch"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", None])
def test_a_body_that_nothing_signs_is_refused(content_type: str | None) -> None:
    """Without a digest the signature says nothing of it, whatever it is called."""
    assert reason_of(twilio(), delivered(URL, JSON, content_type=content_type), SECRET) == "body_not_signed"


def test_a_form_without_parameters_is_no_way_around_that() -> None:
    """The content type is not signed: a body of nothing but separators adds nothing to what is."""
    assert reason_of(twilio(), delivered(URL, b"&&&"), SECRET) == "body_not_signed"
    url = f"{URL}&{digest(JSON)}"
    assert reason_of(twilio(), delivered(url, b"&&&", url=url), SECRET) == "body_digest_mismatch"


def test_a_form_with_parameters_of_its_content_type() -> None:
    """Twilio names the charset, too."""
    assert accepted(delivered(URL + "A1", b"A=1", content_type=f"{FORM.upper()} ; charset=UTF-8"))


def test_a_shared_key_signs_with_sha256() -> None:
    """The settings name the algorithm, in either case; each signature is looked at with that one alone."""
    key = "key=webhooks_sharedkey_1,algorithm="
    assert accepted(delivered(URL, algorithm="sha256", settings=f"{key}HMAC_SHA256"))
    assert accepted(delivered(URL, algorithm="sha256", settings="algorithm = hmac_sha256 , key=k"))
    assert accepted(delivered(URL, algorithm="sha1", settings=f"{key}HMAC_SHA1"))
    weaker = delivered(URL, algorithm="sha1", settings=f"{key}HMAC_SHA256")
    unnamed = delivered(URL, algorithm="sha256")
    for delivery in (weaker, unnamed):
        assert reason_of(twilio(), delivery, SECRET) == "signature_mismatch"


@pytest.mark.parametrize("settings", ["", "key=k", "algorithm=", "nonsense", "=,="])
def test_settings_without_an_algorithm_are_those_of_the_account(settings: str) -> None:
    """As Twilio's library has it: without a name it is HMAC-SHA1, and never anything else."""
    assert accepted(delivered(URL, settings=settings))
    assert reason_of(twilio(), delivered(URL, algorithm="sha256", settings=settings), SECRET) == "signature_mismatch"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("key=k,algorithm=HMAC_MD5", "no_supported_signature"),
        ("algorithm=none", "no_supported_signature"),
        ("algorithm=HMAC_SHA256,algorithm=HMAC_SHA1", "malformed"),
    ],
)
def test_another_algorithm_is_refused(settings: str, reason: str) -> None:
    """What is not known is not guessed, and of two nobody chooses."""
    assert reason_of(twilio(), delivered(URL, settings=settings), SECRET) == reason


def test_a_delivery_without_a_signature_is_refused() -> None:
    """There is nothing else to believe."""
    assert reason_of(twilio(), Delivery.of(b"A=1", {"Content-Type": FORM}, url=URL), SECRET) == "signature_missing"


def test_twilio_says_what_it_is() -> None:
    """It signs URL and body, no time; and what it reads as an answer is TwiML that does nothing."""
    scheme = twilio()
    assert (repr(scheme), scheme.covers) == ("twilio()", {"url", "body"})
    assert scheme.received.media_type == "text/xml"
    assert scheme.received.body.endswith(b"<Response/>")
    assert scheme == twilio()
    scheme.check(SECRET)


def test_a_flood_of_fields_is_refused_before_it_is_read() -> None:
    """A megabyte of ampersands would hold the event loop for half a second, whoever wrote it."""
    url, headers = "https://api.example.com/sms", {"X-Twilio-Signature": "A" * 28, "Content-Type": FORM}
    for fields, reason in ((1000, "signature_mismatch"), (1001, "malformed")):
        flood = Delivery.of(b"&".join([b"a=1"] * fields), headers, url=url)
        assert reason_of(twilio(), flood, "a secret") == reason
