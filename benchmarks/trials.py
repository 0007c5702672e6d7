"""Print what users measured beside what hexplan predicts for the cluster.yaml of each.

    python benchmarks/trials.py

The output is Markdown; docs/prediction.md has such an output, with its machine and date. The cases
are those of tests/support/trials.py, and their specs are in tests/data/trials.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from textwrap import fill

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from planner import machine, row  # noqa: E402
from support.trials import TRIALS, Trial  # noqa: E402

COLUMNS = 115
"""Of a line of the docs."""


def show(trials: Iterable[Trial]) -> None:
    """Print a row for each figure, and below them why some are far off."""
    heads = ["row", "source", "case", "what", "users", "measured", "predicted", "ratio"]
    print(row(heads), row(["---"] * len(heads)), sep="\n")
    notes: list[str] = []
    for trial in trials:
        predicted = trial.predicted()
        ratio = f"{predicted / trial.measured:.2f}"
        if trial.why:
            if trial.why not in notes:
                notes.append(trial.why)
            ratio += f" ({notes.index(trial.why) + 1})"
        cells = [trial.row, trial.source, trial.case, trial.what, str(trial.users)]
        print(row([*cells, f"{trial.measured:g}", f"{predicted:.4g}", ratio]), flush=True)
    print()
    for number, note in enumerate(notes, 1):
        text = f"{number}. {note}"
        print(fill(text, COLUMNS, subsequent_indent="   ", break_on_hyphens=False))


if __name__ == "__main__":
    print(f"{date.today()}, {machine()}\n")  # noqa: DTZ011
    show(TRIALS)
