"""A linear program that gains columns, each time solved from its last solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highspy
import numpy as np

from hexplan_solver.quiet import quiet_highs


@dataclass(frozen=True, slots=True)
class LpColumn:
    """A variable of the program, at least 0."""

    gain: float
    """What one unit adds to the objective."""
    entries: Sequence[tuple[int, float]]
    """What one unit takes of each row: (row, amount) pairs."""


@dataclass(frozen=True, slots=True)
class RowBounds:
    """Between which values a row lies."""

    low: float
    high: float


class ColumnLp:
    """Maximise the gain of all columns within the bounds of the rows."""

    def __init__(self, rows: Sequence[RowBounds]) -> None:
        self._highs = quiet_highs()
        self._highs.setOptionValue("threads", 1)
        for row in rows:
            self._highs.addRow(row.low, row.high, 0, [], [])

    def add(self, columns: Sequence[LpColumn]) -> None:
        """Add columns."""
        if not columns:
            return
        sizes = [len(column.entries) for column in columns]
        cells = [cell for column in columns for cell in column.entries]
        self._highs.addCols(
            len(columns),
            np.array([-column.gain for column in columns]),
            np.zeros(len(columns)),
            np.full(len(columns), highspy.kHighsInf),
            len(cells),
            np.cumsum([0, *sizes[:-1]], dtype=np.int32),
            np.array([row for row, _ in cells], dtype=np.int32),
            np.array([amount for _, amount in cells]),
        )

    def solve(self) -> tuple[float, list[float]]:
        """Return the largest gain, and what one more unit of each row would add to it."""
        self._highs.run()
        duals = self._highs.getSolution().row_dual
        return -self._highs.getObjectiveValue(), [-dual for dual in duals]
