"""Local search where links bind: change stages at random, and follow the max-flow."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from hexplan_solver.anneal import Scored, Threshold, Walk, anneal
from hexplan_solver.flow.flow_program import Limiting
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


@dataclass(frozen=True, slots=True)
class WalkPlan:
    """How one walk goes."""

    steps: int
    warmth: float
    """Share of the usual losses that it accepts: less where it begins from a placement that a walk
    has improved already."""
    seed: int


def improve(search: LinkSearch, start: Placement, goal: Goal, plan: WalkPlan) -> Placement:
    """Improve a placement step by step: simulated annealing on the flow over the links."""
    valuer, params = search.valuer, search.params
    rng = random.Random(plan.seed)  # noqa: S311 - a search, not a secret
    # Rounding costs up to one unit for each stage.
    enough = goal.flow - len(start)
    landscape = _Flows(Moves(search.problem, rng, params), valuer, goal.may_go_on, enough)
    cooling = params.cooling * plan.warmth

    def slack(value: float, best: float, progress: float) -> float:
        return cooling * best * (1 - progress)

    acceptance = Threshold(slack, params.rarity, rng)
    walk = Walk(plan.steps, params.patience)
    return anneal(landscape, landscape.score(start, 0.0), acceptance, walk).state


@dataclass(slots=True)
class _Flows:
    """Placements with their flows, and with the stages that limit these."""

    moves: Moves
    valuer: Valuer
    goes_on: Callable[[int], bool]
    enough: int
    """In 1e-6 tokens/s; the search ends where this is reached."""
    _scored: tuple[Placement, Limiting] = field(default=(Placement(), frozenset()), init=False)
    """The placement scored last, and what limits its flow."""
    _current: tuple[Placement, Limiting] = field(default=(Placement(), frozenset()), init=False)
    """The same of the one that the walk is at."""

    def change(self, state: Placement) -> Placement | None:
        if state is self._scored[0]:
            self._current = self._scored
        limiting = self._current[1] if state is self._current[0] else frozenset()
        return self.moves.neighbour(state, limiting)

    def score(self, change: Placement, floor: float) -> Scored[Placement]:
        flow = self.valuer.flow(change)
        self._scored = change, self.valuer.limiting
        return Scored(change, flow)

    def may_go_on(self, step: int, best: Scored[Placement]) -> bool:
        return best.value < self.enough and self.goes_on(int(best.value))
