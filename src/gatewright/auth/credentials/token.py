"""What opaque tokens have in common, whichever header they travel in: they are looked up as they are."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar

from gatewright.auth.authenticator import Absent, Rejected, Verdict, challenge_of
from gatewright.auth.credentials.lookup import LookedUp, Lookup, check_cap, principal_of

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Token"]


@dataclass(frozen=True, eq=False)
class Token(LookedUp[str]):
    """Authenticate by a token that means nothing but to the lookup; where it travels, a subclass says.

    Args:
        lookup: takes the token, returns whose it is or None.
        realm: the name of what is protected, for the challenge.
        max_bytes: longer tokens are rejected before they are looked up.
    """

    lookup: Lookup
    _: KW_ONLY
    realm: str = "api"
    max_bytes: int = 4096

    scheme: ClassVar[str]

    def __post_init__(self) -> None:
        check_cap(self, self.max_bytes)
        self._set_up(challenge_of(self.scheme, self.realm), self.lookup)

    @abstractmethod
    def _token(self, call: Call) -> bytes | Absent | Rejected:
        """Return the token of *call*: ASCII, and within the cap."""

    def _find(self, call: Call) -> str | Absent | Rejected:
        token = self._token(call)
        return token.decode("ascii") if isinstance(token, bytes) else token

    def _ask(self, found: str) -> object:
        return self.lookup(found)

    def _judge(self, call: Call, found: str, known: object) -> Verdict:
        return principal_of(known, self.name, self.lookup)
