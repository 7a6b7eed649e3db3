"""Sessions in a signed cookie: nothing is kept on the server, and one record says all."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, cast, overload
from weakref import WeakKeyDictionary

from typing_extensions import TypeVar

from gatewright._core.keys import Key, key_bytes
from gatewright._core.principal import Principal
from gatewright.auth.authenticator import ABSENT, Absent, Rejected, Verdict, challenge_of, is_async
from gatewright.auth.session_record import SessionRecords
from gatewright.cookie import Cookie
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate

__all__ = ["SessionCookie"]

U = TypeVar("U", default=Any)
LoadUser = Callable[[Principal[Any]], Awaitable[U | None]]

_NO_USER = Rejected("invalid_token", "load_user knows no such user")


@dataclass(frozen=True, eq=False)
class SessionCookie(Generic[U]):
    """Authenticate by a signed cookie, and make it.

    Its owner can read the record in it, and a copy is valid until it expires: put nothing secret into it.

    Args:
        name: the cookie's name. Sessions under another name are other sessions, even with the same keys.
        max_age: lifetime in seconds, from when it was created.
        same_site: "lax", "strict" or "none".
        secure: send over HTTPS only; False is for development, and wants a name without a prefix.
        path: the path that the cookie is sent to.
        domain: the domain that it is sent to; None is this host only.
        keys: secrets of its own, 32 bytes or more, newest first; by default those of the gate.
        leeway: seconds that the clock of the server that signed may be ahead of this one's.
        load_user: an `async def` that takes the principal and returns its user, which becomes `principal.user`,
            or None, which refuses.
        realm: the name of what is protected, for the challenge.

    Raises:
        ConfigurationError: for a cookie that browsers would drop, a key that can be guessed, a lifetime or a leeway
            that is none, a `load_user` that is not async.
    """

    _: KW_ONLY
    name: str = "__Host-session"
    max_age: int = 86400
    same_site: Literal["lax", "strict", "none"] = "lax"
    secure: bool = True
    path: str = "/"
    domain: str | None = None
    keys: Sequence[Key] | None = field(default=None, repr=False)
    leeway: float = 5
    load_user: LoadUser[U] | None = None
    realm: str = "api"
    _challenge: str = field(init=False, repr=False)
    _bound: WeakKeyDictionary[Gate, BoundSession | LoadingSession] = field(init=False, repr=False)

    header = "Cookie"
    ambient = True

    def __post_init__(self) -> None:
        self.end_session()  # a cookie that cannot be is refused here, not at the first login
        if self.max_age < 1:
            raise ConfigurationError(
                f"SessionCookie(max_age={self.max_age}): write a lifetime in seconds, such as 86400"
            )
        if not 0 <= self.leeway < math.inf:
            raise ConfigurationError(f"SessionCookie(leeway={self.leeway}): write a few seconds, such as 5")
        if self.keys is not None and (isinstance(self.keys, (str, bytes)) or not self.keys):
            raise ConfigurationError("SessionCookie(keys=...) is a list, newest first; leave it out to use the gate's")
        if self.load_user is not None and not is_async(self.load_user):
            raise ConfigurationError(f"SessionCookie(load_user={self.load_user!r}): write it as an `async def`")
        object.__setattr__(self, "keys", None if self.keys is None else tuple(key_bytes(key) for key in self.keys))
        object.__setattr__(self, "_challenge", challenge_of("Session", self.realm))
        object.__setattr__(self, "_bound", WeakKeyDictionary())

    def challenge(self) -> str:
        """Return the challenge of a 401: no scheme is registered for cookies, and browsers leave this one alone."""
        return self._challenge

    def bind(self, gate: Gate) -> BoundSession | LoadingSession:
        """Take keys, clock and entropy from *gate*.

        Raises:
            ConfigurationError: where neither this nor the gate has keys.
        """
        bound = self._bound.get(gate)
        if bound is None:
            keys = gate.require_keys(f"SessionCookie(name={self.name!r})") if self.keys is None else self.keys
            # The name is part of the purpose: a user's session in an administrator's cookie is not one.
            purpose = f"gatewright.session {self.name}"
            records = SessionRecords(cast("Sequence[bytes]", keys), purpose, gate, self.leeway)
            cookie = self.name.encode("ascii")
            bound = BoundSession(cookie, records)
            if self.load_user is not None:
                bound = LoadingSession(cookie, records, self.load_user)
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
    ) -> Cookie:
        """Return the cookie of a new session; hand it to `ok(..., cookies=[...])`, and the gate signs it.

        Args:
            sub: the subject: stable, unique, not empty.
            roles: what the caller is.
            scopes: what the session may do.
            tenant: whose data the caller works on.
            auth_at: when the caller authenticated, Unix seconds, where that was not just now.

        Raises:
            ConfigurationError: for a subject that is not a str or is empty, and for a str in place of several names.
        """
        if not isinstance(sub, str) or not sub:  # pyright: ignore[reportUnnecessaryIsInstance]  # `user.id` is often an int
            raise ConfigurationError(
                f"create_session({sub!r}): the subject is a str, and not empty; write str(user.id)"
            )
        facts: dict[str, object] = {"sub": sub, "tenant": tenant, "auth_at": auth_at}
        for what, names in (("roles", roles), ("scopes", scopes)):
            if isinstance(names, str):
                raise ConfigurationError(f"create_session({what}={names!r}): write {what}=[{names!r}]")
            facts[what] = sorted(set(names)) or None
        given = {fact: value for fact, value in facts.items() if value is not None}
        return self._cookie(PendingSession(self, given), self.max_age)

    def end_session(self) -> Cookie:
        """Return a cookie that makes the browser forget the session; a copy is valid until it expires."""
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
        if isinstance(credential, (str, bytes)):
            if gate is None:
                raise TypeError("verify_session(value, gate): the value alone does not say whose keys count")
            value = credential.encode(errors="replace") if isinstance(credential, str) else credential
        else:
            gate, value = credential.gate, credential.cookie(self.name.encode("ascii")) or b""
        bound = self.bind(gate)
        verdict: Verdict = bound.records.read(value)
        if isinstance(bound, LoadingSession):
            verdict = await bound.with_user(verdict)
        return verdict if isinstance(verdict, Principal) else None

    def _cookie(self, value: str | PendingSession, max_age: int) -> Cookie:
        return Cookie(
            self.name,
            value,
            max_age=max_age,
            path=self.path,
            domain=self.domain,
            secure=self.secure,
            same_site=self.same_site,
        )


@dataclass(frozen=True, slots=True)
class PendingSession:
    """A session that begins when the answer is sent, with the keys, the clock and the entropy of its gate."""

    session: SessionCookie[Any] = field(repr=False)
    facts: Mapping[str, object]

    def settle(self, gate: Gate) -> str:
        """Return the value of the cookie."""
        return self.session.bind(gate).records.write(self.facts, self.session.max_age)


@dataclass(frozen=True, slots=True, eq=False)
class BoundSession:
    """A session cookie at its gate, where the record says all."""

    cookie: bytes
    records: SessionRecords

    def authenticate(self, call: Call) -> Principal | Absent | Rejected:
        """Say whose session the call carries."""
        value = call.cookie(self.cookie) or _noted(call, self.cookie)
        return self.records.read(value) if value else ABSENT


@dataclass(frozen=True, slots=True, eq=False)
class LoadingSession:
    """A session cookie at its gate, where the user is loaded too."""

    cookie: bytes
    records: SessionRecords
    load_user: LoadUser[Any]

    async def authenticate(self, call: Call) -> Verdict:
        """Say whose session the call carries, with its user."""
        value = call.cookie(self.cookie) or _noted(call, self.cookie)
        return await self.with_user(self.records.read(value)) if value else ABSENT

    async def with_user(self, verdict: Verdict) -> Verdict:
        """Return a principal with its user; reject one that has none."""
        if not isinstance(verdict, Principal):
            return verdict
        user = await self.load_user(verdict)
        return _NO_USER if user is None else replace(verdict, user=user)


def _noted(call: Call, cookie: bytes) -> bytes:
    """Return nothing, after a note where a cookie is there twice, because it then counts as absent."""
    if b"; ".join(call.header_values(b"cookie")).count(cookie + b"=") > 1:
        call.note(auth_ambiguous=f"{cookie.decode()} more than once")
    return b""
