"""A handler with guards: what decorators make of a function, and the function driver that serves it anywhere."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, cast, overload

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from typing_extensions import ParamSpec, TypeVar

from gatewright._core.answering import Answering, nowhere
from gatewright._core.call import CALL, Call
from gatewright._core.driver import close
from gatewright._core.gate import default_gate
from gatewright._core.handler import Handler, Kind
from gatewright._core.invocation import Invocation
from gatewright._core.operation import Operation
from gatewright._core.outcome import Outcome
from gatewright._core.pipeline import Host, Pipeline
from gatewright._core.plan import Plans
from gatewright._core.refuse import Rendered, app_handles, refuse
from gatewright._core.render import ANYTHING, Renderer

if TYPE_CHECKING:
    from gatewright.result import Err

__all__ = ["Action", "Guarded", "GuardedFunction", "bypassed_by", "guarded_function", "state_of"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

STATE = "__gatewright__"
TAKEN_OVER = "__gatewright_taken_over__"


class Guarded(Protocol[P, R_co]):
    """A decorated handler: a function that a framework calls, with the original and its pipeline at hand."""

    @property
    def handler(self) -> Callable[P, R_co]:
        """Return the original, to be called in a unit test without HTTP."""
        ...

    @property
    def pipeline(self) -> Pipeline:
        """Return the guards in the order in which they run."""
        ...

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        """Serve the connection that a framework passes; what it gets back is the framework's business."""
        ...


class Action(Guarded[P, R_co], Protocol[P, R_co]):
    """A decorated handler that can be called without HTTP, too: what `@action` makes."""

    @overload
    def run(
        self: Action[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T | Err]: ...
    @overload
    def run(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co | Err]: ...
    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Call the original behind its checks, and return what is raised as an `Err`; a plain one runs in a thread."""
        ...


class GuardedFunction:
    """What a decorated function carries: its original, its pipeline, and the plans for each host.

    Args:
        function: the original.
        pipeline: its guards.
    """

    def __init__(self, function: Callable[..., Any], pipeline: Pipeline) -> None:
        self.function = function
        self.pipeline = pipeline
        self._plans: dict[Host, Plans] = {}
        self._invocations: dict[int | None, Invocation] = {}
        self.early: Handler = Handler.read(function)
        self.operation: Operation = Operation(self)
        self.wrapper: Callable[..., Any] = _wrapper(self)

    @functools.cached_property
    def handler(self) -> Handler:
        """Return what the original asks for, read again where a name was not defined yet when it was decorated."""
        return Handler.read(self.function) if self.early.unresolved else self.early

    @functools.cached_property
    def render(self) -> Renderer:
        """Return the renderer of the original's results."""
        return Renderer(self.handler)

    def plans(self, host: Host) -> Plans:
        """Return the plans of this pipeline under *host*."""
        if host not in self._plans:
            self._plans[host] = Plans(self.pipeline, self.handler, host)
        return self._plans[host]

    def invocation(self, receivers: int | None) -> Invocation:
        """Return how the original is called when *receivers* (a method's `self`) come before the connection.

        None: the framework passes the connection itself.
        """
        if receivers not in self._invocations:
            self._invocations[receivers] = Invocation(self.handler, receivers)
        return self._invocations[receivers]

    async def serve(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Serve a call of the decorated function: a framework's, or a mistaken one."""
        turn = kwargs.pop(self.operation.private, None)
        if turn is not None:
            return await self.operation.run(turn, args, kwargs)
        receivers, connection = args[:-1], args[-1] if args else None
        if not kwargs and _is_request(connection):
            return await self._respond(receivers, connection)
        if not kwargs and _is_websocket(connection):
            await self._converse(receivers, connection)
            return None
        name = self.early.name.rpartition(".")[2]
        raise TypeError(f"{name}(...) serves a connection; in a test, call {name}.handler(...) or gatewright.testing")

    async def _respond(self, receivers: tuple[Any, ...], request: Request) -> Response:
        """The function driver: the same guards and refusals, on a route that knows nothing of them."""
        call, outermost = _call_of(request)
        with _joined(call, request):
            try:
                outcome = await self._outcome(call, receivers)
            except BaseException:
                if outermost:
                    await close(call)
                raise
        response: Response = Rendered(outcome)
        if isinstance(outcome.app, Response):
            response = outcome.app
            # What a surround left on the outcome is what is sent.
            response.status_code, response.raw_headers = outcome.status, outcome.headers
        return Answering(response, call) if outermost else response

    async def _outcome(self, call: Call, receivers: tuple[Any, ...]) -> Outcome:
        invocation = self.invocation(len(receivers))

        async def finish(call: Call) -> Outcome:
            return self.render(await invocation(call, receivers), call)

        try:
            return await self.plans(Host.FUNCTION).at(call).run(call, finish)
        except Exception as exc:
            if app_handles(exc, call):
                raise
            return await refuse(exc, call)

    async def _converse(self, receivers: tuple[Any, ...], websocket: WebSocket) -> None:
        """Refuse a websocket before it is accepted, or hand it to its handler."""
        call, outermost = _call_of(websocket)
        try:
            with _joined(call, websocket):
                refused = await self._refused(call)
                if refused is None:
                    call.status = 101
                    await self.invocation(len(receivers))(call, receivers)
                    return
                if outermost:
                    refused.headers = call.finish(refused.status, refused.headers)
                await refused.send(call.scope, websocket.receive, websocket.send)
        finally:
            if outermost:
                await close(call)

    async def _refused(self, call: Call) -> Outcome | None:
        try:
            answer = await self.plans(Host.WEBSOCKET).at(call).enter(call)
        except Exception as exc:
            return await refuse(exc, call)
        return None if answer is None else ANYTHING(answer.result, call)


def _is_request(connection: object) -> TypeGuard[Request]:
    return isinstance(connection, Request)


def _is_websocket(connection: object) -> TypeGuard[WebSocket]:
    return isinstance(connection, WebSocket)


def _call_of(connection: Request | WebSocket) -> tuple[Call, bool]:
    """Return the call of a connection, and whether it was opened for it."""
    call: Call | None = connection.scope.get(CALL)
    if call is not None:
        return call, False
    call = connection.scope[CALL] = Call(default_gate(), connection.scope, connection.receive, nowhere)
    return call, True


@contextmanager
def _joined(call: Call, connection: Request | WebSocket) -> Generator[None]:
    """Let a decorated function go on with a call, with arguments of its own."""
    acted, arguments = call.acted, call.arguments
    call.adopt(connection)
    call.arguments = {}
    try:
        yield
    finally:
        call.acted, call.arguments = acted, arguments


def guarded_function(function: Callable[..., Any], pipeline: Pipeline) -> Guarded[..., Any]:
    """Put *pipeline* in front of *function*; folds into a function that is guarded already."""
    state = state_of(function)
    if state is None:
        made = GuardedFunction(function, pipeline).wrapper
    else:
        made = GuardedFunction(state.function, state.pipeline.with_(*pipeline.guards)).wrapper
    layers = list(_layers(function))
    if layers and _is_being_defined(layers[-1]):
        # A route that got one of them, from a decorator written below this one, serves it without these guards.
        for layer in layers:
            layer.__dict__[TAKEN_OVER] = (layer, made)
    return cast("Guarded[..., Any]", made)


def _layers(function: object) -> Iterator[FunctionType]:
    """Yield *function* and what it was decorated from, down to what was written."""
    while isinstance(function, FunctionType):
        yield function
        state = state_of(function)
        function = getattr(function, "__wrapped__", None) if state is None else state.function


def _is_being_defined(function: FunctionType) -> bool:
    """Say whether a `def` statement is applying its decorators now, and will give the result *function*'s name."""
    code = function.__code__
    last = max(line for _, _, line in code.co_lines() if line is not None)
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_filename == code.co_filename and code.co_firstlineno <= frame.f_lineno <= last:
            return True
        frame = frame.f_back
    return False


def state_of(function: object) -> GuardedFunction | None:
    """Return the state of our own wrapper; None for anything else, a foreign wrapper with copied attributes too."""
    state = getattr(function, STATE, None)
    return state if isinstance(state, GuardedFunction) and state.wrapper is function else None


def bypassed_by(endpoint: object) -> Callable[..., Any] | None:
    """Return the function with (more) guards that took *endpoint*'s name when it was defined, or None."""
    taken: tuple[object, Callable[..., Any]] | None = getattr(endpoint, TAKEN_OVER, None)
    # A foreign wrapper copies attributes.
    return taken[1] if taken is not None and taken[0] is endpoint else None


def _wrapper(state: GuardedFunction) -> Callable[..., Any]:
    """Return a function of the original's shape: frameworks look whether it is a coroutine function or a generator."""
    kind = state.early.kind
    wrapper: Callable[..., Any]
    if kind is Kind.ASYNC_GENERATOR:

        async def guarded_stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            async for item in state.operation.stream(args, kwargs):
                yield item

        wrapper = guarded_stream
    elif kind is Kind.GENERATOR:

        def guarded_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            parts: Generator[Any, Any, Any] = state.operation.stream(args, kwargs)
            return (yield from parts)

        wrapper = guarded_generator
    else:

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            return await state.serve(args, kwargs)

        wrapper = guarded
    functools.update_wrapper(wrapper, state.function)
    # Without it, whoever unwraps would see the original's shape: a sync handler would be sent to a thread twice.
    del wrapper.__dict__["__wrapped__"]
    wrapper.__dict__.update(
        {
            STATE: state,
            "handler": state.function,
            "pipeline": state.pipeline,
            "__signature__": state.operation.signature,
        }
    )
    for guard in state.pipeline.guards:
        wrapper.__dict__.update(guard.carries(state))
    return wrapper
