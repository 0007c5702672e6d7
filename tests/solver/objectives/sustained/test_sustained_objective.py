"""The plan for a sustained rate, judged by the check and by the simulator."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.clusters import six_far_apart

from hexplan.check import check_plan
from hexplan.cluster import LayerPin
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan.workload import Lengths, Workload
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import (
    Offline,
    SpreadLengths,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)

OPTIONS = SolveOptions(time_limit_s=290, effort_s=25)
"""More time than the effort takes, so that the clock decides nothing on a busy machine either."""


def far_apart() -> Spec:
    """Six like hosts, 50 ms from each other; by their table, few layers each pass most tokens."""
    spec = six_far_apart("0.05")
    lengths = Lengths(mean=100, max=200)
    workload = Workload(prompt_tokens=lengths, output_tokens=lengths)
    return replace(spec, workload=workload, objective="sustained")


def simulated(plan: Plan, seed: int) -> float:
    lengths = Lengths(mean=100, max=200)
    traffic = Offline(SpreadLengths(lengths, lengths))
    window = Window(400, 150, seed)
    pipeline, policy = pipeline_of_plan(plan), policy_of_plan(plan)
    return simulate(pipeline, traffic, policy, window).decode_tokens_per_s


@pytest.fixture(scope="module")
def sustained() -> Plan:
    plan = solve(far_apart(), OPTIONS)
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


@pytest.fixture(scope="module")
def static() -> Plan:
    plan = solve(replace(far_apart(), objective="throughput"), OPTIONS)
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


@pytest.mark.slow
def test_the_plan_serves_more_than_the_one_of_largest_flow_for_other_random_numbers(
    sustained: Plan, static: Plan
) -> None:
    assert sustained.certificate.flow_tokens_per_s <= static.certificate.flow_tokens_per_s
    for seed in (11, 12):
        assert simulated(sustained, seed) > 1.05 * simulated(static, seed)


@pytest.mark.slow
def test_the_plan_states_what_it_serves_by_the_formula_and_in_the_simulator(
    sustained: Plan,
) -> None:
    rate = sustained.predicted.sustained
    assert sustained.objective == "sustained"
    assert rate is not None
    assert rate.simulated is not None
    # As many as the effort allows, in this order.
    assert rate.simulated.seeds == (0, 1, 2)[: len(rate.simulated.seeds)] != ()
    by_hand = simulated(sustained, 11)
    assert float(rate.simulated.decode_tokens_per_s) == pytest.approx(by_hand, rel=0.1)
    assert float(rate.decode_tokens_per_s) == pytest.approx(by_hand, rel=0.4)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_plan(sustained: Plan) -> None:
    again = solve(far_apart(), OPTIONS)
    assert again.model_copy(update={"solve": sustained.solve}) == sustained


def test_a_plan_of_another_objective_states_the_rehearsed_rate_alone() -> None:
    plan = solve(replace(far_apart(), objective="throughput"), OPTIONS)
    assert check_plan(plan) == ()
    assert plan.predicted.sustained is not None
    assert plan.predicted.sustained.simulated is None


@pytest.mark.slow
def test_a_pinned_host_keeps_its_layers() -> None:
    spec = far_apart()
    pins = (LayerPin(host="h0", layers=(0, 3)),)
    cluster = spec.cluster.model_copy(update={"layer_pins": pins})
    plan = solve(replace(spec, cluster=cluster), OPTIONS)
    assert check_plan(plan) == ()
    assert [stage.layers for stage in plan.stages if stage.host == "h0"] == [(0, 3)]
