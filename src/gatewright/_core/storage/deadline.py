"""A deadline that holds, whatever a client makes of a cancellation."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self, cast

__all__ = ["Deadline"]

_AGAIN = 0.05


class Deadline:
    """Cancel what runs within it when the time is over, again and again until it ends; raise `TimeoutError` then.

    `asyncio.timeout` cancels once, and that can be lost: before Python 3.12 by an `asyncio.wait_for` within, where
    what it waits for is done at that very moment. Clients use it whenever they send something.

    Args:
        seconds: the time.

    Raises:
        RuntimeError: outside asyncio.
    """

    __slots__ = ("_before", "_cancelled", "_handle", "_loop", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._cancelled = 0

    def __enter__(self) -> Self:
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._before = self._task.cancelling()
        self._handle = self._loop.call_later(self._seconds, self._cancel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        for _ in range(self._cancelled):
            self._task.uncancel()
        # Somebody else may want the task to end as well.
        if self._cancelled and kind is asyncio.CancelledError and self._task.cancelling() <= self._before:
            raise TimeoutError from exc

    def _cancel(self) -> None:
        self._cancelled += 1
        self._task.cancel()
        self._handle = self._loop.call_later(_AGAIN, self._cancel)
