"""Rules for two hosts under a rule for sites: the trunk and the policy of that rule stay."""

from __future__ import annotations

import pytest
from support.brute_links import best_linked_flow
from support.clusters import host, link, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.cluster import Link
from hexplan.spec import Spec
from hexplan_solver import solve
from hexplan_solver.explain.changes import one_more_host
from hexplan_solver.infeasible import explain_infeasible
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.problem.zones import zones_of

MODEL = tiny_model(2)
TOKEN_BYTES = MODEL.hidden * MODEL.dtype_bytes
MICRO = 10**6
CROSSING = [(f"a{i}", f"b{j}") for i in range(2) for j in range(2)]
OVER = ("a", "b")


def one_way_spec(*rules: Link) -> Spec:
    """Two sites of two hosts of one layer each: requests run layer 0 in `a` and layer 1 in `b`."""
    hosts = [host(f"{site}{i}", ["d0"], site) for site in "ab" for i in range(2)]
    links = [link("coordinator", "a"), link("b", "coordinator"), *rules]
    return spec_of(MODEL, hosts, profiles=[profile("d0", [100.0])], links=links)


def best_flow(spec: Spec) -> float:
    plan = solve(spec)
    assert check_plan(plan) == ()
    flow = float(plan.certificate.flow_tokens_per_s)
    assert flow == pytest.approx(best_linked_flow(spec, 0.0), rel=1e-5)
    return flow


@pytest.mark.parametrize("num_measured", [1, 4])
def test_pairs_with_a_rule_of_their_own_still_share_the_trunk(num_measured: int) -> None:
    trunk = link(*OVER, bandwidth=50 * TOKEN_BYTES, trunk=70 * TOKEN_BYTES)
    measured = [link(*pair, under=OVER) for pair in CROSSING[:num_measured]]
    assert best_flow(one_way_spec(trunk, *measured)) == pytest.approx(70, rel=1e-5)


def test_a_rule_for_two_hosts_that_is_under_none_leaves_the_trunk() -> None:
    trunk = link(*OVER, trunk=70 * TOKEN_BYTES)
    free = [link(*pair) for pair in CROSSING]
    assert best_flow(one_way_spec(trunk, *free)) == pytest.approx(200, rel=1e-5)


def test_a_measured_bandwidth_holds_within_the_trunk() -> None:
    trunk = link(*OVER, trunk=70 * TOKEN_BYTES)
    slow = [link(*pair, 10 * TOKEN_BYTES, under=OVER) for pair in CROSSING]
    assert best_flow(one_way_spec(trunk, *slow)) == pytest.approx(40, rel=1e-5)


def test_what_sites_exchange_counts_each_pair_once_and_the_trunk_for_all() -> None:
    def inward(trunk_tokens: int | None) -> int:
        trunk = None if trunk_tokens is None else trunk_tokens * TOKEN_BYTES
        rule = link(*OVER, bandwidth=20 * TOKEN_BYTES, trunk=trunk)
        measured = [link(*pair, 5 * TOKEN_BYTES, under=OVER) for pair in CROSSING[:3]]
        problem = build_problem(one_way_spec(rule, *measured))
        return sum(zone.inward for zone in zones_of(problem, 1000 * MICRO)) // MICRO

    assert inward(None) == 20 + 3 * 5
    assert inward(30) == 30


def test_a_policy_holds_for_the_pairs_under_its_rule_and_is_named_once() -> None:
    """No host of `a` holds layer 1 beside layer 0, and there is only one in each site."""
    sites = [link(*ends) for ends in ("aa", "ab", "ba", "bb")]
    rules = [
        rule if rule.source == rule.target else rule.model_copy(update={"allow": "tokens"})
        for rule in sites
    ]
    hosts = [host(f"{site}0", ["d0"], site) for site in "ab"]
    measured = [link("a0", "b0", under=("a", "b")), link("b0", "a0", under=("b", "a"))]
    spec = spec_of(MODEL, hosts, profiles=[profile("d0", [100.0])], links=[*rules, *measured])
    assert spec.cluster.link("a0", "b0") is None
    reason = explain_infeasible(spec)
    assert reason is not None
    told = "no plan exists under `allow: tokens` between a and b: a request can pass only\n"
    assert reason.message.startswith(told)
    assert reason.message.count("`allow:") == 1


def test_one_more_host_is_under_its_own_copy_of_a_rule() -> None:
    """The rule from a0 to the site b has a trunk, and so has that of its twin."""
    own = [link(f"a{i}", "b", trunk=30 * TOKEN_BYTES) for i in range(2)]
    measured = [link("a0", "b0", under=("a0", "b")), link("a0", "b1", under=("a0", "b"))]
    more = one_more_host(one_way_spec(*own, *measured), "a0")
    assert more.cluster.over(more.cluster.links[-1]).source == "a0-more-1"
    assert best_flow(more) == pytest.approx(90, rel=1e-5)
