"""What every answer gets, and what an answer that has it already keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import HeaderPolicy
from gatewright._core.headers import API, dress
from gatewright._core.outcome import RawHeaders
from gatewright.errors import ConfigurationError

JSON = (b"content-type", b"application/json")
HTML = (b"content-type", b"text/html; charset=utf-8")
CSP, HSTS, ID = b"content-security-policy", b"strict-transport-security", b"x-request-id"


def dressed(
    *headers: tuple[bytes, bytes],
    added: RawHeaders | None = None,
    policy: HeaderPolicy | None = API,
    secure: bool = True,
) -> RawHeaders:
    """Return what leaves for an answer with *headers*."""
    raw = list(headers)
    dress(raw, added or [], "id-1", policy, secure)
    return raw


def test_an_answer_of_data_gets_the_whole_policy() -> None:
    """The names and values that ASVS 5.0 and OWASP have for an API."""
    assert dict(dressed(JSON)) == {
        b"content-type": b"application/json",
        b"x-request-id": b"id-1",
        b"content-security-policy": b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        b"x-content-type-options": b"nosniff",
        b"referrer-policy": b"no-referrer",
        b"x-frame-options": b"DENY",
        b"cross-origin-resource-policy": b"same-origin",
        b"cross-origin-opener-policy": b"same-origin",
        b"strict-transport-security": b"max-age=63072000; includeSubDomains",
    }


def test_hsts_is_for_https() -> None:
    """Over plain HTTP it means nothing (RFC 6797, section 7.2), and all else stays."""
    assert {name for name, _ in dressed(JSON)} - {name for name, _ in dressed(JSON, secure=False)} == {HSTS}


@pytest.mark.parametrize("secure", [True, False])
def test_a_page_may_run_its_scripts_and_is_not_framed(secure: bool) -> None:
    """Interactive docs that a framework serves go on working."""
    (policy,) = [value for name, value in dressed(HTML, secure=secure) if name == CSP]
    assert policy == b"base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    assert (b"x-content-type-options", b"nosniff") in dressed(HTML, secure=secure)


def test_the_forms_of_a_page_say_where_they_are_from() -> None:
    """Under `no-referrer` a browser sends them with `Origin: null` (Fetch), which no cross-origin check lets pass."""
    for policy, sent in ((API, b"same-origin"), (HeaderPolicy(referrer_policy="origin"), b"origin")):
        assert dict(dressed(HTML, policy=policy))[b"referrer-policy"] == sent


def test_an_answer_without_a_type_is_data() -> None:
    """An empty answer is not a page."""
    assert b"default-src 'none'" in dict(dressed())[CSP]


@pytest.mark.parametrize("type_", [JSON, HTML])
@pytest.mark.parametrize("name", sorted(API.names))
def test_what_an_answer_says_itself_wins(type_: tuple[bytes, bytes], name: bytes) -> None:
    """A handler knows better what its own answer needs; nothing is sent twice."""
    assert [value for key, value in dressed(type_, (name, b"own")) if key == name] == [b"own"]


def test_an_answer_with_an_id_of_its_own_has_one_id() -> None:
    """An app that sets `X-Request-Id` itself does not make a client choose between two."""
    assert len([name for name, _ in dressed(JSON, (ID, b"other")) if name == ID]) == 1


def test_no_policy_sends_no_security_headers() -> None:
    """The request id is not one of them."""
    assert dressed(JSON, policy=None) == [JSON, (ID, b"id-1")]


def test_a_header_of_the_policy_can_be_left_out_or_changed() -> None:
    """None leaves one out, a text stands in its place; `nosniff` always goes along."""
    policy = HeaderPolicy(
        content_security_policy=None,
        strict_transport_security=None,
        referrer_policy=None,
        frame_options="SAMEORIGIN",
        cross_origin_resource_policy=None,
        cross_origin_opener_policy=None,
        permissions_policy="geolocation=()",
    )
    expected = [(b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"SAMEORIGIN")]
    for type_ in (JSON, HTML):
        found = dressed(type_, policy=policy)
        assert found[2:] == [*expected, (b"permissions-policy", b"geolocation=()")]


def test_policies_compare_by_what_they_say() -> None:
    """What is prebuilt is not part of the value."""
    assert HeaderPolicy() == API != HeaderPolicy(frame_options=None)
    assert {"http", "https", "names"}.isdisjoint(part.partition("=")[0].strip() for part in repr(API).split(","))
    assert len({HeaderPolicy(), HeaderPolicy(), API}) == 1


@pytest.mark.parametrize("value", ["", "a\r\nSet-Cookie: b=c", "a\n", "é", "\0", "\x7f", "\t"])
def test_a_value_that_a_header_cannot_carry_is_refused(value: str) -> None:
    """At import, not by a server that drops the connection."""
    with pytest.raises(ConfigurationError, match="referrer-policy"):
        HeaderPolicy(referrer_policy=value)


@given(st.text(max_size=20))
def test_a_policy_is_printable_or_refused(value: str) -> None:
    """No text makes it into a header that is not printable ASCII."""
    arguments: dict[str, Any] = {"permissions_policy": value}
    try:
        policy = HeaderPolicy(**arguments)
    except ConfigurationError:
        assert not value or not value.isascii() or not value.isprintable()
    else:
        assert value.isascii()
        assert value.isprintable()
        assert (b"permissions-policy", value.encode()) in policy.http


def test_of_headers_added_twice_the_inner_one_wins() -> None:
    """The inner guard, which adds last, knows more."""
    added = [(b"ratelimit", b"outer"), (b"ratelimit", b"inner")]
    assert [value for name, value in dressed(JSON, added=added) if name == b"ratelimit"] == [b"inner"]


def test_an_added_header_yields_to_the_answers_own() -> None:
    """A guard adds what is not there."""
    assert dressed(JSON, added=[(b"content-type", b"text/plain"), (CSP, b"guards")], policy=None)[:1] == [JSON]
    assert dict(dressed(JSON, added=[(CSP, b"guards")]))[CSP] == b"guards"


@pytest.mark.parametrize("name", [b"set-cookie", b"link", b"vary", b"www-authenticate", b"server-timing"])
def test_headers_that_may_occur_several_times_all_leave(name: bytes) -> None:
    """Two guards that set a cookie each set both."""
    found = dressed(JSON, (name, b"own"), added=[(name, b"outer"), (name, b"inner")])
    assert sorted(value for key, value in found if key == name) == [b"inner", b"outer", b"own"]


@pytest.mark.parametrize("name", [b"link", b"vary"])
def test_the_same_thing_is_said_once(name: bytes) -> None:
    """Two guards that vary by the same header, or a guard and the answer, do not repeat one another."""
    found = dressed(JSON, (name, b"own"), added=[(name, b"own"), (name, b"two"), (name, b"two")])
    assert [value for key, value in found if key == name] == [b"own", b"two"]
