"""Sharing: whether a stage can be parallel as it says, and from which step on it shifts."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.lookup import Lookup
from hexplan.check.rules import Violation
from hexplan.check.stage.roofline import Pair, mode_seconds
from hexplan.check.stage.sequence import split_seconds
from hexplan.check.stage.sizes import length
from hexplan.check.stage_rules import (
    SHARING_IMPOSSIBLE,
    SHARING_NOT_ALLOWED,
    SHIFT_TOKENS_MISPLACED,
    SHIFT_TOKENS_WRONG,
)
from hexplan.check.text import number
from hexplan.model import Model
from hexplan.plan import Stage

LARGEST_STEP = 2**20
"""Tokens of the largest step that is judged: no stage runs one as large."""
FLOAT_TOLERANCE = Fraction(1, 10**9)
"""The planner compares the modes in floats, which may take a tie for either."""


def sharing_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield stages that cannot or may not be parallel as they say, and wrong thresholds."""
    allowed = lookup.plan.cluster.limits.parallel
    for stage in lookup.plan.stages:
        where = f"stage {stage.id}"
        if stage.tp > 1 and stage.parallel not in allowed:
            message = f"it is {stage.parallel}, the limits allow {', '.join(allowed)}"
            yield SHARING_NOT_ALLOWED.at(where, message)
        is_shift = stage.parallel == "shift"
        if is_shift != (stage.shift_tokens is not None):
            found = "has none" if is_shift else f"has {stage.shift_tokens}"
            message = f"it is {stage.parallel} and {found}"
            yield SHIFT_TOKENS_MISPLACED.at(where, message)
        obstacle = _obstacle(lookup, stage) if stage.parallel != "tp" else ""
        if obstacle:
            yield SHARING_IMPOSSIBLE.at(where, f"it is {stage.parallel}, but {obstacle}")
        elif is_shift and stage.shift_tokens is not None and lookup.is_measurable(stage):
            yield from _threshold(lookup, stage, stage.shift_tokens)


def _obstacle(lookup: Lookup, stage: Stage) -> str:
    """Say what stands against sharing tokens; nothing where nothing does."""
    if stage.tp < 2:
        return f"has {stage.tp} device, and needs several"
    if lookup.is_joined(stage):
        return "its host is joined, whose stages are tp"
    kinds = {lookup.device_type(stage.host, device) for device in stage.devices}
    if len(kinds) > 1:
        return "its devices are of several types"
    heads = {length(shard.kv_heads) for shard in stage.shards}
    if len(heads) > 1:
        return f"its devices have {' and '.join(map(str, sorted(heads)))} KV heads"
    if stage.parallel == "shift" and any(_parts_block(lookup.plan.model, held) for held in heads):
        return "its shards part blocks of quantised weights"
    return ""


def _parts_block(model: Model, heads: int) -> bool:
    if model.weights is None:
        return False
    sides = (model.weights.block_rows, model.weights.block_columns)
    return any(side is not None and heads * model.head_dim % side for side in sides)


def _threshold(lookup: Lookup, stage: Stage, stated: int) -> Iterator[Violation]:
    host = lookup.hosts[stage.host]
    if host.interconnect is None:
        return
    where, n = f"stage {stage.id}", stage.tp
    if stated % n or stated > LARGEST_STEP:
        message = f"states {stated}, needed a multiple of its {n} devices up to {LARGEST_STEP}"
        yield SHIFT_TOKENS_WRONG.at(where, message)
        return
    for tokens, is_small in ((stated, True), (stated + n, False)):
        if not tokens:
            continue
        tensor, split = _both_modes(lookup, stage, tokens)
        if (tensor - split) * (1 if is_small else -1) > FLOAT_TOLERANCE * split:
            message = (
                f"states {stated}, but a layer takes {tokens} tokens in {_micro(tensor)} us tensor"
                f" parallel and in {_micro(split)} us sequence parallel"
            )
            yield SHIFT_TOKENS_WRONG.at(where, message)


def _both_modes(lookup: Lookup, stage: Stage, tokens: int) -> tuple[Fraction, Fraction]:
    """Return the seconds of one layer for a step in either mode, attention apart."""
    model, interconnect = lookup.plan.model, lookup.hosts[stage.host].interconnect
    kinds = [lookup.device_type(stage.host, device) for device in stage.devices]
    pairs: list[Pair] = [(s, k) for s, k in zip(stage.shards, kinds, strict=True) if k]
    tensor = mode_seconds(model, pairs, interconnect, tokens)
    return tensor, split_seconds(model, pairs, interconnect, (tokens, length(stage.layers)))


def _micro(seconds: Fraction) -> str:
    return number(round(seconds * 10**6, 3))
