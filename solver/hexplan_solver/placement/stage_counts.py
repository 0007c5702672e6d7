"""A placement by kinds: how many stages of each kind hold which layers, on no particular host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hexplan.field_types import Range
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class StageCount:
    """Stages of one kind over one range of layers: y[class, g, s, k] of docs/formulation.md 7."""

    kind: int
    """Position in `Problem.kinds`."""
    layers: Range
    count: int = 1


@dataclass(frozen=True, slots=True)
class StageCounts:
    """Which stages to form, and how to partition the hosts that form them."""

    stages: tuple[StageCount, ...]
    """Empty if no placement was found."""
    partitioned: tuple[tuple[int, ...], ...]
    """For each class, how many hosts use each of its partitions: z[class, p]."""


NO_STAGES = StageCounts((), ())
"""What a search returns that found no placement."""


def least_coverage(problem: Problem, stages: Iterable[StageCount]) -> int:
    """Return the least over all layers of the summed rates of its holders, in 1e-6 tokens/s.

    That is the largest flow if no link binds (the claim of docs/formulation.md 7).
    """
    change = [0] * (problem.num_layers + 1)
    for stage in stages:
        rate = stage.count * problem.kinds[stage.kind].rates.of(*stage.layers)
        change[stage.layers[0]] += rate
        change[stage.layers[1]] -= rate
    least, current = None, 0
    for step in change[:-1]:
        current += step
        least = current if least is None else min(least, current)
    return least or 0


def possible_stages(problem: Problem) -> list[StageCount]:
    """List every kind over every range of layers that it can hold."""
    return [StageCount(kind.index, layers) for kind in problem.kinds for layers in kind.ranges()]
