"""The two guards of a `require` that has something to wait for."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from gatewright._core.guard import Guard
from gatewright._core.phase import Phase
from gatewright._core.principal import Principal
from gatewright._core.security import tell
from gatewright.auth.authority.awaited import Findings, Late
from gatewright.auth.authority.owned import Load, OwnedMarker
from gatewright.auth.authority.remedy import denied
from gatewright.auth.authority.require import Require, caller
from gatewright.auth.authority.requirement import Requirement
from gatewright.errors import ApiError, ConfigurationError, NotFound

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler

__all__ = ["Foresee", "RequireLate", "RequireLoaded", "guards_for"]


def guards_for(requirement: Requirement) -> tuple[Require, ...]:
    """Return the guards that judge an expression with late parts: early, and fully."""
    loads = any(isinstance(part, Load) for part in requirement.late)
    return Foresee(requirement), (RequireLoaded if loads else RequireLate)(requirement)


@dataclass(frozen=True, repr=False)
class Foresee(Require):
    """Refuse, before the body is parsed and anything is loaded, whom no outcome of the late parts could help.

    An expression is judged in the latest phase that any part of it needs; this guard only says earlier what that
    judgement will be. With the late parts not known, False in three-valued logic means False whatever they come to:
    the same refusal, sooner, for a caller who is then shown neither what a valid body is nor whether an object exists.
    Everything else waits for `RequireLate`, which judges the whole again.
    """

    # After the plain ones, which are judged together and have to hold by themselves.
    rank = 1

    def enter(self, call: Call) -> None:
        """Refuse a caller who is not known, or cannot come to meet the requirement."""
        principal = caller(call)
        call.provide(Findings, Findings())
        if self.requirement(principal, call) is False:
            raise denied(self.requirement, principal, call)


@dataclass(frozen=True, repr=False)
class RequireLate(Require):
    """Await what has to be awaited, and judge the whole expression.

    Objects are loaded whatever the rest says: they have to exist, and the handler gets them. Functions are asked as
    long as the answer depends on them.
    """

    phase = Phase.REFINE

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        """Return the parts that load an object."""
        return tuple(part for part in self.requirement.late if isinstance(part, Load))

    @cached_property
    def checks(self) -> tuple[Late, ...]:
        """Return the parts that are asked only where it matters."""
        return tuple(part for part in self.requirement.late if not isinstance(part, Load))

    async def enter(self, call: Call) -> None:
        """Refuse a caller who does not meet the requirement, and one who asks for an object that is not there."""
        principal = caller(call)
        findings = Findings()
        call.provide(Findings, findings)
        for load in self.loads:
            findings[load] = await load.find(principal, call, findings)
        for check in self.checks:
            if self.requirement(principal, call) is None:
                findings[check] = await check.find(principal, call, findings)
        missing = any(findings.loaded[load] is None for load in self.loads)
        if missing or self.requirement(principal, call) is not True:
            raise self._refusal(principal, call, findings, missing)
        self.hand_over(call, findings)

    def _refusal(self, principal: Principal[Any], call: Call, findings: Findings, missing: bool) -> ApiError:
        """Return one answer for what is not there and for what is somebody else's, down to the last byte."""
        foreign = any(findings[load] is False and not load.reveal for load in self.loads)
        if not missing and not foreign:
            return denied(self.requirement, principal, call)
        if not missing:
            tell(call, "access_denied")
        return NotFound(reason=f"{self!r} {'found nothing' if missing else 'is not met'}")

    def hand_over(self, call: Call, findings: Findings) -> None:
        """Give the handler what it asked for."""


@dataclass(frozen=True, repr=False)
class RequireLoaded(RequireLate):
    """Await what has to be awaited, an object among it, and hand that over; see `owned`."""

    provides: ClassVar[tuple[Hashable, ...]] = (OwnedMarker,)
    # Beside each other, whatever they say, so that they become one.
    rank = 1

    parameter: str | None = None

    def seal(self, handler: Handler) -> Guard:
        """Find the parameter that takes the object, where there is one.

        Raises:
            ConfigurationError: where it is not clear which object, or which parameter.
        """
        wants = [want.name for want in handler.wanting(OwnedMarker)]
        if len(wants) > 1:
            raise ConfigurationError(f"{handler.name}: {', '.join(wants)} all ask for Owned[...]; write one of them")
        if wants and len(self.loads) > 1:
            raise ConfigurationError(
                f"{handler.name}: {wants[0]} may be what any of {', '.join(map(repr, self.loads))} loads; "
                "write one owned(...), and load the other in the handler"
            )
        return replace(self, parameter=wants[0]) if wants else self

    def bind(self, gate: Gate) -> Guard:
        """Compile what the loaders take, so that what cannot be filled is said at the start."""
        for load in self.loads:
            load.loader.prepare()
        return self

    def hand_over(self, call: Call, findings: Findings) -> None:
        """Put the one object under the name of the parameter."""
        if self.parameter is not None:
            call.arguments[self.parameter] = findings.loaded[self.loads[0]]
