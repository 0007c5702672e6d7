"""Rates of stages over ranges of layers, and the range where a stage takes off most need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hexplan.field_types import Range
from hexplan_solver.placement.rate_classes import RateClasses
from hexplan_solver.problem.problem import Problem


class RangeTable:
    """Rates of every kind over the ranges of layers in which it loses little work.

    Parameters
    ----------
    target
        In 1e-6 tokens/s; a rate above it does no more work.
    loss
        Share of its largest work that a stage may lose by its choice of range.
    """

    def __init__(self, problem: Problem, target: int, loss: float) -> None:
        total = problem.num_layers
        classes = RateClasses.of(problem)
        self.class_of_kind = classes.of_kind
        self.work: list[float] = []
        """Of each rate class, the largest layers times flow that a stage adds."""
        self._rates: list[NDArray[np.int64]] = []
        for kinds in classes.kinds:
            rates = _rates_by_range(problem, kinds[0])
            work = np.minimum(rates, target) * np.arange(1.0, len(rates) + 1)[:, None]
            self.work.append(float(work.max()))
            self._rates.append(np.where(work >= (1 - loss) * work.max(), rates, 0))
        sizes, firsts = np.mgrid[1 : total + 1, 0:total]
        self._firsts, self._ends = firsts, np.minimum(firsts + sizes, total)
        self._relief: list[NDArray[np.float64]] = []

    def set_scale(self, tau: float) -> None:
        """Set tau, the scale on which needs fall, in 1e-6 tokens/s."""
        self._relief = [-np.expm1(-rates / tau) for rates in self._rates]

    def best(self, kind: int, sums: NDArray[np.float64]) -> tuple[Range, int]:
        """Return the range where a stage takes off most need, and its rate there.

        Parameters
        ----------
        sums
            Prefix sums of the layers' needs: entry l is the sum over the layers before l, and there
            are L + 1 entries.
        """
        rate_class = self.class_of_kind[kind]
        relief = self._relief[rate_class]
        depth = len(relief)
        gains = sums[self._ends[:depth]] - sums[self._firsts[:depth]]
        gains *= relief
        row, first = divmod(int(gains.argmax()), gains.shape[1])
        return (first, first + row + 1), int(self._rates[rate_class][row, first])


def _rates_by_range(problem: Problem, kind: int) -> NDArray[np.int64]:
    """Return the rates as a matrix [layers - 1, first layer]; 0 if no stage can be there."""
    rates, total = problem.kinds[kind].rates, problem.num_layers
    table = np.zeros((rates.max_layers, total), dtype=np.int64)
    for k in range(1, rates.max_layers + 1):
        table[k - 1, : total - k + 1] = rates.of(1, k + 1) if k < total - 1 else 0
        table[k - 1, 0] = rates.of(0, k)
        table[k - 1, total - k] = rates.of(total - k, total)
    return table
