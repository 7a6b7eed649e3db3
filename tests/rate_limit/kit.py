"""What the tests of limits share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gatewright import Gate, Ok, Principal, ok
from gatewright._core.call import Call
from gatewright._core.decorate import guarded_by
from gatewright._core.storage.contract import Change, Charge, Standing
from gatewright._core.storage.memory import MemoryStore
from gatewright.testing import EventList, FrozenClock, call
from tests.toys import Identify

__all__ = ["ANN", "FarStore", "far_gate", "from_header", "hello", "identified", "left", "statuses"]

ANN = Principal("ann")
identified = guarded_by(Identify())


async def hello() -> Ok[str]:
    return ok("hello")


async def statuses(target: Any, times: int, **request: Any) -> list[int]:
    return [(await call(target, **request)).status for _ in range(times)]


def from_header(call: Call) -> str:
    return (call.header(b"x-key") or b"").decode("latin-1")


async def left(target: Any, **request: Any) -> int:
    """Call, and return what the answer says is left."""
    answer = await call(target, **request)
    return int(answer.headers["ratelimit"].split(";r=")[1].split(";")[0])


class FarStore(MemoryStore):
    """A store in another process, as far as anybody can tell."""

    def __init__(self, clock: FrozenClock) -> None:
        super().__init__(clock)
        self.hits: list[Sequence[Charge]] = []

    async def hit(self, charges: Sequence[Charge], /) -> list[Standing]:  # type: ignore[override]  # far away
        self.hits.append(charges)
        return super().hit(charges)

    async def look(self, charges: Sequence[Charge], /) -> list[Standing]:  # type: ignore[override]  # far away
        return MemoryStore.look(self, charges)

    async def adjust(self, changes: Sequence[Change], /) -> None:
        super().adjust(changes)

    async def forget(self, charges: Sequence[Charge], /) -> None:
        super().forget(charges)

    def barred(self, charge: Charge, /) -> Standing | None:
        (standing,) = MemoryStore.look(self, [charge])
        return None if standing[0] else standing


def far_gate(clock: FrozenClock, log: EventList) -> tuple[Gate, FarStore]:
    """Return a gate whose store has to be waited for, and the store."""
    gate = Gate(clock=clock, log=log)
    far = FarStore(clock)
    vars(gate)["backend"] = replace(gate.backend, store=far)
    return gate, far
