"""What a call made stale: told once it succeeded, after every commit, before the head of its answer leaves."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from starlette.types import Message

from gatewright._core.undisturbed import undisturbed

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright._core.outcome import RawHeaders

__all__ = ["tell_stale"]

_TRIGGER = b"hx-trigger"
# Bytes; proxies take 4 kB to 8 kB of all headers together.
_LONGEST = 3_000


async def tell_stale(call: Call, head: Message) -> None:
    """Tell the gates of what is stale and, where htmx asked, the page; *head* gets the header that does it."""
    stale, call.stale = call.stale, {}
    for gate in dict.fromkeys(stale.values()):
        names = [name for name, by in stale.items() if by is gate]
        # The change is there already: whoever leaves now must not leave the old one in a cache.
        await undisturbed(_tell(gate, names, call))
    if b"hx-request" in call.headers:
        head["headers"] = _with_trigger(list(head.get("headers", ())), list(stale))


async def _tell(gate: Gate, names: Sequence[str], call: Call) -> None:
    hook = gate.on_invalidate
    if hook is None:
        return
    try:
        told = hook(names)
        if inspect.isawaitable(told):
            await told
    except Exception as exc:
        # What was done stays done, so the answer stays; the log says that something old may be shown.
        gate.log.unhandled(exc, {"request_id": call.request_id, "where": "on_invalidate"})


def _with_trigger(headers: RawHeaders, names: Sequence[str]) -> RawHeaders:
    """Add the events of stale names to `HX-Trigger`, beside those of the handler.

    `invalidated` carries all the names; each has an event of its own, too, such as `invalidated:posts`, to which a
    part of the page can listen: `hx-trigger="invalidated:posts from:body"`. Where these are too long for a header,
    only `invalidated` is sent, and where that is too long as well, without a name.
    """
    own = [value for name, value in headers if name.lower() == _TRIGGER]
    kept: dict[str, object] = {}
    for value in own:
        kept |= _events(value.decode("latin-1"))
    rest = [pair for pair in headers if pair[0].lower() != _TRIGGER]
    # An object each: htmx 4 takes no null.
    each: dict[str, object] = {f"invalidated:{name}": {} for name in names}
    for value in (_written(kept, names, each), _written(kept, names, {})):
        if len(value) <= _LONGEST:
            return [*rest, (_TRIGGER, value)]
    return [*rest, (_TRIGGER, _written(kept, (), {}))]


def _written(kept: Mapping[str, object], names: Sequence[str], each: Mapping[str, object]) -> bytes:
    events = {**kept, "invalidated": {"names": list(names)}, **each}
    return json.dumps(events, separators=(",", ":")).encode("ascii")


def _events(value: str) -> Mapping[str, Any]:
    """Return the events of an `HX-Trigger`, which is an object in JSON, or a list of names."""
    try:
        events: object = json.loads(value)
    except ValueError:
        events = None
    if isinstance(events, dict):
        return cast("dict[str, Any]", events)
    return {name: {} for part in value.split(",") if (name := part.strip())}
