"""A first placement at once: one chain of stages, each filled up."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan_solver.placement.coverage import Column, Coverage
from hexplan_solver.problem.problem import Problem


def fill_chain(problem: Problem) -> Coverage | None:
    """Fill host after host, each in the groups that hold most, until all layers have a place.

    Returns None where that does not reach the last layer. The placement is poor but feasible, for
    when the time is too short for anything better.
    """
    columns: list[Column] = []
    ways = [[0] * len(host_class.partitions) for host_class in problem.classes]
    first = 0
    for host_class, way, kinds in _roomiest_hosts(problem):
        if first == problem.num_layers:
            break
        ways[host_class][way] += 1
        for kind in kinds:
            end = _furthest(problem, kind, first)
            if end > first:
                columns.append(Column(kind, (first, end)))
                first = end
    if first < problem.num_layers:
        return None
    return Coverage(tuple(columns), tuple(tuple(row) for row in ways), None, "feasible")


def _roomiest_hosts(problem: Problem) -> Iterator[tuple[int, int, list[int]]]:
    """Yield (class, way, kinds of its groups) for each host."""
    for index, host_class in enumerate(problem.classes):
        rooms = [problem.room(way) for way in host_class.partitions]
        best = rooms.index(max(rooms))
        kinds = [kind for kind, n in host_class.partitions[best] for _ in range(n)]
        for _ in host_class.hosts:
            yield index, best, kinds


def _furthest(problem: Problem, kind: int, first: int) -> int:
    """Return the furthest end that a stage of this kind can reach from `first`."""
    rates = problem.kinds[kind].rates
    ends = range(problem.num_layers, first, -1)
    return next((end for end in ends if rates.of(first, end)), first)
