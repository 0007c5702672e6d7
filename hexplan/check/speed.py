"""Speed: a stage's capacity by its profile, or by the roofline of docs/formulation.md 4."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.lookup import Lookup
from hexplan.check.rules import BEYOND_PROFILE, CAPACITY_WRONG, STAGE_OVERLOADED, Violation
from hexplan.check.sizes import layer_parameters, length
from hexplan.check.text import RATE_STEP, exact, rate, round_down
from hexplan.cluster import DeviceType, Interconnect, Profile
from hexplan.model import Model
from hexplan.plan import Shard, Stage
from hexplan.workload import Workload

COMPUTE_EFFICIENCY = Fraction(1, 2)
BANDWIDTH_EFFICIENCY = Fraction(7, 10)
MAX_BATCH = 256

ROOFLINE_TOLERANCE = Fraction(1, 10**9)
"""The planner evaluates the roofline in floats, whose rounding may move it across a step of 1e-6.

A profile's entry is compared exactly, as nothing is computed.
"""

Pair = tuple[Shard, DeviceType]


def speed_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield capacities that are not the recomputed ones, and loads above them."""
    for stage in lookup.plan.stages:
        if stage.load_tokens_per_s > stage.capacity_tokens_per_s:
            load, capacity = rate(stage.load_tokens_per_s), rate(stage.capacity_tokens_per_s)
            message = f"load {load} is above its capacity {capacity}"
            yield STAGE_OVERLOADED.at(f"stage {stage.id}", message)
        if lookup.is_measurable(stage):
            yield from _capacity(lookup, stage)


def _capacity(lookup: Lookup, stage: Stage) -> Iterator[Violation]:
    stated, profile = exact(stage.capacity_tokens_per_s), _profile(lookup, stage)
    if profile is None and stage.tp > 1 and lookup.hosts[stage.host].interconnect is None:
        return
    if profile is None:
        found, basis = _present(lookup, stage, _roofline(lookup, stage)), "by the roofline"
        tolerance = RATE_STEP + ROOFLINE_TOLERANCE * found
    else:
        held, entries = length(stage.layers), len(profile.tokens_per_s)
        if held > entries:
            message = f"holds {held} layers, its profile ends at {entries}"
            yield BEYOND_PROFILE.at(f"stage {stage.id}", message)
            return
        measured = round_down(exact(profile.tokens_per_s[held - 1]))
        found, basis = _present(lookup, stage, measured), "by its profile"
        tolerance = Fraction(0)
    if abs(stated - found) > tolerance:
        message = f"states {rate(stated)}, {rate(found)} {basis}"
        yield CAPACITY_WRONG.at(f"stage {stage.id}", message)


def _present(lookup: Lookup, stage: Stage, found: Fraction) -> Fraction:
    """Return a speed times the share of the time for which a spot host is there."""
    spot = lookup.hosts[stage.host].spot
    if spot is None or not spot.is_taken:
        return found
    return round_down(found * exact(spot.availability))


def _profile(lookup: Lookup, stage: Stage) -> Profile | None:
    kinds = {kind.name for _, kind in _pairs(lookup, stage)}
    for profile in lookup.plan.cluster.profiles:
        if {profile.device} == kinds and profile.tp == stage.tp:
            return profile
    return None


def _pairs(lookup: Lookup, stage: Stage) -> list[Pair]:
    kinds = [lookup.device_type(stage.host, device) for device in stage.devices]
    return [(shard, kind) for shard, kind in zip(stage.shards, kinds, strict=True) if kind]


def _roofline(lookup: Lookup, stage: Stage) -> Fraction:
    """Return `T = (P + D) / (k layer_s + head_s)`, rounded down to whole 1e-6."""
    model, workload = lookup.plan.model, lookup.plan.workload
    pairs, k = _pairs(lookup, stage), length(stage.layers)
    beta = _batch(model, workload, stage)
    interconnect = lookup.hosts[stage.host].interconnect
    prompt, output = workload.prompt_tokens.mean, workload.output_tokens.mean
    row = model.hidden * model.dtype_bytes

    prefill = max(_prefill(model, prompt, pair) for pair in pairs)
    context = prompt + Fraction(output, 2)
    decode = max(_decode(model, beta, context, pair) for pair in pairs)
    layer_s = prefill + 2 * _reduce(stage.tp, interconnect, prompt * row)
    layer_s += Fraction(output, beta) * (decode + 2 * _reduce(stage.tp, interconnect, beta * row))
    head_s = Fraction(0)
    if stage.layers[1] == model.layers:
        head_s = Fraction(output, beta) * max(_head(model, beta, pair) for pair in pairs)
    return round_down(workload.mean_tokens / (k * layer_s + head_s))


def _batch(model: Model, workload: Workload, stage: Stage) -> int:
    """Return `beta`: the requests that the KV room admits, times the share of layers held."""
    held = stage.kv_tokens * length(stage.layers)
    return min(MAX_BATCH, max(1, held // (workload.mean_tokens * model.layers)))


def _prefill(model: Model, prompt: int, pair: Pair) -> Fraction:
    shard, kind = pair
    p, q = layer_parameters(model, shard), _query_width(model, shard)
    compute = (2 * p * prompt + 2 * q * prompt**2) / _flops(kind)
    return max(compute, p * model.dtype_bytes / _bandwidth(kind))


def _decode(model: Model, beta: int, context: Fraction, pair: Pair) -> Fraction:
    shard, kind = pair
    p, q = layer_parameters(model, shard), _query_width(model, shard)
    kv_bytes = 2 * length(shard.kv_heads) * model.head_dim * model.dtype_bytes
    compute = beta * (2 * p + 4 * q * context) / _flops(kind)
    return max(compute, (p * model.dtype_bytes + beta * context * kv_bytes) / _bandwidth(kind))


def _head(model: Model, beta: int, pair: Pair) -> Fraction:
    shard, kind = pair
    table = length(shard.vocab) * model.hidden
    return max(2 * beta * table / _flops(kind), table * model.dtype_bytes / _bandwidth(kind))


def _reduce(n: int, interconnect: Interconnect | None, message_bytes: int) -> Fraction:
    """Return the seconds of a ring all-reduce, `2 (n - 1) (alpha + m / (n B))`."""
    if n == 1 or interconnect is None:
        return Fraction(0)
    chunk = Fraction(message_bytes, n * interconnect.bandwidth_bytes_per_s)
    return 2 * (n - 1) * (exact(interconnect.latency_s) + chunk)


def _query_width(model: Model, shard: Shard) -> int:
    return length(shard.kv_heads) * model.group * model.head_dim


def _flops(kind: DeviceType) -> Fraction:
    return COMPUTE_EFFICIENCY * kind.compute_flops_per_s


def _bandwidth(kind: DeviceType) -> Fraction:
    return BANDWIDTH_EFFICIENCY * kind.memory_bandwidth_bytes_per_s
