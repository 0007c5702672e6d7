"""An agent that a signal has stopped is ended, whether it has ranks yet or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.processes import are_gone, command_line, wait_until

GUARDED = """
import sys
from hexplan_runtime.agent.stop_guard import begin_stop_guard
begin_stop_guard(1.0)
print("guarded", flush=True)
sys.stdin.read()
"""
AGENT = ("-P", "-m", "hexplan_runtime.agent.main")


def started(*words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def children_of(pid: int) -> Sequence[int]:
    tasks = Path("/proc", str(pid), "task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@pytest.fixture
def guarded() -> Iterator[subprocess.Popen[str]]:
    with started("-c", GUARDED) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "guarded\n"
        yield process
        process.kill()


def test_a_process_that_is_stopped_for_too_long_is_ended_and_its_guard_with_it(
    guarded: subprocess.Popen[str],
) -> None:
    guards = children_of(guarded.pid)
    guarded.send_signal(signal.SIGSTOP)
    assert guarded.wait(60) == -signal.SIGKILL
    assert are_gone(guards)


def test_a_guard_ends_with_its_process_and_harms_none_that_goes_on(
    guarded: subprocess.Popen[str],
) -> None:
    (guard,) = children_of(guarded.pid)
    # Between fork and exec a process has the words of its parent, or none.
    assert wait_until(lambda: "stopped.py" in {Path(word).name for word in command_line(guard)})
    guarded.send_signal(signal.SIGSTOP)
    guarded.send_signal(signal.SIGCONT)
    assert guarded.stdin is not None
    guarded.stdin.close()
    assert guarded.wait(60) == 0
    assert are_gone([guard])


@pytest.mark.slow
def test_an_agent_that_is_stopped_before_it_has_heard_a_word_is_ended() -> None:
    with started(*AGENT) as agent:
        assert wait_until(lambda: bool(children_of(agent.pid)))
        (guard,) = children_of(agent.pid)
        agent.send_signal(signal.SIGSTOP)
        assert agent.wait(60) == -signal.SIGKILL
        assert are_gone([guard])
