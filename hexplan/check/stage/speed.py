"""Speed: a stage's capacity and its error, measured, scaled or by the datasheet (formulation 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from hexplan.check.lookup import Lookup
from hexplan.check.rules import (
    BEYOND_PROFILE,
    CAPACITY_WRONG,
    DTYPE_UNSUPPORTED,
    SPEED_ERROR_WRONG,
    STAGE_OVERLOADED,
    Violation,
)
from hexplan.check.stage.correction import corrected_seconds, correction_of
from hexplan.check.stage.roofline import Pair, Request, head_seconds, layer_seconds
from hexplan.check.stage.sequence import shared_phase_seconds
from hexplan.check.stage.sizes import length
from hexplan.check.text import RATE_STEP, exact, number, rate, round_down
from hexplan.cluster import Correction, Profile
from hexplan.device import DeviceType
from hexplan.plan import Shard, Stage

FLOAT_TOLERANCE = Fraction(1, 10**9)
"""The planner evaluates the datasheet in floats, whose rounding may move it across a step of 1e-6.

A profile's entry is compared exactly, as nothing is computed.
"""
SCALED_ERROR = Fraction(1, 4)
UNTRIED_ERROR = Fraction(1, 2)
"""Least error of datasheet times with experts or quantised weights."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What a stage's capacity should be, and how that was found."""

    tokens_per_s: Fraction
    basis: str
    error: Fraction
    tolerance: Fraction = Fraction(0)
    seconds: Fraction = Fraction(0)
    """Of a mean request, before the speed was rounded."""


def speed_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield capacities and errors that are not the recomputed ones, and loads above capacity."""
    for stage in lookup.plan.stages:
        if stage.load_tokens_per_s > stage.capacity_tokens_per_s:
            load, capacity = rate(stage.load_tokens_per_s), rate(stage.capacity_tokens_per_s)
            message = f"load {load} is above its capacity {capacity}"
            yield STAGE_OVERLOADED.at(f"stage {stage.id}", message)
        if lookup.is_measurable(stage):
            yield from _types(lookup, stage)
            yield from _capacity(lookup, stage)


def _types(lookup: Lookup, stage: Stage) -> Iterator[Violation]:
    dtype = lookup.plan.model.dtype
    for shard, kind in _pairs(lookup, stage):
        if dtype == "bfloat16" and not kind.bfloat16:
            message = f"{kind.name} does not compute in {dtype}"
            yield DTYPE_UNSUPPORTED.at(f"stage {stage.id}, device {shard.device}", message)


def _capacity(lookup: Lookup, stage: Stage) -> Iterator[Violation]:
    profile = profile_of(lookup, stage) if stage.parallel == "tp" else None
    if profile is None and stage.tp > 1 and lookup.hosts[stage.host].interconnect is None:
        return
    if profile is not None and length(stage.layers) > len(profile.tokens_per_s):
        held, entries = length(stage.layers), len(profile.tokens_per_s)
        message = f"holds {held} layers, its profile ends at {entries}"
        yield BEYOND_PROFILE.at(f"stage {stage.id}", message)
        return
    speed = _measured(lookup, stage, profile) if profile else _computed(lookup, stage)
    correction = correction_of(lookup, stage, _pairs(lookup, stage))
    if correction is not None:
        speed = _corrected(lookup, stage, speed, correction)
    found = _present(lookup, stage, speed.tokens_per_s)
    stated = exact(stage.capacity_tokens_per_s)
    if abs(stated - found) > speed.tolerance:
        message = f"states {rate(stated)}, {rate(found)} by {speed.basis}"
        yield CAPACITY_WRONG.at(f"stage {stage.id}", message)
    if exact(stage.speed_error) != speed.error:
        message = f"states {number(stage.speed_error)}, {number(speed.error)} by {speed.basis}"
        yield SPEED_ERROR_WRONG.at(f"stage {stage.id}", message)


def _present(lookup: Lookup, stage: Stage, found: Fraction) -> Fraction:
    """Return a speed times the share of the time for which a spot host is there."""
    spot = lookup.hosts[stage.host].spot
    if spot is None or not spot.is_taken:
        return found
    return round_down(found * exact(spot.availability))


def _measured(lookup: Lookup, stage: Stage, profile: Profile) -> Speed:
    entry = exact(profile.tokens_per_s[length(stage.layers) - 1])
    seconds = lookup.plan.workload.mean_tokens / entry if entry else Fraction(0)
    return Speed(round_down(entry), "its profile", exact(profile.error), seconds=seconds)


def _corrected(lookup: Lookup, stage: Stage, stated: Speed, correction: Correction) -> Speed:
    """Return a speed as corrected; without seconds there is nothing to correct."""
    if not stated.seconds:
        return stated
    interconnect = lookup.hosts[stage.host].interconnect
    request, pairs = _request(lookup, stage), _pairs(lookup, stage)
    head = Fraction(0)
    if stage.layers[1] == lookup.plan.model.layers:
        head = head_seconds(request, pairs)
    phases = shared_phase_seconds(request, pairs, interconnect, stage)
    seconds = corrected_seconds(correction, stated.seconds, request, (*phases, head))
    found = round_down(lookup.plan.workload.mean_tokens / seconds)
    tolerance = RATE_STEP + FLOAT_TOLERANCE * found
    basis = f"{stated.basis}, corrected"
    return Speed(found, basis, exact(correction.error), tolerance, seconds)


def _request(lookup: Lookup, stage: Stage) -> Request:
    plan = lookup.plan
    longest = plan.workload.prompt_tokens.max
    step_tokens = min(plan.cluster.limits.chunk_tokens, longest)
    return Request(plan.model, plan.workload, step_tokens, stage.kv_tokens, length(stage.layers))


def _computed(lookup: Lookup, stage: Stage) -> Speed:
    """Return `T = (P + D) / ((k layer_s + head_s) x)`, rounded down to whole 1e-6."""
    plan, pairs = lookup.plan, _pairs(lookup, stage)
    interconnect = lookup.hosts[stage.host].interconnect
    request = _request(lookup, stage)
    layer_s = sum(shared_phase_seconds(request, pairs, interconnect, stage), Fraction())
    seconds = request.num_layers * layer_s
    if stage.layers[1] == plan.model.layers:
        seconds += head_seconds(request, pairs)
    basis = _basis(lookup, stage, pairs)
    if basis is None:
        told, error = "the roofline", _datasheet_error(lookup, pairs)
    else:
        profile, kind = basis
        told, error = "a scaled profile", max(exact(profile.error), SCALED_ERROR)
        held = min(request.num_layers, len(profile.tokens_per_s))
        measured = plan.workload.mean_tokens / (held * exact(profile.tokens_per_s[held - 1]))
        like = _equal_shards(lookup, profile.tp, kind)
        seconds *= measured / layer_seconds(request, like, interconnect)
    found = round_down(plan.workload.mean_tokens / seconds)
    return Speed(found, told, error, RATE_STEP + FLOAT_TOLERANCE * found, seconds)


def _datasheet_error(lookup: Lookup, pairs: list[Pair]) -> Fraction:
    error = max(exact(kind.efficiency.error) for _, kind in pairs)
    model = lookup.plan.model
    is_untried = model.experts is not None or model.weights is not None
    return max(error, UNTRIED_ERROR) if is_untried else error


def profile_of(lookup: Lookup, stage: Stage) -> Profile | None:
    """Return the profile of a group of devices like the stage's, if there is one."""
    kinds = {_spoken_for(kind) for _, kind in _pairs(lookup, stage)}
    for profile in lookup.profiles_for(stage):
        if {profile.device} == kinds and profile.tp == stage.tp:
            return profile
    return None


def _basis(lookup: Lookup, stage: Stage, pairs: list[Pair]) -> tuple[Profile, DeviceType] | None:
    """Return the profile that is scaled for devices without one, and the type that it measured."""
    names = {_spoken_for(kind) for _, kind in pairs}
    if len(names) > 1:
        return None
    (name,), arch = names, pairs[0][1].arch
    best: tuple[tuple[bool, int], Profile, DeviceType] | None = None
    for profile in lookup.profiles_for(stage):
        kind = lookup.device_types.get(profile.device)
        if kind is None or (kind.name != name and (arch is None or kind.arch != arch)):
            continue
        rank = kind.name != name, abs(profile.tp - len(pairs))
        if best is None or rank < best[0]:
            best = rank, profile, kind
    return best[1:] if best else None


def _spoken_for(kind: DeviceType) -> str:
    return kind.profiled_as or kind.name


def _equal_shards(lookup: Lookup, n: int, kind: DeviceType) -> list[Pair]:
    model = lookup.plan.model
    heads, channels, rows = (
        ceil(Fraction(whole, n)) for whole in (model.kv_heads, model.ffn, model.vocab)
    )
    shard = Shard(device=0, kv_heads=(0, heads), ffn=(0, channels), vocab=(0, rows))
    return [(shard, kind)] * n


def _pairs(lookup: Lookup, stage: Stage) -> list[Pair]:
    kinds = [lookup.device_type(stage.host, device) for device in stage.devices]
    return [(shard, kind) for shard, kind in zip(stage.shards, kinds, strict=True) if kind]
