"""The columns of the headline tables: what one planner makes of a cluster, ready to simulate."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from hexplan.check import check_plan
from hexplan.plan import Objective, Plan
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.step_limits import with_step_limits
from hexplan_solver.simulate import (
    CHUNKED,
    Outcome,
    PipelineModel,
    Policy,
    Traffic,
    Window,
    pipeline_of_placement,
    pipeline_of_plan,
    policy_named,
    policy_of_plan,
    simulate,
)

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Column:
    """What stands in one column: a placement with its routes and its scheduler."""

    name: str
    pipeline: PipelineModel
    policy: Policy

    def run(self, traffic: Traffic, window: Window, seeds: range) -> list[Outcome]:
        """Simulate once for each seed."""
        return [
            simulate(self.pipeline, traffic, self.policy, replace(window, seed=seed))
            for seed in seeds
        ]


def spec_named(name: str) -> Spec:
    """Read one of the example clusters."""
    return read_spec(ROOT / "cluster_specs" / f"{name}.yaml")


def column_of_plan(name: str, plan: Plan) -> Column:
    """Return the column of a plan, in which the check must find nothing wrong."""
    violations = check_plan(plan)
    if violations:
        message = f"{name}: {violations[0]}"
        raise SystemExit(message)
    whole = policy_named(plan.cluster.limits.policy)
    policy = policy_of_plan(plan) if whole.chunk_tokens is not None else whole
    return Column(name, pipeline_of_plan(plan), policy)


def column_of_method(spec: Spec, method: str) -> Column:
    """Plan by a re-implemented method, whose routes are the largest flow on its placement."""
    plan = solve(replace(spec, objective="throughput"), SolveOptions(method=method))
    return column_of_plan(method, plan)


def own_column(spec: Spec, objective: Objective, options: SolveOptions) -> Column:
    """Plan by hexplan's own search."""
    plan = solve(replace(spec, objective=objective), options)
    flow = float(plan.certificate.flow_tokens_per_s)
    stages = f"{len(plan.stages)} stages, {len(plan.routes)} routes, flow {flow:.1f}"
    print(f"{objective}: {stages}, {plan.solve.wall_s:.0f} s", file=sys.stderr)
    return column_of_plan(f"hexplan, {objective}", plan)


def published_column(spec: Spec, placement: Mapping[str, tuple[int, int]]) -> Column:
    """Return a published placement, one machine a stage, with the largest flow on it."""
    problem = build_problem(spec)
    stages = []
    for host, (first, end) in placement.items():
        kind = next(k for k in problem.kinds if host in problem.classes[k.host_class].hosts)
        stages.append(PlacedStage((first, end), host, (0,), kind.index, kind.rates.of(first, end)))
    network = build_network(spec, stages)
    pipeline = pipeline_of_placement(problem, network, max_flow(network))
    policy = policy_named(spec.cluster.limits.policy)
    if policy is CHUNKED:
        policy, _ = with_step_limits(spec, pipeline, policy)
    return Column("published", pipeline, policy)


def published_placement(name: str) -> dict[str, tuple[int, int]]:
    """Read a file of benchmarks/published."""
    text = (ROOT / "benchmarks" / "published" / f"{name}.json").read_text()
    return {host: (first, end) for host, (first, end) in json.loads(text).items()}


def mean_ttft_s(outcomes: Sequence[Outcome]) -> float:
    """Return the mean time to the first token."""
    return fmean(outcome.ttft.mean_s for outcome in outcomes if outcome.ttft)


def mean_tpot_s(outcomes: Sequence[Outcome]) -> float:
    """Return the mean time between two tokens."""
    return fmean(outcome.tpot.mean_s for outcome in outcomes if outcome.tpot)


def is_overloaded(outcome: Outcome) -> bool:
    """Say whether ever more requests were in the system in the second half of the measurement."""
    seen = [p.waiting + p.running for p in outcome.timeline if p.at_s > outcome.warmup_s]
    half = len(seen) // 2
    early, late = fmean(seen[:half]), fmean(seen[half:])
    return late > 1.3 * early + 5
