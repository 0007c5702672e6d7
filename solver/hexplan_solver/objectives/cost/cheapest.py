"""The cheapest hosts that cover every layer at a given flow (docs/formulation.md 9)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import pulp

from hexplan_solver.milp import PATIENT, solve_milp
from hexplan_solver.objectives.cost.offers import Offers
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.coverage import Column, add_ways, all_columns
from hexplan_solver.problem.problem import HostClass, Problem
from hexplan_solver.run import MILP_TOLERANCE

MAX_ENTRIES = 60_000
"""Matrix entries above which ranges start and end on a grid of layers only."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Hosts that cover every layer, links ignored, and what is proved about cheaper ones."""

    counts: tuple[int, ...] | None
    """Hosts of each class of the offers; nothing where none were found."""
    bound_usd_per_h: float
    """No hosts that carry the flow cost less, on any network."""
    is_infeasible: bool
    """Whether the solver calls the flow impossible."""


def cheapest_hosts(offers: Offers, flow: int, options: SolveOptions, time_limit_s: float) -> Choice:
    """Choose hosts and their stages so that each layer is covered by `flow`, in 1e-6 tokens/s.

    The MILP has the form of the coverage MILP with the flow fixed and prices to minimise.
    """
    problem = offers.problem
    grid = _grid(problem)
    columns = [c for c in all_columns(problem) if _is_on(c, grid, problem.num_layers)]
    model = pulp.LpProblem("cheapest", pulp.LpMaximize)
    stages = [
        (c, model.add_variable(f"y_{c.kind}_{c.layers[0]}_{c.layers[1]}", 0, None, pulp.LpInteger))
        for c in columns
    ]
    ways = add_ways(model, problem)
    model += _rent(offers, ways)
    _cover(model, problem, stages, flow)
    _supply(model, offers, stages, ways)
    result = solve_milp(model, options, time_limit_s, patience=PATIENT)
    bound = -result.bound * (1 - MILP_TOLERANCE) if result.bound is not None and grid == 1 else 0.0
    is_infeasible = result.status == "infeasible" and grid == 1
    if result.values is None:
        return Choice(None, max(0.0, bound), is_infeasible)
    counts = tuple(sum(round(result.values[v.name]) for v in row) for row in ways)
    return Choice(counts, max(0.0, bound), is_infeasible)


def work_cost_bound(offers: Offers, flow: int, options: SolveOptions, time_limit_s: float) -> float:
    """Return a cost in USD an hour below which no hosts can do the work of L layers.

    Every layer passes `flow`, and a host adds at most W(flow) layers times tokens/s
    (docs/formulation.md 8): a knapsack cover over classes, whatever their number of hosts.
    """
    problem = offers.problem
    model = pulp.LpProblem("work", pulp.LpMaximize)
    counts = [
        model.add_variable(f"n_{i}", 0, len(host_class.hosts), pulp.LpInteger)
        for i, host_class in enumerate(problem.classes)
    ]
    model += pulp.lpSum(
        -float(price) * variable for price, variable in zip(offers.prices, counts, strict=True)
    )
    whole = problem.num_layers * flow
    model += (
        pulp.lpSum(
            _work(problem, host_class, flow) / whole * variable
            for host_class, variable in zip(problem.classes, counts, strict=True)
        )
        >= 1 - MILP_TOLERANCE
    )
    for group in offers.rivals:
        model += pulp.lpSum(counts[i] for i in group) <= len(problem.classes[group[0]].hosts)
    result = solve_milp(model, options, time_limit_s, patience=PATIENT)
    return max(0.0, -result.bound * (1 - MILP_TOLERANCE)) if result.bound is not None else 0.0


Stages = list[tuple[Column, pulp.LpVariable]]
Ways = list[list[pulp.LpVariable]]


def _grid(problem: Problem) -> int:
    """Return the step on which ranges may start and end: 1, where all of them are few enough."""
    columns = all_columns(problem)
    for step in range(1, problem.num_layers + 1):
        kept = (c.layers for c in columns if _is_on(c, step, problem.num_layers))
        if sum(end - first for first, end in kept) <= MAX_ENTRIES:
            return step
    return problem.num_layers


def _is_on(column: Column, step: int, num_layers: int) -> bool:
    first, end = column.layers
    return first % step == 0 and (end % step == 0 or end == num_layers)


def _rent(offers: Offers, ways: Ways) -> pulp.LpAffineExpression:
    return pulp.lpSum(
        -float(price) * variable
        for price, row in zip(offers.prices, ways, strict=True)
        for variable in row
    )


def _cover(model: pulp.LpProblem, problem: Problem, stages: Stages, flow: int) -> None:
    """Require of each layer that its stages pass the flow, none counting for more than all of it.

    Counted in shares of the flow.
    """
    rows: list[list[tuple[pulp.LpVariable, float]]] = [[] for _ in range(problem.num_layers)]
    for column, variable in stages:
        share = min(1.0, problem.kinds[column.kind].rates.of(*column.layers) / flow)
        for layer in range(*column.layers):
            rows[layer].append((variable, share))
    for row in rows:
        model += pulp.LpAffineExpression(row) >= 1


def _supply(model: pulp.LpProblem, offers: Offers, stages: Stages, ways: Ways) -> None:
    """Form no more groups than the rented hosts have, and rent no machine twice."""
    problem = offers.problem
    formed, serving = defaultdict(list), defaultdict(list)
    for column, variable in stages:
        formed[column.kind].append((variable, 1.0))
        serving[problem.kinds[column.kind].host_class].append((variable, 1.0))
    for index, host_class in enumerate(problem.classes):
        for way, variable in zip(host_class.partitions, ways[index], strict=True):
            for kind, count in way:
                formed[kind].append((variable, -float(count)))
        if host_class.must_serve:
            row = pulp.LpAffineExpression(serving[index])
            model += row >= len(host_class.hosts)
    for _, row in sorted(formed.items()):
        model += pulp.LpAffineExpression(row) <= 0
    for group in offers.rivals:
        row = [(variable, 1.0) for i in group for variable in ways[i]]
        model += pulp.LpAffineExpression(row) <= len(problem.classes[group[0]].hosts)


def _work(problem: Problem, host_class: HostClass, flow: int) -> int:
    """Return the layers times 1e-6 tokens/s that one host adds when every layer passes `flow`."""

    def most(kind: int) -> int:
        rates = problem.kinds[kind].rates
        ranges: Iterable[tuple[int, int]] = problem.kinds[kind].ranges()
        return max(((e - f) * min(rates.of(f, e), flow) for f, e in ranges), default=0)

    return max(sum(n * most(kind) for kind, n in way) for way in host_class.partitions)
