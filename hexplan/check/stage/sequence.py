"""Stages whose devices share out the tokens of a step: what they hold, and how long they take."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from hexplan.check.exact import exact
from hexplan.check.stage.roofline import (
    ShardOnDevice,
    StageRequest,
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
    """Return the bytes of weights on a device: of whole layers, unless the stage is `tp`."""
    held = shard if stage.parallel == "tp" else _whole(model, shard)
    return weights_bytes(model, stage.layers, held)


def held_workspace_bytes(model: Model, stage: Stage, shard: Shard, step_tokens: int) -> int:
    """Return the bytes of workspace for the largest step in either mode."""
    if stage.parallel == "tp":
        return workspace_bytes(model, stage.layers, shard, step_tokens)
    small = min(step_tokens, stage.shift_tokens or 0)
    sequence = _sequence_workspace(model, stage, shard, step_tokens)
    return max(sequence, workspace_bytes(model, stage.layers, shard, small))


def _sequence_workspace(model: Model, stage: Stage, shard: Shard, step_tokens: int) -> int:
    rows = ceil(Fraction(step_tokens, stage.tp))
    head = (model.group + 2) * model.head_dim
    channels = model.ffn * (model.experts.active if model.experts else 1)
    numbers = rows * (4 * model.hidden + head * model.kv_heads + 2 * channels)
    # After the exchange: own heads of all tokens. At the end of the stage: all rows.
    numbers += rows * stage.tp * (head * length(shard.kv_heads) + model.hidden)
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
    prompt_step = ceil(Fraction(request.workload.prompt_tokens.mean, request.chunks))
    if _is_tensor(stage, prompt_step):
        if PROMPT not in known:
            known[PROMPT] = prefill_seconds(request, shards, interconnect)
        prefill = known[PROMPT]
    else:
        prefill = _prefill(request, shards, interconnect, prompt_step)
    if _is_tensor(stage, request.batch):
        if request.batch not in known:
            known[request.batch] = decode_seconds(request, shards, interconnect)
        decode = known[request.batch]
    else:
        decode = _decode(request, shards, interconnect)
    besides = request.step_s / request.num_layers
    return prefill + request.chunks * besides, request.decode_steps * (decode + besides)


def sequence_seconds(
    model: Model,
    shards: Sequence[ShardOnDevice],
    interconnect: Interconnect | None,
    tokens: int,
    num_layers: int,
) -> Fraction:
    """Return the seconds of one layer for a sequence-parallel step, without attention.

    Tokens are padded to the same number on every device, and each device holds whole layers.

    Parameters
    ----------
    tokens
        Tokens of the step.
    num_layers
        Layers of the stage, over which the gather at its end is spread.
    """
    rows = ceil(Fraction(tokens, len(shards)))
    whole = [
        ShardOnDevice(_whole(model, held.shard), held.device_type) for held in distinct(shards)
    ]
    slowest = max(matrix_seconds(model, held, rows) for held in whole)
    return slowest + _exchange(model, len(shards), interconnect, rows, num_layers)


def _is_tensor(stage: Stage, tokens: int) -> bool:
    if stage.parallel == "shift":
        return tokens <= (stage.shift_tokens or 0)
    return stage.parallel == "tp"


def _prefill(
    request: StageRequest,
    shards: Sequence[ShardOnDevice],
    interconnect: Interconnect | None,
    step: int,
) -> Fraction:
    sequence = sequence_seconds(request.model, shards, interconnect, step, request.num_layers)
    return request.chunks * sequence + max(
        prompt_attention(request, held) for held in distinct(shards)
    )


def _decode(
    request: StageRequest, shards: Sequence[ShardOnDevice], interconnect: Interconnect | None
) -> Fraction:
    sequence = sequence_seconds(
        request.model, shards, interconnect, request.batch, request.num_layers
    )
    return sequence + max(decode_attention(request, held) for held in distinct(shards))


def _exchange(
    model: Model, n: int, interconnect: Interconnect | None, rows: int, num_layers: int
) -> Fraction:
    """Return the seconds of a layer's two all-to-alls, and its share of the gather at the end."""
    if interconnect is None:
        return Fraction(0)
    byte, begin = seconds_per_byte(n, interconnect), _exchange_start(n, interconnect)
    heads, e = model.kv_heads * model.group, model.head_dim
    there = Fraction(rows * (heads + 2 * model.kv_heads) * e * model.dtype_bytes, n)
    back = Fraction(rows * heads * e * model.dtype_bytes, n)
    gather = Fraction(rows * model.hidden * model.dtype_bytes, num_layers)
    carried = (n - 1) * (there + back + gather) * byte
    return (2 + Fraction(1, num_layers)) * begin + carried


def _exchange_start(n: int, interconnect: Interconnect) -> Fraction:
    """Return the start-up of an exchange: twice an all-reduce's, unless two devices' is stated."""
    stated, begin = interconnect.exchange_latency_s, EXCHANGE_STARTS * start(n, interconnect)
    if stated is None:
        return begin
    return begin - EXCHANGE_STARTS * exact(interconnect.latency_s) + exact(stated)


def _whole(model: Model, shard: Shard) -> Shard:
    update = {"kv_heads": (0, model.kv_heads), "ffn": (0, model.ffn)}
    return shard.model_copy(update=update)
