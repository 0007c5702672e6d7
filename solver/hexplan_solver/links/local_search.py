"""Local search where links bind: change stages at random, and follow the max-flow."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from hexplan_solver.anneal import Scored, Threshold, anneal
from hexplan_solver.flow.valuers import Valuer
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.links.moves import Moves
from hexplan_solver.placement.placement import Placement


@dataclass(frozen=True, slots=True)
class Goal:
    """When the search may stop."""

    flow: int
    """A proved bound in 1e-6 tokens/s; reaching it ends the search."""
    may_go_on: Callable[[int], bool]
    """Called with the best flow so far before each step; False ends the search."""


def improve(search: LinkSearch, start: Placement, goal: Goal, seed: int) -> Placement:
    """Improve a placement step by step: simulated annealing on the exact flow."""
    valuer, params = search.valuer, search.params
    rng = random.Random(seed)  # noqa: S311 - a search, not a secret
    # Rounding costs up to one unit for each stage.
    enough = goal.flow - valuer.unit * len(start)
    landscape = _Flows(Moves(search.problem, rng), valuer, goal.may_go_on, enough)

    def slack(value: float, best: float, progress: float) -> float:
        return params.cooling * best * (1 - progress)

    acceptance = Threshold(slack, params.rarity, rng)
    return anneal(landscape, Scored(start, valuer.flow(start)), acceptance, params.walk).state


@dataclass(frozen=True, slots=True)
class _Flows:
    """Placements, each with its flow in the valuer's units."""

    moves: Moves
    valuer: Valuer
    goes_on: Callable[[int], bool]
    enough: int
    """In 1e-6 tokens/s; the search ends where this is reached."""

    def change(self, state: Placement) -> Placement | None:
        return self.moves.neighbour(state)

    def score(self, change: Placement, floor: float) -> Scored[Placement]:
        return Scored(change, self.valuer.flow(change, math.ceil(floor)))

    def may_go_on(self, step: int, best: Scored[Placement]) -> bool:
        reached = int(best.value) * self.valuer.unit
        return reached < self.enough and self.goes_on(reached)
