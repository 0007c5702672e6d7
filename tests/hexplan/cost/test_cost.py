"""The cost model against published totals, hand arithmetic, and its own sums."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clusters import device_type, host, link, profile, spec_of, tiny_model

from hexplan.catalog.shipped import find_model, known_models
from hexplan.check import check_plan
from hexplan.cluster import COORDINATOR, Cluster
from hexplan.cost import (
    DeviceShard,
    ShardSizes,
    StageShape,
    StageSpeed,
    kv_room_tokens,
    link_rate,
    memory_of,
    stage_speed,
)
from hexplan.cost.memory import kv_bytes_per_token
from hexplan.cost.roofline import Roofline
from hexplan.cost.weights import layer_bytes, weights_bytes
from hexplan.host import Interconnect
from hexplan.model import Experts, Model, WeightFormat
from hexplan.spec import Spec
from hexplan_solver import solve

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
    repeated += model.experts.total * model.hidden if model.experts else 0  # the router
    parts = layer_bytes(model, first) + layer_bytes(model, second)
    assert parts == layer_bytes(model, whole(model)) + model.dtype_bytes * repeated


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


@given(
    held=st.integers(10**6, 10**9),
    in_use=st.integers(0, 10**6),
    overhead=st.integers(0, 10**5),
    end=st.integers(1, 4),
)
def test_parts_of_memory_sum_to_the_budget_and_one_more_token_would_not_fit(
    held: int, in_use: int, overhead: int, end: int
) -> None:
    spec = spec_of(tiny_model(4), [host("h", ["d0"])])
    sizes = whole(spec.model)
    shared = {"in_use_bytes": in_use, "overhead_bytes": overhead}
    device = device_type("d0", held + in_use).model_copy(update=shared)
    shape = StageShape((0, end), (DeviceShard(device, sizes),))
    tokens = kv_room_tokens(spec, shape)
    (memory,) = memory_of(spec, shape, [0], tokens)
    assert memory.budget_bytes == held * 9 // 10
    assert memory.overhead_bytes == overhead
    filled = memory.weights_bytes + memory.kv_bytes + memory.workspace_bytes + overhead
    assert filled + memory.free_bytes == memory.budget_bytes
    assert 0 <= memory.free_bytes < kv_bytes_per_token(spec.model, sizes, (0, end))
    assert memory.kv_bytes == tokens * kv_bytes_per_token(spec.model, sizes, (0, end))


def test_a_measured_profile_beats_the_datasheet_and_is_never_extrapolated() -> None:
    spec = spec_of(tiny_model(4), [host("h", ["d0"])], profiles=[profile("d0", [7.25, 3.5])])
    group = (DeviceShard(device_type("d0"), whole(spec.model)),)
    speed = stage_speed(spec, StageShape((0, 2), group), 10**6)
    assert (speed.micro_tokens_per_s, speed.origin) == (3_500_000, "measured profile")
    assert speed.error == Decimal("0.1")
    assert stage_speed(spec, StageShape((0, 3), group), 10**6).micro_tokens_per_s == 0


def test_the_roofline_is_the_one_of_the_formulation_by_hand() -> None:
    """One inner layer, 64 + 64 tokens, room for one request in flight: beta = 1.

    p = 4 heads x 16 x 64 x 4 + 3 x 64 x 128 + 2 x 64 = 41,088 parameters, q = 64.
    prefill = (2 p 64 + 2 q 64^2) / (0.5 1e14) + 2 p bytes / (0.7 1e12)
    decode  = 2 p / (0.5 1e14) + (2 p + 96 x 2 x 64 x 2 bytes) / (0.7 1e12)
    """
    spec = spec_of(tiny_model(8), [host("h", ["d0"])])
    group = (DeviceShard(device_type("d0"), whole(spec.model)),)
    speed = stage_speed(spec, StageShape((1, 2), group), 128)
    prefill_s = (2 * 41_088 * 64 + 2 * 64 * 64**2) / 0.5e14 + 2 * 41_088 / 0.7e12
    decode_s = 2 * 41_088 / 0.5e14 + (2 * 41_088 + 96 * 256) / 0.7e12
    expected = 128 / (prefill_s + 64 * decode_s)
    assert speed.micro_tokens_per_s / 10**6 == pytest.approx(expected, rel=1e-9)


def test_an_all_reduce_starts_once_and_a_ring_over_hosts_in_every_step() -> None:
    """Two devices, alpha = 1 ms: 2 all-reduces for a prompt and each token; a ring has 2 steps."""
    spec = spec_of(tiny_model(8), [host("h", ["d0", "d0"])])
    half = ShardSizes(2, 64, 128)
    group = (DeviceShard(device_type("d0"), half),) * 2
    slow = Interconnect(bandwidth_bytes_per_s=10**15, latency_s=Decimal("0.001"))
    for wire, steps in ((slow, 1), (slow.model_copy(update={"crosses_hosts": True}), 2)):
        speed = stage_speed(spec, StageShape((1, 2), group, wire), 128).micro_tokens_per_s
        assert 128 / (speed / 10**6) == pytest.approx(65 * steps * 2e-3, rel=1e-3)


def test_links_carry_activations_between_hosts_and_ids_to_the_coordinator() -> None:
    model = tiny_model(4)
    links = [link("a", "a", 10**6), link("coordinator", "a", 10**6)]
    spec = spec_of(model, [host("x", ["d0"], "a"), host("y", ["d0"], "a")], links=links)
    activation_bytes = model.hidden * model.dtype_bytes
    assert link_rate(spec.cluster, model, "x", "y") == 10**6 * 10**6 // activation_bytes
    assert link_rate(spec.cluster, model, COORDINATOR, "x") == 10**6 * 10**6 // 4
    assert link_rate(spec.cluster, model, "x", COORDINATOR) == 10**6 * 10**6 // 4


def test_experts_slow_a_step_by_what_it_touches_of_them() -> None:
    """One token reads 2 of 8 experts, many read all: decode = work + reading + the KV cache."""
    model = tiny_model(8).model_copy(update={"experts": Experts(total=8, active=2)})
    roofline = Roofline(model, [DeviceShard(device_type("d0"), whole(model))], None)
    attention = 2 * (4 * 64 * 64 + 2 * 64 + 8 * 64)
    expert = 2 * 3 * 64 * 128
    token_s = 2 * (attention / 2 + 2 * expert / 2) / 0.5e14
    one, many = attention + 2 * expert, attention + 8 * (1 - 0.75**40) * expert
    assert roofline.layer_s(0, 0.0, 1, 0.0) == pytest.approx(token_s + one / 0.7e12)
    assert roofline.layer_s(0, 0.0, 40, 0.0) == pytest.approx(40 * token_s + many / 0.7e12)


def test_fp8_weights_run_at_the_8_bit_rate_where_there_is_one() -> None:
    model = tiny_model(8).model_copy(update={"weights": WeightFormat(name="fp8")})
    plain = device_type("d0")
    fast = plain.model_copy(update={"fp8_flops_per_s": 2 * plain.compute_flops_per_s})
    slow_s, fast_s = (
        Roofline(model, [DeviceShard(device, whole(model))], None).layer_s(1000, 0.0, 0, 0.0)
        for device in (plain, fast)
    )
    work_s = 2 * 41_088 * 1000 / 0.5e14
    assert slow_s - fast_s == pytest.approx(work_s / 2)


def test_chunks_read_the_weights_each_and_send_their_own_messages() -> None:
    model = tiny_model(8)
    slow = Interconnect(bandwidth_bytes_per_s=10**15, latency_s=Decimal("0.001"))
    roofline = Roofline(model, [DeviceShard(device_type("d0"), ShardSizes(2, 64, 128))] * 2, slow)
    once, thrice = (roofline.layer_s(300, 45_000.0, 0, 0.0, passes) for passes in (1, 3))
    weights_s = layer_bytes(model, ShardSizes(2, 64, 128)) / 0.7e12
    assert thrice - once == pytest.approx(2 * (weights_s + 2e-3))


def scaled_spec(tp: int = 1) -> Spec:
    """A group of `new` devices, and profiles of others of its generation and of another one."""
    types = [
        device_type(name, speed=speed).model_copy(update={"arch": arch})
        for name, speed, arch in (
            ("new", 2 * 10**12, "x"),
            ("known", 10**12, "x"),
            ("other", 10**12, "y"),
        )
    ]
    profiles = [profile("other", [1.0]), profile("known", [700.0, 350.0])]
    spec = spec_of(tiny_model(8), [host("h", ["new"] * tp)], types=types, profiles=profiles)
    return replace(spec, cluster=spec.cluster.model_copy(update={"device_types": tuple(types)}))


def test_a_device_of_a_measured_generation_takes_its_times_scaled() -> None:
    """Half of the datasheet's time on `known`, whatever that is, so half of `new`'s own, too."""
    spec = scaled_spec()
    types = spec.cluster.device_type_by_name

    def speed_of(name: str, cluster: Cluster, layers: int) -> StageSpeed:
        group = (DeviceShard(types[name], whole(spec.model)),)
        on_cluster = replace(spec, cluster=cluster)
        return stage_speed(on_cluster, StageShape((1, 1 + layers), group), 128)

    bare = spec.cluster.model_copy(update={"profiles": ()})
    for layers, entry in ((1, 700.0), (2, 350.0), (5, 350.0 * 2 / 5)):
        found = speed_of("new", spec.cluster, layers)
        measured_over_datasheet = entry / (speed_of("known", bare, layers).micro_tokens_per_s / 1e6)
        expected = speed_of("new", bare, layers).micro_tokens_per_s * measured_over_datasheet
        assert found.micro_tokens_per_s == pytest.approx(expected, rel=1e-5)
        assert found.origin == "measured 1 x known, scaled"
        assert found.error == Decimal("0.25")


def test_mixed_devices_and_other_generations_stay_with_the_datasheet() -> None:
    spec = scaled_spec()
    types = spec.cluster.device_type_by_name
    half = ShardSizes(2, 64, 128)
    old = types["new"].model_copy(update={"arch": None})
    mixed = DeviceShard(types["new"], half), DeviceShard(types["known"], half)
    for group in ((DeviceShard(old, whole(spec.model)),), mixed):
        shape = StageShape((1, 2), group, spec.cluster.hosts[0].interconnect)
        found = stage_speed(spec, shape, 128)
        assert (found.origin, found.error) == ("datasheet", Decimal("0.5"))


@pytest.mark.parametrize("tp", [1, 2])
def test_a_plan_on_scaled_speeds_passes_the_check(tp: int) -> None:
    plan = solve(scaled_spec(tp))
    assert check_plan(plan) == ()
    assert {stage.speed_origin for stage in plan.stages} == {"measured 1 x known, scaled"}
    assert plan.predicted.rests_on[0].origin == "measured 1 x known, scaled"


@pytest.mark.parametrize(
    "update",
    [
        {"experts": Experts(total=8, active=2)},
        {"weights": WeightFormat(name="int4", block_columns=32, zero_bits=4)},
        {"weights": WeightFormat(name="fp8", block_rows=16, block_columns=16, scale_bits=32)},
        {"kv_dtype": "fp8"},
        {
            "experts": Experts(total=16, active=3),
            "weights": WeightFormat(name="int8"),
            "kv_dtype": "int8",
            "dtype": "bfloat16",
        },
    ],
)
def test_a_plan_for_any_kind_of_model_passes_the_check(update: dict[str, object]) -> None:
    """The check has formulas of its own for all of them."""
    model = tiny_model(6).model_copy(update=update)
    types = [device_type("d0", 2 * 10**6), device_type("d1", 3 * 10**6, 2 * 10**12)]
    hosts = [host("a", ["d0", "d0"]), host("b", ["d1"]), host("c", ["d1", "d0"])]
    plan = solve(spec_of(model, hosts, types=types, time_s=5.0))
    assert check_plan(plan) == ()
    errors = {stage.speed_error for stage in plan.stages}
    assert errors == {Decimal("0.5")}
