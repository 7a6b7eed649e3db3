"""Pipelines in front of an ASGI app: a whole application, a mount, a route that prepares its own arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright._core.body import capped
from gatewright._core.driver import Driver
from gatewright._core.held import Start, holding
from gatewright._core.outcome import Outcome
from gatewright._core.pipeline import Host, Pipeline
from gatewright._core.plan import Plan, Plans
from gatewright._core.refuse import adopted
from gatewright._core.render import ANYTHING

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate

__all__ = ["AppDriver", "GuardedApp"]

_NO_GUARDS = Pipeline()


class AppDriver(Driver):
    """Run guards in front of an ASGI app.

    Args:
        app: the app behind the guards.
        plans: the pipeline.
        gate: as in `Driver`.
        route: as in `Driver`.
        entered: left on the call for a handler inside the app, so that its guards are not run again.
    """

    def __init__(
        self,
        app: ASGIApp,
        plans: Plans,
        gate: Gate | None = None,
        route: str | None = None,
        entered: object = None,
    ) -> None:
        super().__init__(plans, gate, route)
        self.app = app
        self.entered = entered
        self._handlers: tuple[object, dict[object, object]] | None = None

    async def _answer(self, call: Call, send: Send) -> None:
        plan = self.plans.at(call)
        if self.entered is not None:
            self._adopt_handlers(call.scope)
        if not plan.guards:
            call.entered = self.entered
            await self.app(call.scope, self._receive(call), send)
        elif call.is_websocket:
            await self._handshake(plan, call, send)
        elif plan.encloses:
            await holding(plan.wants_body, lambda start: self._enclosed(plan, call, send, start))
        else:
            outcome = await plan.run(call, self.finish)
            await outcome.send(call.scope, self._receive(call), send)

    async def _handshake(self, plan: Plan, call: Call, send: Send) -> None:
        answer = await plan.enter(call)
        outcome = await self.finish(call) if answer is None else ANYTHING(answer.result, call)
        await outcome.send(call.scope, call.receive(), send)

    async def finish(self, call: Call) -> Outcome:
        """Return an outcome that is the app itself; its head is known when it is sent."""
        call.entered = self.entered
        return Outcome(0, [], None, self.app)

    async def _enclosed(self, plan: Plan, call: Call, send: Send, start: Start) -> None:
        async def finish(call: Call) -> Outcome:
            call.entered = self.entered
            return await start(self.app, call.scope, self._receive(call))

        try:
            outcome = await plan.run(call, finish)
        except Exception as exc:
            # Now, and not once the app has gone, which was given up and may take its time.
            await self._refuse(exc, call, send)
        else:
            await outcome.send(call.scope, call.receive(), send)

    def _receive(self, call: Call) -> Receive:
        """Return what is read by what stands behind: one handler under its cap, a whole app as it likes."""
        receive = call.receive()
        return receive if self.entered is None else capped(receive, call.body_limit, call.scope)

    def _adopt_handlers(self, scope: Scope) -> None:
        """Let the errors of a framework inside come out in the envelope, where its author did not say otherwise."""
        found = scope.get("starlette.exception_handlers")
        if found is None:
            return
        if self._handlers is None or self._handlers[0] is not found[0]:
            self._handlers = (found[0], adopted(found[0]))
        scope["starlette.exception_handlers"] = (self._handlers[1], found[1])


class GuardedApp(AppDriver):
    """An ASGI app with a gate, guards, or both, in front of it.

    Attributes:
        app: the app that was wrapped.
        pipeline: the guards, in the order in which they run.
    """

    def __init__(
        self,
        app: ASGIApp,
        pipeline: Pipeline = _NO_GUARDS,  # immutable
        gate: Gate | None = None,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(app, Plans(pipeline, None, Host.APP), gate)
        self.pipeline = pipeline
        self._prepare = prepare
        pipeline.seal(None, Host.APP)
        if gate is not None:
            self.plans.bind(gate)
            # Now, because structlog takes longer to load than the first request should.
            _ = gate.log

    def __repr__(self) -> str:
        return f"<GuardedApp {self.pipeline!r} > {self.app!r}>"

    @classmethod
    def around(cls, app: ASGIApp, pipeline: Pipeline = _NO_GUARDS, gate: Gate | None = None) -> GuardedApp:
        """Put *pipeline* and *gate* in front of *app*; folds into an app that is guarded already."""
        if isinstance(app, GuardedApp) and (gate is None or app.gate is None):
            return cls(app.app, app.pipeline.with_(*pipeline.guards), gate or app.gate, app._prepare)
        return cls(app, pipeline, gate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, a websocket, or the app's lifespan."""
        if scope["type"] in ("http", "websocket"):
            await super().__call__(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer(self, call: Call, send: Send) -> None:
        # A server without lifespan: the first request finds out, and keeps finding out until it is mended.
        self._prepared()
        await super()._answer(call, send)

    def _prepared(self) -> None:
        if self._prepare is not None:
            self._prepare()
            self._prepare = None

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._prepared()
        except Exception as exc:
            # A server that is lenient about lifespans goes on unless it is told that the start failed.
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            raise
        try:
            await self.app(scope, receive, send)
        finally:
            if self.gate is not None:
                await self.gate.close()
