"""The decorator: what an action is made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeVar, overload

from typing_extensions import ParamSpec

from gatewright._core.decorate import guarded_by
from gatewright._core.function import Action, Guarded
from gatewright._core.guard import Guard
from gatewright._core.hidden import ONCE
from gatewright._core.phase import Phase
from gatewright.actions.guard import Negotiate
from gatewright.actions.kept import KeepInput
from gatewright.actions.pages import Page
from gatewright.actions.previous import RecallPrevious
from gatewright.actions.reached import Reached
from gatewright.auth.cross_origin.guard import FOR_FORMS
from gatewright.errors import ConfigurationError
from gatewright.idempotency.guard import Idempotent
from gatewright.validation.guard import Validate
from gatewright.validation.manner import Empty
from gatewright.validation.refine import Refine

__all__ = ["action"]

P = ParamSpec("P")
R = TypeVar("R")

# Seconds for which the second of two clicks waits for what comes of the first.
_PATIENCE = 10.0


class _Decorator(Protocol):
    """Make a handler an action."""

    @overload
    def __call__(self, handler: Guarded[P, R], /) -> Action[P, R]: ...
    @overload
    def __call__(self, handler: Callable[P, R], /) -> Action[P, R]: ...
    def __call__(self, handler: Any, /) -> Any:
        """Return *handler* as an action."""
        ...


@overload
def action(handler: Guarded[P, R], /) -> Action[P, R]: ...
@overload
def action(handler: Callable[P, R], /) -> Action[P, R]: ...
@overload
def action(
    *,
    page: Page | None = ...,
    then: str | None = ...,
    invalidates: Collection[str] = ...,
    refine: Refine | Sequence[Refine] = ...,
    refine_within: float | None = ...,
    once: bool = ...,
    target: str | None = ...,
    htmx_status: int = ...,
    forget: Collection[str] = ...,
    empty: Empty = ...,
) -> _Decorator: ...
def action(
    handler: Any = None,
    /,
    *,
    page: Page | None = None,
    then: str | None = None,
    invalidates: Collection[str] = (),
    refine: Refine | Sequence[Refine] = (),
    refine_within: float | None = 5.0,
    once: bool = False,
    target: str | None = None,
    htmx_status: int = 422,
    forget: Collection[str] = (),
    empty: Empty = "missing",
) -> Any:
    """Answer a form, with or without JavaScript, from one handler that returns `Result[T]` or a `Redirect`.

    The handler says each thing once, and never throws at its caller; how it is said is the client's choice:

    | | success | a redirect | failure |
    | --- | --- | --- | --- |
    | a program (`fetch`, curl) | the envelope | 200, `"redirect": "/posts/3"` | the envelope, or problem details |
    | a browser | 303 to *then* | 303 | the *page* again, with what was entered |
    | htmx | 204, `HX-Redirect` to *then* | 204, `HX-Redirect` | the *page* again, with *htmx_status* |

    It brings `validate` along, and a check of where the request comes from, as `cross_origin()` does it; write either
    one beside it to say more. No route may serve it to GET. `await handler.run(...)` calls it without HTTP.

    Args:
        handler: the handler, for `@action` without parentheses.
        page: shows the form, given the call and an `ActionState`; plain or async, it returns HTML or a response. What
            was entered is in the state, as it came, without files, and without what is secret: fields of `SecretStr`,
            names such as `password`. It is made for what is wrong with the input, and for what the handler says; never
            for whom a guard refused, by who he is, where he comes from, how often, or whose object it is: he gets a
            plain page, which says what is wrong, shows what he wrote, and leads back. So does everybody without *page*.
            Whose object it is (`owned`) is asked after the input: a page that loads one itself has to ask, too.
        then: the path to which a browser goes after success, where the handler returns no `Redirect`; by default the
            one that the form was sent to. A program is not told; what sends it somewhere, too, is a `Redirect`.
        invalidates: what a success makes stale, as `call.invalidate` takes it.
        refine: checks of the parsed input, as `validate` takes them.
        refine_within: seconds for all async checks together; None waits for as long as they take.
        once: do what a form says once, however often it is sent; its page has `hidden_fields(call)`.
        target: a CSS selector of what htmx replaces by the same part of the *page*, whatever the form itself says.
        htmx_status: the status of a failure for htmx: 422, or 200 for htmx before 4, which drops every error unless
            its `responseHandling` says otherwise.
        forget: names of further entries that are not shown again.
        empty: "missing" takes an empty entry for none, "keep" for an empty text.

    Raises:
        ConfigurationError: for a *then* that is no path on this host, and for whatever else cannot be meant.
    """
    checks: tuple[Any, ...] = (refine,) if callable(refine) else tuple(refine)
    written = bool(checks) or refine_within != 5.0 or empty != "missing"
    stale, forgotten = _names("invalidates", invalidates), frozenset(_names("forget", forget))
    guards: list[Guard] = [
        Negotiate(page, then, stale, target, htmx_status, forgotten),
        FOR_FORMS,
        KeepInput(),
        Reached(Phase.PARSE),
        Reached(Phase.REFINE),
        RecallPrevious(),
        Validate(refine=checks, refine_within=refine_within, empty=empty, implied=not written),
    ]
    guards += [Idempotent(field=ONCE, wait=_PATIENCE)] if once else []
    decorator: Any = guarded_by(*guards)
    return decorator if handler is None else decorator(handler)


def _names(said: str, names: Collection[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not all(names):
        raise ConfigurationError(f'action({said}={names!r}): write a list of names, such as {said}=["posts"]')
    return tuple(names)
