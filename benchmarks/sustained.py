"""Print the table "Flow and served rate" of docs/benchmarks.md.

    python benchmarks/sustained.py [--policy whole|chunked] [--time-limit SECONDS] [SPEC ...]
    python benchmarks/sustained.py --formula

For each cluster: the published placement, the plan of largest flow, and the plan for the sustained
rate, each simulated with the published scheduler and with hexplan's own; with hexplan's own, the
first two with the largest steps and with the step limits that suit them best by the formula. With
`--formula`: how near formula and rehearsal come to the simulator on the plan of largest flow of
every spec, and of generated ones to which no constant was fitted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from served_specs import NEW_SEEDS, SEEN_SEEDS, cluster_text

from hexplan.check import check_plan
from hexplan.errors import InfeasibleError, SpecError
from hexplan.plan import Plan
from hexplan.reading import parse_spec, read_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.rehearsal.rate import rehearsed_rate
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.served.served import served_rate
from hexplan_solver.served.step_limits import widest, with_step_limits
from hexplan_solver.simulate import (
    CHUNKED,
    WHOLE,
    Offline,
    Outcome,
    PipelineModel,
    Policy,
    Window,
    pipeline_of_placement,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)

ROOT = Path(__file__).parents[1]
NAMES = (
    "helix-single24-llama70b",
    "helix-single24-a100-llama30b",
    "helix-single24-l4-llama30b",
    "helix-single24-t4-llama30b",
    "helix-geo24-llama30b",
    "helix-abl10-llama30b",
)
POLICIES = {policy.name: policy for policy in (WHOLE, CHUNKED)}
SHORT, LONG = (660.0, 60.0), (1800.0, 600.0)
"""Simulated time and warm-up, in seconds: the published window, and one without the ramp."""
SEEDS = (100, 101, 102)
"""Seeds other than those by which the plans were chosen."""

STATIC_LIMIT_S = 20.0
"""Seconds of a solve for the largest flow."""
STAYS = 9.0
"""Stays of a mean request that are simulated with `--formula`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One placement of one cluster."""

    name: str
    flow: float
    pipeline: PipelineModel
    policy: Policy

    def with_best_steps(self, spec: Spec) -> Entry:
        """Return it with the step limits that suit it best by the formula."""
        policy, _ = with_step_limits(spec, self.pipeline, self.policy)
        return replace(self, policy=policy)


def main() -> None:
    """Solve, simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("specs", nargs="*", default=NAMES)
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds for one solve")
    parser.add_argument("--formula", action="store_true", help="formula and simulator, every spec")
    parser.add_argument("--policy", choices=list(POLICIES), help="one scheduler alone")
    arguments = parser.parse_args()
    options = SolveOptions(time_limit_s=arguments.time_limit)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, seeds {SEEDS}")
    if arguments.formula:
        print_formula()
        return
    policies = [POLICIES[arguments.policy]] if arguments.policy else list(POLICIES.values())
    for policy in policies:
        print(f"\n**{policy.name}**\n\n{HEADER}", flush=True)
        for name in arguments.specs:
            spec = read_spec(ROOT / "cluster_specs" / f"{name}.yaml")
            for entry in entries(spec, name, policy, options):
                print(row(spec, name, entry), flush=True)


def machine() -> str:
    """Name the processor and Python in a few words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "CPU")
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}"


HEADER = (
    "| spec | placement | flow | hops | steps | formula | decode tok/s, 60 + 600 s |"
    " decode tok/s, 600 + 1200 s | TTFT | TPOT |\n|---|---|---|---|---|---|---|---|---|---|"
)


FORMULA_HEADER = (
    "\n| spec | in flight | steps | formula | rehearsed | simulated | ratios |\n"
    "|---|---|---|---|---|---|---|"
)


def print_formula() -> None:
    """Print formula, rehearsal and simulator on the plan of largest flow of every spec."""
    print(FORMULA_HEADER)
    paths = sorted((ROOT / "cluster_specs").glob("*.yaml"))
    specs = [read_spec(path) for path in paths]
    specs += _generated([*SEEN_SEEDS, *NEW_SEEDS])
    for spec in specs:
        try:
            plan = solve(
                replace(spec, objective="throughput"), SolveOptions(time_limit_s=STATIC_LIMIT_S)
            )
        except InfeasibleError:
            continue
        pipeline, policy = pipeline_of_plan(plan), policy_of_plan(plan)
        served = served_rate(pipeline, spec.workload, policy)
        stay_s = served.residence_s
        window = Window(STAYS * stay_s, STAYS / 3 * stay_s, SEEDS[0])
        outcome = simulate(pipeline, Offline(spread_lengths(spec.workload)), policy, window)
        rehearsed = rehearsed_rate(pipeline, spec.workload, policy).decode_tokens_per_s
        formula, simulated = served.decode_tokens_per_s, outcome.decode_tokens_per_s
        ratios = f"{formula / simulated:.2f}, {rehearsed / simulated:.2f}"
        rates = f"{formula:.1f} | {rehearsed:.1f} | {simulated:.1f} | {ratios}"
        cells = f"{served.in_flight:.0f} | {steps(policy)} | {rates}"
        print(f"| {spec.cluster.name} | {cells} |", flush=True)


def _generated(seeds: Iterable[int]) -> Iterator[Spec]:
    """Yield the generated clusters; one without a host at each site is refused, and left out."""
    for seed in seeds:
        with suppress(SpecError):
            yield parse_spec(cluster_text(seed), ROOT / "cluster.yaml")


def entries(spec: Spec, name: str, policy: Policy, options: SolveOptions) -> list[Entry]:
    """Return the published placement, where there is one, the static optimum, and the plan."""
    file = ROOT / "benchmarks" / "published" / f"{name}__helix.json"
    policy = widest(spec, policy)
    found = [published(spec, file, policy)] if file.exists() else []
    static = solve(replace(spec, objective="throughput"), SolveOptions(time_limit_s=STATIC_LIMIT_S))
    found.append(of_plan("largest flow", static, policy))
    if policy.chunk_tokens is not None:
        found = [entry for one in found for entry in (one, one.with_best_steps(spec))]
    limits = spec.cluster.limits.model_copy(update={"policy": policy.name})
    cluster = spec.cluster.model_copy(update={"limits": limits})
    plan = solve(replace(spec, cluster=cluster, objective="sustained"), options)
    own = policy_of_plan(plan) if policy.chunk_tokens is not None else policy
    return [*found, of_plan("sustained", plan, own)]


def published(spec: Spec, file: Path, policy: Policy) -> Entry:
    """Read a published placement, one machine a stage."""
    problem = build_problem(spec)
    stages = []
    for host, (first, end) in json.loads(file.read_text()).items():
        kind = next(k for k in problem.kinds if host in problem.classes[k.host_class].hosts)
        rate = kind.rates.of(first, end)
        stages.append(PlacedStage((first, end), host, (0,), kind.index, rate))
    network = build_network(spec, stages)
    flow = max_flow(network)
    pipeline = pipeline_of_placement(problem, network, flow)
    return Entry("published", flow.value / 1e6, pipeline, policy)


def of_plan(name: str, plan: Plan, policy: Policy) -> Entry:
    """Return the entry of a plan, in which the check must find nothing wrong."""
    violations = check_plan(plan)
    if violations:
        message = f"{name}: {violations[0]}"
        raise SystemExit(message)
    return Entry(name, float(plan.certificate.flow_tokens_per_s), pipeline_of_plan(plan), policy)


def steps(policy: Policy) -> str:
    """Format the limits of a step: its tokens, and how many decodes among them."""
    if policy.chunk_tokens is None:
        return "whole"
    return f"{policy.chunk_tokens} / {policy.max_decode_tokens}"


def row(spec: Spec, name: str, entry: Entry) -> str:
    """Return one row of the table."""
    served = served_rate(entry.pipeline, spec.workload, entry.policy)
    short, long = (outcomes(spec, entry, window) for window in (SHORT, LONG))
    cells = [
        name,
        entry.name,
        f"{entry.flow:.1f}",
        f"{served.hops:.1f}",
        steps(entry.policy),
        f"{served.decode_tokens_per_s:.1f}",
        f"{fmean(o.decode_tokens_per_s for o in short):.1f}",
        f"{fmean(o.decode_tokens_per_s for o in long):.1f}",
        f"{fmean(o.ttft.mean_s for o in long if o.ttft):.2f} s",
        f"{fmean(o.tpot.mean_s for o in long if o.tpot):.3f} s",
    ]
    return "| " + " | ".join(cells) + " |"


def outcomes(spec: Spec, entry: Entry, window: tuple[float, float]) -> list[Outcome]:
    """Simulate once for each seed."""
    traffic = Offline(spread_lengths(spec.workload))
    return [
        simulate(entry.pipeline, traffic, entry.policy, Window(*window, seed)) for seed in SEEDS
    ]


if __name__ == "__main__":
    main()
