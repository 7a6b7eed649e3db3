"""The entries of a form that a page puts there for guards."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from gatewright._core.hidden import ONCE, PREVIOUS, TOKEN
from gatewright._core.tokens import base64url
from gatewright.actions.previous import previous_token
from gatewright.auth.cross_origin.token import csrf_token

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright.actions.state import ActionState

__all__ = ["Html", "hidden_fields"]

_KEY_BYTES = 16


class Html(str):
    """Text that is HTML already: Jinja2, and whatever else knows `__html__`, does not escape it."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return it as it is."""
        return self


def hidden_fields(call: Call, state: ActionState | None = None) -> Html:
    """Return the hidden inputs of a form, as HTML; write them into every form of an action.

    They are `_once`, a new key each time, so that this form does once what it says, however often it is sent
    (`action(once=True)`); `csrf_token`, where the caller has a session and the gate has keys; and `_previous`, what
    *state* says, where the handler asks for that. The answer gets `Cache-Control: no-store`, unless it has its own.

    Args:
        call: the request that the page answers.
        state: what the page says of the attempt that failed; nothing on the page that comes first.
    """
    # Whoever is shown a stored page sends the key of another filling, and is given the answer to that.
    call.add_header(b"cache-control", b"no-store")
    entries = {ONCE: base64url(call.gate.entropy(_KEY_BYTES)).decode()}
    if call.gate.keys and call.principal is not None and call.principal.sid is not None:
        entries[TOKEN] = csrf_token(call)
    said = None if state is None else previous_token(call, state)
    if said is not None:
        entries[PREVIOUS] = said
    return Html("".join(map(_input, entries.items())))


def _input(entry: tuple[str, str]) -> str:
    name, value = map(escape, entry)
    return f'<input type="hidden" name="{name}" value="{value}">'
