"""The guard that says who is calling."""

from __future__ import annotations

from collections.abc import Awaitable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.functions import is_async
from gatewright._core.guard import Guard
from gatewright._core.phase import Phase
from gatewright._core.principal import Principal
from gatewright._core.security import tell
from gatewright.auth.answers import Unknown, navigates
from gatewright.auth.authenticator import (
    ABSENT,
    Absent,
    Authenticator,
    BoundAuthenticator,
    Identified,
    Rejected,
    Verdict,
    with_parameters,
)
from gatewright.auth.cross_origin.guard import IMPLIED
from gatewright.auth.users import introduce
from gatewright.errors import ApiError, BadRequest, ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler
    from gatewright._core.outcome import RawHeader

__all__ = ["WithAuth", "with_auth"]

_VERDICTS = (Principal, Absent, Rejected)
# Headers that several kinds of credential come in, each known by its scheme or its name.
_SHARED = ("authorization", "cookie")
_SEVERAL = Rejected("invalid_request", "several credentials")
_Said = Verdict | Awaitable[Verdict]


def with_auth(*authenticators: Authenticator, optional: bool = False) -> Decorator:
    """Let only callers pass who prove who they are; handlers ask for the `Principal` by annotation.

    The credential that is there decides: one that is rejected is refused, whatever else is configured, and two
    kinds of credential in one request are refused as well (RFC 6750, section 3.1). Where a browser attaches one of them
    by itself, such as a cookie, requests from other origins are refused, too; see `cross_origin`.

    Args:
        authenticators: the ways to prove it, such as `SessionCookie()` and `BearerToken(lookup)`.
        optional: let callers without any credential pass, with None for a principal.

    Raises:
        ConfigurationError: for no authenticator, two of the same name, or none with a challenge.
    """
    guard = WithAuth(authenticators, optional)
    rides_along = any(authenticator.ambient for authenticator in authenticators)
    return guarded_by(guard, IMPLIED) if rides_along else guarded_by(guard)


@dataclass(frozen=True, repr=False)
class WithAuth(Guard):
    """Identify the caller; see `with_auth`."""

    authenticators: tuple[Authenticator, ...]
    optional: bool = False

    name = "with_auth"
    phase = Phase.IDENTIFY
    provides: ClassVar[tuple[Hashable, ...]] = (Principal,)
    single = True

    def __post_init__(self) -> None:
        if not self.authenticators:
            raise ConfigurationError("with_auth() lets nobody in; write with_auth(SessionCookie())")
        for authenticator in self.authenticators:
            _check(authenticator)
        names = [authenticator.name for authenticator in self.authenticators]
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(f"{self!r}: two take the same credential, {name!r}; write one that knows both")
        own = [one.header for one in self.authenticators if one.header.lower() not in _SHARED]
        if len(set(own)) < len(own):
            raise ConfigurationError(f"{self!r}: two read the same header, so each call would have two credentials")
        if not any(authenticator.challenge() for authenticator in self.authenticators):
            raise ConfigurationError(f"{self!r}: a 401 has a challenge (RFC 9110, 15.5.2); return one from challenge()")

    @property
    def vouches(self) -> bool:  # type: ignore[override]  # read, never set
        """Say whether nobody passes who is not known."""
        return not self.optional

    def __repr__(self) -> str:
        names = [authenticator.name for authenticator in self.authenticators]
        return f"with_auth({', '.join(names + ['optional=True'] * self.optional)})"

    def same_as(self, other: Guard) -> bool:
        """Say no: an app inside may have a gate with other keys. Under one gate no authenticator is asked twice."""
        return False

    def seal(self, handler: Handler) -> Guard:
        """Refuse a handler that counts on a principal which may be None."""
        for want in handler.wanting(Principal):
            if self.optional and not want.optional:
                raise ConfigurationError(
                    f"{handler.name}: with_auth(optional=True) may know nobody; write {want.name}: Principal | None"
                )
        return self

    def bind(self, gate: Gate) -> Guard:
        """Bind every authenticator; by them it shows whether there is anything to await."""
        pairs = [(authenticator, authenticator.bind(gate)) for authenticator in self.authenticators]
        unknown = Unknown(self.authenticators, gate)
        asked = [_Asked(Identified(*pair, unknown), *pair) for pair in pairs]
        vary = ", ".join(dict.fromkeys([*(one.header for one in self.authenticators), *unknown.vary]))
        headers = ((b"vary", vary.encode("ascii")), (b"cache-control", b"no-store"))
        nobody = Identified(None, None, unknown) if self.optional else None
        awaits = any(is_async(one.authenticate) for one in asked)
        return (_IdentifyAsync if awaits else _Identify)(tuple(asked), headers, unknown, nobody)


def _check(authenticator: object) -> None:
    if isinstance(authenticator, type):
        name = authenticator.__name__
        raise ConfigurationError(f"with_auth({name}) has no settings yet; write with_auth({name}(...))")
    if not isinstance(authenticator, Authenticator):
        raise ConfigurationError(f"{authenticator!r} is no authenticator; write @with_auth(SessionCookie())")


class _Asked:
    """One authenticator at its gate."""

    __slots__ = ("authenticate", "authenticator", "challenge", "identified", "name")

    def __init__(self, identified: Identified, authenticator: Authenticator, bound: BoundAuthenticator) -> None:
        self.identified = identified
        self.authenticator = authenticator
        self.name = authenticator.name
        self.challenge = authenticator.challenge()
        self.authenticate = bound.authenticate

    def ask(self, call: Call) -> _Said:
        """Return what the authenticator says; where an outer guard asked it, what it said there."""
        if call.provided is not None and call.principal is not None:
            known = call.provided.get(Identified)
            if known is not None and known.bound is self.identified.bound:
                return call.principal
        return self.authenticate(call)


@dataclass(frozen=True, eq=False, repr=False)
class _Bound(Guard):
    """`WithAuth` at its gate: all that an answer may need is made."""

    asked: tuple[_Asked, ...]
    headers: tuple[RawHeader, ...]
    unknown: Unknown
    nobody: Identified | None

    name = WithAuth.name
    phase = WithAuth.phase

    def settle(self, call: Call, present: Sequence[tuple[_Asked, _Said]]) -> None:
        """Take the caller for whom the one credential says; refuse where there is none that is valid, or several."""
        if len(present) == 1:
            self._judge(call, *present[0])
        elif present:
            tell(call, "credential_ambiguous")
            raise self._refusal(call, _SEVERAL, *(one for one, _ in present))
        else:
            self._pass_nobody(call)

    def _pass_nobody(self, call: Call) -> None:
        if self.nobody is None:
            raise self.unknown.refusal(call)
        if call.principal is None:
            call.provide(Identified, self.nobody)
            introduce(call)

    def _judge(self, call: Call, one: _Asked, verdict: _Said) -> None:
        if isinstance(verdict, Principal):
            call.principal = verdict
            call.provide(Identified, one.identified)
            introduce(call)
        elif isinstance(verdict, Rejected):
            tell(call, "credential_rejected")
            raise self._refusal(call, verdict, one)
        else:
            # A coroutine that nobody awaited, None, True: whatever it is, it does not say who is calling.
            raise ConfigurationError(
                f"{one.name} said {type(verdict).__name__}: return a Principal, ABSENT or Rejected"
            )

    def _refusal(self, call: Call, rejected: Rejected, *by: _Asked) -> ApiError:
        call.note(auth_rejected=rejected.reason)
        challenge = self._challenge(rejected.code, *by)
        # Not "name: reason": the redactor takes what follows the name of a credential for the credential.
        reason = f"{rejected.reason} ({', '.join(one.name for one in by)})"
        if rejected.code == "invalid_request":
            headers = {"WWW-Authenticate": challenge}
            return BadRequest("Send one well-formed credential", code=rejected.code, headers=headers, reason=reason)
        stale = None if rejected.superseded and not navigates(call) else by[0].authenticator
        return self.unknown.refusal(call, challenge, stale, code=rejected.code, reason=reason)

    def _challenge(self, error: str, *wrong: _Asked) -> str:
        challenges = [(one.challenge, one in wrong) for one in self.asked if one.challenge]
        return ", ".join(with_parameters(plain, error=error) if told else plain for plain, told in challenges)


class _Identify(_Bound):
    def enter(self, call: Call) -> None:
        call.added += self.headers
        self.settle(call, [(one, said) for one in self.asked if (said := one.ask(call)) is not ABSENT])


class _IdentifyAsync(_Bound):
    async def enter(self, call: Call) -> None:
        call.added += self.headers
        present: list[tuple[_Asked, _Said]] = []
        for one in self.asked:
            said = one.ask(call)
            verdict = said if isinstance(said, _VERDICTS) else await said
            if verdict is not ABSENT:
                present.append((one, verdict))
        self.settle(call, present)
