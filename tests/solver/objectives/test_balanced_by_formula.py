"""Balanced plans of deep pipelines, where there is no time for a trial in the simulator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hexplan.check import check_plan
from hexplan.reading import read_spec
from hexplan_solver import SolveOptions, solve

HIGH42 = Path(__file__).parents[3] / "cluster_specs" / "helix-high42-llama70b.yaml"


@pytest.mark.slow
def test_a_plan_that_states_the_formula_for_prompts_in_many_steps_passes_its_check() -> None:
    """Its prompts run in several stages at once, so that they take less than one step in each."""
    spec = replace(read_spec(HIGH42), objective="balanced")
    plan = solve(spec, SolveOptions(time_limit_s=30))
    assert plan.step_limits is not None
    assert plan.step_limits.tokens < spec.workload.prompt_tokens.mean
    assert check_plan(plan) == ()
