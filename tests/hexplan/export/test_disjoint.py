"""Whole replicas of plans that share stages: the best ones, and what they lose."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exported import Link, chains_plan, pipeline_plan
from support.exported import addressed as at
from support.plan_parts import BIG, edge, route
from support.plans import two_hosts_plan

from hexplan.engines import ENGINES
from hexplan.errors import CannotExpress
from hexplan.export.chains import Chain, chains_of
from hexplan.export.disjoint import best_disjoint
from hexplan.export.whole import whole_plan
from hexplan.plan import Plan

VLLM = ENGINES["vllm"]


def test_a_plan_of_whole_replicas_stays_as_it_is() -> None:
    plan = pipeline_plan()
    whole = whole_plan(plan, VLLM, disjoint=False)
    assert whole.plan is plan
    assert whole.loss == 0


def test_a_shared_stage_is_refused_with_its_routes_and_a_way_out() -> None:
    with pytest.raises(CannotExpress) as refused:
        whole_plan(two_hosts_plan(), VLLM, disjoint=False)
    assert refused.value.exit_code == 4
    assert "stage s0: it is in 2 routes" in refused.value.message
    assert "(routes 0, 1)" in refused.value.message
    assert "limits: {engine: vllm}" in (refused.value.hint or "")
    assert "--disjoint" in (refused.value.hint or "")


def diamond() -> Plan:
    """Return s0 and s2, which hold the first half, s1 and s3 the second, and three routes."""
    hosts = [at(name, [BIG], f"10.0.0.{i}") for i, name in enumerate("abcd", start=1)]
    base = chains_plan(
        hosts,
        (Link("a", (0,), (0, 3)), Link("c", (0,), (3, 6))),
        (Link("b", (0,), (0, 3)), Link("d", (0,), (3, 6))),
    )
    capacities = {"s0": "500", "s1": "200", "s2": "300", "s3": "600"}
    stages = tuple(
        one.model_copy(update={"capacity_tokens_per_s": Decimal(capacities[one.id])})
        for one in base.stages
    )
    edges = (
        edge("entry", "s0", 0, "250000", "500", "0.625"),
        edge("entry", "s2", 0, "250000", "300", "0.375"),
        edge("s0", "s1", 3, "250000", "200", "0.4"),
        edge("s0", "s3", 3, "250000", "300", "0.6"),
        edge("s2", "s3", 3, "250000", "300", "1"),
        edge("s1", "exit", 6, "250000", "200", "1"),
        edge("s3", "exit", 6, "250000", "600", "1"),
    )
    routes = (
        route((("s0", 0), ("s1", 3)), "200", "0.25"),
        route((("s0", 0), ("s3", 3)), "300", "0.375"),
        route((("s2", 0), ("s3", 3)), "300", "0.375"),
    )
    proof = base.certificate.model_copy(update={"flow_tokens_per_s": Decimal(800)})
    update = {"stages": stages, "edges": edges, "routes": routes, "certificate": proof}
    return base.model_copy(update=update)


def test_the_best_disjoint_routes_carry_what_their_stages_pass_alone() -> None:
    # s0>s1 and s2>s3 carry 200 + 300; s0>s3 alone carries 500, the least of its stages.
    whole = whole_plan(diamond(), VLLM, disjoint=True)
    assert whole.is_decomposed
    assert abs(whole.tokens_per_s - 500) < Decimal("0.001")
    assert whole.planned_tokens_per_s == 800
    assert abs(whole.loss - Decimal("0.375")) < Decimal("0.00001")


def test_a_stage_entered_inside_holds_the_layers_that_it_runs() -> None:
    hosts = [at("a", [BIG], "10.0.0.1"), at("b", [BIG], "10.0.0.2")]
    plan = chains_plan(hosts, (Link("a", (0,), (0, 4)), Link("b", (0,), (4, 6))))
    wide = plan.stages[1].model_copy(update={"layers": (2, 6)})
    plan = plan.model_copy(update={"stages": (plan.stages[0], wide)})
    with pytest.raises(CannotExpress, match="enters s1 at layer 4"):
        whole_plan(plan, VLLM, disjoint=False)
    whole = whole_plan(plan, VLLM, disjoint=True)
    assert [stage.layers for stage in whole.plan.stages] == [(0, 4), (4, 6)]


def test_what_no_chain_can_be_is_refused_even_disjoint() -> None:
    with pytest.raises(CannotExpress, match="its stages differ in their devices"):
        whole_plan(two_hosts_plan(), VLLM, disjoint=True)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=6, max_size=6), st.integers(1, 12))
def test_no_choice_of_disjoint_chains_carries_more(rates: list[int], line: int) -> None:
    plan = grid(rates, line)
    chains = chains_of(plan)
    found = best_disjoint(plan, chains)
    used = [name for one in found for name in one.chain.stages]
    assert len(used) == len(set(used))
    best = max(
        sum((c.most_tokens_per_s for c in some), Fraction(0))
        for size in range(1, 4)
        for some in combinations(chains, size)
        if _is_disjoint(some)
    )
    carried = sum((one.tokens_per_s for one in found), Decimal(0))
    assert abs(Fraction(carried) - best) < Fraction(1, 10**4)


def grid(rates: list[int], line: int) -> Plan:
    """Return three stages of the first half, each connected to three of the second.

    Edges carry `line` tokens/s each, and no two edges share what limits them.
    """
    names = "abcdef"
    hosts = [at(name, [BIG], f"10.0.0.{i}") for i, name in enumerate(names, start=1)]
    firsts, seconds = names[:3], names[3:]
    base = chains_plan(
        hosts,
        *(
            (Link(one, (0,), (0, 3)), Link(two, (0,), (3, 6)))
            for one, two in zip(firsts, seconds, strict=True)
        ),
    )
    stages = tuple(
        one.model_copy(update={"capacity_tokens_per_s": Decimal(rate)})
        for one, rate in zip(base.stages, rates, strict=True)
    )
    lefts = [one.id for one in stages if one.layers[0] == 0]
    rights = [one.id for one in stages if one.layers[0]]
    edges = [edge("entry", left, 0, "250000", "1", "0.3") for left in lefts]
    edges += [edge(left, right, 3, str(line), "1", "0.3") for left in lefts for right in rights]
    edges += [edge(right, "exit", 6, "250000", "1", "1") for right in rights]
    return base.model_copy(update={"stages": stages, "edges": tuple(edges)})


def _is_disjoint(some: tuple[Chain, ...]) -> bool:
    used = [name for chain in some for name in chain.stages]
    return len(used) == len(set(used))


def test_a_shared_network_card_limits_the_sum() -> None:
    # Both chains leave host a over its card of 1 MB/s: 128 bytes a token are 7812.5 tokens/s.
    hosts = [at("a", [BIG, BIG], "10.0.0.1"), at("b", [BIG, BIG], "10.0.0.2")]
    plan = chains_plan(
        hosts,
        (Link("a", (0,), (0, 3)), Link("b", (0,), (3, 6))),
        (Link("a", (1,), (0, 3)), Link("b", (1,), (3, 6))),
    )
    stages = tuple(
        one.model_copy(update={"capacity_tokens_per_s": Decimal(6000)}) for one in plan.stages
    )
    edges = tuple(
        one.model_copy(update={"capacity_tokens_per_s": Decimal("7812.5")})
        if "exit" not in (one.source, one.target) and one.source != "entry"
        else one
        for one in plan.edges
    )
    plan = plan.model_copy(update={"stages": stages, "edges": edges})
    found = best_disjoint(plan, chains_of(plan))
    assert abs(sum(one.tokens_per_s for one in found) - Decimal("7812.5")) < Decimal("0.001")
