"""Placements whose zones pass nearly the same at all layers, so that links carry what crosses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from hexplan_solver.budget import Budget
from hexplan_solver.flow.valuers import Valuer
from hexplan_solver.links.arrange import arrange
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.placement.stage_counts import least_coverage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone
from hexplan_solver.run import Run
from hexplan_solver.segments.segments import solve_segments
from hexplan_solver.segments.zone_bands import ZoneBands
from hexplan_solver.start.balance import Floors, balance
from hexplan_solver.start.params import START_PARAMS
from hexplan_solver.start.slices import num_devices

SLACKS, LOSSES = (0.02, 0.1, 0.2, 0.4), (0.04, 1.0)
"""Shares of its part of the flow that a zone may lack, and of its work that a stage may lose."""
PARTS = (0.3, 0.5)
"""Shares of what can cross that the zones may differ by freely; the rest is for single segments."""
INT64_ROOM = 2**55
"""Larger flows, which no machine has, outgrow the arithmetic."""
TIME_SHARES = (0.9, 1.0)
"""Of the time left that each of them may take."""


def balanced_starts(run: Run, problem: Problem, zones: Sequence[Zone]) -> Iterator[Placement]:
    """Yield placements that balance the zones beside the layers: quick, and good on many hosts."""
    if run.bound > INT64_ROOM:
        return
    bands = ZoneBands.of(problem, zones, run.bound, 1.0)
    for slack, loss in product(SLACKS, LOSSES):
        if not run.left_s:
            return
        least = tuple(int(share * run.bound * (1 - slack)) for share in bands.shares)
        yield place(problem, balance(problem, run.bound, loss, Floors(bands.zone_of, least)))


def bordered_starts(
    run: Run, problem: Problem, zones: Sequence[Zone], valuer: Valuer, budget: Budget
) -> Iterator[Placement]:
    """Yield placements by segments that do not differ in what each zone passes by too much."""
    if num_devices(problem) > START_PARAMS.milp_devices or run.bound > INT64_ROOM:
        return
    reached, until = budget.reached, run.elapsed_s + budget.seconds
    for part, share in zip(PARTS, TIME_SHARES, strict=True):
        left_s = (until - run.elapsed_s) * share
        if left_s <= 0:
            return
        bands = ZoneBands.of(problem, zones, run.bound, part)
        left = Budget(left_s, run.bound, reached)
        found = solve_segments(problem, run.options, left, bands)
        if not found.stages:
            continue
        placed, wanted = place(problem, found), least_coverage(problem, found.stages)
        arranged = arrange(problem, placed, wanted, run.options.seed, lambda: run.elapsed_s < until)
        reached = max(reached, valuer.flow(arranged) * valuer.unit)
        yield arranged
        yield placed
