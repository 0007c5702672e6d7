"""What differs between two plans: by devices, whatever stages are called."""

from __future__ import annotations

from decimal import Decimal

from support.changes import change_plan, change_predicted, change_stage, renamed
from support.grouped_plans import GROUPED
from support.plans import two_hosts_plan

from hexplan.plan import Plan
from hexplan.results.comparing import difference

TWO = two_hosts_plan()


def with_layers(plan: Plan, index: int, layers: tuple[int, int]) -> Plan:
    return change_stage(plan, index, layers=layers)


def test_a_plan_does_not_differ_from_itself_nor_from_one_made_elsewhere() -> None:
    assert difference(TWO, TWO).is_empty
    later = TWO.solve.model_copy(update={"wall_s": 99.0})
    assert difference(TWO, change_plan(TWO, solve=later)).is_empty


def test_ids_of_stages_mean_nothing() -> None:
    assert difference(TWO, renamed(TWO, "s0", "s9")).is_empty


def test_more_layers_are_fetched_by_every_device_of_the_stage() -> None:
    stage = TWO.stages[0]
    first, end = stage.layers
    assert end - first >= 2
    shorter = with_layers(TWO, 0, (first, end - 1))
    found = difference(shorter, TWO)
    (change,) = found.stages
    assert (change.change, change.before, change.after) == (
        "changed",
        (first, end - 1),
        stage.layers,
    )
    whole = sum(memory.weights_bytes for memory in stage.memory)
    assert 0 < change.fetched_bytes < whole
    assert not change.keeps_requests
    assert difference(TWO, shorter).fetched_bytes == 0


def test_a_new_stage_fetches_all_that_its_devices_hold() -> None:
    without = change_plan(TWO, stages=TWO.stages[1:])
    (change,) = difference(without, TWO).stages
    assert change.change == "added"
    assert change.fetched_bytes == sum(m.weights_bytes for m in TWO.stages[0].memory)
    (gone,) = difference(TWO, without).stages
    assert (gone.change, gone.fetched_bytes, gone.keeps_requests) == ("removed", 0, False)


def test_other_groups_that_share_out_tokens_end_requests_and_fetch_what_they_do_not_hold() -> None:
    """Without groups each device holds both halves of every layer, and with two of them one."""
    alone = change_stage(GROUPED, 0, sp_degree=None)
    half = 6 * 2 * (43_136 - 21_632)
    (more,), (less,) = difference(GROUPED, alone).stages, difference(alone, GROUPED).stages
    assert (more.change, more.fetched_bytes, more.keeps_requests) == ("changed", 4 * half, False)
    assert (less.change, less.fetched_bytes, less.keeps_requests) == ("changed", 0, False)


def test_another_model_is_fetched_whole() -> None:
    other = TWO.model.model_copy(update={"name": "other"})
    found = difference(TWO, change_plan(TWO, model=other))
    assert "model" in found.inputs
    held = sum(memory.weights_bytes for stage in TWO.stages for memory in stage.memory)
    assert found.fetched_bytes == held


def test_less_kv_room_lets_requests_stay() -> None:
    smaller = change_stage(TWO, 0, kv_tokens=TWO.stages[0].kv_tokens - 1)
    (change,) = difference(TWO, smaller).stages
    assert (change.keeps_requests, change.fetched_bytes) == (True, 0)


def test_figures_and_flows_that_changed_are_listed_with_both_values() -> None:
    slower = change_predicted(TWO, ttft_s=Decimal("0.5"))
    (figure,) = difference(TWO, slower).figures
    assert (figure.name, figure.before, figure.after) == ("TTFT", None, Decimal("0.5"))
    edge = TWO.edges[0]
    fewer = edge.model_copy(update={"tokens_per_s": edge.tokens_per_s / 2})
    (change,) = difference(TWO, change_plan(TWO, edges=(fewer, *TWO.edges[1:]))).edges
    assert change.after_tokens_per_s * 2 == change.before_tokens_per_s == edge.tokens_per_s
