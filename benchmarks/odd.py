"""Print how the planner does on generated odd clusters, beside the simple methods.

    python benchmarks/odd.py [--time-limit 20] [--first 100] [--count 8] [FAMILY ...]

Each row is a cluster (`odd_specs.py`): hexplan's flow, the best of the simple methods (all but
`helix-milp`, which takes a MILP solver minutes), the bound, and who won. The table is Markdown.
Without a family, all but `large` are tried; give that a limit of 60 s.
"""

from __future__ import annotations

import argparse
import statistics
from datetime import date
from pathlib import Path

from cell import lowest_bound
from odd_specs import FAMILIES, odd_spec
from planner import machine

from hexplan.check import check_plan
from hexplan.errors import HexplanError
from hexplan.reading import parse_spec
from hexplan.spec import Spec
from hexplan_solver import METHODS, SolveOptions, solve

SIMPLE = tuple(method for method in METHODS if method not in ("hexplan", "helix-milp"))


def main() -> None:
    """Solve each cluster by every method, and print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-limit", type=float, default=20.0, help="seconds for hexplan")
    parser.add_argument("--first", type=int, default=100, help="first seed")
    parser.add_argument("--count", type=int, default=8, help="clusters of each family")
    small = [family for family in FAMILIES if family != "large"]
    parser.add_argument("families", nargs="*", default=small)
    arguments = parser.parse_args()
    print(f"{date.today()}, {machine()}, {arguments.time_limit:g} s\n")  # noqa: DTZ011
    print("| cluster | hexplan | best simple method | bound | ratio | gap |")
    print("|---|---|---|---|---|---|")
    ratios: list[float] = []
    gaps: list[float] = []
    for family in arguments.families:
        for seed in range(arguments.first, arguments.first + arguments.count):
            spec = parse_spec(odd_spec(family, seed), Path(f"{family}-{seed}.yaml"))
            plan = solve(spec, SolveOptions(time_limit_s=arguments.time_limit))
            violations = check_plan(plan)
            flow = float(plan.certificate.flow_tokens_per_s)
            bound = float(lowest_bound(plan))
            best, method = max((_flow(spec, method), method) for method in SIMPLE)
            ratios.append(flow / best if best else 1.0)
            gaps.append(1 - flow / bound)
            wrong = f" **{len(violations)} violations**" if violations else ""
            print(
                f"| {family}-{seed} | {flow:,.0f}{wrong} | {best:,.0f} ({method}) | {bound:,.0f}"
                f" | {ratios[-1]:.2f} | {gaps[-1]:.0%} |",
                flush=True,
            )
    print(f"\nleast ratio {min(ratios):.2f}, median {statistics.median(ratios):.2f};", end=" ")
    print(f"median gap {statistics.median(gaps):.0%}, largest {max(gaps):.0%}")


def _flow(spec: Spec, method: str) -> float:
    """Return the flow of a method's plan in tokens/s, or 0 where it has none."""
    try:
        plan = solve(spec, SolveOptions(method=method, time_limit_s=10.0))
    except HexplanError:
        return 0.0
    return float(plan.certificate.flow_tokens_per_s)


if __name__ == "__main__":
    main()
