"""What each further guard costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from starlette.applications import Starlette
from starlette.routing import Route

from gatewright import Call, Gate, Phase, compose
from gatewright._core.decorate import guarded_by
from gatewright._core.guard import Guard
from tests.benchmarks import bare, ours
from tests.benchmarks.candidates import BARE, creating
from tests.benchmarks.method import Effort, Setup, measure
from tests.benchmarks.table import Table, micro
from tests.benchmarks.wire import serving
from tests.benchmarks.work import PATH, PLENTY, SECRET, Served

__all__ = ["table"]

_COUNTS = (1, 2, 5, 10, 20)
_NOTE = (
    "On top of the hardened POST; each guard adds a header of its own and stands in the log line. "
    "Target for each: ≤ 0.06 of bare Starlette, whatever their number. The first rows are small differences of large "
    "numbers."
)


@dataclass(frozen=True)
class _Stamp(Guard):
    """Add a header."""

    name: str  # type: ignore[misc]  # a field, because each is another guard
    header: tuple[bytes, bytes]

    phase = Phase.ADMIT

    def enter(self, call: Call) -> None:
        """Let everybody pass."""
        call.add_header(*self.header)


def _stamped(guards: int) -> Served:
    stamps = [guarded_by(_Stamp(f"stamp_{at}", (b"x-stamp-%d" % at, b"1"))) for at in range(guards)]
    app = Starlette(routes=[Route(PATH, compose(*stamps)(ours.hardened(PLENTY)), methods=["POST"])])
    gate = Gate(keys=[SECRET])
    gate.install(app)
    return ours.served(app, gate)


def table(effort: Effort) -> Table:
    """Measure 1 to 20 guards more."""
    setups: dict[str, Setup] = {BARE: creating(bare.starlette)}
    setups |= {str(count): partial(serving, partial(_stamped, count), 201) for count in (0, *_COUNTS)}
    figures = measure(setups, effort)
    rows = [("0", micro(figures["0"].minimum), "", "", "")]
    for count in _COUNTS:
        own, none, base = figures[str(count)], figures["0"], figures[BARE]
        each = (own.minimum - none.minimum) / count
        usual = (own.median - none.median) / count
        shares = (f"{each / base.minimum:.3f}", f"{usual / base.median:.3f}")
        rows.append((str(count), micro(own.minimum), f"{each * 1e6:.2f}", *shares))
    return Table("Guards", ("further guards", "min µs", "each µs", "each ÷ bare, min", "median"), rows, _NOTE)
