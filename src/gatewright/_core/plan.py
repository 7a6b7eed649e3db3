"""A pipeline, compiled for one handler and one gate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from gatewright._core.guard import Answer, Entering, Guard, Surround
from gatewright._core.held import collected
from gatewright._core.methods import refuse_safe
from gatewright._core.outcome import Outcome
from gatewright._core.render import ANYTHING
from gatewright.errors import ApiError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler
    from gatewright._core.pipeline import Host, Pipeline

__all__ = ["Plan", "Plans", "Terminal"]

Terminal = Callable[["Call"], Awaitable[Outcome]]


class Plan:
    """Run guards in order, then what stands behind them.

    Args:
        guards: sealed and bound, in order.
        acts: the guards as they were written, for pipelines inside this one.
    """

    __slots__ = ("acts", "changes", "encloses", "guards", "listeners", "passed", "steps", "wants_body")

    def __init__(self, guards: tuple[Guard, ...], acts: tuple[Guard, ...]) -> None:
        surrounds = [guard for guard in guards if isinstance(guard, Surround)]
        self.guards: tuple[Guard, ...] = guards
        self.acts: tuple[Guard, ...] = acts
        self.steps: tuple[tuple[int, Callable[[Call], Entering]], ...] = tuple(
            (index, guard.enter) for index, guard in enumerate(guards) if guard not in surrounds
        )
        self.listeners: tuple[tuple[int, Guard], ...] = tuple(
            (index, guard) for index, guard in enumerate(guards) if type(guard).refused is not Guard.refused
        )
        self.passed: dict[str, str] = {guard.name: "passed" for guard in guards}
        self.encloses: bool = bool(surrounds)
        self.changes: bool = any(guard.changes for guard in acts)
        self.wants_body: bool = any(surround.wants_body for surround in surrounds)

    async def enter(self, call: Call) -> Answer | None:
        """Let *call* through every guard; return the answer of the first that answers itself.

        Surrounds are left out: what has no outcome, such as a websocket, cannot be enclosed.
        """
        index = 0
        try:
            for index, enter in self.steps:
                answer = enter(call)
                if answer is not None:
                    if not isinstance(answer, Answer):
                        answer = await answer
                    if answer is not None:
                        self._stopped(call, index, "answered")
                        return answer
        except ApiError as exc:
            self._refused(call, index, exc)
            raise
        call.guards = {**call.guards, **self.passed} if call.guards else self.passed
        call.acted = self.acts
        return None

    async def run(self, call: Call, terminal: Terminal) -> Outcome:
        """Run the guards, the surrounds around what follows them, and *terminal*.

        Raises:
            MethodNotAllowed: for a safe method, where a guard says that what stands behind it changes something.
        """
        if self.changes:
            refuse_safe(call)
        if self.encloses:
            return await self._run_from(0, call, terminal)
        answer = await self.enter(call)
        return await terminal(call) if answer is None else ANYTHING(answer.result, call)

    async def _run_from(self, at: int, call: Call, terminal: Terminal) -> Outcome:
        for index in range(at, len(self.guards)):
            guard = self.guards[index]
            if isinstance(guard, Surround):
                return await self._around(guard, index, call, terminal)
            try:
                answer = guard.enter(call)
                if answer is not None and not isinstance(answer, Answer):
                    answer = await answer
            except ApiError as exc:
                self._refused(call, index, exc)
                raise
            if answer is not None:
                self._stopped(call, index, "answered")
                return ANYTHING(answer.result, call)
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
            outcome = await self._run_from(index + 1, call, terminal)
            if surround.wants_body and outcome.body is None:
                outcome = await collected(outcome, call)
            if call.weighs is not None and outcome.status < 400:
                await call.weighs.weigh()
            if call.overruled_by is not None:
                # Nobody will get this answer, so nobody shall commit, keep or repeat it.
                raise call.overruled_by
            return outcome

        try:
            outcome = await surround.around(call, proceed)
        except ApiError as exc:
            if not proceeded:
                self._refused(call, index, exc)
            raise
        if not proceeded:
            self._stopped(call, index, "answered")
        return outcome

    def _refused(self, call: Call, index: int, exc: ApiError) -> None:
        self._stopped(call, index, f"refused: {exc.code}")
        for at, guard in self.listeners:
            if at < index:
                guard.refused(call, self.guards[index])

    def _stopped(self, call: Call, index: int, how: str) -> None:
        before = {guard.name: "passed" for guard in self.guards[:index]}
        call.guards = {**(call.guards or {}), **before, self.guards[index].name: how}


class Plans:
    """Compile a pipeline once for each gate that it meets.

    Args:
        pipeline: the guards.
        handler: what stands behind them; None for an app.
        host: who calls it.
    """

    def __init__(self, pipeline: Pipeline, handler: Handler | None, host: Host) -> None:
        self.pipeline = pipeline
        self.handler = handler
        self.host = host
        # What was asked for last, by identity; weakly, so that a gate lives no longer than its app.
        self._gate: Callable[[], Gate | None] = _no_gate
        self._acted: tuple[Guard, ...] = ()
        self._plan: Plan | None = None
        self._plans: WeakKeyDictionary[Gate, dict[tuple[int, ...], Plan]] = WeakKeyDictionary()

    def at(self, call: Call) -> Plan:
        """Return the plan for the gate of *call* and for what enclosing pipelines already did."""
        if self._plan is not None and self._gate() is call.gate and call.acted is self._acted:
            return self._plan
        plan = self.bind(call.gate, call.acted)
        self._gate, self._acted, self._plan = ref(call.gate), call.acted, plan
        return plan

    def check(self) -> None:
        """Seal without a gate, so that what cannot work is said as early as possible."""
        self.pipeline.seal(self.handler, self.host)

    def bind(self, gate: Gate, acted: tuple[Guard, ...] = ()) -> Plan:
        """Return the plan for *gate*, compiled when first asked for.

        Raises:
            ConfigurationError: for a combination, or a gate, that cannot work.
        """
        plans = self._plans.setdefault(gate, {})
        key = tuple(id(guard) for guard in acted)
        if key not in plans:
            sealed = self.pipeline.seal(self.handler, self.host, acted)
            plans[key] = Plan(tuple(guard.bind(gate) for guard in sealed), (*acted, *self.pipeline.guards))
        return plans[key]


def _no_gate() -> None:
    """Stand for a gate that was never met."""
