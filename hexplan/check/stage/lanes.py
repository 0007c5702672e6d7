"""Lanes: whether a stage can interleave its steps, and from which size on it does."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import ceil

from hexplan.check.exact import FLOAT_TOLERANCE, exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.roofline import (
    ShardOnDevice,
    all_reduce,
    distinct,
    matrix_seconds,
    seconds_per_byte,
    start,
)
from hexplan.check.stage.sizes import length
from hexplan.check.stage.speed import profile_of
from hexplan.constants import LARGEST_STEP_TOKENS
from hexplan.plan import Stage
from hexplan.techniques import Interleave

INTERLEAVE_IMPOSSIBLE = Rule(
    "HEX226",
    "interleave-impossible",
    "A stage has `interleave` only if it is `tp`, has several devices, and `techniques.interleave`"
    " is `on` or `auto`.",
)
INTERLEAVE_WRONG = Rule(
    "HEX409",
    "interleave-wrong",
    "Pieces of `piece_tokens` are the smallest whose starts take a 64th of their bytes; a step of"
    " `from_tokens` is no slower in two lanes, a step with one token less is not faster."
    " `slowdown` is that of `techniques`, or else of the group's profile, or else 1.15.",
)
_STARTS = 64
_MOST_PIECES = 8
_ASSUMED_SLOWDOWN = Decimal("1.15")


def lane_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield stages that cannot interleave as they say, and wrong thresholds."""
    asked = lookup.plan.cluster.techniques.interleave
    for stage in lookup.plan.stages:
        how, where = stage.interleave, f"stage {stage.id}"
        if how is None:
            continue
        if asked == "off":
            yield INTERLEAVE_IMPOSSIBLE.at(where, "it interleaves, but `techniques` asks for none")
        elif stage.parallel != "tp" or stage.tp < 2:
            message = f"it interleaves, but it is {stage.parallel} of {stage.tp}"
            yield INTERLEAVE_IMPOSSIBLE.at(where, message)
        elif lookup.is_measurable(stage):
            yield from _figures(lookup, stage, how)


def _figures(lookup: Lookup, stage: Stage, how: Interleave) -> Iterator[Violation]:
    where, interconnect = f"stage {stage.id}", lookup.hosts[stage.host].interconnect
    if interconnect is None:
        return
    if how.slowdown != (slowdown := _slowdown(lookup, stage)):
        yield INTERLEAVE_WRONG.at(where, f"states a slowdown of {how.slowdown}, needed {slowdown}")
        return
    begin, token = start(stage.tp, interconnect), _token(lookup, stage)
    needed = min(LARGEST_STEP_TOKENS, max(1, ceil(_STARTS * begin / token)))
    # The planner divides floats, which may round up once more.
    if not needed - 1 <= how.piece_tokens <= needed + 1:
        message = f"states pieces of {how.piece_tokens} tokens, needed {needed}"
        yield INTERLEAVE_WRONG.at(where, message)
        return
    for tokens, should_gain in ((how.from_tokens, True), (how.from_tokens - 1, False)):
        if tokens < 2:
            continue
        plain, lanes = _both(lookup, stage, how, tokens)
        if (lanes - plain) * (1 if should_gain else -1) > FLOAT_TOLERANCE * plain:
            message = (
                f"states {how.from_tokens}, but a layer takes {tokens} tokens in"
                f" {_micro(plain)} us in one lane and in {_micro(lanes)} us in two"
            )
            yield INTERLEAVE_WRONG.at(where, message)


def _slowdown(lookup: Lookup, stage: Stage) -> Decimal:
    """Return what is asked for, or else what was measured, or else what is assumed."""
    asked, profile = lookup.plan.cluster.techniques.slowdown, profile_of(lookup, stage)
    if asked is not None:
        return asked
    return _ASSUMED_SLOWDOWN if profile is None or profile.slowdown is None else profile.slowdown


def _token(lookup: Lookup, stage: Stage) -> Fraction:
    """Return the seconds of one token's bytes in one sum."""
    model, interconnect = lookup.plan.model, lookup.hosts[stage.host].interconnect
    assert interconnect is not None
    carried = Fraction(2 * (stage.tp - 1) * model.hidden * model.dtype_bytes, stage.tp)
    return carried * seconds_per_byte(stage.tp, interconnect)


def _both(lookup: Lookup, stage: Stage, how: Interleave, tokens: int) -> tuple[Fraction, Fraction]:
    """Return the seconds of one layer in one lane and in two, without attention's own work."""
    model, interconnect = lookup.model_of(stage), lookup.hosts[stage.host].interconnect
    assert interconnect is not None
    kinds = [lookup.device_type(stage.host, device) for device in stage.devices]
    pairs = zip(stage.shards, kinds, strict=True)
    shards = [ShardOnDevice(shard, kind) for shard, kind in pairs if kind is not None]

    def computing(some: int) -> Fraction:
        return max(
            matrix_seconds(model, held, some) + exact(held.device_type.efficiency.attention_start_s)
            for held in distinct(shards)
        )

    compute = sums = Fraction(0)
    for half in ((tokens + 1) // 2, tokens // 2):
        compute += computing(half)
        pieces = max(1, min(_MOST_PIECES, half // how.piece_tokens))
        begin, token = start(stage.tp, interconnect), _token(lookup, stage)
        sums += 2 * (pieces * begin + half * token)
    longer, shorter = max(compute, sums), min(compute, sums)
    exposed = Fraction(how.slowdown) - 1 + Fraction(1, 4 * length(stage.layers))
    reduce = all_reduce(stage.tp, interconnect, tokens * model.hidden * model.dtype_bytes, 1)
    return computing(tokens) + 2 * reduce, longer + exposed * shorter


def _micro(seconds: Fraction) -> str:
    return f"{float(seconds * 10**6):.3f}"
