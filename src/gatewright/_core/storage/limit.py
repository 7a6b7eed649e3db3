"""How much in how long: limits as people write them."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from gatewright.errors import ConfigurationError

__all__ = ["Limit", "Strategy", "parse_limits"]

Strategy = Literal["fixed", "sliding", "gcra"]

_UNITS = {
    "year": 31_104_000_000,
    "month": 2_592_000_000,
    "week": 604_800_000,
    "day": 86_400_000,
    "hour": 3_600_000,
    "minute": 60_000,
    "second": 1_000,
    "millisecond": 1,
}
_SEPARATOR = re.compile(r"[,;|]")
_LIMIT = re.compile(
    rf"([0-9]+) ?(?:/|per) ?(?:([0-9]+) ?)?({'|'.join(_UNITS)})s?(?: (sliding)| burst ([0-9]+))?",
    re.IGNORECASE | re.ASCII,
)
# The digits of the largest integer of a structured field (RFC 9651, section 3.3.1), which says the amount.
_DIGITS = 15
# So that every time is exact in microseconds as a float, which is what a script on a server counts with.
_LONGEST = 100 * _UNITS["year"]


class Limit(NamedTuple):
    """Allow so much in so long; in order, the shortest window comes first.

    Attributes:
        milliseconds: how long a window lasts.
        amount: what may be spent in one.
        strategy: how it is counted: in a window that starts with the first call, in one that slides, or as an
            allowance that refills all the time (GCRA).
        burst: what may be spent at once, where that is not the whole amount.
    """

    milliseconds: int
    amount: int
    strategy: Strategy = "fixed"
    burst: int = 0

    @property
    def capacity(self) -> int:
        """Return the most that a single call may cost."""
        return self.burst or self.amount

    @property
    def seconds(self) -> int:
        """Return the length of the window in whole seconds, rounded up."""
        return -(-self.milliseconds // 1000)

    def scaled(self, share: float) -> Limit:
        """Return a limit of *share* of the amount, at least 1."""
        burst = self.burst and max(1, int(self.burst * share))
        return self._replace(amount=max(1, int(self.amount * share)), burst=burst)

    def __str__(self) -> str:
        unit, length = next((unit, length) for unit, length in _UNITS.items() if self.milliseconds % length == 0)
        count = self.milliseconds // length
        window = unit if count == 1 else f"{count} {unit}s"
        how = {"fixed": "", "sliding": " sliding", "gcra": f" burst {self.burst}"}[self.strategy]
        return f"{self.amount}/{window}{how}"


def parse_limits(text: object) -> tuple[Limit, ...]:
    """Return the limits of a string such as `"100/minute; 5/second burst 20"`: shortest window first, each once.

    Raises:
        ConfigurationError: for anything else: amounts, bursts and windows of zero, and what takes more than a hundred
            years, among it.
    """
    if not isinstance(text, str):
        raise _no_limit(text)
    return tuple(sorted({_parse_limit(part, text) for part in _SEPARATOR.split(text)}))


def _parse_limit(part: str, text: str) -> Limit:
    match = _LIMIT.fullmatch(" ".join(part.split()))
    if match is None or any(len(number) > _DIGITS for number in match.group(1, 2, 5) if number):
        raise _no_limit(text)
    amount, count, unit, sliding, burst = match.groups()
    strategy: Strategy = "sliding" if sliding else "gcra" if burst else "fixed"
    limit = Limit(int(count or 1) * _UNITS[unit.lower()], int(amount), strategy, int(burst or 0))
    if not limit.amount or not limit.milliseconds or (burst and not limit.burst):
        raise _no_limit(text)
    # The time in which the whole amount, or the whole burst, is there again.
    if limit.milliseconds * max(limit.amount, limit.burst) > _LONGEST * limit.amount:
        raise _no_limit(text)
    return limit


def _no_limit(text: object) -> ConfigurationError:
    return ConfigurationError(
        f"{text!r} is no rate limit; write an amount, a slash and a window of millisecond, second, minute, hour, day, "
        'week, month or year (a hundred at most), such as "100/minute", "5/10 seconds", "100/minute sliding", '
        '"100/minute burst 20" or "1000/day; 100/minute"'
    )
