"""Warnings: what a sound plan may still regret."""

from __future__ import annotations

from decimal import Decimal

from support.changes import change_plan, change_stage
from support.plans import profiled_plan, two_hosts_plan

from hexplan.check import WARNINGS, check_plan, warning_violations
from hexplan.plan import Plan

TWO = two_hosts_plan()


def warned(plan: Plan) -> list[tuple[str, str]]:
    return [(one.name, one.where) for one in warning_violations(plan)]


def test_speeds_from_datasheets_alone_are_told_and_measured_ones_are_not() -> None:
    assert check_plan(TWO) == check_plan(profiled_plan()) == ()
    assert [where for name, where in warned(TWO) if name == "datasheet-only"] == [
        f"stage {stage.id}" for stage in TWO.stages if stage.speed_origin == "datasheet"
    ]
    assert "datasheet-only" not in dict(warned(profiled_plan()))


def test_a_device_that_is_planned_to_its_last_byte_is_told() -> None:
    assert "margin-thin" not in dict(warned(TWO))
    kinds = {kind.name: kind for kind in TWO.cluster.device_types}
    stage = TWO.stages[0]
    host = TWO.cluster.host_by_name[stage.host]
    memory = stage.memory[0]
    size = kinds[host.devices[memory.device]].memory_bytes
    planned = memory.weights_bytes + memory.kv_bytes + memory.workspace_bytes
    for left, is_thin in ((size // 20 + 1, False), (size // 20 - 1, True)):
        fuller = memory.model_copy(update={"kv_bytes": memory.kv_bytes + size - planned - left})
        changed = change_stage(TWO, 0, memory=(fuller, *stage.memory[1:]))
        found = [where for name, where in warned(changed) if name == "margin-thin"]
        assert found == [f"stage {stage.id}, device {memory.device}"] * is_thin


def test_a_stage_with_room_for_one_longest_request_is_told() -> None:
    longest = TWO.workload.max_tokens
    for kv_tokens, is_told in ((2 * longest, False), (2 * longest - 1, True)):
        changed = change_stage(TWO, 0, kv_tokens=kv_tokens)
        assert (("kv-without-spare", "stage s0") in warned(changed)) == is_told


def test_a_host_that_every_route_needs_is_told_where_there_are_several() -> None:
    host_of = {stage.id: stage.host for stage in TWO.stages}
    visited = [{host_of[hop.stage] for hop in route.hops} for route in TWO.routes]
    needed = set.intersection(*visited)
    told = {where for name, where in warned(TWO) if name == "host-in-every-route"}
    assert told == {f"host {name}" for name in needed} != set()
    alone = TWO.cluster.model_copy(update={"hosts": TWO.cluster.hosts[:1]})
    on_one = change_plan(TWO, cluster=alone, stages=TWO.stages[:1])
    assert "host-in-every-route" not in dict(warned(on_one))


def test_warnings_have_the_ids_of_their_family() -> None:
    assert all(rule.is_warning for rule in WARNINGS)
    assert Decimal(len({rule.id for rule in WARNINGS})) == len(WARNINGS)
