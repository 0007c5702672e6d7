"""Slurm's own controller takes the jobs that were exported, with the components they mean."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.exported import Link, addressed, chains_plan, exported
from support.plan_parts import BIG, SMALL

CONTROLLER = shutil.which("slurmctld") or shutil.which("slurmctld", path="/usr/sbin")
SBATCH = shutil.which("sbatch")
MOST_WAIT_S = 30
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmctldLogFile={folder}/controller.log
SlurmctldPort={port}
SchedulerType=sched/backfill
SelectType=select/cons_tres
ProctrackType=proctrack/pgid
GresTypes=gpu
NodeName=a,b NodeAddr=127.0.0.1 CPUs=8 Gres=gpu:2 Port=[26821-26822]
NodeName=c NodeAddr=127.0.0.1 CPUs=8 Gres=gpu:2 Port=26823
PartitionName=all Nodes=ALL Default=YES State=UP
"""
"""A controller of nodes that do not exist: it takes jobs, and starts none."""


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Start a controller, and return the environment that reaches it."""
    assert CONTROLLER is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "state").mkdir()
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    config = tmp_path / "slurm.conf"
    config.write_text(
        CONFIG.format(host=socket.gethostname(), user=user, folder=tmp_path, port=port)
    )
    environment = os.environ | {"SLURM_CONF": str(config)}
    process = subprocess.Popen([CONTROLLER, "-D", "-f", config], env=environment)
    try:
        yield environment
    finally:
        process.terminate()
        process.wait(MOST_WAIT_S)


@pytest.mark.slow
@pytest.mark.skipif(CONTROLLER is None or SBATCH is None, reason="Slurm is not installed")
def test_slurm_takes_a_replica_as_a_job_of_two_components(
    slurm: dict[str, str], tmp_path: Path
) -> None:
    hosts = (
        addressed("a", [BIG, BIG], "10.0.0.1"),
        addressed("b", [BIG, BIG], "10.0.0.2"),
        addressed("c", [SMALL, SMALL], "10.0.0.3"),
    )
    links = [Link(name, (0, 1), (2 * i, 2 * i + 2)) for i, name in enumerate("abc")]
    job = tmp_path / "job.sbatch"
    job.write_text(exported(chains_plan(hosts, links), "slurm", model="/m")["hexplan-r0.sbatch"])
    submitted = run(slurm, "sbatch", str(job))
    assert submitted.stdout.startswith("Submitted batch job"), submitted.stderr
    listed = run(slurm, "squeue", "--noheader", "--format=%j %D %b %n").stdout.split("\n")
    assert sorted(line for line in listed if line) == [
        "hexplan-r0 1 gres:gpu:2 c",
        "hexplan-r0 2 gres:gpu:2 a,b",
    ]


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Slurm, again while the controller starts."""
    deadline = time.monotonic() + MOST_WAIT_S
    while True:
        ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode == 0 or time.monotonic() > deadline:
            return ran
        time.sleep(0.5)
