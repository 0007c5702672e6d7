"""The coverage MILP: the best placement where links do not bind (docs/formulation.md 7)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import pulp

from hexplan.constants import MICRO
from hexplan.field_types import Range
from hexplan_solver.milp import PATIENT, Watch, solve_milp, watch_to_the_end
from hexplan_solver.options import SolveOptions
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class Column:
    """Stages of one kind over one range of layers, and how many of them."""

    kind: int
    layers: Range
    count: int = 1


@dataclass(frozen=True, slots=True)
class Coverage:
    """A placement by kinds, links ignored."""

    columns: tuple[Column, ...]
    """Which stages to form; empty where none was found."""
    ways: tuple[tuple[int, ...], ...]
    """For each class, how many hosts are partitioned in each way."""
    bound: float | None
    """Proved upper bound, in tokens/s."""
    status: str
    """What the solver said."""


def covered(problem: Problem, columns: Iterable[Column]) -> int:
    """Return the summed speed over the least covered layer, in 1e-6 tokens/s."""
    change = [0] * (problem.num_layers + 1)
    for column in columns:
        rate = column.count * problem.kinds[column.kind].rates.of(*column.layers)
        change[column.layers[0]] += rate
        change[column.layers[1]] -= rate
    least, current = None, 0
    for step in change[:-1]:
        current += step
        least = current if least is None else min(least, current)
    return least or 0


def all_columns(problem: Problem) -> list[Column]:
    """List every kind over every range that it can hold."""
    return [Column(kind.index, layers) for kind in problem.kinds for layers in kind.ranges()]


@dataclass(frozen=True, slots=True)
class _Variables:
    flow: pulp.LpVariable
    stages: list[tuple[Column, pulp.LpVariable]]
    ways: list[list[pulp.LpVariable]]


def solve_coverage(
    problem: Problem,
    candidates: Iterable[Column],
    options: SolveOptions,
    limits: tuple[float, float],
    start: Iterable[Column] = (),
    watch: Watch = watch_to_the_end,
) -> Coverage:
    """Choose how many stages of each kind hold which layers.

    Parameters
    ----------
    candidates
        The (kind, layers) pairs to choose from; `count` is ignored.
    limits
        Wall-clock limit in seconds, and a proved upper bound in tokens/s.
    start
        A placement to start from; its columns are among the candidates.
    """
    model = pulp.LpProblem("coverage", pulp.LpMaximize)
    variables = _add_variables(model, problem, candidates, limits[1])
    model += variables.flow
    _cover(model, problem, variables)
    _groups(model, problem, variables)
    _hosts(model, problem, variables)
    warm = _start_values(variables, start)
    result = solve_milp(model, options, limits[0], warm, watch, PATIENT)
    if result.values is None:
        return Coverage((), (), result.bound, result.status)
    counts = {name: round(value) for name, value in result.values.items() if name != "F"}
    columns = [Column(c.kind, c.layers, counts[v.name]) for c, v in variables.stages]
    ways = tuple(tuple(counts[v.name] for v in row) for row in variables.ways)
    return Coverage(tuple(c for c in columns if c.count), ways, result.bound, result.status)


def _add_variables(
    model: pulp.LpProblem, problem: Problem, candidates: Iterable[Column], bound: float
) -> _Variables:
    flow = model.add_variable("F", lowBound=0, upBound=bound)
    stages = [
        (c, model.add_variable(f"y_{c.kind}_{c.layers[0]}_{c.layers[1]}", 0, None, pulp.LpInteger))
        for c in candidates
    ]
    return _Variables(flow, stages, add_ways(model, problem))


def add_ways(model: pulp.LpProblem, problem: Problem) -> list[list[pulp.LpVariable]]:
    """Add z[class, way]: how many hosts of a class are partitioned in that way."""
    return [
        [
            model.add_variable(f"z_{index}_{way}", 0, len(host_class.hosts), pulp.LpInteger)
            for way in range(len(host_class.partitions))
        ]
        for index, host_class in enumerate(problem.classes)
    ]


def _cover(model: pulp.LpProblem, problem: Problem, variables: _Variables) -> None:
    """Require that every layer is covered: sum of T y >= F.

    Counted in tokens/s, so that the coefficients stay between 1e-3 and 1e4.
    """
    terms: list[list[tuple[pulp.LpVariable, float]]] = [[] for _ in range(problem.num_layers)]
    for column, variable in variables.stages:
        rate = problem.kinds[column.kind].rates.of(*column.layers) / MICRO
        for layer in range(*column.layers):
            terms[layer].append((variable, rate))
    for layer, row in enumerate(terms):
        model += pulp.LpAffineExpression([*row, (variables.flow, -1.0)]) >= 0, f"cover_{layer}"


def _groups(model: pulp.LpProblem, problem: Problem, variables: _Variables) -> None:
    """Form no more groups of a kind than the chosen partitions hold: sum of y <= sum of n z."""
    formed = defaultdict(list)
    for column, variable in variables.stages:
        formed[column.kind].append((variable, 1.0))
    for index, host_class in enumerate(problem.classes):
        for way, variable in zip(host_class.partitions, variables.ways[index], strict=True):
            for kind, count in way:
                formed[kind].append((variable, -float(count)))
    for kind, row in sorted(formed.items()):
        model += pulp.LpAffineExpression(row) <= 0, f"groups_{kind}"


def _hosts(model: pulp.LpProblem, problem: Problem, variables: _Variables) -> None:
    """Partition no more hosts than there are, and form every host of a pinned class."""
    used = defaultdict(list)
    for column, variable in variables.stages:
        used[problem.kinds[column.kind].host_class].append((variable, 1.0))
    for index, host_class in enumerate(problem.classes):
        row = [(variable, 1.0) for variable in variables.ways[index]]
        model += pulp.LpAffineExpression(row) <= len(host_class.hosts), f"hosts_{index}"
        if host_class.must_serve:
            serving = pulp.LpAffineExpression(used[index])
            model += serving >= len(host_class.hosts), f"pinned_{index}"


def _start_values(variables: _Variables, start: Iterable[Column]) -> dict[str, float] | None:
    counts = {(c.kind, c.layers): c.count for c in start}
    if not counts:
        return None
    return {v.name: float(counts.get((c.kind, c.layers), 0)) for c, v in variables.stages}
