"""The best placement without links: balanced and by segments, then by the coverage MILP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.budget import Budget, GoesOn, always
from hexplan_solver.infeasible.most_layers import hold_most_layers
from hexplan_solver.milp import MilpStatus
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.chain import fill_chain
from hexplan_solver.placement.coverage_milp import solve_coverage
from hexplan_solver.placement.stage_counts import (
    NO_STAGES,
    StageCount,
    StageCounts,
    least_coverage,
    possible_stages,
)
from hexplan_solver.problem.problem import Problem
from hexplan_solver.segments.segments import solve_segments
from hexplan_solver.start.balance import balance
from hexplan_solver.start.params import START_PARAMS, StartParams
from hexplan_solver.start.slices import num_devices, num_slices, solve_in_slices


@dataclass(frozen=True, slots=True)
class LinkFreePlacement:
    """A placement by kinds that was made without links, and what is proved about all others."""

    counts: StageCounts
    value: int
    """Its flow if no link binds, in 1e-6 tokens/s."""
    bound: float | None = None
    """The proved bound of the MILP in tokens/s, if it had every possible stage."""
    status: MilpStatus = MilpStatus.FEASIBLE
    """How the search for it ended."""


def first_placement(
    problem: Problem,
    options: SolveOptions,
    time_limit_s: float,
    balanced: LinkFreePlacement | None = None,
    params: StartParams = START_PARAMS,
) -> LinkFreePlacement:
    """Find a placement quickly: balanced, by segments, or at least a chain.

    Under pins, which these do not know, it is one that holds as many layers as possible.

    Parameters
    ----------
    balanced
        What `balanced_placement` returned, if it is known already.
    """
    until = options.clock.wall_s() + time_limit_s
    bound = work_bound(problem)
    if not bound or problem.is_pinned:
        held = hold_most_layers(problem, options)
        value = least_coverage(problem, held.counts.stages)
        return LinkFreePlacement(held.counts, value, status=held.status)
    if balanced is None or not balanced.value:
        balanced = balanced_placement(problem, bound, params)
    best = balanced.counts
    is_large = num_devices(problem) > params.large
    value = least_coverage(problem, best.stages)
    has_time = not value or options.clock.wall_s() < until
    if has_time and (not is_large or value < params.balanced_enough * bound):
        best = _better(problem, _by_segments(problem, options, until, params), best)
    return LinkFreePlacement(best, least_coverage(problem, best.stages))


def balanced_placement(
    problem: Problem,
    bound: int,
    params: StartParams = START_PARAMS,
    goes_on: GoesOn = always,
) -> LinkFreePlacement:
    """Return the best placement by balancing alone: quick, of fair quality, none under pins.

    Parameters
    ----------
    bound
        No placement has a larger flow, in 1e-6 tokens/s.
    goes_on
        Asked now and then; once it says no, the best placement so far is the answer.
    """
    if not bound or problem.is_pinned:
        return LinkFreePlacement(NO_STAGES, 0)
    best = fill_chain(problem) or NO_STAGES
    for candidate in _balanced(problem, bound, params, goes_on):
        best = _better(problem, best, candidate)
    return LinkFreePlacement(best, least_coverage(problem, best.stages))


def _by_segments(
    problem: Problem, options: SolveOptions, until: float, params: StartParams, reached: int = 0
) -> StageCounts:
    """Solve by segments, large clusters in slices.

    Parameters
    ----------
    reached
        The flow of a known placement, in 1e-6 tokens/s; only a larger one is of use.
    """
    share = reached // num_slices(problem, params)

    def solve(part: Problem, num_left: int) -> StageCounts:
        seconds = (until - options.clock.wall_s()) / num_left
        return solve_segments(part, options, Budget(seconds, work_bound(part), share))

    return solve_in_slices(problem, solve, params)


def _balanced(
    problem: Problem, bound: int, params: StartParams, goes_on: GoesOn
) -> Iterator[StageCounts]:
    """Yield one placement at least, and the others while there is time."""
    for position, loss in enumerate(params.losses):
        if position and not goes_on():
            return
        yield balance(problem, bound, loss, params=params, goes_on=goes_on)


def better_placement(
    problem: Problem,
    start: LinkFreePlacement,
    options: SolveOptions,
    budget: Budget,
    params: StartParams = START_PARAMS,
) -> LinkFreePlacement:
    """Improve a placement within a budget.

    If the coverage MILP with every possible stage is small enough, it does this. Otherwise, more
    segments do, and then a MILP over the stages near those of the best placement.
    """
    bound, until = budget.bound, options.clock.wall_s() + budget.seconds
    best = start.counts
    if start.value == bound:
        return start
    num_entries = _num_entries(problem, params)
    is_complete = num_entries <= params.max_entries or start.value == 0
    is_large = num_devices(problem) > params.large
    enough = params.balanced_enough if is_large else params.segments_enough
    has_time = options.clock.wall_s() < until
    if not is_complete and has_time and start.value < enough * bound and not problem.is_pinned:
        found = _by_segments(problem, options, until, params, start.value)
        best = _better(problem, best, found)
    value = least_coverage(problem, best.stages)
    is_too_large = num_devices(problem) > params.milp_devices
    if not is_complete and (is_too_large or value >= params.good_enough * bound):
        return LinkFreePlacement(best, value, status=start.status)
    if value and until - options.clock.wall_s() < params.entry_s * min(
        num_entries, params.max_entries
    ):
        return LinkFreePlacement(best, value, status=MilpStatus.TIME_LIMIT)
    candidates = possible_stages(problem) if is_complete else _near(problem, best, params)
    left_s = max(params.least_milp_s, until - options.clock.wall_s())
    left = replace(budget, seconds=left_s)
    milp = solve_coverage(problem, candidates, options, left, best.stages)
    milp_value = least_coverage(problem, milp.counts.stages)
    milp_bound = milp.bound if is_complete else None
    if milp_value >= value:
        return LinkFreePlacement(milp.counts, milp_value, milp_bound, milp.status)
    return LinkFreePlacement(best, value, milp_bound, start.status)


def _better(problem: Problem, first: StageCounts, second: StageCounts) -> StageCounts:
    return max((first, second), key=lambda counts: least_coverage(problem, counts.stages))


def _num_entries(problem: Problem, params: StartParams) -> int:
    """Count the matrix entries of all possible stages in the cover rows; stop at too many."""
    total, entries = problem.num_layers, 0
    for kind in problem.kinds:
        if entries > params.max_entries:
            break
        pinned = kind.ranges() if kind.pin is not None else None
        widest = kind.rates.max_layers
        most = sum(k * (total - k + 1) for k in range(1, widest + 1))
        entries += most if pinned is None else sum(end - first for first, end in pinned)
    return entries


def _near(problem: Problem, start: StageCounts, params: StartParams) -> list[StageCount]:
    """List the stages near those of a placement, at every first layer."""
    sizes = sorted({(s.kind, s.layers[1] - s.layers[0]) for s in start.stages})
    kept = {StageCount(s.kind, s.layers): None for s in start.stages}
    entries, total = 0, problem.num_layers
    for away in params.near_layers:
        for kind, k in sorted({(kind, k + d) for kind, k in sizes for d in (-away, away)}):
            rates = problem.kinds[kind].rates
            if not 1 <= k <= rates.max_layers:
                continue
            for first in range(total - k + 1):
                layers = (first, first + k)
                if rates.of(*layers) and entries + k <= params.max_entries:
                    kept[StageCount(kind, layers)] = None
                    entries += k
    return list(kept)
