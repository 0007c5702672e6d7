"""Print the tables of published techniques that a launch may use.

    python benchmarks/techniques.py queueing|shift|interleave

The output is Markdown; docs/guides/{queueing,shift,interleave}.md have such outputs, with
their machine and date.
"""

from __future__ import annotations

import argparse

import interleave
import queue_tables
import techniques_shift

TABLES = {
    "queueing": queue_tables.main,
    "shift": lambda: print(techniques_shift.shift_section()),
    "interleave": lambda: print(interleave.interleave_section()),
}


def main() -> None:
    """Print the tables of one technique."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("technique", choices=TABLES)
    TABLES[parser.parse_args().technique]()


if __name__ == "__main__":
    main()
