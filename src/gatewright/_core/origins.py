"""Origins, as browsers write them (RFC 6454; the URL standard)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from gatewright.errors import ConfigurationError

__all__ = ["Origin", "is_served", "origins", "parse_origin"]

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(0|[1-9][0-9]{0,4}))?")
_PORTS = {"http": 80, "https": 443}
_SECURE = "https"

# Documents of these have the origin "null", or live in that of a page, and no page is served over the last two.
_NO_ORIGIN = frozenset({"about", "blob", "data", "file", "javascript", "ws", "wss"})
_NUMBER = re.compile(r"(?:.*\.)?[0-9]+")
_MISTAKEN = re.compile(r"(https?)://([^/?#\\@*]+)(?:[/?#\\].*)?", re.IGNORECASE | re.DOTALL)


class Origin(NamedTuple):
    """Where a page comes from; equal to another one exactly where a browser calls the two the same.

    Attributes:
        scheme: in lower case.
        host: in lower case, an IPv6 address in brackets.
        port: None where it is the scheme's own.
    """

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" if self.port is None else f"{self.scheme}://{self.host}:{self.port}"


def parse_origin(raw: bytes) -> Origin | None:
    """Return the origin that a header names; None for "null", and for what no browser sends."""
    return _parse(raw.lower().decode("latin-1"))


def is_served(origin: Origin, host: bytes, secure: bool) -> bool:
    """Say whether *origin* is that of a server which is asked for *host*.

    Over TLS it has to be an https origin. Without, the scheme is not known: something in front may have ended TLS.

    Args:
        origin: what the `Origin` header says.
        host: what the one `Host` header says.
        secure: whether the request is known to have come over TLS.
    """
    if origin.scheme not in _PORTS or (secure and origin.scheme != _SECURE):
        return False
    return parse_origin(origin.scheme.encode() + b"://" + host) == origin


def origins(written: Sequence[str]) -> frozenset[str]:
    """Return origins as a browser sends them.

    Raises:
        ConfigurationError: for one that no browser sends, with what to write instead.
    """
    if isinstance(written, (str, bytes)):
        raise ConfigurationError(f"trusted origins are a list; write [{written!r}]")
    for one in written:
        if not _is_sent(one):
            raise ConfigurationError(f"{one!r} is no origin that a browser sends; {_advice(one)}")
    return frozenset(written)


def _parse(text: str) -> Origin | None:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme, host, port = match.groups()
    number = None if port is None else int(port)
    return Origin(scheme, host, None if number == _PORTS.get(scheme) else number)


def _is_sent(text: object) -> bool:
    """Say whether *text* is an origin in the one spelling that browsers send."""
    origin = _parse(text) if isinstance(text, str) else None
    if origin is None or str(origin) != text or origin.scheme in _NO_ORIGIN or (origin.port or 0) > 65535:
        return False
    if origin.host[0] == "[" or _NUMBER.fullmatch(origin.host):
        return _is_address(origin.host)
    return all(label and label[0] != "-" and label[-1] != "-" for label in origin.host.split("."))


def _is_address(host: str) -> bool:
    try:
        return host == (f"[{IPv6Address(host[1:-1])}]" if host[0] == "[" else str(IPv4Address(host)))
    except ValueError:
        return False


def _advice(text: object) -> str:
    match = _MISTAKEN.fullmatch(text) if isinstance(text, str) else None
    meant = _parse(f"{match[1]}://{match[2]}".lower()) if match is not None else None
    if meant is not None and _is_sent(str(meant)):
        return f'write "{meant}"'
    return (
        "write scheme and host in lower case and nothing after them, "
        'such as "https://app.example.com"; there are no patterns'
    )
