"""Sizes of a shard (docs/formulation.md 3), with the symbols of that page."""

from __future__ import annotations

from hexplan.model import Model
from hexplan.plan import Shard

LOGITS_ROWS = 256
"""Rows of 32-bit logits that the last stage has room for."""


def layer_parameters(model: Model, shard: Shard) -> int:
    """Return the parameters of one layer's shard, `layer(a, c)`."""
    h, e, queries = model.hidden, model.head_dim, model.group
    a, c = length(shard.kv_heads), length(shard.ffn)
    attention = a * e * h * (2 * queries + 2)
    biases = (
        model.qkv_bias * a * e * (queries + 2) + model.out_bias * h + model.ffn_bias * (2 * c + h)
    )
    norms = 2 * h + model.qk_norm * 2 * e
    return attention + biases + norms + 3 * h * c


def weights_bytes(model: Model, layers: tuple[int, int], shard: Shard) -> int:
    """Return the bytes of a shard's weights: its layers, and its part of the model's ends."""
    is_first, is_last = layers[0] == 0, layers[1] == model.layers
    table = length(shard.vocab) * model.hidden
    parameters = length(layers) * layer_parameters(model, shard)
    if is_first:
        parameters += table
    if is_last and not (model.tied_embeddings and is_first):
        parameters += table
    if is_last:
        parameters += model.hidden
    return parameters * model.dtype_bytes


def workspace_bytes(
    model: Model, layers: tuple[int, int], shard: Shard, longest_prompt: int
) -> int:
    """Return the bytes of activations of the longest prompt, and of logits on a last stage."""
    a, c = length(shard.kv_heads), length(shard.ffn)
    widths = 4 * model.hidden + (model.group + 2) * a * model.head_dim + 2 * c
    logits = 4 * length(shard.vocab) * LOGITS_ROWS if layers[1] == model.layers else 0
    return model.dtype_bytes * longest_prompt * widths + logits


def kv_token_bytes(model: Model, layers: tuple[int, int], shard: Shard) -> int:
    """Return the bytes that one token of context takes in a shard's KV cache."""
    heads = length(shard.kv_heads)
    return 2 * length(layers) * heads * model.head_dim * model.dtype_bytes


def length(interval: tuple[int, int]) -> int:
    """Return the length of a half-open interval."""
    return interval[1] - interval[0]
