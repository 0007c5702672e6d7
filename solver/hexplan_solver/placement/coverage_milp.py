"""The coverage MILP: the best placement where links do not bind (docs/formulation.md 7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pulp

from hexplan.constants import MICRO
from hexplan_solver.budget import Budget
from hexplan_solver.milp import PATIENT, MilpStatus, solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.stage_counts import NO_STAGES, StageCount, StageCounts
from hexplan_solver.placement.supply_rows import (
    PartitionVariables,
    StageVariables,
    Terms,
    add_partitions,
    add_stages,
    limit_groups,
    limit_hosts,
)
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class CoverageResult:
    """A placement from a MILP, and what the MILP proved."""

    counts: StageCounts
    bound: float | None
    """Proved bound of the MILP's objective; None if the solver reports none."""
    status: MilpStatus


@dataclass(frozen=True, slots=True)
class CoverageModel:
    """The MILP and its variables."""

    model: pulp.LpProblem
    flow: pulp.LpVariable
    """F, in tokens/s."""
    stages: StageVariables
    partitions: PartitionVariables


def solve_coverage(
    problem: Problem,
    candidates: Iterable[StageCount],
    options: SolveOptions,
    budget: Budget,
    start: Iterable[StageCount] = (),
) -> CoverageResult:
    """Choose how many stages of each kind hold which layers.

    Parameters
    ----------
    candidates
        The kinds and ranges to choose from; `count` is ignored.
    start
        A placement to start from; its stages are among the candidates.
    """
    coverage = coverage_model(problem, candidates, budget.bound)
    warm = _start_values(coverage, start)
    patience = PATIENT.shortened(options.patience)
    result = solve_milp(coverage.model, options, budget, warm, patience)
    if result.values is None:
        return CoverageResult(NO_STAGES, result.bound, result.status)
    counts = counts_of(coverage.stages, coverage.partitions, result.values)
    return CoverageResult(counts, result.bound, result.status)


def coverage_model(problem: Problem, candidates: Iterable[StageCount], bound: int) -> CoverageModel:
    """Return the MILP: maximise F under `cover`, `groups` and `hosts`.

    Parameters
    ----------
    bound
        Upper bound of F, in 1e-6 tokens/s.
    """
    model = pulp.LpProblem("coverage", pulp.LpMaximize)
    flow = model.add_variable("F", lowBound=0, upBound=bound / MICRO)
    stages = add_stages(model, candidates)
    partitions = add_partitions(model, problem)
    model += flow
    _cover_layers(model, problem, stages, flow)
    limit_groups(model, problem, stages, partitions)
    limit_hosts(model, problem, stages, partitions)
    return CoverageModel(model, flow, stages, partitions)


def counts_of(
    stages: StageVariables, partitions: PartitionVariables, values: dict[str, float]
) -> StageCounts:
    """Read a placement from the values of a MILP."""
    counts = (StageCount(s.kind, s.layers, round(values[y.name])) for s, y in stages)
    partitioned = tuple(tuple(round(values[z.name]) for z in row) for row in partitions)
    return StageCounts(tuple(count for count in counts if count.count), partitioned)


def _cover_layers(
    model: pulp.LpProblem, problem: Problem, stages: StageVariables, flow: pulp.LpVariable
) -> None:
    """Pass the flow through every layer: sum of T y >= F.

    Rates count in tokens/s, so that the coefficients stay between 1e-3 and 1e4.
    """
    rows: list[Terms] = [[] for _ in range(problem.num_layers)]
    for stage, variable in stages:
        rate = problem.kinds[stage.kind].rates.of(*stage.layers) / MICRO
        for layer in range(*stage.layers):
            rows[layer].append((variable, rate))
    for layer, row in enumerate(rows):
        model += pulp.LpAffineExpression([*row, (flow, -1.0)]) >= 0, f"cover_{layer}"


def _start_values(coverage: CoverageModel, start: Iterable[StageCount]) -> dict[str, float] | None:
    counts = {(s.kind, s.layers): s.count for s in start}
    if not counts:
        return None
    return {y.name: float(counts.get((s.kind, s.layers), 0)) for s, y in coverage.stages}
