"""The figures of the hand-made plans, step by step: stages s0 and s1 of `two_hosts_plan`."""

from __future__ import annotations

from fractions import Fraction

import pytest
from support.plans import mixed_stage_plan, profiled_plan, two_hosts_plan

from hexplan.check import check_plan
from hexplan.check.lookup import Lookup
from hexplan.check.stage.sizes import (
    kv_token_bytes,
    layer_of,
    token_numbers,
    weights_bytes,
    workspace_bytes,
)

MICRO = Fraction(1, 1_000_000)


def test_the_memory_of_a_first_stage_adds_up() -> None:
    stage = two_hosts_plan().stages[0]  # 4 layers; half of 4 heads, 160 channels, 128 words
    attention = 2 * (32 * 64) + 2 * (16 * 64)  # q and o of 4 x 8 rows; k and v of 2 x 8
    layer = attention + 3 * (64 * 80) + 2 * 64
    weights = 2 * (4 * layer + 64 * 64)
    workspace = 2 * 100 * (4 * 64 + 32 + 2 * 16 + 2 * 80)
    kv_token = 2 * 4 * 16 * 2
    room = (900_000 - weights - workspace) // kv_token
    assert (layer, weights, workspace, kv_token, room) == (21_632, 181_248, 96_000, 256, 2432)
    assert stage.kv_tokens == room
    for memory in stage.memory:
        parts = memory.weights_bytes, memory.workspace_bytes, memory.kv_bytes
        assert parts == (weights, workspace, room * kv_token)
        assert memory.free_bytes == 900_000 - sum(parts) == 160


def test_the_memory_of_a_last_stage_has_a_head_a_norm_and_logits() -> None:
    memory = two_hosts_plan().stages[1].memory[0]  # 2 layers, one device
    layer = 2 * (64 * 64) + 2 * (32 * 64) + 3 * (64 * 160) + 2 * 64
    assert layer == 43_136
    assert memory.weights_bytes == 2 * (2 * layer + 128 * 64 + 64)
    assert memory.workspace_bytes == 2 * 100 * (4 * 64 + 4 * 32 + 2 * 160) + 4 * 128 * 256


def test_the_speed_of_a_stage_of_two_devices_adds_up() -> None:
    # 2432 tokens of KV admit 30.4 requests of 80 tokens, each here for 4 of 6 layers: 20.
    weights = Fraction(21_632 * 2, 700_000_000)
    position, read = Fraction(4 * 32, 2_000_000_000), Fraction(2 * 16 * 2, 700_000_000)
    assert position < read
    prefill = Fraction(2 * 21_632 * 60, 2_000_000_000) + 60**2 / Fraction(2) * position + weights
    decode = Fraction(2 * 21_632 * 20, 2_000_000_000) + 20 * 70 * read + weights
    reduce_prompt = 10 * MICRO + Fraction(60 * 64 * 2, 100_000_000)
    reduce_step = 10 * MICRO + Fraction(20 * 64 * 2, 100_000_000)
    layer_s = prefill + 2 * reduce_prompt + Fraction(20, 20) * (decode + 2 * reduce_step)
    assert layer_s == Fraction(10247, 4_375_000)
    capacity = Fraction(two_hosts_plan().stages[0].capacity_tokens_per_s)
    assert 0 <= 80 / (4 * layer_s) - capacity < MICRO


def test_the_speed_of_a_last_stage_has_a_head() -> None:
    # 660 tokens of KV admit 8.25 requests, each here for 2 of 6 layers: 2.
    weights = Fraction(43_136 * 2, 210_000_000)
    position, read = Fraction(4 * 64, 600_000_000), Fraction(2 * 32 * 2, 210_000_000)
    assert position < read
    prefill = Fraction(2 * 43_136 * 60, 600_000_000) + 60**2 / Fraction(2) * position + weights
    decode = Fraction(2 * 43_136 * 2, 600_000_000) + 2 * 70 * read + weights
    head = Fraction(2 * 2 * 128 * 64, 600_000_000) + Fraction(128 * 64 * 2, 210_000_000)
    head_s = Fraction(20, 2) * head
    layer_s = prefill + Fraction(20, 2) * decode
    capacity = Fraction(two_hosts_plan().stages[1].capacity_tokens_per_s)
    assert 0 <= 80 / (2 * layer_s + head_s) - capacity < MICRO


def test_every_bias_and_norm_of_a_shard_is_counted() -> None:
    plan = mixed_stage_plan()
    shard = plan.stages[0].shards[1]  # one KV head with two query heads, 40 channels, 32 words
    attention = 2 * (16 * 64) + 2 * (8 * 64)
    biases = (16 + 8 + 8) + 64 + (40 + 40 + 64)
    layer = attention + biases + 2 * 8 + 2 * 64 + 3 * 64 * 40
    assert token_numbers(plan.model, shard) == layer
    assert layer_of(plan.model, shard).total == 2 * layer
    # One table for both ends, as the embeddings are tied, and the final norm.
    assert weights_bytes(plan.model, (0, 6), shard) == 2 * (6 * layer + 32 * 64 + 64)
    assert weights_bytes(plan.model, (0, 3), shard) == 2 * (3 * layer + 32 * 64)
    assert weights_bytes(plan.model, (3, 6), shard) == 2 * (3 * layer + 32 * 64 + 64)
    assert weights_bytes(plan.model, (2, 3), shard) == 2 * layer
    assert workspace_bytes(plan.model, (2, 3), shard, 10) == 2 * 10 * (4 * 64 + 16 + 16 + 80)
    assert kv_token_bytes(plan.model, (2, 3), shard) == 2 * 8 * 2


@pytest.mark.parametrize(
    ("source", "target", "tokens_per_s"),
    [
        ("entry", "s0", 250_000),  # 1 MB/s at 4 bytes
        ("s0", "s2", Fraction(15_625, 2)),  # 1 MB/s at 64 x 2 bytes
        ("s1", "s3", 25),  # 3200 B/s, by the rule for these two hosts
        ("s3", "exit", 250_000),
    ],
)
def test_an_edge_carries_its_bandwidth_over_the_bytes_of_a_token(
    source: str, target: str, tokens_per_s: Fraction
) -> None:
    connection = Lookup.of(profiled_plan()).connection(source, target)
    assert connection is not None
    assert connection.capacity_tokens_per_s == tokens_per_s


def test_two_stages_of_one_host_are_joined_by_its_interconnect() -> None:
    plan = two_hosts_plan()
    connection = Lookup.of(plan).connection("s1", "s2")
    assert connection is not None
    assert connection.capacity_tokens_per_s == 781_250  # 100 MB/s at 128 bytes
    assert connection.shared == ()
    assert check_plan(plan) == ()
