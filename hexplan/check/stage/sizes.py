"""Sizes of a shard (docs/formulation.md 3), with the symbols of that page."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil

from hexplan.check.exact import exact
from hexplan.constants import LOGIT_BYTES, MAX_BATCH
from hexplan.field_types import Range
from hexplan.model import Model
from hexplan.plan import Shard


@dataclass(frozen=True, slots=True)
class LayerBytes:
    """Bytes of one layer's shard, by the parts that a step reads."""

    attention: int
    """The projections of attention."""
    network: int
    """One feed-forward network, of which there are E."""
    rest: int
    """Norms, biases and router."""
    num_networks: int
    """Feed-forward networks: E, or 1 without experts."""

    @property
    def total(self) -> int:
        """Return `layer(a, c)`."""
        return self.attention + self.num_networks * self.network + self.rest


def layer_of(model: Model, shard: Shard) -> LayerBytes:
    """Return the bytes of one layer's shard."""
    h, keys, c = model.hidden, length(shard.kv_heads) * model.head_dim, length(shard.ffn)
    queries = keys * model.group
    stored = model.weights.average_bits if model.weights else None
    attention_bits = stored.attention if stored else None
    network_bits = stored.network if stored else None
    attention = (
        2 * matrix_bytes(model, attention_bits, keys, h)
        + matrix_bytes(model, attention_bits, queries, h)
        + matrix_bytes(model, attention_bits, h, queries)
    )
    network = _rising(model) * matrix_bytes(model, network_bits, c, h)
    network += matrix_bytes(model, network_bits, h, c)
    total = model.experts.total if model.experts else 1
    return LayerBytes(attention, network, model.dtype_bytes * _rest(model, shard), total)


def token_numbers(model: Model, shard: Shard) -> int:
    """Return `p`: the number of a layer's weights that every token uses."""
    keys = length(shard.kv_heads) * model.head_dim
    attention = 2 * keys * model.hidden + 2 * keys * model.group * model.hidden
    network = 0 if model.experts else (_rising(model) + 1) * model.hidden * length(shard.ffn)
    return attention + network + _rest(model, shard)


def expert_numbers(model: Model, shard: Shard) -> int:
    """Return `p_e`: the number of weights in the experts that a token picks; 0 without any."""
    active = model.experts.active if model.experts else 0
    return active * (_rising(model) + 1) * model.hidden * length(shard.ffn)


def matrix_bytes(model: Model, bits: Decimal | None, rows: int, columns: int) -> int:
    """Return the bytes of a matrix: by its average bits, its type, or its numbers and scales."""
    form = model.weights
    if bits is not None:
        return ceil(exact(bits) * rows * columns / 8)
    if form is None:
        return model.dtype_bytes * rows * columns
    down = ceil(Fraction(rows, form.block_rows)) if form.block_rows else 1
    across = ceil(Fraction(columns, form.block_columns)) if form.block_columns else 1
    number_bits = int(form.name[-1])  # of fp8, int4 and so on
    scales = down * across * (form.scale_bits + form.zero_bits)
    return ceil(Fraction(rows * columns * number_bits, 8)) + ceil(Fraction(scales, 8))


def head_bytes(model: Model, shard: Shard) -> int:
    """Return the bytes of a shard's rows of the output head."""
    stored = model.weights.average_bits if model.weights else None
    return _table_bytes(model, stored.head if stored else None, shard)


def _table_bytes(model: Model, bits: Decimal | None, shard: Shard) -> int:
    numbers = length(shard.vocab) * model.hidden
    return numbers * model.dtype_bytes if bits is None else ceil(exact(bits) * numbers / 8)


def weights_bytes(model: Model, layers: Range, shard: Shard) -> int:
    """Return the bytes of a shard's weights: its layers, and its part of embedding and head."""
    is_first, is_last = layers[0] == 0, layers[1] == model.layers
    stored = model.weights.average_bits if model.weights else None
    total = length(layers) * layer_of(model, shard).total
    if is_first:
        total += _table_bytes(model, stored.embedding if stored else None, shard)
    if is_last and not (model.tied_embeddings and is_first):
        total += head_bytes(model, shard)
    if is_last:
        total += model.hidden * model.dtype_bytes
    return total


def workspace_bytes(model: Model, layers: Range, shard: Shard, step_tokens: int) -> int:
    """Return the bytes of the activations of the largest step, and of logits on a last stage."""
    a, c = length(shard.kv_heads), length(shard.ffn)
    active = model.experts.active if model.experts else 1
    widths = 4 * model.hidden + (model.group + 2) * a * model.head_dim + 2 * c * active
    logits = LOGIT_BYTES * length(shard.vocab) * MAX_BATCH if layers[1] == model.layers else 0
    return model.dtype_bytes * step_tokens * widths + logits


def kv_token_bytes(model: Model, layers: Range, shard: Shard) -> int:
    """Return the bytes that one token of context takes in a shard's KV cache."""
    heads = length(shard.kv_heads)
    return 2 * length(layers) * heads * model.head_dim * model.kv_bytes


def length(interval: Range) -> int:
    """Return the length of a half-open interval."""
    return interval[1] - interval[0]


def axes(shard: Shard) -> tuple[Range, Range, Range]:
    """Return the intervals of a shard: KV heads, channels and words."""
    return shard.kv_heads, shard.ffn, shard.vocab


def _rest(model: Model, shard: Shard) -> int:
    """Return the number of a layer's weights outside its large matrices."""
    h, e = model.hidden, model.head_dim
    a, c = length(shard.kv_heads), length(shard.ffn)
    biases = (
        model.qkv_bias * a * e * (model.group + 2)
        + model.out_bias * h
        + model.ffn_bias * (_rising(model) * c + h)
    )
    router = model.experts.total * h if model.experts else 0
    norms = 2 * h if model.norm_weights is None else model.norm_weights
    return norms + router + biases + model.qk_norm * 2 * e


def _rising(model: Model) -> int:
    """Return the matrices of a network that widen: the gate, if it has one, and `up`."""
    return 2 if model.gated else 1
