"""API keys, in a header of their own."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from gatewright.auth.authenticator import ABSENT, Absent, BoundAuthenticator, Rejected, challenge_of
from gatewright.auth.lookup import Lookup, look_up
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate

__all__ = ["ApiKey"]

_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KEY = re.compile(rb"[\x21-\x7e]+")

_REPEATED = Rejected("invalid_request", "more than one API key")
_MALFORMED = Rejected("invalid_token", "an API key is printable ASCII without spaces")
_TOO_LONG = Rejected("invalid_token", "too long to be an API key of ours")


@dataclass(frozen=True, eq=False)
class ApiKey:
    """Authenticate by a key in a request header.

    Args:
        lookup: takes the key, returns whose it is or None; called on the event loop, so write `async def`
            where it does I/O. Keep and look up `sha256(key)`, never the key (ASVS 5.0, 6.5.2 allows the fast hash).
        header: the header that carries it.
        realm: the name of what is protected, for the challenge.
        max_bytes: longer keys are rejected before they are looked up.

    Raises:
        ConfigurationError: for a lookup that cannot be called, a header that is none or that carries credentials
            of another kind, a cap under 1, a realm that a header cannot carry.
    """

    lookup: Lookup
    _: KW_ONLY
    header: str = "X-API-Key"
    realm: str = "api"
    max_bytes: int = 1024
    _field: bytes = field(init=False, repr=False)
    _challenge: str = field(init=False, repr=False)
    _bound: BoundAuthenticator = field(init=False, repr=False)

    name = "api_key"
    ambient = False

    def __post_init__(self) -> None:
        if not _HEADER.fullmatch(self.header):
            raise ConfigurationError(f'ApiKey(header={self.header!r}): write a header\'s name, such as "X-API-Key"')
        if self.header.lower() in ("authorization", "proxy-authorization"):
            raise ConfigurationError(f"ApiKey(header={self.header!r}): there the key wants a scheme; use BearerToken")
        if self.header.lower() == "cookie":
            raise ConfigurationError("ApiKey(header='Cookie'): browsers send cookies by themselves; use SessionCookie")
        if self.max_bytes < 1:
            raise ConfigurationError(f"ApiKey(max_bytes={self.max_bytes}): write a number of bytes, 1 or more")
        object.__setattr__(self, "_field", self.header.lower().encode("ascii"))
        object.__setattr__(self, "_challenge", challenge_of("APIKey", self.realm))
        object.__setattr__(self, "_bound", look_up(self._find, self.lookup, "api_key"))

    def challenge(self) -> str:
        """Return the challenge of a 401; no scheme is registered for API keys, `APIKey` is the usual word."""
        return self._challenge

    def bind(self, gate: Gate) -> BoundAuthenticator:
        """Return what authenticates calls; every gate has the same."""
        return self._bound

    def _find(self, call: Call) -> str | Absent | Rejected:
        key = call.headers.get(self._field)
        if key is None:
            return ABSENT
        if call.header(self._field) is None:
            return _REPEATED
        if not key:
            return ABSENT
        if len(key) > self.max_bytes:
            return _TOO_LONG
        return key.decode("ascii") if _KEY.fullmatch(key) else _MALFORMED
