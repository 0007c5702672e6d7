"""The weights of a shard: the bytes that it stores, and the bytes that a step reads."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from hexplan.field_types import Range
from hexplan.model import Model, WeightFormat
from hexplan.plan import Shard

BITS_PER_BYTE = 8
MILLION = 10**6
"""Average bits are whole millionths, so that bytes follow in integers."""
Table = Literal["embedding", "head"]
_LayerPart = Literal["attention", "network"]


@dataclass(frozen=True, slots=True)
class ShardSizes:
    """Lengths of one shard's intervals: `a`, `c` and `v` of the formulation."""

    kv_heads: int
    """Copies of them, where devices outnumber them: of the model as the stage's devices hold it."""
    ffn: int
    vocab: int

    @classmethod
    def of(cls, shard: Shard) -> ShardSizes:
        """Measure a shard's intervals."""
        kv_heads, ffn, vocab = (
            end - first for first, end in (shard.kv_heads, shard.ffn, shard.vocab)
        )
        return cls(kv_heads, ffn, vocab)


def layer_bytes(model: Model, sizes: ShardSizes) -> int:
    """Return the bytes of one layer's shard."""
    return dense_bytes(model, sizes) + experts_bytes(model, sizes)


def dense_bytes(model: Model, sizes: ShardSizes) -> int:
    """Return the bytes of a layer that every token uses, whichever experts it picks."""
    width = sizes.kv_heads * model.head_dim
    queries = width * model.group
    total = 2 * _matrix_bytes(model, "attention", width, model.hidden)
    total += _matrix_bytes(model, "attention", queries, model.hidden)
    total += _matrix_bytes(model, "attention", model.hidden, queries)
    if model.experts is None:
        total += _network_bytes(model, sizes)
    return total + model.dtype_bytes * _unquantised(model, sizes)


def experts_bytes(model: Model, sizes: ShardSizes) -> int:
    """Return the bytes of all experts of a layer; 0 for a dense layer."""
    return model.experts.total * _network_bytes(model, sizes) if model.experts else 0


def read_share(model: Model, tokens: int) -> float:
    """Return the expected share of experts that so many tokens use, if each picks at random."""
    if model.experts is None:
        return 0.0
    return 1.0 - (1.0 - model.experts.active / model.experts.total) ** tokens


def token_parameters(model: Model, sizes: ShardSizes) -> int:
    """Count the parameters of one layer's shard that a token uses, whichever experts it picks."""
    width = sizes.kv_heads * model.head_dim
    matrices = width * model.hidden * (2 * model.group + 2)
    network = 0 if model.experts else _network_parameters(model, sizes)
    return matrices + network + _unquantised(model, sizes)


def token_expert_parameters(model: Model, sizes: ShardSizes) -> int:
    """Count the parameters of a layer's experts that a token uses; 0 for a dense layer."""
    return model.experts.active * _network_parameters(model, sizes) if model.experts else 0


def _network_parameters(model: Model, sizes: ShardSizes) -> int:
    return model.network_matrices * model.hidden * sizes.ffn


def end_bytes(model: Model, sizes: ShardSizes, layers: Range) -> int:
    """Return the bytes of embedding, output head and last norm, if the stage has them."""
    is_first, is_last = layers[0] == 0, layers[1] == model.layers
    total = model.dtype_bytes * model.hidden if is_last else 0
    if is_first:
        total += table_bytes(model, "embedding", sizes.vocab)
    if is_last and not (model.tied_embeddings and is_first):
        total += table_bytes(model, "head", sizes.vocab)
    return total


def table_bytes(model: Model, table: Table, rows: int) -> int:
    """Return the bytes of rows of the embedding or of the output head."""
    stored = model.weights.average_bits if model.weights else None
    if stored is None:
        return model.dtype_bytes * rows * model.hidden
    bits = stored.embedding if table == "embedding" else stored.head
    return _average_bytes(bits, rows * model.hidden)


def weights_bytes(model: Model, sizes: ShardSizes, layers: Range) -> int:
    """Return the bytes of a shard's weights."""
    return (layers[1] - layers[0]) * layer_bytes(model, sizes) + end_bytes(model, sizes, layers)


def _network_bytes(model: Model, sizes: ShardSizes) -> int:
    """Return the bytes of one feed-forward network: its gate, if it has one, up and down."""
    up = _matrix_bytes(model, "network", sizes.ffn, model.hidden)
    return (model.network_matrices - 1) * up + _matrix_bytes(
        model, "network", model.hidden, sizes.ffn
    )


def _unquantised(model: Model, sizes: ShardSizes) -> int:
    """Count a layer's norms, biases and router weights, which keep the model's dtype."""
    width = sizes.kv_heads * model.head_dim
    parameters = model.norms
    if model.experts is not None:
        parameters += model.experts.total * model.hidden
    if model.qkv_bias:
        parameters += width * (model.group + 2)
    if model.out_bias:
        parameters += model.hidden
    if model.ffn_bias:
        parameters += (model.network_matrices - 1) * sizes.ffn + model.hidden
    if model.qk_norm:
        parameters += 2 * model.head_dim
    return parameters


def _matrix_bytes(model: Model, part: _LayerPart, rows: int, columns: int) -> int:
    form = model.weights
    if form is None:
        return model.dtype_bytes * rows * columns
    stored = form.average_bits
    if stored is None:
        return _quantised_bytes(form, rows, columns)
    bits = stored.attention if part == "attention" else stored.network
    return _average_bytes(bits, rows * columns)


def _average_bytes(bits: Decimal, numbers: int) -> int:
    """Return the bytes of so many weights of this many bits on average, rounded up."""
    millionths = int(bits * MILLION)
    return -(-numbers * millionths // (BITS_PER_BYTE * MILLION))


def _quantised_bytes(form: WeightFormat, rows: int, columns: int) -> int:
    """Return the bytes of a matrix with a scale, and perhaps a zero point, per block."""
    if not rows or not columns:
        return 0
    blocks = -(-rows // (form.block_rows or rows)) * -(-columns // (form.block_columns or columns))
    stored = -(-rows * columns * form.bits // BITS_PER_BYTE)
    return stored + -(-blocks * (form.scale_bits + form.zero_bits) // BITS_PER_BYTE)
