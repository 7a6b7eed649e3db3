"""The ASGI driver: opens the call, runs the plan, sends the answer, closes the call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from starlette.types import Receive, Scope, Send

from gatewright._core.call import CALL, Call
from gatewright._core.gate import default_gate
from gatewright._core.outcome import Outcome
from gatewright._core.refuse import answer_of, app_handles, refuse

if TYPE_CHECKING:
    from gatewright._core.gate import Gate
    from gatewright._core.plan import Plans

__all__ = ["Driver", "close", "run_afterthoughts"]


class Driver:
    """Serve what stands behind a pipeline. The outermost driver of a request opens its call; inner ones join it.

    Args:
        plans: the pipeline.
        gate: the gate that rules here; None takes the one that the call came with, or the process's default.
        route: the template under which this is served; None where many routes lie behind.
    """

    def __init__(self, plans: Plans, gate: Gate | None = None, route: str | None = None) -> None:
        self.plans = plans
        self.gate = gate
        self.route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one websocket."""
        outer: Call | None = scope.get(CALL)
        if outer is not None:
            await self._join(outer, scope, receive, send)
            return
        gate = self.gate or default_gate()
        call = scope[CALL] = Call(gate, scope, receive, send)
        try:
            await self._serve(call, call.send)
        except Exception as exc:
            if call.started:
                # The head cannot be taken back: log and monitor are told, and the server cuts the answer off.
                await answer_of(exc, call)
            raise
        finally:
            if call.afterthoughts is not None:
                await run_afterthoughts(call, gate)
            call.report(gate)
            # Scope and call hold each other; without this every request would wait for the garbage collector.
            scope.pop(CALL, None)

    async def _join(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        outer_gate, outer_acted, outer_arguments = call.gate, call.acted, call.arguments
        call.arguments = {}
        if self.gate is not None:
            call.gate = self.gate
        call.join(scope, receive)
        try:
            await self._serve(call, send)
        finally:
            call.gate, call.acted, call.arguments = outer_gate, outer_acted, outer_arguments

    async def _serve(self, call: Call, send: Send) -> None:
        if self.route is not None:
            call.route = self.route
        try:
            await self._answer(call, send)
        except Exception as exc:
            await self._refuse(exc, call, send)
        if call.overruled_by is not None:
            await call.conclude(send)

    async def _refuse(self, exc: Exception, call: Call, send: Send) -> None:
        """Answer for *exc*, where no answer has begun and the app's author does not."""
        if call.cut_off:
            # Its error is that it was, or comes of it.
            return
        if call.started or app_handles(exc, call):
            raise exc
        outcome = await refuse(exc, call)
        if call.overruled_by is None or outcome.status == call.overruled_by.status_code:
            await outcome.send(call.scope, call.receive(), send)

    async def _answer(self, call: Call, send: Send) -> None:
        """Run the pipeline and send what it leads to."""
        plan = self.plans.at(call)
        outcome = await plan.run(call, self.finish)
        await outcome.send(call.scope, call.receive(), send)

    async def finish(self, call: Call) -> Outcome:
        """Return the outcome of what stands behind the pipeline."""
        raise NotImplementedError


async def run_afterthoughts(call: Call, gate: Gate) -> None:
    """Run what guards left for the end, last left first, even when the request was cancelled."""
    while call.afterthoughts:
        try:
            done = call.afterthoughts.pop()()
            if done is not None:
                # Opened only for what waits, because most have nothing to wait for.
                with anyio.CancelScope(shield=True):
                    await done
        except Exception as exc:
            gate.log.unhandled(exc, {"request_id": call.request_id, "where": "afterthought"})


async def close(call: Call) -> None:
    """End a call that no ASGI driver opened."""
    if call.afterthoughts is not None:
        await run_afterthoughts(call, call.gate)
    call.report(call.gate)
    call.scope.pop(CALL, None)
