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
from hexplan_solver.replan.params import REPLAN_PARAMS
from hexplan_solver.replan.retain import StageChoices, fewest_bytes, largest_flow
from hexplan_solver.run import Run


@dataclass(frozen=True, slots=True)
class Known:
    """Placements that a replan knows before it searches."""

    similar: ReplanCandidate
    """The placement of largest flow, on the hosts where it moves the fewest bytes."""
    kept: ReplanCandidate
    """The stages that are left of the plan before, where they are."""


def search_fewest(
    run: Run, movement: Movement, known: Known, target: int
) -> tuple[ReplanCandidate, int | None]:
    """Return the placement of fewest bytes found that passes `target`, and a bound on the bytes.

    A MILP that ignores the links finds the fewest bytes. If no placement found so far passes
    `target` with about as few, a local search follows. A last MILP looks for a larger flow that
    moves no more bytes.
    """
    params, similar, kept = REPLAN_PARAMS, known.similar, known.kept
    columns = columns_of(movement, [similar.placement, kept.placement])
    choices = StageChoices(movement.problem, columns, run.options)
    budget = Budget(run.left_s * params.retain_share, watch=run.goes_on)
    few = fewest_bytes(choices, target, similar.placement, budget)
    found = [similar, kept, candidate_of(movement, few.stages)]
    best = _best(found, target)
    if best.moved_bytes > params.proved * (few.fewest_bytes or 0):
        starts = [best.placement, similar.placement, Placement(few.stages) or kept.placement]
        found.append(candidate_of(movement, _annealed(run, movement, best, starts, target)))
        best = _best(found, target)
    if run.left_s == 0:
        return best, few.fewest_bytes
    budget = Budget(run.left_s * params.refill_share, watch=run.goes_on)
    refilled = largest_flow(choices, best.moved_bytes, best.placement, budget)
    best = _best([best, candidate_of(movement, refilled)], target)
    run.tell("replanned", best.value / MICRO)
    return best, few.fewest_bytes


def _annealed(
    run: Run, movement: Movement, best: ReplanCandidate, starts: Sequence[Placement], target: int
) -> Placement:
    until = run.elapsed_s + run.left_s * REPLAN_PARAMS.walk_share
    valuer = valuer_for(best.evaluated)
    # Rounding costs an exact flow up to one unit for each stage.
    goal = FlowGoal(valuer, target + len(best.placement), lambda: run.elapsed_s < until)
    return fewest_moved(movement, goal, starts, run.options.seed)


def _best(found: Sequence[ReplanCandidate], target: int) -> ReplanCandidate:
    """Return the candidate of fewest bytes that passes `target`; of equals, that of largest flow.

    If none passes it, the first is returned, which misses it only by rounding.
    """
    passing = [c for c in found if c.value >= target] or [found[0]]
    return min(passing, key=lambda c: (c.moved_bytes, -c.value))
