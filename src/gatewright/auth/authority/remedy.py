"""What would help a caller who was denied, and the answer that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatewright._core.principal import Principal
from gatewright._core.security import tell
from gatewright.auth.authenticator import Identified, with_parameters
from gatewright.errors import ApiError, Forbidden, Unauthorized

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright.auth.authority.requirement import Requirement

__all__ = ["NOTHING", "Remedy", "denied"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """Say with what a caller would pass.

    Args:
        scopes: the scopes that are needed, those that the caller has included.
        max_age: the seconds that the authentication may be old; None where its age does not matter.
    """

    scopes: frozenset[str] = frozenset()
    max_age: int | None = None

    def __add__(self, other: Remedy) -> Remedy:
        ages = [age for age in (self.max_age, other.max_age) if age is not None]
        return Remedy(self.scopes | other.scopes, min(ages, default=None))


NOTHING = Remedy()
"""Nothing is missing."""


def denied(requirement: Requirement, principal: Principal[Any], call: Call) -> ApiError:
    """Return the refusal of a caller who does not meet *requirement*, with what would help, where something would."""
    tell(call, "access_denied")
    reason = f"require({requirement!r}) is not met"
    remedy = requirement.remedy(principal, call)
    if remedy is None:
        return Forbidden(reason=reason)
    if remedy.max_age is not None and remedy.scopes <= principal.scopes:
        return _stale(remedy.max_age, call, reason)
    if not remedy.scopes or principal.method != "bearer":
        return Forbidden(reason=reason)
    lacking = with_parameters("Bearer", error="insufficient_scope", scope=" ".join(sorted(remedy.scopes)))
    return Forbidden(headers={"WWW-Authenticate": lacking}, reason=reason)


def _stale(max_age: int, call: Call, reason: str) -> ApiError:
    """Ask for a fresher authentication (RFC 9470, section 3); never by way of a login page, which knows of no age."""
    code = "insufficient_user_authentication"
    challenge = _challenge(call)
    headers = challenge and {"WWW-Authenticate": with_parameters(challenge, error=code, max_age=str(max_age))}
    return Unauthorized("Authenticate again to do this", code=code, headers=headers or None, reason=reason)


def _challenge(call: Call) -> str | None:
    """Return the challenge of whoever knew the caller; without one of its own, what a 401 of this call carries."""
    identified: Identified | None = (call.provided or {}).get(Identified)
    if identified is None:
        return None
    own: Callable[[], str | None] | None = getattr(identified.authenticator, "challenge", None)
    return (own and own()) or identified.challenge
