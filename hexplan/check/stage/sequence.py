"""Stages whose devices share the tokens of a step: what they hold, and how long they take."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from hexplan.check.stage.roofline import (
    Pair,
    Request,
    decode_attention,
    decode_seconds,
    prefill_seconds,
    prompt_attention,
    weights,
    work,
)
from hexplan.check.stage.sizes import LOGITS_ROWS, length, weights_bytes, workspace_bytes
from hexplan.check.text import exact
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.plan import Shard, Stage


def held_weights_bytes(model: Model, stage: Stage, shard: Shard) -> int:
    """Return the bytes of weights on a device: of whole layers, unless the stage is `tp`."""
    held = shard if stage.parallel == "tp" else _whole(model, shard)
    return weights_bytes(model, stage.layers, held)


def held_workspace_bytes(model: Model, stage: Stage, shard: Shard, step_tokens: int) -> int:
    """Return the bytes of activations of the largest step in each mode, and of logits."""
    if stage.parallel == "tp":
        return workspace_bytes(model, stage.layers, shard, step_tokens)
    small = min(step_tokens, stage.shift_tokens or 0)
    split = _split_workspace(model, stage, shard, step_tokens)
    return max(split, workspace_bytes(model, stage.layers, shard, small))


def _split_workspace(model: Model, stage: Stage, shard: Shard, step_tokens: int) -> int:
    rows = ceil(Fraction(step_tokens, stage.tp))
    head = (model.group + 2) * model.head_dim
    channels = model.ffn * (model.experts.active if model.experts else 1)
    numbers = rows * (4 * model.hidden + head * model.kv_heads + 2 * channels)
    # After the exchange: all tokens, of own heads; at the stage's end: all rows.
    numbers += rows * stage.tp * (head * length(shard.kv_heads) + model.hidden)
    is_last = stage.layers[1] == model.layers
    return model.dtype_bytes * numbers + is_last * 4 * length(shard.vocab) * LOGITS_ROWS


def shared_phase_seconds(
    request: Request, pairs: Sequence[Pair], interconnect: Interconnect | None, stage: Stage
) -> tuple[Fraction, Fraction]:
    """Return the two parts of `layer_s`, of the prompt and of the decodes, whatever their modes."""
    prompt_step = ceil(Fraction(request.workload.prompt_tokens.mean, request.chunks))
    prefill = (
        prefill_seconds(request, pairs, interconnect)
        if _is_tensor(stage, prompt_step)
        else _prefill(request, pairs, interconnect, prompt_step)
    )
    decode = (
        decode_seconds(request, pairs, interconnect)
        if _is_tensor(stage, request.batch)
        else _decode(request, pairs, interconnect)
    )
    return prefill, request.decode_steps * decode


def split_seconds(
    model: Model,
    pairs: Sequence[Pair],
    interconnect: Interconnect | None,
    step: tuple[int, int],
) -> Fraction:
    """Return what one layer takes for a step, without attention, given its tokens and all layers.

    Tokens are padded to equally many on each device, which has the weights of the whole layer.
    """
    tokens, num_layers = step
    rows = ceil(Fraction(tokens, len(pairs)))
    whole = [(_whole(model, shard), kind) for shard, kind in pairs]
    slowest = max(work(model, pair, rows) + weights(model, pair, rows) for pair in whole)
    return slowest + _exchange(model, len(pairs), interconnect, rows, num_layers)


def _is_tensor(stage: Stage, tokens: int) -> bool:
    if stage.parallel == "shift":
        return tokens <= (stage.shift_tokens or 0)
    return stage.parallel == "tp"


def _prefill(
    request: Request, pairs: Sequence[Pair], interconnect: Interconnect | None, step: int
) -> Fraction:
    split = split_seconds(request.model, pairs, interconnect, (step, request.num_layers))
    return request.chunks * split + max(prompt_attention(request, pair) for pair in pairs)


def _decode(request: Request, pairs: Sequence[Pair], interconnect: Interconnect | None) -> Fraction:
    split = split_seconds(request.model, pairs, interconnect, (request.batch, request.num_layers))
    return split + max(decode_attention(request, pair) for pair in pairs)


def _exchange(
    model: Model, n: int, interconnect: Interconnect | None, rows: int, num_layers: int
) -> Fraction:
    """Return the seconds of both all-to-alls of a layer, and its part of the gather at the end."""
    if interconnect is None:
        return Fraction(0)
    bandwidth, alpha = interconnect.bandwidth_bytes_per_s, exact(interconnect.latency_s)
    heads, e = model.kv_heads * model.group, model.head_dim
    there = Fraction(rows * (heads + 2 * model.kv_heads) * e * model.dtype_bytes, n * bandwidth)
    back = Fraction(rows * heads * e * model.dtype_bytes, n * bandwidth)
    gather = Fraction(rows * model.hidden * model.dtype_bytes, bandwidth)
    return (n - 1) * (2 * alpha + there + back + (alpha + gather) / num_layers)


def _whole(model: Model, shard: Shard) -> Shard:
    update = {"kv_heads": (0, model.kv_heads), "ffn": (0, model.ffn)}
    return shard.model_copy(update=update)
