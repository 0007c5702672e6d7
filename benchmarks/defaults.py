"""Print the table "What the default gives" of docs/benchmarks.md.

    python benchmarks/defaults.py [--effort SECONDS] [--time-limit SECONDS]
        [--prompts chunked|whole] [SPEC ...]

For each cluster and each scheduler: the plan of largest flow, which was the default before
`balanced`, and the balanced plan, both simulated alike, with seeds other than those of the search.
`--effort` gives the counted work of that many seconds of an idle machine; on a busy one, let the
time limit be longer.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from sustained import SEEDS, SHORT, machine

from hexplan.check import check_plan
from hexplan.cluster import Scheduling
from hexplan.plan import Objective, Plan
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.simulate import (
    WHOLE,
    Offline,
    Outcome,
    Poisson,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)

ROOT = Path(__file__).parents[1]
NAMES = (
    "laptop",
    "home-lab",
    "two-datacentres",
    "helix-geo24-llama30b",
    "helix-single24-llama70b",
    "helix-high42-llama70b",
)
SCHEDULERS: tuple[Scheduling, ...] = ("chunked", "whole")
OBJECTIVES: tuple[Objective, ...] = ("throughput", "balanced")
LOAD = 0.8
"""Share of the rate served at which latencies are measured, as `balanced` defines them."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a plan serves in the simulator."""

    full: Outcome
    """With as many requests as the KV cache takes."""
    loaded: Outcome
    """At a part of that rate."""


def main() -> None:
    """Solve, simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("specs", nargs="*", default=NAMES)
    parser.add_argument("--effort", type=float, default=30.0, help="seconds of counted work")
    parser.add_argument("--time-limit", type=float, default=30.0, help="seconds for one solve")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="runs of each plan")
    parser.add_argument("--prompts", choices=SCHEDULERS, help="one scheduler alone")
    arguments = parser.parse_args()
    schedulers = [arguments.prompts] if arguments.prompts else SCHEDULERS
    options = SolveOptions(time_limit_s=arguments.time_limit, effort_s=arguments.effort)
    seeds = SEEDS[: arguments.seeds]
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, seeds {seeds}\n\n{HEADER}", flush=True)
    for name in arguments.specs:
        for scheduler in schedulers:
            for objective in OBJECTIVES:
                spec = aimed(read_spec(ROOT / "cluster_specs" / f"{name}.yaml"), scheduler)
                plan = solve(replace(spec, objective=objective), options)
                print(row(name, scheduler, plan, served(spec, plan, seeds)), flush=True)


HEADER = (
    "| spec | prompts | plan | flow | bound | hops | decode tok/s | TTFT | TPOT | solved in |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def aimed(spec: Spec, scheduler: Scheduling) -> Spec:
    """Return the spec with a scheduler to plan for."""
    limits = spec.cluster.limits.model_copy(update={"policy": scheduler})
    return replace(spec, cluster=spec.cluster.model_copy(update={"limits": limits}))


def served(spec: Spec, plan: Plan, seeds: tuple[int, ...]) -> list[Served]:
    """Simulate a plan, in which the check must find nothing wrong, once for each seed."""
    violations = check_plan(plan)
    if violations:
        raise SystemExit(str(violations[0]))
    pipeline, lengths = pipeline_of_plan(plan), spread_lengths(spec.workload)
    policy = WHOLE if spec.cluster.limits.policy == "whole" else policy_of_plan(plan)
    found = []
    for seed in seeds:
        window = Window(*SHORT, seed)
        full = simulate(pipeline, Offline(lengths), policy, window)
        traffic = Poisson(LOAD * full.requests_per_s, lengths)
        found.append(Served(full, simulate(pipeline, traffic, policy, window)))
    return found


def row(name: str, scheduler: str, plan: Plan, runs: list[Served]) -> str:
    """Return one row of the table."""
    hops = sum(float(route.weight) * len(route.hops) for route in plan.routes)
    certificate = plan.certificate
    cells = [
        name,
        scheduler,
        plan.objective,
        f"{certificate.flow_tokens_per_s:.1f}",
        f"{certificate.bound_tokens_per_s:.1f}",
        f"{hops:.1f}",
        f"{fmean(run.full.decode_tokens_per_s for run in runs):.1f}",
        f"{fmean(run.loaded.ttft.mean_s for run in runs if run.loaded.ttft):.2f} s",
        f"{fmean(run.loaded.tpot.mean_s for run in runs if run.loaded.tpot):.3f} s",
        f"{plan.solve.wall_s:.1f} s",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
