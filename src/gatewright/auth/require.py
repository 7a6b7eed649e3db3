"""The guard that says what a caller may do."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Guard
from gatewright._core.phase import Phase
from gatewright._core.principal import Principal
from gatewright.auth.authenticator import Identified, with_parameters
from gatewright.auth.requirement import Predicate, Requirement, requirement_of
from gatewright.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Require", "require"]


def require(requirement: Requirement | Predicate, /) -> Decorator:
    """Let only principals pass who meet *requirement*; several `require` have all to be met.

    A caller who is known and does not meet it gets a 403, one who is not known (`with_auth(optional=True)`) a 401.

    Args:
        requirement: `role(...)`, `scopes(...)`, a plain function of the principal and the call that returns a bool,
            or several of them joined with `&`, `|` and `~`.

    Raises:
        ConfigurationError: for anything else.
    """
    return guarded_by(Require(requirement_of(requirement)))


@dataclass(frozen=True, repr=False)
class Require(Guard):
    """Judge the principal; see `require`."""

    requirement: Requirement

    name = "require"
    phase = Phase.AUTHORIZE
    needs: tuple[Hashable, ...] = field(default=(Principal,), init=False)

    def __repr__(self) -> str:
        return f"require({self.requirement!r})"

    # Others are of this very class; pyright takes the base's `Self` for any guard.
    def merge(self, others: Sequence[Self]) -> Sequence[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Demand everything at once."""
        whole = self.requirement
        for other in others:
            whole = whole & other.requirement
        return (replace(self, requirement=whole),)

    def same_as(self, other: Guard) -> bool:
        """Say no: between the two, another credential may have made somebody else the principal."""
        return False

    def enter(self, call: Call) -> None:
        """Refuse a caller who is not known, or does not meet the requirement."""
        principal = call.principal
        if principal is None:
            raise Unauthorized(headers=_challenge(call))
        # Only True passes: False and "not known" do not.
        if self.requirement(principal, call) is not True:
            raise Forbidden(headers=self._lacking(principal, call), reason=f"{self!r} is not met")

    def _lacking(self, principal: Principal[Any], call: Call) -> dict[str, str] | None:
        lacking = self.requirement.scopes_for(principal, call) if principal.method == "bearer" else None
        if not lacking:
            return None
        scope = " ".join(sorted(lacking))
        return {"WWW-Authenticate": with_parameters("Bearer", error="insufficient_scope", scope=scope)}


def _challenge(call: Call) -> dict[str, str] | None:
    identified = (call.provided or {}).get(Identified)
    return None if identified is None else {"WWW-Authenticate": identified.challenge}
