"""The log: structlog behind a redactor, one event for each request.

structlog loads with the first `Log`, not with this module: what only names `Logger` in an annotation stays cheap.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, TextIO, cast

from pydantic_core import to_json

from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright._core.redact import Redactor

if TYPE_CHECKING:
    from gatewright._core.security import SecurityEvent

__all__ = ["EventList", "Log", "Logger"]

# What an event has of its own, and what structlog's methods call their parameters; fields of these names get an `_`.
_OURS = frozenset({"event", "level", "timestamp", "self", "method_name"})
# What a backend without such a method is asked for instead.
_NEAREST = {"debug": "info", "warning": "error", "critical": "error"}
# Bound to our own logger, so that they have the first places in its lines.
_FIRST: dict[str, Any] = {"timestamp": None, "level": None, "event": None}
# Looked up in a third of the time that formatting takes.
_MILLISECONDS = tuple(f".{number:03d}Z" for number in range(1000))


class Logger:
    """Log in the name of one request; ask for it by annotation: `async def handler(logger: Logger)`.

    Everything that it is given is redacted before any processor or renderer sees it.

    Args:
        log: where the events go; in a unit test, an `EventList`.
        fields: what every event carries.
    """

    __slots__ = ("_fields", "_log")
    __injected_by__: ClassVar[str] = "every guard"

    def __init__(self, log: Log | object | None = None, fields: Mapping[str, Any] | None = None) -> None:
        self._log = log if isinstance(log, Log) else Log(log)
        self._fields = self._log.redacted(dict(fields or {}))

    def __repr__(self) -> str:
        return f"<Logger {self._fields!r}>"

    def bind(self, **fields: object) -> Logger:
        """Return a logger whose events carry *fields* too."""
        bound = Logger(self._log, fields)
        bound._fields = {**self._fields, **bound._fields}
        return bound

    def debug(self, event: str, /, **fields: object) -> None:
        """Log what helps while developing."""
        self._log.write("debug", event, fields, self._fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Log what happened."""
        self._log.write("info", event, fields, self._fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Log what someone should look at one day."""
        self._log.write("warning", event, fields, self._fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Log what failed."""
        self._log.write("error", event, fields, self._fields)

    def critical(self, event: str, /, **fields: object) -> None:
        """Log what someone should look at now."""
        self._log.write("critical", event, fields, self._fields)

    def exception(self, event: str, /, **fields: object) -> None:
        """Log what failed, with the exception that is being handled."""
        self._log.write("error", event, {"exc_info": True, **fields}, self._fields)


class Log:
    """Write events to structlog, redacted; a logger that fails never fails a request.

    Args:
        logger: a structlog logger, a standard one, or whatever has `info` and `error` that take an event and fields.
            By default yours, where structlog is configured by the time of the first event, else JSON lines on stderr.
        redact: further names whose values are never shown, as `Redactor` takes them.
        clock: dates the JSON lines.

    Raises:
        ConfigurationError: for names to redact that are none.
    """

    def __init__(
        self, logger: object | None = None, *, redact: Sequence[str] = (), clock: Clock = SYSTEM_CLOCK
    ) -> None:
        # 80 ms, spent here and not within the first request.
        import_module("structlog")
        self._logger = logger
        self._redactor = Redactor(redact)
        self._clock = clock
        self._backend: Any = None
        self._ours = False
        self._reported = False

    def bind(self, **fields: object) -> Logger:
        """Return a logger whose events carry *fields*."""
        return Logger(self, fields)

    def event(self, level: str, event: str, /, **fields: object) -> None:
        """Write one event; *level* is "debug", "info", "warning", "error" or "critical"."""
        self.write(level, event, fields)

    def access(self, fields: dict[str, Any], security: Sequence[SecurityEvent] = ()) -> None:
        """Write the one event of a request; an error from status 500.

        Under `guards` stand outcomes by the names of guards: one called `session` is no secret. Under `security` stand
        words of ours.
        """
        status = fields.get("status")
        guards: Mapping[str, str] | None = fields.pop("guards", None)
        shown = self.redacted(fields)
        if guards is not None:
            shown["guards"] = self._redactor.texts(guards)
        if security:
            shown["security"] = list(security)
        self._send("error" if status is not None and status >= 500 else "info", "request", shown)

    def unhandled(self, exc: BaseException, fields: dict[str, Any]) -> None:
        """Write the event of an exception that nobody expected."""
        self._send("error", "unhandled_exception", self.redacted({**fields, "exc_info": exc}))

    def write(self, level: str, event: str, fields: dict[str, Any], bound: Mapping[str, Any] | None = None) -> None:
        """Write one event with *fields*, and with *bound* ones that are redacted already."""
        shown = self.redacted(fields)
        self._send(level, str(self._redactor.value(event)), {**bound, **shown} if bound else shown)

    def redacted(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return *fields* as they may be written, an exception to report among them as `exception`."""
        if "exc_info" in fields:
            # Rendered here, since what structlog's processors make of it shows every argument.
            others = {name: value for name, value in fields.items() if name != "exc_info"}
            exc = _exception(fields["exc_info"])
            shown = self.redacted(others)
            return shown if exc is None else {**shown, "exception": self._redactor.exception(exc)}
        if not _OURS.isdisjoint(fields):
            fields = {f"{name}_" if name in _OURS else name: value for name, value in fields.items()}
        return self._redactor.fields(fields)

    def _send(self, level: str, event: str, shown: dict[str, Any]) -> None:
        try:
            backend = self._backend
            if backend is None:
                backend = self._backend = _backend(self._logger, self._clock)
                self._ours = hasattr(backend, "emit") and self._logger is None
            if self._ours:
                backend.emit(level, event, shown)
                return
            method = getattr(backend, level, None) or getattr(backend, _NEAREST.get(level, "error"))
            method(event, **shown)
        except Exception as failure:
            self._report(failure)

    def _report(self, failure: Exception) -> None:
        """Say once, on stderr, that events are lost."""
        if self._reported:
            return
        self._reported = True
        with suppress(Exception):
            sys.stderr.write(f"gatewright: the logger failed with {type(failure).__name__}, events are lost\n")


def _backend(logger: object | None, clock: Clock) -> Any:
    """Return what takes the events: what was given, else the structlog that is configured, else ours."""
    import structlog

    if isinstance(logger, logging.Logger):
        return structlog.wrap_logger(
            logger, [_JsonLine(clock), _decoded], structlog.stdlib.BoundLogger, dict, **_FIRST
        ).bind()
    if logger is not None:
        return logger
    if structlog.is_configured():
        return structlog.get_logger("gatewright")

    render = _JsonLine(clock)

    class JsonLogger(structlog.BoundLoggerBase):
        """The least that takes an event to its processor; the stock classes spend as much again on the way."""

        def emit(self, level: str, event: str, fields: dict[str, Any]) -> None:
            line = {"timestamp": "", "level": level, "event": event, **fields}
            self._logger.msg(render(self._logger, level, line))

    return structlog.wrap_logger(_Stderr(structlog.BytesLogger), [render], JsonLogger, dict, **_FIRST).bind()


class _JsonLine:
    """Render an event as one line of JSON: the only processor there is.

    It needs no fallback for what JSON does not know: the redactor lets nothing else through.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = (-1.0, "")

    def __call__(self, _: object, level: str, event: MutableMapping[str, Any]) -> bytes:
        event["timestamp"] = self._now()
        event["level"] = level
        return to_json(event, inf_nan_mode="null")

    def _now(self) -> str:
        """Return the time of day (RFC 3339, UTC); the part up to the second is made once a second."""
        now = self._clock.time()
        second, text = self._second
        if not 0 <= now - second < 1:
            second = now // 1
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = (second, text)
        return text + _MILLISECONDS[int((now - second) * 1000)]


class _Stderr:
    """Write lines to what stderr is at that moment: servers and tests replace it, daemons have none."""

    def __init__(self, lines: Callable[[BinaryIO], Any]) -> None:
        self._lines = lines
        self._stream: object = None
        self._write: Callable[[bytes], object] = _dropped

    def msg(self, line: bytes) -> None:
        """Write one line."""
        if sys.stderr is not self._stream:
            self._open(sys.stderr)
        self._write(line)

    def _open(self, stream: TextIO | None) -> None:
        buffer: BinaryIO | None = getattr(stream, "buffer", None)
        if stream is None:
            self._write = _dropped
        elif buffer is None:
            self._write = lambda line: stream.write(f"{line.decode()}\n")
        else:
            self._write = self._lines(buffer).msg
        self._stream = stream


class EventList(list[dict[str, Any]]):
    """Keep events in a list, for tests: `events = EventList(); Gate(log=events)`."""

    def debug(self, event: str, /, **fields: object) -> None:
        """Keep a debug event."""
        self._keep("debug", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Keep an info event."""
        self._keep("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Keep a warning."""
        self._keep("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Keep an error."""
        self._keep("error", event, fields)

    def critical(self, event: str, /, **fields: object) -> None:
        """Keep a critical event."""
        self._keep("critical", event, fields)

    def _keep(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.append({"event": event, "level": level, **fields})


def _exception(exc_info: object) -> BaseException | None:
    """Return the exception that `exc_info=` means: itself, the middle of a triple, or the one being handled."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return next((part for part in cast("tuple[object, ...]", exc_info) if isinstance(part, BaseException)), None)
    return sys.exception() if exc_info else None


def _decoded(_: object, __: str, line: Any) -> str:
    return cast(bytes, line).decode()


def _dropped(line: bytes) -> None:
    """Take a line that nobody can be shown."""
