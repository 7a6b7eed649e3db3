"""A session cookie at its gate: whose session a call carries, and when its cookie is written again."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gatewright._core.outcome import Head
from gatewright._core.principal import Principal
from gatewright._core.security import tell
from gatewright.auth.authenticator import ABSENT, Absent, Rejected, Verdict
from gatewright.auth.session.record import Session, SessionRecords
from gatewright.cookie import Cookie

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright.auth.session.revokes import BoundRevoker

__all__ = ["BoundSession", "CheckedSession"]

_NO_USER = Rejected("invalid_token", "load_user knows no such user")
_REVOKED = Rejected("invalid_token", "ended before its time", superseded=True)
_LATE = 2.0

MakeCookie = Callable[[str, int], Cookie]


class BoundSession:
    """A session cookie at its gate, where the record says all.

    Args:
        name: the cookie's name.
        records: writes and reads what it carries.
        make: makes a cookie of a value and a lifetime in seconds.
    """

    revoker: BoundRevoker | None = None

    def __init__(self, name: str, records: SessionRecords, make: MakeCookie) -> None:
        self.records = records
        self._name = name.encode("ascii")
        self._make = make
        self._renews = records.renews

    def authenticate(self, call: Call) -> Verdict | Awaitable[Verdict]:
        """Say whose session the call carries."""
        found = self.found(call)
        if not isinstance(found, Session):
            return found
        return self._accepted(call, found) if self._renews else found.principal

    def found(self, call: Call) -> Session | Absent | Rejected:
        """Return the session that a call carries, as far as the record itself says; absent where there is none."""
        value = call.cookie(self._name)
        return self.records.read(value) if value else _absent(call, self._name)

    async def judged(self, session: Session) -> Verdict:
        """Say whether a genuine session still counts, and whose it is."""
        return session.principal

    def _accepted(self, call: Call, session: Session) -> Principal[Any]:
        if self.records.wants_renewal(session) and not call.is_websocket:
            seen = call.gate.clock.monotonic()
            call.on_head(lambda head: self._renew(call, session, seen, head))
        return session.principal

    def _renew(self, call: Call, session: Session, seen: float, head: Head) -> None:
        """Write the cookie again, unless the answer has one, refuses, or is late: there may be another by now."""
        sets = any(name == b"set-cookie" and value.startswith(self._name + b"=") for name, value in head.headers)
        if sets or head.status >= 400 or call.gate.clock.monotonic() - seen > _LATE:
            return
        left = max(1, math.ceil(self.records.seconds_left(session)))
        cookie = self._make(self.records.renew(session), left)
        kept = [pair for pair in head.headers if pair[0] != b"cache-control"]
        head.headers = [*kept, (b"cache-control", b"no-store"), (b"set-cookie", cookie.header(call.gate))]


class CheckedSession(BoundSession):
    """A session cookie at its gate, where it is also asked whether the session was ended, and who its user is."""

    def __init__(
        self,
        name: str,
        records: SessionRecords,
        make: MakeCookie,
        revoker: BoundRevoker | None,
        load_user: Callable[[Principal[Any]], Awaitable[Any]] | None,
    ) -> None:
        super().__init__(name, records, make)
        self.revoker = revoker
        self._load_user = load_user

    async def authenticate(self, call: Call) -> Verdict:
        """Say whose session the call carries, with its user."""
        found = self.found(call)
        if not isinstance(found, Session):
            return found
        verdict = await self.judged(found)
        if isinstance(verdict, Principal):
            self._accepted(call, found)
        return verdict

    async def judged(self, session: Session) -> Verdict:
        """Say whether a genuine session still counts, and whose it is, with its user."""
        principal, record = session.principal, session.record
        if self.revoker is not None and await self.revoker.is_revoked(record["sid"], record["sub"], record["iat"]):
            return _REVOKED
        if self._load_user is None:
            return principal
        user = await self._load_user(principal)
        return _NO_USER if user is None else replace(principal, user=user)


def _absent(call: Call, cookie: bytes) -> Absent:
    """Say that there is no session, with a note where its cookie is there twice, because it then counts as absent."""
    if b"; ".join(call.header_values(b"cookie")).count(cookie + b"=") > 1:
        call.note(auth_ambiguous=f"{cookie.decode()} more than once")
        tell(call, "credential_ambiguous")
    return ABSENT
