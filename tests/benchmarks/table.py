"""A table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table", "micro", "ratio"]


@dataclass(frozen=True)
class Table:
    """Hold what was measured.

    Args:
        title: what it shows.
        columns: the heads; all but the first are numbers.
        rows: the cells.
        note: how to read it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str

    def __str__(self) -> str:
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.columns, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines, "", self.note, ""])


def micro(seconds: float) -> str:
    """Write a time in microseconds."""
    return f"{seconds * 1e6:.1f}"


def ratio(value: float, base: float) -> str:
    """Write a ratio."""
    return f"{value / base:.2f}"
