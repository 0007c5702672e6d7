"""The command line from outside: what each command prints where, and its exit code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.plans import two_hosts_plan
from support.shell import PROGRAM, Shell, program

from hexplan.check import RULES
from hexplan.cli.app import Described
from hexplan.plan import Plan
from hexplan.plan_file import read_plan
from hexplan.reading.schema import DESCRIBED, schema_json


def test_solve_writes_a_plan_that_the_check_accepts(
    hexplan: Shell, spec_file: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    solved = hexplan("solve", spec_file, "-o", plan)
    assert (solved.code, solved.out) == (0, "")
    assert f"wrote {plan}: " in solved.err
    checked = hexplan("check", plan)
    assert (checked.code, checked.out) == (0, f"ok: {len(RULES)} rules hold\n")


def test_solve_without_an_output_prints_the_plan_as_a_table(
    hexplan: Shell, spec_file: Path
) -> None:
    solved = hexplan("solve", spec_file)
    assert solved.code == 0
    assert solved.out.startswith("two-nodes: llama-2-7b (32 layers, float16)")
    assert "Certificate" in solved.out


@pytest.mark.parametrize("arguments", [["--json"], ["-o", "-"]])
def test_solve_prints_the_plan_as_json(
    hexplan: Shell, spec_file: Path, arguments: list[str]
) -> None:
    solved = hexplan("solve", spec_file, *arguments)
    assert solved.code == 0
    plan = Plan.model_validate_json(solved.out, by_alias=True)
    assert plan.cluster.name == "two-nodes"


def test_quiet_solve_says_nothing(hexplan: Shell, spec_file: Path, tmp_path: Path) -> None:
    solved = hexplan("solve", spec_file, "-o", tmp_path / "plan.json", "--quiet")
    assert (solved.code, solved.out, solved.err) == (0, "", "")


def test_solve_off_a_terminal_tells_progress_in_plain_lines(
    hexplan: Shell, spec_file: Path, tmp_path: Path
) -> None:
    lines = hexplan("solve", spec_file, "-o", tmp_path / "plan.json").err.splitlines()
    assert 2 <= len(lines) <= 10
    assert all("\x1b" not in line for line in lines)


def test_solve_reads_a_spec_from_stdin(spec_file: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "solve", "-", "-o", "-"],
        input=spec_file.read_text(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["cluster"]["name"] == "two-nodes"


def test_the_same_seed_gives_the_same_plan(hexplan: Shell, spec_file: Path) -> None:
    first, second = (json.loads(hexplan("solve", spec_file, "--json").out) for _ in range(2))
    assert first.pop("solve")["seed"] == second.pop("solve")["seed"] == 0
    assert first == second


def test_show_prints_the_plan(hexplan: Shell, plan_file: Path) -> None:
    shown = hexplan("show", plan_file)
    assert (shown.code, shown.err) == (0, "")
    assert "Bottleneck" in shown.out


def test_show_as_json_is_the_file_itself(hexplan: Shell, plan_file: Path) -> None:
    assert hexplan("show", plan_file, "--json").out == plan_file.read_text()


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_show_keeps_to_the_columns_it_is_given(
    hexplan: Shell, plan_file: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert max(map(len, hexplan("show", plan_file).out.splitlines())) <= int(columns)


@pytest.mark.parametrize("silencer", ["option", "NO_COLOR"])
def test_colour_is_left_out_where_it_is_not_wanted(plan_file: Path, silencer: str) -> None:
    assert "\x1b" in program("show", plan_file, FORCE_COLOR="1").stdout
    if silencer == "option":
        plain = program("--no-color", "show", plan_file, FORCE_COLOR="1")
    else:
        plain = program("show", plan_file, FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b" not in plain.stdout


def test_check_lists_the_violations_on_stdout_and_exits_with_4(
    hexplan: Shell, broken_plan_file: Path
) -> None:
    checked = hexplan("check", broken_plan_file)
    assert checked.code == 4
    assert all(line.startswith("HEX") for line in checked.out.splitlines())
    assert "stage s0" in checked.out
    assert f"error: {broken_plan_file} breaks rules in " in checked.err


def test_check_as_json_can_be_read_back(
    hexplan: Shell, plan_file: Path, broken_plan_file: Path
) -> None:
    good = json.loads(hexplan("check", plan_file, "--format", "json").out)
    expected = {"plan": str(plan_file), "ok": True, "rules": len(RULES), "violations": []}
    assert good == expected
    ran = hexplan("check", broken_plan_file, "--format", "json")
    assert ran.code == 4
    assert json.loads(ran.out)["violations"][0]["rule"].startswith("HEX")


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_schema_is_data(hexplan: Shell, name: str) -> None:
    shown = hexplan("schema", name)
    assert (shown.code, shown.out, shown.err) == (0, schema_json(name), "")


def test_every_name_of_the_schema_command_is_described() -> None:
    assert {name.value for name in Described} == set(DESCRIBED)


def test_the_version_is_data(hexplan: Shell) -> None:
    shown = hexplan("--version")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("hexplan ")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_starts_with_examples_and_ends_with_the_exit_codes(
    hexplan: Shell, arguments: list[str]
) -> None:
    shown = hexplan(*arguments)
    assert shown.code == 0
    assert shown.out.index("Examples:") < shown.out.index("Options:")
    assert shown.out.rstrip().endswith("130  interrupted")


@pytest.mark.parametrize(
    "command", ["solve", "show", "check", "launch", "explain", "replan", "schema"]
)
def test_every_command_has_help(hexplan: Shell, command: str) -> None:
    shown = hexplan(command, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: hexplan {command} ")


def test_the_plan_that_was_shown_is_the_plan_that_was_read(plan_file: Path) -> None:
    assert read_plan(plan_file) == two_hosts_plan()
