"""What a refusal costs, beside the success of the same endpoint."""

from __future__ import annotations

from functools import partial

from tests.benchmarks.candidates import HARDENED, INSTALLED, SLOWAPI, creating, missing
from tests.benchmarks.method import Effort, Setup, measure
from tests.benchmarks.table import Table, micro, ratio
from tests.benchmarks.wire import forged, serving
from tests.benchmarks.work import ONCE, PLENTY

__all__ = ["table"]

_NOTE = "Target: below 1. Somebody who is refused must not cost more than somebody who is served."


def table(effort: Effort) -> Table:
    """Measure 201, 401 and 429."""
    setups: dict[tuple[str, str], Setup] = {}
    for name in (INSTALLED, SLOWAPI):
        if missing(name) is None:
            stack = HARDENED[name]
            setups[name, "201"] = creating(stack)
            setups[name, "401, forged cookie"] = partial(serving, partial(stack, PLENTY), 401, forged)
            setups[name, "429"] = partial(serving, partial(stack, ONCE), 429)
    measured = measure({" ".join(key): setup for key, setup in setups.items()}, effort)
    figures = {key: measured[" ".join(key)] for key in setups}
    rows = [
        (
            f"{name}: {answer}",
            micro(own.minimum),
            micro(own.median),
            ratio(own.minimum, figures[name, "201"].minimum),
            ratio(own.median, figures[name, "201"].median),
        )
        for (name, answer), own in figures.items()
    ]
    return Table("Refusals", ("answer", "min µs", "median µs", "÷ its 201, min", "÷ its 201, median"), rows, _NOTE)
