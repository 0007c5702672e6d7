"""The layers of a decoder. Each reads only the part of the weights that the rank's shard names.

Shapes: T tokens of a batch, H hidden width, C FFN channels of this rank, V vocabulary rows
of this rank.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from hexplan.field_types import Range
from hexplan.plan import Shard
from hexplan_runtime.model.attention import Attention
from hexplan_runtime.model.linear import ColumnParallel, Projection, Rank, RowParallel, read_norm
from hexplan_runtime.model.packed import Linear
from hexplan_runtime.model.step import LayerStep

_TABLE = "model.embed_tokens.weight"
_HEAD = "lm_head.weight"


class FeedForward:
    """The gated feed-forward network, of which this rank holds some channels."""

    def __init__(self, rank: Rank, layer: int) -> None:
        model, prefix = rank.model, f"model.layers.{layer}.mlp"

        def of(name: str, shard: Shard) -> Projection:
            return Projection(f"{prefix}.{name}_proj", model.ffn, shard.ffn, model.ffn_bias)

        both = [(of("gate", shard), of("up", shard)) for shard in rank.held]
        self._gate_up = ColumnParallel(rank, both)
        self.down = RowParallel(rank, [of("down", shard) for shard in rank.held])
        """The projection of the channels back to the hidden width."""

    def __call__(self, x_TH: Tensor, *, of_whole: bool = False) -> Tensor:
        """Return the network's output for all tokens: of this rank's channels, or of all it holds.

        In the first case ranks sum theirs up, so that it is of all channels, too.
        """
        both = self._gate_up(x_TH, of_whole=of_whole)
        parts = torch.split(both, list(self._gate_up.widths), dim=-1) if of_whole else (both,)
        channels = [_gated(part) for part in parts]
        return self.down(
            torch.cat(channels, dim=-1) if of_whole else channels[0], of_whole=of_whole
        )

    def channels(self, x_TH: Tensor) -> Tensor:
        """Return this rank's channels for all tokens, before the projection."""
        return _gated(self._gate_up(x_TH))


class DecoderLayer:
    """Attention and feed-forward network, each behind a norm and around a residual."""

    def __init__(self, rank: Rank, layer: int) -> None:
        self.index = layer
        prefix = f"model.layers.{layer}"
        self._attention_norm = read_norm(rank, f"{prefix}.input_layernorm.weight")
        self._attention = Attention(rank, layer)
        self._ffn_norm = read_norm(rank, f"{prefix}.post_attention_layernorm.weight")
        self._ffn = FeedForward(rank, layer)

    def __call__(self, x_TH: Tensor, step: LayerStep) -> None:
        """Bring the residual stream through this layer, in place."""
        self.attend_(x_TH, step)
        self.feed_(x_TH, of_whole=step.portions is not None)

    def queries(self, x_TH: Tensor, turns_T1C: Tensor) -> Tensor:
        """Return the queries of this layer's heads for a residual stream: `[T, Q, E]`."""
        return self._attention.queries(self._attention_norm(x_TH), turns_T1C)

    def halves(self, x_TH: Tensor, step: LayerStep) -> Iterator[tuple[Tensor, RowParallel]]:
        """Yield attention and the feed-forward network up to their projections, for tp alone.

        With each comes the projection of what it gives; the caller adds the team's sum of that to
        the residual stream before it asks for the next one.
        """
        yield self._attention.attended(self._attention_norm(x_TH), step), self._attention.output
        yield self._ffn.channels(self._ffn_norm(x_TH)), self._ffn.down

    def attend_(self, x_TH: Tensor, step: LayerStep) -> None:
        """Add the output of attention to the residual stream."""
        x_TH += self._attention(self._attention_norm(x_TH), step)

    def feed_(self, x_TH: Tensor, *, of_whole: bool = False) -> None:
        """Add the output of the feed-forward network to the residual stream."""
        x_TH += self._ffn(self._ffn_norm(x_TH), of_whole=of_whole)


class Embedding:
    """The embedding table, of which this rank holds some rows."""

    def __init__(self, rank: Rank) -> None:
        model = rank.model
        self._team = rank.team
        self._first, self._end = rank.shard.vocab
        shape = model.vocab, model.hidden
        self._table_VH = rank.weights.read(_table_name(rank), shape, rank.shard.vocab)
        self._is_shared = False

    def __call__(self, ids_T: Tensor) -> Tensor:
        """Return the tokens' embeddings, the same on every rank of the team."""
        is_mine_T = (ids_T >= self._first) & (ids_T < self._end)
        rows_T = torch.where(is_mine_T, ids_T - self._first, 0)
        return self._team.sum(self._rows(rows_T) * is_mine_T[:, None])

    def share(self) -> Tensor:
        """Return the table as the weight of a head, too; it is kept once: `[V, H]`.

        It is laid out by columns: the head of one row then takes half the time in float32, and
        three quarters of it in bfloat16 (Zen 4), where an embedding takes microseconds more.
        """
        if not self._is_shared and self._table_VH.device.type == "cpu":
            self._table_VH = self._table_VH.t().contiguous().t()
            self._is_shared = True
        return self._table_VH

    def _rows(self, rows_T: Tensor) -> Tensor:
        if self._is_shared:
            return self._table_VH.t().index_select(1, rows_T).t()
        return F.embedding(rows_T, self._table_VH)


class Head:
    """The last norm and the output head, of which this rank holds some rows."""

    def __init__(self, rank: Rank, vocab: tuple[Range, ...], embedding: Embedding | None) -> None:
        weight_VH, is_shared = _read_head_weight(rank, embedding)
        self._norm = read_norm(rank, "model.norm.weight")
        self._linear = Linear(weight_VH, may_pack=not is_shared)
        self._team = rank.team
        self._vocab = vocab

    def __call__(self, x_TH: Tensor) -> Tensor | None:
        """Return all logits on the leader, and None on other ranks."""
        logits = self._linear(self._norm(x_TH))
        return self._team.gather_columns(logits, self._vocab)


def _gated(both_T2C: Tensor) -> Tensor:
    gate_TC, up_TC = both_T2C.chunk(2, dim=-1)
    return F.silu(gate_TC).mul_(up_TC)


def _read_head_weight(rank: Rank, embedding: Embedding | None) -> tuple[Tensor, bool]:
    """Return this rank's rows of the output head, and whether they are the embedding's own.

    Tied rows are not read twice. The embedding needs them as they came, and the plan counts them
    once, so they are not packed either.
    """
    model = rank.model
    if model.tied_embeddings and embedding is not None:
        return embedding.share(), True
    name = _table_name(rank) if model.tied_embeddings else _HEAD
    return rank.weights.read(name, (model.vocab, model.hidden), rank.shard.vocab), False


def _table_name(rank: Rank) -> str:
    """Return the name of the embedding table; files may hold a tied one as the head alone."""
    is_head = rank.model.tied_embeddings and not rank.weights.has(_TABLE)
    return _HEAD if is_head else _TABLE
