"""`hexplan apply` from outside: what it refuses before it reaches a launch."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.shell import Shell


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.mark.parametrize("to", [(), ("--to",)])
def test_without_a_launch_it_says_how_to_start_one(
    hexplan: Shell, plan_file: Path, to: tuple[str, ...]
) -> None:
    ran = hexplan("apply", plan_file, *to, *[plan_file] * len(to))
    assert (ran.code, ran.out) == (2, "")
    assert "found none running" in ran.err
    assert "`hexplan serve PLAN` starts one" in ran.err


def test_a_plan_that_breaks_a_rule_reaches_no_launch(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(plan_file.read_text().replace('"kv_tokens": ', '"kv_tokens": 1'))
    ran = hexplan("apply", broken, "--dry-run")
    assert ran.code == 4
    assert "breaks a rule" in ran.err
