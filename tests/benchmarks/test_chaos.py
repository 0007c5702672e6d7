"""The short form of the chaos table: a served plan under streams, whose parts are killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
WORDS = ("--kills", "6", "--streams", "16", "--router-kills", "1", "--seed", "1")


@pytest.mark.slow
def test_every_stream_ends_with_its_tokens_or_an_error_and_nothing_is_left() -> None:
    done = subprocess.run(
        [sys.executable, "chaos.py", *WORDS],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    killed = next(line for line in done.stdout.splitlines() if "SIGKILL a rank" in line)
    _, _, kills, streams, _, exact, *_ = (cell.strip() for cell in killed.split("|"))
    assert int(kills) == 5
    assert int(exact) >= 0.99 * int(streams) > 0
