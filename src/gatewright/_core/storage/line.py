"""The line to a storage: how long to wait for it, and when not to ask at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from gatewright._core.clock import Clock
from gatewright._core.storage.deadline import Deadline
from gatewright.errors import ConfigurationError

__all__ = ["Line", "Report", "StorageDown"]

_LONGEST_WAIT = 30.0
T = TypeVar("T")


class Report(Protocol):
    """Write one event to the log."""

    def __call__(self, level: str, event: str, /, **fields: object) -> None:
        """Write it."""
        ...


class StorageDown(Exception):
    """Say that the storage does not answer.

    Attributes:
        seconds: how long until it is asked again.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Line:
    """Ask a storage within a deadline; once it failed, leave it alone for a while (a circuit breaker).

    After that while a single question goes through, and the rest wait for what becomes of it. Each change from up to
    down and back is one event in the log. What was asked before a change says nothing about the time after it.

    Args:
        name: the storage, for the log.
        deadline: the seconds that one question may take.
        retry_after: the seconds until the first question after a failure; doubled by each further failure, up to 30.
        clock: tells the time that passes.
        report: writes to the log.
        hang_up: told of each failure that counts.
    """

    def __init__(
        self,
        name: str,
        deadline: float,
        retry_after: float,
        clock: Clock,
        report: Report,
        hang_up: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._seconds = deadline
        self._retry_after = retry_after
        self._monotonic = clock.monotonic
        self._report = report
        self._hang_up = hang_up
        self._down = False
        self._outages = 0
        self._asked_again_at = 0.0
        self._pause = retry_after
        self._probing = False

    def __repr__(self) -> str:
        return f"<Line {self._name} {'down' if self._down else 'up'}>"

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer.

        Raises:
            StorageDown: where there is none in time, or the storage is known to be down.
            ConfigurationError: on another event loop than asyncio's.
        """
        deadline = self._deadline()
        outages = self._outages
        probing = self._down
        if probing:
            if self._probing or self._asked_again_at > self._monotonic():
                raise self._unanswered()
            self._probing = True
        try:
            with deadline:
                answer = await question()
        except ConfigurationError:
            raise
        except Exception as exc:
            if probing or outages == self._outages:
                self._failed(exc, probing)
            raise self._unanswered() from exc
        finally:
            if probing:
                # One that was cancelled says nothing; the next question goes through in its place.
                self._probing = False
        if probing:
            self._down = False
            self._pause = self._retry_after
            self._report("info", "storage_up", storage=self._name)
        return answer

    def _deadline(self) -> Deadline:
        try:
            return Deadline(self._seconds)
        except RuntimeError:
            raise ConfigurationError(
                f'Gate(storage="{self._name}://..."): its client needs asyncio; on trio, write storage="memory://"'
            ) from None

    def _failed(self, exc: Exception, probing: bool) -> None:
        if probing:
            self._pause = min(self._pause * 2, max(_LONGEST_WAIT, self._retry_after))
        else:
            self._down = True
            self._outages += 1
            self._report("error", "storage_down", storage=self._name, error=type(exc).__name__, exc_info=exc)
        self._asked_again_at = self._monotonic() + self._pause
        if self._hang_up is not None:
            self._hang_up()

    def _unanswered(self) -> StorageDown:
        return StorageDown(max(self._asked_again_at - self._monotonic(), 0.0))
