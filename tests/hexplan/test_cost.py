"""The cost model against published totals, hand arithmetic, and its own sums."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clusters import device_type, host, link, profile, spec_of, tiny_model

from hexplan.catalog import find_model, known_models
from hexplan.cluster import COORDINATOR, Interconnect
from hexplan.cost import ShardSizes, link_rate, memory_of, stage_speed
from hexplan.cost.memory import kv_bytes_per_token, layer_parameters, weights_bytes
from hexplan.model import Model

LLAMA_70B_PARAMETERS = 68_976_648_192


def whole(model: Model) -> ShardSizes:
    return ShardSizes(model.kv_heads, model.ffn, model.vocab)


def test_one_device_with_all_layers_holds_the_published_number_of_parameters() -> None:
    model = find_model("llama-2-70b")
    assert model is not None
    held = weights_bytes(model, whole(model), (0, model.layers))
    assert held == LLAMA_70B_PARAMETERS * 2


@given(name=st.sampled_from(sorted(known_models())), cut=st.integers(1, 7), heads=st.integers(1, 3))
def test_shards_of_a_layer_sum_to_the_layer_and_the_norms_that_each_repeats(
    name: str, cut: int, heads: int
) -> None:
    model = find_model(name)
    assert model is not None
    first = ShardSizes(heads, model.ffn * cut // 8, 1)
    second = ShardSizes(model.kv_heads - heads, model.ffn - first.ffn, model.vocab - 1)
    repeated = 2 * model.hidden + (2 * model.head_dim if model.qk_norm else 0)
    parts = layer_parameters(model, first) + layer_parameters(model, second)
    assert parts == layer_parameters(model, whole(model)) + repeated


def test_embedding_and_head_count_where_they_sit_and_once_if_tied() -> None:
    model = tiny_model(4)
    sizes, table = whole(model), model.vocab * model.hidden * model.dtype_bytes
    norm = model.hidden * model.dtype_bytes
    inner = weights_bytes(model, sizes, (1, 2))
    assert weights_bytes(model, sizes, (0, 1)) - inner == table
    assert weights_bytes(model, sizes, (3, 4)) - inner == table + norm
    tied = model.model_copy(update={"tied_embeddings": True})
    untied_whole = weights_bytes(model, sizes, (0, 4))
    assert untied_whole - weights_bytes(tied, sizes, (0, 4)) == table


def test_kv_bytes_of_a_token_are_those_of_grouped_heads() -> None:
    """Llama-2-70B: 80 layers x 2 x 8 heads x 128 x 2 bytes."""
    model = find_model("llama-2-70b")
    assert model is not None
    assert kv_bytes_per_token(model, whole(model), (0, 80)) == 327_680


@given(budget=st.integers(10**6, 10**9), end=st.integers(1, 4))
def test_parts_of_memory_sum_to_the_budget_and_one_more_token_would_not_fit(
    budget: int, end: int
) -> None:
    spec = spec_of(tiny_model(4), [host("h", ["d0"])])
    sizes = whole(spec.model)
    tokens, (memory,) = memory_of(spec.model, spec.workload, (0, end), [(0, budget, sizes)])
    parts = memory.weights_bytes + memory.kv_bytes + memory.workspace_bytes + memory.free_bytes
    assert parts == budget
    assert 0 <= memory.free_bytes < kv_bytes_per_token(spec.model, sizes, (0, end))
    assert memory.kv_bytes == tokens * kv_bytes_per_token(spec.model, sizes, (0, end))


def test_a_measured_profile_beats_the_datasheet_and_is_never_extrapolated() -> None:
    spec = spec_of(tiny_model(4), [host("h", ["d0"])], profiles=[profile("d0", [7.25, 3.5])])
    group = [(device_type("d0"), whole(spec.model))]
    sizes = (spec.model, spec.workload)
    speed = stage_speed(spec.cluster, sizes, (0, 2), group, (None, 10**6))
    assert (speed.micro_tokens_per_s, speed.origin) == (3_500_000, "measured profile")
    assert stage_speed(spec.cluster, sizes, (0, 3), group, (None, 10**6)).micro_tokens_per_s == 0


def test_the_roofline_is_the_one_of_the_formulation_by_hand() -> None:
    """One inner layer, 64 + 64 tokens, room for one request in flight: beta = 1.

    p = 4 heads x 16 x 64 x 4 + 3 x 64 x 128 + 2 x 64 = 41,088 parameters, q = 64.
    prefill = max((2 p 64 + 2 q 64^2) / (0.5 1e14), 2 p / (0.7 1e12)) = 2 p / 0.7e12, memory-bound
    decode  = (2 p + 96 x 2 x 64 x 2 bytes) / 0.7e12, memory-bound too
    """
    spec = spec_of(tiny_model(8), [host("h", ["d0"])])
    group = [(device_type("d0"), whole(spec.model))]
    speed = stage_speed(spec.cluster, (spec.model, spec.workload), (1, 2), group, (None, 128))
    prefill_s = 2 * 41_088 / 0.7e12
    decode_s = (2 * 41_088 + 96 * 256) / 0.7e12
    expected = 128 / (prefill_s + 64 * decode_s)
    assert speed.micro_tokens_per_s / 10**6 == pytest.approx(expected, rel=1e-9)


def test_an_all_reduce_costs_what_a_ring_costs() -> None:
    """Two devices, alpha = 1 ms: 2 all-reduces x 2 steps for the prompt and each token."""
    spec = spec_of(tiny_model(8), [host("h", ["d0", "d0"])])
    half = ShardSizes(2, 64, 128)
    group = [(device_type("d0"), half)] * 2
    slow = Interconnect(bandwidth_bytes_per_s=10**15, latency_s=Decimal("0.001"))
    sizes = (spec.model, spec.workload)
    with_wire = stage_speed(spec.cluster, sizes, (1, 2), group, (slow, 128)).micro_tokens_per_s
    assert 128 / (with_wire / 10**6) == pytest.approx(4e-3 + 64 * 4e-3, rel=1e-3)


def test_links_carry_activations_between_hosts_and_ids_to_the_coordinator() -> None:
    model = tiny_model(4)
    links = [link("a", "a", 10**6), link("coordinator", "a", 10**6)]
    spec = spec_of(model, [host("x", ["d0"], "a"), host("y", ["d0"], "a")], links=links)
    activation_bytes = model.hidden * model.dtype_bytes
    assert link_rate(spec.cluster, model, "x", "y") == 10**6 * 10**6 // activation_bytes
    assert link_rate(spec.cluster, model, COORDINATOR, "x") == 10**6 * 10**6 // 4
    assert link_rate(spec.cluster, model, "x", COORDINATOR) == 10**6 * 10**6 // 4
