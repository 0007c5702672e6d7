"""Candidates for an SLO: the model of steps is near simulations, and no uniform plan is ahead."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import device_type, host, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.spec import Spec
from hexplan.workload import Lengths, Slo
from hexplan_solver import SolveOptions, solve
from hexplan_solver.bounds.proof import Proof
from hexplan_solver.objectives.slo.candidate import SloCandidate, candidates_of
from hexplan_solver.objectives.slo.estimate import promised_rate
from hexplan_solver.objectives.slo.judge import Judge, rate_at, step_below
from hexplan_solver.options import be_silent
from hexplan_solver.plans.draft import Draft
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run
from hexplan_solver.start.uniform import uniform_placements

PROMISE = Slo(ttft_s=Decimal("0.2"), tpot_s=Decimal("0.02"), attainment=Decimal("0.95"))


def four_alike(slo: Slo = PROMISE) -> Spec:
    """A host with four like devices, and requests of 64 + 64 tokens."""
    spec = spec_of(
        tiny_model(8),
        [host("h", ["d0"] * 4)],
        types=[device_type("d0", speed=10**8)],
    )
    lengths = Lengths(mean=64, max=64)
    workload = spec.workload.model_copy(
        update={"slo": slo, "prompt_tokens": lengths, "output_tokens": lengths}
    )
    return replace(spec, workload=workload, objective="slo")


def every_uniform(spec: Spec) -> dict[str, list[SloCandidate]]:
    slo = spec.workload.slo
    assert slo is not None
    return {
        grid.name: candidates_of(
            Draft(grid.evaluated, Proof(grid.evaluated.value, "made up", "feasible")), slo
        )
        for grid in uniform_placements(build_problem(replace(spec, objective="throughput")))
    }


def judge_of(spec: Spec) -> Judge:
    assert spec.workload.slo is not None
    return Judge(Run(spec, SolveOptions(time_limit_s=1000), be_silent), spec.workload.slo)


def test_replicas_keep_the_promise_up_to_about_the_rate_of_the_model_of_steps() -> None:
    spec = four_alike()
    judge = judge_of(spec)
    found = every_uniform(spec)
    for name in ("d0: TP 4 x PP 1 x DP 1", "d0: TP 1 x PP 1 x DP 4"):
        candidate = found[name][0]
        assert candidate.guess > 0
        assert judge.short(candidate, step_below(candidate.guess * 0.7)) is not None
        assert judge.short(candidate, step_below(candidate.guess * 1.5)) is None


def test_short_prompts_share_steps_in_the_model_as_they_do_in_simulations() -> None:
    spec = four_alike()
    short, long = Lengths(mean=4, max=4), Lengths(mean=16, max=16)
    requests = spec.workload.model_copy(update={"prompt_tokens": short, "output_tokens": long})
    spec = replace(spec, workload=requests)
    judge, candidate = judge_of(spec), every_uniform(spec)["d0: TP 4 x PP 1 x DP 1"][0]
    assert judge.short(candidate, step_below(candidate.guess * 0.7)) is not None
    assert judge.short(candidate, step_below(candidate.guess * 1.5)) is None


def test_a_late_route_of_many_requests_keeps_no_promise_by_the_model() -> None:
    spec = four_alike()
    types = [device_type("d0", speed=10**8), device_type("d1", speed=5 * 10**6)]
    hosts = [host("h", ["d0"]), host("old", ["d1", "d1"])]
    mixed = replace(spec_of(tiny_model(8), hosts, types=types), workload=spec.workload)
    found = every_uniform(mixed)
    fast, slow = (
        found[f"{name} x PP 1 x DP {n}"][0] for name, n in (("d0: TP 1", 1), ("d1: TP 1", 2))
    )
    both = found["d0 + d1: TP 1 x PP 1 x DP 3"][0]
    late = sum(sorted(route.weight for route in both.pipeline.routes)[:2])
    assert late > 0.05 * sum(route.weight for route in both.pipeline.routes)
    assert fast.guess > 0
    assert slow.guess == both.guess == 0
    assert judge_of(mixed).short(both, step_below(fast.guess / 10)) is None


@settings(max_examples=20, deadline=None)
@given(ttft_ms=st.integers(1, 1000), tpot_ms=st.integers(1, 100), looser=st.floats(1.0, 3.0))
def test_a_looser_promise_has_no_smaller_rate_by_the_model(
    ttft_ms: int, tpot_ms: int, looser: float
) -> None:
    spec = four_alike()
    candidate = every_uniform(spec)["d0: TP 2 x PP 2 x DP 1"][0]

    def guess(factor: float) -> float:
        slo = Slo(
            ttft_s=Decimal(repr(ttft_ms * factor / 1000)),
            tpot_s=Decimal(repr(tpot_ms * factor / 1000)),
        )
        return promised_rate(candidate.pipeline, spec.workload, candidate.policy, slo)

    assert guess(1.0) <= guess(looser)


def test_rates_of_the_grid_lie_2_percent_apart() -> None:
    for rate in (0.01, 0.99, 1.0, 7.3):
        assert rate_at(step_below(rate)) <= rate * (1 + 1e-9)
        assert rate_at(step_below(rate) + 1) > rate


@pytest.mark.slow
def test_no_uniform_placement_keeps_the_promise_far_above_the_plan() -> None:
    spec = four_alike()
    plan = solve(spec, SolveOptions(time_limit_s=120, effort_s=20))
    assert check_plan(plan) == ()
    stated = plan.predicted.slo_requests_per_s
    assert stated is not None
    judge, step = judge_of(spec), step_below(float(stated) * 1.05)
    for candidates in every_uniform(spec).values():
        for candidate in candidates:
            assert judge.long(candidate, step, 2000) is None
