"""What four devices hold of a model with two KV heads, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.clusters import device_type, host, spec_of, tiny_model

from hexplan.cost import DeviceShard, ShardSizes, Sharing, StageShape
from hexplan.cost.memory import memory_needs
from hexplan.cost.roofline import Roofline, shard_times
from hexplan.cost.sequence import SequenceRoofline, find_sharing
from hexplan.model import WeightFormat

CHANGES = {"heads": 8, "qkv_bias": True, "qk_norm": True}
MODEL = tiny_model(2, kv_heads=2).model_copy(update=CHANGES)
"""Hidden size 64, heads 16 wide, 128 channels, 256 words, 2 bytes a number."""
GROUP = (DeviceShard(device_type("d"), ShardSizes(1, 32, 64)),) * 4
WIRE = host("h", ["d"]).interconnect
INNER = StageShape((0, 1), GROUP, WIRE)
SPEC = spec_of(MODEL, [host("h", ["d"] * 4)])
STEP = 64
"""Tokens of the largest step."""


def test_each_device_has_a_copy_of_one_kv_head_and_a_quarter_of_the_query_heads() -> None:
    queries, keys = 2 * 16, 16
    layer = 2 * (queries * 64) + 2 * (keys * 64) + queries + 2 * keys
    layer += 3 * 64 * 32 + 2 * 64 + 2 * 16
    embedding = 64 * 64
    needs = memory_needs(SPEC, INNER)
    assert {need.weights_bytes for need in needs} == {2 * (layer + embedding)}
    assert {need.kv_token_bytes for need in needs} == {2 * keys * 2}
    width = 4 * 64 + queries + 2 * keys + 2 * 32
    assert {need.workspace_bytes for need in needs} == {2 * STEP * width}


def test_devices_that_share_tokens_have_all_copies() -> None:
    shared = replace(INNER, sharing=Sharing("sp"))
    queries, keys = 8 * 16, 4 * 16
    layer = 2 * (queries * 64) + 2 * (keys * 64) + queries + 2 * keys
    layer += 3 * 64 * 128 + 2 * 64 + 2 * 16
    (need, *_) = memory_needs(SPEC, shared)
    assert need.weights_bytes == 2 * (layer + 64 * 64)
    assert need.kv_token_bytes == 2 * 16 * 2
    rows, own = STEP // 4, 4 * 64 + queries + 2 * keys + 2 * 128
    assert need.workspace_bytes == 2 * rows * (own + 4 * (4 * 16 + 64))


def test_times_are_those_of_a_model_with_as_many_kv_heads_as_devices() -> None:
    held = MODEL.model_copy(update={"kv_heads": 4})
    assert MODEL.as_held_by(4) == held
    step = (40, 800.0, 8, 500.0)
    assert Roofline(MODEL, GROUP, WIRE).layer_s(*step) == Roofline(held, GROUP, WIRE).layer_s(*step)
    assert WIRE is not None
    found = SequenceRoofline.of(MODEL, INNER, WIRE).layer_s(*step)
    assert found == SequenceRoofline.of(held, INNER, WIRE).layer_s(*step)
    one = GROUP[0].device
    reached = float(one.efficiency.bandwidth) * one.memory_bandwidth_bytes_per_s
    assert shard_times(held, one, GROUP[0].sizes).kv_s == 2 * 16 * 2 / reached


@pytest.mark.parametrize("sp_degree", [None, 2])
def test_copies_are_shared_evenly(sp_degree: int | None) -> None:
    assert find_sharing("sp", MODEL, INNER, sp_degree) == Sharing("sp", sp_degree=sp_degree)
    uneven = StageShape((0, 1), GROUP[:3], WIRE)
    assert find_sharing("sp", MODEL, uneven, sp_degree) is None


@pytest.mark.parametrize(("block", "can_shift"), [(16, True), (32, False)])
def test_a_copy_that_is_no_whole_block_cannot_shift(block: int, *, can_shift: bool) -> None:
    """A device's keys are 16 wide, though two devices have the same."""
    form = WeightFormat(name="int8", block_rows=block, block_columns=block)
    model = MODEL.model_copy(update={"weights": form})
    long = StageShape((0, 1), GROUP, WIRE)
    assert (find_sharing("shift", model, long) is not None) == can_shift


@pytest.mark.parametrize(
    ("n", "kv_heads"), [(0, 2), (1, 2), (2, 2), (3, 2), (4, 4), (6, 2), (8, 8), (16, 2)]
)
def test_a_model_is_held_in_copies_only_where_these_divide(n: int, kv_heads: int) -> None:
    held = MODEL.as_held_by(n)
    assert held.kv_heads == kv_heads
    assert held.as_held_by(n) == held
    assert held.group * held.kv_heads == MODEL.heads
