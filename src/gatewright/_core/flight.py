"""One piece of work at a time, whoever asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

__all__ = ["Flight"]


class Flight:
    """Do what several callers want once, while all of them wait for it."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end: anyio.Event | None = None

    @property
    def under_way(self) -> bool:
        """Say whether somebody is at it."""
        return self._end is not None

    async def join(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the work that is under way, or do it; a caller may leave before its end, so look again."""
        if self._end is not None:
            await self._end.wait()
            return
        self._end = end = anyio.Event()
        try:
            # Whoever leaves meanwhile stays until it is done, or the next one would do it again, before its time.
            with anyio.CancelScope(shield=True):
                await work()
        finally:
            self._end = None
            end.set()
