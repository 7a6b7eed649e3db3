"""The guard that says what a caller may do."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Entering, Guard
from gatewright._core.phase import Phase
from gatewright._core.principal import Principal
from gatewright.auth.authenticator import Identified
from gatewright.auth.authority.remedy import denied
from gatewright.auth.authority.requirement import Predicate, Requirement, requirement_of
from gatewright.errors import Unauthorized

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Require", "caller", "require"]


def require(requirement: Requirement | Predicate, /) -> Decorator:
    """Let only principals pass who meet *requirement*; several `require` have all to be met.

    A caller who is known and does not meet it gets a 403, one who is not known (`with_auth(optional=True)`) a 401.

    Args:
        requirement: `role(...)`, `scopes(...)`, `is_self(...)`, `same_tenant(...)`, `fresh(...)`, `owned(...)`, a
            function of the principal and the call that returns a bool, plain or async, or several of them joined
            with `&`, `|` and `~`.

    Raises:
        ConfigurationError: for anything else.
    """
    whole = requirement_of(requirement)
    if not whole.late:
        return guarded_by(Require(whole))
    from gatewright.auth.authority.late import guards_for

    return guarded_by(*guards_for(whole))


@dataclass(frozen=True, repr=False)
class Require(Guard):
    """Judge the principal by what is known at once; see `require`."""

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

    def enter(self, call: Call) -> Entering:
        """Refuse a caller who is not known, or does not meet the requirement."""
        principal = caller(call)
        # Only True passes: False and "not known" do not.
        if self.requirement(principal, call) is not True:
            raise denied(self.requirement, principal, call)
        return None


def caller(call: Call) -> Principal[Any]:
    """Return who is calling.

    Raises:
        Unauthorized: where nobody is known.
    """
    if call.principal is None:
        identified: Identified | None = (call.provided or {}).get(Identified)
        raise Unauthorized() if identified is None else identified.unknown.refusal(call)
    return call.principal
