"""Rehearsed rates are hardly above what is possible, and the check refuses larger ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import islice

import pytest
from support.changes import change_predicted
from support.growing import growing

from hexplan.check import check_plan
from hexplan.check.figures.possible import most_requests_per_s
from hexplan.check.lookup import Lookup
from hexplan.plan import Plan, SolveInfo
from hexplan.workload import Lengths, Workload
from hexplan_solver import SolveOptions
from hexplan_solver.bounds.work_bound import quick_bound
from hexplan_solver.objectives.sustained.candidate import tuned, with_flow
from hexplan_solver.objectives.sustained.figures import with_estimate
from hexplan_solver.options import be_silent
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.write import write_plan
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import CHUNKED
from hexplan_solver.start.uniform import uniform_placements

DECODES, PROMPTS = (8, 64), (512, 2)
"""Prompt and output tokens of requests whose steps are mostly decodes, or mostly prompts."""


def plans_of(seed: int, tokens: tuple[int, int]) -> Iterator[Plan]:
    """Yield uniform placements on a random cluster as plans, with their rehearsed rates."""
    prompt, output = (Lengths(mean=count, max=count) for count in tokens)
    workload = Workload(prompt_tokens=prompt, output_tokens=output)
    spec = replace(growing(seed)[1], workload=workload, objective="throughput")
    problem = build_problem(spec)
    for grid in islice(uniform_placements(problem), 3):
        found = tuned(with_flow(grid.evaluated, widest(spec, CHUNKED)))
        run = Run(spec, SolveOptions(), be_silent)
        run.lower(quick_bound(problem))
        draft = Draft(found.evaluated, run.proof(found.evaluated.value), objective="throughput")
        info = SolveInfo(wall_s=0.0, seed=0, versions={})
        yield write_plan(with_estimate(draft, found), info)


def claiming(plan: Plan, factor: Fraction) -> Plan:
    """Return the plan with a rate that is so many times what is possible."""
    sustained, most = plan.predicted.sustained, most_requests_per_s(Lookup.of(plan), "chunked")
    assert sustained is not None
    assert most is not None
    rate = round(Decimal(float(most * factor)), 6)
    decodes = rate * (plan.workload.output_tokens.mean - 1)
    changed = {"requests_per_s": rate, "decode_tokens_per_s": decodes}
    return change_predicted(plan, sustained=sustained.model_copy(update=changed))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("tokens", [DECODES, PROMPTS])
def test_no_rehearsed_rate_is_above_what_is_possible(seed: int, tokens: tuple[int, int]) -> None:
    plans = list(plans_of(seed, tokens))
    assert plans
    for plan in plans:
        assert [str(violation) for violation in check_plan(plan)] == []
        near = {v.rule for v in check_plan(claiming(plan, Fraction("1.09")))}
        far = {v.rule for v in check_plan(claiming(plan, Fraction("1.11")))}
        assert "HEX717" in far
        assert "HEX717" not in near
