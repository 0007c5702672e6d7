"""Plans for latency at a rate: no start and no uniform configuration is faster in the simulation.

On random clusters of odd hosts, with random numbers other than those of the search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean

import pytest
from support.growing import growing
from support.uniform_rivals import Rival, Times, uniform_rivals

from hexplan.check import check_plan
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.objectives.latency.offered import carrying_no_more
from hexplan_solver.objectives.sustained.search import all_starts
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.options import be_silent
from hexplan_solver.run import Run
from hexplan_solver.served.step_limits import widest, with_step_limits
from hexplan_solver.simulate import CHUNKED

OPTIONS = SolveOptions(time_limit_s=290, effort_s=20)
"""More time than the effort takes, so that the clock decides nothing on a busy machine either."""
SEED = 11
MORE = 1.04
"""A rival is faster if it is by this: random numbers make less of a difference."""


def planned(spec: Spec) -> Plan:
    plan = solve(spec, OPTIONS)
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def starts(spec: Spec) -> Iterator[Rival]:
    """Yield what the searches for a served rate start from, with the formula's step limits."""
    whole = replace(spec, objective="throughput")
    static = draft_throughput(whole, OPTIONS).evaluated
    for start in all_starts(Run(whole, OPTIONS, be_silent), static, widest(spec, CHUNKED)):
        policy, _ = with_step_limits(spec, start.pipeline, CHUNKED)
        yield Rival("start", spec, start.pipeline, policy)


def time_s(rival: Rival, spec: Spec, seed: int = SEED) -> float | None:
    """Return the mean time of a request at the rate asked; None if ever more of them wait."""
    rate = spec.workload.request_rate_per_s
    assert rate is not None
    outcome = rival.at(rate, seed)
    seen = [p.waiting + p.running for p in outcome.timeline if p.at_s >= outcome.warmup_s]
    half = len(seen) // 2
    rises = fmean(seen[half:]) > 1.3 * fmean(seen[:half]) + 5
    if outcome.turned_away or outcome.ttft is None or rises:
        return None
    return Times.of(outcome).stay_s(spec)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.3, 1.0, 3.0])
def test_no_start_and_no_uniform_configuration_is_faster(seed: int, share: float) -> None:
    """At 0.3, 1 and 3 times the rate that the smaller cluster is asked for."""
    spec = growing(seed)[1]
    asked = spec.workload.request_rate_per_s
    assert asked is not None
    workload = spec.workload.model_copy(update={"request_rate_per_s": share * asked})
    spec = replace(spec, workload=workload)
    rivals = [*starts(spec), *uniform_rivals(spec)]
    try:
        own_s = time_s(Rival.of_plan(planned(spec), spec), spec)
    except (InfeasibleError, LimitReached):
        assert [rival.name for rival in rivals if time_s(rival, spec) is not None] == []
        return
    for rival in rivals:
        # At the edge of what can be carried, queues may rise with other random numbers.
        its_s = time_s(rival, spec)
        assert its_s is None or (own_s is not None and own_s <= MORE * its_s), rival.name


def test_a_flow_that_is_scaled_down_keeps_to_the_shares_of_its_routes() -> None:
    spec = growing(3)[1]
    whole = draft_throughput(replace(spec, objective="throughput"), OPTIONS).evaluated
    for needed in (1, 7, 12_345, whole.value // 3, whole.value - 1, whole.value, whole.value + 1):
        scaled = carrying_no_more(whole, needed)
        kept = min(needed, whole.value)
        amounts = {path.stages: path.amount for path in scaled.flow.paths}
        assert scaled.value == sum(amounts.values()) == kept
        for path in whole.flow.paths:
            exact = path.amount * kept / whole.value
            assert abs(amounts.get(path.stages, 0) - exact) <= 1
            assert amounts.get(path.stages, 0) <= path.amount


@pytest.mark.slow
def test_the_same_effort_gives_the_same_plan() -> None:
    spec, options = growing(2)[1], replace(OPTIONS, effort_s=5)
    one, other = (solve(spec, options).model_dump(exclude={"solve"}) for _ in range(2))
    assert one == other
