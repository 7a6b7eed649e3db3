"""Calling an action as a function, without HTTP."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.exceptions import HTTPException

from gatewright._core.call import Call
from gatewright._core.gate import default_gate
from gatewright._core.handler import Kind
from gatewright.errors import ApiError, InternalError
from gatewright.redirect import Redirect
from gatewright.result import Err
from gatewright.validation.guard import Validate
from gatewright.validation.problems import Problems
from gatewright.validation.refine import Refinement, refine_at_once, refine_awaited
from gatewright.validation.sources import SOURCES

if TYPE_CHECKING:
    from gatewright._core.function import GuardedFunction
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler

__all__ = ["runner"]


def runner(function: GuardedFunction) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return what calls the original of *function* behind its checks, with the original's own arguments.

    What is raised comes back as an `Err`; only a cancellation passes. A plain original runs in a thread.
    """
    original = function.function
    signature = inspect.signature(original)

    @functools.wraps(original)
    async def run(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        gate = (
            next((value.gate for value in given.arguments.values() if isinstance(value, Call)), None) or default_gate()
        )
        try:
            for guard in function.pipeline.guards:
                if isinstance(guard, Validate):
                    await _refine(guard, function.handler, given.arguments, gate)
            if function.early.kind is Kind.SYNC:
                return await to_thread.run_sync(functools.partial(original, *args, **kwargs))
            return await original(*args, **kwargs)
        except Exception as exc:
            return _as_result(exc, gate, function.early.name)

    return run


async def _refine(validate: Validate, handler: Handler, arguments: Mapping[str, object], gate: Gate) -> None:
    """Ask the author's checks.

    Raises:
        InvalidInput: for what they say is wrong.
    """
    names = [want.name for want in handler.wanting(*SOURCES)]
    refinements = [Refinement.of(refine, names, handler.name) for refine in validate.refine]
    problems = Problems()
    refine_at_once(refinements, arguments, problems)
    if not problems:
        await refine_awaited(refinements, arguments, problems, validate.refine_within)
    if problems:
        raise problems.refusal(validate.status or gate.invalid_status)


def _as_result(exc: Exception, gate: Gate, name: str) -> Err | Redirect:
    """Return what *exc* says as a value; what nobody mapped is logged whole, and says a fixed text."""
    if isinstance(exc, HTTPException) and exc.status_code < 400:
        return Redirect((exc.headers or {}).get("Location", "/"))
    error: ApiError | None = None
    try:
        error = gate.errors.map(exc)
    except Exception as broken:
        broken.__context__ = exc
        exc = broken
    if error is None or error.status_code == 500:
        gate.log.unhandled(exc, {"action": name})
    if error is None:
        error = InternalError()
    message = InternalError.default_message if error.status_code == 500 else error.message
    return Err(message, error.status_code, error.code, error.details or None, error.headers)
