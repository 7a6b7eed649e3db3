"""HubSpot's third version: method, URL, body and time, and twelve escapes that are taken out before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.webhooks import Delivery
from gatewright.webhooks.schemes.hubspot import hubspot
from tests.webhooks.kit import NOW, headers_of, reason_of, recorded

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
BODY = b'[{"eventId":1}]'
PLAIN = "https://www.example.com/hook?a=:/?@!$'()*,;"
ESCAPED = "https://www.example.com/hook?a=%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B"


def test_sign_makes_what_hubspots_library_made() -> None:
    """To the byte, from method, URL, body and milliseconds."""
    theirs = recorded("hubspot-v3-ok")
    signed = hubspot().sign(theirs.delivery.body, theirs.secret, theirs.now, url=theirs.delivery.url)
    assert headers_of(signed).items() <= headers_of(theirs.delivery).items()


def test_the_twelve_escapes_are_taken_out_of_the_url() -> None:
    """The URL that is signed has the characters; the one that is called may have the escapes, in either case."""
    signed = hubspot().sign(BODY, SECRET, NOW, url=PLAIN)
    for url in (ESCAPED, ESCAPED.replace("%3A", "%3a").replace("%2F", "%2f")):
        assert hubspot().verify(replace(signed, url=url), SECRET, NOW).event_id is None
    kept = hubspot().sign(BODY, SECRET, NOW, url=ESCAPED)
    assert (kept.headers, kept.url) == (signed.headers, ESCAPED)


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [("%20", " "), ("%26", "&"), ("%3D", "="), ("%2B", "+"), ("%23", "#"), ("%25", "%"), ("%C3%A9", "é"), ("+", " ")],
)
def test_no_other_escape_is_taken_out(escaped: str, plain: str) -> None:
    """Decoding everything would make two URLs one, and HubSpot's signatures wrong."""
    signed = hubspot().sign(BODY, SECRET, NOW, url=f"https://e.example/?a={escaped}")
    other = replace(signed, url=f"https://e.example/?a={plain}")
    assert reason_of(hubspot(), other, SECRET) == "signature_mismatch"


def test_an_escape_is_taken_out_once() -> None:
    """An escaped escape stays an escape."""
    signed = hubspot().sign(BODY, SECRET, NOW, url="https://e.example/?a=%253A")
    other = replace(signed, url="https://e.example/?a=%3A")
    assert reason_of(hubspot(), other, SECRET) == "signature_mismatch"


@given(st.text(max_size=60))
def test_any_url_is_signed_as_it_is_verified(url: str) -> None:
    """Whatever stands in the URL, the two sides decode it alike."""
    assert hubspot().verify(hubspot().sign(BODY, SECRET, NOW, url=url), SECRET, NOW).covers == hubspot().covers


def test_the_method_is_signed() -> None:
    """A captured POST is no PUT."""
    signed = hubspot().sign(BODY, SECRET, NOW, url=PLAIN, method="POST")
    assert reason_of(hubspot(), replace(signed, method="PUT"), SECRET) == "signature_mismatch"


def test_older_versions_are_not_read() -> None:
    """They are no HMAC and sign no time; a delivery that has nothing better has nothing."""
    v1 = "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"
    headers = {"X-HubSpot-Signature": v1, "X-HubSpot-Signature-Version": "v1"}
    assert reason_of(hubspot(), Delivery.of(BODY, headers), SECRET) == "signature_missing"


def test_hubspot_says_what_it_is() -> None:
    """What is covered is all there is, and the name has the tolerance."""
    assert hubspot().covers == {"method", "url", "body", "timestamp"}
    assert repr(hubspot()) == "hubspot(tolerance=300)"
