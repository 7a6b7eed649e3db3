"""Which answer a client wants of an action, and what success looks like in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from gatewright._core.accept import prefers_pages
from gatewright._core.outcome import Outcome, RawHeader
from gatewright._core.refuse import JSON
from gatewright.actions.instead import instead
from gatewright.auth.next_url import next_of

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["VARY", "Wanted", "steered", "succeeded", "wanted"]

VARY: Final[RawHeader] = (b"vary", b"Accept, HX-Request, Sec-Fetch-Mode")
"""What `wanted` looks at."""

_LOCATION, _TYPE = b"location", b"content-type"
_EMPTY: Final = (b"content-length", b"0")
# With one of these, a handler tells htmx itself where to go.
_STEERING = frozenset({b"hx-redirect", b"hx-location", b"hx-refresh"})
_SCHEME = re.compile(rb"(?!https?:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
# What browsers drop from a URL, or from its beginning, before they look for a scheme (WHATWG URL).
_DROPPED = bytes(range(33))


class Wanted(Enum):
    """What an answer is for."""

    DATA = "a program: the envelope, or problem details"
    PAGE = "a browser that shows what it gets"
    HTMX = "htmx, which puts what it gets into a page"


def wanted(headers: Mapping[bytes, bytes]) -> Wanted:
    """Return what a client wants, by its request headers; `*/*` alone is what programs send.

    A form that htmx boosts is htmx's like any other: it follows a 303 by itself too, but drops pages with an error.
    """
    if headers.get(b"hx-request") == b"true":
        return Wanted.HTMX
    navigates = headers.get(b"sec-fetch-mode") == b"navigate"
    return Wanted.PAGE if navigates or prefers_pages(headers.get(b"accept")) else Wanted.DATA


def succeeded(outcome: Outcome, call: Call, then: str | None) -> Outcome:
    """Return *outcome*, which is no error, as the client of *call* wants it.

    What a handler wrote for people itself, such as a page or a file, stays as it is.

    Args:
        outcome: what the handler came to.
        call: the call.
        then: where a browser goes from here, where the handler did not say; by default, where it came to.
    """
    kind, head = wanted(call.headers), dict(outcome.headers)
    place = head.get(_LOCATION) if 300 <= outcome.status < 400 else None
    if place is not None and not _is_web(place):
        place = _elsewhere("location", call, then)
        outcome = _as_empty(outcome, 303, [(_LOCATION, place), _EMPTY])
    if kind is Wanted.DATA:
        return outcome if place is None else _as_data(outcome, call, place)
    if place is None and not _is_data(outcome.status, head):
        return outcome
    if kind is Wanted.HTMX:
        told = not _STEERING.isdisjoint(head)
        return _as_empty(outcome, 204, [] if told else [(b"hx-redirect", place or _next(call, then))])
    return outcome if place is not None else _as_empty(outcome, 303, [(_LOCATION, _next(call, then)), _EMPTY])


def steered(outcome: Outcome, call: Call, then: str | None) -> Outcome:
    """Return *outcome*, where a handler's own `HX-Redirect` leads to a page, and runs no script."""
    for at, (name, place) in enumerate(outcome.headers):
        if name == b"hx-redirect" and not _is_web(place):
            outcome.headers[at] = (name, _elsewhere("hx-redirect", call, then))
    return outcome


def _is_web(place: bytes) -> bool:
    """Say whether a place is a path, or of http(s): script that is told to go to `javascript:` runs it."""
    return _SCHEME.match(place.translate(None, _DROPPED)) is None


def _elsewhere(header: str, call: Call, then: str | None) -> bytes:
    """Return where to go in place of where nobody may be sent; what that was may be anybody's text."""
    call.log.warning("redirect_refused", header=header, reason="its scheme is neither http nor https")
    return _next(call, then)


def _next(call: Call, then: str | None) -> bytes:
    return (next_of(call) if then is None else then).encode("ascii")


def _is_data(status: int, head: Mapping[bytes, bytes]) -> bool:
    """Say whether an answer is for programs, or says nothing at all."""
    if status == 204 or head.get(b"content-length") == b"0":
        return True
    return 200 <= status < 300 and head.get(_TYPE, b"") == JSON[1] and b"content-disposition" not in head


def _as_data(outcome: Outcome, call: Call, place: bytes) -> Outcome:
    """Say where to go in the envelope: a program that is redirected follows by itself, and reads a page as JSON."""
    envelope: dict[str, object] = {"success": True, "data": None, "redirect": place.decode("latin-1")}
    if call.stale:
        envelope["invalidated"] = list(call.stale)
    body = to_json(envelope)
    return instead(outcome, 200, [JSON, (b"content-length", b"%d" % len(body))], body)


def _as_empty(outcome: Outcome, status: int, headers: list[RawHeader]) -> Outcome:
    return instead(outcome, status, headers, b"")
