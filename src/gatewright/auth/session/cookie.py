"""Sessions in a cookie: one record says all, and nothing is kept on the server but which of them were ended."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, cast, overload
from weakref import WeakKeyDictionary

from typing_extensions import TypeVar

from gatewright._core.functions import is_async
from gatewright._core.gate import Gate
from gatewright._core.keys import Key, key_bytes
from gatewright._core.principal import Principal
from gatewright._core.security import tell
from gatewright.auth.answers import check_login_page
from gatewright.auth.authenticator import challenge_of
from gatewright.auth.session.bound import BoundSession, CheckedSession
from gatewright.auth.session.pending import Facts, PendingSession, facts_of
from gatewright.auth.session.record import Session, SessionRecords, check_times, floor_ms
from gatewright.auth.session.revokes import Revokes, check_revoker
from gatewright.auth.session.tokens import tokens_for
from gatewright.cookie import Cookie
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["SessionCookie"]

U = TypeVar("U", default=Any)
LoadUser = Callable[[Principal[Any]], Awaitable[U | None]]

# What stays of a session that goes on under another id.
_KEPT = ("roles", "scopes", "tenant", "auth_at", "data")


@dataclass(frozen=True, eq=False)
class SessionCookie(Generic[U]):
    """Authenticate by a signed cookie, and make it.

    Its owner can read the record in it, unless it is encrypted. Without a *revoker* a copy is valid until it expires.

    Args:
        name: the cookie's name. Sessions under another name are other sessions, even with the same keys.
        max_age: lifetime in seconds, from when it was created; never extended (ASVS 5.0, 7.3.2).
        idle: seconds after which a session that is not used is over; None for as long as it lives (ASVS 5.0, 7.3.1).
            The cookie is written again once a tenth of them has passed.
        same_site: "lax", "strict" or "none".
        secure: send over HTTPS only; False is for development, and wants a name without a prefix.
        path: the path that the cookie is sent to.
        domain: the domain that it is sent to; None is this host only.
        keys: secrets of its own, 32 bytes or more, newest first; by default those of the gate.
        leeway: seconds that the clock of the server that signed may be ahead of this one's.
        load_user: an `async def` that takes the principal and returns its user, which becomes `principal.user`,
            or None, which refuses.
        revoker: remembers which sessions were ended; give a `Revoker()`.
        encrypted: hide the record from its owner; only then may it hold further data.
        login_page: where a browser is sent, with 303, that asks for a page without a valid session; a path on this
            host, as the browser sees it. It finds the way back in the query parameter `next`; see `safe_next`.
        realm: the name of what is protected, for the challenge.

    Raises:
        ConfigurationError: for a cookie that browsers would drop, a key that can be guessed, a lifetime or a leeway
            that is none, a `load_user` that is not async, a login page that is not a path.
    """

    _: KW_ONLY
    name: str = "__Host-session"
    max_age: int = 86400
    idle: int | None = None
    same_site: Literal["lax", "strict", "none"] = "lax"
    secure: bool = True
    path: str = "/"
    domain: str | None = None
    keys: Sequence[Key] | None = field(default=None, repr=False)
    leeway: float = 5
    load_user: LoadUser[U] | None = None
    revoker: Revokes | None = None
    encrypted: bool = False
    login_page: str | None = None
    realm: str = "api"
    _challenge: str = field(init=False, repr=False)
    _bound: WeakKeyDictionary[Gate, BoundSession] = field(init=False, repr=False)

    header = "Cookie"
    ambient = True

    def __post_init__(self) -> None:
        check_times(self.max_age, self.idle, self.leeway)
        check_revoker("SessionCookie", self.revoker, self.max_age)
        self.forget()  # a cookie that cannot be is refused here, not at the first login
        if self.keys is not None and (isinstance(self.keys, (str, bytes)) or not self.keys):
            raise ConfigurationError("SessionCookie(keys=...) is a list, newest first; leave it out to use the gate's")
        if self.load_user is not None and not is_async(self.load_user):
            raise ConfigurationError(f"SessionCookie(load_user={self.load_user!r}): write it as an `async def`")
        check_login_page(self.login_page)
        object.__setattr__(self, "keys", None if self.keys is None else tuple(key_bytes(key) for key in self.keys))
        object.__setattr__(self, "_challenge", challenge_of("Session", self.realm))
        object.__setattr__(self, "_bound", WeakKeyDictionary())

    def challenge(self) -> str:
        """Return the challenge of a 401: no scheme is registered for cookies, and browsers leave this one alone."""
        return self._challenge

    @property
    def security_scheme(self) -> Mapping[str, object]:
        """Return what OpenAPI says of it."""
        return {"type": "apiKey", "in": "cookie", "name": self.name}

    def bind(self, gate: Gate) -> BoundSession:
        """Take keys, clock, entropy and storage from *gate*.

        Raises:
            ConfigurationError: where neither this nor the gate has keys, or the storage cannot remember what is ended.
        """
        bound = self._bound.get(gate)
        if bound is None:
            keys = gate.require_keys(f"SessionCookie(name={self.name!r})") if self.keys is None else self.keys
            tokens = tokens_for(self.name, cast("Sequence[bytes]", keys), gate, encrypted=self.encrypted)
            records = SessionRecords(tokens, gate, self.leeway, self.idle)
            revoker = None if self.revoker is None else self.revoker.bind(gate)
            if revoker is None and self.load_user is None:
                bound = BoundSession(self.name, records, self._cookie)
            else:
                bound = CheckedSession(self.name, records, self._cookie, revoker, self.load_user)
            self._bound[gate] = bound
        return bound

    def create_session(
        self,
        sub: str,
        *,
        roles: Collection[str] = (),
        scopes: Collection[str] = (),
        tenant: str | None = None,
        auth_at: float | None = None,
        data: Mapping[str, object] | None = None,
    ) -> Cookie:
        """Return the cookie of a new session; hand it to `ok(..., cookies=[...])`, and the gate signs it.

        Where the caller may have had a session before, as at a login, `rotate` ends that, too.

        Args:
            sub: the subject: stable, unique, not empty.
            roles: what the caller is.
            scopes: what the session may do.
            tenant: whose data the caller works on.
            auth_at: when the caller authenticated, Unix seconds, where that was not just now.
            data: what else to remember, as JSON; it becomes the principal's `claims`. Encrypted sessions only.

        Raises:
            ConfigurationError: for a subject that is not a str or is empty, for a str in place of several names, and
                for data in a cookie that its owner can read.
        """
        facts = self._facts(sub, roles=roles, scopes=scopes, tenant=tenant, auth_at=auth_at, data=data)
        return self._begin(facts, self.max_age)

    async def rotate(
        self,
        call: Call,
        sub: str | None = None,
        *,
        roles: Collection[str] | None = None,
        scopes: Collection[str] | None = None,
        tenant: str | None = None,
        auth_at: float | None = None,
        data: Mapping[str, object] | None = None,
        issued_at: float | None = None,
    ) -> Cookie:
        """End the session that *call* came with, if any, and return the cookie of a new one (ASVS 5.0, 7.2.4).

        With *sub* somebody has just authenticated: nothing is taken over. Without, the caller's own session gets
        another id, because what it may do has changed: what is not said here stays, and its end, too.

        Args:
            call: the call to answer.
            sub: who has just authenticated; None for whoever the session belonged to.
            roles: as for `create_session`, and so are the others.
            issued_at: from when on `end_all` ends it, Unix seconds: when that was looked at which proves who it is;
                None for now.

        Raises:
            ConfigurationError: as `create_session` does, and for a call without a session where *sub* is not given.
        """
        # Before it is asked whether the old one still counts, or a new one could outlive what ends it meanwhile.
        began = floor_ms(call.gate.clock.time() if issued_at is None else issued_at)
        old = await self._ended(call)
        given = {"roles": roles, "scopes": scopes, "tenant": tenant, "auth_at": auth_at, "data": data}
        said: dict[str, Any] = {fact: value for fact, value in given.items() if value is not None}
        tell(call, "session_created")
        if sub is not None:
            return self._begin({**self._facts(sub, **said), "iat": began}, self.max_age)
        if old is None:
            raise ConfigurationError("rotate(call): the call has no session to go on with; write rotate(call, sub)")
        record: dict[str, Any] = {**old.record, "auth_at": old.principal.auth_at}
        kept = {fact: record[fact] for fact in _KEPT if fact in record}
        left = self.bind(call.gate).records.seconds_left(old)
        facts = {**self._facts(record["sub"], **kept | said), "exp": record["exp"], "iat": began}
        return self._begin(facts, max(1, math.ceil(left)))

    async def end_session(self, call: Call) -> Cookie:
        """End the session that *call* came with, and return a cookie that makes the browser forget it.

        Without a *revoker* a copy of the cookie stays valid until it expires; the log says so once.
        """
        await self._ended(call)
        return self.forget()

    async def end_all(self, where: Call | Gate, sub: str, *, keep: str | None = None) -> None:
        """End all sessions of a subject that began before now, as after a change of the password (ASVS 5.0, 7.4.3).

        Args:
            where: a call, or the gate.
            sub: the subject.
            keep: the id of a session that is to go on, such as `principal.sid`.

        Raises:
            ConfigurationError: without a revoker.
            ServiceUnavailable: while the storage does not answer.
        """
        if self.revoker is None:
            raise ConfigurationError("end_all(): nothing ends before its time; write SessionCookie(revoker=Revoker())")
        if isinstance(where, Gate):
            await self.revoker.bind(where).end_all(sub, keep=keep)
        else:
            await self.revoker.bind(where.gate).end_all(sub, keep=keep)
            tell(where, "sessions_ended")

    def forget(self) -> Cookie:
        """Return a cookie that makes the browser forget the session; it ends nothing."""
        return self._cookie("", 0)

    @overload
    async def verify_session(self, credential: Call, /) -> Principal[U] | None: ...
    @overload
    async def verify_session(self, credential: str | bytes, gate: Gate, /) -> Principal[U] | None: ...
    async def verify_session(self, credential: Call | str | bytes, gate: Gate | None = None, /) -> Principal[U] | None:
        """Return whose session *credential* is; None where there is none, or none that is valid.

        Args:
            credential: a call, or the value of the cookie.
            gate: whose keys and clock count; a call has its own.
        """
        if not isinstance(credential, (str, bytes)):
            bound = self.bind(credential.gate)
            found = bound.found(credential)
        elif gate is None:
            raise TypeError("verify_session(value, gate): the value alone does not say whose keys count")
        else:
            bound = self.bind(gate)
            found = bound.records.read(
                credential.encode(errors="replace") if isinstance(credential, str) else credential
            )
        verdict = await bound.judged(found) if isinstance(found, Session) else found
        return verdict if isinstance(verdict, Principal) else None

    async def _ended(self, call: Call) -> Session | None:
        """End the session that a call came with, and return it; None where there is none that still counts."""
        bound = self.bind(call.gate)
        session = bound.found(call)
        if not isinstance(session, Session):
            return None
        record = session.record
        if bound.revoker is None:
            call.gate.advice.about_logout(f"SessionCookie(name={self.name!r})")
        elif await bound.revoker.is_revoked(record["sid"], record["sub"], record["iat"]):
            return None
        else:
            await bound.revoker.end(record["sid"], record["sub"], bound.records.seconds_left(session))
        tell(call, "session_ended")
        return session

    def _facts(self, sub: str, **others: Any) -> Facts:
        if others.get("data") is not None and not self.encrypted:
            raise ConfigurationError("create_session(data=...): its owner could read it; SessionCookie(encrypted=True)")
        return facts_of(sub, **others)

    def _begin(self, facts: Facts, max_age: int) -> Cookie:
        return self._cookie(PendingSession(self, facts), max_age)

    def _cookie(self, value: str | PendingSession, max_age: int) -> Cookie:
        # A browser that forgets an idle session asks for none in vain.
        lifetime = max_age if self.idle is None else min(max_age, self.idle)
        return Cookie(
            self.name,
            value,
            max_age=lifetime,
            path=self.path,
            domain=self.domain,
            secure=self.secure,
            same_site=self.same_site,
        )
