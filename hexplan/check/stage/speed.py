"""Speed: a stage's capacity and error, by a profile, scaled or by the datasheet (formulation 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from hexplan.check.exact import FLOAT_TOLERANCE, RATE_STEP, exact, round_down
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.correction import DatasheetSeconds, corrected_seconds, correction_of
from hexplan.check.stage.datasheet_error import datasheet_error
from hexplan.check.stage.host_room import with_fetches
from hexplan.check.stage.roofline import ShardOnDevice, StageRequest, head_seconds, layer_seconds
from hexplan.check.stage.sequence import KnownSeconds, shared_phase_seconds
from hexplan.check.stage.sizes import length
from hexplan.check.text import number, rate
from hexplan.cluster import Correction, Profile
from hexplan.constants import SCALED_ERROR
from hexplan.device import DeviceType
from hexplan.plan import Shard, Stage


@dataclass(frozen=True, slots=True)
class RecomputedSpeed:
    """What a stage's capacity should be, and how that was computed."""

    tokens_per_s: Fraction
    """The speed, rounded down to a multiple of 1e-6."""
    basis: str
    """What it rests on, in words."""
    error: Fraction
    """How far it may be off, as a share of it."""
    tolerance: Fraction = Fraction(0)
    """How far the stated speed may differ.

    The planner evaluates the datasheet in floats, whose rounding may move it across a step of 1e-6.
    A profile's entry is compared exactly, as nothing is computed.
    """
    seconds: Fraction = Fraction(0)
    """Of a mean request, before the speed was rounded."""


STAGE_OVERLOADED = Rule("HEX403", "stage-overloaded", "A stage's load is at most its capacity.")


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


DTYPE_UNSUPPORTED = Rule(
    "HEX406", "dtype-unsupported", "Every device of a stage computes in the model's dtype."
)


def _types(lookup: Lookup, stage: Stage) -> Iterator[Violation]:
    dtype = lookup.plan.model.dtype
    for held in _shards(lookup, stage):
        kind = held.device_type
        if dtype == "bfloat16" and not kind.bfloat16:
            message = f"{kind.name} does not compute in {dtype}"
            yield DTYPE_UNSUPPORTED.at(f"stage {stage.id}, device {held.shard.device}", message)


CAPACITY_WRONG = Rule(
    "HEX401",
    "capacity-wrong",
    "A stage's capacity is its profile's entry; without a profile, that of the datasheet, scaled"
    " if a similar group was measured. It is corrected if such a stage was observed, and"
    " multiplied by the availability of a host that is rented by its spot offer. If the longest"
    " request needs host memory, it is lowered by all that is fetched.",
)
BEYOND_PROFILE = Rule(
    "HEX402",
    "beyond-profile",
    "A stage with a profile holds at most as many layers as the profile has entries.",
)
SPEED_ERROR_WRONG = Rule(
    "HEX405",
    "speed-error-wrong",
    "A stage's `speed_error` is the error of what its capacity rests on.",
)


def _capacity(lookup: Lookup, stage: Stage) -> Iterator[Violation]:
    profile = profile_of(lookup, stage) if stage.parallel == "tp" else None
    if profile is not None and length(stage.layers) > len(profile.tokens_per_s):
        held, entries = length(stage.layers), len(profile.tokens_per_s)
        message = f"holds {held} layers, but its profile ends at {entries}"
        yield BEYOND_PROFILE.at(f"stage {stage.id}", message)
    speed = speed_of(lookup, stage)
    if speed is None:
        return
    stated = exact(stage.capacity_tokens_per_s)
    if abs(stated - speed.tokens_per_s) > speed.tolerance:
        message = f"states {rate(stated)}, but it is {rate(speed.tokens_per_s)} by {speed.basis}"
        yield CAPACITY_WRONG.at(f"stage {stage.id}", message)
    if exact(stage.speed_error) != speed.error:
        message = (
            f"states {number(stage.speed_error)}, but it is {number(speed.error)} by {speed.basis}"
        )
        yield SPEED_ERROR_WRONG.at(f"stage {stage.id}", message)


def speed_of(
    lookup: Lookup, stage: Stage, known: KnownSeconds | None = None
) -> RecomputedSpeed | None:
    """Return what a stage's speed should be, or None if nothing tells it.

    Parameters
    ----------
    known
        Seconds of other stages of the same devices, to which those of this stage are added.
    """
    profile = profile_of(lookup, stage) if stage.parallel == "tp" else None
    if profile is None and stage.tp > 1 and lookup.hosts[stage.host].interconnect is None:
        return None
    if profile is not None and length(stage.layers) > len(profile.tokens_per_s):
        return None
    speed = _measured(lookup, stage, profile) if profile else _computed(lookup, stage, known)
    correction = correction_of(lookup, stage, _shards(lookup, stage))
    if correction is not None:
        speed = _corrected(lookup, stage, speed, correction)
    if lookup.needs_host_memory(stage) and speed.seconds:
        found = round_down(
            lookup.plan.workload.mean_tokens / with_fetches(lookup, stage, speed.seconds)
        )
        # The planner adds the fetches to the seconds of a speed that is already rounded.
        tolerance = 2 * RATE_STEP + FLOAT_TOLERANCE * found
        speed = replace(speed, tokens_per_s=found, tolerance=tolerance)
    return replace(speed, tokens_per_s=_with_availability(lookup, stage, speed.tokens_per_s))


def is_from_datasheet(lookup: Lookup, stage: Stage) -> bool:
    """Say whether no measurement has a part in a stage's speed."""
    shards = _shards(lookup, stage)
    known = profile_of(lookup, stage), _basis(lookup, stage, shards)
    return known == (None, None) and correction_of(lookup, stage, shards) is None


def _with_availability(lookup: Lookup, stage: Stage, found: Fraction) -> Fraction:
    """Return a speed, times the availability of a spot host."""
    spot = lookup.hosts[stage.host].spot
    if spot is None or not spot.is_taken:
        return found
    return round_down(found * exact(spot.availability))


def _measured(lookup: Lookup, stage: Stage, profile: Profile) -> RecomputedSpeed:
    entry = exact(profile.tokens_per_s[length(stage.layers) - 1])
    seconds = lookup.plan.workload.mean_tokens / entry if entry else Fraction(0)
    return RecomputedSpeed(round_down(entry), "its profile", exact(profile.error), seconds=seconds)


def _corrected(
    lookup: Lookup, stage: Stage, stated: RecomputedSpeed, correction: Correction
) -> RecomputedSpeed:
    """Return a corrected speed; a speed of 0 has no seconds to correct."""
    if not stated.seconds:
        return stated
    interconnect = lookup.hosts[stage.host].interconnect
    request, shards = _request(lookup, stage), _shards(lookup, stage)
    head = Fraction(0)
    if stage.layers[1] == lookup.plan.model.layers:
        head = head_seconds(request, shards)
    phases = shared_phase_seconds(request, shards, interconnect, stage)
    seconds = corrected_seconds(
        correction, stated.seconds, request, DatasheetSeconds(*phases, head)
    )
    found = round_down(lookup.plan.workload.mean_tokens / seconds)
    tolerance = RATE_STEP + FLOAT_TOLERANCE * found
    basis = f"{stated.basis}, corrected"
    return RecomputedSpeed(found, basis, exact(correction.error), tolerance, seconds)


def _request(lookup: Lookup, stage: Stage) -> StageRequest:
    plan = lookup.plan
    longest = plan.workload.prompt_tokens.max
    step_tokens = min(plan.cluster.limits.chunk_tokens, longest)
    is_profiled = stage.parallel == "tp" and profile_of(lookup, stage) is not None
    is_measured = is_profiled or _basis(lookup, stage, _shards(lookup, stage)) is not None
    limits = plan.cluster.limits
    besides = (limits.step_overhead_s, limits.token_overhead_s)
    return StageRequest(
        lookup.model_of(stage),
        plan.workload,
        step_tokens,
        stage.kv_tokens,
        length(stage.layers),
        *(Fraction(0) if is_measured else exact(overhead) for overhead in besides),
    )


def _computed(lookup: Lookup, stage: Stage, known: KnownSeconds | None) -> RecomputedSpeed:
    """Return `T = (P + D) / ((k layer_s + head_s) x)`, rounded down to a multiple of 1e-6."""
    plan, shards = lookup.plan, _shards(lookup, stage)
    interconnect = lookup.hosts[stage.host].interconnect
    request = _request(lookup, stage)
    basis = _basis(lookup, stage, shards)
    layer_s = sum(shared_phase_seconds(request, shards, interconnect, stage, known), Fraction())
    seconds = request.num_layers * layer_s
    if stage.layers[1] == plan.model.layers:
        seconds += head_seconds(request, shards)
    if basis is None:
        basis_in_words, error = "the roofline", datasheet_error(lookup, stage, shards)
    else:
        profile, kind = basis
        basis_in_words, error = "a scaled profile", max(exact(profile.error), exact(SCALED_ERROR))
        held = min(request.num_layers, len(profile.tokens_per_s))
        if not profile.tokens_per_s[held - 1]:
            return RecomputedSpeed(Fraction(0), basis_in_words, error)
        measured = plan.workload.mean_tokens / (held * exact(profile.tokens_per_s[held - 1]))
        like = _equal_shards(lookup, profile.tp, kind)
        alike = replace(request, model=plan.model.as_held_by(profile.tp))
        seconds *= measured / layer_seconds(alike, like, interconnect)
    found = round_down(plan.workload.mean_tokens / seconds)
    return RecomputedSpeed(
        found, basis_in_words, error, RATE_STEP + FLOAT_TOLERANCE * found, seconds
    )


def profile_of(lookup: Lookup, stage: Stage) -> Profile | None:
    """Return the profile of groups like the stage's, if there is one."""
    kinds = {_profile_name(held.device_type) for held in _shards(lookup, stage)}
    for profile in lookup.profiles_for(stage):
        if {profile.device} == kinds and profile.tp == stage.tp:
            return profile
    return None


def _basis(
    lookup: Lookup, stage: Stage, shards: list[ShardOnDevice]
) -> tuple[Profile, DeviceType] | None:
    """Return the profile to scale for devices without one, and the device type it measured."""
    names = {_profile_name(held.device_type) for held in shards}
    if len(names) > 1:
        return None
    (name,), arch = names, shards[0].device_type.arch
    best: tuple[tuple[bool, int], Profile, DeviceType] | None = None
    for profile in lookup.profiles_for(stage):
        kind = lookup.device_types.get(profile.device)
        if not profile.tokens_per_s:
            continue
        if kind is None or (kind.name != name and (arch is None or kind.arch != arch)):
            continue
        rank = kind.name != name, abs(profile.tp - len(shards))
        if best is None or rank < best[0]:
            best = rank, profile, kind
    return best[1:] if best else None


def _profile_name(kind: DeviceType) -> str:
    return kind.profiled_as or kind.name


def _equal_shards(lookup: Lookup, n: int, kind: DeviceType) -> list[ShardOnDevice]:
    model = lookup.plan.model.as_held_by(n)
    heads, channels, rows = (
        ceil(Fraction(whole, n)) for whole in (model.kv_heads, model.ffn, model.vocab)
    )
    shard = Shard(device=0, kv_heads=(0, heads), ffn=(0, channels), vocab=(0, rows))
    return [ShardOnDevice(shard, kind)] * n


def _shards(lookup: Lookup, stage: Stage) -> list[ShardOnDevice]:
    kinds = [lookup.device_type(stage.host, device) for device in stage.devices]
    pairs = zip(stage.shards, kinds, strict=True)
    return [ShardOnDevice(shard, kind) for shard, kind in pairs if kind]


@dataclass(frozen=True, slots=True)
class SpeedSource:
    """What the times of a stage rest on."""

    shards: tuple[ShardOnDevice, ...]
    profile: Profile | None
    """The profile of such groups; only of tensor-parallel ones."""
    scaled: Profile | None
    """Without a profile: that of a similar group, from which the times are scaled."""
    like: tuple[ShardOnDevice, ...]
    """The group that the scaled profile measured."""


def speed_source(lookup: Lookup, stage: Stage) -> SpeedSource:
    """Return what the times of a measurable stage rest on; without profiles, on the datasheet."""
    shards = _shards(lookup, stage)
    profile = profile_of(lookup, stage) if stage.parallel == "tp" else None
    basis = None if profile else _basis(lookup, stage, shards)
    like = _equal_shards(lookup, basis[0].tp, basis[1]) if basis else []
    return SpeedSource(tuple(shards), profile, basis[0] if basis else None, tuple(like))
