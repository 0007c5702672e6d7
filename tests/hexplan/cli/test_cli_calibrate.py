"""The `calibrate` command: what it shows, writes and refuses."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from support.observed import Run, observe
from support.plans import profiled_plan, two_hosts_plan
from support.shell import Shell

from hexplan.cluster import Correction
from hexplan.measured.observation_file import ObservationFile
from hexplan.plan import Plan
from hexplan.reading.overlays import read_overlay

TRUTH = (
    Correction(
        device="Big",
        tp=2,
        prefill=Decimal(3),
        decode=Decimal("0.5"),
        error=Decimal("0.1"),
        source="made up",
    ),
)


def write(path: Path, plan: Plan, run: Run) -> Path:
    observations = observe(plan, run)
    with ObservationFile(path, plan) as file:
        for launch, steps in zip(observations.launches, observations.steps, strict=True):
            file.add([launch, *steps])
    return path


@pytest.fixture
def observed(tmp_path: Path) -> Path:
    return write(tmp_path / "observed.jsonl", two_hosts_plan(), Run(TRUTH, mixed=0))


def test_stages_are_held_against_the_plan(hexplan: Shell, plan_file: Path, observed: Path) -> None:
    ran = hexplan("calibrate", plan_file, observed)
    assert (ran.code, ran.err) == (0, "")
    lines = [line.split() for line in ran.out.splitlines()]
    first = next(line for line in lines if line[:1] == ["s0"])
    assert first[1:4] == ["2", "x", "Big"]
    assert first[-6:] == ["prefill", "40", "3.00x", "0.0", "%", "1.00x"]
    assert ["decode", "120", "0.50x", "0.0", "%", "1.00x"] in lines
    assert "2 x Big: prefill x 3, decode x 0.5, within 5.0 %" in ran.out
    assert "1 x Small: prefill x 1, decode x 1, within 5.0 %" in ran.out


def test_the_comparison_comes_as_data(hexplan: Shell, plan_file: Path, observed: Path) -> None:
    found = json.loads(hexplan("calibrate", plan_file, observed, "--json").out)
    assert [stage["stage"] for stage in found["stages"]] == ["s0", "s1", "s2"]
    assert found["groups"][0]["correction"]["prefill"] == 3.0


def test_an_overlay_is_written_once_and_over_nothing_else(
    hexplan: Shell, plan_file: Path, observed: Path, tmp_path: Path
) -> None:
    path = tmp_path / "overlay.yaml"
    ran = hexplan("calibrate", plan_file, observed, "-o", path)
    assert ran.err.startswith(f"wrote {path}: `hexplan solve SPEC --overlay {path}`")
    first = read_overlay(path).text.corrections[0]
    assert (first.device, first.tp, first.prefill, first.decode) == (
        "Big",
        2,
        Decimal("3.0"),
        Decimal("0.5"),
    )
    again = hexplan("calibrate", plan_file, observed, "-o", path)
    assert again.code == 2
    assert "which is an overlay already" in again.err
    assert hexplan("calibrate", plan_file, observed, "-o", path, "--force").code == 0


@pytest.mark.parametrize("victim", ["plan", "observed", "spec"])
def test_what_is_no_overlay_is_never_overwritten(
    hexplan: Shell, plan_file: Path, observed: Path, spec_file: Path, victim: str
) -> None:
    path = {"plan": plan_file, "observed": observed, "spec": spec_file}[victim]
    before = path.read_bytes()
    ran = hexplan("calibrate", plan_file, observed, "-o", path, "--force")
    assert ran.code == 2
    assert "which is a file, but no overlay" in ran.err
    assert path.read_bytes() == before


def test_few_steps_are_told_and_nothing_is_written_of_them(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    few = Run(TRUTH, prefills=1, decodes=2, mixed=0)
    observed = write(tmp_path / "few.jsonl", two_hosts_plan(), few)
    path = tmp_path / "overlay.yaml"
    ran = hexplan("calibrate", plan_file, observed, "-o", path)
    assert ran.code == 0
    assert f"nothing could be fitted, so {path} is not written" in ran.err
    assert not path.exists()


def test_a_factor_that_is_not_sure_says_why(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    few = Run(TRUTH, prefills=10, decodes=100, mixed=0)
    ran = hexplan("calibrate", plan_file, write(tmp_path / "few.jsonl", two_hosts_plan(), few))
    assert "not sure: 10 steps of prompts, fewer than 30" in ran.out
    assert "2 x Big: prefill x 3, decode x 0.5, within 25 %" in ran.out


def test_observations_of_another_plan_are_refused(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "other.jsonl", profiled_plan(), Run(()))
    ran = hexplan("calibrate", plan_file, other)
    assert (ran.code, ran.out) == (2, "")
    assert f"{other}:1: found observations of the plan 'profiled'" in ran.err


def test_a_plan_that_breaks_a_rule_is_not_calibrated(
    hexplan: Shell, broken_plan_file: Path, observed: Path
) -> None:
    assert hexplan("calibrate", broken_plan_file, observed).code == 4


def test_a_file_that_is_not_there_is_told(hexplan: Shell, plan_file: Path, tmp_path: Path) -> None:
    ran = hexplan("calibrate", plan_file, tmp_path / "none.jsonl")
    assert ran.code == 2
    assert "cannot read it: No such file" in ran.err
