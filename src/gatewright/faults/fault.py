"""What a failure behind a handler comes to, in a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CONTENTION", "Fault", "FaultKind"]

FaultKind = Literal[
    # A row that may not be there twice; ranges that overlap.
    "unique",
    "exclusion",
    # A row that others refer to; a row that is referred to and is not there; one of the two, untold which.
    "still_referenced",
    "missing_reference",
    "foreign_key",
    "not_null",
    "check",
    # A constraint, untold of which kind.
    "integrity",
    # Too long, out of range, or no such text, number or date.
    "bad_data",
    # Others are at the same rows: the transaction was given up, and may be run again from its beginning.
    "serialization",
    "deadlock",
    "locked",
    # The row was changed, or deleted, since it was read.
    "stale",
    "not_found",
    "several_found",
    # The database gave the statement up; cannot be reached; is asked for what is a mistake of ours.
    "timeout",
    "unavailable",
    "internal",
    # A service behind this one is too slow; fails.
    "upstream_timeout",
    "upstream",
]

# What validation should have said before, or what we wrote ourselves: a column that nobody filled.
_DOUBTFUL: frozenset[FaultKind] = frozenset({"not_null", "check", "bad_data"})
CONTENTION: frozenset[FaultKind] = frozenset({"serialization", "deadlock", "locked"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What an exception of a database's driver, or of an HTTP client, says.

    Args:
        kind: what happened.
        constraint: the name of the violated constraint; SQLite names columns instead, `"table.column"`.
        also_called: other names of it, the nearest first: each of several columns, `"table.index"` on MySQL.
    """

    kind: FaultKind
    constraint: str | None = None
    also_called: tuple[str, ...] = ()

    @property
    def retryable(self) -> bool:
        """Say whether the transaction, rolled back, may be run again from its beginning.

        A connection that broke is not among them: whether a commit on it came through is unknown.
        """
        return self.kind in CONTENTION

    @property
    def doubtful(self) -> bool:
        """Say whether it may as well be a mistake of ours, for all that the database says, as one in the input."""
        return self.kind in _DOUBTFUL
