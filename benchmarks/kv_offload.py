"""Print what keys and values in host memory cost in accuracy, and give in throughput.

    python benchmarks/kv_offload.py perplexity|needles|throughput|planned [--needles FOLDER]

The output is Markdown; docs/guides/kv_offload.md has it, with its machine and date. Without a model
that finds needles, scripts/train_needles.py makes one, which takes some minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import kv_offload_accuracy
import kv_offload_link
import kv_offload_planned
import torch

LENGTHS = (256, 1024, 2048)
TRAINING = Path(__file__).parents[1] / "scripts" / "train_needles.py"
TRAINED_MINUTES = 2.8
"""Of processor time: the model then finds nearly all of what it sees."""


def needle_rows(trained: Path | None) -> Iterator[str]:
    """Yield the table of a model that finds needles, which is trained if there is none."""
    if trained is not None:
        yield from kv_offload_accuracy.needle_rows(trained, LENGTHS)
        return
    with TemporaryDirectory() as name:
        made = ("--minutes", str(TRAINED_MINUTES), "--out", name)
        training = [sys.executable, str(TRAINING), *made]
        subprocess.run(training, check=True, stdout=sys.stderr)  # noqa: S603
        yield from kv_offload_accuracy.needle_rows(Path(name), LENGTHS)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=("perplexity", "needles", "throughput", "planned"))
    parser.add_argument("--needles", type=Path, metavar="FOLDER", help="of a trained model")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.table == "perplexity":
        rows = kv_offload_accuracy.perplexity_rows()
    elif arguments.table == "throughput":
        rows = kv_offload_link.link_rows()
    elif arguments.table == "planned":
        rows = kv_offload_planned.planned_rows()
    else:
        rows = needle_rows(arguments.needles)
    for row in rows:
        print(row, flush=True)


if __name__ == "__main__":
    main()
