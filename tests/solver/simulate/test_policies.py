"""Plans under `allow`: what must not leave a site stays there."""

from __future__ import annotations

import pytest
from support.brute import best_flow
from support.clusters import host, link, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve

SITES = ("x", "y")


def two_sites(allow: str) -> Spec:
    links = [link(a, b) for a in SITES for b in SITES]
    links = [
        rule if rule.source == rule.target else rule.model_copy(update={"allow": allow})
        for rule in links
    ]
    hosts = [host(f"h{i}", ["d0"], SITES[i // 2]) for i in range(4)]
    return spec_of(tiny_model(3), hosts, profiles=[profile("d0", [500, 240, 110])], links=links)


def solved(spec: Spec) -> Plan:
    plan = solve(spec, SolveOptions(time_limit_s=2))
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def crossings(plan: Plan) -> int:
    site = {stage.id: plan.cluster.site_of(stage.host) for stage in plan.stages}
    inner = [edge for edge in plan.edges if edge.source in site and edge.target in site]
    return sum(site[edge.source] != site[edge.target] for edge in inner)


@pytest.mark.parametrize("allow", ["all", "tokens", "none"])
def test_the_best_plan_under_a_policy_is_found_and_obeys_it(allow: str) -> None:
    spec = two_sites(allow)
    plan = solved(spec)
    assert int(plan.certificate.flow_tokens_per_s * 10**6) == best_flow(spec)
    if allow != "all":
        assert crossings(plan) == 0
    used = {plan.cluster.site_of(stage.host) for stage in plan.stages}
    assert used == ({"x"} if allow == "none" else {"x", "y"})
