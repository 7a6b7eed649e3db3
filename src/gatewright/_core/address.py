"""Who the client is, behind proxies that are trusted by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

from starlette.types import Scope

from gatewright.errors import ConfigurationError

__all__ = ["Proxies", "network_key"]

_FOR, _PROTO = b"x-forwarded-for", b"x-forwarded-proto"
_SCHEMES = {b"http": False, b"ws": False, b"https": True, b"wss": True}
_SECURE = ("https", "wss")
_UNIX = "unix"
_MAPPED = bytes(10) + b"\xff\xff"

# What proxies write for a hop: an address, in brackets or bare, with a port or a zone.
_HOP = re.compile(
    r"\[([0-9a-f:.]+)(?:%[^\]]+)?\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9a-f:.]+)(?:%.+)?",
    re.IGNORECASE | re.ASCII,
)


class Proxies:
    """Tell the client's address and scheme, believing `X-Forwarded-*` from trusted peers only.

    Args:
        trusted: addresses and networks of your proxies, such as `"203.0.113.7"`, `"10.0.0.0/8"`, `"2001:db8::/32"`;
            `"unix"` is the peer without an address at the other end of a Unix socket.

    Raises:
        ConfigurationError: for what is no network, and for one that holds every address.
    """

    def __init__(self, trusted: Sequence[str]) -> None:
        if isinstance(trusted, str):
            raise ConfigurationError(f"trusted_proxies={trusted!r} is a list; write trusted_proxies=[{trusted!r}]")
        self.trusted: tuple[str, ...] = tuple(trusted)
        self._unix = _UNIX in self.trusted
        self._networks = tuple(_network(text) for text in self.trusted if text != _UNIX)

    def __repr__(self) -> str:
        return f"Proxies({list(self.trusted)!r})"

    def client(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str | None:
        """Return the client's address; None where neither the server nor a trusted proxy gave one.

        `X-Forwarded-For` is read from the right. Each proxy appends the peer that it saw, so the first hop that is
        not trusted is the client, and everything left of it is only what that client said. A hop that cannot be
        read ends the walk. IPv4 inside IPv6 is folded, zones and ports are dropped, names stay as the server
        gave them.
        """
        address = _peer(scope)
        if not self.trusted or _FOR not in headers or not self._trusts_peer(address):
            return address if address is None or ":" not in address else _canonical(address)
        for text in reversed(_joined(scope, headers, _FOR).split(b",")):
            hop = _hop(text)
            if hop is None:
                break
            address = _text(hop)
            if not self._trusts(hop):
                break
        return address

    def secure(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Say whether the client came over TLS: one valid word of a trusted peer decides, else the server's scheme."""
        if self.trusted and _PROTO in headers:
            said = _SCHEMES.get(_joined(scope, headers, _PROTO).strip(b" \t").lower())
            if said is not None and self._trusts_peer(_peer(scope)):
                return said
        return scope.get("scheme") in _SECURE

    def _trusts_peer(self, address: str | None) -> bool:
        if address is None:
            return self._unix
        packed = _packed(address)
        return packed is not None and self._trusts(packed)

    def _trusts(self, packed: bytes) -> bool:
        size, number = len(packed), int.from_bytes(packed, "big")
        for width, mask, network in self._networks:  # noqa: SIM110  # any() costs a generator for each request
            if size == width and number & mask == network:
                return True
        return False


def network_key(address: str) -> str:
    """Return what a limit counts by: an IPv4 address, or the /64 of an IPv6 one, which one customer has to himself."""
    if ":" not in address:
        return address
    packed = _packed(address)
    if packed is None:
        return address
    return _text(packed) if len(packed) == 4 else f"{_text(packed[:8] + bytes(8))}/64"


class _Network(NamedTuple):
    width: int
    mask: int
    number: int


def _network(text: object) -> _Network:
    wanted = f'trusted_proxies=[{text!r}]: write an address, a network such as "10.0.0.0/8", or "unix"'
    # A number would pass for an address, and a zone would be ignored.
    if not isinstance(text, str) or "%" in text:
        raise ConfigurationError(wanted)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ConfigurationError(wanted) from None
    if "/" in text and not _is_network(text):
        raise ConfigurationError(f'trusted_proxies=[{text!r}] is an address inside a network; write "{network}"')
    size, bits = len(network.network_address.packed), network.prefixlen
    packed = network.network_address.packed
    if size == 16 and bits >= 96 and packed.startswith(_MAPPED):
        size, bits, packed = 4, bits - 96, packed[12:]
    if bits == 0:
        raise ConfigurationError(
            f"trusted_proxies=[{text!r}] lets every client name its own address; list your proxies"
        )
    return _Network(size, ((1 << bits) - 1) << (size * 8 - bits), int.from_bytes(packed, "big"))


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _peer(scope: Scope) -> str | None:
    client = scope.get("client")
    return (client[0] or None) if client else None


def _joined(scope: Scope, headers: Mapping[bytes, bytes], name: bytes) -> bytes:
    """Return every line of a header as one list (RFC 9110, section 5.3)."""
    if len(headers) == len(scope["headers"]):
        return headers[name]
    return b",".join([value for key, value in scope["headers"] if key == name])


def _hop(text: bytes) -> bytes | None:
    match = _HOP.fullmatch(text.strip(b" \t").decode("latin-1"))
    return _packed(match[match.lastindex or 0]) if match is not None else None


def _packed(address: str) -> bytes | None:
    """Return an address as 4 or 16 bytes, IPv4 inside IPv6 as 4; None for what is no address."""
    try:
        if ":" not in address:
            return inet_pton(AF_INET, address)
        packed = inet_pton(AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def _text(packed: bytes) -> str:
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)


def _canonical(address: str) -> str:
    packed = _packed(address)
    return address if packed is None else _text(packed)
