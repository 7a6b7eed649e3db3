"""Login with a name and a password: one object for all that has to happen, in the order in which it has to.

Another site's form is refused. An attempt is paid for before anything is looked up. The password is compared, in about
the same time whoever is meant; the answer to a failure takes a least time, and says nothing. A weak hash is replaced,
and the session is a new one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import KW_ONLY, dataclass
from operator import attrgetter
from types import NoneType, TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar, runtime_checkable

import anyio

from gatewright._core.functions import is_async
from gatewright._core.security import tell
from gatewright.auth.cross_origin.guard import check_origin
from gatewright.auth.passwords.passwords import Passwords
from gatewright.errors import ConfigurationError, TooManyRequests, Unauthorized

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright.cookie import Cookie

__all__ = ["LoggedIn", "Login", "LoginAttempt", "LoginFailed", "LoginLockout", "LoginSession"]

U = TypeVar("U")

_LONGEST_NAME = 256
_LONGEST_FLOOR = 10
_NOBODY = ""
_CHALLENGE = 'Session realm="api"'


class LoginFailed(Unauthorized, code="login_failed", message="The name or the password is wrong"):
    """Say that a name and a password do not belong together, in the same words whatever is wrong."""


class LoginAttempt(Protocol):
    """An attempt at an account, which has failed unless it is said to have succeeded; see `gatewright.lockout`."""

    async def __aenter__(self) -> Self:
        """Begin, or refuse with `TooManyRequests`."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """End."""
        ...

    async def succeed(self) -> None:
        """Say that it succeeded."""
        ...


@runtime_checkable
class LoginLockout(Protocol):
    """What counts attempts: `gatewright.lockout`, or your own."""

    def attempt(self, call: Call, account: str, /) -> LoginAttempt:
        """Return an attempt of *call*'s client at *account*, whether there is one or not."""
        ...


@runtime_checkable
class LoginSession(Protocol):
    """What begins sessions: `SessionCookie`, or your own."""

    def challenge(self) -> str | None:
        """Return the challenge of a 401."""
        ...

    async def rotate(
        self,
        call: Call,
        sub: str,
        *,
        roles: Collection[str],
        scopes: Collection[str],
        tenant: str | None,
        issued_at: float | None,
    ) -> Cookie:
        """End the session that came with *call*, and return the cookie of a new one, as if it had begun before."""
        ...


@dataclass(frozen=True, slots=True)
class LoggedIn(Generic[U]):
    """Say who has logged in.

    Attributes:
        user: what `find_user` returned.
        cookies: what the answer has to carry, `ok(..., cookies=...)`; none where the login has no session.
    """

    user: U
    cookies: tuple[Cookie, ...]


@dataclass(frozen=True, eq=False)
class Login(Generic[U]):
    """Log users in.

    Args:
        find_user: an `async def` that takes a name as it was typed, and returns a user or None. It never sees an empty
            name, one of more than 256 characters, or one that a database could not take.
        passwords: compares passwords with hashes.
        lockout: counts the attempts, such as `lockout("5/15 minutes", scope="login")`.
        session: begins sessions; None where you hand out something else.
        sub: takes a user and returns what never changes about it, the subject of its sessions.
        password_hash: takes a user and returns the hash that is kept; None where there is no password.
        save_hash: an `async def` that takes a user, the hash that was compared with and a better one, and keeps the
            better one where the other is still there: the password may have been changed meanwhile. Without, hashes
            stay as they are.
        active: takes a user and says whether that one may come in (ASVS 5.0, 7.4.2).
        roles: takes a user and returns what that one is, for the session.
        scopes: takes a user and returns what the session may do.
        tenant: takes a user and returns whose data that one works on.
        floor: the least time that a failure takes, in seconds from its beginning (ASVS 5.0, 6.3.8): longer than a
            lookup and a comparison take.

    Raises:
        ConfigurationError: for no lockout, for plain functions where async ones are wanted, for a floor that is none.
    """

    find_user: Callable[[str], Awaitable[U | None]]
    passwords: Passwords
    lockout: LoginLockout
    _: KW_ONLY
    session: LoginSession | None = None
    sub: Callable[[U], object] = attrgetter("id")
    password_hash: Callable[[U], str | None] = attrgetter("password_hash")
    save_hash: Callable[[U, str, str], Awaitable[object]] | None = None
    active: Callable[[U], bool] | None = None
    roles: Callable[[U], Collection[str]] | None = None
    scopes: Callable[[U], Collection[str]] | None = None
    tenant: Callable[[U], str | None] | None = None
    floor: float = 0.4

    def __post_init__(self) -> None:
        # That guesses are limited is no option (ASVS 5.0, 6.3.1).
        _demand(self.lockout, LoginLockout, 'lockout=lockout("5/15 minutes", scope="login")')
        _demand(self.passwords, Passwords, "passwords=Passwords()")
        _demand(self.session, (LoginSession, NoneType), "session=SessionCookie()")
        if not is_async(self.find_user):
            raise ConfigurationError(f"Login(find_user={self.find_user!r}): write it as an `async def`")
        if self.save_hash is not None and not is_async(self.save_hash):
            raise ConfigurationError(f"Login(save_hash={self.save_hash!r}): write it as an `async def`")
        if not 0 <= self.floor <= _LONGEST_FLOOR:
            raise ConfigurationError(f"Login(floor={self.floor}): write seconds, such as 0.4, up to {_LONGEST_FLOOR}")

    async def attempt(self, call: Call, name: str, password: str) -> LoggedIn[U]:
        """Let somebody in who knows a name and its password.

        Args:
            call: the call that brings them.
            name: what was typed, such as an e-mail address.
            password: what was typed.

        Raises:
            LoginFailed: where they do not belong together.
            TooManyRequests: while the client is locked out; nothing is looked up then.
            Forbidden: where another site makes a browser send them.
        """
        check_origin(call)
        # Before anything is looked up: what ends all sessions from now on ends this one, too.
        began = call.gate.clock.time()
        usable = _is_name(name)

        async def find() -> U | None:
            return await self.find_user(name) if usable else None

        user = await self._prove(call, name if usable else _NOBODY, find, password)
        tell(call, "login_succeeded")
        return await self._signed_in(call, user, began)

    async def confirm(self, call: Call, user: U, password: str) -> None:
        """Have a user who is logged in say the password again, before something that counts (ASVS 5.0, 6.2.3, 7.5.1).

        Counted like a login, since whoever holds a stolen session may guess.

        Args:
            call: the user's call.
            user: as `find_user` would return it.
            password: what was typed.

        Raises:
            LoginFailed: for another password.
            TooManyRequests: while the client is locked out.
        """

        async def find() -> U:
            return user

        # No name that is typed: those have no such character.
        await self._prove(call, f"\0{self._sub(user)}", find, password)
        tell(call, "reauthenticated")

    async def sign_in(self, call: Call, user: U) -> LoggedIn[U]:
        """Begin a new session for a user of whom it is known already that it is the one, as after registering.

        The session that came with the call, if any, ends (ASVS 5.0, 7.2.4).

        Args:
            call: the user's call.
            user: as `find_user` would return it.
        """
        return await self._signed_in(call, user, None)

    async def _signed_in(self, call: Call, user: U, began: float | None) -> LoggedIn[U]:
        if self.session is None:
            return LoggedIn(user, ())
        roles, scopes = (() if names is None else names(user) for names in (self.roles, self.scopes))
        tenant = None if self.tenant is None else self.tenant(user)
        cookie = await self.session.rotate(
            call, self._sub(user), roles=roles, scopes=scopes, tenant=tenant, issued_at=began
        )
        return LoggedIn(user, (cookie,))

    async def _prove(self, call: Call, account: str, find: Callable[[], Awaitable[U | None]], password: str) -> U:
        """Return the user whose password this is; a failure takes its time, and has been counted by then."""
        clock = call.gate.clock
        began = clock.monotonic()
        try:
            async with self.lockout.attempt(call, account) as attempt:
                user = await find()
                stored, reason = self._stored(user)
                verdict = await self.passwords.verify_and_update(stored, password)
                if user is None or not verdict:
                    raise LoginFailed(headers={"WWW-Authenticate": self._challenge()}, reason=reason)
                await attempt.succeed()
        except LoginFailed:
            tell(call, "login_failed")
            await anyio.sleep(max(0.0, began + self.floor - clock.monotonic()))
            raise
        except TooManyRequests:
            tell(call, "login_locked")
            raise
        await self._update(call, user, stored, verdict.rehash)
        return user

    def _stored(self, user: U | None) -> tuple[str | None, str]:
        """Return the hash to compare with, none for who may not come in; and why it fails, if it does."""
        if user is None:
            return None, "nobody has this name"
        if self.active is not None and not self.active(user):
            return None, "the user is not active"
        return self.password_hash(user), "another password"

    async def _update(self, call: Call, user: U, stored: str | None, rehash: str | None) -> None:
        """Keep a better hash; a login does not fail because that cannot be done now."""
        if stored is not None and rehash is not None and self.save_hash is not None:
            try:
                await self.save_hash(user, stored, rehash)
            except Exception:
                call.log.exception("password_hash_not_saved")

    def _sub(self, user: U) -> str:
        """Return the subject of a user's sessions."""
        sub = self.sub(user)
        if sub is None or sub == "":
            raise ConfigurationError(
                f"sub={self.sub!r} returned {sub!r}; return what is the user's own, such as its id"
            )
        return str(sub)

    def _challenge(self) -> str:
        """Return the challenge that a 401 must carry (RFC 9110, section 15.5.2)."""
        return (None if self.session is None else self.session.challenge()) or _CHALLENGE


def _is_name(name: str) -> bool:
    """Say whether somebody may have this name; what nobody can have is a failure like any other, and counted as one."""
    if not name.strip() or len(name) > _LONGEST_NAME or "\0" in name:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _demand(given: object, kind: type | tuple[type, ...], instead: str) -> None:
    # A class has the methods of its instances, so it passes for one.
    if isinstance(given, type) or not isinstance(given, kind):
        raise ConfigurationError(f"Login(...) was given {given!r}; write {instead}")
