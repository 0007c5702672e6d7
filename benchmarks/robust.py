"""Print what plans pass where speeds are off: the planner's own, the robust one, simple methods.

    python benchmarks/robust.py [--time-limit 30] [SPEC ...]

Three rows for each spec: the plan of largest flow, the plan of `--robust`, and the simple method
that passes most in bad worlds. Beside the predicted flow stand what a plan passes in all but 5 % of
100 worlds within the errors of its speeds, and in half of them. Routes keep their shares, and all
plans meet the same worlds. The table is Markdown.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import date
from pathlib import Path

from odd import SIMPLE
from planner import machine

from hexplan.check import check_plan
from hexplan.errors import HexplanError
from hexplan.plan import Plan
from hexplan.reading import read_spec
from hexplan.results.robustness import robustness_of_plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve

FOLDER = Path(__file__).parents[1] / "cluster_specs"
SPECS = ("home-lab", "hexgen-half30", "two-datacentres", "helix-geo24-llama30b", "hexgen-full58")


def main() -> None:
    """Plan each spec, and print its rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--time-limit", type=float, default=30.0)
    parser.add_argument("specs", nargs="*", default=[FOLDER / f"{name}.yaml" for name in SPECS])
    arguments = parser.parse_args()
    print(f"{date.today()}, {machine()}, {arguments.time_limit:g} s\n")  # noqa: DTZ011
    print("| cluster | plan | flow | in 95 % of worlds | in half of them |")
    print("|---|---|---|---|---|")
    for path in map(Path, arguments.specs):
        spec = replace(read_spec(path), objective="throughput")
        options = SolveOptions(time_limit_s=arguments.time_limit)
        plans = {
            "hexplan": solve(spec, options),
            "hexplan --robust": solve(spec, replace(options, is_robust=True)),
        }
        simple = [(method, plan) for method in SIMPLE if (plan := _by(spec, method)) is not None]
        method, best = max(simple, key=lambda one: _passed(one[1]))
        for name, plan in (plans | {method: best}).items():
            assert check_plan(plan) == ()
            print(f"| {path.stem} | {name} | {_figures(plan)} |", flush=True)


def _by(spec: Spec, method: str) -> Plan | None:
    try:
        return solve(spec, SolveOptions(method=method))
    except HexplanError:
        return None


def _passed(plan: Plan) -> float:
    return float(plan.certificate.flow_tokens_per_s) * robustness_of_plan(plan).p5


def _figures(plan: Plan) -> str:
    flow, found = float(plan.certificate.flow_tokens_per_s), robustness_of_plan(plan)
    shares = (1.0, min(found.p5, 1.0), min(found.median, 1.0))
    return " | ".join(f"{flow * share:,.0f}" for share in shares)


if __name__ == "__main__":
    main()
