"""Print how the planner scales with the cluster, and draw it.

    python benchmarks/scale.py [--seed N] [--trunk 10Gbps] [--write FOLDER] [--plot FILE] [SIZE ...]

Each size is a generated cluster of so many devices, solved with one thread within the seconds of
LIMITS_S: the wall time from the text of the spec to that of the plan. `cores` says how much of
the machine the process got, which is less than 1 where others are busy. `--write` keeps the specs,
for `hexplan solve`. The table is Markdown; `scale_plot.py` draws one that was printed before.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from planner import machine
from scale_plot import scale_picture
from scale_specs import cluster_text

from hexplan.check import check_plan
from hexplan.files.bounded import write_atomically
from hexplan.plan import Plan
from hexplan.plan_file import plan_json
from hexplan.reading import parse_spec
from hexplan.render import picture_kind
from hexplan_solver import SolveOptions, solve

LIMITS_S = {64: 10.0, 256: 30.0, 1024: 60.0, 4096: 300.0}
"""Seconds from the text of the spec to that of the plan."""
HEAD = (
    "| devices | hosts | stages | routes | flow | bound | gap | solve | limit | cores | check |"
    " plan.json | peak |"
)


def main() -> None:
    """Solve each size in turn and print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trunk", help="what a line between two sites carries, such as 10Gbps")
    parser.add_argument("--write", type=Path, help="folder to write the specs to")
    parser.add_argument("--time-limit", type=float, help="seconds, instead of LIMITS_S")
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
        limit_s = arguments.time_limit or LIMITS_S.get(size, LIMITS_S[4096])
        table.append(row(size, solved(text, path, limit_s)))
        print(table[-1], flush=True)
    if kind:
        write_atomically(arguments.plot, scale_picture("\n".join(table), kind))


@dataclass(frozen=True)
class Solved:
    """A plan, and the time that it took."""

    plan: Plan
    limit_s: float
    wall_s: float
    work_s: float
    num_bytes: int
    """Of plan.json."""


def solved(text: str, path: Path, limit_s: float) -> Solved:
    """Go from the text of a spec to that of its plan."""
    start, worked = time.monotonic(), time.process_time()
    options = SolveOptions(time_limit_s=limit_s, started_s=start, threads=1)
    plan = solve(parse_spec(text, path), options)
    num_bytes = len(plan_json(plan))
    wall_s, work_s = time.monotonic() - start, time.process_time() - worked
    return Solved(plan, limit_s, wall_s, work_s, num_bytes)


def row(size: int, found: Solved) -> str:
    """Check a plan, and return one row of the table."""
    plan = found.plan
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
        f"{found.wall_s:.1f} s",
        f"{found.limit_s:g} s",
        f"{found.work_s / found.wall_s:.2f}",
        f"{len(violations)} violations" if violations else f"ok, {check_s:.1f} s",
        f"{found.num_bytes / 1e6:.1f} MB",
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
