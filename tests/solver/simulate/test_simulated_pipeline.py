"""A plan and the placement that it came from are one pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.slow import slow

from hexplan.check import check_plan
from hexplan.plan_file import read_plan, write_plan
from hexplan.reading import read_spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import (
    CHUNKED,
    FixedLengths,
    Poisson,
    Window,
    pipeline_of_plan,
    simulate,
)

SPECS = Path(__file__).parents[3] / "cluster_specs"


@pytest.mark.parametrize("name", ["laptop", slow("home-lab"), "helix-abl10-llama30b"])
def test_a_plan_s_file_has_all_that_a_simulation_needs(name: str, tmp_path: Path) -> None:
    plan = solve(read_spec(SPECS / f"{name}.yaml"), SolveOptions(time_limit_s=10.0))
    assert not check_plan(plan)
    write_plan(plan, tmp_path / "plan.json")
    again = read_plan(tmp_path / "plan.json")
    traffic = Poisson(0.2, FixedLengths(40, 8))
    outcomes = [
        simulate(pipeline_of_plan(p), traffic, CHUNKED, Window(300.0, 30.0)) for p in (plan, again)
    ]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].finished > 30
    assert [use.stage for use in outcomes[0].stages] == [stage.id for stage in plan.stages]
