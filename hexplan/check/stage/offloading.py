"""Host memory: whether a stage can keep keys and values there, and what that gives."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.exact import FLOAT_TOLERANCE, exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.host_room import (
    HostFigures,
    bounds_s,
    crossing_s,
    fetched_again,
    host_token_bytes,
    largest_room,
    queries_share,
)
from hexplan.check.stage.sizes import length
from hexplan.check.stage.steps import StageSteps, steps_of
from hexplan.constants import MAX_BATCH
from hexplan.plan import Stage
from hexplan.techniques import KvOffload

OFFLOAD_IMPOSSIBLE = Rule(
    "HEX228",
    "kv-offload-impossible",
    "A stage has `kv_offload` only if `techniques.kv_offload` is `on` or `auto`, with the fraction"
    " stated there and its host's link; it is `tp`, does not interleave, and every route enters it"
    " at its first layer. `from_layer` is the first one behind that and behind the model's first"
    " two.",
)
OFFLOAD_WRONG = Rule(
    "HEX411",
    "kv-offload-wrong",
    "`kv_offload.kv_tokens` is a number for which devices have room; it is more than `kv_tokens`,"
    " and decodes of a mean request then take less of the stage's time, unless the longest request"
    " needs it.",
)
HOST_OVERFLOW = Rule(
    "HEX308",
    "host-memory-overflow",
    "Keys and values that the stages of a host keep in its memory fit what the host has for them:"
    " its own `host_memory`, or that of `techniques`.",
)


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
            needed = how.kv_tokens * host_token_bytes(lookup, stage, how)
            used[stage.host] = used.get(stage.host, 0) + needed
            yield from _figures(lookup, stage, how)
    for host, needed in used.items():
        memory = HostFigures.of(lookup.plan, lookup.hosts[host]).memory_bytes
        if needed > memory:
            message = f"keys and values take {needed} bytes of its memory, of {memory}"
            yield HOST_OVERFLOW.at(f"host {host}", message)


def _obstacle(lookup: Lookup, stage: Stage, how: KvOffload) -> str:
    """Return what is in the way of a stage, or nothing."""
    asked = lookup.plan.cluster.techniques
    needed = max(stage.layers[0] + 1, 2)
    if asked.kv_offload == "off":
        return "it uses host memory, but `techniques` asks for none"
    if how.fraction != asked.kv_fraction:
        return f"it fetches {how.fraction:f} of keys and values, not {asked.kv_fraction:f}"
    host = lookup.hosts.get(stage.host)
    link = HostFigures.of(lookup.plan, host).link_bytes_per_s if host else how.link_bytes_per_s
    if how.link_bytes_per_s != link:
        return f"states a link of {how.link_bytes_per_s} bytes/s, its host has {link}"
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
    where, largest = f"stage {stage.id}", largest_room(lookup, stage, how)
    if how.kv_tokens > largest:
        message = f"states {how.kv_tokens} tokens with host memory, but {largest} fit"
        yield OFFLOAD_WRONG.at(where, message)
    elif how.kv_tokens <= stage.kv_tokens:
        message = f"{how.kv_tokens} tokens fit with host memory, and {stage.kv_tokens} without"
        yield OFFLOAD_WRONG.at(where, message)
    steps = steps_of(lookup, stage.model_copy(update={"kv_offload": None}))
    if steps is None or lookup.needs_host_memory(stage):
        return  # its capacity counts what it fetches
    without, with_it = _plain_s(lookup, stage, steps), _offloaded_s(lookup, stage, how, steps)
    if with_it > without * (1 + FLOAT_TOLERANCE):
        message = (
            f"decodes of a mean request take {float(with_it * 1000):.3f} ms of it with host memory,"
            f" and {float(without * 1000):.3f} ms without"
        )
        yield OFFLOAD_WRONG.at(where, message)


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
    crossing = crossing_s(lookup, stage, how)
    fetching = fraction * batch * context * crossing
    layer = max(steps.decode_s(batch, fraction * context), fetching)
    if fraction < 1:
        layer += _foreseen_s(lookup, stage, steps, batch)
    resident = length(stage.layers) - away
    step = resident * steps.decode_s(batch, context) + away * layer
    again = away * fetched_again(plan) * crossing
    return step * workload.output_tokens.mean / batch + again


def _foreseen_s(lookup: Lookup, stage: Stage, steps: StageSteps, batch: int) -> Fraction:
    """Return the seconds in which a layer finds what the decodes of the next one need."""
    context = lookup.plan.workload.mean_context_tokens
    share = queries_share(lookup.model_of(stage))
    return share * steps.decode_s(batch, 0) + batch * context * bounds_s(lookup, stage)
