"""Stages whose longest request only fits with host memory: their room, and what they pass.

The planner counts on them only where no plan has room on the devices alone (docs/formulation.md 4).
"""

from __future__ import annotations

from dataclasses import replace

from hexplan.constants import MICRO
from hexplan.cost.memory import kv_room_tokens
from hexplan.cost.offloading import FetchTimes, HostMemory, fetched_again, roomiest_kv_offload
from hexplan.cost.sharing import Sharing
from hexplan.cost.speed import StageSpeed, stage_speed, to_micro
from hexplan.cost.stage_shape import StageShape
from hexplan.host import Host
from hexplan.spec import Spec


def shared_host_memory(spec: Spec, host: Host, num_devices: int) -> HostMemory | None:
    """Return what a stage of some of a host's devices has of its memory: a share for each device.

    None if nobody stated how much the host has.
    """
    asked = spec.cluster.techniques
    memory = asked.memory_of(host)
    if memory is None:
        return None
    own = memory * num_devices // len(host.devices)
    return HostMemory(own, asked.link_of(host), asked.kv_fraction)


def sharing_with_room(spec: Spec, host: Host, shape: StageShape) -> Sharing:
    """Return how a stage shares its work, with host memory if the longest request needs that."""
    plain = shape.sharing
    if not spec.counts_host_memory or kv_room_tokens(spec, shape) >= spec.workload.max_tokens:
        return plain
    own = shared_host_memory(spec, host, len(shape.group))
    how = None if own is None else roomiest_kv_offload(spec, shape, own)
    if how is None or how.kv_tokens < spec.workload.max_tokens:
        return plain
    return replace(plain, kv_offload=how)


def room_tokens(spec: Spec, shape: StageShape) -> int:
    """Return the tokens of context that a stage holds, in host memory too if it needs that."""
    how = shape.sharing.kv_offload
    return kv_room_tokens(spec, shape) if how is None else how.kv_tokens


def planned_speed(spec: Spec, shape: StageShape, kv_tokens: int) -> StageSpeed:
    """Return a stage's speed, lowered by all fetches if the longest request needs host memory.

    They count as if no computing hid them. What foresees them is a share of every step, and the
    reading of bounds.

    Parameters
    ----------
    kv_tokens
        For which the devices alone have room.
    """
    fetches = FetchTimes.of(spec.model, shape)
    plain = replace(shape, sharing=replace(shape.sharing, kv_offload=None))
    speed = stage_speed(spec, plain, kv_tokens)
    if fetches is None or not speed.micro_tokens_per_s:
        return speed
    workload = spec.workload
    decoded = workload.output_tokens.mean * workload.mean_context_tokens
    layer_s = decoded * (fetches.fraction * fetches.token_s + fetches.bounds_s)
    layer_s += fetched_again(spec) * fetches.token_s
    seconds = workload.mean_tokens * MICRO / speed.micro_tokens_per_s
    seconds *= 1 + fetches.queries_share
    seconds += fetches.host_share * shape.num_layers * layer_s
    return replace(speed, micro_tokens_per_s=to_micro(workload.mean_tokens / seconds))
