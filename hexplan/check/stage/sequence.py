"""Stages whose devices share out the tokens of a step: what they hold, and how long they take.

With an SP degree s, n devices are s token groups of n / s. Device i takes the tokens of group
`i mod s`. It exchanges them for heads with the s devices whose numbers have the same quotient by s,
and holds what these hold together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from hexplan.check.exact import exact
from hexplan.check.stage.roofline import (
    ShardOnDevice,
    StageRequest,
    all_reduce,
    decode_attention,
    decode_seconds,
    distinct,
    matrix_seconds,
    prefill_seconds,
    prompt_attention,
    seconds_per_byte,
    start,
)
from hexplan.check.stage.sizes import length, weights_bytes, workspace_bytes
from hexplan.constants import EXCHANGE_STARTS, LOGIT_BYTES, MAX_BATCH
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.plan import Shard, Stage

PROMPT = 0
KnownSeconds = dict[int, Fraction]
"""Seconds of one layer: of a tensor-parallel step of so many decodes, at `PROMPT` of a prompt."""


def held_weights_bytes(model: Model, stage: Stage, shard: Shard) -> int:
    """Return the bytes of weights on a device: of its shard alone only if the stage is `tp`."""
    return weights_bytes(model, stage.layers, held_shard(model, stage, shard))


def held_workspace_bytes(model: Model, stage: Stage, shard: Shard, step_tokens: int) -> int:
    """Return the bytes of workspace for the largest step in either mode."""
    if stage.parallel == "tp":
        return workspace_bytes(model, stage.layers, shard, step_tokens)
    small = min(step_tokens, stage.shift_tokens or 0)
    sequence = _sequence_workspace(model, stage, shard, step_tokens)
    return max(sequence, workspace_bytes(model, stage.layers, shard, small))


def _sequence_workspace(model: Model, stage: Stage, shard: Shard, step_tokens: int) -> int:
    groups = stage.sp_degree or stage.tp
    rows, held = ceil(Fraction(step_tokens, groups)), held_shard(model, stage, shard)
    head = (model.group + 2) * model.head_dim
    channels = length(held.ffn) * (model.experts.active if model.experts else 1)
    numbers = rows * (4 * model.hidden + head * length(held.kv_heads) + 2 * channels)
    # After the exchange: own heads of all tokens. At the end of the stage: all rows.
    numbers += rows * groups * (head * length(shard.kv_heads) + model.hidden)
    is_last = stage.layers[1] == model.layers
    return model.dtype_bytes * numbers + is_last * LOGIT_BYTES * length(shard.vocab) * MAX_BATCH


def shared_phase_seconds(
    request: StageRequest,
    shards: Sequence[ShardOnDevice],
    interconnect: Interconnect | None,
    stage: Stage,
    known: KnownSeconds | None = None,
) -> tuple[Fraction, Fraction]:
    """Return the two parts of `layer_s`, the prompt's and the decodes', each in its mode.

    Parameters
    ----------
    known
        Of other tensor-parallel stages of the same devices; what is computed here is added.
    """
    known = {} if known is None else known
    spread = Spread(request.num_layers, stage.sp_degree)
    prompt_step = ceil(Fraction(request.workload.prompt_tokens.mean, request.chunks))
    if _is_tensor(stage, prompt_step):
        if PROMPT not in known:
            known[PROMPT] = prefill_seconds(request, shards, interconnect)
        prefill = known[PROMPT]
    else:
        sequence = sequence_seconds(request.model, shards, interconnect, prompt_step, spread)
        slowest = max(prompt_attention(request, held) for held in distinct(shards))
        prefill = request.chunks * sequence + slowest
    if _is_tensor(stage, request.batch):
        if request.batch not in known:
            known[request.batch] = decode_seconds(request, shards, interconnect)
        decode = known[request.batch]
    else:
        sequence = sequence_seconds(request.model, shards, interconnect, request.batch, spread)
        decode = sequence + max(decode_attention(request, held) for held in distinct(shards))
    besides = request.step_s / request.num_layers
    return prefill + request.chunks * besides, request.decode_steps * (decode + besides)


@dataclass(frozen=True, slots=True)
class Spread:
    """What the steps of a stage that shares out tokens are spread over."""

    num_layers: int
    """Layers of the stage, which share the gather at its end."""
    sp_degree: int | None = None
    """Groups of devices that share out the tokens; None for one of each device."""


def sequence_seconds(
    model: Model,
    shards: Sequence[ShardOnDevice],
    interconnect: Interconnect | None,
    tokens: int,
    spread: Spread,
) -> Fraction:
    """Return the seconds of one layer for a step that is shared out, without attention."""
    each, once = sequence_parts(model, shards, interconnect, tokens, spread.sp_degree)
    return each + once / spread.num_layers


def sequence_parts(
    model: Model,
    shards: Sequence[ShardOnDevice],
    interconnect: Interconnect | None,
    tokens: int,
    degree: int | None,
) -> tuple[Fraction, Fraction]:
    """Return the seconds of each layer for a step that is shared out, and of a stage besides.

    Tokens are padded to the same number in every group.

    Parameters
    ----------
    tokens
        Tokens of the step.
    degree
        The SP degree, if it is not the number of devices.
    """
    n = len(shards)
    rows = ceil(Fraction(tokens, degree or n))
    own = [held.shard for held in shards]
    unlike = {
        (one.device_type.name, *_together(model, own, degree, position)): one
        for position, one in enumerate(shards)
    }
    slowest = max(
        matrix_seconds(model, ShardOnDevice(_long(one.shard, *sizes), one.device_type), rows)
        for (_, *sizes), one in unlike.items()
    )
    message = rows * model.hidden * model.dtype_bytes
    sums = 2 * all_reduce(max(1, n // (degree or n)), interconnect, message, 1, n)
    if interconnect is None:
        return slowest, Fraction(0)
    each, once = _exchanges(model, n, interconnect, rows, degree or n)
    return slowest + sums + each, once


def _is_tensor(stage: Stage, tokens: int) -> bool:
    if stage.parallel == "shift":
        return tokens <= (stage.shift_tokens or 0)
    return stage.parallel == "tp"


def _exchanges(
    model: Model, n: int, interconnect: Interconnect, rows: int, s: int
) -> tuple[Fraction, Fraction]:
    """Return the seconds of a layer's two all-to-alls, and of the gather at a stage's end.

    A device sends its own heads' worth of each row to every other one of its exchange group.
    """
    byte, begin = seconds_per_byte(n, interconnect), _exchange_start(s, interconnect)
    heads, e = model.kv_heads * model.group, model.head_dim
    there = Fraction(rows * (heads + 2 * model.kv_heads) * e * model.dtype_bytes, n)
    back = Fraction(rows * heads * e * model.dtype_bytes, n)
    gather = rows * model.hidden * model.dtype_bytes
    return 2 * begin + (s - 1) * (there + back) * byte, begin + (s - 1) * gather * byte


def _exchange_start(n: int, interconnect: Interconnect) -> Fraction:
    """Return the start-up of an exchange: twice an all-reduce's, unless two devices' is stated."""
    stated, begin = interconnect.exchange_latency_s, EXCHANGE_STARTS * start(n, interconnect)
    if stated is None:
        return begin
    return begin - EXCHANGE_STARTS * exact(interconnect.latency_s) + exact(stated)


def held_shard(model: Model, stage: Stage, shard: Shard) -> Shard:
    """Return a shard of the lengths of all that its device holds."""
    if stage.parallel == "tp":
        return shard
    position = stage.shards.index(shard)
    return _long(shard, *_together(model, stage.shards, stage.sp_degree, position))


def _together(
    model: Model, shards: Sequence[Shard], sp_degree: int | None, position: int
) -> tuple[int, int]:
    """Return the KV heads and channels that a device's exchange group has together."""
    if sp_degree is None:
        return model.kv_heads, model.ffn
    group = [one for other, one in enumerate(shards) if other // sp_degree == position // sp_degree]
    return sum(length(one.kv_heads) for one in group), sum(length(one.ffn) for one in group)


def _long(shard: Shard, heads: int, channels: int) -> Shard:
    """Return a shard of so many heads and channels."""
    return shard.model_copy(update={"kv_heads": (0, heads), "ffn": (0, channels)})
