"""What a device must fetch to hold a new shard, given the one it held before (formulation 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    @staticmethod
    def of(stage: Stage) -> tuple[HeldWeights, ...]:
        """Return the weights on each device of a stage, in the order of its shards."""
        own = [
            HeldWeights(stage.layers, shard.kv_heads, shard.ffn, shard.vocab)
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
            held.append(HeldWeights(shard.layers, kv_heads, ffn, shard.vocab))
        return tuple(held)

    @property
    def sizes(self) -> ShardSizes:
        """Lengths of the intervals."""
        return ShardSizes(*(end - first for first, end in (self.kv_heads, self.ffn, self.vocab)))


def moved_bytes(model: Model, before: HeldWeights | None, after: HeldWeights) -> int:
    """Return the bytes of `after` that are not in `before`.

    Weights are identified by layer, KV head (with its query heads), FFN channel and vocabulary row.
    Norms and the biases added after a reduction are whole on every device. With tied embeddings,
    the embedding of the first stage and the head of the last are the same table.
    """
    total = _len(after.layers) * layer_bytes(model, after.sizes)
    total += end_bytes(model, after.sizes, after.layers)
    return total - (_kept_bytes(model, before, after) if before is not None else 0)


def fetched_layers(before: HeldWeights | None, after: HeldWeights) -> frozenset[int]:
    """Return the layers of `after` that the device does not hold in full."""
    layers = frozenset(range(*after.layers))
    if before is None or not _contains(before, after):
        return layers
    return layers - frozenset(range(*before.layers))


def _kept_bytes(model: Model, before: HeldWeights, after: HeldWeights) -> int:
    shared = ShardSizes(
        _overlap(before.kv_heads, after.kv_heads),
        _overlap(before.ffn, after.ffn),
        _overlap(before.vocab, after.vocab),
    )
    kept = _overlap(before.layers, after.layers) * layer_bytes(model, shared)
    tables = _tables(model, before.layers) & _tables(model, after.layers)
    kept += sum(table_bytes(model, table, shared.vocab) for table in tables)
    if before.layers[1] == after.layers[1] == model.layers:
        kept += model.dtype_bytes * model.hidden
    return kept


def _tables(model: Model, layers: Range) -> frozenset[Table]:
    """Name the vocabulary tables that a stage holds."""
    tables: set[Table] = {"embedding"} if layers[0] == 0 else set()
    if layers[1] == model.layers:
        tables.add("embedding" if model.tied_embeddings else "head")
    return frozenset(tables)


def _contains(before: HeldWeights, after: HeldWeights) -> bool:
    pairs = ((before.kv_heads, after.kv_heads), (before.ffn, after.ffn))
    return all(_overlap(old, new) == _len(new) for old, new in pairs)


def _len(interval: Range) -> int:
    return interval[1] - interval[0]


def _overlap(first: Range, second: Range) -> int:
    return max(0, min(first[1], second[1]) - max(first[0], second[0]))
