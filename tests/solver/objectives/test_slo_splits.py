"""Plans for an SLO that prefill and decode on different stages, where that serves more."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from support.changes import change_predicted
from support.split_specs import specialists

from hexplan.check import check_plan
from hexplan.errors import LimitReached
from hexplan.plan import Plan
from hexplan_solver import SolveOptions, solve
from hexplan_solver.objectives.slo.estimate import promised_rate
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.repeat import repeat
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import (
    CHUNKED,
    PipelineModel,
    Poisson,
    Policy,
    Slo,
    Window,
    pipeline_of_placement,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)
from hexplan_solver.start.uniform import uniform_placements

SPEC = specialists()
HASTY = SolveOptions(time_limit_s=120, effort_s=1)


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The plan of two hosts, one made for prompts and one for decodes."""
    return solve(SPEC, HASTY)


def attained(pipeline: PipelineModel, policy: Policy, rate: float) -> float:
    """Return the share of 600 requests that keep the promise, with other random numbers."""
    window = Window(650 / rate, 50 / rate, seed=7, slo=Slo.of(SPEC.workload))
    traffic = Poisson(rate, spread_lengths(SPEC.workload))
    outcome = simulate(pipeline, traffic, policy, window)
    assert outcome.slo is not None
    return outcome.slo.attainment


def test_the_fast_computer_prefills_and_the_fast_reader_decodes(plan: Plan) -> None:
    assert {stage.host: stage.phase for stage in plan.stages} == {
        "prompts": "prefill",
        "decodes": "decode",
    }
    (handover,) = plan.handovers
    assert sum(end - first for move in handover.kv_moves for first, end in [move.layers]) == 4
    assert plan.predicted.sustained is None
    assert plan.objective == "slo"


def test_a_split_plan_keeps_every_rule_and_its_figures_come_out_again(plan: Plan) -> None:
    assert [str(violation) for violation in check_plan(plan, repeat(plan))] == []


def test_the_promise_holds_where_no_grid_that_serves_both_keeps_it(plan: Plan) -> None:
    rate = float(plan.predicted.slo_requests_per_s or 0)
    assert attained(pipeline_of_plan(plan), policy_of_plan(plan), rate) > 0.8
    problem = build_problem(replace(SPEC, objective="throughput"))
    for grid in uniform_placements(problem):
        found = grid.evaluated
        pipeline = pipeline_of_placement(problem, found.network, found.flow)
        assert attained(pipeline, widest(SPEC, CHUNKED), rate) < 0.9


def test_without_splits_no_plan_keeps_the_promise() -> None:
    limits = SPEC.cluster.limits.model_copy(update={"phases": "together"})
    cluster = SPEC.cluster.model_copy(update={"limits": limits})
    with pytest.raises(LimitReached):
        solve(replace(SPEC, cluster=cluster), HASTY)


def test_a_rate_and_times_that_the_stages_of_a_phase_cannot_serve_are_refused(plan: Plan) -> None:
    run, rate = plan.predicted.run, plan.predicted.slo_requests_per_s
    assert run is not None
    assert rate is not None
    faster = run.model_copy(update={"requests_per_s": rate * 10})
    quick = Decimal("0.005")
    for changed, rule in (
        (change_predicted(plan, slo_requests_per_s=rate * 10, run=faster), "HEX717"),
        (change_predicted(plan, ttft_s=quick, tpot_s=quick), "HEX718"),
    ):
        assert {violation.rule for violation in check_plan(changed)} == {rule}


def test_the_model_of_steps_is_near_what_a_split_serves(plan: Plan) -> None:
    assert SPEC.workload.slo is not None
    guess = promised_rate(
        pipeline_of_plan(plan), SPEC.workload, policy_of_plan(plan), SPEC.workload.slo
    )
    assert 0.4 < guess / float(plan.predicted.slo_requests_per_s or 0) < 2.5
