"""The log: one line for each event, redacted before anyone sees it, and never a reason to fail."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import CapturingLogger, capture_logs

from gatewright import Gate
from gatewright._core.log import EventList, Log, Logger
from gatewright.errors import ConfigurationError

MARK = "hunter2hunter2"
LEVELS = ["debug", "info", "warning", "error", "critical"]


class Stopped:
    """A clock that stands still."""

    def __init__(self, now: float = 1767225600.25) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    """Leave structlog as it was found."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


class Stderr:
    """What was written to stderr so far."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture
        self._written = b""

    @property
    def written(self) -> bytes:
        self._written += self._capture.readouterr().err
        return self._written

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written.splitlines()]


@pytest.fixture
def stderr(capsysbinary: pytest.CaptureFixture[bytes]) -> Stderr:
    """Read what the log writes."""
    return Stderr(capsysbinary)


def test_without_configuration_an_event_is_a_line_of_json_on_stderr(stderr: Stderr) -> None:
    """Time, level and event first; the time is the gate's, in UTC."""
    clock = Stopped()
    log = Log(clock=clock)
    log.access({"route": "/x", "status": 200, "ratio": float("nan")})
    clock.now += 0.5
    log.event("debug", "next", n=1)
    clock.now += 0.5
    log.event("warning", "later")
    log.event("critical", "worst")
    assert stderr.written.splitlines()[0] == (
        b'{"timestamp":"2026-01-01T00:00:00.250Z","level":"info","event":"request",'
        b'"route":"/x","status":200,"ratio":null}'
    )
    assert [(line["timestamp"][17:], line["level"]) for line in stderr.lines[1:]] == [
        ("00.750Z", "debug"),
        ("01.250Z", "warning"),
        ("01.250Z", "critical"),
    ]


def test_a_clock_may_go_back(stderr: Stderr) -> None:
    """The part of the time that is remembered belongs to its second alone; the Epoch and what was before it, too."""
    clock = Stopped()
    log = Log(clock=clock)
    for now in (1767225600.999999, 1767225599.0, 0.0, -0.5):
        clock.now = now
        log.event("info", "x")
    assert [line["timestamp"] for line in stderr.lines] == [
        "2026-01-01T00:00:00.999Z",
        "2025-12-31T23:59:59.000Z",
        "1970-01-01T00:00:00.000Z",
        "1969-12-31T23:59:59.500Z",
    ]


def test_the_gate_gives_its_clock_and_its_names(stderr: Stderr) -> None:
    """What a gate was built with reaches its log."""
    Gate(clock=Stopped(), redact=["nickname"]).log.event("info", "x", nickname="ada")
    assert stderr.lines == [
        {"timestamp": "2026-01-01T00:00:00.250Z", "level": "info", "event": "x", "nickname": "[redacted]"}
    ]


@pytest.mark.parametrize(("status", "level"), [(200, "info"), (499, "info"), (500, "error"), (None, "info")])
def test_a_request_is_one_event(status: int | None, level: str) -> None:
    """Named "request"; an error from 500."""
    events = EventList()
    Log(events).access({"status": status})
    assert events == [{"event": "request", "level": level, "status": status}]


def test_the_names_of_guards_are_not_secret() -> None:
    """A guard called `session` or `csrf` shows its outcome; under other names the word stays a secret."""
    events = EventList()
    Log(events).access({"status": 200, "guards": {"session": "passed", "csrf": "refused\n"}, "session": MARK})
    assert events[0]["guards"] == {"session": "passed", "csrf": "refused\\n"}
    assert events[0]["session"] == "[redacted]"


def test_an_unhandled_exception_is_one_event() -> None:
    """At error level, with type, message and frames, without secrets."""
    events = EventList()
    try:
        raise ValueError(f"token={MARK}")
    except ValueError as exc:
        Log(events).unhandled(exc, {"request_id": "r", "password": MARK})
    (event,) = events
    assert (event["event"], event["level"], event["request_id"]) == ("unhandled_exception", "error", "r")
    assert event["exception"]["type"] == "ValueError"
    assert event["exception"]["message"] == "token=[redacted]"
    assert len(event["exception"]["frames"]) == 1
    assert MARK not in repr(event)


@pytest.mark.parametrize("level", LEVELS)
def test_a_logger_writes_at_each_level(level: str, stderr: Stderr) -> None:
    """The same with a list, and with stderr."""
    events = EventList()
    for log in (Log(events), Log()):
        getattr(log.bind(request_id="r"), level)("did", n=1)
    assert events == [{"event": "did", "level": level, "request_id": "r", "n": 1}]
    assert [(line["level"], line["event"], line["n"]) for line in stderr.lines] == [(level, "did", 1)]


def test_a_logger_stands_alone_in_a_unit_test() -> None:
    """A handler that asks for a `Logger` is tested with one that keeps its events."""
    events = EventList()
    Logger(events, {"request_id": "r"}).info("did")
    assert events == [{"event": "did", "level": "info", "request_id": "r"}]
    assert isinstance(Logger()._log, Log)


def test_bound_fields_are_redacted_and_may_be_replaced() -> None:
    """What is bound is seen by `repr`, too; a later field of the same name wins."""
    events = EventList()
    logger = Log(events).bind(token=MARK, n=1)
    further = logger.bind(n=2)
    further.info("a", n=3)
    further.info("b")
    logger.info("c")
    assert [(event["n"], event["token"]) for event in events] == [
        (3, "[redacted]"),
        (2, "[redacted]"),
        (1, "[redacted]"),
    ]
    assert repr(further) == "<Logger {'token': '[redacted]', 'n': 2}>"


def test_an_event_name_is_redacted_too() -> None:
    """People write f-strings, and pass what is no text."""
    events = EventList()
    logger = Logger(events)
    logger.info(f"login token={MARK}\n")
    logger.info(7)  # type: ignore[arg-type]  # what the annotation forbids must not raise either
    assert [event["event"] for event in events] == ["login token=[redacted]\\n", "7"]


def test_fields_never_replace_what_an_event_has_of_its_own(stderr: Stderr) -> None:
    """A field called as one of these, or as a parameter within structlog, is kept under a name that is free."""
    logger = Log(clock=Stopped()).bind(level="x")
    logger.info("did", event="y", timestamp="z", self=1, method_name=2)
    (line,) = stderr.lines
    assert (line["event"], line["level"], line["timestamp"]) == ("did", "info", "2026-01-01T00:00:00.250Z")
    assert (line["event_"], line["level_"], line["timestamp_"]) == ("y", "x", "z")
    structlog.configure()
    with capture_logs() as captured:
        Log().event("info", "did", self=1, method_name=2)
    assert captured == [{"event": "did", "log_level": "info", "self_": 1, "method_name_": 2}]


def test_exc_info_is_rendered_by_us() -> None:
    """structlog's own rendering shows every argument, so it never sees the exception."""
    events = EventList()
    logger = Logger(events)
    try:
        raise ValueError(f"token={MARK}")
    except ValueError as exc:
        logger.exception("a")
        logger.error("b", exc_info=exc)
        logger.error("c", exc_info=True)
        logger.error("d", exc_info=sys.exc_info())
        logger.error("e", exc_info=False)
    logger.exception("f")
    logger.error("g", exc_info=(None, None, None))
    told = [event["event"] for event in events if event.get("exception", {}).get("message") == "token=[redacted]"]
    assert told == ["a", "b", "c", "d"]
    assert not any("exc_info" in event for event in events)
    assert "exception" not in events[5]


def test_the_users_configuration_is_joined_at_the_first_event(stderr: Stderr) -> None:
    """structlog may be configured after the gate was built; its processors see redacted fields only."""
    seen: list[dict[str, Any]] = []
    output = CapturingLogger()

    def spy(_: object, method: str, event: Any) -> Any:
        seen.append(dict(event))
        return event

    log = Log()
    logger = log.bind(request_id="r")
    structlog.configure(
        processors=[
            spy,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=lambda *names: output,
    )
    try:
        raise ValueError(f"token={MARK}")
    except ValueError:
        logger.exception("failed", password=MARK)
    log.access({"status": 200, "n": 1})
    assert MARK not in repr((seen, output.calls))
    assert seen[0]["password"] == "[redacted]"
    assert [call.method_name for call in output.calls] == ["error", "info"]
    assert json.loads(output.calls[1].args[0]) == {"status": 200, "n": 1, "event": "request", "level": "info"}
    assert not stderr.written


def test_configuring_after_the_first_event_changes_nothing(stderr: Stderr) -> None:
    """A log does not change its place in the middle."""
    log = Log()
    log.event("info", "a")
    structlog.configure(logger_factory=lambda *names: pytest.fail("was joined"))
    log.event("info", "b")
    assert [line["event"] for line in stderr.lines] == ["a", "b"]


def test_structlogs_own_capturing_sees_the_events() -> None:
    """`capture_logs` works as it does for any structlog user."""
    structlog.configure()
    log = Log()
    with capture_logs() as captured:
        log.access({"status": 503})
    assert captured == [{"event": "request", "log_level": "error", "status": 503}]


def test_a_structlog_logger_may_be_given() -> None:
    """With its own bound fields, whatever the configuration says."""
    output = CapturingLogger()
    given_logger = structlog.wrap_logger(output, processors=[structlog.processors.KeyValueRenderer()]).bind(app="x")
    Log(given_logger).event("warning", "did", n=1)
    assert output.calls[0].method_name == "warning"
    assert output.calls[0].args == ("app='x' n=1 event='did'",)


def test_a_standard_logger_may_be_given(caplog: pytest.LogCaptureFixture) -> None:
    """It takes no fields; so it gets the line."""
    with caplog.at_level(logging.INFO):
        Log(logging.getLogger("app"), clock=Stopped()).event("warning", "100%s", n=1)
    assert caplog.record_tuples == [
        ("app", logging.WARNING, '{"timestamp":"2026-01-01T00:00:00.250Z","level":"warning","event":"100%s","n":1}')
    ]


def test_a_logger_with_two_levels_is_enough() -> None:
    """The nearest level stands in for one that is missing, or that nobody knows."""

    class Two:
        def __init__(self) -> None:
            self.taken: list[tuple[str, str]] = []

        def info(self, event: str, **fields: object) -> None:
            self.taken.append(("info", event))

        def error(self, event: str, **fields: object) -> None:
            self.taken.append(("error", event))

    two = Two()
    for level in [*LEVELS, "unheard"]:
        Log(two).event(level, level)
    assert [level for level, _ in two.taken] == ["info", "info", "error", "error", "error", "error"]


def test_a_logger_that_fails_is_reported_once_and_never_raises(stderr: Stderr) -> None:
    """A broken processor must not break requests; the report names the kind of failure and nothing else."""

    class Broken:
        def info(self, event: str, **fields: object) -> None:
            raise RuntimeError(MARK)

    log = Log(Broken())
    for _ in range(3):
        log.access({"status": 200})
        log.event("error", "has no such method")
    report = stderr.written.decode()
    assert report.count("\n") == 1
    assert "RuntimeError" in report
    assert MARK not in report


def test_interrupts_pass() -> None:
    """Only failures are swallowed; Ctrl-C and cancellation are none."""

    class Interrupted:
        def info(self, event: str, **fields: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Log(Interrupted()).access({"status": 200})


def test_stderr_may_be_replaced_closed_missing_or_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers, daemons and pytest each do something to stderr; the line goes to what is there now."""
    log = Log()
    first, text, last = io.BytesIO(), io.StringIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(first))
    log.event("info", "a")
    sys.stderr.close()
    log.event("info", "lost")
    log.event("info", "lost")
    monkeypatch.setattr(sys, "stderr", None)
    log.event("info", "lost")
    log.event("info", "lost")
    monkeypatch.setattr(sys, "stderr", text)
    log.event("info", "b", sign="ü")
    monkeypatch.setattr(sys, "stderr", wrapped := io.TextIOWrapper(last))
    log.event("info", "c")
    assert wrapped is sys.stderr
    assert json.loads(text.getvalue())["sign"] == "ü"
    assert [json.loads(line)["event"] for line in last.getvalue().splitlines()] == ["c"]


def test_bad_names_to_redact_are_refused() -> None:
    """At once, with the way to write it."""
    with pytest.raises(ConfigurationError, match="write redact="):
        Log(redact="email")


def test_naming_the_logger_does_not_load_structlog() -> None:
    """structlog takes longer to import than starlette; an annotation must not pay for it."""
    code = "import sys, gatewright._core.log; assert 'structlog' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(
    event=st.text(), key=st.text(), value=st.text() | st.binary() | st.floats() | st.integers() | st.lists(st.text())
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_event_is_one_printable_line_of_json(stderr: Stderr, event: str, key: str, value: object) -> None:
    """No event forges a second line, or reaches into the operator's terminal."""
    before = len(stderr.written)
    Log().bind(**{key: value}).info(event, password=MARK, nested={key: [value, {"token": MARK}]})
    written = stderr.written[before:].decode()
    assert written.endswith("\n")
    assert written[:-1].isprintable()
    assert MARK not in written
    json.loads(written)
