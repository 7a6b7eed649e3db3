"""Plain handlers in threads, which cannot be stopped: where a timeout encloses one, it can be left behind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from gatewright.errors import ServiceUnavailable

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Errand", "LeftBehind", "in_thread"]

LeftBehind = set["Errand"]


async def in_thread(call: Call, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Return what a plain function returns; it runs in a thread, so that it cannot block the loop.

    Raises:
        ServiceUnavailable: where so many were left behind that all threads would be busy with them.
    """
    work = partial(function, *args, **kwargs)
    left = call.left_behind
    if left is None:
        return await to_thread.run_sync(work)
    if len(left) >= to_thread.current_default_thread_limiter().total_tokens:
        # Each is a thread, of which nobody else keeps count.
        raise ServiceUnavailable(reason=f"{len(left)} handlers that were abandoned are still running")
    errand = Errand(work, left)
    try:
        return await to_thread.run_sync(errand.run, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        if errand.leave():
            call.abandoned = errand
            call.log.warning("handler_abandoned", handler=getattr(function, "__qualname__", repr(function)))
        raise


class Errand:
    """One run of a plain function, which the loop may leave to itself while its thread is at it.

    Args:
        work: the function.
        left: where it is kept from when it is left until it ends.
    """

    def __init__(self, work: Callable[[], Any], left: LeftBehind) -> None:
        self._work = work
        self._left = left
        self._lock = Lock()
        self._forsaken = False
        self._running = False
        self._then: list[Callable[[], None]] = []

    @property
    def is_running(self) -> bool:
        """Say whether its thread is at it."""
        return self._running

    def run(self) -> Any:
        """Do the work, in the thread; nothing where nobody waits for it any more."""
        with self._lock:
            if self._forsaken:
                return None
            self._running = True
        try:
            return self._work()
        finally:
            with self._lock:
                self._running = False
                self._left.discard(self)
            for work in self._then:
                work()

    def then(self, work: Callable[[], None]) -> bool:
        """Have *work* done in the thread once it ends; False where it has ended."""
        with self._lock:
            if self._running:
                self._then.append(work)
            return self._running

    def leave(self) -> bool:
        """Leave it to itself, in the loop; say whether it goes on."""
        with self._lock:
            self._forsaken = True
            if self._running:
                self._left.add(self)
            return self._running
