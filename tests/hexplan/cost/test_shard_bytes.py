"""Bytes of shards with experts and quantised weights, and what a step reads of them."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import tiny_model

from hexplan.cost import ShardSizes
from hexplan.cost.weights import (
    dense_bytes,
    experts_bytes,
    layer_bytes,
    read_share,
    token_expert_parameters,
    token_parameters,
)
from hexplan.model import Experts, Model, WeightFormat

MIXTURE = tiny_model(2).model_copy(update={"experts": Experts(total=8, active=2)})


def whole(model: Model) -> ShardSizes:
    return ShardSizes(model.kv_heads, model.ffn, model.vocab)


def quantised(form: WeightFormat) -> Model:
    return tiny_model(2).model_copy(update={"weights": form})


def test_a_mixture_holds_all_experts_and_a_router_and_a_token_meets_some() -> None:
    """64 wide, 128 channels, in 2 bytes: 3 x 64 x 128 numbers an expert, 8 x 64 of the router."""
    dense = tiny_model(2)
    attention = 4 * 64 * 64 + 2 * 64
    assert layer_bytes(dense, whole(dense)) == 2 * (attention + 3 * 64 * 128)
    assert layer_bytes(MIXTURE, whole(MIXTURE)) == 2 * (attention + 8 * 64 + 8 * 3 * 64 * 128)
    assert token_parameters(MIXTURE, whole(MIXTURE)) == attention + 8 * 64
    assert token_expert_parameters(MIXTURE, whole(MIXTURE)) == 2 * 3 * 64 * 128
    assert token_expert_parameters(dense, whole(dense)) == 0
    assert dense_bytes(MIXTURE, whole(MIXTURE)) == 2 * (attention + 8 * 64)
    assert experts_bytes(dense, whole(dense)) == 0


@given(tokens=st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_tokens_touch_the_experts_that_random_choices_touch_in_the_mean(tokens: int) -> None:
    dice, draws = random.Random(tokens), 4000
    touched = sum(
        len({expert for _ in range(tokens) for expert in dice.sample(range(8), 2)})
        for _ in range(draws)
    )
    assert read_share(MIXTURE, tokens) == pytest.approx(touched / draws / 8, abs=0.01)


def test_one_network_is_no_expert() -> None:
    assert read_share(tiny_model(2), 5) == 0.0


@pytest.mark.parametrize(
    ("form", "bits_a_weight"),
    [
        (WeightFormat(name="int8", block_rows=1, block_columns=None, scale_bits=16), 8 + 16 / 64),
        (WeightFormat(name="int4", block_columns=32, zero_bits=4), 4 + 20 / 32),
        (WeightFormat(name="fp8", block_rows=16, block_columns=16, scale_bits=32), 8 + 32 / 256),
    ],
)
def test_scales_come_on_top_of_the_stored_numbers(form: WeightFormat, bits_a_weight: float) -> None:
    """A query matrix of 64 x 64: its blocks fit, so that every weight has its share of a scale."""
    model = quantised(form)
    plain = tiny_model(2)
    unquantised = 2 * 64 * plain.dtype_bytes
    squares = dense_bytes(model, ShardSizes(4, 0, 0)) - unquantised
    assert squares == 4 * 64 * 64 * bits_a_weight / 8


@given(
    rows=st.integers(1, 70), columns=st.integers(1, 70), block=st.sampled_from([(8, 8), (1, 32)])
)
def test_every_block_that_is_begun_has_a_scale(
    rows: int, columns: int, block: tuple[int, int]
) -> None:
    """Counted one by one, on a model of one matrix of this size beside others that are known."""
    form = WeightFormat(name="int8", block_rows=block[0], block_columns=block[1], scale_bits=8)
    update = {"hidden": columns, "weights": form, "ffn": rows}
    model = tiny_model(1).model_copy(update=update)
    cells = {(r // block[0], c // block[1]) for r, c in product(range(rows), range(columns))}
    turned = {(c // block[0], r // block[1]) for r, c in product(range(rows), range(columns))}
    network = layer_bytes(model, ShardSizes(4, rows, 0)) - layer_bytes(model, ShardSizes(4, 0, 0))
    assert network == 3 * rows * columns + 2 * len(cells) + len(turned)


def test_numbers_and_scales_that_do_not_fill_a_byte_are_rounded_up() -> None:
    form = WeightFormat(name="int4", block_columns=None, scale_bits=1)
    model = tiny_model(1).model_copy(update={"hidden": 3, "weights": form})
    one = layer_bytes(model, ShardSizes(4, 1, 0)) - layer_bytes(model, ShardSizes(4, 0, 0))
    # gate and up: 1 x 3 numbers of 4 bits and 1 scale of 1 bit; down: 3 x 1 and 3 scales
    assert one == 2 * (2 + 1) + (2 + 1)
