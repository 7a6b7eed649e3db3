"""API keys of our own making: looked up by a public id, proved by a secret of which only the hash is kept."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from gatewright._core.principal import Principal
from gatewright.auth.authenticator import Absent, Rejected, Verdict, challenge_of
from gatewright.auth.credentials.key_format import FoundKey, KeyFormat
from gatewright.auth.credentials.lookup import UNKNOWN, LookedUp, mistaken, proved_by
from gatewright.auth.credentials.own_header import OwnHeader
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["ApiKey", "ApiKeyLookup", "ApiKeyRecord"]

_HASH = re.compile(r"[0-9a-f]{64}")
_NO_HASH = "0" * 64

_MALFORMED = Rejected("invalid_token", "not a key of this prefix, or mistyped")
_WRONG = Rejected("invalid_token", "the id is known, and has another secret")
_REVOKED = Rejected("invalid_token", "revoked")
_EXPIRED = Rejected("invalid_token", "expired")


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """What is kept of an API key.

    Args:
        secret_sha256: the SHA-256 of its secret in hexadecimal, as `new_api_key` returned it.
        principal: whose key it is, and what it may do.
        expires_at: when it ends, Unix seconds; None for never.
        revoked: whether it was ended before.

    Raises:
        ConfigurationError: for a value of another kind; a key that cannot be read lets nobody in.
    """

    secret_sha256: str = field(repr=False)
    principal: Principal[Any]
    expires_at: float | None = None
    revoked: bool = False

    def __post_init__(self) -> None:
        _check(self.secret_sha256, self.principal, self.expires_at, self.revoked)


def _check(secret_sha256: object, principal: object, expires_at: object, revoked: object) -> None:
    """Refuse what a row of a database may hold in place of what was promised, before a NULL can open a door."""
    if not isinstance(secret_sha256, str) or not _HASH.fullmatch(secret_sha256):
        raise ConfigurationError("ApiKeyRecord(secret_sha256=...): write NewApiKey.secret_sha256, 64 digits 0-9a-f")
    if not isinstance(principal, Principal):
        raise ConfigurationError(f"ApiKeyRecord(principal={principal!r}): write Principal(sub=...)")
    if not isinstance(expires_at, (int, float, type(None))):
        raise ConfigurationError(f"ApiKeyRecord(expires_at={expires_at!r}): write Unix seconds, or None")
    if not isinstance(revoked, bool):
        raise ConfigurationError(f"ApiKeyRecord(revoked={revoked!r}): write True or False")


ApiKeyLookup = Callable[[str], Awaitable[ApiKeyRecord | None] | ApiKeyRecord | None]
"""Return what is kept of the key with this id, or None. Called on the event loop: `async def` where it does I/O."""


@dataclass(frozen=True, eq=False)
class ApiKey(LookedUp[FoundKey]):
    """Authenticate by a key that `new_api_key` made, in a header of its own.

    What cannot be a key is refused before it is looked up. A key that is unknown, wrong, expired or revoked gets one
    answer, after the same comparison; the log says which it was, and the id. A plain hash does, because the secret
    has 256 random bits (ASVS 5.0, 6.5.2).

    Args:
        lookup: takes the public id, returns what is kept of the key or None; called on the event loop, so write
            `async def` where it does I/O.
        prefix: what the keys begin with, such as "ck_live".
        header: the header that carries them.
        realm: the name of what is protected, for the challenge.

    Raises:
        ConfigurationError: for a lookup that cannot be called, a prefix that is none, a header that is none or that
            carries credentials of another kind, a realm that a header cannot carry.
    """

    lookup: ApiKeyLookup
    _: KW_ONLY
    prefix: str
    header: str = "X-API-Key"
    realm: str = "api"
    _own: OwnHeader = field(init=False, repr=False)
    _format: KeyFormat = field(init=False, repr=False)

    name = "api_key"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", OwnHeader(self, self.header))
        object.__setattr__(self, "_format", KeyFormat(self.prefix))
        # No scheme is registered for API keys; this is the usual word.
        self._set_up(challenge_of("APIKey", self.realm), self.lookup)

    @property
    def security_scheme(self) -> Mapping[str, object]:
        """Return how OpenAPI describes the credential."""
        return self._own.security_scheme

    def _find(self, call: Call) -> FoundKey | Absent | Rejected:
        text = self._own.of(call)
        return (self._format.read(text) or _MALFORMED) if isinstance(text, bytes) else text

    def _ask(self, found: FoundKey) -> object:
        return self.lookup(found.id)

    def _judge(self, call: Call, found: FoundKey, known: object) -> Verdict:
        if known is not None and not isinstance(known, ApiKeyRecord):
            raise mistaken(known, self.lookup, "ApiKeyRecord(...)")
        # Compared where nothing is known, too: the time shall not tell which ids there are.
        same = hmac.compare_digest(found.secret_sha256, _NO_HASH if known is None else known.secret_sha256)
        wrong = UNKNOWN if known is None else _wrong_with(known, same, call.gate.clock.time())
        if known is None or wrong is not None:
            call.note(key_id=found.id)
            return wrong or UNKNOWN
        return proved_by(self.name, known.principal)


def _wrong_with(record: ApiKeyRecord, same: bool, now: float) -> Rejected | None:
    if not same:
        return _WRONG
    if record.revoked:
        return _REVOKED
    # Not `now >= expires_at`: no comparison with NaN holds, and this one has to.
    if record.expires_at is not None and not now < record.expires_at:
        return _EXPIRED
    return None
