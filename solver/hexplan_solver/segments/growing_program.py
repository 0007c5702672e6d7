"""A linear program that grows by columns, solved each time from where it stood."""

from __future__ import annotations

from collections.abc import Sequence

import highspy
import numpy as np

Column = tuple[float, Sequence[tuple[int, float]]]
"""What one unit gains, and what it takes of each row: (row, amount) pairs."""


class GrowingProgram:
    """Maximise the gain of columns, none below 0, within the bounds of the rows."""

    def __init__(self, rows: Sequence[tuple[float, float]]) -> None:
        self._highs = highspy.Highs()
        self._highs.silent()
        self._highs.setOptionValue("threads", 1)
        for low, high in rows:
            self._highs.addRow(low, high, 0, [], [])

    def add(self, columns: Sequence[Column]) -> None:
        """Add columns."""
        if not columns:
            return
        sizes = [len(entries) for _, entries in columns]
        cells = [cell for _, entries in columns for cell in entries]
        self._highs.addCols(
            len(columns),
            np.array([-gain for gain, _ in columns]),
            np.zeros(len(columns)),
            np.full(len(columns), highspy.kHighsInf),
            len(cells),
            np.cumsum([0, *sizes[:-1]], dtype=np.int32),
            np.array([row for row, _ in cells], dtype=np.int32),
            np.array([amount for _, amount in cells]),
        )

    def solve(self) -> tuple[float, list[float]]:
        """Return the largest gain, and what one more unit of each row would bring."""
        self._highs.run()
        duals = self._highs.getSolution().row_dual
        return -self._highs.getObjectiveValue(), [-dual for dual in duals]
