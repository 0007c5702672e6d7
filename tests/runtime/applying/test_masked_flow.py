"""What is left of a plan's flow while routes are masked, on plans worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.plans import profiled_plan, two_hosts_plan, two_sites_plan

from hexplan.plan import Plan
from hexplan_runtime.applying.masked_flow import masked_flow_tokens_per_s

PLANS = [two_hosts_plan(), profiled_plan(), two_sites_plan()]


@pytest.mark.parametrize("plan", PLANS)
def test_with_no_route_masked_it_is_the_flow_of_the_plan(plan: Plan) -> None:
    flow = plan.certificate.flow_tokens_per_s
    assert masked_flow_tokens_per_s(plan, ()) >= flow * (1 - Decimal("1e-6"))


@pytest.mark.parametrize("plan", PLANS)
def test_each_route_that_is_masked_takes_some_and_all_take_all(plan: Plan) -> None:
    routes = range(len(plan.routes))
    whole = masked_flow_tokens_per_s(plan, ())
    for left in routes:
        alone = masked_flow_tokens_per_s(plan, set(routes) - {left})
        assert Decimal(0) < alone <= whole
        stages = {stage.id: stage for stage in plan.stages}
        slowest = min(stages[hop.stage].capacity_tokens_per_s for hop in plan.routes[left].hops)
        assert alone <= slowest
    assert masked_flow_tokens_per_s(plan, routes) == 0
