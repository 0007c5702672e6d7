"""Large clusters: split them into like slices, solve these, and add up their placements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hexplan_solver.placement.stage_counts import StageCount, StageCounts
from hexplan_solver.problem.problem import HostClass, Problem
from hexplan_solver.start.params import START_PARAMS, StartParams


def solve_in_slices(
    problem: Problem,
    solve: Callable[[Problem, int], StageCounts],
    params: StartParams = START_PARAMS,
) -> StageCounts:
    """Split every class of hosts evenly, solve each distinct slice once, and add up.

    The flows of slices add up, so nothing is lost except where hosts do not divide evenly.

    Parameters
    ----------
    solve
        Called with a slice, and with the number of slices still to solve, including this one.
    """
    count = num_slices(problem, params)
    slices = [_slice(problem, index, count) for index in range(count)]
    repeats = Counter(tuple(len(c.hosts) for c in s.classes) for s in slices)
    by_sizes = {tuple(len(c.hosts) for c in s.classes): s for s in slices}
    totals: Counter[StageCount] = Counter()
    partitioned = [[0] * len(host_class.partitions) for host_class in problem.classes]
    for position, (sizes, problem_slice) in enumerate(by_sizes.items()):
        counts = solve(problem_slice, len(by_sizes) - position)
        for stage in counts.stages:
            totals[StageCount(stage.kind, stage.layers)] += stage.count * repeats[sizes]
        for total, row in zip(partitioned, counts.partitioned, strict=False):
            for partition, num_hosts in enumerate(row):
                total[partition] += num_hosts * repeats[sizes]
    stages = tuple(StageCount(s.kind, s.layers, n) for s, n in totals.items())
    return StageCounts(stages, tuple(tuple(row) for row in partitioned))


def num_slices(problem: Problem, params: StartParams = START_PARAMS) -> int:
    """Return the number of slices that a problem is split into."""
    return max(1, round(num_devices(problem) / params.slice_devices))


def num_devices(problem: Problem) -> int:
    """Count the devices of a problem."""
    return sum(len(c.hosts) * _devices_of_one(problem, c) for c in problem.classes)


def _devices_of_one(problem: Problem, host_class: HostClass) -> int:
    partition = host_class.partitions[0]
    return sum(len(problem.kinds[kind].group) * count for kind, count in partition)


def _slice(problem: Problem, index: int, count: int) -> Problem:
    return problem.only(
        [name for host_class in problem.classes for name in host_class.hosts[index::count]]
    )
