"""The most layers that hosts can hold under pins, whatever the speed: a small MILP.

It has one column for each kind of stage and first layer, so it finds a placement at once where
the coverage MILP, which wants a fast one, may search for long.
"""

from __future__ import annotations

from collections import defaultdict

import pulp

from hexplan.field_types import Range
from hexplan_solver.milp import solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.coverage import Column, Coverage, add_ways
from hexplan_solver.problem.problem import Problem

LIMIT_S = 5.0
"""Seconds for the MILP."""


def hold_most(problem: Problem, options: SolveOptions) -> Coverage:
    """Return stages that hold as many layers as any; the bound is on the number of layers.

    It is -1 where the pins cannot be formed.
    """
    model = pulp.LpProblem("held", pulp.LpMaximize)
    held = [model.add_variable(f"c_{i}", 0, 1) for i in range(problem.num_layers)]
    stages = [
        (kind, layers, model.add_variable(f"y_{kind}_{layers[0]}", 0, None, pulp.LpInteger))
        for kind, layers in _longest(problem)
    ]
    ways = add_ways(model, problem)
    model += pulp.lpSum(held)
    _add_rows(model, problem, held, stages)
    _add_supply(model, problem, stages, ways)
    result = solve_milp(model, options, LIMIT_S)
    bound = -1.0 if result.status == "infeasible" else result.bound
    if result.values is None:
        return Coverage((), (), bound, result.status)
    values = {name: round(value) for name, value in result.values.items()}
    columns = (Column(kind, layers, values[v.name]) for kind, layers, v in stages)
    counts = tuple(tuple(values[v.name] for v in row) for row in ways)
    return Coverage(tuple(c for c in columns if c.count), counts, bound, result.status)


def _longest(problem: Problem) -> list[tuple[int, Range]]:
    """List the longest range of each kind from each first layer: no other covers more."""
    found: dict[tuple[int, int], Range] = {}
    for kind in problem.kinds:
        for first, end in kind.ranges():
            known = found.get((kind.index, first), (first, first))
            found[kind.index, first] = max(known, (first, end))
    return [(kind, layers) for (kind, _), layers in found.items()]


Stages = list[tuple[int, Range, pulp.LpVariable]]


def _add_rows(
    model: pulp.LpProblem, problem: Problem, held: list[pulp.LpVariable], stages: Stages
) -> None:
    """Count a layer as held only where a stage holds it."""
    rows = [[(variable, -1.0)] for variable in held]
    for _, layers, variable in stages:
        for layer in range(*layers):
            rows[layer].append((variable, 1.0))
    for row in rows:
        model += pulp.LpAffineExpression(row) >= 0


def _add_supply(
    model: pulp.LpProblem, problem: Problem, stages: Stages, ways: list[list[pulp.LpVariable]]
) -> None:
    """Form no more groups than the hosts have, and use every pinned host."""
    used, serving = defaultdict(list), defaultdict(list)
    for kind, _, variable in stages:
        used[kind].append((variable, 1.0))
        serving[problem.kinds[kind].host_class].append((variable, 1.0))
    for index, host_class in enumerate(problem.classes):
        for way, variable in zip(host_class.partitions, ways[index], strict=True):
            for kind, count in way:
                used[kind].append((variable, -float(count)))
        row = pulp.LpAffineExpression([(variable, 1.0) for variable in ways[index]])
        model += row <= len(host_class.hosts)
        if host_class.must_serve and host_class.hosts:
            model += pulp.LpAffineExpression(serving[index]) >= len(host_class.hosts)
    for row in used.values():
        model += pulp.LpAffineExpression(row) <= 0
