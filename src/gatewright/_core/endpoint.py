"""The ASGI driver of one decorated function, in place of the framework's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import Send

from gatewright._core.call import Call
from gatewright._core.driver import Driver
from gatewright._core.outcome import Outcome
from gatewright._core.pipeline import Host
from gatewright._core.render import ANYTHING

if TYPE_CHECKING:
    from gatewright._core.function import GuardedFunction
    from gatewright._core.gate import Gate

__all__ = ["Endpoint"]


class Endpoint(Driver):
    """The ASGI driver of one decorated function, in place of the framework's own.

    Args:
        function: the decorated function's state.
        gate: as in `Driver`.
        route: as in `Driver`.
    """

    def __init__(self, function: GuardedFunction, gate: Gate | None = None, route: str | None = None) -> None:
        super().__init__(function.plans(Host.FUNCTION), gate, route)
        self._invoke = function.invocation(0)
        self._render = function.render
        if gate is not None:
            self.plans.bind(gate)
        else:
            self.plans.check()

    async def _answer(self, call: Call, send: Send) -> None:
        plan = self.plans.at(call)
        if plan.encloses or plan.changes:
            await super()._answer(call, send)
            return
        # The same without the steps that only a surround needs.
        answer = await plan.enter(call)
        outcome = self._render(await self._invoke(call), call) if answer is None else ANYTHING(answer.result, call)
        await outcome.send(call.scope, call.receive(), send)

    async def finish(self, call: Call) -> Outcome:
        """Call the original, and render what it returns."""
        return self._render(await self._invoke(call), call)
