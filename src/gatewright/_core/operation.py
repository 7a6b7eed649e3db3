"""A guarded function as a FastAPI path operation.

FastAPI reads a signature, so ours shows it what is its own: the parameters that guards fill are gone, and a first
dependency stands before the others. Behind the ASGI driver that dependency finds the guards done; with nothing
installed it runs them. Nothing here imports FastAPI.
"""

from __future__ import annotations

import copy
import inspect
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import WebSocketException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive
from starlette.websockets import WebSocket

from gatewright._core.answering import nowhere
from gatewright._core.call import CALL, Call
from gatewright._core.driver import close
from gatewright._core.gate import default_gate
from gatewright._core.guard import Answer
from gatewright._core.handler import Kind
from gatewright._core.pipeline import Host
from gatewright._core.refuse import answer_of, app_handles, refusal, renders_envelopes
from gatewright._core.render import declares_result, extra_headers, paginated
from gatewright.errors import ApiError
from gatewright.result import Err, Ok, is_ok, is_page

if TYPE_CHECKING:
    from gatewright._core.function import GuardedFunction

__all__ = ["Operation", "Turn"]

_PRIVATE = "gatewright_turn"


@dataclass(slots=True)
class Turn:
    """What the first dependency hands to the wrapper.

    Attributes:
        call: the request's call.
        response: where FastAPI collects status and headers for what it renders.
        outermost: whether nothing stands in front that dresses the answer and writes the log.
        answer: a guard's own answer, when nothing stands in front that could have sent it.
    """

    call: Call
    response: Response
    outermost: bool
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
        self.private = _PRIVATE
        while self.private in handler.others:  # a guarded function behind a foreign decorator has one already
            self.private += "_"
        keyword = inspect.Parameter.KEYWORD_ONLY
        depends = _depends(self._turns)
        annotation = HTTPConnection if depends is inspect.Parameter.empty else inspect.Parameter.empty
        parameters = [inspect.Parameter(self.private, keyword, default=depends, annotation=annotation)]
        bare = handler.connection(0)
        for parameter in handler.others.values():
            if parameter.name == bare and parameter.annotation is inspect.Parameter.empty:
                parameter = parameter.replace(annotation=Request)
            is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            parameters.append(parameter if is_variadic else parameter.replace(kind=keyword))
        parameters.sort(key=lambda parameter: parameter.kind)
        self.signature = inspect.Signature(parameters, return_annotation=handler.returns)

    async def _turns(self, connection: HTTPConnection, response: Response) -> AsyncGenerator[Turn, None]:
        """Run the guards, unless an ASGI driver did; the first thing that FastAPI resolves for the endpoint."""
        call: Call | None = connection.scope.get(CALL)
        if call is not None and call.entered is self._function:
            yield Turn(call, response, outermost=False)
            return
        outermost = call is None
        if call is None:
            call = connection.scope[CALL] = Call(default_gate(), connection.scope, _receive_of(connection), nowhere)
        call.adopt(cast("Request | WebSocket", connection))
        turn = Turn(call, response, outermost)
        try:
            turn.answer = await self._enter(turn, connection)
            if outermost:
                # Now, because a stream's head leaves before its generator runs.
                declared = getattr(call.scope.get("route"), "status_code", None)
                response.raw_headers.extend(call.finish(declared or 200, []))
            yield turn
            call.status = response.status_code or call.status
        except Exception as exc:
            known = call.gate.errors.map(exc)
            refused = 403 if isinstance(exc, WebSocketException) else 500
            call.status = known.status_code if known is not None else refused
            raise
        finally:
            if outermost:
                await close(call)

    async def _enter(self, turn: Turn, connection: HTTPConnection) -> Answer | None:
        call = turn.call
        try:
            answer = await self._function.plans(Host.DEPENDENCY).at(call).enter(call)
        except Exception as exc:
            raise await _raised(exc, turn) from exc
        if call.body_was_read:
            # FastAPI goes on with this very Request, whose stream is exhausted now; Starlette looks for a body here.
            connection.__dict__["_body"] = await call.body()
        return answer

    async def run(self, turn: Turn | HTTPConnection, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the original with FastAPI's arguments and ours, and hand its result over to FastAPI."""
        if isinstance(turn, HTTPConnection):
            # FastAPI was not imported yet when the handler was decorated, so no dependency could be declared.
            async with asynccontextmanager(self._turns)(turn, Response()) as taken:
                return await self.run(taken, args, kwargs)
        if turn.answer is not None:
            return self._hand_over(turn.answer.result, turn)
        arguments = self._function.invocation(None).arguments(turn.call) | kwargs
        try:
            if self._function.early.kind is Kind.SYNC:
                result = await run_in_threadpool(self._function.function, *args, **arguments)
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
        return self._function.function(*args, **self._function.invocation(None).arguments(turn.call) | kwargs)

    def _hand_over(self, result: object, turn: Turn) -> object:
        """Return what FastAPI will render; raise for an `Err`, so that dependencies with `yield` roll back."""
        if isinstance(result, Err):
            turn.call.added += extra_headers(None, result.cookies, turn.call)
            raise ApiError(
                result.error, status=result.status, code=result.code, details=result.details, headers=result.headers
            )
        if is_ok(result):
            return self._hand_over_ok(result, turn)
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
        response.raw_headers += extra_headers(result.headers, result.cookies, call)
        if is_page(result.data):
            result.pagination = paginated(result.data, call, response.raw_headers)
        return result if self._declares_result else result.as_dict()


async def _raised(exc: Exception, turn: Turn) -> Exception:
    """Return what to raise inside FastAPI for *exc*.

    Where the envelope is rendered further out, or the app's author handles *exc*, that is *exc* itself. Where nothing
    is installed, FastAPI's own handler will render it, so it carries the envelope and the headers along.
    """
    call = turn.call
    if renders_envelopes(call.scope) or app_handles(exc, call):
        return exc
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


def _depends(dependency: Callable[..., Any]) -> Any:
    """Return FastAPI's `Depends`, if FastAPI is there; an endpoint with dependencies of its own has imported it."""
    depends = getattr(sys.modules.get("fastapi"), "Depends", None)
    return inspect.Parameter.empty if depends is None else depends(dependency)


def _receive_of(connection: HTTPConnection) -> Receive:
    return cast("Request | WebSocket", connection).receive
