"""How much body one handler takes."""

from __future__ import annotations

from dataclasses import dataclass

from gatewright._core.body import declared_length
from gatewright._core.call import Call
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Guard
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError

__all__ = ["limit_body"]


@dataclass(frozen=True)
class LimitBody(Guard):
    """Set the cap that readers of the body keep to, and refuse a declared length over it at once."""

    name = "limit_body"
    phase = Phase.ADMIT
    single = True

    size: int

    def enter(self, call: Call) -> None:
        """Refuse a body that says itself that it is too long."""
        call.body_limit = self.size
        declared_length(call.header(b"content-length"), self.size)


def limit_body(size: int) -> Decorator:
    """Let a handler take *size* bytes of body, more or less than the gate's 1 MiB.

    Args:
        size: the cap in bytes; 0 takes no body at all.

    Raises:
        ConfigurationError: for a negative size.
    """
    if size < 0:
        raise ConfigurationError(f"limit_body({size}): write a number of bytes, 0 or more")
    return guarded_by(LimitBody(size))
