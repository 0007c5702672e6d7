"""Memory: what each device of a stage holds, against its budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from hexplan.check.lookup import Lookup
from hexplan.check.rules import (
    KV_ROOM_NOT_LARGEST,
    KV_ROOM_TOO_SMALL,
    MEMORY_DEVICES_WRONG,
    MEMORY_OVERFLOW,
    MEMORY_PART_WRONG,
    MEMORY_SUM_WRONG,
    Violation,
)
from hexplan.check.stage.roofline import MAX_BATCH
from hexplan.check.stage.sequence import held_weights_bytes, held_workspace_bytes
from hexplan.check.stage.sizes import kv_token_bytes
from hexplan.check.stage_rules import STEP_TOO_LARGE
from hexplan.check.text import exact, sizes
from hexplan.plan import DeviceMemory, Plan, Shard, Stage


@dataclass(frozen=True, slots=True)
class Need:
    """What one device has, and what its shard needs."""

    budget_bytes: int
    weights_bytes: int
    workspace_bytes: int
    overhead_bytes: int
    kv_token_bytes: int

    @property
    def kv_tokens(self) -> int:
        """The most tokens of context that fit; negative where the rest alone does not."""
        fixed = self.weights_bytes + self.workspace_bytes + self.overhead_bytes
        return (self.budget_bytes - fixed) // self.kv_token_bytes


def memory_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield wrong sums, overflows and KV rooms that are not what fits."""
    for stage in lookup.plan.stages:
        for memory in stage.memory:
            yield from _sum(stage, memory)
        if stage.devices != tuple(memory.device for memory in stage.memory):
            listed = [memory.device for memory in stage.memory]
            message = f"memory lists devices {listed}, the shards {list(stage.devices)}"
            yield MEMORY_DEVICES_WRONG.at(f"stage {stage.id}", message)
        yield from _room(lookup, stage)
        if lookup.is_measurable(stage):
            yield from _measured(lookup, stage)


def _sum(stage: Stage, memory: DeviceMemory) -> Iterator[Violation]:
    parts = (
        memory.weights_bytes,
        memory.workspace_bytes,
        memory.overhead_bytes,
        memory.kv_bytes,
        memory.free_bytes,
    )
    if sum(parts) != memory.budget_bytes:
        message = (
            f"weights, workspace, overhead, KV and free sum to {' + '.join(map(str, parts))}"
            f" = {sum(parts)} bytes, the stated budget is {memory.budget_bytes}"
        )
        yield MEMORY_SUM_WRONG.at(f"stage {stage.id}, device {memory.device}", message)


def _room(lookup: Lookup, stage: Stage) -> Iterator[Violation]:
    workload = lookup.plan.workload
    if stage.kv_tokens < workload.max_tokens:
        message = (
            f"room for {stage.kv_tokens} tokens, but the longest request has"
            f" {workload.prompt_tokens.max} + {workload.output_tokens.max}"
            f" = {workload.max_tokens}"
        )
        yield KV_ROOM_TOO_SMALL.at(f"stage {stage.id}", message)


def _measured(lookup: Lookup, stage: Stage) -> Iterator[Violation]:
    needs = [_need(lookup, stage, shard) for shard in stage.shards]
    for shard, need in zip(stage.shards, needs, strict=True):
        yield from _overflow(stage, shard, need)
    for memory in stage.memory:
        for shard, need in zip(stage.shards, needs, strict=True):
            if shard.device == memory.device:
                yield from _parts(stage, memory, need)
                break
    largest = min(need.kv_tokens for need in needs)
    # More than the largest is an overflow, and reported as one.
    if stage.kv_tokens < largest:
        message = f"states {stage.kv_tokens} tokens, but {largest} fit"
        yield KV_ROOM_NOT_LARGEST.at(f"stage {stage.id}", message)


def _need(lookup: Lookup, stage: Stage, shard: Shard) -> Need:
    model = lookup.plan.model
    kind = lookup.device_type(stage.host, shard.device)
    left_bytes = max(0, kind.memory_bytes - kind.in_use_bytes) if kind else 0
    limits = lookup.plan.cluster.limits
    step_tokens = room_tokens(lookup.plan)
    return Need(
        budget_bytes=floor(left_bytes * exact(limits.memory_fraction)),
        weights_bytes=held_weights_bytes(model, stage, shard),
        workspace_bytes=held_workspace_bytes(model, stage, shard, step_tokens),
        overhead_bytes=kind.overhead_bytes if kind else 0,
        kv_token_bytes=kv_token_bytes(model, stage.layers, shard),
    )


def step_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield step limits for which there is no room."""
    limits, most = lookup.plan.step_limits, room_tokens(lookup.plan)
    if limits is None:
        return
    if limits.tokens > most:
        message = f"states steps of {limits.tokens} tokens; workspace is kept for {most}"
        yield STEP_TOO_LARGE.at("step limits", message)
    elif limits.decodes > max(1, limits.tokens - ceil(Fraction(limits.tokens, 4))):
        message = f"states {limits.decodes} decodes in a step of {limits.tokens} tokens"
        yield STEP_TOO_LARGE.at("step limits", message)


def room_tokens(plan: Plan) -> int:
    """Return the most tokens of a step: a chunk of the longest prompt, or a batch if it is more."""
    return min(plan.cluster.limits.chunk_tokens, max(plan.workload.prompt_tokens.max, MAX_BATCH))


def _overflow(stage: Stage, shard: Shard, need: Need) -> Iterator[Violation]:
    kv_bytes = stage.kv_tokens * need.kv_token_bytes
    parts = {"weights": need.weights_bytes, "workspace": need.workspace_bytes}
    if need.overhead_bytes:
        parts["overhead"] = need.overhead_bytes
    parts["KV"] = kv_bytes
    total = sum(parts.values())
    over = total - need.budget_bytes
    if over > 0:
        counts = (*parts.values(), total, need.budget_bytes, over)
        *told, needed, budget, excess = sizes(counts, need.budget_bytes)
        terms = " + ".join(f"{name} {size}" for name, size in zip(parts, told, strict=True))
        message = f"{terms} = {needed} of {budget}: {excess} ({over} bytes) too much"
        yield MEMORY_OVERFLOW.at(f"stage {stage.id}, device {shard.device}", message)


def _parts(stage: Stage, memory: DeviceMemory, need: Need) -> Iterator[Violation]:
    parts = (
        ("budget", memory.budget_bytes, need.budget_bytes),
        ("weights", memory.weights_bytes, need.weights_bytes),
        ("workspace", memory.workspace_bytes, need.workspace_bytes),
        ("overhead", memory.overhead_bytes, need.overhead_bytes),
        ("KV", memory.kv_bytes, stage.kv_tokens * need.kv_token_bytes),
    )
    for name, stated, found in parts:
        if stated != found:
            where = f"stage {stage.id}, device {memory.device}"
            message = f"{name}: states {stated} bytes, {found} by the formulas"
            yield MEMORY_PART_WRONG.at(where, message)
