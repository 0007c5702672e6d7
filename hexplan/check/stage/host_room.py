"""Host memory of a stage: how much it has, what fits with it, and what fetching takes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup
from hexplan.check.stage.memory import device_needs
from hexplan.check.stage.sizes import kv_token_bytes
from hexplan.constants import MAX_BATCH
from hexplan.host import Host
from hexplan.model import Model
from hexplan.plan import Plan, Stage
from hexplan.techniques import KvOffload

_PAGE = 8
_FETCH_COPIES = 6
_PROMPT_COPIES = 2


@dataclass(frozen=True, slots=True)
class HostFigures:
    """What a host has for keys and values, and for how many devices."""

    memory_bytes: int
    link_bytes_per_s: int
    num_devices: int

    @classmethod
    def of(cls, plan: Plan, host: Host) -> HostFigures:
        """Return a host's own figures, or those of all hosts; of joined ones the least.

        A stage of joined hosts may so not need more in all than each of them has.
        """
        asked, parts = plan.cluster.techniques, host.parts or (host,)
        stated = asked.host_memory_bytes or 0
        link = asked.host_link_bytes_per_s
        return cls(
            min(part.host_memory_bytes or stated for part in parts),
            min(part.host_link_bytes_per_s or link for part in parts),
            len(host.devices),
        )


def host_room_bytes(lookup: Lookup, stage: Stage) -> int:
    """Return what a stage may have of its host's memory.

    Stages of one host share it out equally; by their devices, if one in the plan needs some for the
    longest request.
    """
    own = HostFigures.of(lookup.plan, lookup.hosts[stage.host])
    if lookup.counts_host_memory:
        return own.memory_bytes * stage.tp // own.num_devices
    return own.memory_bytes // sum(other.host == stage.host for other in lookup.plan.stages)


def largest_room(lookup: Lookup, stage: Stage, how: KvOffload) -> int:
    """Return the most tokens for which devices and host memory have room together."""
    on_host = host_room_bytes(lookup, stage) // host_token_bytes(lookup, stage, how)
    return min(_device_room(lookup, stage, how), on_host)


def offload_of_longest(lookup: Lookup, stage: Stage) -> KvOffload | None:
    """Return how a stage has room for the longest request by host memory; None if it has not."""
    first, end = stage.layers
    from_layer = max(first + 1, 2)
    if stage.parallel != "tp" or from_layer >= end:
        return None
    own = HostFigures.of(lookup.plan, lookup.hosts[stage.host])
    how = KvOffload(
        from_layer=from_layer,
        fraction=lookup.plan.cluster.techniques.kv_fraction,
        link_bytes_per_s=own.link_bytes_per_s,
        kv_tokens=lookup.plan.workload.max_tokens,
    )
    return how if largest_room(lookup, stage, how) >= how.kv_tokens else None


def host_token_bytes(lookup: Lookup, stage: Stage, how: KvOffload) -> int:
    """Return what a token takes of the host's memory."""
    layers = (how.from_layer, stage.layers[1])
    return sum(kv_token_bytes(lookup.plan.model, layers, shard) for shard in stage.shards)


def _device_room(lookup: Lookup, stage: Stage, how: KvOffload) -> int:
    """Return the most tokens whose device's part fits beside everything else."""
    first, end = stage.layers
    away, rooms = end - how.from_layer, []
    for shard, need in zip(stage.shards, device_needs(lookup, stage), strict=True):
        layer = kv_token_bytes(lookup.plan.model, (0, 1), shard)
        layers = how.from_layer - first + Fraction(away, _PAGE) + Fraction(2, _PAGE)
        token = ceil(layer * (layers + _FETCH_COPIES * exact(how.fraction)))
        rounded = MAX_BATCH * (away + (_FETCH_COPIES + 2) * _PAGE)
        fixed = layer * (_PROMPT_COPIES * lookup.plan.workload.max_tokens + rounded)
        fixed += need.weights_bytes + need.workspace_bytes + need.overhead_bytes
        rooms.append((need.budget_bytes - fixed) // token)
    return min(rooms)


def crossing_s(lookup: Lookup, stage: Stage, how: KvOffload) -> Fraction:
    """Return the seconds in which a token's keys and values of a layer come to the devices."""
    sizes = [kv_token_bytes(lookup.plan.model, (0, 1), shard) for shard in stage.shards]
    return Fraction(max(sizes), how.link_bytes_per_s)


def bounds_s(lookup: Lookup, stage: Stage) -> Fraction:
    """Return the seconds in which the slowest device reads the bounds of a token's keys."""
    reading = Fraction(0)
    for shard, device in zip(stage.shards, stage.devices, strict=True):
        kind = lookup.device_type(stage.host, device)
        assert kind is not None
        rate = exact(kind.efficiency.bandwidth) * kind.memory_bandwidth_bytes_per_s
        bounds = Fraction(kv_token_bytes(lookup.plan.model, (0, 1), shard), _PAGE)
        reading = max(reading, bounds / rate)
    return reading


def queries_share(model: Model) -> Fraction:
    """Return the share of a layer's work that tells what the next layer needs."""
    inputs = model.head_dim * (model.heads + 2 * model.kv_heads)
    outputs = model.head_dim * model.heads
    return Fraction(inputs, inputs + outputs + 3 * model.ffn * model.active_experts)


def fetched_again(plan: Plan) -> int:
    """Return the tokens that the parts of a mean prompt fetch of those before, in one layer."""
    prompt = plan.workload.prompt_tokens
    part = min(plan.cluster.limits.chunk_tokens, prompt.max)
    parts = -(-prompt.mean // part)
    return part * parts * (parts - 1) // 2


def with_fetches(lookup: Lookup, stage: Stage, seconds: Fraction) -> Fraction:
    """Return the seconds of a mean request with all fetches, as if no computing hid them."""
    how = stage.kv_offload
    assert how is not None
    workload, fraction = lookup.plan.workload, exact(how.fraction)
    token_s, chooses = crossing_s(lookup, stage, how), fraction < 1
    decoded = workload.output_tokens.mean * workload.mean_context_tokens
    layer = decoded * (fraction * token_s + chooses * bounds_s(lookup, stage))
    layer += fetched_again(lookup.plan) * token_s
    seconds *= 1 + chooses * queries_share(lookup.model_of(stage))
    return seconds + max(0, stage.layers[1] - how.from_layer) * layer
