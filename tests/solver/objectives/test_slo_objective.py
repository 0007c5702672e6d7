"""Plans for an SLO: the promise holds in a simulation at the rate, and not far above it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from support.clusters import device_type, host, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.errors import LimitReached
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan.workload import Lengths, Slo
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import Poisson, SpreadLengths, Window, pipeline_of_plan, simulate
from hexplan_solver.simulate import Slo as Promise


def promising(ttft: str, tpot: str) -> Spec:
    spec = spec_of(
        tiny_model(8),
        [host("slow", ["d0"]), host("fast", ["d1"])],
        types=[device_type("d0", speed=10**8), device_type("d1", speed=4 * 10**8)],
    )
    slo = Slo(ttft_s=Decimal(ttft), tpot_s=Decimal(tpot), attainment=Decimal("0.9"))
    workload = spec.workload.model_copy(update={"slo": slo})
    return replace(spec, workload=workload, objective="slo")


def solved(spec: Spec) -> Plan:
    plan = solve(spec, SolveOptions(time_limit_s=120, effort_s=3))
    assert [str(violation) for violation in check_plan(plan)] == []
    assert plan.objective == "slo"
    assert plan.cluster == spec.cluster
    return plan


def attained(plan: Plan, ttft_s: float, tpot_s: float, rate: float) -> float:
    side = Lengths(mean=64, max=64)
    traffic = Poisson(rate, SpreadLengths(side, side))
    window = Window(1500 / rate, 300 / rate, seed=7, slo=Promise(ttft_s, tpot_s))
    outcome = simulate(pipeline_of_plan(plan), traffic, window=window)
    assert outcome.slo is not None
    return outcome.slo.attainment


def test_the_promise_holds_at_the_rate_for_other_random_numbers_and_not_at_twice_it() -> None:
    plan = solved(promising("0.03", "0.015"))
    assert plan.predicted.slo_requests_per_s is not None
    rate = float(plan.predicted.slo_requests_per_s)
    assert rate > 0
    assert attained(plan, 0.03, 0.015, rate) > 0.8
    assert attained(plan, 0.03, 0.015, 2 * rate) < 0.9
    assert "simulation of" in str(plan.predicted.latency_basis)


@pytest.mark.slow
def test_a_looser_promise_is_kept_at_no_smaller_rate() -> None:
    strict, loose = (
        solved(promising(ttft, tpot)).predicted.slo_requests_per_s
        for ttft, tpot in (("0.02", "0.01"), ("0.2", "0.04"))
    )
    assert strict is not None
    assert loose is not None
    assert strict <= loose


@pytest.mark.slow
def test_a_promise_that_no_plan_keeps_is_refused_with_what_is_possible() -> None:
    with pytest.raises(LimitReached, match="no plan was found that keeps 0.0001 s") as caught:
        solve(promising("0.0001", "0.0001"), SolveOptions(time_limit_s=60, effort_s=1))
    assert "even at a low rate the means are" in str(caught.value.hint)
