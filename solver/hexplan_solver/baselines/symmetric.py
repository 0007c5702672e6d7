"""Symmetric parallelism: one tensor-parallel degree and equal stages for the whole cluster.

Every pipeline has the same number of stages, and every stage the same number of layers and of
devices. This is what serving systems without asymmetric groups do, and what the HexGen paper (Jiang
et al., ICML 2024) compares its asymmetric groups with. All degrees and numbers of stages are tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from hexplan.field_types import Range
from hexplan_solver.baselines.result import MethodResult, give_up
from hexplan_solver.baselines.stocks import Stock, stocks_of
from hexplan_solver.baselines.swarm import even_ranges
from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.flow.stacking import most_flow
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


@dataclass(frozen=True, slots=True)
class _Group:
    """Devices of a stock that form one stage."""

    stock: Stock
    taken: int
    """Devices of the stock that earlier groups have taken."""
    degree: int

    def stage(self, layers: Range) -> PlacedStage:
        return self.stock.stage(self.taken, self.degree, layers)


@dataclass(frozen=True, slots=True)
class _Trial:
    """One degree and number of stages."""

    number: int
    """In the order in which they are named; the first of equal ones is chosen."""
    placement: Placement
    most: int
    """Its flow without links, in 1e-6 tokens/s: no more is possible with them."""
    told: str


def place_symmetric(run: Run, problem: Problem) -> MethodResult:
    """Try every degree with every number of stages that divides the layers.

    The most promising come first, so that those that cannot be better need not be evaluated.
    """
    best, best_value, best_number = MethodResult(Placement()), 0, 0
    for trial in sorted(_trials(problem), key=lambda trial: (-trial.most, trial.number)):
        if (trial.most, -trial.number) <= (best_value, -best_number):
            break
        value = evaluate(problem, trial.placement).value
        if (value, -trial.number) > (best_value, -best_number):
            best = MethodResult(trial.placement, trial.told)
            best_value, best_number = value, trial.number
        if run.left_s == 0:
            break
    if not best_value:
        raise give_up("no degree and number of equal stages fits")
    return best


def _trials(problem: Problem) -> Iterator[_Trial]:
    stocks, total = stocks_of(problem), problem.num_layers
    degrees = sorted({degree for stock in stocks for degree in stock.degrees})
    counts = [count for count in range(1, total + 1) if total % count == 0]
    for number, (degree, count) in enumerate(product(degrees, counts)):
        placement = Placement.of(_pipelines(stocks, degree, even_ranges(total, count)))
        told = f"TP {degree}, {count} stages a pipeline"
        yield _Trial(number, placement, most_flow(placement, total), told)


def _pipelines(
    stocks: Sequence[Stock], degree: int, ranges: Sequence[Range]
) -> Iterator[PlacedStage]:
    """Build as many whole pipelines as there are groups for.

    The groups are sorted by speed, so that those of one pipeline are nearly alike; equal ones stay
    in the spec's order, so that neighbours serve together.
    """
    size = ranges[0][1] - ranges[0][0]
    groups = [
        _Group(stock, taken, degree)
        for stock in stocks
        if stock.max_layers(degree) >= size
        for taken in range(0, len(stock.devices) - degree + 1, degree)
    ]
    groups.sort(key=lambda group: -group.stage(ranges[0]).rate)
    whole = len(groups) // len(ranges) * len(ranges)
    for position, group in enumerate(groups[:whole]):
        yield group.stage(ranges[position % len(ranges)])
