"""A guarded function as a FastAPI path operation.

FastAPI reads a signature, so ours shows it what is its own: the parameters that guards fill are gone, and a first
dependency stands before the others. Behind the ASGI driver that dependency finds the guards done; with nothing
installed it runs them. Nothing here imports FastAPI.
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive
from starlette.websockets import WebSocket

from gatewright._core.answering import nowhere
from gatewright._core.call import CALL, Call
from gatewright._core.driver import close
from gatewright._core.gate import default_gate
from gatewright._core.guard import Answer
from gatewright._core.handler import PRIVATE, Kind
from gatewright._core.outcome import raw_headers
from gatewright._core.pipeline import Host
from gatewright._core.refuse import Rendered, answer_of, app_handles, refusal, renders_envelopes
from gatewright._core.render import ANYTHING, declares_result, extra_headers, paginated
from gatewright._core.schemes import schemes_of, with_schemes
from gatewright._core.threads import in_thread
from gatewright.errors import ApiError, ConfigurationError
from gatewright.redirect import Redirect
from gatewright.result import Err, Ok, is_ok, is_page

if TYPE_CHECKING:
    from gatewright._core.function import GuardedFunction

__all__ = ["Operation", "Turn"]

_RESPONSE = "_response"


@dataclass(slots=True)
class Turn:
    """What the first dependency hands to the wrapper.

    Attributes:
        call: the request's call.
        response: where FastAPI collects status and headers for what it renders.
        outermost: whether nothing stands in front that dresses the answer and writes the log.
        arguments: what the guards of this very pipeline filled.
        answer: a guard's own answer, when nothing stands in front that could have sent it.
    """

    call: Call
    response: Response
    outermost: bool
    arguments: dict[str, Any]
    answer: Answer | None = None


class Operation:
    """Let FastAPI call a guarded function.

    Attributes:
        private: the name of the parameter that the first dependency fills.
        signature: what FastAPI sees.
    """

    def __init__(self, function: GuardedFunction) -> None:
        self._function = function
        handler = function.early
        self._declares_result = declares_result(handler.returns)
        self.private: str = PRIVATE
        while self.private in handler.others:  # a guarded function behind a foreign decorator has one already
            self.private += "_"
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [*_private(self.private, self._first())]
        bare = handler.connection(0)
        for parameter in handler.others.values():
            if parameter.name == bare and parameter.annotation is inspect.Parameter.empty:
                parameter = parameter.replace(annotation=Request)
            is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            parameters.append(parameter if is_variadic else parameter.replace(kind=keyword))
        parameters.sort(key=lambda parameter: parameter.kind)
        self.signature: inspect.Signature = inspect.Signature(parameters, return_annotation=handler.returns)

    def _first(self) -> Callable[..., Any]:
        """Return the first dependency; by its own, FastAPI learns which credentials the guards take."""
        return with_schemes(functools.partial(Operation._turns, self), schemes_of(self._function.pipeline))

    async def _turns(self, connection: HTTPConnection, response: Response, **_: None) -> AsyncGenerator[Turn, None]:
        """Run the guards, unless an ASGI driver did; the first thing that FastAPI resolves for the endpoint."""
        call: Call | None = connection.scope.get(CALL)
        if call is not None and call.entered is self._function:
            yield Turn(call, response, False, call.arguments)
            return
        outermost = call is None
        if call is None:
            call = connection.scope[CALL] = Call(default_gate(), connection.scope, _receive_of(connection), nowhere)
        call.adopt(cast("Request | WebSocket", connection))
        turn = Turn(call, response, outermost, {})
        if not outermost:
            turn.answer = await self._enter(turn, connection)
            yield turn
            return
        try:
            turn.answer = await self._enter(turn, connection)
            # Now, because a stream's head leaves before its generator runs.
            declared = getattr(call.scope.get("route"), "status_code", None)
            response.raw_headers.extend(call.finish(101 if call.is_websocket else declared or 200, []))
            yield turn
            call.status = response.status_code or call.status
        except Exception as exc:
            call.status = _status_of(exc, call)
            raise
        finally:
            await close(call)

    async def _enter(self, turn: Turn, connection: HTTPConnection) -> Answer | None:
        call, arguments = turn.call, turn.call.arguments
        call.arguments = turn.arguments
        try:
            answer = await self._function.plans(Host.DEPENDENCY).at(call).enter(call)
        except Exception as exc:
            raise await _raised(exc, turn) from exc
        finally:
            call.arguments = arguments
        if call.body_was_read:
            # FastAPI goes on with this very Request, whose stream is exhausted now; Starlette looks for a body here.
            connection.__dict__["_body"] = await call.body()
        return answer

    async def run(self, turn: Turn | HTTPConnection, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the original with FastAPI's arguments and ours, and hand its result over to FastAPI."""
        if isinstance(turn, HTTPConnection):
            # FastAPI was not imported yet when the handler was decorated, so no dependency could be declared.
            response = kwargs.pop(self.private + _RESPONSE)
            async with asynccontextmanager(self._turns)(turn, response) as taken:
                return await self.run(taken, args, kwargs)
        try:
            if turn.answer is not None:
                return self._answered(turn.answer, turn)
            arguments = self._arguments(turn, kwargs)
            if self._function.early.kind is Kind.SYNC:
                result = await in_thread(turn.call, self._function.function, *args, **arguments)
            else:
                result = await self._function.function(*args, **arguments)
            return self._hand_over(result, turn)
        except Exception as exc:
            raised = await _raised(exc, turn)
            if raised is exc:
                raise
            raise raised from exc

    def stream(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the original's generator, for an endpoint that yields.

        Raises:
            TypeError: when it is called without FastAPI, or a guard answered in its place.
        """
        turn = kwargs.pop(self.private, None)
        if not isinstance(turn, Turn) or turn.answer is not None:
            raise TypeError(f"{self._function.early.name} yields, so only FastAPI can serve it, behind GuardedRoute")
        return self._function.function(*args, **self._arguments(turn, kwargs))

    def _arguments(self, turn: Turn, kwargs: dict[str, Any]) -> dict[str, Any]:
        return self._function.invocation(None).arguments(turn.call, turn.arguments) | kwargs

    def _answered(self, answer: Answer, turn: Turn) -> object:
        """Return a guard's own answer; the handler's declared type is no filter for it."""
        if isinstance(answer.result, Err):
            return self._hand_over(answer.result, turn)
        return self._hand_over(Rendered(ANYTHING(answer.result, turn.call)), turn)

    def _hand_over(self, result: object, turn: Turn) -> object:
        """Return what FastAPI will render; raise for an `Err`, so that dependencies with `yield` roll back."""
        if turn.outermost and turn.call.stale:
            raise ConfigurationError(
                f"{self._function.early.name}: call.invalidate() is told before the answer leaves, which a plain "
                "FastAPI route cannot give; write gate.install(app), or route_class=gatewright.fastapi.GuardedRoute"
            )
        if isinstance(result, Err):
            turn.call.added += extra_headers(None, result.cookies, turn.call)
            raise result.as_error()
        if is_ok(result):
            return self._hand_over_ok(result, turn)
        if isinstance(result, Redirect):
            result = Rendered(ANYTHING(result, turn.call))
        if isinstance(result, Response) and turn.outermost:
            result.raw_headers = turn.call.finish(result.status_code, result.raw_headers)
        return result

    def _hand_over_ok(self, result: Ok[Any], turn: Turn) -> object:
        response, call = turn.response, turn.call
        declared = getattr(call.scope.get("route"), "status_code", None)
        if result.status != 200:
            response.status_code = result.status
        elif result.data is None and call.method == "DELETE" and declared is None:
            response.status_code = 204
        for name, value in extra_headers(result.headers, (), call):
            response.headers[name.decode("latin-1")] = value.decode("latin-1")
        response.raw_headers += extra_headers(None, result.cookies, call)
        if is_page(result.data):
            result.pagination = paginated(result.data, call, response.raw_headers)
        result.invalidated = list(call.stale)
        return result if self._declares_result else result.as_dict()


async def _raised(exc: Exception, turn: Turn) -> Exception:
    """Return what to raise inside FastAPI for *exc*.

    Where the envelope is rendered further out, or the app's author handles *exc*, that is *exc* itself. Where nothing
    is installed, FastAPI's own handler will render it, so it carries the envelope and the headers along.
    """
    call = turn.call
    if renders_envelopes(call.scope) or app_handles(exc, call):
        return exc
    if isinstance(exc, HTTPException) and not isinstance(exc, ApiError):
        return _dressed(exc, turn)
    error = await answer_of(exc, call)
    if error.status_code == 500:
        return exc
    if call.is_websocket:
        return WebSocketException(1008)
    outcome = refusal(error, call)
    headers = [pair for pair in outcome.headers if pair[0] not in (b"content-type", b"content-length")]
    if turn.outermost:
        headers = call.finish(outcome.status, headers)
    carrying = copy.copy(error)
    carrying.status_code = outcome.status
    carrying.detail = json.loads(outcome.body or b"null")
    carrying.headers = Headers(raw=headers)
    return carrying


def _dressed(exc: HTTPException, turn: Turn) -> HTTPException:
    """Return a framework's error, raised by the author for the framework, with the headers of any answer."""
    if not turn.outermost:
        return exc
    dressed = copy.copy(exc)
    dressed.headers = Headers(raw=turn.call.finish(exc.status_code, raw_headers(exc.headers)))
    return dressed


def _status_of(exc: Exception, call: Call) -> int:
    known = call.gate.errors.map(exc)
    if known is not None:
        return known.status_code
    return 403 if isinstance(exc, WebSocketException) else 500


def _private(name: str, dependency: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    """Yield what FastAPI fills for us alone: a first dependency, or what it would be given.

    The dependency only if FastAPI is there; an endpoint with dependencies of its own has imported it.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    depends = getattr(sys.modules.get("fastapi"), "Depends", None)
    if depends is not None:
        yield inspect.Parameter(name, keyword, default=depends(dependency))
    else:
        yield inspect.Parameter(name, keyword, annotation=HTTPConnection)
        yield inspect.Parameter(name + _RESPONSE, keyword, annotation=Response)


def _receive_of(connection: HTTPConnection) -> Receive:
    return cast("Request | WebSocket", connection).receive
