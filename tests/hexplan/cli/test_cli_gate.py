"""`hexplan check` as a gate in CI: its forms, its warnings, and plans older than their spec."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from junitparser import JUnitXml
from support.shell import Shell
from support.specs import TWO_NODES

from hexplan.check import RULES, WARNINGS


@pytest.fixture
def solved(hexplan: Shell, tmp_path: Path) -> tuple[Path, Path]:
    """Return a spec and its plan."""
    spec, plan = tmp_path / "cluster.yaml", tmp_path / "plan.json"
    spec.write_text(f"{TWO_NODES}objective: throughput\n")
    assert hexplan("solve", spec, "-o", plan, "--time-limit", "2s").code == 0
    return spec, plan


def test_a_plan_is_held_against_its_spec_and_says_where_that_has_changed(
    hexplan: Shell, solved: tuple[Path, Path]
) -> None:
    spec, plan = solved
    fresh = hexplan("check", plan, "--cluster", spec)
    assert (fresh.code, fresh.out) == (0, f"ok: {len(RULES) + 1} rules hold\n")
    spec.write_text(spec.read_text().replace("devices: L4", "devices: T4"))
    stale = hexplan("check", plan, "--cluster", spec)
    assert stale.code == 4
    line = spec.read_text().splitlines().index("  - name: small") + 1
    assert f"{spec}:{line}: HEX902 plan-stale: host small: " in stale.out
    assert "older than the spec" in stale.err
    assert "solve again" in stale.err


def test_warnings_fail_a_check_only_if_it_is_strict(
    hexplan: Shell, solved: tuple[Path, Path]
) -> None:
    _, plan = solved
    assert hexplan("check", plan).code == 0
    strict = hexplan("check", plan, "--strict", "--format", "json")
    verdict = json.loads(strict.out)
    assert (strict.code, verdict["ok"]) == (4, False)
    assert verdict["rules"] == len(RULES) + len(WARNINGS)
    assert {one["name"] for one in verdict["violations"]} >= {"datasheet-only"}
    assert "all rules hold, but there are warnings" in strict.err


def test_a_broken_plan_is_told_to_every_ci(hexplan: Shell, broken_plan_file: Path) -> None:
    ran = {form: hexplan("check", broken_plan_file, "--format", form) for form in _FORMS}
    assert {one.code for one in ran.values()} == {4}
    results = json.loads(ran["sarif"].out)["runs"][0]["results"]
    assert results[0]["ruleId"] == "HEX301"
    line = results[0]["locations"][0]["physicalLocation"]["region"]["startLine"]
    assert '"id": "s0"' in broken_plan_file.read_text().splitlines()[line - 1]
    (suite,) = JUnitXml.fromstring(ran["junit"].out)
    assert [case.name for case in suite if case.result][0] == "HEX301 memory-overflow"
    assert ran["github"].out.startswith(f"::error file={broken_plan_file},line={line},title=HEX301")


_FORMS = ("sarif", "junit", "github")


def test_a_rule_can_be_asked_for_by_its_id(hexplan: Shell) -> None:
    asked = hexplan("rule", "hex301")
    assert asked.code == 0
    assert "HEX301 memory-overflow" in asked.out
    assert "How to mend it: Give the stage fewer layers" in asked.out
    unknown = hexplan("rule", "HEX300")
    assert (unknown.code, unknown.out) == (2, "")
    assert "did you mean `HEX730`" in unknown.err


def test_an_overlay_without_a_spec_is_refused(hexplan: Shell, plan_file: Path) -> None:
    refused = hexplan("check", plan_file, "--overlay", "x.yaml")
    assert (refused.code, refused.out) == (2, "")
    assert "hint: give the `--cluster`" in refused.err
