"""The commands `diff` and `graph`."""

from __future__ import annotations

import json
from pathlib import Path

from support.changes import change_stage
from support.plans import two_hosts_plan
from support.shell import Shell

from hexplan.plan_file import write_plan


def test_plans_that_differ_exit_with_5_only_if_asked(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    write_plan(change_stage(two_hosts_plan(), 0, layers=(0, 1)), other)
    same = hexplan("diff", plan_file, plan_file, "--exit-code")
    assert (same.code, same.out) == (0, "no difference\n")
    shown = hexplan("diff", plan_file, other)
    assert shown.code == 0
    assert "What requests notice" in shown.out
    assert "have to start again elsewhere" in shown.out
    assert hexplan("diff", plan_file, other, "--exit-code").code == 5
    found = json.loads(hexplan("diff", plan_file, other, "--json").out)
    assert [stage["change"] for stage in found["stages"]] == ["changed"]


def test_stdin_cannot_be_both_plans(hexplan: Shell) -> None:
    refused = hexplan("diff", "-", "-")
    assert (refused.code, refused.out) == (2, "")
    assert "stdin is read once" in refused.err


def test_a_graph_goes_to_stdout_or_into_a_file(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "plan.svg"
    assert hexplan("graph", plan_file, "-o", picture).code == 0
    assert picture.read_text() == hexplan("graph", plan_file).out
    assert hexplan("graph", plan_file, "--format", "mermaid").out.startswith("---\ntitle: ")
    assert hexplan("graph", plan_file, "--format", "dot").out.startswith("digraph ")
    refused = hexplan("graph", plan_file, "-o", tmp_path / "none" / "plan.svg")
    assert refused.code == 2
