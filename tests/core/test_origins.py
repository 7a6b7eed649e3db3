"""Origins: the one spelling that browsers use, and which of them is the server's own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ConfigurationError, Gate
from gatewright._core.origins import Origin, is_served, origins, parse_origin


@pytest.mark.parametrize(
    "written",
    [
        "https://example.com",
        "https://example.com:8443",
        "http://example.com",
        "http://localhost:3000",
        "http://under_score.internal",
        "http://192.168.1.5:8080",
        "http://[::1]:8000",
        "https://[2001:db8::1]",
        "https://xn--bcher-kva.example",
        "https://0x.example",
        "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
        "capacitor://localhost",
    ],
)
def test_an_origin_that_browsers_send_is_taken(written: str) -> None:
    """As it is: scheme, host, and a port that is not the scheme's own; schemes of apps and extensions too."""
    assert origins([written]) == {written}
    assert Gate(trusted_origins=[written]).trusted_origins == {written}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        # golang/go, net/http/csrf_test.go, TestCrossOriginProtectionAddTrustedOriginErrors
        ("example.com", 'such as "https://app.example.com"'),
        ("https://", 'such as "https://app.example.com"'),
        ("https://example.com/", 'write "https://example.com"'),
        ("https://example.com/path", 'write "https://example.com"'),
        ("https://example.com?query=value", 'write "https://example.com"'),
        ("https://example.com#fragment", 'write "https://example.com"'),
        ("https://ex ample.com", "such as"),
        ("", "such as"),
        ("null", "such as"),
        # and ours
        ("HTTPS://App.Example.com:443/x", 'write "https://app.example.com"'),
        ("http://example.com:80", 'write "http://example.com"'),
        ("https://example.com:", "such as"),
        ("https://example.com:99999", "such as"),
        ("https://example.com:0443", "such as"),
        ("https://user@example.com", "such as"),
        ("https://*.example.com", "there are no patterns"),
        ("*", "there are no patterns"),
        ("https://b\xfccher.example", "such as"),
        ("https://example.com.", "such as"),
        ("https://.example.com", "such as"),
        ("https://a..example.com", "such as"),
        ("https://-a.example.com", "such as"),
        ("https://a-.example.com", "such as"),
        ("https://010.0.0.1", "such as"),
        ("https://1.2.3", "such as"),
        ("https://[::0001]", "such as"),
        ("https://[127.0.0.1]", "such as"),
        ("https://[1:2]", "such as"),
        ("https://example.com\n", "such as"),
        ("https://\ud800.example", "such as"),
        ("wss://example.com", "such as"),
        ("file://host", "such as"),
        (None, "such as"),
        (b"https://example.com", "such as"),
    ],
)
def test_what_no_browser_sends_is_refused(wrong: Any, told: str) -> None:
    """It would never match; the message says what would."""
    with pytest.raises(ConfigurationError, match="is no origin that a browser sends") as caught:
        origins(["https://example.com", wrong])
    assert told in str(caught.value)


@pytest.mark.parametrize("wrong", ["https://example.com", b"https://example.com"])
def test_one_origin_is_no_list(wrong: Any) -> None:
    """A text is a sequence of letters, none of which is an origin."""
    with pytest.raises(ConfigurationError, match=r"are a list; write \["):
        Gate(trusted_origins=wrong)


def test_no_origin_is_trusted_by_default() -> None:
    """The host that serves a request needs no mention."""
    assert Gate().trusted_origins == frozenset()


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        (b"https://example.com", Origin("https", "example.com", None)),
        (b"HTTPS://EXAMPLE.com:443", Origin("https", "example.com", None)),
        (b"http://example.com:443", Origin("http", "example.com", 443)),
        (b"tauri://localhost:80", Origin("tauri", "localhost", 80)),
        (b"http://[2001:DB8::1]:80", Origin("http", "[2001:db8::1]", None)),
        (b"null", None),
        (b"", None),
        (b"https://", None),
        (b"https://a/", None),
        (b"https://a:b", None),
        (b"https://a, https://b", None),
        (b"https://a https://b", None),
        (b"https://a\n", None),
        (b"https://a@b", None),
        (b"https://a\xff", None),
        (b"https://\xc3\xa9", None),
    ],
)
def test_a_header_is_read_strictly(raw: bytes, parsed: Origin | None) -> None:
    """One origin, nothing before or after it; case and the scheme's own port make no difference."""
    assert parse_origin(raw) == parsed


@pytest.mark.parametrize(
    ("origin", "host", "over_tls", "over_http"),
    [
        (b"https://a.example", b"a.example", True, True),
        (b"https://a.example", b"A.Example", True, True),
        (b"https://a.example", b"a.example:443", True, True),
        (b"https://a.example:443", b"a.example", True, True),
        (b"https://a.example:8443", b"a.example:8443", True, True),
        (b"https://a.example:8443", b"a.example", False, False),
        (b"https://a.example", b"a.example:80", False, False),
        (b"https://a.example", b"b.example", False, False),
        (b"https://a.example", b"a.example.b.example", False, False),
        (b"http://a.example", b"a.example", False, True),
        (b"http://a.example", b"a.example:80", False, True),
        (b"http://a.example", b"a.example:443", False, False),
        (b"http://192.168.1.5:8080", b"192.168.1.5:8080", False, True),
        (b"http://[::1]:8000", b"[::1]:8000", False, True),
        (b"https://a.example", b"", False, False),
        (b"https://a.example", b"x@a.example", False, False),
        (b"https://a.example", b"a.example/", False, False),
        (b"https://a.example", b"a.example, a.example", False, False),
        (b"https://a.example", b"a.example\xff", False, False),
        (b"capacitor://localhost", b"localhost", False, False),
    ],
)
def test_an_origin_is_compared_with_the_host_that_is_asked_for(
    origin: bytes, host: bytes, over_tls: bool, over_http: bool
) -> None:
    """Host and port, without the scheme's own; over TLS the scheme too, which is not known otherwise."""
    parsed = parse_origin(origin)
    assert parsed is not None
    assert (is_served(parsed, host, True), is_served(parsed, host, False)) == (over_tls, over_http)


@given(raw=st.binary(), host=st.binary(), secure=st.booleans())
def test_no_bytes_are_too_odd(raw: bytes, host: bytes, secure: bool) -> None:
    """Whatever a client sends is an origin in its one spelling, or none."""
    for text in (raw, b"https://" + raw):
        origin = parse_origin(text)
        if origin is not None:
            assert parse_origin(str(origin).encode()) == origin
            is_served(origin, host, secure)


@given(st.text() | st.text("https://exampl.c0m:*[]-_").map("https://{}".format))
def test_advice_can_be_followed(text: str) -> None:
    """Where a message names an origin, that one is taken."""
    try:
        assert {str(parse_origin(text.encode()))} == origins([text])
    except ConfigurationError as refused:
        _, quoted, meant = str(refused).rpartition('write "')
        if quoted:
            assert origins([meant.rstrip('"')])
