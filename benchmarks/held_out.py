"""Compare `balanced` with the largest flow and every uniform configuration, on odd clusters.

    python benchmarks/held_out.py [--time-limit 30] [--plans FOLDER] CLUSTER [...]

A cluster is a family and a seed of `odd_specs.py`, such as `lab-700`. Each row has the tokens
decoded per second of the balanced plan, of the plan of largest flow, and of the best uniform
configuration that keeps to the latencies that the balanced plan states as allowed; with the two
plans, by what factor their latencies exceed those (1 and less: they are kept). All are judged alike
(`objective_rates.py`). The table is Markdown.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from objective_rates import compare_balanced, excess, trial_of_plan
from objectives import planned
from odd_specs import odd_spec
from planner import machine

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.spec import Spec
from hexplan.workload import Objective

OBJECTIVES: tuple[Objective, ...] = ("balanced", "throughput")
HEADER = (
    "| cluster | balanced | of its limits | largest flow | of these limits | best uniform | which |"
    " of | balanced over flow | over uniform |\n|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Plan each cluster twice, and print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-limit", type=float, default=30.0, help="seconds for one solve")
    parser.add_argument("--plans", type=Path, help="folder of plans to keep, and to take from")
    parser.add_argument("--only-plan", action="store_true", help="compare with nothing")
    parser.add_argument("clusters", nargs="+")
    arguments = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, {arguments.time_limit:g} s\n\n{HEADER}")
    for name in arguments.clusters:
        family, seed = name.rsplit("-", 1)
        spec = parse_spec(odd_spec(family, int(seed)), Path(f"{name}.yaml"))
        plans = {}
        for objective in OBJECTIVES:
            kept = arguments.plans / f"{name}-{objective}.json" if arguments.plans else None
            aimed = replace(spec, objective=objective)
            plans[objective] = planned(aimed, arguments.time_limit, kept)
        if not arguments.only_plan:
            print(row(name, spec, plans), flush=True)


def row(name: str, spec: Spec, plans: dict[Objective, Plan]) -> str:
    """Return one row of the table."""
    found = compare_balanced(spec, plans["balanced"])
    limits = plans["balanced"].predicted.balance
    assert limits is not None
    flow = trial_of_plan(spec, plans["throughput"], with_latencies=True)
    over_flow = found.hexplan / flow.decode_tokens_per_s
    own, best, which, count, ratio, share = found.cells()
    cells = [
        name,
        own,
        share,
        f"{flow.decode_tokens_per_s:.4g}",
        f"{excess(flow, limits):.2f}",
        best,
        which,
        count,
        f"{over_flow:.2f}",
        ratio,
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
