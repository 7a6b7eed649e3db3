"""Questions to a storage whose answers must not be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import anyio

__all__ = ["undisturbed"]

T = TypeVar("T")


async def undisturbed(asked: Awaitable[T]) -> T:
    """Return the answer, whatever is cancelled meanwhile: what was asked of a storage may have been done already.

    A cancellation comes to its end at the next thing that the caller waits for.
    """
    answers: list[T] = []
    with anyio.CancelScope(shield=True):
        answers.append(await (_by_itself(asked) if _is_asyncio() else asked))
    return answers[0]


def _is_asyncio() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


async def _by_itself(asked: Awaitable[T]) -> T:
    """Wait in the way of asyncio: `asyncio.timeout`, and a server that stops, cancel a task through every shield."""
    task = asyncio.ensure_future(asked)
    cancelled = False
    try:
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                cancelled = not task.cancelled()
            except Exception:
                # Raised below, to whoever asked.
                break
        return task.result()
    finally:
        me = asyncio.current_task()
        if cancelled and me is not None:
            # Once more, and counted once.
            me.uncancel()
            me.cancel()
