"""The signed record that a session cookie carries: written and read in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NotRequired

from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from gatewright._core.principal import Principal
from gatewright._core.seconds import are_seconds
from gatewright.auth.authenticator import Rejected
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.gate import Gate
    from gatewright.auth.session.tokens import Tokens

__all__ = ["Session", "SessionRecord", "SessionRecords", "check_times", "floor_ms", "session_schema"]

VERSION = 1
_SID_BYTES = 16  # 128 bits from the system's generator (ASVS 5.0, 7.2.3)
_NONE: frozenset[str] = frozenset()
_NOTHING: Mapping[str, Any] = MappingProxyType({})

# Genuine tokens only, so that nobody can fill it with others.
_REMEMBERED = 4096

_EXPIRED = Rejected("invalid_token", "expired")
_IDLE = Rejected("invalid_token", "idle for too long")
_FUTURE = Rejected("invalid_token", "issued in the future")


class SessionRecord(TypedDict):
    """What the cookie says. Times are Unix seconds, to the millisecond; what goes without saying is left out.

    `auth_at` does where it is `iat`: the caller authenticated when the session was created. `seen` does where it is
    `iat`, too: the cookie was not renewed since. `data` is there in encrypted cookies only.
    """

    sid: str
    sub: str
    iat: float
    exp: float
    ver: int
    auth_at: NotRequired[float]
    seen: NotRequired[float]
    roles: NotRequired[frozenset[str]]
    scopes: NotRequired[frozenset[str]]
    tenant: NotRequired[str]
    data: NotRequired[dict[str, Any]]


def session_schema(*, with_data: bool) -> CoreSchema:
    """Return what a record looks like."""
    text, number = core_schema.str_schema(strict=True), core_schema.float_schema(strict=True, allow_inf_nan=False)
    names = core_schema.frozenset_schema(text)
    required: dict[str, CoreSchema] = {"sid": text, "sub": text, "iat": number, "exp": number}
    required["ver"] = core_schema.literal_schema([VERSION])
    optional: dict[str, CoreSchema] = {"roles": names, "scopes": names, "tenant": text, "auth_at": number}
    optional["seen"] = number
    if with_data:
        optional["data"] = core_schema.dict_schema(text, core_schema.any_schema())
    fields = {name: core_schema.typed_dict_field(schema) for name, schema in required.items()}
    fields |= {name: core_schema.typed_dict_field(schema, required=False) for name, schema in optional.items()}
    return core_schema.typed_dict_schema(fields)


@dataclass(frozen=True, slots=True)
class Session:
    """What a genuine token says.

    Attributes:
        principal: whose session it is.
        record: all that the token says.
        seen: when it was written or renewed.
    """

    principal: Principal[Any]
    record: SessionRecord
    seen: float


class SessionRecords:
    """Write and read session records with the clock of one gate.

    Args:
        tokens: makes and reads tokens.
        gate: whose clock and entropy are used.
        leeway: seconds that the clock of the server that wrote a record may be ahead of this one's.
        idle: seconds after which a session that was not used is over; None for any number.
    """

    __slots__ = ("_clock", "_entropy", "_idle", "_known", "_leeway", "_tokens")

    def __init__(self, tokens: Tokens, gate: Gate, leeway: float, idle: int | None = None) -> None:
        # No reference to the gate itself: what is kept for a gate must not keep it alive.
        self._clock = gate.clock
        self._entropy: Callable[[int], bytes] = gate.entropy
        self._leeway = leeway
        self._idle = idle
        self._known: dict[bytes, Session] = {}
        self._tokens = tokens

    @property
    def renews(self) -> bool:
        """Say whether sessions end when they are not used."""
        return self._idle is not None

    def write(self, facts: Mapping[str, object], max_age: float) -> str:
        """Return a token that says *facts*, with a new id, from now on for *max_age* seconds."""
        now = self._now()
        sid = self._entropy(_SID_BYTES).hex()
        return self._tokens.sign({"sid": sid, "iat": now, "exp": round(now + max_age, 3), "ver": VERSION, **facts})

    def renew(self, session: Session) -> str:
        """Return a token of the same session that was seen now; nothing else about it changes."""
        return self._tokens.sign({**session.record, "seen": self._now()})

    def read(self, token: bytes) -> Session | Rejected:
        """Return what *token* says, unless it is forged, malformed, over, or from the future."""
        session = self._known.get(token)
        if session is None:
            try:
                session = self._remember(token, self._tokens.read(token))
            except ValueError as bad:
                return Rejected("invalid_token", str(bad))
        now = self._clock.time()
        if now >= session.record["exp"]:
            return _EXPIRED
        if self._idle is not None and now >= session.seen + self._idle:
            return _IDLE
        return _FUTURE if session.record["iat"] > now + self._leeway else session

    def seconds_left(self, session: Session) -> float:
        """Return for how many seconds the session can still be used."""
        return session.record["exp"] - self._clock.time()

    def wants_renewal(self, session: Session) -> bool:
        """Say whether a tenth of the idle time has passed since the cookie was written."""
        return self._idle is not None and self._clock.time() - session.seen > self._idle / 10

    def _now(self) -> float:
        return floor_ms(self._clock.time())

    def _remember(self, token: bytes, record: SessionRecord) -> Session:
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
            # A copy: what is done to it is not what the cookie says when it is written again.
            claims=MappingProxyType(deepcopy(record["data"])) if "data" in record else _NOTHING,
        )
        if len(self._known) >= _REMEMBERED:
            # All at once: which are in use will be known again after one request each.
            self._known.clear()
        session = self._known[token] = Session(principal, record, record.get("seen", issued))
        return session


def floor_ms(seconds: float) -> float:
    """Return a time to the millisecond, which is what records have, and never later than it is."""
    return math.floor(seconds * 1000) / 1000


def check_times(max_age: object, idle: object, leeway: object) -> None:
    """Refuse times that cannot be meant.

    Raises:
        ConfigurationError: with what to write instead.
    """
    if not isinstance(max_age, int) or isinstance(max_age, bool) or max_age < 1:
        raise ConfigurationError(
            f"SessionCookie(max_age={max_age!r}): write a lifetime in whole seconds, such as 86400"
        )
    if idle is not None and (not isinstance(idle, int) or isinstance(idle, bool) or not 10 <= idle <= max_age):
        raise ConfigurationError(
            f"SessionCookie(idle={idle!r}): write whole seconds, 10 or more, and no more than max_age={max_age}"
        )
    if not are_seconds(leeway):
        raise ConfigurationError(f"SessionCookie(leeway={leeway!r}): write a few seconds, such as 5")
