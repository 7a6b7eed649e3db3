"""Sessions that end before their time: by their id, or all those of a subject that began before now."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Literal, get_args
from weakref import WeakKeyDictionary

from gatewright._core.storage.contract import Marks
from gatewright.auth.session.record import floor_ms
from gatewright.auth.session.revokes import BoundRevoker
from gatewright.errors import ConfigurationError, ServiceUnavailable

if TYPE_CHECKING:
    from gatewright._core.gate import Gate

__all__ = ["Revoker"]

_SINCE = "since"
_OnError = Literal["closed", "open"]


@dataclass(frozen=True, eq=False)
class Revoker:
    """Remember in the gate's storage which sessions and tokens are over (ASVS 5.0, 7.4.1).

    Two things are remembered: the ids of those that were ended, until they would have expired, and for each subject the
    moment before which nothing counts. That is one question to the storage for each request with a session. Give the
    same revoker to a `SessionCookie` and to a `BearerJWT`, and both end together; subjects of another kind need one
    with another *scope*.

    Args:
        scope: whose subjects are meant, where one storage serves several kinds of them.
        max_age: the longest that one of the credentials lives, in seconds.
        on_error: while the storage does not answer: `"closed"` refuses with 503, `"open"` takes nothing for ended.

    Raises:
        ConfigurationError: for an empty scope, a time that is none, an unknown *on_error*.
    """

    _: KW_ONLY
    scope: str = "session"
    max_age: float = 30 * 86400
    on_error: _OnError = "closed"
    _bound: WeakKeyDictionary[Gate, _StoredRevoker] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.scope, str) or not self.scope:  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f'Revoker(scope={self.scope!r}): write whose sessions these are, such as "admin"')
        if not 0 < self.max_age < math.inf:
            raise ConfigurationError(f"Revoker(max_age={self.max_age}): write seconds, such as 30 * 86400")
        if self.on_error not in get_args(_OnError):
            raise ConfigurationError(f'Revoker(on_error={self.on_error!r}): write "closed" or "open"')
        object.__setattr__(self, "_bound", WeakKeyDictionary())

    def bind(self, gate: Gate) -> BoundRevoker:
        """Take the storage and the clock of *gate*.

        Raises:
            ConfigurationError: where the storage only counts.
        """
        bound = self._bound.get(gate)
        if bound is None:
            bound = self._bound[gate] = _StoredRevoker(self, gate.marks(repr(self)), gate)
        return bound


class _StoredRevoker:
    """What is ended, as marks about a subject.

    `since` is the moment before which nothing counts; `ended <id>` is there for an id that was ended, and `kept <id>`
    is the `since` from which that id was excepted.
    """

    def __init__(self, revoker: Revoker, marks: Marks, gate: Gate) -> None:
        self._scope = revoker.scope
        self._max_age = revoker.max_age
        self._open = revoker.on_error == "open"
        self._marks = marks
        self._clock = gate.clock

    async def is_revoked(self, sid: str | None, sub: str, issued_at: float) -> bool:
        """Say whether a credential is over; by one question, whatever was remembered."""
        names = [_SINCE] if sid is None else [_SINCE, f"ended {sid}", f"kept {sid}"]
        try:
            since, *own = await self._marks.read(self._who(sub), names)
        except ServiceUnavailable:
            if self._open:
                return False
            raise
        ended, kept = own or (None, None)
        return ended is not None or (since is not None and issued_at < since and kept != since)

    async def end(self, sid: str, sub: str, seconds: float) -> None:
        """End one credential."""
        if seconds > 0:
            await self._marks.raise_to(self._who(sub), f"ended {sid}", 1, seconds)

    async def end_all(self, sub: str, *, keep: str | None = None) -> None:
        """End every credential of a subject, but *keep*."""
        since = floor_ms(self._clock.time())
        if keep is not None:
            # First, so that it is at no time ended with the others.
            await self._marks.raise_to(self._who(sub), f"kept {keep}", since, self._max_age)
        await self._marks.raise_to(self._who(sub), _SINCE, since, self._max_age)

    def _who(self, sub: str) -> str:
        return repr((self._scope, sub))
