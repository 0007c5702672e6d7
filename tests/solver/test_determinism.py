"""The same input and seed give the same bytes, whatever the process, its hashes and its threads.

Only for searches that end before their time limit; that of `two-datacentres` does not.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.shell import program
from support.specs import TWO_NODES

CLUSTERS = Path(__file__).parents[2] / "cluster_specs"
ENDING = [
    "home-lab",
    "helix-abl10-llama30b",
    "helix-single24-a100-llama30b",
    "helix-single24-llama70b",
]
RUNS, QUICK = 20, 2
AMPLE = "10min"
"""A time limit that no run here reaches, even on a slow machine."""


def planned(spec: Path, plan: Path, run: int) -> str:
    """Plan in a fresh process, and return the plan but for how it was made."""
    threads = str(1 + run % 2)
    arguments = ("-q", "-o", plan, "--seed", "7", "--threads", threads, "--time-limit", AMPLE)
    ran = program("solve", spec, *arguments, PYTHONHASHSEED=str(run))
    assert ran.returncode == 0, ran.stderr
    document = json.loads(plan.read_text())
    del document["solve"]
    return json.dumps(document)


def test_a_plan_is_the_same_in_every_process(tmp_path: Path) -> None:
    spec = tmp_path / "cluster.yaml"
    spec.write_text(TWO_NODES)
    plans = {planned(spec, tmp_path / "plan.json", run) for run in range(QUICK)}
    assert len(plans) == 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ENDING)
def test_twenty_runs_with_one_and_two_threads_give_one_plan(name: str, tmp_path: Path) -> None:
    spec = CLUSTERS / f"{name}.yaml"
    plans = {planned(spec, tmp_path / "plan.json", run) for run in range(RUNS)}
    assert len(plans) == 1
