"""`hexplan solve --method`: published methods beside hexplan's own search."""

from __future__ import annotations

from pathlib import Path

from support.shell import Shell

from hexplan.check import check_plan
from hexplan.plan_file import read_plan


def test_a_method_is_named_in_the_summary_and_in_the_plan(
    hexplan: Shell, spec_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "plan.json"
    ran = hexplan("solve", spec_file, "--method", "petals", "-o", output)
    assert ran.code == 0
    assert ": petals: " in ran.err
    plan = read_plan(output)
    assert check_plan(plan) == ()
    assert plan.solve.method == "petals"
    assert "method petals, a baseline" in hexplan("show", output).out


def test_hexplans_own_plans_name_no_baseline(
    hexplan: Shell, spec_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "plan.json"
    ran = hexplan("solve", spec_file, "-o", output)
    assert read_plan(output).solve.method == "hexplan"
    assert "baseline" not in ran.err + hexplan("show", output).out


def test_a_method_that_does_not_exist_is_bad_usage(hexplan: Shell, spec_file: Path) -> None:
    ran = hexplan("solve", spec_file, "--method", "magic")
    assert ran.code == 2
    assert "helix-milp" in ran.err
