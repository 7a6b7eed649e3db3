"""The page that says what went wrong: the author's, with the form, or a plain one."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING, TypeAlias, cast
from urllib.parse import urlsplit

from starlette.responses import Response

from gatewright._core.callers import function_name
from gatewright._core.functions import is_async
from gatewright._core.outcome import Outcome, RawHeaders
from gatewright._core.render import ANYTHING
from gatewright._core.threads import in_thread
from gatewright.auth.next_url import next_of
from gatewright.errors import ConfigurationError
from gatewright.redirect import Redirect, is_place

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright.actions.state import ActionState

__all__ = ["Page", "Shown", "page_of", "plain_page", "takes_call_and_state"]

Shown: TypeAlias = str | Response | Redirect
"""A page: HTML, a response, or the way to another page."""

Page: TypeAlias = "Callable[[Call, ActionState], Shown | Awaitable[Shown]]"
"""Shows a form, with what came of the last attempt; plain or async."""

_HTML = (b"content-type", b"text/html; charset=utf-8")
# It has no script and no form, and shows what somebody sent.
_OWN: RawHeaders = [
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
]
_DOCUMENT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{message}</title>
<main>
<h1>{message}</h1>
{errors}{advice}{entered}<p><a href="{back}">Back</a></p>
</main>
</html>
"""
_LOG_IN = (
    '<p role="alert">Log in, in another tab, then reload this page: the browser sends once more what you wrote.</p>\n'
)


def takes_call_and_state(page: Callable[..., object]) -> bool:
    """Say whether *page* can be called with the two; a decorated handler takes neither."""
    try:
        inspect.signature(page).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


async def page_of(page: Page, call: Call, state: ActionState) -> Outcome:
    """Return what *page* makes of *state*, with its status where the page did not choose another.

    Raises:
        ConfigurationError: for what is no page.
    """
    made: object
    (made,) = _made(page, call, state) if is_async(page) else await in_thread(call, _made, page, call, state)
    if isinstance(made, Awaitable):
        made = await cast("Awaitable[object]", made)
    if isinstance(made, str):
        return _html(made, state.status)
    if not isinstance(made, (Response, Redirect)):
        raise ConfigurationError(f"{function_name(page)} returned a {type(made).__name__}; return HTML, or a response")
    outcome = ANYTHING(made, call)
    outcome.status = state.status if outcome.status == 200 else outcome.status
    return outcome


def _made(page: Page, call: Call, state: ActionState) -> tuple[object]:
    # Trio lets no thread return what is to be awaited, such as a lambda's coroutine, unless it is wrapped.
    return (page(call, state),)


def plain_page(call: Call, state: ActionState, began: bool) -> Outcome:
    """Return a page without a form, which says what is wrong, shows what was written, and leads back.

    Args:
        call: the call.
        state: what came of the attempt.
        began: whether the handler did; else, a 401 means that there is no session, or none any more.
    """
    errors = "".join(
        f"<li>{escape(text if path == '_root' else f'{path}: {text}')}</li>\n"
        for path, texts in state.errors.items()
        for text in texts
    )
    listed = f"<ul>\n{errors}</ul>\n" if errors else ""
    entered = "".join(map(_entered, state.values.items()))
    advice = _LOG_IN if state.status == 401 and not began else ""
    text = _DOCUMENT.format(
        message=escape(state.message), errors=listed, advice=advice, entered=entered, back=escape(_back(call))
    )
    page = _html(text, state.status)
    page.headers += _OWN
    return page


def _entered(entry: tuple[str, str | list[str]]) -> str:
    """Return what was entered under one name, to be copied; browsers drop a line break that comes first."""
    name, value = entry
    text = value if isinstance(value, str) else "\n".join(value)
    return f"<p><label>{escape(name)}<br><textarea readonly>\n{escape(text)}</textarea></label></p>\n"


def _html(text: str, status: int) -> Outcome:
    # A lone surrogate, which a message may hold, has no bytes.
    body = text.encode(errors="replace")
    return Outcome(status, [_HTML, (b"content-length", b"%d" % len(body))], body)


def _back(call: Call) -> str:
    """Return the page that the form was on, as far as the browser says it, or else where it was sent."""
    try:
        parts = urlsplit(call.headers.get(b"referer", b"").decode("ascii"))
    except ValueError:
        return next_of(call)
    place = f"{parts.path}?{parts.query}" if parts.query else parts.path
    here = parts.netloc.encode() == call.headers.get(b"host")
    return place if here and is_place(place) else next_of(call)
