"""`hexplan explain` from outside: what it prints, and that its JSON can be read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.shell import Shell

from hexplan.results.explanation import Explanation


def test_the_reasons_stand_under_their_titles(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("explain", plan_file, "--quick", "-q")
    assert (ran.code, ran.err) == (0, "")
    titles = ["Bottleneck", "What more would bring", "Idle devices", "Degrees"]
    found = [line for line in ran.out.splitlines() if line in titles]
    assert found == titles
    assert "stage s1 (layers [4, 6) on small)" in ran.out
    assert "not sought" in ran.out


def test_json_can_be_read_back(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("explain", plan_file, "--time-limit", "1s", "-q", "--json")
    assert ran.code == 0
    explanation = Explanation.model_validate_json(ran.out)
    assert [binding.constraint for binding in explanation.bottleneck] == ["stage:s1", "stage:s2"]
    assert all(gain.found_tokens_per_s is not None for gain in explanation.gains)
    assert {idle.device for idle in explanation.idle} == {"Small"}


def test_progress_is_told_on_stderr(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("explain", plan_file, "--quick")
    assert "one more host like big" in ran.err


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_what_is_shown_keeps_to_the_columns_it_is_given(
    hexplan: Shell, plan_file: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = hexplan("explain", plan_file, "--quick", "-q").out.splitlines()
    assert max(map(len, lines)) <= int(columns)


def test_a_plan_that_breaks_a_rule_is_not_explained(hexplan: Shell, broken_plan_file: Path) -> None:
    assert hexplan("explain", broken_plan_file).code == 4


def test_a_time_without_a_unit_is_refused(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("explain", plan_file, "--time-limit", "5")
    assert ran.code == 2
    assert "--time-limit" in ran.err
