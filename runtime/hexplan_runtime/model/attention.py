"""Attention over the KV heads of one rank, each request against its own KV cache.

Shapes: T tokens of a batch, H hidden width, Q query heads of this rank, G KV heads of this rank, E
head width, S positions so far. All requests' tokens stand one after another along T.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hexplan.field_types import Range
from hexplan.model import Model
from hexplan_runtime.model.head_exchange import HeadExchange
from hexplan_runtime.model.linear import ColumnParallel, Projection, Rank, RmsNorm, RowParallel
from hexplan_runtime.model.rotary import pair_channels, rotate_
from hexplan_runtime.model.step import LayerStep


class Attention:
    """Self-attention of this rank's KV heads and of the query heads that they serve."""

    def __init__(self, rank: Rank, layer: int) -> None:
        model, width = rank.held_model, rank.model.head_dim
        first, end = rank.shard.kv_heads
        self._layer = layer
        self._window = rank.architecture.windows[layer]
        self._kv_heads = end - first
        self._heads = self._kv_heads * model.group
        self._width = width
        prefix = f"model.layers.{layer}.self_attn"
        heads = [shard.kv_heads for shard in rank.held]
        self._exchange = HeadExchange(rank)
        self._qkv = ColumnParallel(rank, [_inputs(rank, prefix, part) for part in heads])
        self._norm = self._read_norm(rank, prefix) if model.qk_norm else None
        self.output = RowParallel(rank, [_output(model, prefix, part) for part in heads])
        """The projection of what heads have attended to."""

    def __call__(self, x_TH: Tensor, step: LayerStep) -> Tensor:
        """Return the attention's output for the tokens given, and store keys and values of all.

        Tokens that are shared out come together for attention, each rank's heads of them.
        """
        attended, portions = self.attended(x_TH, step), step.portions
        if portions is None:
            return self.output(attended)
        return self.output(self._exchange.to_tokens(attended, portions), of_whole=True)

    def attended(self, x_TH: Tensor, step: LayerStep) -> Tensor:
        """Return what this rank's heads have attended to for all tokens, before the projection."""
        portions = step.portions
        heads = self._qkv(x_TH, of_whole=portions is not None)
        if portions is not None:
            heads = self._exchange.to_heads(heads, portions)
        q_TQE, k_TGE, v_TGE = self._turned(heads, step.turns_T1C)
        keys_GSE, values_GSE = step.store(self._layer, k_TGE, v_TGE)
        return step.reads(self._window).attend(q_TQE, keys_GSE, values_GSE)

    def queries(self, x_TH: Tensor, turns_T1C: Tensor) -> Tensor:
        """Return the queries of this rank's heads, and store nothing: `[T, Q, E]`."""
        return self._turned(self._qkv(x_TH), turns_T1C)[0]

    def _turned(self, heads: Tensor, turns_T1C: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of heads, turned by their positions."""
        heads = heads.view(len(heads), -1, self._width)
        qk, v_TGE = heads.tensor_split([self._heads + self._kv_heads], dim=1)
        qk = rotate_(self._norm(qk) if self._norm else qk, turns_T1C)
        q_TQE, k_TGE = qk.tensor_split([self._heads], dim=1)
        return q_TQE, k_TGE, v_TGE

    def _read_norm(self, rank: Rank, prefix: str) -> RmsNorm:
        """Return one norm for query and key heads, which stand side by side."""
        q_E = rank.weights.read(f"{prefix}.q_norm.weight", (self._width,))
        k_E = rank.weights.read(f"{prefix}.k_norm.weight", (self._width,))
        q_E, k_E = (pair_channels(weight_E, self._width) for weight_E in (q_E, k_E))
        weight = torch.cat([q_E.expand(self._heads, -1), k_E.expand(self._kv_heads, -1)])
        return RmsNorm(weight, rank.architecture.norm_epsilon)


def _queries(model: Model, kv_heads: Range) -> Range:
    """Return the channels of the queries that these KV heads serve."""
    width = model.group * model.head_dim
    return kv_heads[0] * width, kv_heads[1] * width


def _inputs(rank: Rank, prefix: str, kv_heads: Range) -> tuple[Projection, ...]:
    """Return the projections to queries, keys and values of one shard's KV heads.

    Where there are several copies of each head, a shard has one of them.
    """
    model, held = rank.model, rank.held_model
    width, kv_size = model.head_dim, model.kv_heads * model.head_dim
    size, queries = model.heads * width, _queries(held, kv_heads)
    first = _real_head(model, held, kv_heads[0])
    keys = first * width, (first + kv_heads[1] - kv_heads[0]) * width
    return (
        Projection(f"{prefix}.q_proj", size, queries, model.qkv_bias, width),
        Projection(f"{prefix}.k_proj", kv_size, keys, model.qkv_bias, width),
        Projection(f"{prefix}.v_proj", kv_size, keys, model.qkv_bias),
    )


def _real_head(model: Model, held: Model, head: int) -> int:
    """Return the head that is read for a KV head as ranks hold them, which may be a copy."""
    return head * model.kv_heads // held.kv_heads


def _output(model: Model, prefix: str, kv_heads: Range) -> Projection:
    size = model.heads * model.head_dim
    return Projection(f"{prefix}.o_proj", size, _queries(model, kv_heads), model.out_bias)
