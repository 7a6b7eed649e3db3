"""A URL of somebody else's is read strictly, once, and as every other parser reads it."""

from __future__ import annotations

from ipaddress import IPv6Address
from socket import AF_INET, AF_INET6, AI_NUMERICHOST, gaierror, getaddrinfo
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewright.errors import InvalidInput
from gatewright.webhooks.sending.addresses import check_url, is_public
from gatewright.webhooks.sending.endpoint import Endpoint, UnsafeUrl


@pytest.mark.parametrize(
    ("url", "endpoint", "authority"),
    [
        ("https://example.com", Endpoint("https", "example.com", 443, "/"), "example.com"),
        ("HTTPS://EXAMPLE.com:443/A?b=C", Endpoint("https", "example.com", 443, "/A?b=C"), "example.com"),
        ("https://example.com.:8443/", Endpoint("https", "example.com", 8443, "/"), "example.com:8443"),
        ("http://example.com:443?x", Endpoint("http", "example.com", 443, "/?x"), "example.com:443"),
        ("http://example.com:0080/%e4", Endpoint("http", "example.com", 80, "/%e4"), "example.com"),
        ("https://a_b.xn--4ca.de/", Endpoint("https", "a_b.xn--4ca.de", 443, "/"), "a_b.xn--4ca.de"),
        ("https://93.184.216.34/", Endpoint("https", "93.184.216.34", 443, "/"), "93.184.216.34"),
        ("https://[2606:2800:0::1]/", Endpoint("https", "2606:2800::1", 443, "/"), "[2606:2800::1]"),
        ("http://[::1]:1/", Endpoint("http", "::1", 1, "/"), "[::1]:1"),
        ("https://e.com/@a/:b/..c?/../@", Endpoint("https", "e.com", 443, "/@a/:b/..c?/../@"), "e.com"),
    ],
)  # fmt: skip
def test_a_url_is_read(url: str, endpoint: Endpoint, authority: str) -> None:
    """Case and default ports of the host are made one; path and query stay as they are."""
    assert Endpoint.of(url) == endpoint
    assert endpoint.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "", "https://", "https:///", "example.com", "//example.com/", "https:example.com", "https:/example.com",
        "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "httpſ://example.com/",
        # Two readers, two hosts.
        "https://user@example.com/", "https://user:pass@example.com/", "https://example.com@127.0.0.1/",
        "https://example.com:443@127.0.0.1/", "https://example.com#@127.0.0.1/", "https://127.0.0.1\\@example.com/",
        "https://example.com\\.evil.com/", "https:\\\\example.com/", "https://example.com;.evil.com/",
        "https://exam%70le.com/", "https://example.com/#fragment", "https://example.com/a b",
        " https://example.com/", "https://example.com/ ", "https://example.com/\n", "https://exam\tple.com/",
        "https://example.com/\r\nX-Evil: 1", "https://example.com/\x00", "https://example.com\u3002evil.com/",
        # Other scripts: each library maps them in its own way.
        "https://münchen.de/", "https://１２７.0.0.1/", "https://ⓛocalhost/", "https://example.com/ü",
        "https://example.com/?ü",
        # Other spellings of IPv4, which getaddrinfo() takes.
        "https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://127.1/", "https://0177.0.0.1/",
        "https://127.0.0.01/", "https://1.2.3.4.5/", "https://256.1.1.1/", "https://foo.0x/", "https://foo.1/",
        "https://1.2.3/", "https://0/", "https://1.2.3.4../",
        # IPv6 that is none.
        "https://[::1/", "https://::1/", "https://[]/", "https://[::1%25eth0]/", "https://[::1%eth0]/", "https://[1.2.3.4]/",
        "https://[fe80::1]x/", "https://[::1]./", "https://[v1.x]/",
        # Names that are none.
        "https://./", "https://.com/", "https://a..b/", "https://-a.com/", "https://a-.com/", "https://*.example.com/",
        f"https://{'a' * 64}.com/", f"https://{'a.' * 126}com/", "https://example.com../",
        # Ports that are none.
        "https://example.com:/", "https://example.com:0/", "https://example.com:65536/", "https://example.com:+1/",
        "https://example.com:443443/", "https://example.com:٤٤٣/", "https://example.com:-1/",
        # Targets that clients write differently.
        "https://example.com/a/../b", "https://example.com/./b", "https://example.com/..", "https://example.com/.?x",
        "https://example.com/%zz", "https://example.com/%a", "https://example.com/?%", "https://example.com/?a[]=1",
        "https://example.com/\ud800", f"https://example.com/{'a' * 2048}",
    ],
)  # fmt: skip
def test_what_parsers_disagree_about_is_refused(url: str) -> None:
    """One meaning or none: whatever is read in two ways is no URL here."""
    with pytest.raises(UnsafeUrl):
        Endpoint.of(url)


def test_the_refusal_is_an_answer() -> None:
    """An app that registers a URL may let the refusal through: 400, with a sentence that the customer may read."""
    with pytest.raises(InvalidInput) as refused:
        check_url("https://10.0.0.1/")
    assert (refused.value.status_code, refused.value.code) == (400, "unsafe_url")
    assert refused.value.details == {"url": ["Use a host whose addresses are all public"]}
    assert refused.value.reason == "10.0.0.1 has the address 10.0.0.1"


def test_the_target_is_in_no_repr() -> None:
    """A path may be a secret: that of many receivers is."""
    assert "token" not in repr(Endpoint.of("https://example.com/token?token"))


HOSTS = st.one_of(
    st.text("0123456789abcdefx.:[]%@-_", min_size=1, max_size=20),
    st.lists(st.integers(0, 300).map(str) | st.integers(0, 2**32).map(hex), min_size=1, max_size=5).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.ip_addresses(v=4).map(lambda address: str(int(address))),
    st.ip_addresses(v=4).map(lambda address: f"[::ffff:{address}]"),
    st.sampled_from(["localhost", "LOCALHOST.", "metadata.google.internal", "example.com", "a.home.arpa"]),
)
URLS = st.one_of(
    st.text(),
    st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["https", "http", "HTTPS"]),
        HOSTS,
        st.sampled_from(["", ":443", ":8443", ":22", ":", ":0443"]),
        st.text("/?.%a2f&=#\\ ", max_size=8).map(lambda rest: rest and f"/{rest}"),
    ),
)


@given(URLS)
@example("https://127.0.0.1")
@example("https://[::ffff:169.254.169.254]")
@example("https://0x7f.1")
def test_any_text_is_checked(url: str) -> None:
    """A check returns or raises its one error, and the system sees no address where it saw a name."""
    try:
        endpoint = check_url(url)
    except UnsafeUrl:
        return
    numeric = None
    for family in (AF_INET, AF_INET6):
        try:
            numeric = str(getaddrinfo(endpoint.host, None, family, flags=AI_NUMERICHOST)[0][4][0])
        except gaierror:
            continue
    assert numeric == (None if endpoint.address is None else str(endpoint.address))
    assert endpoint.address is None or (is_public(endpoint.address) and endpoint.address.is_global)


@given(URLS)
def test_other_parsers_agree(url: str) -> None:
    """What is accepted means the same to the standard library and to httpx, with which it is sent."""
    httpx = pytest.importorskip("httpx")
    try:
        endpoint = Endpoint.of(url)
    except UnsafeUrl:
        return
    split, theirs = urlsplit(url), httpx.URL(url)
    for host in (split.hostname, theirs.host):
        assert _canonical(host.removesuffix(".")) == endpoint.host
    assert {split.port or endpoint.port, theirs.port or endpoint.port} == {endpoint.port}
    assert split.scheme == theirs.scheme == endpoint.scheme
    assert theirs.raw_path.decode() == endpoint.target


def _canonical(host: str) -> str:
    return str(IPv6Address(host)) if ":" in host else host
