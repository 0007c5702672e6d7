"""Local search where links bind: move stages, judge each placement by its max-flow."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from hexplan_solver.flow.network import PlacedStage
from hexplan_solver.links.judges import Judge
from hexplan_solver.links.moves import Moves
from hexplan_solver.problem.problem import Problem

MAX_STEPS = 10_000
"""Placements tried, so that two runs that end before their time limit end alike."""
PATIENCE = 4_000
"""Steps without gain after which the search starts again from its best."""
COOLING = 0.02
"""A loss of this share of the flow is accepted now and then at first, and never at the end."""


def improve(
    problem: Problem,
    judge: Judge,
    start: Sequence[PlacedStage],
    target: int,
    seed: int,
    may_go_on: Callable[[int], bool],
) -> list[PlacedStage]:
    """Improve a placement step by step: simulated annealing on the exact flow.

    Parameters
    ----------
    judge
        Computes the flow of a placement.
    target
        A proved bound in 1e-6 tokens/s; reaching it ends the search.
    may_go_on
        Told the best flow so far before each step; False ends the search.
    """
    rng = random.Random(seed)  # noqa: S311 - a search, not a secret
    moves = Moves(problem, rng)
    current, value = list(start), judge.flow(start)
    best, best_value, since = list(current), value, 0
    for step in range(MAX_STEPS):
        if best_value * judge.unit >= target - judge.unit * len(start):
            break
        if not may_go_on(best_value * judge.unit):
            break
        candidate = moves.neighbour(current)
        if candidate is None:
            continue
        slack = COOLING * best_value * (1 - step / MAX_STEPS) * rng.random() ** 4
        floor = math.ceil(value - slack)
        found = judge.flow(candidate, floor)
        if found >= floor:
            current, value = candidate, found
        since += 1
        if found >= floor and found > best_value:
            best, best_value, since = list(candidate), found, 0
        elif since > PATIENCE:
            current, value, since = list(best), best_value, 0
    return best
