"""Files and a shell for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.changes import change_stage
from support.plans import two_hosts_plan
from support.shell import Shell
from support.specs import TWO_NODES

from hexplan.plan_file import write_plan


@pytest.fixture
def hexplan(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    # The default objective simulates for seconds, which would say nothing more of the command line.
    path.write_text(f"{TWO_NODES}objective: throughput\n")
    return path


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    write_plan(two_hosts_plan(), path)
    return path


@pytest.fixture
def broken_plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "broken.json"
    write_plan(change_stage(two_hosts_plan(), 0, kv_tokens=10**9), path)
    return path
