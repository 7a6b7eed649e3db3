"""Requirements that look at the route, or at the clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatewright._core.principal import Principal
from gatewright._core.seconds import are_seconds
from gatewright.auth.authority.remedy import NOTHING, Remedy
from gatewright.auth.authority.requirement import Requirement, factory, written
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["fresh", "is_self", "path_parameter", "same_tenant"]

_LEEWAY = 5
"""Seconds that the clock of the server that authenticated may be ahead."""


@factory("is_self('user_id')")
def is_self(param: str) -> Requirement:
    """Require that the path parameter *param* is the caller's own `sub`.

    Args:
        param: the parameter's name in the route's template.

    Raises:
        ConfigurationError: for what is no name; when called, for a route without such a parameter.
    """
    return IsSelf(_named("is_self", param, "user_id"))


@factory("same_tenant('tenant_id')")
def same_tenant(param: str) -> Requirement:
    """Require that the path parameter *param* is the caller's tenant (ASVS 5.0, 8.4.1); who has none never passes.

    Args:
        param: the parameter's name in the route's template.

    Raises:
        ConfigurationError: for what is no name; when called, for a route without such a parameter.
    """
    return SameTenant(_named("same_tenant", param, "tenant_id"))


@factory("fresh(300)")
def fresh(within: int) -> Requirement:
    """Require that the caller authenticated not long ago (ASVS 5.0, 7.5.3).

    One who lacks nothing else gets a 401 with `max_age`, which says how to pass (RFC 9470, section 3).

    Args:
        within: seconds; 5 more are forgiven to a clock that is ahead.

    Raises:
        ConfigurationError: for what is no number of seconds, one or more.
    """
    seconds: object = within
    if not are_seconds(seconds, 1):
        raise ConfigurationError(f"fresh({within!r}): write whole seconds, such as fresh(300)")
    if seconds != int(seconds):
        raise ConfigurationError(f"fresh({within!r}): write whole seconds, such as fresh({math.ceil(seconds)})")
    return Fresh(int(seconds))


@dataclass(frozen=True, slots=True, repr=False)
class IsSelf(Requirement):
    param: str

    def __call__(self, principal: Principal[Any], call: Call) -> bool:
        return str(path_parameter(call, self.param, repr(self))) == principal.sub

    def __repr__(self) -> str:
        return written("is_self", self.param)


@dataclass(frozen=True, slots=True, repr=False)
class SameTenant(Requirement):
    param: str

    def __call__(self, principal: Principal[Any], call: Call) -> bool:
        return str(path_parameter(call, self.param, repr(self))) == principal.tenant

    def __repr__(self) -> str:
        return written("same_tenant", self.param)


@dataclass(frozen=True, slots=True, repr=False)
class Fresh(Requirement):
    within: int

    def __call__(self, principal: Principal[Any], call: Call) -> bool:
        # Zero is what a credential has that does not say when: without this, a clock at zero would believe it.
        return principal.auth_at > 0 and -_LEEWAY <= call.gate.clock.time() - principal.auth_at <= self.within

    def remedy(self, principal: Principal[Any], call: Call) -> Remedy:
        return NOTHING if self(principal, call) else Remedy(max_age=self.within)

    def __repr__(self) -> str:
        return written("fresh", self.within)


def path_parameter(call: Call, name: str, who: str) -> Any:
    """Return what the route found in the path.

    Raises:
        ConfigurationError: where the route has no such parameter, in the name of *who* asks.
    """
    found = call.path_params
    if name not in found:
        there = ", ".join(found) or "none"
        raise ConfigurationError(f"{who}: the route has no parameter {name}; those of its path are: {there}")
    return found[name]


def _named(who: str, param: object, example: str) -> str:
    if not isinstance(param, str) or not param.isidentifier():
        raise ConfigurationError(f"{who}({param!r}): write the name of a path parameter, {who}({example!r})")
    return param
