"""Bearer tokens (RFC 6750), in the `Authorization` header only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatewright.auth.authenticator import Absent, Rejected
from gatewright.auth.credentials.authorization import bearer_of
from gatewright.auth.credentials.token import Token

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["BearerToken"]


@dataclass(frozen=True, eq=False)
class BearerToken(Token):
    """Authenticate by `Authorization: Bearer <token>`.

    Args:
        lookup: takes the token, returns whose it is or None; called on the event loop, so write `async def`
            where it does I/O. Compare secrets by their hash: look up `sha256(token)`.
        realm: the name of what is protected, for the challenge.
        max_bytes: longer tokens are rejected before they are looked up.

    Raises:
        ConfigurationError: for a lookup that cannot be called, a cap under 1, a realm that a header cannot carry.
    """

    name = "bearer"
    header = "Authorization"
    scheme = "Bearer"

    @property
    def security_scheme(self) -> Mapping[str, object]:
        """Return how OpenAPI describes the credential."""
        return {"type": "http", "scheme": "bearer"}

    def _token(self, call: Call) -> bytes | Absent | Rejected:
        return bearer_of(call, self.max_bytes)
