"""What a device must fetch to hold a new shard, given the one it held before (formulation 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from hexplan.cost.weights import ShardSizes, Table, end_bytes, layer_bytes, table_bytes
from hexplan.field_types import Range
from hexplan.model import Model
from hexplan.plan import Stage


@dataclass(frozen=True, slots=True)
class HeldWeights:
    """The weights that one device holds: some layers, and its interval of each dimension."""

    layers: Range
    kv_heads: Range
    ffn: Range
    vocab: Range
    num_heads: int
    """KV heads of the whole stage, of which it has a range: each copy counts."""

    @staticmethod
    def of(stage: Stage) -> tuple[HeldWeights, ...]:
        """Return the weights on each device of a stage, in the order of its shards."""
        num_heads = stage.shards[-1].kv_heads[1] if stage.shards else 0
        own = [
            HeldWeights(stage.layers, shard.kv_heads, shard.ffn, shard.vocab, num_heads)
            for shard in stage.shards
        ]
        return tuple(own) if stage.parallel == "tp" else HeldWeights.shared(own, stage.sp_degree)

    @staticmethod
    def shared(own: Sequence[HeldWeights], sp_degree: int | None) -> tuple[HeldWeights, ...]:
        """Return the weights of devices that hold the shards of all whom they share tokens with.

        The vocabulary is divided in any case.

        Parameters
        ----------
        own
            What each device would hold of its shard alone.
        sp_degree
            Devices that share tokens with each other; None for all.
        """
        size = sp_degree or len(own)
        held = []
        for index, shard in enumerate(own):
            group = own[index // size * size :][:size]
            kv_heads = group[0].kv_heads[0], group[-1].kv_heads[1]
            ffn = group[0].ffn[0], group[-1].ffn[1]
            held.append(replace(shard, kv_heads=kv_heads, ffn=ffn))
        return tuple(held)

    @property
    def sizes(self) -> ShardSizes:
        """Lengths of the intervals."""
        return ShardSizes(*(end - first for first, end in (self.kv_heads, self.ffn, self.vocab)))

    @property
    def part(self) -> tuple[Fraction, Fraction]:
        """The query heads that it has, as an interval of all of them."""
        first, end = self.kv_heads
        return Fraction(first, self.num_heads), Fraction(end, self.num_heads)

    def queries(self, model: Model) -> Range:
        """Return the query heads that it has."""
        group = model.heads // self.num_heads
        return self.kv_heads[0] * group, self.kv_heads[1] * group

    def real_heads(self, model: Model) -> tuple[int, ...]:
        """Return which of the model's KV heads each of its own is, or is a copy of."""
        return tuple(head * model.kv_heads // self.num_heads for head in range(*self.kv_heads))


def moved_bytes(model: Model, before: HeldWeights | None, after: HeldWeights) -> int:
    """Return the bytes of `after` that are not in `before`.

    Weights are identified by layer, KV head, query head, FFN channel and vocabulary row. A KV head
    that the device has is not fetched, in as many copies as it may need. Norms and the biases added
    after a reduction are whole on every device. With tied embeddings, the embedding of the first
    stage and the head of the last are the same table.
    """
    held = model.as_held_by(after.num_heads)
    total = _len(after.layers) * layer_bytes(held, after.sizes)
    total += end_bytes(model, after.sizes, after.layers)
    return total - (_kept_bytes(model, before, after) if before is not None else 0)


def fetched_layers(before: HeldWeights | None, after: HeldWeights) -> frozenset[int]:
    """Return the layers of `after` that the device does not hold in full."""
    layers = frozenset(range(*after.layers))
    if before is None or not _contains(before, after):
        return layers
    return layers - frozenset(range(*before.layers))


def _kept_bytes(model: Model, before: HeldWeights, after: HeldWeights) -> int:
    kept = _overlap(before.layers, after.layers) * _kept_of_layer(model, before, after)
    tables = _tables(model, before.layers) & _tables(model, after.layers)
    rows = _overlap(before.vocab, after.vocab)
    kept += sum(table_bytes(model, table, rows) for table in tables)
    if before.layers[1] == after.layers[1] == model.layers:
        kept += model.dtype_bytes * model.hidden
    return kept


def _kept_of_layer(model: Model, before: HeldWeights, after: HeldWeights) -> int:
    """Return the bytes of a layer that both have: of keys and values, and of queries besides."""
    known, channels = set(before.real_heads(model)), _overlap(before.ffn, after.ffn)
    heads = sum(head in known for head in after.real_heads(model))
    queries = _overlap(before.queries(model), after.queries(model))
    if queries == heads * model.as_held_by(after.num_heads).group:
        return layer_bytes(model.as_held_by(after.num_heads), ShardSizes(heads, channels, 0))
    bare, single = (model.model_copy(update={"heads": n, "kv_heads": n or 1}) for n in (0, 1))
    sizes = ShardSizes(queries, 0, 0)
    besides = layer_bytes(single, sizes) - layer_bytes(bare, sizes)
    return layer_bytes(bare, ShardSizes(heads, channels, 0)) + besides


def _tables(model: Model, layers: Range) -> frozenset[Table]:
    """Name the vocabulary tables that a stage holds."""
    tables: set[Table] = {"embedding"} if layers[0] == 0 else set()
    if layers[1] == model.layers:
        tables.add("embedding" if model.tied_embeddings else "head")
    return frozenset(tables)


def _contains(before: HeldWeights, after: HeldWeights) -> bool:
    first, end = after.part
    has_heads = before.part[0] <= first and end <= before.part[1]
    return has_heads and _overlap(before.ffn, after.ffn) == _len(after.ffn)


def _len(interval: Range) -> int:
    return interval[1] - interval[0]


def _overlap(first: Range, second: Range) -> int:
    return max(0, min(first[1], second[1]) - max(first[0], second[0]))
