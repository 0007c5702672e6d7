"""The shard of a rank in a group of equal devices."""

from __future__ import annotations

from hexplan.field_types import Range
from hexplan.model import Model
from hexplan.plan import Shard


def equal_shard(model: Model, rank: int, size: int) -> Shard:
    """Return one of `size` shards that differ by one KV head, FFN channel or row at most.

    Each has a copy of a KV head if there are more shards than these.
    """
    model = model.as_held_by(size)

    def part(total: int) -> Range:
        each, more = divmod(total, size)
        first = rank * each + min(rank, more)
        return first, first + each + (rank < more)

    return Shard(
        device=rank, kv_heads=part(model.kv_heads), ffn=part(model.ffn), vocab=part(model.vocab)
    )
