"""Plans whose stages serve one phase each: shown, simulated, refused where nothing runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.plans import profiled_plan
from support.shell import Shell
from support.split_plans import SPLIT

from hexplan.plan_file import write_plan
from hexplan.results.outcome import Outcome

PHASES = ["prefill", "decode", "prefill", "decode"]


@pytest.fixture
def split_file(tmp_path: Path) -> Path:
    """The file of a plan in which s0 and s2 prefill what s1 and s3 decode."""
    path = tmp_path / "split.json"
    write_plan(SPLIT, path)
    return path


def test_simulate_runs_the_split_that_the_plan_states(hexplan: Shell, split_file: Path) -> None:
    run = ("simulate", split_file, "--rate", "0.2/s", "--duration", "200s", "--json")
    outcome = Outcome.model_validate_json(hexplan(*run).out)
    assert [use.phase for use in outcome.stages] == PHASES
    assert outcome.finished > 20
    by_hand = hexplan(*run, "--prefill-stages", "s0,s2").out
    assert Outcome.model_validate_json(by_hand) == outcome


def test_the_tables_show_what_each_stage_serves(hexplan: Shell, split_file: Path) -> None:
    shown = hexplan("show", split_file).out
    assert "Handovers (1)" in shown
    assert "prefill s0 > s2, decode s1 > s3; 45.0 KiB of KV a request" in " ".join(shown.split())
    explained = hexplan("explain", split_file, "--quick").out
    assert "prefill: s0, s2" in explained
    assert "decode: s1, s3" in explained
    assert "s0 [0, 2) prefill" in hexplan("graph", split_file).out


def test_a_plan_without_phases_shows_none(hexplan: Shell, tmp_path: Path) -> None:
    path = tmp_path / "whole.json"
    write_plan(profiled_plan(), path)
    shown = hexplan("show", path).out
    assert "serves" not in shown
    assert "Handovers" not in shown


def test_diff_tells_another_phase_and_other_handovers(
    hexplan: Shell, split_file: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.json"
    stages = tuple(stage.model_copy(update={"phase": "both"}) for stage in SPLIT.stages)
    write_plan(SPLIT.model_copy(update={"stages": stages, "handovers": ()}), whole)
    assert hexplan("diff", split_file, split_file).out == "no difference\n"
    found = json.loads(hexplan("diff", whole, split_file, "--json").out)
    assert [stage["phases"] for stage in found["stages"]] == [["both", phase] for phase in PHASES]
    assert found["has_other_handovers"]
    assert "[0, 2) prefill" in hexplan("diff", whole, split_file).out


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("launch", "--yes"), 2),
        (("serve", "--yes"), 2),
        (("replan", "--without", "a"), 2),
        (("export", "vllm", "-o", "out"), 4),
        (("export", "slurm", "-o", "out", "--engine", "hexplan"), 4),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else str(value),
)
def test_what_cannot_run_phases_apart_refuses_in_words(
    hexplan: Shell, split_file: Path, command: tuple[str, ...], code: int
) -> None:
    name, *options = command
    before = [options.pop(0)] if name == "export" else []
    ran = hexplan(name, *before, split_file, *options)
    assert ran.code == code
    assert "only prefill or only decode" in " ".join(ran.err.split())
    assert "phases: together" in ran.err
    assert "Traceback" not in ran.err
