from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.memory_groups import memory_group

from hexplan_runtime.processes import Ended, Supervisor
from hexplan_runtime.processes.command import Command
from hexplan_runtime.processes.memory_kills import NO_MEMORY, counter_of
from hexplan_runtime.runner.device import lacks_memory
from hexplan_runtime.stage.messages import Report

HUGE = 2**56
"""Bytes that no machine has."""
SCRIPT = """\
import json, os, signal, sys
from hexplan_runtime.processes import Here, Supervisor
from hexplan_runtime.processes.command import Command
from hexplan_runtime.stage.messages import Report
names = sys.argv[1:]
for name in names:
    supervisor = Supervisor(Report)
    words = {"hog": "x = bytearray(2**29); x[::4096] = b'y' * 2**17", "waits": "input()"}[name]
    command = Command((sys.executable, "-c", words), dict(os.environ))
    child = supervisor.begin(name, command)
    if name == "waits":
        child.send_signal(signal.SIGKILL)
    ended = supervisor.next_event()
    print(json.dumps([ended.failure.message, ended.failure.hint, ended.lacked_memory]))
"""


def test_a_child_that_linux_kills_for_memory_is_told_from_one_that_somebody_kills() -> None:
    with memory_group() as group:
        group.limit(2**28)
        words = group.run((sys.executable, "-c", SCRIPT, "waits", "hog", "waits"))
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    waits, hog, again = map(json.loads, done.stdout.splitlines())
    assert hog == ["hog was killed by the kernel for memory", hog[1], True]
    assert hog[1].startswith("leave more memory free there")
    for killed in (waits, again):
        assert killed[0] == "waits was ended by SIGKILL"
        assert not killed[2]


@pytest.mark.parametrize("text", ["", "0::/nowhere/at/all", "4:memory:/nowhere\n0::/nowhere"])
def test_where_a_group_cannot_be_read_the_whole_machine_counts(text: str) -> None:
    counter = counter_of(text)
    assert counter == Path("/proc/vmstat")
    assert "oom_kill " in counter.read_text()


@pytest.mark.parametrize(
    ("ask", "lacks"),
    [
        (lambda: bytearray(HUGE), True),
        (lambda: torch.empty(HUGE, dtype=torch.uint8), True),
        (lambda: torch.ones(2) @ torch.ones(3), False),  # another mistake
    ],
)
def test_an_allocation_that_fails_is_told_from_other_errors(
    ask: Callable[[], object], lacks: bool
) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        ask()
    assert lacks_memory(caught.value) is lacks


def test_a_child_that_got_no_memory_says_so_by_its_exit_code() -> None:
    with Supervisor(Report) as supervisor:
        words = (sys.executable, "-c", f"raise SystemExit({NO_MEMORY})")
        supervisor.begin("stage s0", Command(words, dict(os.environ)))
        ended = supervisor.next_event()
        assert isinstance(ended, Ended)
        assert ended.lacked_memory
        assert ended.failure.message == "stage s0 could not get the memory that it needs"
