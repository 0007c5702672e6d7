"""Compare the plans for an objective with every uniform configuration.

    python benchmarks/objectives.py [--time-limit 60] {slo,latency} [CLUSTER ...]

Each row is a cluster (`objective_specs.py`): hexplan's figure, the best of all TP x PP x DP of each
type of device and of all types, and how many there are. For `slo` these are the largest rates at
which 2,000 requests keep the promise, with the same random numbers; a uniform configuration is
tried just above hexplan's rate, and its own rate is sought only if it keeps that, or if it is the
best by the model of steps. For `latency` these are the mean seconds of a request by the queueing
model, the rate split over the routes of each alike. The table is Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

from objective_specs import SPECS, objective_spec
from planner import machine

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.bounds.proof import Proof
from hexplan_solver.objectives.demand import needed_flow
from hexplan_solver.objectives.latency.routed import routed
from hexplan_solver.objectives.slo.candidate import candidates_of
from hexplan_solver.objectives.slo.judge import Judge, step_below
from hexplan_solver.objectives.slo.search import best_kept
from hexplan_solver.options import be_silent
from hexplan_solver.plans.draft import Draft
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run
from hexplan_solver.start.uniform import uniform_placements

PLENTY_S = 3600.0
"""Time for what a uniform configuration reaches."""
HOPELESS = 0.6
"""Uniform configurations below this share of hexplan's rate, by the model of steps, are not
simulated."""


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one cluster."""

    hexplan: float
    uniform: float
    name: str
    """The best uniform configuration."""
    count: int
    """Uniform configurations that carry a flow."""


def compare_latency(spec: Spec, plan: Plan) -> Row:
    """Compare mean seconds of a request."""
    problem, needed = build_problem(spec), needed_flow(spec)
    output = spec.workload.output_tokens.mean
    times = []
    for grid in uniform_placements(problem):
        found = routed(grid.evaluated, needed)
        if found is not None:
            times.append((found.times.total_s, grid.name))
    best_s, name = min(times, default=(float("inf"), "none"))
    ttft_s, tpot_s = plan.predicted.ttft_s, plan.predicted.tpot_s
    assert ttft_s is not None
    assert tpot_s is not None
    return Row(float(ttft_s + (output - 1) * tpot_s), best_s, name, len(times))


def compare_slo(spec: Spec, plan: Plan) -> Row:
    """Compare the largest rates that keep the promise."""
    slo, own = spec.workload.slo, plan.predicted.slo_requests_per_s
    assert slo is not None
    assert own is not None
    run = Run(spec, SolveOptions(time_limit_s=PLENTY_S), be_silent)
    judge = Judge(run, slo)
    step = step_below(float(own))
    problem = build_problem(replace(spec, objective="throughput"))
    found = []
    for grid in uniform_placements(problem):
        draft = Draft(grid.evaluated, Proof(grid.evaluated.value, "not sought", "feasible"))
        found.append((grid.name, candidates_of(draft, slo)[0]))
    found.sort(key=lambda item: -item[1].guess)
    best, best_name = 0.0, "none"
    for position, (name, candidate) in enumerate(found):
        if candidate.guess < float(own) * HOPELESS:
            continue
        is_above = judge.short(candidate, step + 1) and judge.long(candidate, step + 1, 2000)
        if position == 0 or is_above:
            kept = best_kept(run, judge, [candidate])
            if kept is not None and kept.rate > best:
                best, best_name = kept.rate, name
    return Row(float(own), best, best_name, len(found))


COMPARISONS: dict[str, Callable[[Spec, Plan], Row]] = {
    "slo": compare_slo,
    "latency": compare_latency,
}
UNITS = {"slo": "requests/s", "latency": "s a request"}


def main() -> None:
    """Plan each cluster for the objective, and print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds for hexplan")
    parser.add_argument("objective", choices=list(COMPARISONS))
    parser.add_argument("clusters", nargs="*", default=list(SPECS))
    arguments = parser.parse_args()
    objective = arguments.objective
    print(f"{date.today()}, {machine()}, {arguments.time_limit:g} s\n")  # noqa: DTZ011
    print(f"| cluster | {objective}: hexplan, {UNITS[objective]} | best uniform | which | of |")
    print("|---|---|---|---|---|")
    for name in arguments.clusters:
        spec = objective_spec(name, objective)
        plan = solve(spec, SolveOptions(time_limit_s=arguments.time_limit))
        violations = check_plan(plan)
        row = COMPARISONS[objective](spec, plan)
        wrong = f" **{len(violations)} violations**" if violations else ""
        print(
            f"| {name} | {row.hexplan:.4g}{wrong} | {row.uniform:.4g} | {row.name} | {row.count} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
