"""Shards: intervals that tile the KV heads, the FFN channels and the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import span
from hexplan.field_types import Range
from hexplan.plan import Shard, Stage


def shard_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield intervals that are empty, reversed, or do not follow one another."""
    for stage in lookup.plan.stages:
        model = lookup.model_of(stage)
        totals = (model.kv_heads, model.ffn, model.vocab)
        for shard in stage.shards:
            yield from _lengths(stage, shard)
        for axis, total in enumerate(totals):
            yield from _tiling(stage, axis, total)


def _intervals(shard: Shard) -> tuple[tuple[str, Range], ...]:
    return ("kv_heads", shard.kv_heads), ("ffn", shard.ffn), ("vocab", shard.vocab)


EMPTY_SHARD = Rule(
    "HEX210",
    "empty-shard",
    "Every shard has at least one KV head and one FFN channel, and no interval is reversed.",
)


def _lengths(stage: Stage, shard: Shard) -> Iterator[Violation]:
    for name, (first, end) in _intervals(shard):
        if first > end or (first == end and name != "vocab"):
            where = f"stage {stage.id}, device {shard.device}"
            problem = "is reversed" if first > end else "is empty"
            yield EMPTY_SHARD.at(where, f"{name} {span((first, end))} {problem}")


SHARDS_DO_NOT_TILE = Rule(
    "HEX209",
    "shards-do-not-tile",
    "The shards' intervals follow one another and cover all KV heads, FFN channels and"
    " vocabulary rows exactly once. If a stage has more devices than the model has KV heads, their"
    " number is a multiple of the KV heads and divides the query heads, and each holds one copy of"
    " a KV head.",
)


def _tiling(stage: Stage, axis: int, total: int) -> Iterator[Violation]:
    reached = 0
    for shard in stage.shards:
        name, (first, end) = _intervals(shard)[axis]
        if first != reached:
            where = f"stage {stage.id}, device {shard.device}"
            message = f"{name} {span((first, end))} must start at {reached}"
            yield SHARDS_DO_NOT_TILE.at(where, message)
        reached = end
    if stage.shards and reached != total:
        name = _intervals(stage.shards[0])[axis][0]
        message = f"{name} end at {reached}, must end at {total}"
        yield SHARDS_DO_NOT_TILE.at(f"stage {stage.id}", message)
