"""Attention over the KV heads of one rank, each request against its own KV cache.

Shapes: T tokens of a batch, H hidden width, Q query heads of this rank, G KV heads of this rank, E
head width, S positions so far. All requests' tokens stand one after another along T.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hexplan_runtime.model.linear import ColumnParallel, Projection, Rank, RmsNorm, RowParallel
from hexplan_runtime.model.rotary import pair_channels, rotate_
from hexplan_runtime.model.step import LayerStep


class Attention:
    """Self-attention of this rank's KV heads and of the query heads that they serve."""

    def __init__(self, rank: Rank, layer: int) -> None:
        model, width = rank.model, rank.model.head_dim
        first, end = rank.shard.kv_heads
        queries = first * model.group * width, end * model.group * width
        keys = first * width, end * width
        self._layer = layer
        self._window = rank.architecture.windows[layer]
        self._kv_heads = end - first
        self._heads = self._kv_heads * model.group
        self._width = width
        prefix = f"model.layers.{layer}.self_attn"
        kv_size = model.kv_heads * width
        self._qkv = ColumnParallel(
            rank,
            (
                Projection(f"{prefix}.q_proj", model.heads * width, queries, model.qkv_bias, width),
                Projection(f"{prefix}.k_proj", kv_size, keys, model.qkv_bias, width),
                Projection(f"{prefix}.v_proj", kv_size, keys, model.qkv_bias),
            ),
        )
        self._norm = self._read_norm(rank, prefix) if model.qk_norm else None
        output = Projection(f"{prefix}.o_proj", model.heads * width, queries, model.out_bias)
        self._output = RowParallel(rank, output)

    def __call__(self, x_TH: Tensor, step: LayerStep) -> Tensor:
        """Return the attention's output for all tokens, and store their keys and values."""
        heads = self._qkv(x_TH).view(len(x_TH), -1, self._width)
        qk, v_TGE = heads.tensor_split([self._heads + self._kv_heads], dim=1)
        qk = rotate_(self._norm(qk) if self._norm else qk, step.turns_T1C)
        q_TQE, k_TGE = qk.tensor_split([self._heads], dim=1)
        keys_GSE, values_GSE = step.store(self._layer, k_TGE, v_TGE)
        return self._output(step.reads(self._window).attend(q_TQE, keys_GSE, values_GSE))

    def _read_norm(self, rank: Rank, prefix: str) -> RmsNorm:
        """Return one norm for query and key heads, which stand side by side."""
        q_E = rank.weights.read(f"{prefix}.q_norm.weight", (self._width,))
        k_E = rank.weights.read(f"{prefix}.k_norm.weight", (self._width,))
        q_E, k_E = (pair_channels(weight_E, self._width) for weight_E in (q_E, k_E))
        weight = torch.cat([q_E.expand(self._heads, -1), k_E.expand(self._kv_heads, -1)])
        return RmsNorm(weight, rank.architecture.norm_epsilon)
