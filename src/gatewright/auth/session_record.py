"""The signed record that a session cookie carries: written and read in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired

from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from gatewright._core.principal import Principal
from gatewright.auth.authenticator import Rejected

if TYPE_CHECKING:
    from gatewright._core.gate import Gate

__all__ = ["SessionRecord", "SessionRecords"]

VERSION = 1
_SID_BYTES = 16  # 128 bits from the system's generator (ASVS 5.0, 7.2.3)
_NONE: frozenset[str] = frozenset()

# Genuine tokens only, so that nobody can fill it with others.
_REMEMBERED = 4096
_Known = tuple[Principal[Any], float, float]

_EXPIRED = Rejected("invalid_token", "expired")
_FUTURE = Rejected("invalid_token", "issued in the future")


class SessionRecord(TypedDict):
    """What the cookie says. Times are Unix seconds, to the millisecond; what goes without saying is left out.

    `auth_at` does where it is `iat`: the caller authenticated when the session was created.
    """

    sid: str
    sub: str
    iat: float
    exp: float
    ver: int
    auth_at: NotRequired[float]
    roles: NotRequired[frozenset[str]]
    scopes: NotRequired[frozenset[str]]
    tenant: NotRequired[str]


def _schema() -> CoreSchema:
    text, number = core_schema.str_schema(strict=True), core_schema.float_schema(strict=True, allow_inf_nan=False)
    names = core_schema.frozenset_schema(text)
    required: dict[str, CoreSchema] = {"sid": text, "sub": text, "iat": number, "exp": number}
    required["ver"] = core_schema.literal_schema([VERSION])
    optional: dict[str, CoreSchema] = {"roles": names, "scopes": names, "tenant": text, "auth_at": number}
    fields = {name: core_schema.typed_dict_field(schema) for name, schema in required.items()}
    fields |= {name: core_schema.typed_dict_field(schema, required=False) for name, schema in optional.items()}
    return core_schema.typed_dict_schema(fields)


class SessionRecords:
    """Write and read session records with the clock of one gate.

    Args:
        keys: secrets, newest first.
        purpose: tells these sessions from others under the same keys.
        gate: whose clock and entropy are used.
        leeway: seconds that the clock of the server that wrote a record may be ahead of this one's.
    """

    __slots__ = ("_clock", "_entropy", "_known", "_leeway", "_tokens")

    def __init__(self, keys: Sequence[bytes], purpose: str, gate: Gate, leeway: float) -> None:
        from gatewright._core.tokens import TokenSigner

        # No reference to the gate itself: what is kept for a gate must not keep it alive.
        self._clock = gate.clock
        self._entropy: Callable[[int], bytes] = gate.entropy
        self._leeway = leeway
        self._known: dict[bytes, _Known] = {}
        self._tokens = TokenSigner[SessionRecord](keys, purpose, _schema())

    def write(self, facts: Mapping[str, object], max_age: int) -> str:
        """Return a token that says *facts*, with a new id, from now on for *max_age* seconds."""
        now = math.floor(self._clock.time() * 1000) / 1000
        sid = self._entropy(_SID_BYTES).hex()
        return self._tokens.sign({"sid": sid, "iat": now, "exp": round(now + max_age, 3), "ver": VERSION, **facts})

    def read(self, token: bytes) -> Principal | Rejected:
        """Return whose session *token* is, unless it is forged, malformed, expired, or from the future."""
        known = self._known.get(token)
        if known is None:
            try:
                known = self._remember(token, self._tokens.read(token))
            except ValueError as bad:
                return Rejected("invalid_token", str(bad))
        principal, issued, expires = known
        now = self._clock.time()
        if now >= expires:
            return _EXPIRED
        return _FUTURE if issued > now + self._leeway else principal

    def _remember(self, token: bytes, record: SessionRecord) -> _Known:
        """Keep what a token says, so that the session's next request costs no signature; its times count each time."""
        issued = record["iat"]
        principal: Principal[Any] = Principal(
            record["sub"],
            "session",
            record.get("roles", _NONE),
            record.get("scopes", _NONE),
            record.get("auth_at", issued),
            record["sid"],
            record.get("tenant"),
        )
        if len(self._known) >= _REMEMBERED:
            # All at once: which are in use will be known again after one request each.
            self._known.clear()
        known = self._known[token] = (principal, issued, record["exp"])
        return known
