"""What `import gatewright` costs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory

from tests.benchmarks.method import Effort, Work, measure
from tests.benchmarks.table import Table, ratio

__all__ = ["table"]

_BOTH = (
    "from starlette.applications import Starlette; from starlette.routing import Route; "
    "from starlette.responses import JSONResponse; from pydantic import BaseModel"
)
_IMPORTS = {
    "Starlette and pydantic": _BOTH,
    "gatewright": "import gatewright",
    "all three": f"{_BOTH}; import gatewright",
}
_NOTE = (
    "CPU time of the imports that a bare app has, compiled before, in a process of their own, without the start of the "
    "interpreter. "
    "Target: gatewright ÷ Starlette and pydantic ≤ 1.5."
)


@contextmanager
def _importing(statement: str) -> Generator[Work, None, None]:
    timed = f"import time; at = time.process_time(); {statement}; print(time.process_time() - at)"
    with TemporaryDirectory() as compiled:
        # Bytecode lies ready, as where a package was installed, whatever this environment says about it.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment = {**kept, "PYTHONPYCACHEPREFIX": compiled}

        def work(count: int) -> float:
            said = [
                subprocess.run(
                    [sys.executable, "-c", timed], env=environment, check=True, stdout=subprocess.PIPE, text=True
                ).stdout
                for _ in range(count)
            ]
            return sum(map(float, said)) / count

        yield work


def table(effort: Effort, imports: Mapping[str, str] = _IMPORTS) -> Table:
    """Measure the imports, one in each turn, beside the first of them."""
    setups = {name: partial(_importing, statement) for name, statement in imports.items()}
    figures = measure(setups, replace(effort, count=1, apart=False))
    base, *_ = figures.values()
    rows = [
        (
            name,
            f"{own.minimum * 1e3:.0f}",
            f"{own.median * 1e3:.0f}",
            ratio(own.minimum, base.minimum),
            ratio(own.median, base.median),
        )
        for name, own in figures.items()
    ]
    return Table("Imports", ("import", "min ms", "median ms", "÷ first, min", "÷ first, median"), rows, _NOTE)
