"""Slow stages get as little of the traffic as the latencies allow, instead of nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.objectives.balanced.throttle import throttled
from hexplan_solver.objectives.sustained.candidate import with_flow
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.latencies import MeanLatencies, latencies_at
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import CHUNKED
from hexplan_solver.start.uniform import uniform_placements

TEXT = """\
version: 1
name: mixed
model: {name: llama-3.1-8b, dtype: float16}
workload: {prompt_tokens: 1024, output_tokens: 256}
hosts:
  - {name: old, site: lab, devices: 2 x V100-32GB, interconnect: pcie3, nic: 10Gbps}
  - {name: new, site: lab, devices: A100-80GB, nic: 10Gbps}
coordinator: {site: lab, nic: 10Gbps}
links: [{within: lab, bandwidth: 10Gbps, latency: 0.1ms}]
"""
OPTIONS = SolveOptions(time_limit_s=290, effort_s=20)
"""More time than the effort takes, so that the clock decides nothing on a busy machine either."""


def mixed() -> Spec:
    """Two old cards beside a new one, each of which holds the model."""
    return replace(parse_spec(TEXT, Path("mixed.yaml")), objective="balanced")


@pytest.mark.slow
def test_old_cards_serve_beside_a_new_one_as_far_as_latencies_allow() -> None:
    plan = solve(mixed(), OPTIONS)
    assert [str(violation) for violation in check_plan(plan)] == []
    assert {stage.host for stage in plan.stages} == {"old", "new"}
    alone = solve(_without_old(), OPTIONS)
    assert _rate(plan) > 1.2 * _rate(alone)


def _without_old() -> Spec:
    spec = mixed()
    hosts = tuple(host for host in spec.cluster.hosts if host.name == "new")
    return replace(spec, cluster=spec.cluster.model_copy(update={"hosts": hosts}))


def _rate(plan: Plan) -> float:
    sustained = plan.predicted.sustained
    assert sustained is not None
    assert sustained.simulated is not None
    return float(sustained.simulated.decode_tokens_per_s)


def test_late_routes_keep_less_the_less_is_allowed_and_others_keep_all() -> None:
    spec = replace(mixed(), objective="throughput")
    problem = build_problem(spec)
    grid = next(g for g in uniform_placements(problem) if g.name.startswith("A100-80GB-SXM + "))
    whole = with_flow(grid.evaluated, widest(spec, CHUNKED))
    own = latencies_at(0.8, whole.pipeline, spec.workload, whole.policy, whole.served)
    assert own is not None
    assert throttled(whole, own, MeanLatencies(own.ttft_s, own.tpot_s)) is None
    parts = []
    for share in (0.95, 0.9, 0.85):
        held = throttled(whole, own, MeanLatencies(own.ttft_s * 9, own.tpot_s * share))
        assert held is not None
        parts.append(held.part)
        before = {path.stages: path.amount for path in whole.evaluated.flow.paths}
        after = {path.stages: path.amount for path in held.found.evaluated.flow.paths}
        stages = whole.evaluated.network.stages
        for route, amount in before.items():
            is_old = stages[route[0]].host == "old"
            kept = after.get(route, 0)
            assert kept < amount if is_old else kept == amount
    assert parts == sorted(parts, reverse=True)
