"""Sharing: whether a stage can share its work as it says, and at which step size it shifts."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

from hexplan.check.exact import FLOAT_TOLERANCE
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.memory import workspace_tokens
from hexplan.check.stage.roofline import ShardOnDevice, tensor_seconds
from hexplan.check.stage.sequence import sequence_parts
from hexplan.check.stage.sizes import length
from hexplan.check.text import number
from hexplan.constants import LARGEST_STEP_TOKENS, MAX_BATCH
from hexplan.model import Model
from hexplan.plan import Stage

SHARING_IMPOSSIBLE = Rule(
    "HEX212",
    "sharing-impossible",
    "A stage is `sp` or `shift` only with several devices of one type that have equally many KV"
    " heads, which its `sp_degree` divides; `shift` cuts no block of quantised weights.",
)
SHARING_NOT_ALLOWED = Rule(
    "HEX213",
    "sharing-not-allowed",
    "A stage of several devices shares its work in a way that `limits.parallel` lists.",
)
SHIFT_TOKENS_MISPLACED = Rule(
    "HEX214",
    "shift-tokens-misplaced",
    "A stage has `shift_tokens` if and only if it is `shift`, and `sp_degree` only if it is `sp` or"
    " `shift`.",
)


def sharing_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield stages that cannot or may not share their work as they say, and wrong thresholds."""
    allowed = lookup.plan.cluster.limits.parallel
    for stage in lookup.plan.stages:
        where = f"stage {stage.id}"
        if stage.tp > 1 and stage.parallel not in allowed:
            message = f"it is {stage.parallel}, but the limits allow {', '.join(allowed)}"
            yield SHARING_NOT_ALLOWED.at(where, message)
        is_shift = stage.parallel == "shift"
        if is_shift != (stage.shift_tokens is not None):
            stated = "has none" if is_shift else f"has {stage.shift_tokens}"
            message = f"it is {stage.parallel} and {stated}"
            yield SHIFT_TOKENS_MISPLACED.at(where, message)
        if stage.parallel == "tp" and stage.sp_degree is not None:
            message = f"it is tp and has an SP degree of {stage.sp_degree}"
            yield SHIFT_TOKENS_MISPLACED.at(where, message)
        reason = obstacle(lookup, stage) if stage.parallel != "tp" else ""
        if reason:
            yield SHARING_IMPOSSIBLE.at(where, f"it is {stage.parallel}, but {reason}")
        elif is_shift and stage.shift_tokens is not None and lookup.is_measurable(stage):
            yield from _threshold(lookup, stage, stage.shift_tokens)


def obstacle(lookup: Lookup, stage: Stage) -> str:
    """Say why a stage cannot share out tokens; an empty text if it can."""
    if stage.tp < 2:
        return f"has {stage.tp} device, needed several"
    if lookup.is_joined(stage):
        return "its host is joined, and stages of joined hosts are tp"
    kinds = {lookup.device_type(stage.host, device) for device in stage.devices}
    if len(kinds) > 1:
        return "its devices are of several types"
    heads = {length(shard.kv_heads) for shard in stage.shards}
    if len(heads) > 1:
        return f"its devices have {' and '.join(map(str, sorted(heads)))} KV heads"
    if stage.sp_degree is not None and stage.sp_degree not in smaller_degrees(stage.tp):
        return (
            f"its SP degree is {stage.sp_degree},"
            f" needed a divisor of its {stage.tp} devices above 1 and below {stage.tp}"
        )
    if stage.parallel == "shift" and any(_cuts_block(lookup.plan.model, held) for held in heads):
        return "its shards cut blocks of quantised weights"
    return ""


def smaller_degrees(n: int) -> list[int]:
    """Return the SP degrees of n devices but n itself, which a plan leaves out."""
    return [degree for degree in range(2, n) if n % degree == 0]


def _cuts_block(model: Model, heads: int) -> bool:
    if model.weights is None:
        return False
    sides = (model.weights.block_rows, model.weights.block_columns)
    return any(side is not None and heads * model.head_dim % side for side in sides)


SHIFT_TOKENS_WRONG = Rule(
    "HEX407",
    "shift-tokens-wrong",
    "`shift_tokens` is a multiple of the stage's SP degree, the number of its devices if none is"
    " stated; a step of so many tokens is faster tensor parallel, a step with one more token per"
    " group is not.",
)


def _threshold(lookup: Lookup, stage: Stage, stated: int) -> Iterator[Violation]:
    host = lookup.hosts[stage.host]
    if host.interconnect is None:
        return
    where, n = f"stage {stage.id}", stage.token_groups
    if stated % n or stated > LARGEST_STEP_TOKENS:
        unit = f"its {n} devices" if n == stage.tp else f"its SP degree of {n}"
        message = f"states {stated}, needed a multiple of {unit} up to {LARGEST_STEP_TOKENS}"
        yield SHIFT_TOKENS_WRONG.at(where, message)
        return
    for tokens, is_small in ((stated, True), (stated + n, False)):
        if not tokens:
            continue
        tensor, sequence = _both_modes(lookup, stage, tokens)
        # The planner compares in floats, which may decide a tie either way.
        if (tensor - sequence) * (1 if is_small else -1) > FLOAT_TOLERANCE * sequence:
            message = (
                f"states {stated}, but a layer takes {tokens} tokens in {_micro(tensor)} us tensor"
                f" parallel and in {_micro(sequence)} us {_shared_way(stage)}"
            )
            yield SHIFT_TOKENS_WRONG.at(where, message)


KnownModes = dict[tuple[int, int | None], tuple[Fraction, Fraction, Fraction]]
"""Seconds of a step of so many tokens at an SP degree: of one layer tensor parallel, of one that is
shared out, and what that takes once a stage."""


def shift_tokens(lookup: Lookup, stage: Stage, known: KnownModes | None = None) -> int | None:
    """Return the threshold of a stage as far as its steps reach; None if all steps are faster tp.

    The larger a step, the more tensor parallelism loses, so bisection finds the threshold.

    Parameters
    ----------
    known
        Of other stages of the same devices; what is computed here is added.
    """
    plan, n = lookup.plan, stage.token_groups

    def is_tensor_faster(rows: int) -> bool:
        tensor, sequence = _both_modes(lookup, stage, rows * n, known)
        return tensor < sequence

    doubled = max(1, LARGEST_STEP_TOKENS // n)
    if is_tensor_faster(1 << (doubled.bit_length() - 1)):
        return None
    largest = max(workspace_tokens(plan), plan.workload.prompt_tokens.mean, MAX_BATCH)
    low, high = 0, min(ceil(Fraction(largest, n)), doubled) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_tensor_faster(middle) else (low, middle)
    return low * n


def _both_modes(
    lookup: Lookup, stage: Stage, tokens: int, known: KnownModes | None = None
) -> tuple[Fraction, Fraction]:
    """Return the seconds of one layer for a step in either mode, without attention."""
    known, key = {} if known is None else known, (tokens, stage.sp_degree)
    if key not in known:
        model, interconnect = lookup.model_of(stage), lookup.hosts[stage.host].interconnect
        kinds = [lookup.device_type(stage.host, device) for device in stage.devices]
        pairs = zip(stage.shards, kinds, strict=True)
        shards = [ShardOnDevice(shard, kind) for shard, kind in pairs if kind]
        parts = sequence_parts(model, shards, interconnect, tokens, stage.sp_degree)
        known[key] = (tensor_seconds(model, shards, interconnect, tokens), *parts)
    tensor, each, once = known[key]
    return tensor, each + once / length(stage.layers)


def _shared_way(stage: Stage) -> str:
    if stage.sp_degree is None:
        return "sequence parallel"
    return f"as SP {stage.sp_degree} x TP {stage.tp // stage.sp_degree}"


def _micro(seconds: Fraction) -> str:
    return number(round(seconds * 10**6, 3))
