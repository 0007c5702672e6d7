"""Large clusters of odd hosts with rules for pairs, as benchmarks/odd_specs.py generates them."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

import pytest

from hexplan.check import check_plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.clock import Clock

ROOT = Path(__file__).parents[2]
OWN_WORK = Clock(time.process_time, time.process_time)
"""Counts the work of this process alone, so that a busy machine changes nothing."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_three_hundred_odd_hosts_are_planned_better_than_by_a_simple_method(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    text = importlib.import_module("odd_specs").odd_spec("large", 101)
    spec = parse_spec(text, Path("large.yaml"))
    options = SolveOptions(time_limit_s=60, clock=OWN_WORK)
    plan = solve(spec, options)
    assert check_plan(plan) == ()
    simple = solve(spec, SolveOptions(time_limit_s=60, clock=OWN_WORK, method="symmetric"))
    assert plan.certificate.flow_tokens_per_s >= simple.certificate.flow_tokens_per_s
