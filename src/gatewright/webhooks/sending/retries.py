"""When to try again: pure functions, for this process and for a queue of yours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from gatewright._core.seconds import are_seconds
from gatewright.errors import ConfigurationError
from gatewright.webhooks.sending.contract import Attempt

__all__ = ["STANDARD_SCHEDULE", "Retries", "read_retry_after"]

# More digits are no number of seconds that anybody waits.
_MAX_DIGITS = 9
# A date has 37 at the most (RFC 9110, section 5.6.7), and its parser is in no hurry.
_MAX_LENGTH = 64


@dataclass(frozen=True)
class Retries:
    """Say how often an event is sent again, and when.

    Whatever is not 2xx is tried again, as Standard Webhooks has it: a 404 may be a deployment under way, a 401 a secret
    being rolled. Only 410, and a URL that may not be called, are final.

    Args:
        delays: seconds before the second attempt, the third, and so on; their number is that of the retries.
        jitter: which part of a delay is random, 0 to 1, so that failures that came together do not return together.
            1 is *full jitter* (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        longest: seconds for which a receiver's `Retry-After` is honoured; asked for more, this is waited.

    Raises:
        ConfigurationError: for numbers that are none.
    """

    delays: Sequence[float] = (2.0, 10.0)
    _: KW_ONLY
    jitter: float = 1.0
    longest: float = 30.0

    def __post_init__(self) -> None:
        delays: object = self.delays
        if not isinstance(delays, (list, tuple)) or not all(map(are_seconds, delays)):
            raise ConfigurationError(f"Retries(delays={delays!r}): write seconds, such as [2, 10]")
        if not are_seconds(self.jitter) or self.jitter > 1:
            raise ConfigurationError(f"Retries(jitter={self.jitter!r}): write a part, from 0 to 1")
        if not are_seconds(self.longest):
            raise ConfigurationError(f"Retries(longest={self.longest!r}): write seconds, such as 30")

    def wait(self, attempt: Attempt, entropy: Callable[[int], bytes]) -> float | None:
        """Return the seconds to wait after *attempt* before the next one; None where there is none.

        Args:
            attempt: the last one.
            entropy: returns n random bytes, such as `os.urandom`.
        """
        if attempt.final or attempt.number > len(self.delays):
            return None
        random = int.from_bytes(entropy(8), "big") / 2**64
        delay = self.delays[attempt.number - 1] * (1 - self.jitter * random)
        return max(delay, min(attempt.retry_after or 0.0, self.longest))


STANDARD_SCHEDULE = Retries((5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400), jitter=0.1, longest=86_400)
"""The example of Standard Webhooks: ten attempts within 75 hours, for a queue that survives a restart
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)."""


def read_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that `Retry-After` asks for (RFC 9110, section 10.2.3); None where it cannot be read.

    Args:
        value: the header, a number of seconds or a date.
        now: Unix seconds.
    """
    if value is None or len(value) > _MAX_LENGTH:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _MAX_DIGITS else None
    try:
        date = parsedate_to_datetime(text)
        # A date of HTTP is one of Greenwich; one without a zone is taken for it.
        until = (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, until - now)
