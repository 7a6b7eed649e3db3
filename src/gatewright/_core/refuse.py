"""The one place where an exception becomes an answer."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, to_json
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gatewright._core.accept import prefers_problem
from gatewright._core.outcome import Outcome, RawHeaders, beside, raw_headers
from gatewright.errors import ApiError, BadRequest, InternalError, InvalidInput

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = [
    "JSON",
    "Rendered",
    "adopted",
    "answer_of",
    "app_handles",
    "refusal",
    "refuse",
    "render_for_framework",
    "renders_envelopes",
]

JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")
_NO_STORE = (b"cache-control", b"no-store")
_CHALLENGE = (b"www-authenticate", b'Session realm="api"')
_FRAMEWORKS = frozenset({"starlette.middleware.exceptions", "fastapi.exception_handlers"})


async def refuse(exc: Exception, call: Call) -> Outcome:
    """Return the answer for *exc*; what nobody mapped is logged whole and answered with a fixed text."""
    try:
        return await _answer(exc, call)
    except Exception as broken:
        # A catch-all that fails, a header that cannot be sent: there is nobody further out to answer for it.
        await _unhandled(broken, call)
        return refusal(InternalError(), call)


async def _answer(exc: Exception, call: Call) -> Outcome:
    if isinstance(exc, HTTPException) and exc.status_code < 400:
        # A redirect, raised by its author.
        return Outcome(exc.status_code, raw_headers(exc.headers), b"")
    error = await _known(exc, call)
    if error is not None:
        return refusal(error, call)
    return await _by_catch_all(exc, call) or refusal(InternalError(), call)


async def answer_of(exc: Exception, call: Call) -> ApiError:
    """Return the error that stands for *exc*, after telling the log and the monitor of an unexpected one."""
    return await _known(exc, call) or InternalError()


async def _known(exc: Exception, call: Call) -> ApiError | None:
    if isinstance(exc, ClientDisconnect):
        return BadRequest("The client closed the connection", code="client_disconnected")
    answer: ApiError | None
    try:
        answer = call.gate.errors.map(exc)
    except Exception as broken:
        broken.__context__ = exc
        answer, exc = None, broken
    if answer is None or answer.status_code == 500:
        await _unhandled(exc, call)
    elif answer.__cause__ is exc:
        # The answer blames the input, and whoever gave it is not sure: somebody should look.
        fields = {"request_id": call.request_id, "route": call.route, "method": call.method}
        call.gate.log.event("warning", "doubtful_fault", exc_info=exc, **fields)
    return answer


async def _by_catch_all(exc: Exception, call: Call) -> Outcome | None:
    """Return what the app's own handler for `Exception`, or for 500, answers.

    Starlette would ask it outside of every middleware, so its answer would have no request id, headers or event.
    """
    handlers = getattr(call.scope.get("app"), "exception_handlers", {})
    handler = handlers.get(500) or handlers.get(Exception)
    if handler is None or call.is_websocket:
        return None
    if inspect.iscoroutinefunction(handler):
        return Outcome.of(await handler(call.connection, exc))
    return Outcome.of(await run_in_threadpool(handler, call.connection, exc))


async def _unhandled(exc: Exception, call: Call) -> None:
    call.gate.log.unhandled(exc, {"request_id": call.request_id, "route": call.route, "method": call.method})
    hook = call.gate.on_unhandled
    if hook is None:
        return
    try:
        told = hook(exc, call)
        if inspect.isawaitable(told):
            await told
    except Exception as broken:
        call.gate.log.unhandled(broken, {"request_id": call.request_id, "where": "on_unhandled"})


def refusal(error: ApiError, call: Call) -> Outcome:
    """Render *error*: the envelope, or problem details (RFC 9457) for a client that prefers them."""
    status, message = error.status_code, error.message
    if status == 500:
        message = InternalError.default_message
    elif isinstance(error, InvalidInput) and not error.has_own_status:
        status = call.gate.invalid_status
    if call.wants_refusal:
        # Not the one that is raised: through its traceback that one holds the call.
        call.refused_with = copy(error)
    call.note(error=error.code) if error.reason is None else call.note(error=error.code, reason=error.reason)
    facts: dict[str, object] = {"code": error.code}
    if error.details:
        facts["details"] = error.details
    facts["request_id"] = call.request_id
    if prefers_problem(call.headers.get(b"accept")):
        problem: dict[str, object] = {"type": error.problem_type, "title": message, "status": status}
        kind, body = _PROBLEM, _json(**{**error.facts, **problem, **facts})
    else:
        kind, body = JSON, _json(success=False, error=message, **facts)
    own = raw_headers(error.headers)
    if status == 401 and all(name != b"www-authenticate" for name, _ in own):
        own.append(_CHALLENGE)
    return Outcome(status, beside([kind, (b"content-length", b"%d" % len(body)), _NO_STORE], own), body)


def _json(**facts: object) -> bytes:
    try:
        return to_json(facts)
    except PydanticSerializationError:
        # A lone surrogate, quoted from a client's JSON: UTF-8 has no bytes for it.
        return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


# Living with the exception handlers of a framework


def app_handles(exc: Exception, call: Call) -> bool:
    """Say whether the app's author registered a handler for *exc*, and not just a catch-all; that one wins."""
    handlers, statuses = call.scope.get("starlette.exception_handlers", ({}, {}))
    if isinstance(exc, HTTPException) and exc.status_code in statuses:
        return True
    nearest = next((handlers[cls] for cls in type(exc).__mro__ if cls in handlers), render_for_framework)
    return not _is_frameworks_own(nearest)


def renders_envelopes(scope: Scope) -> bool:
    """Say whether errors that are raised inside this app come out in the envelope."""
    handlers, _ = scope.get("starlette.exception_handlers", ({}, {}))
    return handlers.get(HTTPException) is render_for_framework


def adopted(handlers: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return an app's exception handlers with the framework's own replaced by ours, and the author's kept."""
    ours = {cls: render_for_framework for cls, handler in handlers.items() if _is_http(cls, handler)}
    return {HTTPException: render_for_framework, **handlers, **ours}


def _is_http(cls: Any, handler: Any) -> bool:
    name = getattr(cls, "__name__", "")
    wanted = name == "RequestValidationError" or (inspect.isclass(cls) and issubclass(cls, HTTPException))
    return wanted and _is_frameworks_own(handler)


def _is_frameworks_own(handler: Any) -> bool:
    return handler is render_for_framework or getattr(handler, "__module__", "") in _FRAMEWORKS


async def render_for_framework(connection: HTTPConnection, exc: Exception) -> Response:
    """Handle an exception for Starlette's machinery, in the envelope."""
    from gatewright._core.call import CALL

    call: Call = connection.scope[CALL]
    return Rendered(await refuse(exc, call))


class Rendered(Response):
    """An outcome, where a framework wants a response."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome: Outcome = outcome
        self.status_code: int = outcome.status
        self.background: BackgroundTask | None = None
        self.body: bytes = outcome.body or b""
        self.raw_headers: RawHeaders = outcome.headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the outcome, as it was left; then work that was added to it."""
        self.outcome.status, self.outcome.headers = self.status_code, self.raw_headers
        await self.outcome.send(scope, receive, send)
        if self.background is not None:
            await self.background()
