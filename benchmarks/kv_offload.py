"""Print what keys and values in host memory cost in accuracy, and give in throughput.

    python benchmarks/kv_offload.py perplexity|needles|throughput [--needles FOLDER]

The output is Markdown; docs/guides/kv_offload.md has it, with its machine and date. The model for
`needles` is made by scripts/train_needles.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import gettempdir

import kv_offload_accuracy
import kv_offload_link
import torch

LENGTHS = (256, 1024, 2048)


def print_all() -> None:
    """Print the tables that need no model but the shipped one."""
    torch.set_num_threads(1)
    print("\n".join((*kv_offload_accuracy.perplexity_rows(), "", *kv_offload_link.link_rows())))


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=("perplexity", "needles", "throughput"))
    parser.add_argument("--needles", type=Path, default=Path(gettempdir()) / "needles")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.table == "perplexity":
        rows = kv_offload_accuracy.perplexity_rows()
    elif arguments.table == "throughput":
        rows = kv_offload_link.link_rows()
    else:
        rows = kv_offload_accuracy.needle_rows(arguments.needles, LENGTHS)
    for row in rows:
        print(row, flush=True)


if __name__ == "__main__":
    main()
