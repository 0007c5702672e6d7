"""Clusters of people who reported trouble get the plan that would have spared them it."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from support.slow import slow
from support.trials import FOLDER, at_rate, layers_of, plan_of, spec_of, together

from hexplan.errors import InfeasibleError
from hexplan.plan import Plan
from hexplan_solver import explain

GIB = 2**30
ROWS = sorted(path.name.split("-")[0] for path in FOLDER.glob("*.yaml"))
REFUSED = {"14", "17b"}
SLOW = {"06", "07", "10", "15", "15b", "18c", "18d", "20b", "26", "26c"}
"""Rows whose plans take longer than a few seconds."""


def tpot_s(plan: Plan) -> float:
    """Return the time between two tokens of a request alone."""
    outcome = together(plan)
    assert outcome.tpot is not None
    return outcome.tpot.mean_s


def refusal_of(row: str) -> InfeasibleError:
    with pytest.raises(InfeasibleError) as caught:
        plan_of(row)
    return caught.value


@pytest.mark.parametrize(
    "row",
    [slow(row) if row in SLOW else row for row in ROWS if row not in REFUSED],
)
def test_every_cluster_gets_a_plan_within_the_memory_of_its_devices(row: str) -> None:
    plan = plan_of(row)
    kinds = {kind.name: kind for kind in plan.cluster.device_types}
    hosts = {host.name: host for host in plan.cluster.hosts}
    longest = plan.workload.max_tokens
    for stage in plan.stages:
        assert stage.kv_tokens >= longest
        for memory in stage.memory:
            kind = kinds[hosts[stage.host].devices[memory.device]]
            used = memory.budget_bytes - memory.free_bytes
            assert used <= kind.memory_bytes


def test_every_file_names_its_source() -> None:
    for path in FOLDER.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert re.match(r"# (Our own question|[\w-]+/[\w.-]+#\d+)", text), path.name


def test_machines_that_hold_the_model_alone_are_replicas_on_a_slow_network() -> None:
    """01c: over 2.5 Gbit/s, layers on four machines only add hops."""
    one, four = plan_of("01"), plan_of("01c")
    layers = four.model.layers
    assert [stage.layers for stage in four.stages] == [(0, layers)] * 4
    assert tpot_s(four) == pytest.approx(tpot_s(one))


def test_a_small_device_among_large_ones_gets_the_layers_that_fit() -> None:
    """02: the reporter's split gave the RTX 3090 one layer too many, and it ran out of memory."""
    plan = plan_of("02")
    held = {host.name: layers_of(plan, host.name) for host in plan.cluster.hosts}
    assert sum(held.values()) == plan.model.layers
    assert held["gamer"] == min(held.values())
    assert held["studio"] == max(held.values())


@pytest.mark.slow
def test_throughput_comes_from_narrow_stages_and_not_from_one_wide_one() -> None:
    """06: the reporter found that eight devices as one bring hardly more than four."""
    plan = plan_of("06")
    assert max(stage.tp for stage in plan.stages) <= 2
    assert sum(stage.tp for stage in plan.stages) == 8


@pytest.mark.parametrize("row", [pytest.param("07", marks=pytest.mark.slow), "08", "21"])
def test_a_model_larger_than_one_group_of_four_uses_every_device(row: str) -> None:
    plan = plan_of(row)
    assert not plan.unused
    assert len(plan.stages) > 1
    assert sum(stage.tp for stage in plan.stages) == 8


def test_a_lone_user_gets_the_one_card_that_is_fastest_and_the_rest_stay_out() -> None:
    """10: with an old card in the chain the reporter got a fifth of the speed of one card."""
    plan = plan_of("10")
    kinds = {kind.name: kind for kind in plan.cluster.device_types}
    fastest = max(kinds.values(), key=lambda kind: kind.memory_bandwidth_bytes_per_s)
    (stage,) = plan.stages
    (host,) = (host for host in plan.cluster.hosts if host.name == stage.host)
    assert host.devices == (fastest.name,)
    assert {unused.host for unused in plan.unused} == {"laptop", "old"}
    for unused in plan.unused:
        assert unused.reason == "no placement was found in which it shortens a request"


def test_a_card_in_a_chain_of_larger_machines_holds_no_more_than_its_memory() -> None:
    """11: the reporter's RTX 4090 of 24 GB was given 31 GB."""
    plan = plan_of("11")
    (stage,) = (stage for stage in plan.stages if stage.host == "pc")
    (memory,) = stage.memory
    assert memory.weights_bytes + memory.kv_bytes < 24 * GIB
    assert layers_of(plan, "pc") >= 1


def test_a_context_of_160k_tokens_fits_over_four_cards() -> None:
    """12: every stage has room for the longest request."""
    plan = plan_of("12")
    assert plan.workload.max_tokens == 160_000
    assert min(stage.kv_tokens for stage in plan.stages) >= 160_000
    assert {stage.host for stage in plan.stages} == {f"node-{i}" for i in range(4)}


@pytest.mark.parametrize(("row", "device"), [("14", "P40"), ("17b", "V100-SXM2-32GB")])
def test_a_card_without_bfloat16_is_named_where_the_model_needs_it(row: str, device: str) -> None:
    error = refusal_of(row)
    assert f"{device} left out: no bfloat16" in error.message
    assert "`dtype: float16`" in (error.hint or "")


def test_float16_lets_such_cards_serve() -> None:
    assert not plan_of("14b").unused
    assert not plan_of("17c").unused


def test_a_device_left_idle_for_its_type_is_told_so_and_what_would_help() -> None:
    """17: the plan once said that no placement raises the flow, which was not why."""
    plan = plan_of("17")
    assert {(unused.host, unused.device) for unused in plan.unused} == {("old", 0), ("old", 1)}
    for unused in plan.unused:
        assert "does not compute in bfloat16" in unused.reason
        assert "float16" in unused.reason
    assert plan_of("17c").predicted.tokens_per_s / plan.predicted.tokens_per_s > Decimal("1.5")
    (idle,) = explain(plan).idle
    assert idle.count == 2
    assert "bfloat16" in idle.reason


@pytest.mark.slow
def test_four_boards_joined_answer_three_to_four_times_a_second() -> None:
    """15: the reporter joined them, and got 4.08 tokens/s; the boards' compute rate is a guess."""
    plan = plan_of("15b")
    assert [stage.tp for stage in plan.stages] == [4]
    assert 3 <= 1 / tpot_s(plan) <= 4
    assert tpot_s(plan) < tpot_s(plan_of("15"))


@pytest.mark.parametrize("row", ["18", slow("18d")])
def test_more_cards_never_slow_down_the_plan_for_latency(row: str) -> None:
    """18: four of the six cards could serve alone, so the plan of six is no slower."""
    assert tpot_s(plan_of(row)) <= tpot_s(plan_of("18c")) * 1.001


def test_a_card_that_shows_the_desktop_has_less_room_for_kv() -> None:
    """19: 3 GiB of one card are in use; its twin takes more of the load on memory."""
    plan = plan_of("19")
    budgets = {m.device: m.budget_bytes for stage in plan.stages for m in stage.memory}
    assert budgets[1] - budgets[0] >= 3 * GIB * 9 // 10
    kv = {stage.devices[0]: stage.kv_tokens for stage in plan.stages}
    assert kv[0] < kv[1]


@pytest.mark.slow
def test_two_homes_share_the_layers_and_a_token_pays_the_way_there_and_back() -> None:
    """20b: 15 ms each way between the homes, and the time of the devices."""
    plan = plan_of("20b")
    assert sorted(stage.layers for stage in plan.stages) == [(0, 40), (40, 80)]
    assert {stage.host for stage in plan.stages} == {"mine", "friend"}
    assert tpot_s(plan) > 0.030
    assert tpot_s(plan) < 0.2


def test_prompts_of_100k_tokens_fit_with_a_cache_in_8_bits() -> None:
    """23: two cards hold more than one such request, and a prompt takes most of a minute."""
    plan = plan_of("23")
    outcome = together(plan)
    assert outcome.ttft is not None
    assert 20 < outcome.ttft.mean_s < 120
    assert 0.03 < tpot_s(plan) < 0.12


@pytest.mark.parametrize("row", ["26", slow("26c")])
def test_a_promise_that_users_of_one_batch_can_be_given_is_served(row: str) -> None:
    """26: once refused, because users were thought to take turns."""
    plan = plan_of(row)
    slo = spec_of(row).workload.slo
    assert slo is not None
    assert plan.predicted.slo_requests_per_s is not None
    assert plan.predicted.tpot_s is not None
    assert plan.predicted.slo_requests_per_s > 1
    assert plan.predicted.tpot_s <= slo.tpot_s


@pytest.mark.parametrize("row", ["26", slow("26c")])
def test_a_promise_is_kept_for_as_long_as_its_rate_lasts(row: str) -> None:
    """Over 2000 requests, nearly as many keep it as over those that the search simulates."""
    plan = plan_of(row)
    assert plan.predicted.slo_requests_per_s is not None
    outcome = at_rate(plan, float(plan.predicted.slo_requests_per_s), 2000)
    assert outcome.slo is not None
    assert outcome.slo.attainment >= 0.95


@pytest.mark.slow
def test_a_weaker_promise_is_served_at_a_larger_rate() -> None:
    strict, weak = (plan_of(row).predicted.slo_requests_per_s for row in ("26", "26c"))
    assert strict is not None
    assert weak is not None
    assert strict < weak
    assert plan_of("26").predicted.tokens_per_s == plan_of("26b").predicted.tokens_per_s
