"""Where a delivery goes: a URL that somebody else wrote, read strictly and read once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal

from gatewright.errors import InvalidInput

__all__ = ["Address", "Endpoint", "UnsafeUrl"]

Address = IPv4Address | IPv6Address

_MAX_LENGTH = 2048
_PORTS = {"http": 80, "https": 443}

# RFC 3986 without what parsers disagree on: userinfo, fragments, backslashes, spaces, other scripts.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/(?:[a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?)"
    r"(?P<query>(?:\?(?:[a-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?)",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# Such a name is an IPv4 address to getaddrinfo() and to browsers: 2130706433, 0x7f.1, 127.1.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_WANTED = "Write an address like https://example.com/hooks, in ASCII, without a user, a password or a fragment"


class UnsafeUrl(InvalidInput, code="unsafe_url", message="This URL cannot be called"):
    """Refuse a URL that deliveries may not go to; whoever registers it may read why.

    Args:
        why: one sentence, public like every message.
        reason: more of it, for the log only.
    """

    def __init__(self, why: str, *, reason: str | None = None) -> None:
        super().__init__(details={"url": [why]}, reason=reason or why)


@dataclass(frozen=True)
class Endpoint:
    """Hold the parts of a URL, so that nobody parses it a second time, and differently.

    Args:
        scheme: "https", or "http" where that is allowed.
        host: a name in lower case without a dot at its end, or an address without brackets.
        port: the one that is called.
        target: path and query as they are sent; it may hold a secret of the receiver's.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """Read *url*.

        Names in other scripts are wanted as `xn--...`, and IPv4 addresses as four decimal numbers: libraries disagree
        about every other spelling of a host.

        Raises:
            UnsafeUrl: for what is no URL of HTTP, or is one for some parsers only.
        """
        match = _URL.fullmatch(url) if len(url) <= _MAX_LENGTH else None
        if match is None:
            raise UnsafeUrl(_WANTED)
        scheme: Literal["http", "https"] = "https" if match["scheme"].lower() == "https" else "http"
        port = int(match["port"] or _PORTS[scheme])
        # Some clients take these two segments out, others send them.
        if not 0 < port < 65536 or not {".", ".."}.isdisjoint(match["path"].split("/")):
            raise UnsafeUrl(_WANTED)
        return cls(scheme, _host(match["host"].lower()), port, (match["path"] or "/") + match["query"])

    @cached_property
    def address(self) -> Address | None:
        """Return the host where it is an address; None where it is a name."""
        if ":" in self.host:
            return IPv6Address(self.host)
        return IPv4Address(self.host) if _ends_in_a_number(self.host) else None

    @property
    def authority(self) -> str:
        """Return the value of the header `Host` (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def _host(text: str) -> str:
    host = text.removesuffix(".")
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1]))
        if _ends_in_a_number(host):
            return str(IPv4Address(host))
    except AddressValueError:
        raise UnsafeUrl(_WANTED) from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise UnsafeUrl(_WANTED)
    return host


def _ends_in_a_number(host: str) -> bool:
    return _NUMBER.fullmatch(host.rpartition(".")[2]) is not None
