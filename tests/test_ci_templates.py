"""The action for GitHub, the job for GitLab and the hooks for pre-commit, run on real plans."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from junitparser import JUnitXml
from support.changes import change_stage
from support.plans import two_hosts_plan

from hexplan.plan_file import write_plan

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
JOB = yaml.safe_load((ROOT / "docs/ci/gitlab.yml").read_text())["hexplan check"]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
"""How GitHub's runner starts `shell: bash`."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a good plan and a broken one, whose name tries to be a command."""
    write_plan(two_hosts_plan(), tmp_path / "plan.json")
    broken = change_stage(two_hosts_plan(), 0, kv_tokens=10**9)
    write_plan(broken, tmp_path / "plan $(touch hacked).json")
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, words in (("python3", '"$@"'), ("hexplan", '-m hexplan "$@"')):
        command = commands / name
        command.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {words}\n")
        command.chmod(0o755)
    return tmp_path


def run(script: str, folder: Path, shell: tuple[str, ...], **environment: str) -> tuple[int, str]:
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*shell, "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def act(folder: Path, **inputs: str) -> tuple[int, str]:
    """Run the steps of the action with some inputs, as GitHub's runner puts them into `env`."""
    given = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()} | inputs
    said = ""
    for step in ACTION["runs"]["steps"]:
        environment = {
            name: re.sub(r"\${{ inputs\.(\w+) }}", lambda match: given[match[1]], value)
            for name, value in step["env"].items()
        }
        assert "${{" not in step["run"]
        code, out = run(step["run"], folder, BASH, GITHUB_ACTION_PATH=str(ROOT), **environment)
        said += out
        if code:
            return code, said
    return 0, said


def test_the_action_passes_a_good_plan_and_remarks_on_a_broken_one(folder: Path) -> None:
    code, said = act(folder, plans="plan.json\n")
    assert code == 0
    assert "rules hold" in said
    code, said = act(folder, plans="plan.json\nplan $(touch hacked).json", sarif="out.sarif")
    assert code == 4
    assert "::error file=plan $(touch hacked).json,line=" in said
    runs = json.loads((folder / "out.sarif").read_text())["runs"]
    assert [len(one["results"]) > 0 for one in runs] == [False, True]
    assert not (folder / "hacked").exists()


def test_the_strict_action_fails_on_warnings(folder: Path) -> None:
    code, said = act(folder, plans="plan.json", strict="true")
    assert code == 4
    assert "::warning file=plan.json,line=" in said


def test_the_job_writes_a_report_of_each_plan(folder: Path) -> None:
    script = "set -e\n" + "\n".join([*JOB["before_script"], *JOB["script"]])
    variables = {name: str(value) for name, value in JOB["variables"].items()}
    assert run(script, folder, ("sh",), **variables)[0] == 0
    variables["HEXPLAN_PLANS"] = "plan.json\nplan $(touch hacked).json"
    code, said = run(script, folder, ("sh",), **variables)
    assert code == 1
    assert "HEX301" in said
    suites = JUnitXml.fromfile(str(folder / JOB["artifacts"]["reports"]["junit"]))
    assert [suite.failures > 0 for suite in suites] == [False, True]
    assert not (folder / "hacked").exists()


def test_the_hooks_run_on_the_plans_that_they_select(folder: Path) -> None:
    for hook in HOOKS:
        assert re.search(hook["files"], "deploy/plan-eu.json")
        assert not re.search(hook["files"], "package.json")
        entry = f"{hook['entry']} plan.json"
        is_strict = "--strict" in entry
        assert run(entry, folder, ("sh",))[0] == (4 if is_strict else 0)
