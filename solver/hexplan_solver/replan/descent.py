"""The search for the placement that moves the fewest bytes and still passes a flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.constants import MICRO
from hexplan_solver.budget import Budget
from hexplan_solver.flow.valuers import valuer_for
from hexplan_solver.placement.placement import Placement
from hexplan_solver.replan.anneal import FlowGoal, fewest_moved
from hexplan_solver.replan.candidate import ReplanCandidate, candidate_of
from hexplan_solver.replan.columns import columns_of
from hexplan_solver.replan.movement import Movement
from hexplan_solver.replan.retain import fewest_bytes, largest_flow
from hexplan_solver.run import Run

RETAIN_SHARE, REFILL_SHARE = 0.6, 0.5
"""Shares of the time left for the fewest bytes, and then for the largest flow at those."""
PROVED = 1.001
"""No local search follows a placement that moves at most this many times the fewest bytes."""


@dataclass(frozen=True, slots=True)
class Known:
    """Placements that a replan knows before it searches."""

    similar: ReplanCandidate
    """The one of largest flow, on the hosts where it moves the fewest bytes."""
    kept: ReplanCandidate
    """The stages that are left, unmoved."""


def search_fewest(
    run: Run, movement: Movement, known: Known, target: int
) -> tuple[ReplanCandidate, int | None]:
    """Return the placement of fewest bytes found that passes `target`, and a bound on the bytes."""
    search, problem = run.options, movement.problem
    similar, kept = known.similar, known.kept
    columns = columns_of(movement, [similar.placement, kept.placement])
    budget = Budget(run.left_s * RETAIN_SHARE, watch=run.goes_on)
    few = fewest_bytes(problem, columns, target, similar.placement, search, budget)
    found = [similar, kept, candidate_of(movement, few.stages)]
    best = _best(found, target)
    if best.moved_bytes > PROVED * (few.fewest_bytes or 0):
        starts = [best.placement, similar.placement, Placement(few.stages) or kept.placement]
        found.append(candidate_of(movement, _annealed(run, movement, best, starts, target)))
        best = _best(found, target)
    if run.left_s == 0:
        return best, few.fewest_bytes
    budget = Budget(run.left_s * REFILL_SHARE, watch=run.goes_on)
    refilled = largest_flow(problem, columns, best.moved_bytes, best.placement, search, budget)
    best = _best([best, candidate_of(movement, refilled)], target)
    run.tell("replanned", best.value / MICRO)
    return best, few.fewest_bytes


def _annealed(
    run: Run, movement: Movement, best: ReplanCandidate, starts: Sequence[Placement], target: int
) -> Placement:
    until = run.elapsed_s + run.left_s / 2
    valuer = valuer_for(best.evaluated)
    # One unit a stage is lost to rounding.
    goal = FlowGoal(valuer, -(-target // valuer.unit), lambda: run.elapsed_s < until)
    return fewest_moved(movement, goal, starts, run.options.seed)


def _best(found: Sequence[ReplanCandidate], target: int) -> ReplanCandidate:
    """Return the candidate of fewest bytes that passes `target`, of the largest flow among equals.

    The first candidate passes it, up to rounding.
    """
    passing = [c for c in found if c.value >= target] or [found[0]]
    return min(passing, key=lambda c: (c.moved_bytes, -c.value))
