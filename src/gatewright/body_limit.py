"""How much body one handler takes."""

from __future__ import annotations

from dataclasses import dataclass

from gatewright._core.body import capped, declared_length
from gatewright._core.call import Call
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Guard
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError

__all__ = ["limit_body"]


@dataclass(frozen=True, repr=False)
class LimitBody(Guard):
    """Refuse a declared length over the cap at once, and any other body as soon as it passes the cap."""

    name = "limit_body"
    phase = Phase.ADMIT
    single = True

    size: int

    def __repr__(self) -> str:
        return f"limit_body({self.size})"

    def enter(self, call: Call) -> None:
        """Put the cap between the wire and whoever reads: a guard, the handler, a framework, a raw app."""
        if call.is_websocket:
            return
        call.body_limit = self.size
        declared_length(call.header(b"content-length"), self.size)
        call.join(call.scope, capped(call.receive(), self.size))


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
