"""Basic authentication (RFC 7617), for machines that can do nothing else."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from gatewright._core.principal import Principal
from gatewright.auth.authenticator import Absent, Rejected, Verdict, challenge_of, with_parameters
from gatewright.auth.credentials.authorization import BASIC
from gatewright.auth.credentials.lookup import LookedUp, check_cap, principal_of

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Basic", "BasicLookup"]

BasicLookup = Callable[[str, str], Awaitable[Principal[Any] | None] | Principal[Any] | None]
"""Return whose user name and password these are, or None. Called on the event loop: `async def` where it does I/O."""

# RFC 7617, section 2, forbids the controls of ASCII; those of Unicode's second block are no better.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_BASE64 = Rejected("invalid_request", "not canonical base64")
_TEXT = Rejected("invalid_request", "not UTF-8, or with control characters")
_PAIR = Rejected("invalid_request", "not a user name, a colon and a password")


@dataclass(frozen=True, eq=False)
class Basic(LookedUp[tuple[str, str]]):
    """Authenticate by `Authorization: Basic <user:password>`.

    Browsers repeat it by themselves once a person typed it, so it counts as ambient, like a cookie.

    Args:
        lookup: takes the user name and the password, returns whose they are or None; called on the event loop, so
            write `async def` where it does I/O. Compare `sha256(password)` with `hmac.compare_digest` only where the
            password is random (ASVS 5.0, 6.5.2: 112 bits); one that a person chose wants `Passwords`.
        realm: the name of what is protected, for the challenge.
        max_bytes: longer credentials are rejected before they are decoded.

    Raises:
        ConfigurationError: for a lookup that cannot be called, a cap under 1, a realm that a header cannot carry.
    """

    lookup: BasicLookup
    _: KW_ONLY
    realm: str = "api"
    max_bytes: int = 1024

    name = "basic"
    header = "Authorization"
    ambient = True

    def __post_init__(self) -> None:
        check_cap(self, self.max_bytes)
        self._set_up(with_parameters(challenge_of("Basic", self.realm), charset="UTF-8"), self.lookup)

    @property
    def security_scheme(self) -> Mapping[str, object]:
        """Return how OpenAPI describes the credential."""
        return {"type": "http", "scheme": "basic"}

    def _find(self, call: Call) -> tuple[str, str] | Absent | Rejected:
        token = BASIC.of(call, self.max_bytes)
        return _pair(token) if isinstance(token, bytes) else token

    def _ask(self, found: tuple[str, str]) -> object:
        return self.lookup(*found)

    def _judge(self, call: Call, found: tuple[str, str], known: object) -> Verdict:
        return principal_of(known, self.name, self.lookup)


def _pair(token: bytes) -> tuple[str, str] | Rejected:
    try:
        raw = b64decode(token, validate=True)
    except Error:
        return _BASE64
    if b64encode(raw) != token:
        return _BASE64
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return _TEXT
    if _CONTROL.search(text):
        return _TEXT
    user, colon, password = text.partition(":")
    return (user, password) if user and colon else _PAIR
