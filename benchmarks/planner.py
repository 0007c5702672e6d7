"""Print the planner's table: every example spec, its flow, its bound, and the published flow.

    python benchmarks/planner.py [--time-limit SECONDS] [SPEC ...]

The output is Markdown; docs/benchmarks.md is such an output, with its machine and date.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time
from datetime import date
from pathlib import Path

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.spec import read_spec
from hexplan_solver import SolveOptions, solve

ROOT = Path(__file__).parents[1]
PUBLISHED = {
    "helix-abl10-llama30b": 286.587,
    "helix-geo24-llama30b": 1137.177,
    "helix-single24-a100-llama30b": 1044.533,
    "helix-single24-l4-llama30b": 214.981,
    "helix-single24-llama70b": 1289.556,
    "helix-single24-t4-llama30b": 397.685,
}
"""Max flow in tokens/s of the placements that Helix's MILP came to (see published/)."""
HEAD = "| spec | devices | published | flow | bound | gap | stages (TP) | routes | time | check |"


def main() -> None:
    """Solve each spec in turn and print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-limit", type=float, default=20.0)
    parser.add_argument("specs", nargs="*", type=Path)
    arguments = parser.parse_args()
    specs = arguments.specs or sorted((ROOT / "cluster_specs").glob("*.yaml"))
    print(f"{date.today()}, {machine()}, limit {arguments.time_limit:g} s\n")  # noqa: DTZ011
    print(HEAD)
    print("|" + "---|" * (HEAD.count("|") - 1))
    for path in specs:
        start = time.monotonic()
        plan = solve(read_spec(path), SolveOptions(time_limit_s=arguments.time_limit))
        print(row(path.stem, plan, time.monotonic() - start), flush=True)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nPeak memory of the whole run: {peak_gib:.2f} GiB")


def machine() -> str:
    """Name the machine in a few words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "CPU")
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}"


def row(name: str, plan: Plan, wall_s: float) -> str:
    """Return one row of the table."""
    certificate = plan.certificate
    degrees = sorted({stage.tp for stage in plan.stages})
    devices = sum(len(host.devices) for host in plan.cluster.hosts)
    violations = check_plan(plan)
    cells = [
        name,
        str(devices),
        f"{PUBLISHED[name]:.1f}" if name in PUBLISHED else "",
        f"{certificate.flow_tokens_per_s:.1f}",
        f"{certificate.bound_tokens_per_s:.1f}",
        f"{certificate.gap:.1%}",
        f"{len(plan.stages)} ({', '.join(map(str, degrees))})",
        str(len(plan.routes)),
        f"{wall_s:.1f} s",
        f"{len(violations)} violations" if violations else "ok",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
