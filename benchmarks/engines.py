"""Print what each engine costs: flow and served rate of the plans for it, for every example spec.

    python benchmarks/engines.py [--time-limit 20] [--rows] [SPEC ...]

Each row is a spec. `flow` is the largest flow found (`objective: throughput`), in tokens/s.
`served` is what the plan for `sustained` serves with a full KV cache, in decoded tokens/s: the
simulator's figure, with a seed other than those of the search. (`balanced` allows each engine the
latencies of its own shallowest plan, so its rates do not compare.) SGLang has no column: its
restrictions are those of vLLM. `none` stands where no plan was found. `--rows` leaves out the
heading. The table is Markdown.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from objective_rates import of_plan
from planner import machine
from sustained import SEEDS

from hexplan.check import check_plan
from hexplan.cluster import EngineName
from hexplan.engines import ENGINES
from hexplan.errors import HexplanError
from hexplan.plan import Plan
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan.workload import Objective
from hexplan_solver import SolveOptions, solve
from hexplan_solver.objectives.sustained.trial import run, window_for

SPECS = sorted((Path(__file__).parents[1] / "cluster_specs").glob("*.yaml"))
COLUMNS: tuple[EngineName, ...] = ("hexplan", "vllm", "llamacpp")
NONE = "none"
"""Where no plan was found."""


def main() -> None:
    """Plan each spec for each engine, and print a row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--time-limit", type=float, default=20.0, help="seconds for each plan")
    parser.add_argument("--rows", action="store_true", help="print no heading")
    parser.add_argument("specs", nargs="*", type=Path, default=SPECS)
    arguments = parser.parse_args()
    if not arguments.rows:
        titles = [ENGINES[name].title for name in COLUMNS]
        heads = [f"{figure} {title}" for figure in ("flow", "served") for title in titles]
        print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, {arguments.time_limit:g} s\n")
        print(f"| cluster | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}", flush=True)
    for path in arguments.specs:
        spec = read_spec(path)
        flows = [_flow(spec, name, arguments.time_limit) for name in COLUMNS]
        rates = [_served(spec, name, arguments.time_limit) for name in COLUMNS]
        print(f"| {path.stem} | {' | '.join([*flows, *rates])} |", flush=True)


def _flow(spec: Spec, engine: EngineName, time_limit_s: float) -> str:
    plan = _planned(spec, engine, "throughput", time_limit_s)
    return NONE if plan is None else f"{plan.certificate.flow_tokens_per_s:,.1f}"


def _served(spec: Spec, engine: EngineName, time_limit_s: float) -> str:
    plan = _planned(spec, engine, "sustained", time_limit_s)
    if plan is None:
        return NONE
    found = of_plan(Spec(plan.cluster, plan.model, plan.workload), plan)
    seeds = SEEDS[:1]
    return f"{run(found, window_for(found, 1.0, seeds[0]), seeds).decode_tokens_per_s:,.1f}"


def _planned(
    spec: Spec, engine: EngineName, objective: Objective, time_limit_s: float
) -> Plan | None:
    """Return a plan that keeps every rule, among them those of the engine; None without one."""
    cluster = spec.cluster
    limits = cluster.limits.model_copy(update={"engine": engine})
    asked = replace(
        spec, cluster=cluster.model_copy(update={"limits": limits}), objective=objective
    )
    try:
        plan = solve(asked, SolveOptions(time_limit_s=time_limit_s))
    except HexplanError:
        return None
    broken = check_plan(plan)
    if broken:
        raise RuntimeError(str(broken[0]))
    return plan


if __name__ == "__main__":
    main()
