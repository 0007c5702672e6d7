"""Compare the plans for an objective with every uniform configuration.

    python benchmarks/objectives.py [--time-limit 60] [--plans FOLDER] OBJECTIVE [CLUSTER ...]

Each row is a cluster (`objective_specs.py`): hexplan's figure, the best of all TP x PP x DP of each
type of device and of all types, how many there are, and how much better hexplan's is. Both are
judged alike (`objective_promises.py`, `objective_rates.py`). The table is Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from objective_promises import compare_latency, compare_slo
from objective_rates import compare_balanced, compare_sustained
from objective_rows import Row
from objective_specs import SPECS, objective_spec
from planner import machine

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.plan_file import read_plan, write_plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve

COMPARISONS: dict[str, Callable[[Spec, Plan], Row]] = {
    "slo": compare_slo,
    "latency": compare_latency,
    "sustained": compare_sustained,
    "balanced": compare_balanced,
}
UNITS = {
    "slo": "requests/s",
    "latency": "s a request",
    "sustained": "decoded tokens/s",
    "balanced": "decoded tokens/s",
}
HEADER = (
    "| cluster | objective | unit | hexplan | best uniform | which | of | ratio | of its limits |"
)


def main() -> None:
    """Plan each cluster for the objective, and print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds for hexplan")
    parser.add_argument("--plans", type=Path, help="folder of plans to keep, and to take from")
    parser.add_argument("--only-plan", action="store_true", help="compare with nothing")
    parser.add_argument("objective", choices=list(COMPARISONS))
    parser.add_argument("clusters", nargs="*", default=list(SPECS))
    arguments = parser.parse_args()
    objective = arguments.objective
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    print(f"{today}, {machine()}, {arguments.time_limit:g} s\n\n{HEADER}", flush=True)
    for name in arguments.clusters:
        spec = objective_spec(name, objective)
        kept = arguments.plans / f"{name}-{objective}.json" if arguments.plans else None
        plan = planned(spec, arguments.time_limit, kept)
        if not arguments.only_plan:
            cells = COMPARISONS[objective](spec, plan).cells()
            print("| " + " | ".join([name, objective, UNITS[objective], *cells]) + " |", flush=True)


def planned(spec: Spec, time_limit_s: float, kept: Path | None) -> Plan:
    """Return a plan, from its file if there is one; the check must find nothing wrong in it."""
    if kept is not None and kept.exists():
        plan = read_plan(kept)
    else:
        plan = solve(spec, SolveOptions(time_limit_s=time_limit_s))
        if kept is not None:
            write_plan(plan, kept)
    violations = check_plan(plan)
    if violations:
        raise SystemExit(str(violations[0]))
    return plan


if __name__ == "__main__":
    main()
