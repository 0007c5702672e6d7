"""The verdict on good plans and on broken ones, each broken in one way."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from support.broken_balance import BALANCED, BROKEN_BALANCE
from support.broken_bounds import BROKEN_BOUNDS
from support.broken_certificates import BROKEN_CERTIFICATES
from support.broken_engines import BROKEN_ENGINES, GOOD_ENGINES
from support.broken_figures import BROKEN_FIGURES, GOOD_FIGURES
from support.broken_flows import BROKEN_FLOWS
from support.broken_objectives import BROKEN_OBJECTIVES, PRICED, on_spot
from support.broken_places import BROKEN_PLACES
from support.broken_sizes import BROKEN_SIZES
from support.broken_sustained import BROKEN_SUSTAINED, SUSTAINED
from support.changes import (
    Broken,
    change_certificate,
    change_edge,
    change_kv_tokens,
    change_memory,
    change_plan,
    change_predicted,
    change_route,
    change_stage,
)
from support.grouped_plans import BROKEN_GROUPED
from support.interleaved_plans import BROKEN_LANES, interleaved_plan
from support.joined_plans import BROKEN_JOINED, GOOD_JOINED
from support.offloaded_plans import BROKEN_OFFLOADS
from support.plans import (
    mixed_stage_plan,
    profiled_plan,
    resealed,
    two_hosts_plan,
    two_sites_plan,
)
from support.shared_plans import BROKEN_SHARED
from support.split_plans import BROKEN_SPLITS

from hexplan.check import RULES, Rule, Violation, check_plan
from hexplan.cluster import Exclusion, GroupPin, LayerPin, Limits
from hexplan.plan import Plan

BROKEN = (
    BROKEN_PLACES
    + BROKEN_SIZES
    + BROKEN_FLOWS
    + BROKEN_CERTIFICATES
    + BROKEN_BOUNDS
    + BROKEN_OBJECTIVES
    + BROKEN_SUSTAINED
    + BROKEN_BALANCE
    + BROKEN_SHARED
    + BROKEN_GROUPED
    + BROKEN_JOINED
    + BROKEN_FIGURES
    + BROKEN_ENGINES
    + BROKEN_SPLITS
    + BROKEN_LANES
    + BROKEN_OFFLOADS
)
GOOD = [two_hosts_plan, profiled_plan, two_sites_plan, mixed_stage_plan, interleaved_plan]


@pytest.mark.parametrize("good", GOOD)
def test_a_good_plan_breaks_no_rule(good: Callable[[], Plan]) -> None:
    assert check_plan(good()) == ()


@pytest.mark.parametrize("good", GOOD)
def test_a_good_plan_is_as_good_when_it_was_read_from_json(good: Callable[[], Plan]) -> None:
    text = good().model_dump_json(by_alias=True)
    assert check_plan(Plan.model_validate_json(text)) == ()


def test_a_plan_that_says_what_it_sustains_breaks_no_rule() -> None:
    assert check_plan(SUSTAINED) == ()


def test_a_balanced_plan_within_its_latencies_breaks_no_rule() -> None:
    assert check_plan(BALANCED) == ()
    assert check_plan(Plan.model_validate_json(BALANCED.model_dump_json(by_alias=True))) == ()


@pytest.mark.parametrize("good", GOOD_FIGURES)
def test_a_plan_with_times_a_promise_or_more_types_breaks_no_rule(good: Plan) -> None:
    assert check_plan(good) == ()
    assert check_plan(Plan.model_validate_json(good.model_dump_json(by_alias=True))) == ()


@pytest.mark.parametrize("good", GOOD_JOINED)
def test_a_plan_with_joined_hosts_breaks_no_rule(good: Plan) -> None:
    assert check_plan(good) == ()
    assert check_plan(Plan.model_validate_json(good.model_dump_json(by_alias=True))) == ()


@pytest.mark.parametrize("good", GOOD_ENGINES)
def test_a_plan_that_its_engine_runs_breaks_no_rule(good: Plan) -> None:
    assert check_plan(good) == ()
    assert check_plan(Plan.model_validate_json(good.model_dump_json(by_alias=True))) == ()


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.sentence)
def test_a_broken_plan_breaks_exactly_its_rules(case: Broken) -> None:
    violations = check_plan(case.plan)
    assert tuple(sorted({violation.rule for violation in violations})) == case.rules, violations


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_broken_by_some_plan(rule: Rule) -> None:
    assert any(rule.id in case.rules for case in BROKEN)


def test_two_independent_faults_are_both_listed_with_their_places() -> None:
    plan = change_memory(two_hosts_plan(), 1, 0, free_bytes=7)
    plan = change_route(plan, 0, weight=Decimal("0.499999999"))
    assert [(found.rule, found.where) for found in check_plan(plan)] == [
        ("HEX303", "stage s1, device 0"),
        ("HEX606", "routes"),
    ]


def test_a_fault_in_one_stage_hides_no_fault_in_another() -> None:
    plan = change_stage(two_hosts_plan(), 0, shards=())
    plan = change_kv_tokens(plan, 1, 1)
    assert ("HEX301", "stage s1, device 0") in {(f.rule, f.where) for f in check_plan(plan)}


def test_violations_come_by_rule_and_then_in_the_order_of_the_plan() -> None:
    plan = change_plan(two_hosts_plan(), cluster_sha256="")
    for stage in (2, 1):
        plan = change_memory(plan, stage, 0, free_bytes=1)
    assert [(found.rule, found.where) for found in check_plan(plan)] == [
        ("HEX102", "cluster"),
        ("HEX303", "stage s1, device 0"),
        ("HEX303", "stage s2, device 1"),
    ]


def test_an_overflow_shows_its_sum() -> None:
    (found,) = check_plan(change_kv_tokens(profiled_plan(), 0, 1))
    assert str(found) == (
        "HEX301 memory-overflow: stage s0, device 0: weights 184.5 KiB + workspace 137.5 KiB"
        " + KV 557 KiB = 879 KiB of 878.91 KiB: 0.09 KiB (96 bytes) too much"
    )


def test_an_overflow_of_a_gpu_is_counted_in_gib() -> None:
    plan = two_hosts_plan()
    types = tuple(
        kind.model_copy(update={"memory_bytes": 24 * 2**30}) for kind in plan.cluster.device_types
    )
    plan = change_stage(resealed(plan, device_types=types), 1, kv_tokens=91_000_000)
    (found,) = [found for found in check_plan(plan) if found.rule == "HEX301"]
    assert found.message == (
        "weights 0 GiB + workspace 0 GiB + KV 21.7 GiB = 21.7 GiB of 21.6 GiB:"
        " 0.1 GiB (103637530 bytes) too much"
    )


def test_a_violation_reads_as_rule_name_place_and_message() -> None:
    violation = Violation("HEX301", "memory-overflow", "stage s3, device 1", "1 byte too much")
    assert str(violation) == "HEX301 memory-overflow: stage s3, device 1: 1 byte too much"


def test_a_leak_names_the_route_that_gets_around_the_cut() -> None:
    plan = change_certificate(profiled_plan(), cut=profiled_plan().certificate.cut[:1])
    messages = {found.name: found.message for found in check_plan(plan)}
    assert messages["cut-leaks"] == "the route s1 > s3 pays 0, must pay 1"


def test_pins_that_the_plan_obeys_are_no_violation() -> None:
    plan = resealed(
        two_hosts_plan(),
        layer_pins=(LayerPin(host="small", layers=(4, 6)),),
        group_pins=(GroupPin(host="big", devices=(1, 0)),),
        exclusions=(Exclusion(host="small", device=2),),
    )
    assert check_plan(plan) == ()


def test_a_plan_with_the_right_cost_gap_and_rate_is_good() -> None:
    assert check_plan(PRICED) == ()


def test_a_host_on_a_spot_offer_counts_by_its_availability_and_its_price() -> None:
    bound = {"cost_bound_usd_per_h": Decimal(3), "cost_gap": Decimal(0)}
    plan = change_certificate(on_spot(PRICED, "0.75"), **bound)
    plan = change_predicted(plan, cost_usd_per_h=Decimal(3))
    plan = change_stage(plan, 0, capacity_tokens_per_s=Decimal("6404.313457"))
    assert check_plan(plan) == ()


def test_tokens_may_cross_a_link_that_keeps_activations_out() -> None:
    plan = two_sites_plan()
    links = tuple(
        link.model_copy(update={"allow": "tokens"}) if link.source == "west" else link
        for link in plan.cluster.links
    )
    assert check_plan(resealed(plan, links=links)) == ()


def test_tied_embeddings_spare_nothing_where_the_ends_are_on_two_stages() -> None:
    plan = two_hosts_plan()
    tied = plan.model.model_copy(update={"tied_embeddings": True})
    assert check_plan(change_plan(plan, model=tied)) == ()


def test_a_roofline_may_differ_by_the_rounding_of_floats() -> None:
    plan = two_hosts_plan()
    for rate in ("8539.084609", "8539.084611"):
        assert check_plan(change_stage(plan, 0, capacity_tokens_per_s=Decimal(rate))) == ()


def test_trailing_zeros_change_nothing() -> None:
    plan = change_edge(profiled_plan(), "s0>s2", tokens_per_s=Decimal("50.000000000"))
    assert check_plan(plan) == ()


def test_the_largest_budget_is_rounded_down_to_whole_bytes() -> None:
    plan = two_hosts_plan()
    fraction = Limits(memory_fraction=Decimal("0.9000001"), chunk_tokens=100)
    stages = plan.stages
    plan = resealed(plan, limits=fraction)  # 900000.1 and 630000.07 bytes: the same whole bytes
    assert plan.stages == stages
    assert check_plan(plan) == ()


@pytest.mark.parametrize("where", ["coordinator", "lab"])
def test_the_most_specific_link_rule_counts(where: str) -> None:
    plan = profiled_plan()
    slow = plan.cluster.links[1].model_copy(update={"source": where, "target": "a"})
    plan = resealed(plan, links=(*plan.cluster.links, slow))  # 3200 / 4 = 800 tokens/s
    assert {found.name for found in check_plan(plan)} == {"edge-capacity-wrong"}
    assert check_plan(change_edge(plan, "entry>s0", capacity_tokens_per_s=Decimal(800))) == ()
