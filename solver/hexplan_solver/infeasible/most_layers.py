"""The most layers that hosts can hold under pins, whatever their speed: a small MILP.

It has one column for each kind of stage and first layer, so it finds a placement at once. The
coverage MILP also looks for a large flow, and may take long to find any placement.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pulp

from hexplan_solver.budget import Budget
from hexplan_solver.infeasible.params import INFEASIBLE_PARAMS, InfeasibleParams
from hexplan_solver.milp import MilpStatus, solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.coverage_milp import CoverageResult, counts_of
from hexplan_solver.placement.stage_counts import NO_STAGES, StageCount
from hexplan_solver.placement.supply_rows import (
    PartitionVariables,
    StageVariables,
    Terms,
    add_partitions,
    limit_groups,
    limit_hosts,
)
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class HeldModel:
    """The MILP and its variables."""

    model: pulp.LpProblem
    stages: StageVariables
    partitions: PartitionVariables


def hold_most_layers(
    problem: Problem, options: SolveOptions, params: InfeasibleParams = INFEASIBLE_PARAMS
) -> CoverageResult:
    """Return stages that hold as many layers as any can; the bound counts layers."""
    held = held_model(problem)
    result = solve_milp(held.model, options, Budget(params.milp_seconds))
    is_infeasible = result.status is MilpStatus.INFEASIBLE
    # Not even the pinned stages can be formed then: a bound below any number of layers.
    bound = -1.0 if is_infeasible else result.bound
    if result.values is None:
        return CoverageResult(NO_STAGES, bound, result.status)
    counts = counts_of(held.stages, held.partitions, result.values)
    return CoverageResult(counts, bound, result.status)


def cannot_hold(problem: Problem, num_layers: float, options: SolveOptions) -> bool:
    """Say whether it is proved that the hosts hold fewer layers than a number.

    One answer of the solver could be wrong by an error of its arithmetic, so two have to agree. The
    second run has no presolve, and so solves another matrix.
    """
    bounds = (
        hold_most_layers(problem, replace(options, presolve=presolve)).bound
        for presolve in (True, False)
    )
    return all(most is not None and most < num_layers for most in bounds)


def held_model(problem: Problem) -> HeldModel:
    """Return the MILP: maximise the layers held under `held`, `groups` and `hosts`."""
    model = pulp.LpProblem("held", pulp.LpMaximize)
    held = [model.add_variable(f"c_{i}", 0, 1) for i in range(problem.num_layers)]
    stages = [
        (s, model.add_variable(f"y_{s.kind}_{s.layers[0]}", 0, None, pulp.LpInteger))
        for s in _longest_stages(problem)
    ]
    partitions = add_partitions(model, problem)
    model += pulp.lpSum(held)
    _count_held(model, held, stages)
    limit_hosts(model, problem, stages, partitions)
    limit_groups(model, problem, stages, partitions)
    return HeldModel(model, stages, partitions)


def _longest_stages(problem: Problem) -> Iterable[StageCount]:
    """List the longest range of each kind from each first layer: no shorter one holds more."""
    longest: dict[tuple[int, int], StageCount] = {}
    for kind in problem.kinds:
        for first, end in kind.ranges():
            known = longest.get((kind.index, first))
            if known is None or end > known.layers[1]:
                longest[kind.index, first] = StageCount(kind.index, (first, end))
    return longest.values()


def _count_held(model: pulp.LpProblem, held: list[pulp.LpVariable], stages: StageVariables) -> None:
    """Count a layer as held only if a stage holds it: c <= sum of y."""
    rows: list[Terms] = [[(variable, -1.0)] for variable in held]
    for stage, variable in stages:
        for layer in range(*stage.layers):
            rows[layer].append((variable, 1.0))
    for layer, row in enumerate(rows):
        model += pulp.LpAffineExpression(row) >= 0, f"held_{layer}"
