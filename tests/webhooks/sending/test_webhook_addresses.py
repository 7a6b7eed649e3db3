"""Deliveries go to public addresses, and to those that were allowed by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import gaierror
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.webhooks.sending.addresses import Egress, NoAddress, check_url, is_public, resolve_host
from gatewright.webhooks.sending.endpoint import UnsafeUrl
from tests.webhooks.sending.receivers import resolving

INSIDE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:93.184.216.34", "::ffff:0:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::5db8:d822", "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:0:5ef5:79fd::1", "2001:2::1", "2001:10::1",
    "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:5db8:d822::1", "3fff::1", "4000::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fd20:ce::254", "fe80::1", "febf::1", "fec0::1", "ff02::1",
]  # fmt: skip
OUTSIDE = [
    "1.1.1.1", "9.255.255.255", "11.0.0.0", "93.184.216.34", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "168.63.129.15", "168.63.129.17", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
    "198.17.255.255", "198.20.0.0", "223.255.255.255", "2001:4860:4860::8888", "2606:2800:220:1::1", "2a00::1",
]  # fmt: skip


@pytest.mark.parametrize("text", INSIDE)
def test_a_special_address_is_not_public(text: str) -> None:
    """Loopback, private, link-local, shared, reserved, multicast, the clouds' own, and IPv4 inside IPv6."""
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", OUTSIDE)
def test_an_address_next_to_a_special_one_is_public(text: str) -> None:
    """No network is refused that is larger than the special one."""
    assert is_public(ip_address(text))


NEARBY = [
    str(ip_network(f"{address}/{bits}", strict=False))
    for address in map(ip_address, INSIDE)
    for bits in ((8, 16, 24) if address.version == 4 else (16, 32))
]
ADDRESSES = st.ip_addresses() | st.sampled_from(NEARBY).flatmap(lambda network: st.ip_addresses(network=network))


@given(ADDRESSES)
def test_what_is_public_is_global(address: IPv4Address | IPv6Address) -> None:
    """The standard library knows none of these as private, and none carries another address."""
    if not is_public(address):
        return
    assert address.is_global
    assert not (address.is_multicast or address.is_loopback or address.is_link_local or address.is_reserved)
    if isinstance(address, IPv6Address):
        assert (address.ipv4_mapped, address.sixtofour, address.teredo) == (None, None, None)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://example.com:22/", "https://example.com:6379/", "https://localhost/",
        "https://LOCALHOST./", "https://intranet/", "https://metadata.google.internal/", "https://printer.local/",
        "https://nas.home.arpa/", "https://a.localhost/", "https://wiki.corp/", "https://router.lan/",
        "https://127.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://[::1]/", "https://[fd00:ec2::254]/",
        "https://[::ffff:127.0.0.1]/",
    ],
)  # fmt: skip
def test_a_url_that_is_unsafe_by_itself_is_refused(url: str) -> None:
    """Plain HTTP, other people's services, local names and local addresses need no look at the DNS."""
    with pytest.raises(UnsafeUrl):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://example.com:8443/",
        "https://localhost.example.com/",
        "https://example.wlan/",
        "https://1.1.1.1/",
    ],
)
def test_a_usual_url_passes(url: str) -> None:
    """What customers register."""
    check_url(url)


def test_what_is_allowed_by_name_passes() -> None:
    """Plain HTTP, ports and networks: each is allowed alone."""
    Egress(http=True).check_url("http://example.com:8080/")
    Egress(ports=[22]).check_url("https://example.com:22/")
    Egress(networks=["10.2.0.0/16"]).check_url("https://10.2.3.4/")
    Egress(networks=["::1"]).check_url("https://[::1]/")
    Egress(networks=["10.2.0.0/16"]).check_url("https://hooks/")
    for url in ("https://10.3.0.1/", "https://127.0.0.1/", "https://[::ffff:10.2.3.4]/", "http://10.2.3.4/"):
        with pytest.raises(UnsafeUrl):
            Egress(networks=["10.2.0.0/16"]).check_url(url)


@pytest.mark.parametrize(
    ("networks", "instead"),
    [
        ("10.0.0.0/8", "networks=['10.0.0.0/8']"),
        (["10.0.0.1/8"], "10.2.0.0/16"),
        (["nowhere"], "10.2.0.0/16"),
        (["10.0.0.0/8", "::1/200"], "10.2.0.0/16"),
    ],
)
def test_a_network_that_is_none_is_refused(networks: Sequence[str], instead: str) -> None:
    """A typo is found when the policy is made, and the message shows how it is written."""
    with pytest.raises(ConfigurationError, match=re.escape(f"write {instead}") + "|" + re.escape(f'"{instead}"')):
        Egress(networks=networks)


@pytest.mark.anyio
async def test_every_address_of_a_host_has_to_be_public() -> None:
    """One public address among private ones is how a host gets past a guard that looks at the first."""
    endpoint = check_url("https://example.com/")
    assert await Egress().addresses(endpoint, resolving(["1.1.1.1", "2a00::1"])) == ["1.1.1.1", "2a00::1"]
    for answer in (["1.1.1.1", "10.0.0.1"], ["::1", "1.1.1.1"], ["fe80::1%eth0"], ["2a00::1%eth0"], ["::ffff:1.1.1.1"]):
        with pytest.raises(UnsafeUrl) as refused:
            await Egress().addresses(endpoint, resolving(answer))
        assert refused.value.details == {"url": ["Use a host whose addresses are all public"]}
    with pytest.raises(UnsafeUrl):
        await Egress().addresses(endpoint, resolving(["0x7f.1"]))


@pytest.mark.anyio
async def test_a_zone_is_nobodys_even_in_an_allowed_network() -> None:
    """An address with a zone is reached through an interface of this machine."""
    egress = Egress(networks=["fe80::/10"])
    endpoint = egress.check_url("https://hooks/")
    assert await egress.addresses(endpoint, resolving(["fe80::1"])) == ["fe80::1"]
    with pytest.raises(UnsafeUrl):
        await egress.addresses(endpoint, resolving(["fe80::1%1"]))


@pytest.mark.anyio
async def test_an_address_is_not_looked_up() -> None:
    """What is an address already was checked when it was read."""
    assert await Egress().addresses(check_url("https://1.1.1.1/"), resolving()) == ["1.1.1.1"]


@pytest.mark.anyio
async def test_a_host_without_an_address() -> None:
    """Whatever a resolver raises, the host has none; so it has where the answer is empty."""

    async def broken(host: str, port: int) -> Sequence[str]:
        raise gaierror(-2, "Name or service not known")

    for resolve in (broken, resolving([]), resolving()):
        with pytest.raises(NoAddress):
            await Egress().addresses(check_url("https://example.com/"), resolve)


@pytest.mark.anyio
async def test_the_system_is_asked() -> None:
    """By default names are looked up as the machine does it, the hosts file included."""
    found = await resolve_host("localhost", 443)
    assert set(found) <= {"127.0.0.1", "::1"}
    assert found


@pytest.mark.parametrize("ports", [18078, ["443"], "443", [True]])
def test_ports_are_numbers(ports: Any) -> None:
    """A port that can never be found would refuse every URL, or break with the first one."""
    with pytest.raises(ConfigurationError, match="write a list of numbers"):
        Egress(ports=ports)


@pytest.mark.parametrize("host", ["kubernetes.default.svc", "redis.service.consul", "db.cluster", "x.onion"])
def test_names_of_a_cluster_are_local(host: str) -> None:
    """Where the cluster has public addresses, the name is what tells that it is ours."""
    with pytest.raises(UnsafeUrl):
        check_url(f"https://{host}/")
