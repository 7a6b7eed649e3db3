"""The client's address: believed from trusted proxies only, read from the right, total."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright._core.address import Proxies, network_key
from gatewright.errors import ConfigurationError

PROXY = ("10.0.0.1", 443)
STRANGER = ("203.0.113.9", 5000)


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def folded(address: Address) -> Address:
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address


def client_of(
    proxies: Proxies, *forwarded: bytes, peer: Sequence[object] | None = PROXY, name: bytes = b"x-forwarded-for"
) -> str | None:
    headers = [(name, line) for line in forwarded]
    return proxies.client({"type": "http", "client": peer, "headers": headers}, dict(headers))


def is_secure(proxies: Proxies, *said: bytes, scheme: str = "http", peer: Sequence[object] | None = PROXY) -> bool:
    headers = [(b"x-forwarded-proto", line) for line in said]
    return proxies.secure({"type": "http", "scheme": scheme, "client": peer, "headers": headers}, dict(headers))


# What may be trusted


@pytest.mark.parametrize("trusted", ["10.0.0.0/8", "10.0.0.1", "10.0.0.0/255.0.0.0", "::ffff:10.0.0.0/104"])
def test_an_address_and_a_network_in_either_spelling_can_be_trusted(trusted: str) -> None:
    """Single addresses, prefixes, netmasks and IPv4 inside IPv6 name the same proxy."""
    assert client_of(Proxies([trusted]), b"198.51.100.1") == "198.51.100.1"


@pytest.mark.parametrize("wrong", ["*", "", "10.0.0.0/33", "proxy.internal", "fe80::%eth0/64", 167772161, b"10.0.0.1"])
def test_what_is_no_network_is_refused_when_the_gate_is_made(wrong: object) -> None:
    """A network that cannot be read raises at once, and the message says what to write."""
    with pytest.raises(ConfigurationError, match=r'such as "10\.0\.0\.0/8"'):
        Proxies([wrong])  # type: ignore[list-item]  # the mistake that the test makes


def test_an_address_inside_a_network_is_refused_with_the_network() -> None:
    """Host bits in a network are a slip, and the message has the network that was meant."""
    with pytest.raises(ConfigurationError, match=r'write "10\.1\.0\.0/16"'):
        Proxies(["10.1.2.3/16"])


@pytest.mark.parametrize("everyone", ["0.0.0.0/0", "::/0", "::ffff:0:0/96"])
def test_trusting_everyone_is_refused(everyone: str) -> None:
    """A network of every address would let each client write its own address."""
    with pytest.raises(ConfigurationError, match="list your proxies"):
        Proxies([everyone])


def test_a_bare_string_is_refused() -> None:
    """A string is a sequence of strings; what was meant is a list of one."""
    with pytest.raises(ConfigurationError, match=r"trusted_proxies=\['10.0.0.1'\]"):
        Proxies("10.0.0.1")


def test_repr_shows_what_is_trusted() -> None:
    """The trust decision can be read where it lands in a log."""
    assert repr(Proxies(["unix", "10.0.0.0/8"])) == "Proxies(['unix', '10.0.0.0/8'])"


# Who the client is


def test_a_header_from_a_stranger_is_ignored() -> None:
    """Only a trusted peer may name the client."""
    assert client_of(Proxies(["10.0.0.0/8"]), b"198.51.100.1", peer=STRANGER) == "203.0.113.9"
    assert client_of(Proxies([]), b"198.51.100.1") == "10.0.0.1"
    assert client_of(Proxies(["10.0.0.0/8"]), b"198.51.100.1", peer=("testclient", 1)) == "testclient"


def test_story_leftmost_forwarded_address_is_what_the_client_wrote() -> None:
    """fastapi-limiter #10, django-ninja, langflow #13509: the leftmost hop is the client's own word."""
    assert client_of(Proxies(["10.0.0.0/8"]), b"1.1.1.1, 198.51.100.7") == "198.51.100.7"


def test_story_rotating_forwarded_addresses_do_not_escape() -> None:
    """litestar GHSA-hm36-ffrh-c77c: whatever a client prepends, it stays one client."""
    proxies = Proxies(["10.0.0.0/8"])
    assert {client_of(proxies, b"1.1.1.%d, 198.51.100.7" % n) for n in range(9)} == {"198.51.100.7"}


def test_story_several_header_lines_are_one_list() -> None:
    """litestar, fastapi-guard CVE-2025-46814: a header sent twice is one list, whichever line a dict keeps."""
    proxies = Proxies(["10.0.0.0/8"])
    assert client_of(proxies, b"1.1.1.1", b"198.51.100.7, 10.0.0.2") == "198.51.100.7"
    assert client_of(proxies, b"1.1.1.1, 198.51.100.7", b"10.0.0.2") == "198.51.100.7"


def test_story_underscored_header_is_not_the_header() -> None:
    """slowapi #255: `X_FORWARDED_FOR` is another header, and nobody vouches for it."""
    assert client_of(Proxies(["10.0.0.0/8"]), b"198.51.100.7", name=b"x_forwarded_for") == "10.0.0.1"


def test_trusted_hops_are_skipped() -> None:
    """The first hop from the right that is not ours is the client."""
    assert client_of(Proxies(["10.0.0.0/8"]), b"1.1.1.1, 198.51.100.7, 10.0.0.3, 10.0.0.2") == "198.51.100.7"


def test_where_every_hop_is_trusted_the_farthest_is_the_client() -> None:
    """A call from inside has its origin at the far end of the list."""
    assert client_of(Proxies(["10.0.0.0/8"]), b"10.0.0.9, 10.0.0.2") == "10.0.0.9"


@pytest.mark.parametrize("junk", [b"unknown", b"_hidden", b"", b"1.2.3", b"300.1.1.1", b"1.2.3.4:x", b"[::1", b"\xff"])
def test_an_unreadable_hop_ends_the_walk(junk: bytes) -> None:
    """What stands left of a hop that cannot be read is not reached; the hop before it is the client."""
    assert client_of(Proxies(["10.0.0.0/8"]), b"1.1.1.1, " + junk + b", 10.0.0.2") == "10.0.0.2"
    assert client_of(Proxies(["10.0.0.0/8"]), b"1.1.1.1, " + junk) == "10.0.0.1"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"198.51.100.7:5678", "198.51.100.7"),
        (b"[2001:db8::7]:5678", "2001:db8::7"),
        (b"[2001:db8::7]", "2001:db8::7"),
        (b"2001:DB8:0:0::7", "2001:db8::7"),
        (b"[fe80::7%eth0]:1", "fe80::7"),
        (b"fe80::7%eth0", "fe80::7"),
        (b"::ffff:198.51.100.7", "198.51.100.7"),
        (b"::FFFF:c633:6407", "198.51.100.7"),
        (b"\t198.51.100.7 ", "198.51.100.7"),
    ],
)
def test_ports_brackets_zones_and_mapped_addresses_come_out_as_one_address(written: bytes, meant: str) -> None:
    """One client has one address, however a proxy writes it."""
    assert client_of(Proxies(["10.0.0.0/8"]), written) == meant


@pytest.mark.parametrize(
    ("peer", "meant"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:DB8::9", "2001:db8::9"),
        ("fe80::9%eth0", "fe80::9"),
        ("testclient", "testclient"),
        ("unix:/run/app.sock", "unix:/run/app.sock"),
    ],
)
def test_the_peer_is_folded_too_and_a_name_stays_a_name(peer: str, meant: str) -> None:
    """The server's own word is canonical as well; names that are no addresses are left alone."""
    assert client_of(Proxies([]), peer=(peer, 1)) == meant


def test_a_mapped_peer_is_trusted_like_the_address_inside() -> None:
    """A dual-stack socket shows an IPv4 proxy as IPv6."""
    assert client_of(Proxies(["10.0.0.0/8"]), b"198.51.100.7", peer=("::ffff:10.0.0.1", 1)) == "198.51.100.7"
    assert client_of(Proxies(["2001:db8::/32"]), b"198.51.100.7", peer=("2001:db8::1", 1)) == "198.51.100.7"


@pytest.mark.parametrize(("trusted", "peer"), [("10.0.0.0/8", "2001:db8::a00:1"), ("::a00:0/104", "10.0.0.1")])
def test_a_network_holds_addresses_of_its_own_family_only(trusted: str, peer: str) -> None:
    """An IPv6 address that ends like a trusted IPv4 one is a stranger, and the other way round."""
    assert client_of(Proxies([trusted]), b"198.51.100.7", peer=(peer, 1)) == peer


@pytest.mark.parametrize("peer", [None, (), ("", 0)])
def test_story_a_peer_without_an_address_is_nobody_until_it_is_trusted(peer: Sequence[object] | None) -> None:
    """fastapi-redis-sdk #39: clients without an address are not one client called "unknown"."""
    assert client_of(Proxies(["10.0.0.0/8"]), b"198.51.100.7", peer=peer) is None
    assert client_of(Proxies(["unix"]), b"198.51.100.7", peer=peer) == "198.51.100.7"
    assert client_of(Proxies(["unix"]), peer=peer) is None


@given(st.lists(st.binary(max_size=60), max_size=4), st.sampled_from([PROXY, STRANGER, None, ("testclient", 1)]))
def test_any_bytes_give_the_peer_or_an_address(lines: list[bytes], peer: tuple[str, int] | None) -> None:
    """Whatever the header holds, the answer is the server's word or a real address."""
    client = client_of(Proxies(["10.0.0.0/8", "unix"]), *lines, peer=peer)
    if client != (peer and peer[0]):
        assert client is not None and str(ipaddress.ip_address(client))


@given(st.lists(st.ip_addresses(), min_size=1), st.sets(st.ip_addresses(), max_size=4), st.booleans())
def test_the_walk_agrees_with_a_naive_one(hops: list[Address], others: set[Address], all_ours: bool) -> None:
    """For any list of addresses, the client is the last one that is not ours, or the first of all."""
    ours = {folded(address) for address in others} | {folded(hop) for hop in hops if all_ours}
    proxies = Proxies(["10.0.0.1", *map(str, ours)])
    strangers = [hop for hop in map(folded, hops) if hop not in ours and str(hop) != "10.0.0.1"]
    found = client_of(proxies, ", ".join(map(str, hops)).encode())
    assert found is not None
    assert ipaddress.ip_address(found) == (strangers[-1] if strangers else folded(hops[0]))


# Which scheme


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_the_server_knows_its_own_tls(scheme: str) -> None:
    """Where no proxy is trusted, the scope's scheme is the truth."""
    assert is_secure(Proxies([]), scheme=scheme)
    assert not is_secure(Proxies([]), b"https")


def test_a_trusted_peer_says_how_the_client_came() -> None:
    """`X-Forwarded-Proto` of a trusted proxy decides, in both directions."""
    proxies = Proxies(["10.0.0.0/8"])
    assert is_secure(proxies, b"https") and is_secure(proxies, b" HTTPS ") and is_secure(proxies, b"wss")
    assert not is_secure(proxies, b"http", scheme="https")


def test_a_stranger_does_not_say_how_it_came() -> None:
    """A client cannot call itself secure."""
    assert not is_secure(Proxies(["10.0.0.0/8"]), b"https", peer=STRANGER)
    assert not is_secure(Proxies(["10.0.0.0/8"]), b"https", peer=None)
    assert is_secure(Proxies(["unix"]), b"https", peer=None)


@pytest.mark.parametrize("said", [(b"https", b"https"), (b"https,http",), (b"",), (b"gopher",), (b"\xff",)])
def test_anything_but_one_valid_word_is_ignored(said: tuple[bytes, ...]) -> None:
    """A repeated, listed or unknown value says nothing; the scope's scheme stands."""
    assert not is_secure(Proxies(["10.0.0.0/8"]), *said)
    assert is_secure(Proxies(["10.0.0.0/8"]), *said, scheme="https")


# What a limit counts by


def test_story_ipv6_clients_own_a_whole_network() -> None:
    """express-rate-limit #502, better-auth #7470: a client with a /64 has 2**64 addresses and one bucket."""
    assert network_key("2001:db8:1:2:3:4:5:6") == network_key("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert network_key("2001:db8:1:3::1") != network_key("2001:db8:1:2::1")


def test_story_mapped_addresses_do_not_share_one_bucket() -> None:
    """meshmonitor #2001: masking `::ffff:a.b.c.d` puts all of IPv4 into one bucket."""
    assert network_key("::ffff:198.51.100.7") == network_key("198.51.100.7") == "198.51.100.7"


def test_the_key_of_a_name_is_the_name() -> None:
    """A peer that has no address is counted under the name that the server gave it."""
    assert network_key("unix:/run/app.sock") == "unix:/run/app.sock"
    assert network_key("testclient") == "testclient"


@given(st.text())
def test_a_key_is_made_of_anything_and_is_stable(address: str) -> None:
    """Any text has a key."""
    key = network_key(address)
    assert network_key(address) == key
    assert key == address or ":" in address
