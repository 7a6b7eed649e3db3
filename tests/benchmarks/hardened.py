"""The hardened POST, by everybody who can do it."""

from __future__ import annotations

from tests.benchmarks.candidates import BARE, HARDENED, INSTALLED, PLAIN, creating, missing
from tests.benchmarks.equivalence import shortcomings
from tests.benchmarks.method import Effort, measure
from tests.benchmarks.table import Table, micro, ratio

__all__ = ["table"]

_NEW = f"{INSTALLED}, every session new"
_NOTE = (
    "CPU time of one request, harness included. Targets, against bare Starlette: installed and `GuardedRoute` ≤ 1.25, "
    "nothing installed ≤ 1.6. A hundred sessions take turns, and gatewright remembers those that it has verified; "
    "the last row is what it costs where it has not."
)


def table(effort: Effort) -> Table:
    """Measure the candidates, once they were found to do the same work.

    Raises:
        RuntimeError: for one that does less.
    """
    absent = {name: package for name in HARDENED if (package := missing(name))}
    taking_part = {name: stack for name, stack in (PLAIN | HARDENED).items() if name not in absent}
    for name, stack in taking_part.items():
        found = shortcomings(stack, hardened=name in HARDENED) if name != next(iter(PLAIN)) else []
        if found:
            raise RuntimeError(f"{name} does not do the same work: {'; '.join(found)}")
    setups = {name: creating(stack) for name, stack in taking_part.items()}
    setups[_NEW] = creating(HARDENED[INSTALLED], new_sessions=True)
    figures = measure(setups, effort)
    base = figures[BARE]
    rows = [
        (name, micro(own.minimum), micro(own.median), ratio(own.minimum, base.minimum), ratio(own.median, base.median))
        for name, own in figures.items()
    ]
    rows += [(name, f"needs {package}", "", "", "") for name, package in absent.items()]
    columns = ("candidate", "min µs", "median µs", "÷ bare, min", "÷ bare, median")
    return Table("The hardened POST", columns, rows, _NOTE)
