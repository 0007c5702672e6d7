"""Weights as sets of named pieces, so that what moves can be counted one by one."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.field_types import Range
from hexplan.model import Model

Piece = tuple[str, int, int]
"""What it is, its layer, and its index there."""


def pieces(
    model: Model, layers: Range, kv_heads: Range, ffn: Range, vocab: Range, num_heads: int = 0
) -> dict[Piece, int]:
    """Return every piece that a shard holds, with its parameters; copies of a KV head are one.

    Parameters
    ----------
    num_heads
        KV heads of the whole stage, each copy counted; those of the model if left out.
    """
    return dict(_pieces(model, layers, kv_heads, ffn, vocab, num_heads or model.kv_heads))


def _pieces(
    model: Model, layers: Range, kv_heads: Range, ffn: Range, vocab: Range, num_heads: int
) -> Iterator[tuple[Piece, int]]:
    for layer in range(*layers):
        for head in range(*kv_heads):
            yield from _attention(model, layer, head, num_heads)
        for channel in range(*ffn):
            yield from _channel(model, layer, channel)
        yield from _whole(model, layer)
    if layers[0] == 0:
        yield from ((("embedding", -1, row), model.hidden) for row in range(*vocab))
    if layers[1] == model.layers:
        table = "embedding" if model.tied_embeddings else "head"
        yield from (((table, -1, row), model.hidden) for row in range(*vocab))
        yield ("last norm", -1, 0), model.hidden


def _attention(model: Model, layer: int, head: int, num_heads: int) -> Iterator[tuple[Piece, int]]:
    """Yield one of so many KV heads, which may be a copy, with the query heads that it serves."""
    group, copies = model.heads // num_heads, num_heads // model.kv_heads
    queries = range(head * group, (head + 1) * group)
    real = (head // copies,)
    for projection, heads in (("q", queries), ("k", real), ("v", real), ("o", queries)):
        for one in heads:
            yield (projection, layer, one), model.head_dim * model.hidden
            if model.qkv_bias and projection != "o":
                yield (f"{projection} bias", layer, one), model.head_dim


def _channel(model: Model, layer: int, channel: int) -> Iterator[tuple[Piece, int]]:
    for projection in ("gate", "up", "down"):
        yield (projection, layer, channel), model.hidden
        if model.ffn_bias and projection != "down":
            yield (f"{projection} bias", layer, channel), 1


def _whole(model: Model, layer: int) -> Iterator[tuple[Piece, int]]:
    """Yield what stands whole on every device of a stage."""
    yield ("norms", layer, 0), 2 * model.hidden
    if model.qk_norm:
        yield ("q and k norms", layer, 0), 2 * model.head_dim
    if model.out_bias:
        yield ("o bias", layer, 0), model.hidden
    if model.ffn_bias:
        yield ("down bias", layer, 0), model.hidden


def missing_bytes(model: Model, before: dict[Piece, int], after: dict[Piece, int]) -> int:
    """Return the bytes of the pieces of `after` that `before` lacks."""
    return model.dtype_bytes * sum(n for piece, n in after.items() if piece not in before)
