"""Print the tables of published techniques that a launch may use.

    python benchmarks/techniques.py queueing|shift|interleave|kv_offload

The output is Markdown; docs/guides/{queueing,shift,interleave,kv_offload}.md have such outputs,
with their machine and date.
"""

from __future__ import annotations

import argparse

import interleave
import kv_offload
import queue_tables
import techniques_shift

TABLES = {
    "queueing": queue_tables.main,
    "shift": lambda: print(techniques_shift.shift_section()),
    "interleave": lambda: print(interleave.interleave_section()),
    "kv_offload": kv_offload.print_all,
}


def main() -> None:
    """Print the tables of one technique."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("technique", choices=TABLES)
    TABLES[parser.parse_args().technique]()


if __name__ == "__main__":
    main()
