"""How far a call came, which says whether a page may be made for whoever sent it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gatewright._core.guard import Entering, Guard
from gatewright._core.phase import Phase

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Reached", "begin", "may_see_the_form"]


@dataclass(frozen=True, repr=False)
class Reached(Guard):
    """Note that a call came to a phase, before anything else of that phase.

    Attributes:
        phase: `PARSE`, which comes after the roles and scopes; or `REFINE`, where it is asked whose object it is.
    """

    name = "reached"
    rank: ClassVar[int] = -2
    reads_handler = True

    phase: Phase = Phase.PARSE

    def __repr__(self) -> str:
        return f"{self.name}({self.phase.name})"

    def enter(self, call: Call) -> Entering:
        """Note it."""
        call.provide(Reached, self.phase)
        return None


def begin(call: Call) -> None:
    """Forget what another action of the same call noted."""
    call.provide(Reached, None)


def may_see_the_form(call: Call, began: bool) -> bool:
    """Say whether a failure is shown on the author's page: that of the input, and of the handler.

    Args:
        call: the call.
        began: whether every guard had let it pass.
    """
    return began or (call.provided is not None and call.provided.get(Reached) is Phase.PARSE)
