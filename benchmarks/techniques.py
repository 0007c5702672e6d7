"""Print the tables of published techniques that a launch may use, beside published figures.

    python benchmarks/techniques.py [TABLE ...]

Without a table, all of them; a technique's name stands for all of its own. `--list` names them.
The output is Markdown; docs/guides/{shift,interleave,queueing,kv_offload}.md have such outputs,
with their machine and date.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final

import interleave
import interleave_launch
import queue_tables
import shift_crossing
import techniques_shift
from planner import machine

Table = Callable[[], None]


def _said(section: Callable[[], str]) -> Table:
    return lambda: print(section())


def _kv_offload(table: str) -> Table:
    """Return what prints a table of its own program, which sets the threads that it needs."""
    program = Path(__file__).with_name("kv_offload.py")

    def run() -> None:
        subprocess.run([sys.executable, str(program), table], check=True)  # noqa: S603

    return run


TABLES: Final[Mapping[str, Mapping[str, Table]]] = MappingProxyType(
    {
        "shift": {
            "simulated": _said(lambda: techniques_shift.shift_section(is_measured=False)),
            "crossing": _said(shift_crossing.crossing_section),
        },
        "interleave": {
            "simulated": _said(lambda: interleave.interleave_section(is_measured=False)),
            "machines": _said(lambda: interleave.machines_table(interleave.SEEDS_OF_MACHINES)),
            "launched": _said(interleave_launch.launched_section),
        },
        "queueing": {
            "simulated": queue_tables.simulated_tables,
            "launched": queue_tables.launched_table,
        },
        "kv_offload": {
            table: _kv_offload(table)
            for table in ("perplexity", "needles", "throughput", "planned")
        },
    }
)
"""The tables of each technique."""
PUBLISHED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "shift": techniques_shift.PUBLISHED,
        "interleave": interleave.NEWER.strip(),
        "queueing": queue_tables.PUBLISHED,
        "kv_offload": "Published (InfiniGen, OSDI 2024, abstract; measured on GPUs): up to 3.00"
        " times the speed of earlier ways to manage keys and values in host memory.",
    }
)
"""What the authors state, whose machines we did not have."""


def chosen(asked: list[str]) -> list[tuple[str, str]]:
    """Return technique and table of each asked name; all if none is asked.

    Raises
    ------
    KeyError
        There is no such table.
    """
    every = [(technique, table) for technique, tables in TABLES.items() for table in tables]
    known = {f"{technique}/{table}": (technique, table) for technique, table in every}
    found = []
    for name in asked:
        found += [one for one in every if one[0] == name] or [known[name]]
    return found or every


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="such as shift/crossing")
    parser.add_argument("--list", action="store_true", help="only name them")
    arguments = parser.parse_args()
    try:
        wanted = chosen(arguments.tables)
    except KeyError as unknown:
        parser.error(f"found no table {unknown}; `--list` names them")
    if arguments.list:
        print("\n".join("/".join(one) for one in wanted))
        return
    print(f"{machine()}, {date.today()}, `python benchmarks/techniques.py`")
    for number, (technique, table) in enumerate(wanted):
        print(f"\n## {technique}: {table}\n", flush=True)
        TABLES[technique][table]()
        is_last = number + 1 == len(wanted) or wanted[number + 1][0] != technique
        if is_last and technique != "interleave":  # whose section has them
            print(f"\n{PUBLISHED[technique]}")


if __name__ == "__main__":
    main()
