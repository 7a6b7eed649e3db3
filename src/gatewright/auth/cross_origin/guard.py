"""The guard against requests that another site makes a browser send."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, Self, get_args

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Entering, Guard
from gatewright._core.methods import SAFE_METHODS
from gatewright._core.origins import origins
from gatewright._core.phase import Phase
from gatewright._core.principal import Principal
from gatewright._core.security import tell
from gatewright.auth.authenticator import Identified
from gatewright.auth.cross_origin.origin import ASKED_FOR, MISSING, Finding, judge
from gatewright.errors import ConfigurationError, Forbidden

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright.auth.cross_origin.token import SessionTokens

__all__ = ["FOR_FORMS", "IMPLIED", "CrossOrigin", "check_origin", "cross_origin"]

Missing = Literal["allow", "deny", "token"]
Mode = Literal["enforce", "report"]

_VARY = (b"vary", b"Sec-Fetch-Site, Origin")
_NONE: frozenset[str] = frozenset()


def cross_origin(*, trusted: Sequence[str] = (), missing: Missing = "allow", mode: Mode = "enforce") -> Decorator:
    """Refuse, with 403, what another origin makes a browser send (ASVS 5.0, 3.5.1 to 3.5.3 and 4.4.2).

    Judged are all methods but GET, HEAD and OPTIONS, and every websocket's handshake, except for callers of whom a
    guard in front knows that no browser sent their credential by itself. `with_auth` sees to calls that come with a
    cookie without this; write it for what `with_auth` does not guard, or to say more.

    Args:
        trusted: other origins that may send requests, beside those of the gate.
        missing: what to do where the client says nothing of where a request comes from, as programs do, and browsers
            from before 2020: `"allow"`, `"deny"`, or `"token"`, which demands a `csrf_token`.
        mode: `"report"` lets everything pass and says in the log what would be refused.

    Raises:
        ConfigurationError: for an origin that no browser sends, and an unknown *missing* or *mode*; when sealed, for
            `missing="token"` without `with_auth`; when bound, for `missing="token"` and a gate without keys.
    """
    return guarded_by(CrossOrigin(origins(trusted), missing, mode))


@dataclass(frozen=True, repr=False)
class CrossOrigin(Guard):
    """Judge where calls come from; see `cross_origin`.

    Args:
        trusted: as there.
        missing: as there.
        mode: as there.
        implied: whether nobody wrote it, so that it yields to one that somebody wrote.
        ambient_only: whether only calls are judged whose credential a browser may have attached.
    """

    name = "cross_origin"
    phase = Phase.SHIELD

    trusted: frozenset[str] = _NONE
    missing: Missing = "allow"
    mode: Mode = "enforce"
    implied: bool = False
    ambient_only: bool = False
    needs: tuple[Hashable, ...] = field(default=(), init=False, compare=False)
    reads_first: bool = field(default=False, init=False, compare=False)

    def __post_init__(self) -> None:
        for option, said, known in (("missing", self.missing, Missing), ("mode", self.mode, Mode)):
            if said not in get_args(known):
                words = " or ".join(f'"{word}"' for word in get_args(known))
                raise ConfigurationError(f"cross_origin({option}={said!r}): write {words}")
        if self.missing == "token":
            # A token belongs to a session, and may come in a form.
            object.__setattr__(self, "needs", (Principal,))
            object.__setattr__(self, "reads_first", True)

    def __repr__(self) -> str:
        said = [f"trusted={sorted(self.trusted)!r}"] if self.trusted else []
        said += [f"missing={self.missing!r}"] if self.missing != "allow" else []
        said += [f"mode={self.mode!r}"] if self.mode != "enforce" else []
        return f"cross_origin({', '.join(said)})" + " for ambient credentials" * self.ambient_only

    def yields_to(self, other: Guard) -> bool:
        """Make room for what somebody wrote and, where nobody did, for what judges more."""
        if not (self.implied and isinstance(other, CrossOrigin)):
            return False
        return not other.implied or (self.ambient_only and not other.ambient_only)

    def merge(self, others: Sequence[Self]) -> Sequence[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]  # Self is this class
        """Count equal ones once."""
        return list(dict.fromkeys((self, *others)))

    def same_as(self, other: Guard) -> bool:
        """Say no: further out, another credential may have been used. What was judged is noted on the call."""
        return False

    def bind(self, gate: Gate) -> Guard:
        """Take the gate's trusted origins, and its keys for tokens."""
        rule = replace(self, trusted=self.trusted | gate.trusted_origins)
        if self.missing != "token":
            return _Judging(rule)
        from gatewright.auth.cross_origin.token import SessionTokens

        return _Asking(rule, SessionTokens(gate.require_keys(repr(self))))


IMPLIED: Final = CrossOrigin(implied=True, ambient_only=True)
"""What `with_auth` adds where one of its credentials is ambient."""

FOR_FORMS: Final = CrossOrigin(implied=True)
"""What a form's handler gets, which may be one to log in with: no credential came along yet."""


def check_origin(call: Call) -> None:
    """Refuse a login that another origin makes a browser send, so that nobody is signed in as somebody else.

    For code that takes credentials from a form, where no guard can know of them. It does nothing where a
    `cross_origin` has judged the call, whatever that one found, nor for GET, HEAD and OPTIONS.

    Raises:
        Forbidden: for a call from an origin that the gate does not trust.
    """
    rule = CrossOrigin(call.gate.trusted_origins)
    if _changes(call) and not _covers(_judged_by(call), call.gate, rule):
        call.added.append(_VARY)
        _settle(call, rule, _find(call, rule))


@dataclass(frozen=True, eq=False, repr=False)
class _Judging(Guard):
    """`CrossOrigin` at its gate.

    Args:
        rule: what was said, with the gate's trusted origins.
    """

    name = CrossOrigin.name
    phase = CrossOrigin.phase

    rule: CrossOrigin

    def enter(self, call: Call) -> Entering:
        """Refuse a call that comes from elsewhere."""
        if self.concerns(call):
            _settle(call, self.rule, _find(call, self.rule))
        return None

    def concerns(self, call: Call) -> bool:
        """Say whether *call* is to be judged, and leave word that it is."""
        if not _changes(call):
            return False
        judged = _judged_by(call)
        identified: Identified | None = None if call.provided is None else call.provided.get(Identified)
        used = None if identified is None else identified.authenticator
        if self.rule.ambient_only:
            # No `Vary` yet: whoever is known gets answers that nothing stores.
            return used is not None and used.ambient and not _covers(judged, call.gate, self.rule)
        known = _covers(judged, call.gate, self.rule) if self.rule.implied else (call.gate, self.rule) in judged
        if known or (used is not None and not used.ambient):
            return False
        call.provide(_Judged, (*judged, (call.gate, self.rule)))
        call.added.append(_VARY)
        return True


@dataclass(frozen=True, eq=False, repr=False)
class _Asking(_Judging):
    """One that asks for a token where the client says nothing of where a call comes from."""

    tokens: SessionTokens

    async def enter(self, call: Call) -> None:
        """Refuse a call that comes from elsewhere, or from nobody knows where and without the session's token."""
        if not self.concerns(call):
            return
        finding = _find(call, self.rule)
        if finding is MISSING:
            from gatewright.auth.cross_origin.token import token_problem

            problem = await token_problem(call, self.tokens)
            finding = ASKED_FOR if problem is None else Finding(False, f"{MISSING.reason}, and {problem}")
        _settle(call, self.rule, finding)


class _Judged:
    """The key under which a call has the rules that were written for it, and judged it."""


_Judgements = tuple[tuple["Gate", CrossOrigin], ...]


def _judged_by(call: Call) -> _Judgements:
    return () if call.provided is None else call.provided.get(_Judged, ())


def _covers(judged: _Judgements, gate: Gate, rule: CrossOrigin) -> bool:
    """Say whether what was written for this gate has judged, or something for another one that trusts nobody more."""
    return any(one is gate or (by.mode == "enforce" and by.trusted <= rule.trusted) for one, by in judged)


def _changes(call: Call) -> bool:
    """Say whether a call may change something; a websocket may once it is open, and no later request says who asks."""
    scope = call.scope
    return scope["type"] != "http" or scope["method"] not in SAFE_METHODS


def _find(call: Call, rule: CrossOrigin) -> Finding:
    headers = call.headers
    if b"sec-fetch-site" not in headers and b"origin" not in headers:
        return MISSING
    sites, origin, hosts = (_values(call, name) for name in (b"sec-fetch-site", b"origin", b"host"))
    return judge(sites, origin, hosts, call.secure, rule.trusted)


def _values(call: Call, name: bytes) -> Sequence[bytes]:
    if name not in call.headers:
        return ()
    only = call.header(name)
    return call.header_values(name) if only is None else (only,)


def _settle(call: Call, rule: CrossOrigin, finding: Finding) -> None:
    """Let pass, or tell the log why not and refuse, in the same words whatever the reason."""
    if finding.passes or (finding is MISSING and rule.missing == "allow"):
        return
    tell(call, "cross_origin_refused")
    if finding.origin is not None:
        call.note(origin=finding.origin)
    if rule.mode == "report":
        call.note(cross_origin=f"would be refused, {finding.reason}")
        return
    call.added.append(_VARY)
    raise Forbidden("This request has to come from this site's own pages", code="cross_origin", reason=finding.reason)
