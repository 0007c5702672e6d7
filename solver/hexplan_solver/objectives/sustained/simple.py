"""Simple placements: what no search has to find, and every search has to beat.

They are those of the quick published methods, the uniform grids, and the shallow pipelines.
"""

from __future__ import annotations

from collections.abc import Iterator

from hexplan_solver.baselines.methods import quick_placements
from hexplan_solver.flow.evaluate import Evaluated, evaluate_used
from hexplan_solver.objectives.sustained.candidate import Candidate, with_flow
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run
from hexplan_solver.simulate import Policy
from hexplan_solver.start.shallow import shallow_placements
from hexplan_solver.start.uniform import uniform_placements


def simple_candidates(run: Run, problem: Problem, policy: Policy) -> list[Candidate]:
    """Return the simple placements with their served rates by the formula.

    How many grids there are follows from the number of their stages, so that a cluster of
    thousands of devices has few; the clock only ends what takes too long.
    """
    until = run.elapsed_s + max(
        run.left_s * SUSTAINED_PARAMS.simple_share, SUSTAINED_PARAMS.simple_least_s
    )
    found: list[Candidate] = []
    for evaluated in _evaluated(run, problem):
        found.append(with_flow(evaluated, policy))
        if run.elapsed_s > until:
            break
    return found


def _evaluated(run: Run, problem: Problem) -> Iterator[Evaluated]:
    """Yield the simple placements that carry a flow, the quickest to find first."""
    for placement in shallow_placements(problem):
        shallow = evaluate_used(problem, placement)
        if shallow.value:
            yield shallow
    params = SUSTAINED_PARAMS
    limit_s = max(run.left_s * params.quick_share, params.quick_least_s)
    yield from quick_placements(run, problem, limit_s)
    num_stages = 0
    for grid in uniform_placements(problem):
        yield grid.evaluated
        num_stages += len(grid.evaluated.placement)
        if num_stages > params.grid_stages:
            return
