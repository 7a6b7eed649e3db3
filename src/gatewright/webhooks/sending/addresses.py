"""Which addresses deliveries may go to: public ones, unless you say otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import SOCK_STREAM

import anyio

from gatewright.errors import ConfigurationError
from gatewright.webhooks.sending.endpoint import Address, Endpoint, UnsafeUrl

__all__ = ["Egress", "NoAddress", "Resolve", "check_url", "is_public", "resolve_host"]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, for a port; asked once for each attempt."""

# Not `ipaddress.is_global`: it follows the Python version, and takes addresses that carry another one for public.
# The registries: https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry
_NOT_PUBLIC = [
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host, on most systems
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT; clouds answer there, too
        "127.0.0.0/8",
        "168.63.129.16/32",  # a public address, at which Azure answers each of its machines about that machine
        "169.254.0.0/16",  # link-local; where most clouds give out credentials
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # Teredo, which carries IPv4 addresses, and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4, which carries IPv4 addresses
        "3fff::/20",
    )
]
# What IANA gives out (RFC 4291, section 2.4). All else is special: loopback, local, multicast, IPv4 inside IPv6, NAT64.
_UNICAST = ip_network("2000::/3")

# Names that the public DNS does not have (RFC 6761, RFC 6762, RFC 8375), or that local ones are fond of.
_LOCAL = ("corp", "home", "home.arpa", "internal", "intranet", "lan", "local", "localdomain", "localhost", "private")
# And those of a cluster, or of a network of its own.
_ELSEWHERE = ("cluster", "consul", "onion", "svc")


def is_public(address: Address) -> bool:
    """Say whether *address* is one machine's on the public internet, without another address inside it."""
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.version == 4 or address in _UNICAST


class NoAddress(OSError):
    """Say that a host has no address."""


@dataclass(frozen=True)
class Egress:
    """Say where deliveries may go, whatever URLs your customers register.

    Args:
        http: whether `http://` may be called as well, where anybody on the way reads the event.
        ports: those that may be called; `range(1, 65536)` is all of them, and lets customers scan ports through you.
        networks: those that may be called though they are not public, such as ["10.2.0.0/16"]; for tests,
            ["127.0.0.0/8", "::1"]. With any of them, local names are looked up, too.

    Raises:
        ConfigurationError: for a network that is none, and for ports that are no numbers.
    """

    http: bool = False
    ports: Collection[int] = (80, 443, 8080, 8443)
    networks: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.networks, str):
            raise ConfigurationError(
                f"Egress(networks={self.networks!r}) is a list; write networks=[{self.networks!r}]"
            )
        for network in self.networks:
            _network(network)
        try:
            numbers = all(type(port) is int for port in self.ports)
        except TypeError:
            numbers = False
        if not numbers:
            raise ConfigurationError(
                f"Egress(ports={self.ports!r}): write a list of numbers, such as ports=[443, 8443]"
            )

    @cached_property
    def _networks(self) -> list[IPv4Network | IPv6Network]:
        return [_network(network) for network in self.networks]

    def check_url(self, url: str) -> Endpoint:
        """Return the parts of *url*, where it may be called as far as that can be told without a look at the DNS.

        Raises:
            UnsafeUrl: for any other text.
        """
        endpoint = Endpoint.of(url)
        if endpoint.scheme == "http" and not self.http:
            raise UnsafeUrl("Write an address that begins with https://")
        if endpoint.port not in self.ports:
            raise UnsafeUrl(
                "Use a usual port, such as 443", reason=f"port {endpoint.port} is none of Egress(ports=...)"
            )
        if endpoint.address is not None:
            self._check(endpoint.host, endpoint.address)
        elif not self.networks and _is_local(endpoint.host):
            raise UnsafeUrl("Use a name that the public DNS has", reason=f"{endpoint.host} is a local name")
        return endpoint

    async def addresses(self, endpoint: Endpoint, resolve: Resolve) -> list[str]:
        """Return where *endpoint* is, after one look at the DNS; a connection goes to one of these, and asks nobody.

        Raises:
            UnsafeUrl: where any of its addresses may not be called.
            NoAddress: where it has none.
        """
        if endpoint.address is not None:
            return [endpoint.host]
        try:
            found = await resolve(endpoint.host, endpoint.port)
        except Exception as problem:  # a resolver's own errors are of any class
            raise NoAddress(f"{type(problem).__name__}: {problem}") from problem
        if not found:
            raise NoAddress(f"{endpoint.host} has none")
        return [self._checked(endpoint.host, text) for text in found]

    def _checked(self, host: str, text: str) -> str:
        try:
            address = ip_address(text)
        except ValueError:
            raise UnsafeUrl("Its host has no usable address", reason=f"{host} has the address {text!r}") from None
        self._check(host, address)
        return str(address)

    def _check(self, host: str, address: Address) -> None:
        # A zone names an interface of this very machine.
        zoned = isinstance(address, IPv6Address) and address.scope_id is not None
        if zoned or not (is_public(address) or any(address in network for network in self._networks)):
            raise UnsafeUrl("Use a host whose addresses are all public", reason=f"{host} has the address {address}")


def check_url(url: str) -> Endpoint:
    """Let a URL pass that a customer registers, where `WebhookSender` with its defaults would call it.

    Its host is looked up when it is called, and not now: by then the DNS may say something else.

    Raises:
        UnsafeUrl: an `InvalidInput`, so that a handler may let it be its answer.
    """
    return Egress().check_url(url)


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Return the addresses of *host* as the system sees them."""
    return [str(address[0]) for *_, address in await anyio.getaddrinfo(host, port, type=SOCK_STREAM)]


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as wrong:
        raise ConfigurationError(f'Egress(networks=[{text!r}]): {wrong}; write one like "10.2.0.0/16"') from None


def _is_local(host: str) -> bool:
    return "." not in host or host.endswith(tuple(f".{name}" for name in _LOCAL + _ELSEWHERE))
