"""Plans that just keep a rule, and the words of those that do not."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.broken_bounds import HELD
from support.broken_certificates import BROKEN_CERTIFICATES
from support.broken_flows import BROKEN_FLOWS
from support.broken_places import BROKEN_PLACES
from support.broken_sizes import BROKEN_SIZES
from support.changes import (
    change_certificate,
    change_edge,
    change_memory,
    change_plan,
    change_shard,
    change_stage,
)
from support.plan_parts import COORDINATOR, link, shards
from support.plans import profiled_plan, resealed, two_hosts_plan, two_sites_plan

from hexplan.check import check_plan
from hexplan.cluster import Limits
from hexplan.plan import Plan
from hexplan.step_limits import StepLimits
from hexplan.workload import Lengths

TWO = two_hosts_plan()
PROFILED = profiled_plan()
SITES = two_sites_plan()
BIG_HOST, SMALL_HOST = TWO.cluster.hosts
BROKEN = {
    case.sentence: case.plan
    for case in BROKEN_PLACES + BROKEN_SIZES + BROKEN_FLOWS + BROKEN_CERTIFICATES
}


def _workload(prompt: Lengths, output: Lengths) -> Plan:
    update = {"prompt_tokens": prompt, "output_tokens": output}
    return change_plan(TWO, workload=TWO.workload.model_copy(update=update))


def _full_to_the_last_byte() -> Plan:
    """Return `profiled_plan` on devices that have no byte to spare for s0, which had 160."""
    quick, slow = PROFILED.cluster.device_types
    types = (
        quick.model_copy(update={"memory_bytes": 900_000}),
        slow.model_copy(update={"memory_bytes": 900_000 - 160}),
    )
    limits = Limits(memory_fraction=Decimal(1), chunk_tokens=100)
    plan = resealed(PROFILED, device_types=types, limits=limits)
    plan = change_memory(plan, 0, 0, budget_bytes=-160, free_bytes=-160)
    assert plan.stages[0].memory[0].free_bytes == 0
    # s3 is on such a device too: it had 32 bytes to spare, and loses one token of 256 bytes.
    less = {"budget_bytes": -160, "kv_bytes": -256, "free_bytes": 96}
    return change_stage(change_memory(plan, 3, 0, **less), 3, kv_tokens=1714)


JUST_KEPT = {
    "a longest request that fills the smallest KV room, and the context": change_plan(
        _workload(Lengths(mean=60, max=100), Lengths(mean=20, max=560)),
        model=TWO.model.model_copy(update={"max_context": 660}),
    ),
    "a longest output that is the mean": _workload(
        Lengths(mean=60, max=100), Lengths(mean=20, max=20)
    ),
    "a NIC with less than a byte to spare": resealed(
        TWO, hosts=(BIG_HOST.model_copy(update={"nic_out_bytes_per_s": 559_367}), SMALL_HOST)
    ),
    "a NIC that is full": resealed(
        PROFILED, coordinator=COORDINATOR.model_copy(update={"nic_out_bytes_per_s": 85 * 4})
    ),
    "a trunk with less than a byte to spare": resealed(
        TWO, links=(link("lab", "lab", trunk=594_327),)
    ),
    "a step of which a fourth is left to prompts": change_plan(
        TWO, step_limits=StepLimits(tokens=100, decodes=75)
    ),
    "a step of one token": change_plan(TWO, step_limits=StepLimits(tokens=1, decodes=1)),
    "a stage that fills its device to the last byte": _full_to_the_last_byte(),
    "a trusted bound below the proved one": HELD,
    "a gap that is not rounded as far as it may be": change_certificate(
        PROFILED, gap=Decimal("2940.176470588236")
    ),
}


@pytest.mark.parametrize("sentence", JUST_KEPT)
def test_a_plan_that_just_keeps_a_rule_keeps_it(sentence: str) -> None:
    assert check_plan(JUST_KEPT[sentence]) == ()


def test_a_shard_without_words_is_still_measured() -> None:
    plan = change_shard(change_shard(TWO, 0, 0, vocab=(0, 128)), 0, 1, vocab=(128, 128))
    assert {found.name for found in check_plan(plan)} == {"memory-overflow", "memory-part-wrong"}


def test_a_site_to_host_rule_beats_a_site_to_site_rule() -> None:
    plan = resealed(SITES, links=(*SITES.cluster.links, link("east", "w", 1920)))
    plan = change_edge(plan, "s0>s1", capacity_tokens_per_s=Decimal(10))
    plan = change_edge(plan, "s0>s2", capacity_tokens_per_s=Decimal(10))
    # The trunk belongs to a rule that governs no pair any more, so its price buys nothing.
    names = {found.name for found in check_plan(plan)}
    assert names == {"edge-overloaded", "pair-overloaded", "cut-leaks"}


def test_a_host_to_site_rule_beats_a_site_to_host_rule() -> None:
    rules = (*SITES.cluster.links, link("east", "w", 1920), link("e", "west", 3840))
    plan = change_edge(resealed(SITES, links=rules), "s0>s1", capacity_tokens_per_s=Decimal(20))
    found = {found.where for found in check_plan(plan) if found.name == "edge-capacity-wrong"}
    assert found == {"edge s0>s2"}


def test_a_hole_between_two_stages_is_named_up_to_the_next_stage() -> None:
    plan = change_stage(PROFILED, 0, layers=(0, 1))
    plan = change_plan(plan, stages=(plan.stages[0], PROFILED.stages[2]))
    holes = [found.where for found in check_plan(plan) if found.name == "layer-uncovered"]
    assert holes == ["layers [1, 2)"]


def test_a_hole_ends_with_the_model() -> None:
    plan = change_stage(PROFILED, 3, layers=(9, 11))
    plan = change_plan(plan, stages=(PROFILED.stages[1], plan.stages[3]))
    holes = [found.where for found in check_plan(plan) if found.name == "layer-uncovered"]
    assert holes == ["layers [4, 6)"]


def test_a_flow_may_stay_below_the_cut_by_the_rounding_of_its_parts() -> None:
    # Two routes and five edges leave room for 8e-6 where a millionth of the cut is less.
    sixths = Decimal("2.4")
    slow = [term.model_copy(update={"price": Decimal("0.5")}) for term in TWO.certificate.cut]
    plan = change_certificate(TWO, cut=tuple(slow), cut_tokens_per_s=sixths)
    assert "flow-below-cut" not in {found.name for found in check_plan(plan)}
    for flow, verdict in (("2.399992", False), ("2.399991", True)):
        close = change_certificate(plan, flow_tokens_per_s=Decimal(flow))
        assert ("flow-below-cut" in {found.name for found in check_plan(close)}) is verdict


def test_uneven_shards_need_no_even_channels() -> None:
    uneven = tuple(
        shard.model_copy(update={"ffn": interval})
        for shard, interval in zip(shards(2, 2), ((0, 79), (79, 160)), strict=True)
    )
    violations = check_plan(change_stage(TWO, 0, shards=uneven))
    assert "shards-do-not-tile" not in {found.name for found in violations}


WORDS = {
    "a stage that is called exit": ("stage exit", "this name is reserved"),
    "a stage whose name blurs those of links": (
        "stage s>0",
        "a stage's name must not contain `>`",
    ),
    "a negative device": ("unused, host big, device -1", "big has devices [0, 2)"),
    "a device in two stages": ("host small, device 0", "used 2 times: by stages s1, s2"),
    "a shard without KV heads": ("stage s0, device 1", "kv_heads [4, 4) is empty"),
    "a route listed in two halves": ("routes", "s0 > s2 is listed 2 times"),
    "an edge between hosts without a link": ("edge s0>s2", "nothing connects a to c"),
    "an edge that carries more than its link": (
        "edge entry>s0",
        "carries 4370.047278 tokens/s, but its capacity is 1000 tokens/s",
    ),
    "a capacity between two steps": (
        "stage s0, capacity",
        "8539.0846105 must be a multiple of 1e-6",
    ),
    "a cut that states another capacity": (
        "certificate, link:s1>s3",
        "states 25.000001, but the capacity is 25",
    ),
    "a gap that is rounded down": (
        "certificate, gap",
        "states 2940.17647, but (250000 - 85) / 85 = 2940.176470588235, rounded up by at most 1e-6",
    ),
}


@pytest.mark.parametrize("sentence", WORDS)
def test_a_violation_says_where_what_was_found_and_what_is_needed(sentence: str) -> None:
    (found,) = [f for f in check_plan(BROKEN[sentence]) if f.name != "device-unaccounted"]
    assert (found.where, found.message) == WORDS[sentence]


@pytest.mark.parametrize("sentence", BROKEN)
def test_a_violation_names_an_edge_or_stage_as_the_plan_does(sentence: str) -> None:
    plan = BROKEN[sentence]
    edges = {f"{edge.source}>{edge.target}" for edge in plan.edges}
    stages = {stage.id for stage in plan.stages}
    for found in check_plan(plan):
        kind, _, name = found.where.partition(",")[0].partition(" ")
        assert kind != "edge" or name in edges
        assert kind != "stage" or name in stages
