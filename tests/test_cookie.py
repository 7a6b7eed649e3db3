"""Cookies as values: strict by default, and refused where a browser would drop them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import Cookie, Gate
from gatewright.errors import ConfigurationError

KEY = "0123456789abcdef0123456789abcdef"
GATE = Gate(keys=[KEY])
OCTETS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\')


@dataclass(frozen=True)
class Signed:
    """A value that is made with the gate's keys."""

    text: str

    def settle(self, gate: Gate) -> str:
        """Show that the gate was there."""
        return f"{self.text}.{len(gate.require_keys('test'))}"


def test_every_default_is_the_strict_one() -> None:
    """Nothing but a name and a value has to be written for a cookie that is safe to sign in with."""
    assert Cookie("sid", "abc").header(GATE) == b"sid=abc; Path=/; Secure; HttpOnly; SameSite=Lax"


def test_every_attribute_can_be_set() -> None:
    """Each argument stands in the header under its own name."""
    cookie = Cookie(
        "sid",
        "abc",
        max_age=60,
        path="/a",
        domain="example.org",
        http_only=False,
        same_site="none",
        partitioned=True,
    )
    assert cookie.header(GATE) == (
        b"sid=abc; Path=/a; Max-Age=60; Domain=example.org; Secure; SameSite=None; Partitioned"
    )


def test_a_cookie_for_plain_http_has_to_be_asked_for() -> None:
    """Only `secure=False` leaves `Secure` out."""
    assert Cookie("sid", "abc", secure=False, same_site="strict").header(GATE) == (
        b"sid=abc; Path=/; HttpOnly; SameSite=Strict"
    )


def test_an_age_of_zero_deletes() -> None:
    """Zero is an age, unlike None."""
    assert b"; Max-Age=0;" in Cookie("sid", "", max_age=0).header(GATE)


def test_a_pending_value_is_settled_by_the_gate() -> None:
    """A cookie can be made where no key is at hand; the gate signs it when the answer is made."""
    assert Cookie("sid", Signed("abc")).header(GATE).startswith(b"sid=abc.1;")


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "a,b", 'a"b', "é", "a\r\nb", "a\n", "(a)"])
def test_a_name_that_would_break_the_header_is_refused(name: str) -> None:
    """A name is a token of RFC 9110."""
    with pytest.raises(ConfigurationError, match="a name is"):
        Cookie(name, "x")


@pytest.mark.parametrize("attribute", ["", "/;a", "/\r\nSet-Cookie: b=c", "/é", "/a\n", "\0"])
@pytest.mark.parametrize("argument", ["path", "domain"])
def test_an_attribute_that_would_add_another_is_refused(argument: str, attribute: str) -> None:
    """A path or domain out of a request cannot write further attributes or headers."""
    arguments: dict[str, Any] = {argument: attribute}
    with pytest.raises(ConfigurationError, match="cannot stand"):
        Cookie("sid", "x", **arguments)


@pytest.mark.parametrize("wrong", [{"secure": False}, {"path": "/a"}, {"domain": "example.org"}])
def test_a_host_cookie_keeps_its_promise(wrong: dict[str, Any]) -> None:
    """A browser drops a `__Host-` cookie that is not of this host alone (RFC 6265bis, section 4.1.3.2)."""
    Cookie("__Host-sid", "x")
    with pytest.raises(ConfigurationError, match="__Host- wants secure=True"):
        Cookie("__Host-sid", "x", **wrong)


def test_a_prefix_counts_in_any_case() -> None:
    """Browsers compare `__Host-` and `__Secure-` without regard to case (RFC 6265bis, section 5.7)."""
    with pytest.raises(ConfigurationError):
        Cookie("__HOST-sid", "x", domain="example.org")
    with pytest.raises(ConfigurationError):
        Cookie("__secure-sid", "x", secure=False)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("__Secure-sid", {}),
        ("sid", {"same_site": "none"}),
        ("sid", {"partitioned": True}),
    ],
)
def test_what_needs_https_is_refused_without_secure(name: str, wrong: dict[str, Any]) -> None:
    """A browser drops these over plain HTTP; so the developer hears of it first."""
    Cookie(name, "x", **wrong)
    with pytest.raises(ConfigurationError, match="want secure=True"):
        Cookie(name, "x", secure=False, **wrong)


@pytest.mark.parametrize("same_site", ["no", "lax; Domain=evil.example"])
def test_an_unknown_same_site_is_refused(same_site: str) -> None:
    """An untyped caller cannot turn the defence off with a typo, or write further attributes."""
    with pytest.raises(ConfigurationError, match="same_site"):
        Cookie("sid", "x", same_site=same_site)  # type: ignore[arg-type]  # what an untyped caller writes


@pytest.mark.parametrize(
    "value", ["a b", "a;b", "a,b", 'a"b', "a\\b", "é", "a\r\nSet-Cookie: b=c", "a\n", "\0", "\x7f"]
)
def test_a_value_that_a_cookie_cannot_carry_is_refused(value: str) -> None:
    """A value never ends the pair, and never the header (RFC 6265, section 4.1.1)."""
    with pytest.raises(ConfigurationError, match="encode the value"):
        Cookie("sid", value).header(GATE)


def test_a_pending_value_is_checked_like_any_other() -> None:
    """What a guard of one's own settles to cannot split the header either."""
    with pytest.raises(ConfigurationError, match="encode the value"):
        Cookie("sid", Signed("a;b")).header(GATE)


def test_a_cookie_over_4096_bytes_is_refused() -> None:
    """Browsers drop it without a word: name and value together have 4096 bytes (RFC 6265bis, section 5.6)."""
    assert len(Cookie("sid", "x" * 4093).header(GATE)) > 4096
    with pytest.raises(ConfigurationError, match="4096 bytes"):
        Cookie("sid", "x" * 4094).header(GATE)


@pytest.mark.parametrize("wrong", ["a;b", "x" * 5000])
def test_no_message_shows_the_value(wrong: str) -> None:
    """A value is a credential more often than not; errors are logged."""
    with pytest.raises(ConfigurationError) as caught:
        Cookie("sid", wrong).header(GATE)
    assert wrong not in str(caught.value)


@given(st.text(OCTETS, max_size=200))
def test_what_is_set_is_what_a_parser_reads(value: str) -> None:
    """Every value that passes comes back as it was."""
    header = Cookie("sid", value).header(GATE).decode()
    assert re.match(r"sid=([^;]*);", header)[1] == value  # type: ignore[index]  # it matches
    parsed = SimpleCookie(header)["sid"]
    assert (parsed.value, parsed["path"], parsed["samesite"]) == (value, "/", "Lax")


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_text_adds_an_attribute_or_a_header(name: str, value: str) -> None:
    """Whatever is put into a cookie, its header has the attributes that were asked for, or there is none."""
    try:
        header = Cookie(name, value).header(GATE)
    except ConfigurationError:
        return
    assert header.split(b"; ")[1:] == [b"Path=/", b"Secure", b"HttpOnly", b"SameSite=Lax"]
    assert not set(b"\r\n\0") & set(header)
