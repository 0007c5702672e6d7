"""The best placement where links are ignored: segments first, then the coverage MILP."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hexplan.cost.speed import MICRO
from hexplan_solver.bounds import work_bound
from hexplan_solver.chain import fill_chain
from hexplan_solver.coverage import Column, Coverage, all_columns, covered, solve_coverage
from hexplan_solver.milp import Watch
from hexplan_solver.options import SolveOptions
from hexplan_solver.parts import solve_in_parts
from hexplan_solver.problem import Problem
from hexplan_solver.segments import solve_segments

MAX_ENTRIES = 60_000
"""Matrix entries above which the coverage MILP sees only columns near the segments'."""

GOOD_ENOUGH = 0.98
"""Share of the proved bound at which segments are not improved by the MILP."""


@dataclass(frozen=True, slots=True)
class Incumbent:
    """A placement by kinds and what is proved about all others."""

    coverage: Coverage
    value: int
    """Its flow where links do not bind, in 1e-6 tokens/s."""
    bound: float | None
    """The MILP's proved bound in tokens/s, where it saw every column."""


def first_placement(problem: Problem, options: SolveOptions, time_limit_s: float) -> Incumbent:
    """Find a placement by segments, or at least a chain; none where hosts are pinned."""
    start = Coverage((), (), None, "")
    if not any(host_class.must_serve for host_class in problem.classes):
        until = time.monotonic() + time_limit_s
        segments = solve_in_parts(
            problem,
            lambda part: solve_segments(part, options, work_bound(part), until - time.monotonic()),
        )
        start = _better(problem, segments, fill_chain(problem) or start)
    return Incumbent(start, covered(problem, start.columns), None)


def better_placement(
    problem: Problem,
    start: Incumbent,
    options: SolveOptions,
    limits: tuple[float, int],
    watch: Watch,
) -> Incumbent:
    """Improve a placement by the coverage MILP within (seconds, proved bound in 1e-6 tokens/s)."""
    time_limit_s, bound = limits
    if start.value == bound:
        return start
    candidates = all_columns(problem)
    is_complete = sum(end - first for first, end in (c.layers for c in candidates)) <= MAX_ENTRIES
    is_complete |= start.value == 0
    if not is_complete:
        if start.value >= GOOD_ENOUGH * bound:
            return start
        candidates = _near(candidates, start.coverage)
    milp = solve_coverage(
        problem, candidates, options, (time_limit_s, bound / MICRO), start.coverage.columns, watch
    )
    best = _better(problem, milp, start.coverage)
    return Incumbent(best, covered(problem, best.columns), milp.bound if is_complete else None)


def _better(problem: Problem, first: Coverage, second: Coverage) -> Coverage:
    return max((first, second), key=lambda coverage: covered(problem, coverage.columns))


def _near(candidates: list[Column], start: Coverage) -> list[Column]:
    """Keep the columns whose kind and size a placement uses, or nearly so."""
    sizes = {(c.kind, c.layers[1] - c.layers[0]) for c in start.columns}
    kept = {Column(c.kind, c.layers): None for c in start.columns}
    entries = 0
    for reach in (0, 1, 2):
        wanted = {(kind, k + d) for kind, k in sizes for d in (-reach, reach)}
        for column in candidates:
            k = column.layers[1] - column.layers[0]
            if (column.kind, k) in wanted and entries + k <= MAX_ENTRIES:
                kept[column] = None
                entries += k
    return list(kept)
