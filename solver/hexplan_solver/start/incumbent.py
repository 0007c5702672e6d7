"""The best placement where links are ignored: segments first, then the coverage MILP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from hexplan.constants import MICRO
from hexplan_solver.bounds.bounds import work_bound
from hexplan_solver.infeasible.held import hold_most
from hexplan_solver.milp import Watch
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.chain import fill_chain
from hexplan_solver.placement.coverage import Column, Coverage, all_columns, covered, solve_coverage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.segments.segments import solve_segments
from hexplan_solver.start.balance import balance
from hexplan_solver.start.parts import num_devices, num_parts, solve_in_parts

MAX_ENTRIES = 60_000
"""Matrix entries above which the coverage MILP sees only columns near the segments'."""

LOSSES = (0.01, 0.04, 1.0)
"""Shares of its work that a stage may lose by lying where it is needed most: each is tried."""
LARGE, BALANCED_ENOUGH = 512, 0.985
"""With more devices, no segments are tried beside a placement that reaches this share."""
MILP_DEVICES = 200
"""With more devices, no MILP over the columns near a placement is tried."""
SEGMENTS_ENOUGH, GOOD_ENOUGH = 0.995, 0.98
"""Shares of the proved bound at which segments are not searched on, or improved by the MILP."""


@dataclass(frozen=True, slots=True)
class Incumbent:
    """A placement by kinds and what is proved about all others."""

    coverage: Coverage
    value: int
    """Its flow where links do not bind, in 1e-6 tokens/s."""
    bound: float | None
    """The MILP's proved bound in tokens/s, where it saw every column."""


def first_placement(problem: Problem, options: SolveOptions, time_limit_s: float) -> Incumbent:
    """Find a placement by segments, or at least a chain; under pins, one that holds the layers."""
    best = Coverage((), (), None, "")
    until = time.monotonic() + time_limit_s
    bound = work_bound(problem)
    if bound and not problem.is_pinned:
        for candidate in (fill_chain(problem) or best, *_balanced(problem, bound)):
            best = _better(problem, best, candidate)
        is_large = num_devices(problem) > LARGE
        if not is_large or covered(problem, best.columns) < BALANCED_ENOUGH * bound:
            best = _better(problem, _by_segments(problem, options, until), best)
    else:
        best = hold_most(problem, options)
    return Incumbent(best, covered(problem, best.columns), None)


def _by_segments(
    problem: Problem, options: SolveOptions, until: float, reached: int = 0
) -> Coverage:
    """Solve by segments, large clusters in parts; only what exceeds a reached value is wanted."""
    share = reached // num_parts(problem)

    def solve(part: Problem, num_left: int) -> Coverage:
        limits = (share, work_bound(part))
        return solve_segments(part, options, limits, (until - time.monotonic()) / num_left)

    return solve_in_parts(problem, solve)


def _balanced(problem: Problem, bound: int) -> Iterator[Coverage]:
    for loss in LOSSES:
        yield balance(problem, bound, loss)


def better_placement(
    problem: Problem,
    start: Incumbent,
    options: SolveOptions,
    limits: tuple[float, int],
    watch: Watch,
) -> Incumbent:
    """Improve a placement within (seconds, proved bound in 1e-6 tokens/s).

    By the coverage MILP where it is small enough to see every column; else by more segments, and
    by the columns near the best placement.
    """
    time_limit_s, bound = limits
    until = time.monotonic() + time_limit_s
    best = start.coverage
    if start.value == bound:
        return start
    is_complete = _num_entries(problem) <= MAX_ENTRIES or start.value == 0
    enough = BALANCED_ENOUGH if num_devices(problem) > LARGE else SEGMENTS_ENOUGH
    if not is_complete and start.value < enough * bound and not problem.is_pinned:
        best = _better(problem, best, _by_segments(problem, options, until, start.value))
    value = covered(problem, best.columns)
    is_large = num_devices(problem) > MILP_DEVICES
    if not is_complete and (is_large or value >= GOOD_ENOUGH * bound):
        return Incumbent(best, value, None)
    candidates = all_columns(problem) if is_complete else _near(problem, best)
    left = (max(0.1, until - time.monotonic()), bound / MICRO)
    milp = solve_coverage(problem, candidates, options, left, best.columns, watch)
    best = _better(problem, milp, best)
    return Incumbent(best, covered(problem, best.columns), milp.bound if is_complete else None)


def _better(problem: Problem, first: Coverage, second: Coverage) -> Coverage:
    return max((first, second), key=lambda coverage: covered(problem, coverage.columns))


def _num_entries(problem: Problem) -> int:
    """Count the matrix entries that all columns have in the coverage rows, or too many of them."""
    total, entries = problem.num_layers, 0
    for kind in problem.kinds:
        if entries > MAX_ENTRIES:
            break
        pinned = kind.ranges() if kind.pin is not None else None
        widest = kind.rates.max_layers
        most = sum(k * (total - k + 1) for k in range(1, widest + 1))
        entries += most if pinned is None else sum(end - first for first, end in pinned)
    return entries


def _near(problem: Problem, start: Coverage) -> list[Column]:
    """List the columns whose kind and size a placement uses, or nearly so."""
    sizes = sorted({(c.kind, c.layers[1] - c.layers[0]) for c in start.columns})
    kept = {Column(c.kind, c.layers): None for c in start.columns}
    entries, total = 0, problem.num_layers
    for reach in (0, 1, 2):
        for kind, k in sorted({(kind, k + d) for kind, k in sizes for d in (-reach, reach)}):
            rates = problem.kinds[kind].rates
            if not 1 <= k <= rates.max_layers:
                continue
            for first in range(total - k + 1):
                layers = (first, first + k)
                if rates.of(*layers) and entries + k <= MAX_ENTRIES:
                    kept[Column(kind, layers)] = None
                    entries += k
    return list(kept)
