"""Moved bytes against a count of every single piece of weight."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.weights import missing_bytes, pieces

from hexplan.cost import HeldWeights, ShardSizes, fetched_layers, moved_bytes
from hexplan.cost.memory import weights_bytes
from hexplan.field_types import Range
from hexplan.model import Model, PartBits, WeightFormat

LAYERS, KV_HEADS, FFN, VOCAB = 5, 4, 7, 6


def model(**options: bool) -> Model:
    return Model(
        name="tiny",
        family="llama",
        layers=LAYERS,
        hidden=8,
        heads=2 * KV_HEADS,
        kv_heads=KV_HEADS,
        head_dim=2,
        ffn=FFN,
        vocab=VOCAB,
        dtype="float16",
        max_context=64,
        **options,  # type: ignore[arg-type]
    )


def ranges(total: int) -> st.SearchStrategy[Range]:
    return st.tuples(st.integers(0, total - 1), st.integers(1, total)).map(
        lambda pair: (min(pair[0], pair[1] - 1), max(pair[0] + 1, pair[1]))
    )


OPTIONS = ("tied_embeddings", "qkv_bias", "out_bias", "ffn_bias", "qk_norm")
models = st.fixed_dictionaries({name: st.booleans() for name in OPTIONS}).map(
    lambda options: model(**options)
)


def shards_of(heads: st.SearchStrategy[Range], num_heads: int) -> st.SearchStrategy[HeldWeights]:
    return st.builds(
        HeldWeights, ranges(LAYERS), heads, ranges(FFN), ranges(VOCAB), st.just(num_heads)
    )


copy_of_a_head = st.integers(0, 2 * KV_HEADS - 1).map(lambda copy: (copy, copy + 1))
single = shards_of(ranges(KV_HEADS), KV_HEADS)
copied = shards_of(copy_of_a_head, 2 * KV_HEADS)
shards = single | copied
"""Of four devices at most, or one of eight, of which two hold each KV head."""


def pieces_of(sizes: Model, held: HeldWeights) -> dict[tuple[str, int, int], int]:
    return pieces(sizes, held.layers, held.kv_heads, held.ffn, held.vocab, held.num_heads)


@given(models, shards, shards)
def test_moved_bytes_are_those_of_the_pieces_that_were_not_there(
    sizes: Model, before: HeldWeights, after: HeldWeights
) -> None:
    expected = missing_bytes(sizes, pieces_of(sizes, before), pieces_of(sizes, after))
    assert moved_bytes(sizes, before, after) == expected


@given(models, shards)
def test_an_empty_device_fetches_the_whole_shard(sizes: Model, after: HeldWeights) -> None:
    assert moved_bytes(sizes, None, after) == missing_bytes(sizes, {}, pieces_of(sizes, after))
    held = sizes.as_held_by(after.num_heads)
    assert moved_bytes(sizes, None, after) == weights_bytes(held, after.sizes, after.layers)
    assert moved_bytes(sizes, after, after) == 0


@given(models, shards, shards)
def test_quantised_parts_move_as_the_bytes_that_are_stored(
    sizes: Model, before: HeldWeights, after: HeldWeights
) -> None:
    """16 bits on average are those of the plain weights."""
    alike = {part: Decimal(16) for part in PartBits.model_fields}
    form = WeightFormat(name="int8", average_bits=PartBits(**alike))
    quantised = sizes.model_copy(update={"weights": form})
    assert moved_bytes(quantised, before, after) == moved_bytes(sizes, before, after)


@given(shards, shards)
def test_fetched_layers_are_those_with_a_missing_piece(
    before: HeldWeights, after: HeldWeights
) -> None:
    sizes = model()
    there = pieces_of(sizes, before)
    missing = {layer for _, layer, _ in pieces_of(sizes, after).keys() - there.keys() if layer >= 0}
    assert fetched_layers(before, after) == missing


@given(models, shards_of(ranges(2 * KV_HEADS), 2 * KV_HEADS), single)
def test_copies_of_a_head_that_is_here_are_not_fetched(
    sizes: Model, after: HeldWeights, before: HeldWeights
) -> None:
    """Devices that share tokens hold several copies; each counts where the head is not here."""
    first, end = before.kv_heads
    absent = [copy for copy in range(*after.kv_heads) if not first <= copy // 2 < end]
    again = len(absent) - len({copy // 2 for copy in absent})
    layers = after.layers[1] - after.layers[0]
    kept = len(set(range(*after.layers)) & set(range(*before.layers)))
    both = len(range(*after.kv_heads)) - len({copy // 2 for copy in range(*after.kv_heads)})
    keys = sizes.dtype_bytes * 2 * sizes.head_dim * (sizes.hidden + sizes.qkv_bias)
    expected = missing_bytes(sizes, pieces_of(sizes, before), pieces_of(sizes, after))
    expected += keys * (kept * again + (layers - kept) * both)
    assert moved_bytes(sizes, before, after) == expected


def test_tied_tables_are_one() -> None:
    whole = ((0, KV_HEADS), (0, FFN), (0, VOCAB), KV_HEADS)
    first, last = HeldWeights((0, 2), *whole), HeldWeights((1, LAYERS), *whole)
    apart = moved_bytes(model(), first, last)
    tied = moved_bytes(model(tied_embeddings=True), first, last)
    assert apart - tied == 2 * VOCAB * 8


@pytest.mark.parametrize("first", [0, 1])
def test_sizes_are_the_lengths_of_the_intervals(first: int) -> None:
    held = HeldWeights((0, 1), (first, 3), (first, 5), (first, 6), KV_HEADS)
    assert held.sizes == ShardSizes(3 - first, 5 - first, 6 - first)
