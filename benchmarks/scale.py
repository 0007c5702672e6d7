"""Print how the planner scales with the cluster, and draw it.

    python benchmarks/scale.py [--seed N] [--trunk 10Gbps] [--write FOLDER] [--plot FILE] [SIZE ...]

Each size is a generated cluster of so many devices, solved with one thread within the seconds of
LIMITS_S. `--write` keeps the specs, for `hexplan solve`. The table is Markdown; `scale_plot.py`
draws one that was printed before.
"""

from __future__ import annotations

import argparse
import resource
import time
from datetime import date
from pathlib import Path

from planner import machine
from scale_plot import scale_picture
from scale_specs import cluster_text

from hexplan.check import check_plan
from hexplan.files.bounded import write_atomically
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.render import picture_kind
from hexplan_solver import SolveOptions, solve

LIMITS_S = {64: 9.5, 256: 28.5, 1024: 57.0, 4096: 285.0}
"""Seconds of the search: a twentieth less than the time in which a plan should be ready."""
HEAD = (
    "| devices | hosts | stages | routes | flow | bound | gap | solve | check | plan.json | peak |"
)


def main() -> None:
    """Solve each size in turn and print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trunk", help="what a line between two sites carries, such as 10Gbps")
    parser.add_argument("--write", type=Path, help="folder to write the specs to")
    parser.add_argument("--plot", type=Path, help="SVG or PNG file to draw the growth to")
    parser.add_argument("sizes", nargs="*", type=int, default=list(LIMITS_S))
    arguments = parser.parse_args()
    kind = arguments.plot and picture_kind("--plot", arguments.plot)
    print(f"{date.today()}, {machine()}, seed {arguments.seed}\n")  # noqa: DTZ011
    table = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    print(*table, sep="\n")
    for size in arguments.sizes:
        text = cluster_text(size, arguments.seed, arguments.trunk)
        path = (arguments.write or Path()) / f"scale-{size}.yaml"
        if arguments.write:
            path.write_text(text, encoding="utf-8")
        start = time.monotonic()
        options = SolveOptions(time_limit_s=LIMITS_S.get(size, LIMITS_S[4096]), threads=1)
        plan = solve(parse_spec(text, path), options)
        table.append(row(size, plan, time.monotonic() - start))
        print(table[-1], flush=True)
    if kind:
        write_atomically(arguments.plot, scale_picture("\n".join(table), kind))


def row(size: int, plan: Plan, solve_s: float) -> str:
    """Check a plan, and return one row of the table."""
    start = time.monotonic()
    violations = check_plan(plan)
    check_s = time.monotonic() - start
    certificate = plan.certificate
    cells = [
        str(size),
        str(len(plan.cluster.hosts)),
        str(len(plan.stages)),
        str(len(plan.routes)),
        f"{certificate.flow_tokens_per_s:.0f}",
        f"{certificate.bound_tokens_per_s:.0f}",
        f"{certificate.gap:.2%}",
        f"{solve_s:.1f} s",
        f"{len(violations)} violations" if violations else f"ok, {check_s:.1f} s",
        f"{len(plan.model_dump_json()) / 1e6:.1f} MB",
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
