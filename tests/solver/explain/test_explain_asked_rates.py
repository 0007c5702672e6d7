"""A plan for a rate is explained at the largest flow of its stages, not at the rate."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from support.clusters import host, profile, spec_of, tiny_model

from hexplan.constants import MICRO
from hexplan.render import explanation_text, plan_text
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, explain, solve
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.plans.read_back import read_back
from hexplan_solver.problem.problem import build_problem

MEASURED = [profile("d0", [100, 60]), profile("d1", [400, 240])]


def asking(requests_per_s: float) -> Spec:
    hosts = [host("slow", ["d0"]), host("fast", ["d1"])]
    spec = spec_of(tiny_model(2), hosts, profiles=MEASURED)
    workload = spec.workload.model_copy(update={"request_rate_per_s": requests_per_s})
    return replace(spec, workload=workload, objective="latency")


def test_nothing_is_called_used_up_that_is_not() -> None:
    plan = solve(asking(0.1), SolveOptions(time_limit_s=4))
    explanation = explain(plan)
    back = read_back(build_problem(Spec(plan.cluster, plan.model, plan.workload)), plan.stages)
    largest = max_flow(build_network(back.problem.spec, back.stages)).value
    assert explanation.flow_tokens_per_s == Decimal(largest) / MICRO
    assert explanation.sent_tokens_per_s == plan.certificate.flow_tokens_per_s
    shares = sum(binding.share for binding in explanation.bottleneck)
    assert shares == pytest.approx(1, abs=Decimal("0.001"))
    shown, explained = (
        " ".join(text.split()) for text in (plan_text(plan), explanation_text(explanation))
    )
    assert "used up:" not in shown
    assert "The plan sends only what was asked. These would limit more, at 240.0 tokens" in shown
    assert "gap none stated: the plan carries the rate that was asked" in shown
    assert (
        "12.8 tokens/s are sent, as asked; the stages could pass more: 240.0 tokens/s" in explained
    )


def test_show_and_explain_give_one_reason_for_an_idle_device() -> None:
    """More flow would not make this plan better, so it is no improvement."""
    plan = solve(asking(0.1), SolveOptions(time_limit_s=4))
    (unused,) = plan.unused
    (idle,) = explain(plan).idle
    assert idle.reason == unused.reason == "no placement was found in which it shortens a request"
    assert idle.best_layers is None


def test_a_plan_of_largest_flow_sends_all_of_it() -> None:
    plan = solve(replace(asking(0.1), objective="throughput"), SolveOptions(time_limit_s=4))
    assert explain(plan).sent_tokens_per_s is None
    assert "they are used up:" in " ".join(plan_text(plan).split())
