"""The rows that every placement MILP shares: which groups of devices the hosts can form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import pulp

from hexplan_solver.placement.stage_counts import StageCount
from hexplan_solver.problem.problem import Problem

StageVariables = Sequence[tuple[StageCount, pulp.LpVariable]]
"""y: how many stages of a kind hold a range of layers."""
PartitionVariables = list[list[pulp.LpVariable]]
"""z[class][partition]: how many hosts of a class use a partition."""
Terms = list[tuple[pulp.LpVariable, float]]


def add_stages(model: pulp.LpProblem, stages: Iterable[StageCount]) -> StageVariables:
    """Add y[kind, first, end]: how many stages of a kind hold `[first, end)`."""
    return [
        (s, model.add_variable(f"y_{s.kind}_{s.layers[0]}_{s.layers[1]}", 0, None, pulp.LpInteger))
        for s in stages
    ]


def add_partitions(model: pulp.LpProblem, problem: Problem) -> PartitionVariables:
    """Add z[class, partition]: how many hosts of a class use that partition."""
    return [
        [
            model.add_variable(f"z_{index}_{position}", 0, len(host_class.hosts), pulp.LpInteger)
            for position in range(len(host_class.partitions))
        ]
        for index, host_class in enumerate(problem.classes)
    ]


def limit_groups(
    model: pulp.LpProblem,
    problem: Problem,
    stages: StageVariables,
    partitions: PartitionVariables,
) -> None:
    """Form no more groups of a kind than the chosen partitions have: sum of y <= sum of n z."""
    rows: dict[int, Terms] = defaultdict(list)
    for stage, variable in stages:
        rows[stage.kind].append((variable, 1.0))
    for host_class, variables in zip(problem.classes, partitions, strict=True):
        for partition, variable in zip(host_class.partitions, variables, strict=True):
            for kind, count in partition:
                rows[kind].append((variable, -float(count)))
    for kind, row in sorted(rows.items()):
        model += pulp.LpAffineExpression(row) <= 0, f"groups_{kind}"


def limit_hosts(
    model: pulp.LpProblem,
    problem: Problem,
    stages: StageVariables,
    partitions: PartitionVariables,
) -> None:
    """Partition no more hosts than there are, and use every host that is pinned."""
    serving = _stages_by_class(problem, stages)
    for index, host_class in enumerate(problem.classes):
        row = [(variable, 1.0) for variable in partitions[index]]
        model += pulp.LpAffineExpression(row) <= len(host_class.hosts), f"hosts_{index}"
        _use_pinned(model, problem, index, serving[index])


def use_pinned_hosts(model: pulp.LpProblem, problem: Problem, stages: StageVariables) -> None:
    """Form a stage on every host that is pinned."""
    serving = _stages_by_class(problem, stages)
    for index in range(len(problem.classes)):
        _use_pinned(model, problem, index, serving[index])


def _use_pinned(model: pulp.LpProblem, problem: Problem, index: int, serving: Terms) -> None:
    host_class = problem.classes[index]
    if host_class.must_serve and host_class.hosts:
        row = pulp.LpAffineExpression(serving)
        model += row >= len(host_class.hosts), f"pinned_{index}"


def _stages_by_class(problem: Problem, stages: StageVariables) -> dict[int, Terms]:
    serving: dict[int, Terms] = defaultdict(list)
    for stage, variable in stages:
        serving[problem.kinds[stage.kind].host_class].append((variable, 1.0))
    return serving
