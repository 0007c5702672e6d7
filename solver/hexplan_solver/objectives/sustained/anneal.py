"""Search for placements that serve much: simulated annealing on the formula."""

from __future__ import annotations

import random
from collections.abc import Callable

from hexplan_solver.links.moves import Moves
from hexplan_solver.objectives.sustained.placed import Placed, placed_above
from hexplan_solver.problem.problem import Problem

COOLING = 0.03
"""A loss of this share of the rate is accepted now and then at first, and never at the end."""
LEAST_FLOW = 0.3
"""Placements whose static flow is below this share of the largest are left out."""


def anneal(
    problem: Problem,
    start: Placed,
    plan: tuple[int, int],
    may_go_on: Callable[[], bool],
) -> Placed:
    """Improve the served rate of a placement step by step.

    Parameters
    ----------
    plan
        Number of steps, and the seed.
    may_go_on
        Asked before each step; False ends the search.
    """
    steps, seed = plan
    rng = random.Random(seed)  # noqa: S311 - a search, not a secret
    moves = Moves(problem, rng)
    current = best = start
    floor = max(1, int(start.flow.value * LEAST_FLOW))
    for step in range(steps):
        if not may_go_on():
            break
        changed = moves.neighbour(current.stages)
        if changed is None:
            continue
        slack = COOLING * (1 - step / steps) * rng.random() ** 2
        least = floor, _rate(current) * (1 - slack)
        found = placed_above(least, problem, changed, start.policy)
        if found is None:
            continue
        current = found
        if _rate(found) > _rate(best):
            best = found
    return best


def _rate(found: Placed) -> float:
    return found.served.decode_tokens_per_s
