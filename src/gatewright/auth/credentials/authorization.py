"""The `Authorization` header: one scheme, one token68, and nothing else (RFC 9110, section 11.4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gatewright.auth.authenticator import ABSENT, Absent, Rejected

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["BASIC", "BEARER", "Scheme", "bearer_of"]

_REPEATED = Rejected("invalid_request", "more than one Authorization header")
_TOO_LONG = Rejected("invalid_token", "too long to be a token of ours")


class Scheme:
    """One scheme of the `Authorization` header. A header of another scheme is absent for it, not wrong.

    Args:
        name: as the registry has it; its case does not matter in a request.
    """

    __slots__ = ("_credentials", "_malformed", "_ours", "name")

    def __init__(self, name: str) -> None:
        self.name: str = name
        scheme = re.escape(name.encode("ascii"))
        # RFC 9110, section 5.6.2: what may go on in a scheme's name; `Bearerish x` is another scheme, `Bearer,x` ours.
        self._ours = re.compile(scheme + rb"(?![!#$%&'*+\-.^_`|~0-9a-z])", re.IGNORECASE)
        # RFC 9110, section 11.4: one token68 after one or more spaces, and nothing else.
        self._credentials = re.compile(scheme + rb" +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)
        self._malformed = Rejected("invalid_request", f"not one {name} token")

    def of(self, call: Call, max_bytes: int) -> bytes | Absent | Rejected:
        """Return the token68 of *call*, undecoded.

        Args:
            call: the request.
            max_bytes: longer ones are rejected.
        """
        line = call.headers.get(b"authorization")
        if line is None:
            return ABSENT
        if call.header(b"authorization") is None:
            return _REPEATED
        if not self._ours.match(line):
            return ABSENT
        credentials = self._credentials.fullmatch(line)
        if credentials is None:
            return self._malformed
        return credentials[1] if len(credentials[1]) <= max_bytes else _TOO_LONG


BEARER: Final = Scheme("Bearer")
BASIC: Final = Scheme("Basic")


def bearer_of(call: Call, max_bytes: int) -> bytes | Absent | Rejected:
    """Return the Bearer token of *call* (RFC 6750, section 2.1), `ABSENT`, or why it is none.

    Args:
        call: the request.
        max_bytes: longer tokens are rejected.
    """
    return BEARER.of(call, max_bytes)
