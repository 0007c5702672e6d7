"""A thousand streams at once, and twenty thousand requests by weight, on plans that really run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.slow


def run(script: str, *options: str) -> str:
    """Run a benchmark, which ends with 0 only if all is right, and return what it prints."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *options],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONSAFEPATH": ""},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_token_of_a_thousand_streams_is_lost_doubled_or_out_of_order() -> None:
    told = run("serve_load.py", "--streams", "1000", "--tokens", "32")
    assert " 1,000 right" in told


def test_clients_that_stop_reading_are_cut_off_and_the_others_get_all_their_tokens() -> None:
    told = run("serve_load.py", "--streams", "24", "--tokens", "64", "--stopped", "2")
    assert "2 of 2 clients that stopped reading were cut off" in told
    assert "24 right" in told


def test_twenty_thousand_requests_take_routes_by_their_weights() -> None:
    told = run("serve_shares.py", "--requests", "20000")
    assert told.count("%") > 20
