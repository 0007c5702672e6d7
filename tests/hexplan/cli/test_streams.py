"""Standard streams that are closed, full, or written to by a library."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.shell import PROGRAM

from hexplan.plan_file import read_plan

LAPTOP = Path(__file__).parents[3] / "cluster_specs" / "laptop.yaml"
SOLVE = ("solve", str(LAPTOP), "--time-limit", "2s", "-q")
BUG = "hexplan has a bug"


def shell(*arguments: str | Path, redirect: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with streams redirected by a shell."""
    command = f"{shlex.join([*PROGRAM, *map(str, arguments)])} {redirect}"
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture
def commands(plan_file: Path) -> list[tuple[str | Path, ...]]:
    """Every command that writes data and needs no torch, also as JSON."""
    simulate = ("simulate", plan_file, "--duration", "5s")
    return [
        ("--help",),
        ("--version",),
        ("schema", "plan"),
        ("show", plan_file),
        ("show", plan_file, "--json"),
        ("check", plan_file),
        ("check", plan_file, "--format", "json"),
        ("explain", plan_file, "--quick", "-q"),
        simulate,
        (*simulate, "--json"),
        ("replan", plan_file, "--without", "small", "--routes-only", "-q"),
        (*SOLVE, "--json"),
        (*SOLVE, "-o", "-"),
    ]


@pytest.mark.slow
def test_a_full_stdout_is_told_in_words(commands: list[tuple[str | Path, ...]]) -> None:
    for command in commands:
        ran = shell(*command, redirect="> /dev/full")
        assert BUG not in ran.stderr, command
        if ran.returncode != 3:  # no plan exists without `small`
            assert ran.returncode == 2, (command, ran.stderr)
            assert "stdout: cannot write to it: No space left on device" in ran.stderr


@pytest.mark.parametrize("command", ["show", "check"])
def test_a_closed_stdout_is_told_in_words(plan_file: Path, command: str) -> None:
    ran = shell(command, plan_file, redirect=">&-")
    assert (ran.returncode, ran.stderr) == (2, "error: stdout: cannot write to it: it is closed\n")


@pytest.mark.parametrize("arguments", [("show", "PLAN"), ("--help",), ("schema", "plan")])
def test_a_reader_that_has_left_ends_every_command_quietly(
    plan_file: Path, arguments: tuple[str, ...]
) -> None:
    words = [str(plan_file) if word == "PLAN" else word for word in arguments]
    read_end, write_end = os.pipe()
    os.close(read_end)
    ran = subprocess.run(
        [*PROGRAM, *words], stdout=write_end, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write_end)
    assert (ran.returncode, ran.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("redirect", [">&-", "> /dev/full", "2>&-", "2> /dev/full", "<&- >&- 2>&-"])
@pytest.mark.slow
def test_a_plan_is_written_whatever_the_streams_are(tmp_path: Path, redirect: str) -> None:
    plan = tmp_path / "plan.json"
    ran = shell("solve", LAPTOP, "--time-limit", "2s", "-o", plan, redirect=redirect)
    assert ran.returncode == 0, ran.stderr
    assert read_plan(plan).stages
    assert list(tmp_path.iterdir()) == [plan]


@pytest.mark.parametrize("redirect", ["2>&-", "2> /dev/full"])
def test_an_error_keeps_its_code_where_it_cannot_be_told(redirect: str) -> None:
    assert shell("show", "nowhere.json", redirect=redirect).returncode == 2


def test_a_library_that_prints_past_python_does_not_reach_stdout(plan_file: Path) -> None:
    code = (
        "import os, hexplan.cli.app as app\n"
        "from hexplan import cli, plan_file\n"
        "read = plan_file.read_plan\n"
        "def printing_read(path):\n"
        "    os.write(1, b'banner')\n"
        "    return read(path)\n"
        "plan_file.read_plan = printing_read\n"
        "cli.main()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "show", str(plan_file), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["version"] == 1
    assert "banner" in ran.stderr


def test_solve_writes_nothing_but_the_plan_to_stdout() -> None:
    ran = shell(*SOLVE, "--json", redirect="")
    assert json.loads(ran.stdout)["version"] == 1
    assert ran.stderr == ""
