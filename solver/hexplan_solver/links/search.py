"""Local search where links bind: move stages, and value each placement by its max-flow."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from hexplan_solver.anneal import Scored, Threshold, Walk, anneal
from hexplan_solver.flow.valuers import Valuer
from hexplan_solver.links.moves import Moves
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem

WALK = Walk(steps=10_000, patience=4_000)
"""Counts, so that two runs that end before their time limit end alike."""
COOLING = 0.02
"""A loss of this share of the flow is accepted now and then at first, and never at the end."""


@dataclass(frozen=True, slots=True)
class Goal:
    """When the search may stop."""

    flow: int
    """A proved bound in 1e-6 tokens/s; reaching it ends the search."""
    may_go_on: Callable[[int], bool]
    """Told the best flow so far before each step; False ends the search."""


def improve(problem: Problem, valuer: Valuer, start: Placement, goal: Goal, seed: int) -> Placement:
    """Improve a placement step by step: simulated annealing on the exact flow."""
    rng = random.Random(seed)  # noqa: S311 - a search, not a secret
    # One unit a stage is lost to rounding.
    enough = goal.flow - valuer.unit * len(start)
    landscape = _Flows(Moves(problem, rng), valuer, goal.may_go_on, enough)
    acceptance = Threshold(lambda _, best, progress: COOLING * best * (1 - progress), 4, rng)
    return anneal(landscape, Scored(start, valuer.flow(start)), acceptance, WALK).state


@dataclass(frozen=True, slots=True)
class _Flows:
    """Placements, each with its flow in the valuer's units."""

    moves: Moves
    valuer: Valuer
    goes_on: Callable[[int], bool]
    enough: int

    def change(self, state: Placement) -> Placement | None:
        return self.moves.neighbour(state)

    def score(self, change: Placement, floor: float) -> Scored[Placement]:
        return Scored(change, self.valuer.flow(change, math.ceil(floor)))

    def may_go_on(self, step: int, best: Scored[Placement]) -> bool:
        reached = int(best.value) * self.valuer.unit
        return reached < self.enough and self.goes_on(reached)
