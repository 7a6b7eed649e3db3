"""A clock that stands still, a gate with fixed keys, and calls made of headers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from starlette.types import Message, Scope

from gatewright import ApiError, Gate, Principal
from gatewright._core.call import Call
from gatewright._core.guard import Answer, Guard

KEY = b"the key of these tests, long enough to be one"
OLDER_KEY = b"the key that these tests had before, also long"

# A pair of header name and value, raw, as an ASGI server passes it.
Pair = tuple[bytes, bytes]


class FrozenClock:
    """Tell the time that a test set."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def counting() -> Callable[[int], bytes]:
    """Return entropy that never repeats and never surprises."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


def make_gate(*keys: bytes, now: float = 1_800_000_000.0, clock: FrozenClock | None = None) -> Gate:
    return Gate(keys=keys or (KEY,), clock=clock or FrozenClock(now), entropy=counting())


def call_with(*headers: Pair, gate: Gate | None = None, kind: str = "http") -> Call:
    scope: Scope = {"type": kind, "path": "/", "headers": list(headers)}
    if kind == "http":
        scope["method"] = "GET"
    return Call(gate or make_gate(), scope, _nothing, _nowhere)


async def enter(guard: Guard, call: Call) -> None:
    """Let *call* meet *guard*, whether it awaits or not."""
    entering = guard.enter(call)
    if entering is not None:
        assert not isinstance(entering, Answer)
        await entering


async def refused(guard: Guard, call: Call) -> ApiError:
    """Return the refusal of *call* by *guard*."""
    try:
        await enter(guard, call)
    except ApiError as error:
        return error
    raise AssertionError(f"{guard!r} let {call!r} pass")


def header_of(error: ApiError, name: str = "WWW-Authenticate") -> str | None:
    return (error.headers or {}).get(name)


def known(sub: str = "ada", **facts: Any) -> Principal:
    return Principal(sub, **facts)


async def _nothing() -> Message:
    raise AssertionError("a guard of authentication never reads the body")


async def _nowhere(message: Message) -> None:
    raise AssertionError("a guard never sends")
