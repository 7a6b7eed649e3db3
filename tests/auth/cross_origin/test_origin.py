"""The judgement by itself: the table of Go's `http.CrossOriginProtection`, where ours is stricter, and odd bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright._core.origins import is_served, parse_origin
from gatewright.auth.cross_origin.origin import ASKED_FOR, MISSING, Finding, judge

TRUSTED = frozenset({"https://trusted.example"})
HOST = b"example.com"


def found(
    sites: list[bytes], origins: list[bytes], hosts: list[bytes] | None = None, *, secure: bool = True
) -> Finding:
    return judge(sites, origins, [HOST] if hosts is None else hosts, secure, TRUSTED)


@pytest.mark.parametrize(
    ("site", "origin", "passes"),
    [
        # TestCrossOriginProtectionSecFetchSite
        ("same-origin", None, True),
        ("none", None, True),
        ("cross-site", None, False),
        ("same-site", None, False),
        (None, "https://example.com", True),
        (None, "https://attacker.example", False),
        (None, "null", False),
        # TestCrossOriginProtectionTrustedOriginBypass
        (None, "https://trusted.example", True),
        ("cross-site", "https://trusted.example", True),
        ("same-site", "https://trusted.example", True),
        (None, "https://attacker.example", False),
        ("cross-site", "https://attacker.example", False),
        # what the browser says of itself goes before what it says of the page
        ("same-origin", "https://attacker.example", True),
        ("cross-site", "https://example.com", False),
        ("cross-site", "null", False),
    ],
)
def test_the_table_of_go(site: str | None, origin: str | None, passes: bool) -> None:
    """golang/go, net/http/csrf_test.go: what Go passes and refuses, we do."""
    assert found([site.encode()] if site else [], [origin.encode()] if origin else []).passes is passes


def test_neither_header_is_a_finding_of_its_own() -> None:
    """Go lets it pass; what it means is for the guard to say."""
    assert found([], []) is MISSING
    assert found([], [], []) is MISSING


@pytest.mark.parametrize(
    "site",
    [
        b"",
        b"Same-Origin",
        b"same-origin ",
        b"same-origin, none",
        b"none,none",
        b"same-origin\x00",
        b"\xff",
        b"x" * 9999,
    ],
)
def test_a_site_that_no_browser_writes_is_another_one(site: bytes) -> None:
    """Unknown, empty, joined: none of it is `same-origin`; only a trusted origin makes up for it."""
    assert not found([site], []).passes
    assert not found([site], [b"https://example.com"]).passes
    assert found([site], [b"https://trusted.example"]).passes


def test_a_repeated_site_is_another_one() -> None:
    """Somebody in between appended what the browser did not say."""
    assert not found([b"same-origin", b"same-origin"], []).passes
    assert not found([b"cross-site", b"same-origin"], [b"https://example.com"]).passes
    assert found([b"none", b"none"], [b"https://trusted.example"]).passes


@pytest.mark.parametrize("sites", [[], [b"cross-site"]])
def test_a_repeated_origin_is_refused(sites: list[bytes]) -> None:
    """Whichever of them is trusted, or the server's own."""
    assert not found(sites, [b"https://trusted.example", b"https://trusted.example"]).passes
    assert not found(sites, [b"https://example.com", b"https://attacker.example"]).passes


@pytest.mark.parametrize("origin", [b"", b"null", b"NULL", b"https://trusted.example, https://example.com", b"//a"])
def test_an_origin_without_a_name_is_refused(origin: bytes) -> None:
    """An empty header is there, unlike in Go; nothing can make `null` a trusted origin."""
    assert not judge([], [origin], [HOST], True, TRUSTED | {"null", ""}).passes


@pytest.mark.parametrize("hosts", [[], [b""], [HOST, HOST], [b"attacker.example", HOST]])
def test_only_the_one_host_counts(hosts: list[bytes]) -> None:
    """RFC 9112, section 3.2: a request has exactly one; with two, an attacker may have chosen which."""
    assert not found([], [b"https://example.com"], hosts).passes
    assert found([], [b"https://trusted.example"], hosts).passes


def test_plain_http_is_another_origin_than_tls() -> None:
    """Who can change a page on its way can make it post; Go lets that pass, because it does not know the scheme."""
    assert not found([], [b"http://example.com"], secure=True).passes
    assert found([], [b"http://example.com"], secure=False).passes
    assert found([], [b"https://example.com"], secure=False).passes


@pytest.mark.parametrize(
    ("sites", "origins", "hosts", "reason", "origin"),
    [
        ([b"cross-site"], [], [HOST], "from another site", None),
        (
            [b"same-site"],
            [b"https://a.example.com"],
            [HOST],
            "from another origin of this site",
            "https://a.example.com",
        ),
        ([b"x"], [], [HOST], "Sec-Fetch-Site with a value that it does not have", None),
        ([b"none", b"none"], [], [HOST], "Sec-Fetch-Site with a value that it does not have", None),
        ([], [b"https://a.example", b"x"], [HOST], "Origin more than once", None),
        ([], [b"null"], [HOST], "from an origin without a name (null)", None),
        ([], [b"x"], [HOST], "Origin malformed", None),
        ([], [b"https://a.example"], [HOST], "from another origin", "https://a.example"),
        ([], [b"https://a.example"], [], "no Host", "https://a.example"),
        ([], [b"https://a.example"], [HOST, HOST], "Host more than once", "https://a.example"),
    ],
)
def test_a_finding_says_why(
    sites: list[bytes], origins: list[bytes], hosts: list[bytes], reason: str, origin: str | None
) -> None:
    """For the log: a word for each reason, and the origin that somebody may want to trust."""
    assert found(sites, origins, hosts) == Finding(False, reason, origin)


_ORIGINS = st.binary(max_size=40) | st.sampled_from(
    [b"null", b"https://example.com", b"http://example.com", b"https://example.com:443", b"https://trusted.example"]
)
_SITES = st.binary(max_size=20) | st.sampled_from([b"same-origin", b"none", b"same-site", b"cross-site"])
_HOSTS = st.binary(max_size=20) | st.sampled_from([b"example.com", b"EXAMPLE.com:443", b"other.example"])


@given(
    sites=st.lists(_SITES, max_size=3),
    origins=st.lists(_ORIGINS, max_size=3),
    hosts=st.lists(_HOSTS, max_size=3),
    secure=st.booleans(),
)
def test_whatever_passes_has_a_good_reason(
    sites: list[bytes], origins: list[bytes], hosts: list[bytes], secure: bool
) -> None:
    """No bytes raise; what passes is same-origin, none, an equal or a trusted origin; what is missing has neither."""
    finding = judge(sites, origins, hosts, secure, TRUSTED)
    assert (finding is MISSING) == (not sites and not origins)
    if not finding.passes:
        return
    if finding is ASKED_FOR and sites:
        assert sites in ([b"same-origin"], [b"none"])
    else:
        origin = parse_origin(origins[0])
        assert len(origins) == 1 and origin is not None
        served = not sites and len(hosts) == 1 and is_served(origin, hosts[0], secure)
        assert served or str(origin) in TRUSTED
