"""Large clusters: solve like parts by themselves, and put the placements side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hexplan_solver.placement.coverage import Column, Coverage
from hexplan_solver.problem.problem import HostClass, Problem

PART_DEVICES = 256
"""A cluster is split into parts of about this many devices."""


def solve_in_parts(problem: Problem, solve: Callable[[Problem, int], Coverage]) -> Coverage:
    """Split every class of hosts evenly, solve each distinct part once, and add up.

    Pipelines side by side add their flows, so little is lost but what does not divide evenly.

    Parameters
    ----------
    solve
        Told a part, and how many parts are still to be solved, this one among them.
    """
    count = num_parts(problem)
    parts = [_part(problem, index, count) for index in range(count)]
    repeats = Counter(tuple(len(c.hosts) for c in part.classes) for part in parts)
    by_sizes = {tuple(len(c.hosts) for c in part.classes): part for part in parts}
    columns: Counter[Column] = Counter()
    ways = [[0] * len(host_class.partitions) for host_class in problem.classes]
    for position, (sizes, part) in enumerate(by_sizes.items()):
        coverage = solve(part, len(by_sizes) - position)
        for column in coverage.columns:
            columns[Column(column.kind, column.layers)] += column.count * repeats[sizes]
        for total, row in zip(ways, coverage.ways, strict=False):
            for way, count in enumerate(row):
                total[way] += count * repeats[sizes]
    merged = tuple(Column(c.kind, c.layers, count) for c, count in columns.items())
    return Coverage(merged, tuple(tuple(row) for row in ways), None, "feasible")


def num_parts(problem: Problem) -> int:
    """Say into how many parts a problem is split."""
    return max(1, round(num_devices(problem) / PART_DEVICES))


def num_devices(problem: Problem) -> int:
    """Count the devices of a problem."""
    return sum(len(c.hosts) * _devices(problem, c) for c in problem.classes)


def _devices(problem: Problem, host_class: HostClass) -> int:
    way = host_class.partitions[0]
    return sum(len(problem.kinds[kind].group) * count for kind, count in way)


def _part(problem: Problem, index: int, count: int) -> Problem:
    return problem.only(
        [name for host_class in problem.classes for name in host_class.hosts[index::count]]
    )
