"""The supervisor by itself, with small children that are real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.child import Reply, Task
from support.processes import are_gone, command_line, environment, is_stopped, wait_until

from hexplan.errors import LaunchError
from hexplan_runtime.processes import ChildProcess, Command, Ended, Here, Said, Supervisor
from hexplan_runtime.processes import supervisor as timing

CHILD = "support.child"
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let children import the tests' support, and this checkout."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.fixture
def supervisor() -> Iterator[Supervisor[Reply]]:
    with Supervisor(Reply) as running:
        yield running


def start(supervisor: Supervisor[Reply], act: str = "echo", text: str = "") -> ChildProcess[Reply]:
    """Start a child, and wait until it has understood its task."""
    task = Task.model_validate({"act": act, "text": text})
    child = supervisor.start("child 7", Here().command(CHILD), task)
    assert heard(supervisor) == text
    return child


def heard(supervisor: Supervisor[Reply]) -> str:
    event = supervisor.next_event(time.monotonic() + PATIENCE_S)
    assert isinstance(event, Said), event
    return event.message.text


def ended(supervisor: Supervisor[Reply]) -> Ended[Reply]:
    event = supervisor.next_event(time.monotonic() + PATIENCE_S)
    assert isinstance(event, Ended), event
    return event


def test_a_child_hears_and_answers_in_order(supervisor: Supervisor[Reply]) -> None:
    child = start(supervisor)
    for index in range(20):
        child.tell(Task(act="echo", text=str(index)))
    assert [heard(supervisor) for _ in range(20)] == [str(index) for index in range(20)]


def test_a_message_larger_than_a_pipe_does_not_keep_the_parent_waiting(
    supervisor: Supervisor[Reply],
) -> None:
    child = start(supervisor, "stop")
    assert wait_until(lambda: is_stopped(child.pid))
    begun_s = time.monotonic()
    child.tell(Task(act="echo", text="x" * 500_000))
    assert time.monotonic() - begun_s < 1
    child.send_signal(signal.SIGCONT)
    assert heard(supervisor) == "x" * 500_000


def test_a_released_child_ends_by_itself_after_its_last_words(
    supervisor: Supervisor[Reply],
) -> None:
    child = start(supervisor, "sleep")
    child.release()
    assert heard(supervisor) == "good-bye"
    assert ended(supervisor).exit_code == 0
    assert child.join(PATIENCE_S)
    assert are_gone([child.pid])


@pytest.mark.parametrize(
    ("act", "text", "how"),
    [
        ("die", "", "child 7 was ended by SIGKILL"),
        ("leave", "76", "child 7 ended with exit code 76"),
        ("fail", "no such layer", "child 7 ended with exit code 1"),
    ],
)
def test_the_end_of_a_child_names_it_and_how_it_ended(
    supervisor: Supervisor[Reply], act: str, text: str, how: str
) -> None:
    start(supervisor, act, text)
    assert ended(supervisor).failure.message == how


def test_a_killed_child_comes_with_the_usual_cause(supervisor: Supervisor[Reply]) -> None:
    start(supervisor, "die", "")
    hint = ended(supervisor).failure.hint
    assert hint is not None
    assert hint.startswith("Linux kills a process when memory runs out")


def test_an_error_comes_with_the_last_lines_of_the_child(supervisor: Supervisor[Reply]) -> None:
    child = start(supervisor, "complain", "a warning")
    child.tell(Task(act="print", text="a library's chatter"))
    assert heard(supervisor) == "a library's chatter"
    child.tell(Task(act="fail", text="no such layer"))
    assert heard(supervisor) == "no such layer"
    hint = ended(supervisor).failure.hint
    assert hint is not None
    assert hint.startswith("its last lines were:\na warning\na library's chatter\nTraceback")
    assert hint.endswith("RuntimeError: no such layer")


def test_words_from_before_an_answer_can_be_forgotten(supervisor: Supervisor[Reply]) -> None:
    child = start(supervisor, "complain", "a warning")
    deadline_s = time.monotonic() + PATIENCE_S
    while not child.last_words and time.monotonic() < deadline_s:
        time.sleep(0.01)
    child.forget_words()
    child.send_signal(signal.SIGKILL)
    assert "a warning" not in str(ended(supervisor).failure.hint)


def test_a_line_that_is_no_message_counts_among_the_last_words(
    supervisor: Supervisor[Reply],
) -> None:
    greeting = Command(("/bin/sh", "-c", "echo welcome; exit 3"), os.environ)
    supervisor.start("shell", greeting, Task(act="echo"))
    failure = ended(supervisor).failure
    assert failure.message == "shell ended with exit code 3"
    assert "unexpected on stdout: b'welcome\\n'" in (failure.hint or "")


def test_a_program_that_is_not_there_cannot_be_started(supervisor: Supervisor[Reply]) -> None:
    missing = Command(("/nowhere/python", "-V"), {})
    with pytest.raises(LaunchError, match="cannot start /nowhere/python: No such file"):
        supervisor.start("child", missing, Task(act="echo"))
    assert supervisor.children == ()
    supervisor.stop()


def test_children_may_be_killed_twice(supervisor: Supervisor[Reply]) -> None:
    child = start(supervisor)
    supervisor.kill([child])
    supervisor.kill([child])
    assert supervisor.children == ()
    assert are_gone([child.pid])


@pytest.mark.parametrize("act", ["sleep", "ignore", "stop"])
def test_stopping_ends_a_child_that_is_busy_or_deaf_or_halted(
    supervisor: Supervisor[Reply], act: str
) -> None:
    child = start(supervisor, act)
    begun_s = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - begun_s < timing.RELEASE_S + timing.TERMINATE_S + timing.KILL_S
    assert are_gone([child.pid])
    assert supervisor.children == (child,)


def test_a_child_that_ignores_the_end_of_its_stdin_is_terminated(
    supervisor: Supervisor[Reply],
) -> None:
    deaf = Command(("/bin/sh", "-c", "exec sleep 1000"), os.environ)
    child = supervisor.start("deaf", deaf, Task(act="echo"))
    supervisor.stop()
    assert ended(supervisor).exit_code == -signal.SIGTERM
    assert are_gone([child.pid])


def test_one_child_can_be_stopped_alone(supervisor: Supervisor[Reply]) -> None:
    first, second = start(supervisor), start(supervisor)
    supervisor.stop([first])
    assert heard(supervisor) == "good-bye"
    assert ended(supervisor).child is first
    second.tell(Task(act="echo", text="still here"))
    assert heard(supervisor) == "still here"


def test_a_child_whose_pipes_another_process_holds_is_still_reaped(
    supervisor: Supervisor[Reply],
) -> None:
    """As a shared connection of ssh does, which stays behind and keeps its stderr open."""
    script = "sleep 30 & echo $! >&2; exit 4"
    child = supervisor.start(
        "shell", Command(("/bin/sh", "-c", script), os.environ), Task(act="echo")
    )
    try:
        assert ended(supervisor).exit_code == 4
        assert are_gone([child.pid])
    finally:
        os.kill(int(child.last_words), signal.SIGKILL)


def test_no_event_before_the_deadline_is_none(supervisor: Supervisor[Reply]) -> None:
    assert supervisor.next_event(time.monotonic() + 0.01) is None


def test_ended_children_are_stopped_without_harm(supervisor: Supervisor[Reply]) -> None:
    child = start(supervisor, "die")
    ended(supervisor)
    child.tell(Task(act="echo"))
    child.release()
    supervisor.stop()
    supervisor.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_child_outlives_its_parent(number: signal.Signals) -> None:
    """Not even one that is stopped, and so cannot see the end of its stdin."""
    script = Path(__file__).parents[2] / "support" / "supervising.py"
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    with parent.stdout as stdout:
        pids = [int(pid) for pid in stdout.readline().split()]
    assert len(pids) == 2
    parent.send_signal(number)
    parent.wait(timeout=PATIENCE_S)
    assert are_gone(pids)


def test_a_child_is_told_nothing_by_arguments_and_inherits_only_chosen_variables(
    supervisor: Supervisor[Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "secret")
    command = Here(("PATH", "PYTHONPATH", "NO_SUCH_VARIABLE")).command(CHILD)
    child = supervisor.start("child", command, Task(act="echo", text="secret"))
    assert heard(supervisor) == "secret"
    assert command_line(child.pid)[1:] == ["-P", "-m", CHILD]
    names = {variable.partition("=")[0] for variable in environment(child.pid)}
    own = {"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GLIBC_TUNABLES"}
    assert names == {"PATH", "PYTHONPATH"} | own
