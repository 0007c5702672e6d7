"""The search for the placement that moves the fewest bytes and still passes a flow."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.constants import MICRO
from hexplan_solver.flow.carried import used_part
from hexplan_solver.flow.network import PlacedStage
from hexplan_solver.links.judges import judge_for
from hexplan_solver.replan.anneal import Goal, anneal
from hexplan_solver.replan.columns import columns_of
from hexplan_solver.replan.flows import Candidate
from hexplan_solver.replan.movement import Movement
from hexplan_solver.replan.retain import fewest_bytes, largest_flow
from hexplan_solver.run import Run

RETAIN_SHARE, REFILL_SHARE = 0.6, 0.5
"""Shares of the time left for the fewest bytes, and then for the largest flow at those."""
PROVED = 1.001
"""No local search follows a placement that moves at most this many times the fewest bytes."""


def search_fewest(
    run: Run, movement: Movement, known: tuple[Candidate, Candidate], target: int
) -> tuple[Candidate, int | None]:
    """Return the placement of fewest bytes found that passes `target`, and a bound on the bytes."""
    search, problem = run.options, movement.problem
    similar, kept = known
    columns = columns_of(movement, [c.stages for c in known])
    limits = (run.left_s * RETAIN_SHARE, run.goes_on)
    few = fewest_bytes(problem, columns, target, similar.stages, search, limits)
    found = [similar, kept, candidate_of(movement, few.stages)]
    best = _best(found, target)
    if best.moved_bytes > PROVED * (few.fewest_bytes or 0):
        starts = [best.stages, similar.stages, few.stages or kept.stages]
        found.append(candidate_of(movement, _annealed(run, movement, best, starts, target)))
        best = _best(found, target)
    if run.left_s == 0:
        return best, few.fewest_bytes
    limits = (run.left_s * REFILL_SHARE, run.goes_on)
    refilled = largest_flow(problem, columns, best.moved_bytes, best.stages, search, limits)
    best = _best([best, candidate_of(movement, refilled)], target)
    run.tell("replanned", best.flow.value / MICRO)
    return best, few.fewest_bytes


def _annealed(
    run: Run,
    movement: Movement,
    best: Candidate,
    starts: Sequence[Sequence[PlacedStage]],
    target: int,
) -> list[PlacedStage]:
    until = run.elapsed_s + run.left_s / 2
    judge = judge_for(movement.problem, best.network.stages, best.flow)
    # One unit a stage is lost to rounding.
    goal = Goal(judge, -(-target // judge.unit), lambda: run.elapsed_s < until)
    return anneal(movement, goal, starts, run.options.seed)


def _best(found: Sequence[Candidate], target: int) -> Candidate:
    """Return the candidate of fewest bytes that passes `target`, of the largest flow among equals.

    The first candidate passes it, up to rounding.
    """
    passing = [c for c in found if c.flow.value >= target] or [found[0]]
    return min(passing, key=lambda c: (c.moved_bytes, -c.flow.value))


def candidate_of(movement: Movement, stages: Sequence[PlacedStage]) -> Candidate:
    """Compute the flow and the bytes of a placement, idle stages left out."""
    network, flow = used_part(movement.problem, stages)
    return Candidate(network, flow, movement.total(network.stages))
