"""Print the headline comparisons of earlier systems, with hexplan's own plan beside them.

    python benchmarks/headlines.py [--list] [--time-limit SECONDS] [--seeds N] [ROW ...]

Every column is simulated alike, with seeds other than those of the searches. Rows are named
`CLUSTER/QUESTION`, or `hexgen/QUESTION`; without names, all are printed. The output is Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import headline_helix
import headline_hexgen
from planner import machine

from hexplan_solver import SolveOptions

FIRST_SEED = 100
"""Plans are made with seeds from 0 on."""
Rows = Callable[[Sequence[str], SolveOptions, range], Iterator[str]]
TABLES: tuple[tuple[str, Sequence[str], Rows], ...] = (
    (headline_hexgen.HEADER, headline_hexgen.NAMES, headline_hexgen.hexgen_rows),
    (headline_helix.HEADER, headline_helix.NAMES, headline_helix.helix_rows),
)


def main() -> None:
    """Print the rows that were asked for."""
    every = [name for _, names, _ in TABLES for name in names]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="all if none is named")
    parser.add_argument("--list", action="store_true", help="print the names of all rows")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds for one solve")
    parser.add_argument("--seeds", type=int, default=3, help="simulations of each column")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(every))
        return
    unknown = [name for name in arguments.rows if name not in every]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)} (see --list)")
    limit_s, seeds = arguments.time_limit, range(FIRST_SEED, FIRST_SEED + arguments.seeds)
    told = f"{limit_s:g} s for each of hexplan's plans, {len(seeds)} seeds"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, {told}")
    for header, names, rows in TABLES:
        wanted = [name for name in names if not arguments.rows or name in arguments.rows]
        if wanted:
            print(f"\n{header}", flush=True)
        for row in rows(wanted, SolveOptions(time_limit_s=limit_s), seeds):
            print(row, flush=True)


if __name__ == "__main__":
    main()
