"""Ranks that Linux kills for memory, and ranks that cannot get theirs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from support.local_plan import BODY, solve_here
from support.memory_groups import MemoryGroup, memory_group
from support.plans import profiled_plan
from support.processes import wait_until
from support.ssh_hosts import RANK

from hexplan.errors import LaunchError
from hexplan_runtime.launch.mending.memory_sum import with_sum

PATIENCE_S = 240.0
HOG = "import time; x = [bytearray(b'y' * 2**20) for _ in range(4096)]; time.sleep(60)"
KILLED = "was killed by the kernel for memory"


def test_the_hint_has_the_sum_of_what_the_plan_gives_a_rank() -> None:
    error = with_sum(LaunchError("no memory", hint="buy some"), profiled_plan(), 0)
    assert error.message == "no memory"
    assert error.hint is not None
    first, last = error.hint.splitlines()
    parts, total = first.partition("by the plan ")[2].split(" = ")
    terms = [float(term.split()[0].replace(",", "")) for term in parts.split(" + ")]
    assert sum(terms) == pytest.approx(float(total.split()[0].replace(",", "")), abs=0.3)
    assert last == "buy some"


def ranks_of(server: int) -> list[int]:
    """Return the ranks that a process has started, the youngest last."""
    words = ("ps", "-o", "pid=,args=", "--sort=start_time", "--ppid", str(server))
    listed = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if RANK in line]


def run_short(group: MemoryGroup, rank: int, log: Path, rounds: int) -> None:
    """Let a rank be the first to go as memory runs out, until so many were killed."""
    Path(f"/proc/{rank}/oom_score_adj").write_text("1000")
    group.limit(group.used_bytes + 2**24)
    hog = subprocess.Popen(group.run((sys.executable, "-c", HOG)))
    try:
        assert wait_until(lambda: log.read_text().count(KILLED) == rounds, PATIENCE_S)
    finally:
        group.limit(2**34)
        hog.kill()
        hog.wait()


@pytest.mark.slow
def test_a_rank_that_linux_kills_for_memory_is_named_and_its_stage_starts_again(
    tmp_path: Path,
) -> None:
    """The second time it waits, however long it ran, and the log has the sum of its memory."""
    plan, url, log, home = (tmp_path / name for name in ("plan.json", "url", "log", "run"))
    assert solve_here(plan).returncode == 0
    home.mkdir(mode=0o700)
    words = (sys.executable, "-m", "hexplan", "serve", str(plan), "--yes", "--port", "0")
    with memory_group() as group, url.open("w") as out, log.open("w") as told:
        places = os.environ | {"XDG_RUNTIME_DIR": str(home)}
        server = subprocess.Popen(group.run(words), env=places, stdout=out, stderr=told)
        try:
            assert wait_until(lambda: "ready\n" in log.read_text(), PATIENCE_S), log.read_text()
            base = url.read_text().strip()

            def answer() -> str:
                found = httpx.post(f"{base}/v1/completions", json=BODY, timeout=120)
                return str(found.json()["choices"][0]["text"])

            before = answer()
            run_short(group, ranks_of(server.pid)[-1], log, 1)
            assert answer() == before
            assert wait_until(lambda: " is back" in log.read_text(), PATIENCE_S), log.read_text()
            assert wait_until(lambda: httpx.get(f"{base}/readyz").status_code == 200, PATIENCE_S)
            time.sleep(11)  # a stage that was lost for another reason would count as steady
            run_short(group, ranks_of(server.pid)[-1], log, 2)
            assert wait_until(lambda: "starts again (2 of 7)" in log.read_text(), PATIENCE_S)
            assert log.read_text().count(": by the plan ") == 2
            assert answer() == before
        finally:
            server.terminate()
            server.wait(60)
