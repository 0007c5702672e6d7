"""A placement at once: a single chain of stages, each of which holds as many layers as it can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hexplan_solver.placement.stage_counts import StageCount, StageCounts
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class _PartitionedHost:
    host_class: int
    partition: int
    kinds: list[int]
    """The kind of each of its groups."""


def fill_chain(problem: Problem) -> StageCounts | None:
    """Fill host after host, each in the partition that holds most, until every layer has a stage.

    Returns None if the last layer is not reached. The placement is poor, but there is one even if
    the time is too short for anything better.
    """
    stages: list[StageCount] = []
    partitioned = [[0] * len(host_class.partitions) for host_class in problem.classes]
    first = 0
    for host in _largest_partitions(problem):
        if first == problem.num_layers:
            break
        partitioned[host.host_class][host.partition] += 1
        for kind in host.kinds:
            end = _furthest_end(problem, kind, first)
            if end > first:
                stages.append(StageCount(kind, (first, end)))
                first = end
    if first < problem.num_layers:
        return None
    return StageCounts(tuple(stages), tuple(tuple(row) for row in partitioned))


def _largest_partitions(problem: Problem) -> Iterator[_PartitionedHost]:
    """Yield every host with its partition that holds the most layers."""
    for index, host_class in enumerate(problem.classes):
        sizes = [problem.max_layers(partition) for partition in host_class.partitions]
        largest = sizes.index(max(sizes))
        kinds = [kind for kind, n in host_class.partitions[largest] for _ in range(n)]
        for _ in host_class.hosts:
            yield _PartitionedHost(index, largest, kinds)


def _furthest_end(problem: Problem, kind: int, first: int) -> int:
    """Return the furthest end that a stage of this kind can reach from `first`."""
    rates = problem.kinds[kind].rates
    ends = range(problem.num_layers, first, -1)
    return next((end for end in ends if rates.of(first, end)), first)
