"""Attention over the KV heads of one rank, each request against its own KV cache.

Shapes: T tokens of a batch, H hidden width, Q query heads of this rank, G KV heads of this rank, E
head width, S positions so far. All requests' tokens stand one after another along T.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hexplan_runtime.batch import Row
from hexplan_runtime.model.kv_cache import KvCache
from hexplan_runtime.model.linear import ColumnParallel, Projection, Rank, RmsNorm, RowParallel


@dataclass(frozen=True, slots=True)
class Span:
    """Where a row's tokens stand in the batch: `[first, end)`."""

    row: Row
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class StepContext:
    """What every layer of a step needs to know about the tokens that it gets."""

    spans: tuple[Span, ...]
    """The requests' tokens, one after another."""
    cos_T1E: Tensor
    sin_T1E: Tensor
    cache: KvCache


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
                Projection(f"{prefix}.q_proj", model.heads * width, queries, model.qkv_bias),
                Projection(f"{prefix}.k_proj", kv_size, keys, model.qkv_bias),
                Projection(f"{prefix}.v_proj", kv_size, keys, model.qkv_bias),
            ),
        )
        self._norm = self._read_norm(rank, prefix) if model.qk_norm else None
        output = Projection(f"{prefix}.o_proj", model.heads * width, queries, model.out_bias)
        self._output = RowParallel(rank, output)

    def __call__(self, x_TH: Tensor, step: StepContext) -> Tensor:
        """Return the attention's output for all tokens, and store their keys and values."""
        heads = self._qkv(x_TH).view(len(x_TH), -1, self._width)
        qk = heads[:, : self._heads + self._kv_heads]
        v_TGE = heads[:, self._heads + self._kv_heads :]
        qk = _rotate(self._norm(qk) if self._norm else qk, step)
        q_TQE, k_TGE = qk[:, : self._heads], qk[:, self._heads :]
        parts = []
        for span in step.spans:
            mine = slice(span.first, span.end)
            position = span.row.position
            keys, values = step.cache.append(
                span.row.request, self._layer, position, k_TGE[mine], v_TGE[mine]
            )
            parts.append(attend(q_TQE[mine], keys, values, self._window))
        return self._output(torch.cat(parts).flatten(1))

    def _read_norm(self, rank: Rank, prefix: str) -> RmsNorm:
        """Return one norm for query and key heads, which stand side by side."""
        q_E = rank.weights.read(f"{prefix}.q_norm.weight", (self._width,))
        k_E = rank.weights.read(f"{prefix}.k_norm.weight", (self._width,))
        weight = torch.cat([q_E.expand(self._heads, -1), k_E.expand(self._kv_heads, -1)])
        return RmsNorm(weight, rank.architecture.norm_epsilon)


def attend(q_TQE: Tensor, keys_GSE: Tensor, values_GSE: Tensor, window: int | None) -> Tensor:
    """Return the attention of the last T of S positions to themselves and to those before."""
    tokens, positions = len(q_TQE), keys_GSE.shape[1]
    if tokens == 1:
        return _attend_one(q_TQE, keys_GSE, values_GSE, positions if window is None else window)
    mask_TS = _visible(tokens, positions, window)
    out = F.scaled_dot_product_attention(
        q_TQE.transpose(0, 1)[None],
        keys_GSE[None],
        values_GSE[None],
        attn_mask=mask_TS,
        is_causal=mask_TS is None,
        enable_gqa=True,
    )
    return out[0].transpose(0, 1)


def _attend_one(q_1QE: Tensor, keys_GSE: Tensor, values_GSE: Tensor, window: int) -> Tensor:
    """Attend from one token.

    The query heads that share a KV head take the place of tokens, which needs no copies of keys.
    """
    heads, width = q_1QE.shape[1:]
    q_GgE = q_1QE.view(len(keys_GSE), -1, width)
    seen_GSE = keys_GSE[None, :, -window:], values_GSE[None, :, -window:]
    out = F.scaled_dot_product_attention(q_GgE[None], *seen_GSE)
    return out.view(1, heads, width)


def _visible(tokens: int, positions: int, window: int | None) -> Tensor | None:
    """Return which positions each token sees, or None if a causal mask says it."""
    if tokens == positions and (window is None or window >= positions):
        return None
    query_T1 = torch.arange(positions - tokens, positions)[:, None]
    key_S = torch.arange(positions)
    sees_TS = key_S <= query_T1
    return sees_TS if window is None else sees_TS & (key_S > query_T1 - window)


def _rotate(x: Tensor, step: StepContext) -> Tensor:
    """Turn each head's pairs of channels by its token's position."""
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * step.cos_T1E + turned * step.sin_T1E
