"""Print the planner's tables, every example spec by every method, and draw them.

    python benchmarks/planner.py [--specs FILE ...] [--methods NAME ...] [--plot FILE]
        [--time-limit SECONDS] [--milp-time-limit SECONDS]

The output is Markdown; docs/benchmarks.md is such an output, with its machine and date. Each cell
runs in a process of its own, so that time and memory are its own. `planner_plot.py` draws a table
that was printed before.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from cell import Cell, lowest_bound, run_cell
from planner_plot import planner_picture

from hexplan.files.bounded import write_atomically
from hexplan.plan import Plan
from hexplan.render import picture_kind
from hexplan_solver import METHODS

ROOT = Path(__file__).parents[1]
PUBLISHED = {
    "helix-abl10-llama30b": 286.587,
    "helix-geo24-llama30b": 1137.177,
    "helix-single24-a100-llama30b": 1044.533,
    "helix-single24-l4-llama30b": 214.981,
    "helix-single24-llama70b": 1289.556,
    "helix-single24-t4-llama30b": 397.685,
}
"""Max flow in tokens/s of the placements that Helix's MILP found (see published/)."""


def sustained(plan: Plan) -> str:
    """Format what a plan sustains by the formula."""
    rate = plan.predicted.sustained
    return f"{rate.decode_tokens_per_s:,.1f}" if rate else ""


COLUMNS: tuple[tuple[str, Callable[[Plan], str]], ...] = (
    ("flow", lambda plan: f"{plan.certificate.flow_tokens_per_s:,.1f}"),
    ("sustained", sustained),
    ("stages", lambda plan: str(len(plan.stages))),
    ("TP", lambda plan: ", ".join(map(str, sorted({stage.tp for stage in plan.stages})))),
    ("time", lambda plan: f"{plan.solve.wall_s:.1f} s"),
)
"""What the table says of a plan: a heading, and how to format it."""


def main() -> None:
    """Solve each spec by each method in turn, and print a table of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--time-limit", type=float, default=20.0)
    parser.add_argument("--milp-time-limit", type=float, help="of helix-milp; ten times as long")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--specs", nargs="+", type=Path)
    parser.add_argument("--plot", type=Path, help="SVG or PNG file to draw the table to")
    arguments = parser.parse_args()
    kind = arguments.plot and picture_kind("--plot", arguments.plot)
    limit_s = arguments.time_limit
    limits_s = {"helix-milp": arguments.milp_time_limit or 10 * limit_s}
    specs = arguments.specs or sorted((ROOT / "cluster_specs").glob("*.yaml"))
    told = f"limit {limit_s:g} s, helix-milp {limits_s['helix-milp']:g} s"
    print(f"{date.today()}, {machine()}, {told}\n")  # noqa: DTZ011
    headings = ["spec", "method", *(heading for heading, _ in COLUMNS), "gap", "memory"]
    table = [row(headings), row(["---"] * len(headings))]
    print(*table, sep="\n")
    tables = []
    for spec in specs:
        cells = [run_cell(spec, m, limits_s.get(m, limit_s)) for m in arguments.methods]
        tables.append(cells)
        table += rows(cells)
        print("\n".join(rows(cells)), flush=True)
    print(f"\n{symmetric_table(tables)}")
    if kind:
        write_atomically(arguments.plot, planner_picture("\n".join(table), kind))


def machine() -> str:
    """Name the machine in a few words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "CPU")
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}"


def row(cells: Sequence[str]) -> str:
    """Return one row of a table."""
    return f"| {' | '.join(cells)} |"


def bound_of(cells: Sequence[Cell]) -> float:
    """Return the lowest bound for a spec, proved or trusted: it holds for every method's plans."""
    bounds = [lowest_bound(cell.plan) for cell in cells if cell.plan]
    return float(min(bounds, default=0))


def rows(cells: Sequence[Cell]) -> list[str]:
    """Return the rows of one spec: its bound, the published flow, and each method."""
    name, bound = cells[0].spec, bound_of(cells)
    blank = [""] * (len(COLUMNS) + 1)
    found = [row([name, "*bound*", f"{bound:,.1f}", *blank])]
    if name in PUBLISHED:
        gap = f"{bound / PUBLISHED[name] - 1:.1%}"
        found.append(
            row([name, "*Helix, published*", f"{PUBLISHED[name]:,.1f}", *blank[:-2], gap, ""])
        )
    return found + [cell_row(cell, bound) for cell in cells]


def cell_row(cell: Cell, bound: float) -> str:
    """Return the row of one method."""
    memory = f"{cell.peak_bytes / 2**20:.0f} MiB"
    if cell.plan is None:
        none = [f"none: {cell.why}", *[""] * (len(COLUMNS) - 1)]
        return row([cell.spec, cell.method, *none, "", memory])
    told = [write(cell.plan) for _, write in COLUMNS]
    gap = f"{bound / cell.flow - 1:.1%}"
    return row([cell.spec, cell.method, *told, gap, memory])


def symmetric_table(tables: Sequence[Sequence[Cell]]) -> str:
    """Return the table that compares symmetric and asymmetric parallelism, where both were run."""
    headings = ["spec", "symmetric", "TP", "asymmetric", "TP", "ratio"]
    lines = [row(headings), row(["---"] * len(headings))]
    for cells in tables:
        found = {cell.method: cell for cell in cells}
        one, other = found.get("symmetric"), found.get("hexplan")
        if one and other and one.plan and other.plan:
            flows = [f"{one.flow:,.1f}", degrees(one.plan), f"{other.flow:,.1f}"]
            ratio = f"{other.flow / one.flow:.2f}"
            lines.append(row([one.spec, *flows, degrees(other.plan), ratio]))
    return "\n".join(lines)


def degrees(plan: Plan) -> str:
    """Return how many stages have each degree, such as `4 x 1, 2 x 8`."""
    counts = {
        tp: sum(stage.tp == tp for stage in plan.stages) for tp in {s.tp for s in plan.stages}
    }
    return ", ".join(f"{count} x {tp}" for tp, count in sorted(counts.items()))


if __name__ == "__main__":
    main()
