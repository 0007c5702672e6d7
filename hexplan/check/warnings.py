"""Warnings: what a sound plan may still regret; `check --strict` counts them as violations."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.steps import DATASHEET
from hexplan.plan import Plan

THIN_MARGIN = Decimal("0.05")
"""Share of a device's memory that should stay free. Set by hand: vLLM's `gpu_memory_utilization`
is 0.92 by default, and fragments of the allocator take a few per cent."""
FEWEST_REQUESTS = 2
"""Requests of the longest length for which a stage should have KV room."""


def warning_violations(plan: Plan) -> Iterator[Violation]:
    """Yield what should be thought of before a plan is deployed; the plan keeps all rules."""
    yield from _memory(plan)
    yield from _speeds(plan)
    yield from _kv_room(plan)
    yield from _single_hosts(plan)


MARGIN_THIN = Rule(
    "HEX001",
    "margin-thin",
    "At least 5 % of each device's memory is left to the driver, the framework and the allocator.",
)


def _memory(plan: Plan) -> Iterator[Violation]:
    types = {kind.name: kind for kind in plan.cluster.device_types}
    hosts = {host.name: host for host in plan.cluster.hosts}
    for stage in plan.stages:
        for memory in stage.memory:
            kind = types[hosts[stage.host].devices[memory.device]]
            planned = memory.weights_bytes + memory.kv_bytes + memory.workspace_bytes
            left = kind.memory_bytes - planned
            if left < THIN_MARGIN * kind.memory_bytes:
                share = Decimal(left * 100) / kind.memory_bytes
                message = (
                    f"{kind.memory_bytes} - {planned} = {left} bytes ({share:.1f} %) are left of"
                    f" {kind.name}, needed 5 %"
                )
                yield MARGIN_THIN.at(f"stage {stage.id}, device {memory.device}", message)


DATASHEET_ONLY = Rule(
    "HEX002",
    "datasheet-only",
    "The speed of each stage rests on a measurement, of its device or of a similar one.",
)


def _speeds(plan: Plan) -> Iterator[Violation]:
    for stage in plan.stages:
        if stage.speed_origin == DATASHEET:
            error = f"{stage.speed_error * 100:.0f} %"
            message = f"its speed rests on the {DATASHEET} alone, and may be off by {error}"
            yield DATASHEET_ONLY.at(f"stage {stage.id}", message)


KV_WITHOUT_SPARE = Rule(
    "HEX003",
    "kv-without-spare",
    "Each stage has KV room for two requests of the longest length at once.",
)


def _kv_room(plan: Plan) -> Iterator[Violation]:
    longest = plan.workload.max_tokens
    for stage in plan.stages:
        if stage.room_tokens < FEWEST_REQUESTS * longest:
            message = (
                f"its KV room of {stage.room_tokens} tokens holds one request of {longest}, needed"
                f" {FEWEST_REQUESTS} x {longest} = {FEWEST_REQUESTS * longest}"
            )
            yield KV_WITHOUT_SPARE.at(f"stage {stage.id}", message)


HOST_IN_EVERY_ROUTE = Rule(
    "HEX004",
    "host-in-every-route",
    "No host is part of every route, where the cluster has several hosts.",
)


def _single_hosts(plan: Plan) -> Iterator[Violation]:
    if len(plan.cluster.hosts) == 1:
        return
    host_of = {stage.id: stage.host for stage in plan.stages}
    ways = [(*pair.prefill, *pair.decode) for pair in plan.handovers]
    ways = ways or [route.hops for route in plan.routes]
    visited = [{host_of[hop.stage] for hop in hops} for hops in ways]
    for host in plan.cluster.hosts:
        if all(host.name in hosts for hosts in visited):
            message = "every route needs it, so that nothing is served without it"
            yield HOST_IN_EVERY_ROUTE.at(f"host {host.name}", message)


WARNINGS = (MARGIN_THIN, DATASHEET_ONLY, KV_WITHOUT_SPARE, HOST_IN_EVERY_ROUTE)
"""All warnings, in the order of their ids."""
