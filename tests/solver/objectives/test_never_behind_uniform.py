"""Plans serve no less than any uniform configuration that keeps to the same latencies.

On random clusters of odd hosts, with random numbers other than those of the search.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from support.growing import growing
from support.uniform_rivals import Rival, Times, uniform_rivals

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan.workload import Objective, Slo
from hexplan_solver import SolveOptions, solve
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import Slo as Promise

OPTIONS = SolveOptions(time_limit_s=290, effort_s=5)
"""More time than the effort takes, so that the clock decides nothing on a busy machine either."""
SEED = 11
MORE = 1.03
"""A rival serves more if it is ahead by this: random numbers make less of a difference."""
CLEARLY = 0.9
"""A rival keeps to latencies if its own are below this share of them."""
LIGHT = 0.1
"""Share of the rate served at which next to nothing waits, and some requests still end in a run."""
LOAD = 0.8
"""Share of the rate served at which `balanced` measures latencies."""
pytestmark = pytest.mark.slow


def planned(spec: Spec, objective: Objective) -> Plan:
    plan = solve(replace(spec, objective=objective), OPTIONS)
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def ahead(spec: Spec, plan: Plan) -> list[Rival]:
    """Return the uniform configurations that serve more than a plan, however late."""
    own = Rival.of_plan(plan, spec).full(SEED).decode_tokens_per_s
    return [
        rival for rival in uniform_rivals(spec) if rival.full(SEED).decode_tokens_per_s > MORE * own
    ]


@pytest.mark.parametrize("seed", range(4))
def test_a_balanced_plan_serves_no_less_than_any_uniform_configuration(seed: int) -> None:
    spec = growing(seed)[1]
    plan = planned(spec, "balanced")
    balance = plan.predicted.balance
    assert balance is not None
    most = Times(float(balance.ttft_s), float(balance.tpot_s))
    for rival in ahead(spec, plan):
        rate = LOAD * rival.full(SEED).requests_per_s
        assert not Times.of(rival.at(rate, SEED)).within(most, CLEARLY), rival.name


@pytest.mark.parametrize("seed", range(4))
def test_a_sustained_plan_serves_no_less_than_any_uniform_configuration(seed: int) -> None:
    spec = growing(seed)[1]
    plan = planned(spec, "sustained")
    flow = Rival.of_plan(planned(spec, "throughput"), spec)
    references = [
        Times.of(replace(flow, policy=policy).full(SEED)).stay_s(spec)
        for policy in (flow.policy, widest(spec, flow.policy))
    ]
    for rival in ahead(spec, plan):
        assert Times.of(rival.full(SEED)).stay_s(spec) > CLEARLY * max(references), rival.name


@pytest.mark.parametrize("seed", range(4))
def test_no_uniform_configuration_keeps_a_promise_at_a_clearly_larger_rate(seed: int) -> None:
    spec = growing(seed)[1]
    fastest = min(
        (
            Times.of(rival.at(LIGHT * rival.full(SEED).requests_per_s, SEED))
            for rival in uniform_rivals(spec)
        ),
        key=lambda times: times.tpot_s,
    )
    slo = Slo(
        ttft_s=Decimal(f"{4 * fastest.ttft_s:.6f}"),
        tpot_s=Decimal(f"{3 * fastest.tpot_s:.6f}"),
        attainment=Decimal("0.9"),
    )
    spec = replace(spec, workload=spec.workload.model_copy(update={"slo": slo}))
    rate = planned(spec, "slo").predicted.slo_requests_per_s
    assert rate is not None
    promise = Promise.of(spec.workload)
    for rival in uniform_rivals(spec):
        kept = rival.at(1.15 * float(rate), SEED, promise).slo
        assert kept is None or kept.attainment < 0.9, rival.name
