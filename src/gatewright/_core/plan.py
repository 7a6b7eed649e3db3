"""A pipeline, compiled for one handler and one gate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from gatewright._core.guard import Answer, Guard, Surround
from gatewright._core.outcome import Outcome
from gatewright.errors import ApiError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler
    from gatewright._core.pipeline import Host, Pipeline

__all__ = ["Plan", "Plans", "Terminal"]

Terminal = Callable[["Call"], Awaitable[Outcome]]
Render = Callable[[object, "Call"], Outcome]


class Plan:
    """Run guards in order, then what stands behind them.

    Args:
        guards: sealed and bound, in order.
        acts: the guards as they were written, for pipelines inside this one.
        render: turns a guard's `Answer` into an outcome.
    """

    __slots__ = ("acts", "encloses", "passed", "render", "steps", "surrounds", "wants_body")

    def __init__(self, guards: tuple[Guard, ...], acts: tuple[Guard, ...], render: Render) -> None:
        self.steps = tuple((guard.name, guard.enter) for guard in guards)
        self.surrounds = tuple(guard if isinstance(guard, Surround) else None for guard in guards)
        self.acts = acts
        self.render = render
        self.passed = {guard.name: "passed" for guard in guards}
        self.encloses = any(surround is not None for surround in self.surrounds)
        self.wants_body = any(surround is not None and surround.wants_body for surround in self.surrounds)

    async def enter(self, call: Call) -> Answer | None:
        """Let *call* through every guard; return the answer of the first that answers itself."""
        name = ""
        try:
            for name, enter in self.steps:
                answer = enter(call)
                if answer is not None:
                    if not isinstance(answer, Answer):
                        answer = await answer
                    if answer is not None:
                        self._stopped(call, name, "answered")
                        return answer
        except ApiError as exc:
            self._stopped(call, name, f"refused: {exc.code}")
            raise
        call.guards = {**call.guards, **self.passed} if call.guards else self.passed
        return None

    async def run(self, call: Call, terminal: Terminal) -> Outcome:
        """Run the guards, the surrounds around what follows them, and *terminal*."""
        if self.encloses:
            return await self._run_from(0, call, terminal)
        answer = await self.enter(call)
        if answer is not None:
            return self.render(answer.result, call)
        call.acted = self.acts
        return await terminal(call)

    async def _run_from(self, at: int, call: Call, terminal: Terminal) -> Outcome:
        for index in range(at, len(self.steps)):
            surround = self.surrounds[index]
            if surround is not None:
                return await self._around(surround, index, call, terminal)
            name, enter = self.steps[index]
            try:
                answer = enter(call)
                if answer is not None and not isinstance(answer, Answer):
                    answer = await answer
            except ApiError as exc:
                self._stopped(call, name, f"refused: {exc.code}")
                raise
            if answer is not None:
                self._stopped(call, name, "answered")
                return self.render(answer.result, call)
        call.guards = {**(call.guards or {}), **self.passed}
        call.acted = self.acts
        return await terminal(call)

    async def _around(self, surround: Surround, index: int, call: Call, terminal: Terminal) -> Outcome:
        proceeded = False

        async def proceed() -> Outcome:
            nonlocal proceeded
            if proceeded and not surround.repeats:
                raise RuntimeError(f"{surround.name} proceeded twice; declare `repeats = True` where that is safe")
            proceeded = True
            return await self._run_from(index + 1, call, terminal)

        try:
            outcome = await surround.around(call, proceed)
        except ApiError as exc:
            if not proceeded:
                self._stopped(call, surround.name, f"refused: {exc.code}")
            raise
        if not proceeded:
            self._stopped(call, surround.name, "answered")
        return outcome

    def _stopped(self, call: Call, name: str, how: str) -> None:
        before: dict[str, str] = {}
        for passed, _ in self.steps:
            if passed == name:
                break
            before[passed] = "passed"
        call.guards = {**(call.guards or {}), **before, name: how}


class Plans:
    """Compile a pipeline once for each gate that it meets.

    Args:
        pipeline: the guards.
        handler: what stands behind them; None for an app.
        host: who calls it.
        render: turns a result into an outcome.
    """

    def __init__(self, pipeline: Pipeline, handler: Handler | None, host: Host, render: Render) -> None:
        self.pipeline = pipeline
        self.handler = handler
        self.host = host
        self._render = render
        self._gate: Gate | None = None
        self._acted: tuple[Guard, ...] = ()
        self._plan: Plan | None = None
        self._others: WeakKeyDictionary[Gate, dict[tuple[int, ...], Plan]] = WeakKeyDictionary()

    def at(self, call: Call) -> Plan:
        """Return the plan for the gate of *call* and for what enclosing pipelines already did."""
        if call.gate is self._gate and call.acted is self._acted and self._plan is not None:
            return self._plan
        plan = self.bind(call.gate, call.acted)
        self._gate, self._acted, self._plan = call.gate, call.acted, plan
        return plan

    def check(self) -> None:
        """Seal without a gate, so that what cannot work is said as early as possible."""
        self.pipeline.seal(self.handler, self.host)

    def bind(self, gate: Gate, acted: tuple[Guard, ...] = ()) -> Plan:
        """Return the plan for *gate*, compiled when first asked for.

        Raises:
            ConfigurationError: for a combination, or a gate, that cannot work.
        """
        plans = self._others.setdefault(gate, {})
        key = tuple(id(guard) for guard in acted)
        if key not in plans:
            sealed = self.pipeline.seal(self.handler, self.host, acted)
            bound = tuple(guard.bind(gate) for guard in sealed)
            plans[key] = Plan(bound, (*acted, *self.pipeline.guards), self._render)
        return plans[key]
