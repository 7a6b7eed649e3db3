"""Other security headers for one handler, or one app, than the gate's."""

from __future__ import annotations

from dataclasses import dataclass

from gatewright._core.call import Call
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Guard
from gatewright._core.headers import API, HeaderPolicy
from gatewright._core.phase import Phase

__all__ = ["HeaderPolicy", "security_headers"]


@dataclass(frozen=True, repr=False)
class SecurityHeaders(Guard):
    """Replace the gate's security headers."""

    name = "security_headers"
    phase = Phase.OBSERVE
    single = True

    policy: HeaderPolicy = API

    def __repr__(self) -> str:
        return "security_headers()" if self.policy == API else f"security_headers({self.policy!r})"

    def enter(self, call: Call) -> None:
        """Let the answer be dressed by this policy."""
        call.header_policy = self.policy


def security_headers(policy: HeaderPolicy = API) -> Decorator:
    """Send *policy*'s security headers in place of the gate's; an answer's own header still wins.

    Args:
        policy: the headers by name; the default is the API preset, which a gate sends by itself.
    """
    return guarded_by(SecurityHeaders(policy))
