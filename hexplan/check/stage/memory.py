"""Memory: what each device of a stage holds, compared with its budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor

from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.sequence import (
    held_shard,
    held_weights_bytes,
    held_workspace_bytes,
)
from hexplan.check.stage.sizes import axes, kv_token_bytes, length
from hexplan.check.text import sizes
from hexplan.constants import MAX_BATCH, PROMPT_SHARE
from hexplan.plan import DeviceMemory, Plan, Shard, Stage


@dataclass(frozen=True, slots=True)
class DeviceNeed:
    """The budget of one device, and what its shard needs of it."""

    budget_bytes: int
    weights_bytes: int
    workspace_bytes: int
    overhead_bytes: int
    kv_token_bytes: int

    @property
    def kv_tokens(self) -> int:
        """The most tokens of context that fit; negative if the rest alone does not fit."""
        fixed = self.weights_bytes + self.workspace_bytes + self.overhead_bytes
        return (self.budget_bytes - fixed) // self.kv_token_bytes


MEMORY_DEVICES_WRONG = Rule(
    "HEX304", "memory-devices-wrong", "A stage's memory has one entry per shard, in their order."
)


def memory_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield wrong sums, overflows, and KV rooms that are too small or not the largest."""
    for stage in lookup.plan.stages:
        for memory in stage.memory:
            yield from _sum(stage, memory)
        if stage.devices != tuple(memory.device for memory in stage.memory):
            listed = [memory.device for memory in stage.memory]
            message = f"memory lists devices {listed}, but the shards list {list(stage.devices)}"
            yield MEMORY_DEVICES_WRONG.at(f"stage {stage.id}", message)
        yield from _kv_room(lookup, stage)
        if lookup.is_measurable(stage):
            yield from _measured(lookup, stage)


MEMORY_SUM_WRONG = Rule(
    "HEX303", "memory-sum-wrong", "The parts and the free memory sum to the budget."
)


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
            f" = {sum(parts)} bytes, but the stated budget is {memory.budget_bytes}"
        )
        yield MEMORY_SUM_WRONG.at(f"stage {stage.id}, device {memory.device}", message)


KV_ROOM_TOO_SMALL = Rule(
    "HEX305",
    "kv-room-too-small",
    "A stage has KV room for at least one request of maximum length: on its devices, or with"
    " `techniques.kv_offload: on` in host memory too.",
)


def _kv_room(lookup: Lookup, stage: Stage) -> Iterator[Violation]:
    workload, asked = lookup.plan.workload, lookup.plan.cluster.techniques.kv_offload
    room = stage.room_tokens if asked == "on" else stage.kv_tokens
    if room < workload.max_tokens:
        message = (
            f"room for {room} tokens, but the longest request has"
            f" {workload.prompt_tokens.max} + {workload.output_tokens.max}"
            f" = {workload.max_tokens}"
        )
        yield KV_ROOM_TOO_SMALL.at(f"stage {stage.id}", message)


KV_ROOM_NOT_LARGEST = Rule(
    "HEX306", "kv-room-not-largest", "`kv_tokens` is the largest number that fits on every device."
)


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
    # More than the largest is an overflow, and is reported as one.
    if stage.kv_tokens < largest:
        message = f"states {stage.kv_tokens} tokens, but {largest} fit"
        yield KV_ROOM_NOT_LARGEST.at(f"stage {stage.id}", message)


def device_needs(lookup: Lookup, stage: Stage) -> list[DeviceNeed]:
    """Return what each device of a stage needs, in the order of its shards."""
    return [_need(lookup, stage, shard) for shard in stage.shards]


def kv_room(lookup: Lookup, stage: Stage) -> int:
    """Return the most tokens of context that fit on every device of a stage; negative if none."""
    kinds, unlike = lookup.hosts[stage.host].devices, {}
    for shard in stage.shards:
        held = held_shard(lookup.model_of(stage), stage, shard)
        lengths = tuple(map(length, (*axes(shard), *axes(held))))
        unlike[kinds[shard.device], lengths] = shard
    return min(_need(lookup, stage, shard).kv_tokens for shard in unlike.values())


def _need(lookup: Lookup, stage: Stage, shard: Shard) -> DeviceNeed:
    model = lookup.model_of(stage)
    kind = lookup.device_type(stage.host, shard.device)
    left_bytes = max(0, kind.memory_bytes - kind.in_use_bytes) if kind else 0
    limits = lookup.plan.cluster.limits
    step_tokens = workspace_tokens(lookup.plan)
    return DeviceNeed(
        budget_bytes=floor(left_bytes * exact(limits.memory_fraction)),
        weights_bytes=held_weights_bytes(model, stage, shard),
        workspace_bytes=held_workspace_bytes(model, stage, shard, step_tokens),
        overhead_bytes=kind.overhead_bytes if kind else 0,
        kv_token_bytes=kv_token_bytes(model, stage.layers, shard),
    )


STEP_TOO_LARGE = Rule(
    "HEX307",
    "step-too-large",
    "A step holds no more tokens than there is workspace for, and its decodes leave a quarter of"
    " them to prompts.",
)


def step_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield step limits that exceed the workspace, or leave too little to prompts."""
    limits, most = lookup.plan.step_limits, workspace_tokens(lookup.plan)
    if limits is None:
        return
    if limits.tokens > most:
        message = f"states steps of {limits.tokens} tokens, but there is workspace for {most}"
        yield STEP_TOO_LARGE.at("step limits", message)
    elif limits.decodes > max(1, limits.tokens - ceil(limits.tokens * PROMPT_SHARE)):
        message = (
            f"states {limits.decodes} decodes in a step of {limits.tokens} tokens,"
            " which leaves prompts too few"
        )
        yield STEP_TOO_LARGE.at("step limits", message)


def workspace_tokens(plan: Plan) -> int:
    """Return the most tokens of a step: of a chunk of the longest prompt or of a full batch."""
    return min(plan.cluster.limits.chunk_tokens, max(plan.workload.prompt_tokens.max, MAX_BATCH))


MEMORY_OVERFLOW = Rule(
    "HEX301",
    "memory-overflow",
    "Weights, workspace, overhead and KV cache of a device fit its budget.",
)


def _overflow(stage: Stage, shard: Shard, need: DeviceNeed) -> Iterator[Violation]:
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


MEMORY_PART_WRONG = Rule(
    "HEX302",
    "memory-part-wrong",
    "Each stated part of a device's memory equals the recomputed one.",
)


def _parts(stage: Stage, memory: DeviceMemory, need: DeviceNeed) -> Iterator[Violation]:
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
