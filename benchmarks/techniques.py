"""Print the tables of published techniques that a launch may use.

    python benchmarks/techniques.py queueing

The output is Markdown; docs/guides/queueing.md has such an output, with its machine and date.
"""

from __future__ import annotations

import argparse

import queue_tables

TABLES = {"queueing": queue_tables.main}


def main() -> None:
    """Print the tables of one technique."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("technique", choices=TABLES)
    TABLES[parser.parse_args().technique]()


if __name__ == "__main__":
    main()
