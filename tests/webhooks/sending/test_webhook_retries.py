"""When to try again follows from what came, from a schedule and from random bytes, and from nothing else."""

from __future__ import annotations

import time
from math import inf, isfinite, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.webhooks.sending.contract import Attempt
from gatewright.webhooks.sending.retries import STANDARD_SCHEDULE, Retries, read_retry_after

NOW = 1_800_000_000.0


def latest(size: int) -> bytes:
    """Return the bytes that leave the delay as it is."""
    return bytes(size)


def earliest(size: int) -> bytes:
    """Return the bytes that take all of the jitter off."""
    return b"\xff" * size


def failed(number: int, **more: Any) -> Attempt:
    """Return an attempt that was answered with 500."""
    return Attempt(number, "status", more.pop("status", 500), **more)


def test_the_example_of_the_standard() -> None:
    """Ten attempts, 75 hours, 35 minutes and 5 seconds at most."""
    waits = [STANDARD_SCHEDULE.wait(failed(number), latest) for number in range(1, 11)]
    assert waits == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, None]
    assert sum(wait or 0 for wait in waits) == 75 * 3600 + 35 * 60 + 5
    assert STANDARD_SCHEDULE.wait(failed(2), earliest) == pytest.approx(270)


def test_in_this_process_three_attempts_are_made() -> None:
    """The default is short, with full jitter: a wait is anything up to the delay."""
    assert [Retries().wait(failed(number), latest) for number in (1, 2, 3)] == [2, 10, None]
    assert Retries().wait(failed(2), earliest) == pytest.approx(0)
    assert Retries().wait(failed(1), lambda size: b"\x80" + bytes(size - 1)) == 1


@given(st.binary(min_size=8, max_size=8), st.floats(0, 1), st.integers(1, 12))
def test_jitter_shortens_a_delay_and_never_lengthens_it(random: bytes, jitter: float, number: int) -> None:
    """The whole schedule keeps its end, so that receivers know how long to remember; the same bytes, the same wait."""
    retries = Retries([7.0] * 11, jitter=jitter)
    wait = retries.wait(failed(number), lambda size: random)
    assert wait == retries.wait(failed(number), lambda size: random)
    assert (wait is None) == (number > 11)
    assert wait is None or 7 * (1 - jitter) - 1e-9 <= wait <= 7


def test_no_retries() -> None:
    """An empty schedule is one attempt."""
    assert Retries(()).wait(failed(1), latest) is None


@pytest.mark.parametrize("attempt", [Attempt(1, None, 204), Attempt(1, "status", 410), Attempt(1, "unsafe_url")])
def test_what_is_final_is_not_tried_again(attempt: Attempt) -> None:
    """It arrived, nobody wants it (410 Gone), or nobody may be asked; no random byte is drawn for it."""
    assert attempt.final
    assert Retries().wait(attempt, _undrawn) is None


def _undrawn(size: int) -> bytes:
    raise AssertionError("nothing random is needed")


@pytest.mark.parametrize(
    "attempt",
    [
        *(
            failed(1, status=status)
            for status in (101, 301, 307, 400, 401, 403, 404, 408, 409, 422, 425, 429, 500, 503)
        ),
        Attempt(1, "no_address"),
        Attempt(1, "no_answer"),
        Attempt(1, "timeout"),
    ],
)
def test_everything_else_is_tried_again(attempt: Attempt) -> None:
    """Whatever is not 2xx is a failure that may pass, as Standard Webhooks has it."""
    assert not attempt.ok
    assert Retries().wait(attempt, latest) == 2


def test_a_receiver_may_ask_for_time() -> None:
    """`Retry-After` lengthens a wait up to a limit, and never shortens it."""
    assert Retries().wait(failed(1, retry_after=20.0), latest) == 20
    assert Retries().wait(failed(1, retry_after=1.0), latest) == 2
    assert Retries().wait(failed(1, retry_after=1e9), latest) == 30
    assert Retries(longest=60).wait(failed(1, retry_after=1e9), earliest) == 60
    assert Retries().wait(failed(3, retry_after=20.0), latest) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"delays": [-1]}, {"delays": [inf]}, {"delays": [1, nan]}, {"jitter": 1.1}, {"jitter": -0.1}, {"jitter": nan},
        {"longest": -1}, {"longest": inf}, {"longest": nan},
    ],
)  # fmt: skip
def test_numbers_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    """The message names the argument and shows how it is written."""
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))}=.*write"):
        Retries(**wrong)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("120", 120), (" 7 ", 7), ("999999999", 999_999_999),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60), ("Friday, 15-Jan-27 08:01:00 GMT", 60), ("Fri Jan 15 08:01:00 2027", 60),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
        (None, None), ("", None), ("-1", None), ("1.5", None), ("٣", None), ("²", None), ("9" * 10, None),
        ("Fri, 15 Jan 2027 08:01:00 GMT" + " " * 50, None),
        ("1-Jan-27 08:99999999999999999999:00 99999999999999999999", None),
        ("soon", None), ("Fri, 99 Jan 2027 08:01:00 GMT", None), ("Fri, 15 Jan 99999 08:01:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    """RFC 9110, section 10.2.3, with the three spellings of a date in section 5.6.7; anything else is nothing."""
    assert read_retry_after(value, NOW) == seconds


def test_a_date_without_a_zone_is_one_of_greenwich(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one of the place where the server stands."""
    try:
        monkeypatch.setenv("TZ", "EST+5")
        time.tzset()
        assert read_retry_after("Fri Jan 15 08:01:00 2027", NOW) == 60
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text() | st.text("0123456789 ,:-+GMTFriJan"))
def test_any_header_is_read(value: str) -> None:
    """Whatever a receiver writes, it is a number of seconds or nothing."""
    seconds = read_retry_after(value, NOW)
    assert seconds is None or (isfinite(seconds) and seconds >= 0)
