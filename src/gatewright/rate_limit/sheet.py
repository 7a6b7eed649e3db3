"""What is said of limits: the headers of draft-ietf-httpapi-ratelimit-headers-10, and the refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from gatewright._core.call import Call
from gatewright._core.problems import QUOTA_EXCEEDED
from gatewright._core.storage.contract import Bucket, Charge, Standing
from gatewright.errors import TooManyRequests

__all__ = ["Line", "Sheet"]


@dataclass(frozen=True, eq=False)
class Line:
    """One limit as the caller is told of it.

    Attributes:
        bucket: what it is counted in.
        unit: what is counted.
        legacy: whether `X-RateLimit-*` are sent too.
    """

    bucket: Bucket
    unit: str = "requests"
    legacy: bool = False


class Sheet:
    """Hold all that can be said of some limits before it is known how they stand.

    Args:
        lines: the limits, in the order of their standings.
    """

    __slots__ = ("_legacy", "_names", "_policy", "_states", "_told", "lines")

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self.lines: tuple[Line, ...] = lines
        self._told = [not line.bucket.shadow for line in lines]
        self._names = _names([str(line.bucket.limit) for line in lines])
        quoted = [_quoted(name.replace("/", "-per-").replace(" ", "-")) for name in self._names]
        self._states = [title + b";r=%d;t=%d" for title in quoted]
        self._policy = b", ".join(
            title + _policy(line) for title, line, told in zip(quoted, lines, self._told, strict=True) if told
        )
        self._legacy = any(line.legacy for line in lines)

    def tell(self, call: Call, standings: Sequence[Standing]) -> None:
        """Add the headers: the policies as they are written, the limits with the one closest to its end first."""
        if not self._policy:
            return
        call.add_header(b"ratelimit-policy", self._policy)
        if len(standings) == 1:
            _, remaining, seconds, _ = standings[0]
            if remaining >= 0:
                call.add_header(b"ratelimit", self._states[0] % (remaining, ceil(seconds)))
        else:
            shown = [
                (standing, state)
                for standing, state, told in zip(standings, self._states, self._told, strict=True)
                # Where nobody was asked, nobody knows.
                if told and standing[1] >= 0
            ]
            shown.sort(key=_closest)
            if shown:
                said = [state % (remaining, ceil(seconds)) for (_, remaining, seconds, _), state in shown]
                call.add_header(b"ratelimit", b", ".join(said))
        if self._legacy:
            self._tell_in_the_old_way(call, standings)

    def _tell_in_the_old_way(self, call: Call, standings: Sequence[Standing]) -> None:
        shown = [
            (standing, line.bucket.limit.amount)
            for standing, line, told in zip(standings, self.lines, self._told, strict=True)
            if told and standing[1] >= 0
        ]
        if shown:
            (_, remaining, seconds, _), amount = min(shown, key=_closest)
            ends_at = ceil(call.gate.clock.time() + seconds)
            call.add_header(b"x-ratelimit-limit", b"%d" % amount)
            call.add_header(b"x-ratelimit-remaining", b"%d" % remaining)
            call.add_header(b"x-ratelimit-reset", b"%d" % ends_at)

    def refusal(self, charges: Sequence[Charge], standings: Sequence[Standing]) -> TooManyRequests:
        """Return the refusal: come back when every limit would let the call pass.

        One that charged the refused call has a say as well, where it has too little left for another.
        """
        whole = list(zip(charges, standings, self._names, strict=True))
        earnest = [(cost, standing, name) for (bucket, _, cost), standing, name in whole if not bucket.shadow]
        wait = max(
            seconds for cost, (allowed, remaining, seconds, _), _ in earnest if not allowed or 0 <= remaining < cost
        )
        names = [name for _, (allowed, _, _, _), name in earnest if not allowed]
        return TooManyRequests(
            headers={"Retry-After": str(max(1, ceil(wait)))},
            reason=f"over {', '.join(names)}",
            problem_type=QUOTA_EXCEEDED,
            facts={"violated-policies": [name.replace("/", "-per-").replace(" ", "-") for name in names]},
        )

    def shadowed(self, standings: Sequence[Standing]) -> list[str]:
        """Return the names of the limits that would have refused, were they in earnest."""
        return [
            name
            for (allowed, _, _, _), name, told in zip(standings, self._names, self._told, strict=True)
            if not told and not allowed
        ]


def _closest(shown: tuple[Standing, object]) -> tuple[bool, int, float]:
    allowed, remaining, seconds, _ = shown[0]
    return allowed, remaining, seconds


def _names(texts: Sequence[str]) -> list[str]:
    """Tell equal limits of one answer apart: the second is `-2`."""
    counts = [texts[:at].count(text) for at, text in enumerate(texts)]
    return [f"{text}-{count + 1}" if count else text for text, count in zip(texts, counts, strict=True)]


def _policy(line: Line) -> bytes:
    unit = b"" if line.unit == "requests" else b";qu=" + _quoted(line.unit)
    return b";q=%d;w=%d" % (line.bucket.limit.amount, line.bucket.limit.seconds) + unit


def _quoted(text: str) -> bytes:
    """Return a string of structured fields (RFC 9651, section 3.3.3)."""
    return b'"%b"' % text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii")
