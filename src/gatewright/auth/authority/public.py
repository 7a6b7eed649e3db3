"""The deliberate exception: a handler that is open to everybody, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Guard
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Public", "public"]


@dataclass(frozen=True, repr=False)
class Public(Guard):
    """Say that everybody may come in; see `public`."""

    name = "public"
    phase = Phase.OBSERVE
    single = True
    vouches = True

    def __repr__(self) -> str:
        return "public"

    def beside(self, others: Sequence[Guard]) -> None:
        """Refuse to stand beside a guard that lets only some come in."""
        for other in others:
            if other.vouches:
                raise ConfigurationError(f"public and {other!r} on one handler: everybody may come in, or only some")

    def enter(self, call: Call) -> None:
        """Let everybody pass."""


public: Final[Decorator] = guarded_by(Public())
"""Mark a handler as open to everybody: write `@public`. `protect` and audits then know that nobody forgot its guards.

Together with a `with_auth(...)` that is not optional it is refused when it decorates.
"""
