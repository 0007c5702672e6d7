"""What the command line says and returns when something is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.changes import change_stage
from support.plans import two_hosts_plan
from support.shell import PROGRAM, Shell
from support.specs import two_nodes

import hexplan_solver
from hexplan.check import check_plan
from hexplan.errors import HexplanError, InfeasibleError, LaunchError, LimitReached
from hexplan.plan_file import plan_json, read_plan

LONG_SPEC = Path(__file__).parents[3] / "cluster_specs" / "helix-geo24-llama30b.yaml"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["slove"], "No such command 'slove'. Did you mean 'solve', 'serve'?"),
        (["solve"], "Missing argument 'SPEC'"),
        (["solve", "nowhere.yaml"], "nowhere.yaml: cannot read it"),
        (["solve", "cluster.yaml", "--seed", "-1"], "--seed"),
        (["solve", "cluster.yaml", "--threads", "none"], "--threads"),
        (
            ["solve", "cluster.yaml", "--time-limit", "30"],
            "--time-limit: found '30', needed a time",
        ),
        (["solve", "cluster.yaml", "--time-limit", "0s"], "--time-limit: found 0s, needed"),
        (["solve", "cluster.yaml", "--solver", "Oracle"], "solver `Oracle` was not found"),
        (["solve", "cluster.yaml", "-o", "missing/plan.json"], "but there is no folder missing"),
        (["show", "cluster.yaml"], "cluster.yaml:1:1: not JSON"),
        (["check", "plan.json", "--format", "xml"], "'xml' is not one of 'text', 'json'"),
        (["schema", "clutser"], "'clutser' is not one of"),
        (["--frobnicate"], "No such option: --frobnicate"),
    ],
)
def test_a_mistake_is_told_in_words_and_exits_with_2(
    hexplan: Shell,
    spec_file: Path,
    plan_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(spec_file.parent)
    ran = hexplan(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert "error: " in ran.err
    assert said in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


def test_a_mistake_in_the_spec_names_its_line(hexplan: Shell, tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(two_nodes("nic: 25Gbps", "nic: 25"))
    ran = hexplan("solve", path)
    assert ran.code == 2
    assert f"{path}:12: " in ran.err
    assert "hint: " in ran.err


def test_an_impossible_spec_exits_with_3_and_writes_nothing(hexplan: Shell, tmp_path: Path) -> None:
    path, plan = tmp_path / "cluster.yaml", tmp_path / "plan.json"
    small = two_nodes("devices: 2 x A100-80GB-SXM\n    interconnect: nvlink", "devices: L4")
    path.write_text(small.replace("llama-2-7b", "llama-2-70b"))
    ran = hexplan("solve", path, "-o", plan)
    assert ran.code == 3
    assert ran.err.count("error: ") == 1
    assert not plan.exists()


def test_a_plan_that_lacks_a_field_is_bad_input_and_no_violation(
    hexplan: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    document = json.loads(plan_json(two_hosts_plan()))
    del document["stages"][0]["host"]
    path.write_text(json.dumps(document))
    ran = hexplan("check", path)
    assert ran.code == 2
    assert f"{path}: stages[0]: the field `host` is missing" in ran.err


def test_a_plan_of_ours_that_breaks_a_rule_is_our_bug_and_is_not_written(
    hexplan: Shell, spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = change_stage(two_hosts_plan(), 0, kv_tokens=10**9)
    monkeypatch.setattr(hexplan_solver, "solve", lambda *arguments: bad)
    ran = hexplan("solve", spec_file, "-o", tmp_path / "plan.json")
    assert ran.code == 1
    assert "breaks a rule" in ran.err
    assert "report it" in ran.err
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HexplanError("ours"), 1),
        (InfeasibleError("no"), 3),
        (LimitReached("late"), 6),
        (LaunchError("dead"), 7),
        (KeyboardInterrupt(), 130),
        (RuntimeError("surprise"), 1),
    ],
)
def test_each_error_has_its_exit_code(
    hexplan: Shell,
    spec_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(hexplan_solver, "solve", fail)
    ran = hexplan("solve", spec_file)
    assert ran.code == code
    assert "Traceback" not in ran.err


def test_a_bug_asks_for_a_report_and_shows_its_traceback_on_demand(
    hexplan: Shell, spec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hexplan_solver, "solve", lambda *arguments: 1 // 0)
    ran = hexplan("solve", spec_file)
    assert ran.err.startswith("error: hexplan has a bug: ZeroDivisionError: ")
    assert "HEXPLAN_DEBUG=1" in ran.err
    monkeypatch.setenv("HEXPLAN_DEBUG", "1")
    assert "Traceback" in hexplan("solve", spec_file).err


def test_a_reader_that_leaves_ends_the_command_without_a_word(plan_file: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [*PROGRAM, "show", str(plan_file)],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.fixture
def long_solve(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A solve that would take ten minutes and has found something; it writes plan.json."""
    plan = tmp_path / "plan.json"
    with subprocess.Popen(
        [*PROGRAM, "solve", str(LONG_SPEC), "-o", str(plan), "--time-limit", "10min"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "bound" in process.stderr.readline()
        yield process
        process.kill()


def test_a_terminated_solve_writes_nothing(
    tmp_path: Path, long_solve: subprocess.Popen[str]
) -> None:
    long_solve.send_signal(signal.SIGTERM)
    _, said = long_solve.communicate()
    assert long_solve.returncode == 143
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_solve_gives_the_best_plan_so_far(
    tmp_path: Path, long_solve: subprocess.Popen[str]
) -> None:
    long_solve.send_signal(signal.SIGINT)
    _, said = long_solve.communicate()
    assert long_solve.returncode == 0
    assert "gap" in said
    plan = read_plan(tmp_path / "plan.json")
    assert check_plan(plan) == ()
    assert plan.certificate.status == "interrupted"


@pytest.mark.parametrize(
    "words",
    [
        ("solve", "no.yaml", "-o"),
        ("replan", "no.json", "--without", "h0", "-o"),
        ("simulate", "no.json", "--plot"),
        ("profile", "--model", "nowhere", "--device", "d", "-o"),
        ("calibrate", "PLAN", "no.jsonl", "-o"),
        ("probe", "SPEC", "-o"),
        ("launch", "PLAN", "--prompt", "a", "--observe"),
    ],
)
def test_an_output_in_a_missing_folder_is_refused_before_any_work(
    hexplan: Shell, plan_file: Path, spec_file: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """The other inputs are missing or unread, so nothing was computed from them."""
    inputs = {"PLAN": plan_file, "SPEC": spec_file}
    folder = tmp_path / "not" / "there"
    ran = hexplan(*(inputs.get(word, word) for word in words), folder / "new.svg")
    assert (ran.code, ran.out) == (2, "")
    assert f"`mkdir -p {folder}`" in ran.err
    assert not folder.exists()
