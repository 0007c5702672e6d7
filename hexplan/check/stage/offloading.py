"""Host memory: whether a stage can keep keys and values there, and what that gives."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

from hexplan.check.exact import FLOAT_TOLERANCE, exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.memory import device_needs
from hexplan.check.stage.sizes import kv_token_bytes, length
from hexplan.check.stage.steps import StageSteps, steps_of
from hexplan.constants import MAX_BATCH
from hexplan.plan import Stage
from hexplan.techniques import KvOffload

OFFLOAD_IMPOSSIBLE = Rule(
    "HEX228",
    "kv-offload-impossible",
    "A stage has `kv_offload` only if `techniques.kv_offload` is `on` or `auto`, with the same"
    " fraction and link; it is `tp`, does not interleave, and every route enters it at its first"
    " layer. `from_layer` is the first one behind that and behind the model's first two.",
)
OFFLOAD_WRONG = Rule(
    "HEX411",
    "kv-offload-wrong",
    "`kv_offload.kv_tokens` is a number for which devices have room; it is more than `kv_tokens`,"
    " and decodes of a mean request then take less of the stage's time.",
)
HOST_OVERFLOW = Rule(
    "HEX308",
    "host-memory-overflow",
    "Keys and values that the stages of a host keep in its memory fit `techniques.host_memory`.",
)
_PAGE = 8
_FETCH_COPIES = 6
_PROMPT_COPIES = 2


def offload_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield stages that cannot use host memory as they say, or gain nothing by it."""
    used: dict[str, int] = {}
    for stage in lookup.plan.stages:
        how = stage.kv_offload
        if how is None:
            continue
        reason = _obstacle(lookup, stage, how)
        if reason:
            yield OFFLOAD_IMPOSSIBLE.at(f"stage {stage.id}", reason)
        elif lookup.is_measurable(stage):
            used[stage.host] = used.get(stage.host, 0) + _host_bytes(lookup, stage, how)
            yield from _figures(lookup, stage, how)
    memory = lookup.plan.cluster.techniques.host_memory_bytes or 0
    for host, needed in used.items():
        if needed > memory:
            message = f"keys and values take {needed} bytes of its memory, of {memory}"
            yield HOST_OVERFLOW.at(f"host {host}", message)


def _obstacle(lookup: Lookup, stage: Stage, how: KvOffload) -> str:
    """Return what is in the way of a stage, or nothing."""
    asked = lookup.plan.cluster.techniques
    needed = max(stage.layers[0] + 1, 2)
    if asked.kv_offload == "off":
        return "it uses host memory, but `techniques` asks for none"
    if (how.fraction, how.link_bytes_per_s) != (asked.kv_fraction, asked.host_link_bytes_per_s):
        return "its fraction and its link are not those of `techniques`"
    if how.from_layer != needed:
        return f"states layers from {how.from_layer} on, needed {needed}"
    return offload_obstacle(lookup, stage, how)


def offload_obstacle(lookup: Lookup, stage: Stage, how: KvOffload) -> str:
    """Return why no rank could run a stage with keys and values in host memory, or nothing."""
    plan, (first, end) = lookup.plan, stage.layers
    hops = [hop for route in plan.routes for hop in route.hops if hop.stage == stage.id]
    if stage.parallel != "tp":
        return f"it uses host memory, but it is {stage.parallel}"
    if stage.interleave is not None:
        return "it uses host memory, but it interleaves"
    if plan.is_split:
        return "it uses host memory, but stages serve one phase each"
    if not first < how.from_layer < end:
        return (
            f"it uses host memory from layer {how.from_layer} on, but has layers {first} to {end}"
        )
    if any(hop.enter_layer != first for hop in hops):
        return "it uses host memory, but a route enters inside it"
    return ""


def _figures(lookup: Lookup, stage: Stage, how: KvOffload) -> Iterator[Violation]:
    where, largest = f"stage {stage.id}", _device_room(lookup, stage, how)
    on_host = (lookup.plan.cluster.techniques.host_memory_bytes or 0) // sum(
        other.host == stage.host for other in lookup.plan.stages
    )
    a_token = _host_bytes(lookup, stage, how) // how.kv_tokens
    largest = min(largest, on_host // a_token)
    if how.kv_tokens > largest:
        message = f"states {how.kv_tokens} tokens with host memory, but {largest} fit"
        yield OFFLOAD_WRONG.at(where, message)
    elif how.kv_tokens <= stage.kv_tokens:
        message = f"{how.kv_tokens} tokens fit with host memory, and {stage.kv_tokens} without"
        yield OFFLOAD_WRONG.at(where, message)
    steps = steps_of(lookup, stage.model_copy(update={"kv_offload": None}))
    if steps is None:
        return
    without, with_it = _plain_s(lookup, stage, steps), _offloaded_s(lookup, stage, how, steps)
    if with_it > without * (1 + FLOAT_TOLERANCE):
        message = (
            f"decodes of a mean request take {float(with_it * 1000):.3f} ms of it with host memory,"
            f" and {float(without * 1000):.3f} ms without"
        )
        yield OFFLOAD_WRONG.at(where, message)


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


def _host_bytes(lookup: Lookup, stage: Stage, how: KvOffload) -> int:
    """Return what a stage takes of its host's memory."""
    layers = (how.from_layer, stage.layers[1])
    shards = (kv_token_bytes(lookup.plan.model, layers, shard) for shard in stage.shards)
    return how.kv_tokens * sum(shards)


def _at_once(lookup: Lookup, stage: Stage, room: int) -> int:
    """Return the mean requests that decode at once with room for so many tokens."""
    plan = lookup.plan
    share = room * length(stage.layers) // (plan.workload.mean_tokens * plan.model.layers)
    return min(MAX_BATCH, max(1, share))


def _plain_s(lookup: Lookup, stage: Stage, steps: StageSteps) -> Fraction:
    """Return the seconds of all layers that the decodes of a mean request take without."""
    workload, batch = lookup.plan.workload, _at_once(lookup, stage, stage.kv_tokens)
    layer = steps.decode_s(batch, workload.mean_context_tokens)
    return length(stage.layers) * layer * workload.output_tokens.mean / batch


def _offloaded_s(lookup: Lookup, stage: Stage, how: KvOffload, steps: StageSteps) -> Fraction:
    """Return the same with host memory, and what parts of its prompt fetch of those before."""
    plan, workload = lookup.plan, lookup.plan.workload
    batch, context = _at_once(lookup, stage, how.kv_tokens), workload.mean_context_tokens
    away = stage.layers[1] - how.from_layer
    fraction = exact(how.fraction)
    sizes = [kv_token_bytes(plan.model, (0, 1), shard) for shard in stage.shards]
    crossing = Fraction(max(sizes), how.link_bytes_per_s)
    fetching = fraction * batch * context * crossing
    layer = max(steps.decode_s(batch, fraction * context), fetching)
    if fraction < 1:
        layer += _foreseen_s(lookup, stage, steps, batch)
    resident = length(stage.layers) - away
    step = resident * steps.decode_s(batch, context) + away * layer
    prompt = workload.prompt_tokens
    part = min(plan.cluster.limits.chunk_tokens, prompt.max)
    parts = -(-prompt.mean // part)
    again = away * Fraction(part * parts * (parts - 1), 2) * crossing
    return step * workload.output_tokens.mean / batch + again


def _foreseen_s(lookup: Lookup, stage: Stage, steps: StageSteps, batch: int) -> Fraction:
    """Return the seconds in which a layer finds what the decodes of the next one need."""
    model, context = lookup.model_of(stage), lookup.plan.workload.mean_context_tokens
    inputs = model.head_dim * (model.heads + 2 * model.kv_heads)
    outputs = model.head_dim * model.heads
    share = Fraction(inputs, inputs + outputs + 3 * model.ffn * model.active_experts)
    reading = Fraction(0)
    for shard, device in zip(stage.shards, stage.devices, strict=True):
        kind = lookup.device_type(stage.host, device)
        assert kind is not None
        rate = exact(kind.efficiency.bandwidth) * kind.memory_bandwidth_bytes_per_s
        bounds = Fraction(kv_token_bytes(model, (0, 1), shard), _PAGE)
        reading = max(reading, bounds / rate)
    return share * steps.decode_s(batch, 0) + batch * context * reading
