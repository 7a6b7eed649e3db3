"""Parts of a requirement that are not known before something was awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatewright._core.principal import Principal
from gatewright.auth.authority.requirement import Requirement, name_of, verdict_of

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Findings", "Late", "LateCheck"]


class Findings(dict["Late", "bool | None"]):
    """What the late parts of one expression came to, for one call; `call.provided` has it.

    Attributes:
        loaded: what was loaded meanwhile; None for what is not there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loaded: dict[Late, object] = {}


class Late(Requirement):
    """A part that has to be awaited: not known until it was."""

    __slots__ = ()

    def __call__(self, principal: Principal[Any], call: Call) -> bool | None:
        return None if self.pending(call) else _findings(call).get(self)

    @property
    def late(self) -> tuple[Late, ...]:
        return (self,)

    def pending(self, call: Call) -> bool:
        """Say whether nobody awaited it yet."""
        return self not in _findings(call)

    async def find(self, principal: Principal[Any], call: Call, findings: Findings) -> bool | None:
        """Judge *principal*, however long that takes."""
        raise NotImplementedError


def _findings(call: Call) -> Findings:
    found: Findings | None = (call.provided or {}).get(Findings)
    return Findings() if found is None else found


@dataclass(frozen=True, slots=True, repr=False)
class LateCheck(Late):
    """Ask an async function of the user's."""

    function: Callable[[Principal[Any], Call], Awaitable[object]]

    async def find(self, principal: Principal[Any], call: Call, findings: Findings) -> bool | None:
        return verdict_of(self, await self.function(principal, call))

    def __repr__(self) -> str:
        return name_of(self.function)
