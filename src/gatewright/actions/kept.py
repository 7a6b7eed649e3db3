"""What somebody entered into a form, to show it again: the texts, and none that are secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from gatewright._core.form_field import UnreadableFormError, form_texts
from gatewright._core.guard import Entering, Guard
from gatewright._core.hidden import HIDDEN
from gatewright._core.phase import Phase
from gatewright.actions.state import dotted
from gatewright.errors import ApiError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.names import Names

__all__ = ["KeepInput", "Values", "kept"]

Values = Mapping[str, str | list[str]]

_MOST: Final = 1 << 20
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, repr=False)
class KeepInput(Guard):
    """Remember a form as it is read, once it is known who sends it and from where; nothing is kept of a flood.

    It stands before the limits of each caller, so that one who is over his limit does not lose what he wrote.
    """

    name = "keep_input"
    phase = Phase.METER
    rank = -1
    single = True
    reads_handler = True

    def __repr__(self) -> str:
        return self.name

    def enter(self, call: Call) -> Entering:
        """Listen to whoever reads the body."""
        form = _Form(call)
        if not call.body_was_read:
            call.join(call.scope, form)
        call.provide(_Form, form)
        return None


class _Form:
    """The body of a call, on its way to whoever reads it."""

    def __init__(self, call: Call) -> None:
        self._receive: Receive = call.receive()
        self._chunks: list[bytes] | None = []
        self._size = 0
        self._touched = False
        self._whole = False

    async def __call__(self) -> Message:
        """Receive a message, and keep what is in it."""
        message = await self._receive()
        self._touched = True
        if message["type"] == "http.request" and not self._whole and self._chunks is not None:
            chunk: bytes = message.get("body", b"")
            self._size += len(chunk)
            self._whole = not message.get("more_body", False)
            self._chunks.append(chunk)
            if self._size > _MOST:
                # A file, most likely; whoever reads it as a stream does not want it in memory.
                self._chunks = None
        return message

    async def body(self, call: Call) -> bytes:
        """Return the body, or nothing where somebody has read a part of it only."""
        if call.body_was_read or not self._touched:
            return await call.body()
        return b"".join(self._chunks) if self._whole and self._chunks is not None else b""


async def kept(call: Call, forget: frozenset[str], names: Names) -> Values:
    """Return what somebody entered, as it came: by name, a list where that came more than once.

    Args:
        call: the call; nothing is read where it was refused before anybody knew who sends it.
        forget: steps of names whose values are not kept.
        names: tells which further names are secret.
    """
    form: _Form | None = None if call.provided is None else call.provided.get(_Form)
    if form is None:
        return {}
    overruled = call.overruled_by
    try:
        texts = await form_texts(call.header(b"content-type") or b"", partial(form.body, call))
    except (ApiError, ClientDisconnect, UnreadableFormError):
        # It was refused already; that its form is too large as well is no better answer.
        call.overruled_by = overruled
        return {}
    values: dict[str, list[str]] = {}
    for name, text in texts:
        if len(name) <= _LONGEST_NAME and not (name in HIDDEN or _is_secret_name(name, forget, names)):
            values.setdefault(name, []).append(text)
    return {name: found if len(found) > 1 else found[0] for name, found in values.items()}


def _is_secret_name(name: str, forget: frozenset[str], names: Names) -> bool:
    steps = dotted(name).split(".")
    return names.secret(name) or any(step in forget or names.secret(step) for step in steps)
