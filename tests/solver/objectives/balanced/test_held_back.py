"""Slow stages get as little of the traffic as the latencies allow, instead of nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from support.changes import change_predicted

from hexplan.check import check_plan
from hexplan.plan import Plan, SolveInfo
from hexplan.reading import parse_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.bounds.work_bound import quick_bound
from hexplan_solver.objectives.balanced.choice import Balanced
from hexplan_solver.objectives.balanced.objective import balanced_draft
from hexplan_solver.objectives.balanced.throttle import throttled
from hexplan_solver.objectives.sustained.candidate import Candidate, with_flow
from hexplan_solver.objectives.sustained.figures import with_estimate
from hexplan_solver.objectives.sustained.trial import Estimate
from hexplan_solver.options import be_silent
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.write import write_plan
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run
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
LOAD = 0.8
"""Share of the rate served at which latencies are measured."""


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


@cache
def side_by_side() -> tuple[Candidate, MeanLatencies]:
    """Return the old cards and the new one side by side, and the latencies at 0.8 of their rate."""
    spec = replace(mixed(), objective="throughput")
    problem = build_problem(spec)
    grid = next(g for g in uniform_placements(problem) if g.name.startswith("A100-80GB-SXM + "))
    whole = with_flow(grid.evaluated, widest(spec, CHUNKED))
    own = latencies_at(LOAD, whole.pipeline, spec.workload, whole.policy, whole.served)
    assert own is not None
    return whole, own


def test_late_routes_keep_less_the_less_is_allowed_and_others_keep_all() -> None:
    whole, own = side_by_side()
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


def test_no_route_is_held_back_where_the_others_get_no_requests() -> None:
    whole, own = side_by_side()
    flow, stages = whole.evaluated.flow, whole.evaluated.network.stages
    paths = tuple(
        path if stages[path.stages[0]].host == "new" else replace(path, amount=1)
        for path in flow.paths
    )
    few = replace(flow, value=sum(path.amount for path in paths), paths=paths)
    lone = with_flow(replace(whole.evaluated, flow=few), whole.policy)
    assert len(lone.pipeline.routes) < len(paths), "paths of next to no flow have no routes"
    assert throttled(lone, own, MeanLatencies(own.ttft_s, own.tpot_s / 100)) is None


def held_plan() -> Plan:
    """Return a plan whose old cards are held back, with figures by the formula."""
    whole, own = side_by_side()
    held = throttled(whole, own, MeanLatencies(own.ttft_s * 9, own.tpot_s * 0.9))
    assert held is not None
    found, run = held.found, Run(mixed(), OPTIONS, be_silent)
    run.lower(quick_bound(whole.evaluated.problem))
    draft = Draft(found.evaluated, run.proof(found.evaluated.value), objective="balanced")
    judged = Estimate.of(found, LOAD)
    plan = write_plan(
        balanced_draft(with_estimate(draft, found), Balanced(judged, judged), Decimal(2)),
        SolveInfo(wall_s=0.0, seed=0, versions={}),
    )
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def test_a_plan_says_what_its_held_back_routes_would_carry_and_check_refuses_another_part() -> None:
    plan = held_plan()
    balance = plan.predicted.balance
    assert balance is not None
    held = balance.held_back
    assert held is not None
    certificate, part = plan.certificate, held.part
    assert certificate.flow_tokens_per_s < certificate.cut_tokens_per_s
    others = tuple(i for i in range(len(plan.routes)) if i not in held.routes)
    for changed, rule in (
        (None, "HEX707"),
        (held.model_copy(update={"part": part * Decimal("1.01")}), "HEX707"),
        (held.model_copy(update={"part": part * Decimal("0.99")}), "HEX706"),
        (held.model_copy(update={"routes": held.routes[:1]}), "HEX707"),
        (held.model_copy(update={"routes": others}), "HEX706"),
    ):
        forged = change_predicted(plan, balance=balance.model_copy(update={"held_back": changed}))
        assert rule in {violation.rule for violation in check_plan(forged)}, changed
