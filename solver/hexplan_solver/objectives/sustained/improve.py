"""Local search for placements that serve more: threshold acceptance on the formula's rate."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from hexplan_solver.anneal import Scored, Threshold, Walk, anneal
from hexplan_solver.links.moves import Moves
from hexplan_solver.objectives.sustained.candidate import Candidate, Floor, candidate_of
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class Search:
    """What a walk looks for."""

    seed: int
    most_tpot_s: float = math.inf
    """A candidate counts for less by what its time from token to token exceeds this."""

    def value(self, found: Candidate) -> float:
        """Return the rate, less what is too late."""
        late = (found.served.tpot_s or 0.0) / self.most_tpot_s
        return found.served.decode_tokens_per_s / max(1.0, late)


def improve(
    start: Candidate, walk: Walk, search: Search, may_go_on: Callable[[], bool]
) -> Candidate:
    """Improve the served rate of a placement by small changes.

    A change that loses a little is accepted too, so that the search can leave a local optimum.

    Parameters
    ----------
    may_go_on
        Asked before each step; False ends the search.
    """
    problem = start.evaluated.problem
    rng = random.Random(search.seed)  # noqa: S311 - a search, not a secret
    params = SUSTAINED_PARAMS
    least_flow = max(1, int(start.evaluated.value * params.least_flow))
    moves = Moves(problem, rng)
    landscape = _ServedRates(problem, moves, start, least_flow, search, may_go_on)
    acceptance = Threshold(
        lambda value, _, progress: params.cooling * value * (1 - progress), 2, rng
    )
    return anneal(landscape, landscape.scored(start), acceptance, walk).state


@dataclass(frozen=True, slots=True)
class _ServedRates:
    """Candidates, each with its served rate by the formula."""

    problem: Problem
    moves: Moves
    start: Candidate
    least_flow: int
    search: Search
    goes_on: Callable[[], bool]

    def change(self, state: Candidate) -> Placement | None:
        return self.moves.neighbour(state.placement)

    def score(self, change: Placement, floor: float) -> Scored[Candidate] | None:
        least = Floor(self.least_flow, floor)
        found = candidate_of(self.problem, change, self.start.policy, least)
        return None if found is None else self.scored(found)

    def may_go_on(self, step: int, best: Scored[Candidate]) -> bool:
        return self.goes_on()

    def scored(self, found: Candidate) -> Scored[Candidate]:
        return Scored(found, self.search.value(found))
