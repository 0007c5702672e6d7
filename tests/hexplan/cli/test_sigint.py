"""Ctrl-C at any moment of `hexplan solve`: a whole plan or none, and never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
from support.processes import processes_with, wait_until
from support.shell import PROGRAM

from hexplan.check import check_plan
from hexplan.plan_file import read_plan

SPEC = Path(__file__).parents[3] / "cluster_specs" / "helix-geo24-llama30b.yaml"
MOMENTS = 30
LATEST_S = 8.0
"""Seconds after which the last interrupt comes; the search may take ten minutes."""


def assert_interrupted_well(folder: Path, moment_s: float) -> None:
    mark = f"HEXPLAN_TEST_RUN={uuid4().hex}"
    name, _, value = mark.partition("=")
    plan = folder / "plan.json"
    with subprocess.Popen(
        [*PROGRAM, "solve", str(SPEC), "-o", str(plan), "--time-limit", "10min"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {name: value},
    ) as process:
        time.sleep(moment_s)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert "Traceback" not in said
    assert wait_until(lambda: not processes_with(mark))
    if process.returncode == 0:
        assert [path.name for path in folder.iterdir()] == ["plan.json"]
        assert check_plan(read_plan(plan)) == ()
        return
    # Before the search has begun there is nothing to keep, and the interrupt ends the program.
    ends = (6,) if "bound" in said else (6, 130, -signal.SIGINT)
    assert process.returncode in ends, said
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("moment_s", [0.4, 2.5])
def test_an_interrupt_leaves_a_whole_plan_or_none(tmp_path: Path, moment_s: float) -> None:
    assert_interrupted_well(tmp_path, moment_s)


@pytest.mark.slow
@pytest.mark.parametrize("run", range(MOMENTS))
def test_an_interrupt_at_a_random_moment_leaves_a_whole_plan_or_none(
    tmp_path: Path, run: int
) -> None:
    assert_interrupted_well(tmp_path, Random(run).uniform(0, LATEST_S))
