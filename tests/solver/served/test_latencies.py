"""The latencies at a part of the served rate, held against the simulator and by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from support.clusters import device_type, host, link, profile, spec_of, tiny_model

from hexplan.workload import Lengths, Workload
from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.objectives.sustained.candidate import Candidate, tuned, with_flow
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.latencies import latencies_at
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import CHUNKED, WHOLE, Poisson, Policy, SpreadLengths, Window, simulate

LENGTHS = Lengths(mean=100, max=200)


def chain(policy: Policy = CHUNKED) -> Candidate:
    """Three like hosts in a chain, 20 ms from each other."""
    far = link("here", "here", 10**7).model_copy(update={"latency_s": Decimal("0.02")})
    spec = spec_of(
        tiny_model(12),
        [host(f"h{i}", ["d"]) for i in range(3)],
        types=[device_type("d", memory_bytes=6 * 10**6, speed=10**8)],
        profiles=[profile("d", [1000, 400, 250, 190])],
        links=[far],
    )
    spec = replace(spec, workload=Workload(prompt_tokens=LENGTHS, output_tokens=LENGTHS))
    problem = build_problem(spec)
    rates = problem.kinds[0].rates
    stages = [
        PlacedStage((first, first + 4), f"h{i}", (0,), 0, rates.of(first, first + 4))
        for i, first in enumerate((0, 4, 8))
    ]
    return tuned(with_flow(evaluate(problem, stages), widest(spec, policy)))


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_formula_comes_near_the_simulator_below_the_served_rate(load: float) -> None:
    found = chain()
    workload = found.evaluated.problem.spec.workload
    times = latencies_at(load, found.pipeline, workload, found.policy, found.served)
    assert times is not None
    traffic = Poisson(load * found.served.requests_per_s, SpreadLengths(LENGTHS, LENGTHS))
    outcome = simulate(found.pipeline, traffic, found.policy, Window(120, 40, seed=3))
    assert outcome.ttft is not None
    assert outcome.tpot is not None
    assert times.tpot_s == pytest.approx(outcome.tpot.mean_s, rel=0.3)
    if load <= 0.5:
        # At higher loads prompts may queue for longer than the means of the formula say.
        assert times.ttft_s == pytest.approx(outcome.ttft.mean_s, rel=0.5)


def test_a_lighter_load_never_makes_tokens_slower() -> None:
    found = chain()
    workload = found.evaluated.problem.spec.workload
    tpots = [
        times.tpot_s
        for load in (0.2, 0.5, 0.8)
        if (times := latencies_at(load, found.pipeline, workload, found.policy, found.served))
    ]
    assert len(tpots) == 3
    assert tpots == sorted(tpots)
    assert found.served.tpot_s is not None
    assert tpots[-1] <= found.served.tpot_s


def test_nothing_is_known_of_latencies_where_prompts_run_whole() -> None:
    found = chain(WHOLE)
    workload = found.evaluated.problem.spec.workload
    assert latencies_at(0.8, found.pipeline, workload, found.policy, found.served) is None
