"""The short form of the chaos table: a served plan under streams, whose parts are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.slow import slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HERE = ("--one-machine", "--kills", "3", "--streams", "8", "--router-share", "0.3", "--seed", "7")
HOSTS = ("--kills", "8", "--streams", "16", "--router-share", "0.15", "--seed", "1")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("words", [HERE, slow(HOSTS)])
def test_every_stream_ends_with_its_tokens_or_an_error_and_nothing_is_left(
    words: tuple[str, ...],
) -> None:
    done = subprocess.run(
        [sys.executable, "chaos.py", *words],
        cwd=BENCHMARKS,
        env=os.environ | {"PYTHONPATH": str(BENCHMARKS)},  # where the caller keeps the folder out
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    total = next(line for line in done.stdout.splitlines() if line.startswith("| all"))
    _, _, kills, streams, exact, again, *_ = (cell.strip() for cell in total.split("|"))
    assert int(kills) == int(words[words.index("--kills") + 1])
    assert int(exact) + int(again) >= 0.99 * int(streams) > 0
