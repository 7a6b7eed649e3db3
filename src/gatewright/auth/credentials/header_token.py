"""Opaque tokens in a header of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from gatewright.auth.authenticator import Absent, Rejected
from gatewright.auth.credentials.own_header import OwnHeader
from gatewright.auth.credentials.token import Token

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["HeaderToken"]

_TOKEN = re.compile(rb"[\x21-\x7e]+")

_MALFORMED = Rejected("invalid_token", "a token is printable ASCII without spaces")
_TOO_LONG = Rejected("invalid_token", "too long to be a token of ours")


@dataclass(frozen=True, eq=False)
class HeaderToken(Token):
    """Authenticate by a token in a request header, whatever it looks like; keys that we make are `ApiKey`'s.

    Args:
        lookup: takes the token, returns whose it is or None; called on the event loop, so write `async def`
            where it does I/O. Keep and look up `sha256(token)`, never the token (ASVS 5.0, 6.5.2 allows the fast
            hash for secrets of 112 random bits).
        header: the header that carries it.
        realm: the name of what is protected, for the challenge.
        max_bytes: longer tokens are rejected before they are looked up.

    Raises:
        ConfigurationError: for a lookup that cannot be called, a header that is none or that carries credentials
            of another kind, a cap under 1, a realm that a header cannot carry.
    """

    _: KW_ONLY
    header: str = "X-API-Key"
    max_bytes: int = 1024
    _own: OwnHeader = field(init=False, repr=False)

    name = "header_token"
    # No scheme is registered for keys in headers of their own; this is the usual word.
    scheme = "APIKey"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", OwnHeader(self, self.header))
        super().__post_init__()

    @property
    def security_scheme(self) -> Mapping[str, object]:
        """Return how OpenAPI describes the credential."""
        return self._own.security_scheme

    def _token(self, call: Call) -> bytes | Absent | Rejected:
        token = self._own.of(call)
        if not isinstance(token, bytes):
            return token
        if len(token) > self.max_bytes:
            return _TOO_LONG
        return token if _TOKEN.fullmatch(token) else _MALFORMED
