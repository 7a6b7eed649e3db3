"""Bearer tokens (RFC 6750), in the `Authorization` header only."""

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

__all__ = ["BearerToken"]

# RFC 9110, section 5.6.2: what may go on in a scheme's name; `Bearerish x` is another scheme, `Bearer,x` is ours.
_OURS = re.compile(rb"bearer(?![!#$%&'*+\-.^_`|~0-9a-z])", re.IGNORECASE)
# RFC 9110, section 11.4: one token68 after one or more spaces, and nothing else.
_CREDENTIALS = re.compile(rb"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)

_REPEATED = Rejected("invalid_request", "more than one Authorization header")
_MALFORMED = Rejected("invalid_request", "not one Bearer token")
_TOO_LONG = Rejected("invalid_token", "too long to be a token of ours")


@dataclass(frozen=True, eq=False)
class BearerToken:
    """Authenticate by `Authorization: Bearer <token>`.

    Args:
        lookup: takes the token, returns whose it is or None; called on the event loop, so write `async def`
            where it does I/O. Compare secrets by their hash: look up `sha256(token)`.
        realm: the name of what is protected, for the challenge.
        max_bytes: longer tokens are rejected before they are looked up.

    Raises:
        ConfigurationError: for a lookup that cannot be called, a cap under 1, a realm that a header cannot carry.
    """

    lookup: Lookup
    _: KW_ONLY
    realm: str = "api"
    max_bytes: int = 4096
    _challenge: str = field(init=False, repr=False)
    _bound: BoundAuthenticator = field(init=False, repr=False)

    name = "bearer"
    header = "Authorization"
    ambient = False

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ConfigurationError(f"BearerToken(max_bytes={self.max_bytes}): write a number of bytes, 1 or more")
        object.__setattr__(self, "_challenge", challenge_of("Bearer", self.realm))
        object.__setattr__(self, "_bound", look_up(self._find, self.lookup, "bearer"))

    def challenge(self) -> str:
        """Return the challenge of a 401 (RFC 6750, section 3)."""
        return self._challenge

    def bind(self, gate: Gate) -> BoundAuthenticator:
        """Return what authenticates calls; every gate has the same."""
        return self._bound

    def _find(self, call: Call) -> str | Absent | Rejected:
        line = call.headers.get(b"authorization")
        if line is None:
            return ABSENT
        if call.header(b"authorization") is None:
            return _REPEATED
        if not _OURS.match(line):
            return ABSENT
        credentials = _CREDENTIALS.fullmatch(line)
        if credentials is None:
            return _MALFORMED
        token = credentials[1]
        return token.decode("ascii") if len(token) <= self.max_bytes else _TOO_LONG
