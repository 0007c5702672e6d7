"""The cheapest hosts that cover every layer at a given flow (docs/formulation.md 9)."""

from __future__ import annotations

from dataclasses import dataclass

import pulp

from hexplan.field_types import Range
from hexplan_solver.budget import Budget
from hexplan_solver.milp import PATIENT, MilpStatus, solve_milp
from hexplan_solver.objectives.cost.offers import Offers
from hexplan_solver.objectives.cost.params import COST_PARAMS
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.stage_counts import StageCount, possible_stages
from hexplan_solver.placement.supply_rows import (
    PartitionVariables,
    StageVariables,
    Terms,
    add_partitions,
    add_stages,
    limit_groups,
    use_pinned_hosts,
)
from hexplan_solver.problem.problem import HostClass, Problem
from hexplan_solver.run import MILP_TOLERANCE


@dataclass(frozen=True, slots=True)
class HostChoice:
    """Hosts that cover every layer if links are ignored, and what is proved about cheaper ones."""

    counts: tuple[int, ...] | None
    """Hosts of each class of the offers; None if none were found."""
    bound_usd_per_h: float
    """No hosts that carry the flow cost less, on any network."""
    is_infeasible: bool
    """Whether the solver says that no hosts carry the flow."""


def cheapest_hosts(
    offers: Offers, flow: int, options: SolveOptions, time_limit_s: float
) -> HostChoice:
    """Choose the cheapest hosts whose stages pass `flow` (1e-6 tokens/s) at each layer.

    This is the coverage MILP (docs/formulation.md 7) with the flow fixed: it minimises the rent.
    """
    spacing = _spacing(offers.problem)
    cheapest = cheapest_model(offers, flow, spacing)
    result = solve_milp(cheapest.model, options, Budget(time_limit_s), patience=PATIENT)
    # A MILP with some of the ranges proves nothing about the others.
    is_whole = spacing == 1
    bound = -result.bound * (1 - MILP_TOLERANCE) if result.bound is not None and is_whole else 0.0
    is_infeasible = result.status is MilpStatus.INFEASIBLE and is_whole
    if result.values is None:
        return HostChoice(None, max(0.0, bound), is_infeasible)
    counts = tuple(sum(round(result.values[v.name]) for v in row) for row in cheapest.partitions)
    return HostChoice(counts, max(0.0, bound), is_infeasible)


@dataclass(frozen=True, slots=True)
class CheapestModel:
    """The MILP and its variables."""

    model: pulp.LpProblem
    stages: StageVariables
    partitions: PartitionVariables


def cheapest_model(offers: Offers, flow: int, spacing: int = 1) -> CheapestModel:
    """Return the MILP: minimise the rent under `cover`, `groups`, `pinned` and `rivals`.

    Parameters
    ----------
    flow
        In 1e-6 tokens/s.
    spacing
        Ranges start and end at multiples of this many layers.
    """
    problem = offers.problem
    candidates = [c for c in possible_stages(problem) if _is_on(c, spacing, problem.num_layers)]
    model = pulp.LpProblem("cheapest", pulp.LpMaximize)
    stages = add_stages(model, candidates)
    partitions = add_partitions(model, problem)
    model += _rent(offers, partitions)
    _cover_layers(model, problem, stages, flow)
    use_pinned_hosts(model, problem, stages)
    limit_groups(model, problem, stages, partitions)
    _rent_once(model, offers, partitions)
    return CheapestModel(model, stages, partitions)


def work_cost_bound(offers: Offers, flow: int, options: SolveOptions, time_limit_s: float) -> float:
    """Return a cost in USD an hour below which no hosts can do the work of L layers.

    Every layer passes `flow`, and a host adds at most W(flow) layers times tokens/s
    (docs/formulation.md 8). This is a knapsack cover with one integer for each class of hosts, so
    it stays small however many hosts there are.
    """
    result = solve_milp(work_model(offers, flow), options, Budget(time_limit_s), patience=PATIENT)
    return max(0.0, -result.bound * (1 - MILP_TOLERANCE)) if result.bound is not None else 0.0


def work_model(offers: Offers, flow: int) -> pulp.LpProblem:
    """Return the knapsack cover: the least rent of hosts that do the work of L layers."""
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
    work = pulp.lpSum(
        _work(problem, host_class, flow) / whole * variable
        for host_class, variable in zip(problem.classes, counts, strict=True)
    )
    model += work >= 1 - MILP_TOLERANCE, "work"
    for index, group in enumerate(offers.rivals):
        most = len(problem.classes[group[0]].hosts)
        model += pulp.lpSum(counts[i] for i in group) <= most, f"rivals_{index}"
    return model


def _spacing(problem: Problem) -> int:
    """Return the least spacing of starts and ends of ranges that keeps the MILP small enough."""
    columns = possible_stages(problem)
    for step in range(1, problem.num_layers + 1):
        kept = (c.layers for c in columns if _is_on(c, step, problem.num_layers))
        if sum(end - first for first, end in kept) <= COST_PARAMS.max_entries:
            return step
    return problem.num_layers


def _is_on(column: StageCount, step: int, num_layers: int) -> bool:
    first, end = column.layers
    return first % step == 0 and (end % step == 0 or end == num_layers)


def _rent(offers: Offers, partitions: PartitionVariables) -> pulp.LpAffineExpression:
    return pulp.lpSum(
        -float(price) * variable
        for price, row in zip(offers.prices, partitions, strict=True)
        for variable in row
    )


def _cover_layers(
    model: pulp.LpProblem, problem: Problem, stages: StageVariables, flow: int
) -> None:
    """Require that the stages of each layer pass the flow F: sum of min(1, T / F) y >= 1.

    A stage counts for the share of the flow that it passes, and for no more than the whole flow.
    """
    rows: list[Terms] = [[] for _ in range(problem.num_layers)]
    for stage, variable in stages:
        share = min(1.0, problem.kinds[stage.kind].rates.of(*stage.layers) / flow)
        for layer in range(*stage.layers):
            rows[layer].append((variable, share))
    for layer, row in enumerate(rows):
        model += pulp.LpAffineExpression(row) >= 1, f"cover_{layer}"


def _rent_once(model: pulp.LpProblem, offers: Offers, partitions: PartitionVariables) -> None:
    """Rent no host twice: the two offers for one host are rivals."""
    problem = offers.problem
    for index, group in enumerate(offers.rivals):
        row = [(variable, 1.0) for i in group for variable in partitions[i]]
        most = len(problem.classes[group[0]].hosts)
        model += pulp.LpAffineExpression(row) <= most, f"rivals_{index}"


def _work(problem: Problem, host_class: HostClass, flow: int) -> int:
    """Return the layers times 1e-6 tokens/s that one host adds when every layer passes `flow`."""

    def most(kind: int) -> int:
        rates = problem.kinds[kind].rates
        ranges: list[Range] = problem.kinds[kind].ranges()
        return max(((e - f) * min(rates.of(f, e), flow) for f, e in ranges), default=0)

    return max(sum(n * most(kind) for kind, n in p) for p in host_class.partitions)
