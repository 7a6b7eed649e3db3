"""A cookie as a value, with the strict defaults."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.gate import Gate

__all__ = ["Cookie", "Pending"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_ATTRIBUTE = re.compile(r"[\x20-\x3a\x3c-\x7e]+")
_SAME_SITE = ("lax", "strict", "none")
_MAX_BYTES = 4096


class Pending(Protocol):
    """A value that is made when the answer is, because it needs the gate's keys and clock."""

    def settle(self, gate: Gate) -> str:
        """Return the value, signed with what *gate* has."""
        ...


@dataclass(frozen=True, slots=True)
class Cookie:
    """Set a cookie; every default is the strict one (RFC 6265bis).

    Args:
        name: the name; a `__Host-` prefix demands `secure`, `path="/"` and no domain.
        value: the value, or one that the gate will sign.
        max_age: lifetime in seconds; 0 deletes, None ends with the browser session.
        path: the path it is sent to.
        domain: the domain it is sent to; None is this host only.
        secure: send over HTTPS only.
        http_only: hide from scripts.
        same_site: "lax", "strict" or "none".
        partitioned: keep one jar for each embedding site.

    Raises:
        ConfigurationError: for a combination that a browser would drop, or a value that a cookie cannot carry.
    """

    name: str
    value: str | Pending
    _: KW_ONLY
    max_age: int | None = None
    path: str = "/"
    domain: str | None = None
    secure: bool = True
    http_only: bool = True
    same_site: Literal["lax", "strict", "none"] = "lax"
    partitioned: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"Cookie({self.name!r}): a name is letters, digits and !#$%&'*+-.^_`|~")
        for attribute in (self.path, self.domain):
            if attribute is not None and not _ATTRIBUTE.fullmatch(attribute):
                raise ConfigurationError(f"Cookie({self.name!r}): {attribute!r} cannot stand in a cookie's attributes")
        if self.same_site not in _SAME_SITE:
            raise ConfigurationError(f"Cookie({self.name!r}): write same_site=" + " or ".join(map(repr, _SAME_SITE)))
        prefix = self.name.casefold()
        host = prefix.startswith("__host-")
        if host and not (self.secure and self.path == "/" and self.domain is None):
            raise ConfigurationError(f'Cookie({self.name!r}): __Host- wants secure=True, path="/" and no domain')
        if not self.secure and (prefix.startswith("__secure-") or self.same_site == "none" or self.partitioned):
            raise ConfigurationError(
                f"Cookie({self.name!r}): __Secure-, SameSite=None and Partitioned want secure=True"
            )

    def header(self, gate: Gate) -> bytes:
        """Return the value of a `Set-Cookie` header, signed by *gate* where the value is pending."""
        value = self.value if isinstance(self.value, str) else self.value.settle(gate)
        if not _VALUE.fullmatch(value):
            raise ConfigurationError(
                f"Cookie({self.name!r}): encode the value; a cookie carries no spaces, quotes, commas"
            )
        if len(self.name) + len(value) > _MAX_BYTES:
            raise ConfigurationError(
                f"Cookie({self.name!r}): over {_MAX_BYTES} bytes, browsers drop it; keep less in it"
            )
        parts = [f"{self.name}={value}", f"Path={self.path}"]
        parts += [f"Max-Age={self.max_age}"] if self.max_age is not None else []
        parts += [f"Domain={self.domain}"] if self.domain is not None else []
        parts += ["Secure"] if self.secure else []
        parts += ["HttpOnly"] if self.http_only else []
        parts += [f"SameSite={self.same_site.capitalize()}"]
        parts += ["Partitioned"] if self.partitioned else []
        return "; ".join(parts).encode("ascii")
