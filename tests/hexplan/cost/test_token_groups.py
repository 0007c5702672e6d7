"""Groups of devices that share out tokens, tensor parallel within each: SP times TP."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clusters import device_type, host, spec_of, tiny_model
from support.llama_70b import LLAMA_70B

from hexplan.cluster import Limits
from hexplan.cost import (
    DeviceShard,
    ShardSizes,
    Sharing,
    StageShape,
    allowed_sharings,
    find_sharing,
    kv_room_tokens,
)
from hexplan.cost.memory import memory_needs
from hexplan.cost.roofline import Roofline
from hexplan.cost.sequence import SequenceRoofline, crossing_tokens, sp_degrees
from hexplan.cost.stage_shape import shared_sizes
from hexplan.device import DeviceType, Efficiency
from hexplan.host import Interconnect
from hexplan.model import Model

WIRE = Interconnect(bandwidth_bytes_per_s=10**9, latency_s=Decimal("0.00001"))
H200 = DeviceType(
    name="h200",
    kind="cuda",
    memory_bytes=141 * 10**9,
    memory_bandwidth_bytes_per_s=4_800_000_000_000,
    compute_flops_per_s=1_500_000_000_000_000,
    efficiency=Efficiency(
        compute=Decimal("0.6"),
        bandwidth=Decimal("0.8"),
        exposed=Decimal(0),
        error=Decimal("0.5"),
        origin="assumed",
    ),
    origin="assumed",
)
NVLINK = Interconnect(
    bandwidth_bytes_per_s=350 * 10**9,
    latency_s=Decimal("0.000009"),
    exchange_latency_s=Decimal("0.000014"),
)


def cut(model: Model, n: int, kind: DeviceType) -> tuple[DeviceShard, ...]:
    sizes = ShardSizes(model.kv_heads // n, model.ffn // n, model.vocab // n)
    return (DeviceShard(kind, sizes),) * n


@pytest.mark.parametrize(
    ("tokens", "tensor_ms", "sequence_ms", "groups_ms"),
    [
        (1, 3.7, 20.1, 12.6),
        (8, 3.8, 20.1, 12.6),
        (64, 4.5, 20.1, 12.8),
        (256, 9.7, 20.3, 13.3),
        (512, 17.9, 20.5, 14.8),
        (1024, 34.3, 22.7, 25.9),
        (2048, 67.2, 43.1, 48.1),
        (8192, 264.6, 165.6, 181.3),
        (32768, 1054.0, 655.5, 714.0),
    ],
)
def test_steps_of_a_70b_model_on_eight_devices_take_what_was_worked_out_elsewhere(
    tokens: int, tensor_ms: float, sequence_ms: float, groups_ms: float
) -> None:
    """Milliseconds at assumed figures of 8 H200, without attention and the gather at the end."""
    group, endless = cut(LLAMA_70B, 8, H200), 10**9
    found = (
        Roofline(LLAMA_70B, group, NVLINK),
        SequenceRoofline(LLAMA_70B, group, NVLINK, endless),
        SequenceRoofline(LLAMA_70B, group, NVLINK, endless, 4),
    )
    taken_ms = [80_000 * mode.layer_s(tokens, 0.0, 0, 0.0) for mode in found]
    assert taken_ms == pytest.approx([tensor_ms, sequence_ms, groups_ms], rel=0.015)


def test_the_crossings_with_tensor_parallelism_are_those_worked_out_elsewhere() -> None:
    shape = StageShape((0, 80), cut(LLAMA_70B, 8, H200))
    found = [crossing_tokens(LLAMA_70B, shape, NVLINK, degree) for degree in (None, 4)]
    assert found == pytest.approx([598, 379], rel=0.03)


@given(
    st.sampled_from([2, 4, 8]),
    st.integers(1, 5000),
    st.integers(0, 50),
    st.integers(1, 4),
    st.sampled_from([Decimal(0), Decimal("0.3")]),
)
def test_groups_of_one_device_each_take_exactly_as_long_as_devices_without_groups(
    n: int, tokens: int, decodes: int, passes: int, contention: Decimal
) -> None:
    wire = WIRE.model_copy(update={"contention": contention, "device_latency_s": Decimal("1e-6")})
    group = cut(LLAMA_70B, n, H200)
    plain, grouped = (SequenceRoofline(LLAMA_70B, group, wire, 7, d) for d in (None, n))
    step = (tokens, 100.0, decodes, 50.0 * decodes, passes)
    assert plain.layer_s(*step) == grouped.layer_s(*step)


def test_a_step_of_two_groups_of_two_devices_is_the_one_of_the_formulation_by_hand() -> None:
    """5 tokens, so 3 rows in each group, of which a device has half a layer: p = 20,608.

    It holds 2 heads of 16 with their queries: 2 x 32 numbers of a row come there and half of them
    leave, as do half of the 2 x 32 of keys and values.
    """
    model = tiny_model(8)
    found = SequenceRoofline(model, cut(model, 4, device_type("d")), WIRE, 4, 2)
    work_s = 2 * 20_608 * 3 / 0.5e14
    reading_s = 2 * 20_608 / 0.7e12
    attention_s = 300 * 2 * 16 * 2 / 0.7e12
    exchange_s = 2 * 20e-6 + 3 * (2 * 32 + 2 * 32) * 2 / (2 * 1e9)
    sums_s = 2 * (10e-6 + 3 * 64 * 2 / 1e9)
    gather_s = 20e-6 + 3 * 64 * 2 / 1e9
    expected = work_s + reading_s + attention_s + exchange_s + sums_s + gather_s / 4
    assert found.layer_s(0, 0.0, 5, 300) == pytest.approx(expected, rel=1e-12)


def test_all_devices_of_a_stage_crowd_its_wires_and_those_of_a_group_alone_start_it() -> None:
    model, group = tiny_model(8), cut(tiny_model(8), 4, device_type("d"))
    each, crowd = Decimal("0.000003"), Decimal("0.25")

    def taken_s(**change: Decimal) -> float:
        wire = WIRE.model_copy(update=change)
        return SequenceRoofline(model, group, wire, 4, 2).layer_s(0, 0.0, 6, 0.0)

    carried_s = 3 * 128 * 2 / 2e9 + 2 * 3 * 64 * 2 / 1e9 + 3 * 64 * 2 / 1e9 / 4
    assert taken_s(contention=crowd) - taken_s() == pytest.approx(carried_s * 2 * 0.25)
    assert taken_s(device_latency_s=each) == taken_s()


@pytest.mark.parametrize(
    ("n", "degrees"), [(1, ()), (2, ()), (3, ()), (4, (2,)), (6, (3, 2)), (8, (4, 2)), (9, (3,))]
)
def test_degrees_are_the_divisors_of_the_number_of_devices(n: int, degrees: tuple[int]) -> None:
    assert sp_degrees(n) == (None, *degrees)


def test_every_degree_is_planned_of_each_way_that_shares_out_tokens() -> None:
    limits = Limits(parallel=("tp", "sp", "shift"))
    spec = spec_of(tiny_model(8), [host("h", ["d"] * 4)], limits=limits)
    shape = StageShape((0, 8), cut(spec.model, 4, device_type("d")), WIRE)
    found = [(one.parallel, one.sp_degree) for one in allowed_sharings(spec, shape)]
    assert found == [("tp", None), ("sp", None), ("sp", 2), ("shift", None), ("shift", 2)]
    for degree in (1, 3, 4, 8):
        assert find_sharing("sp", spec.model, shape, degree) is None
        assert find_sharing("shift", spec.model, shape, degree) is None


def test_devices_hold_what_their_exchange_group_holds_together() -> None:
    own = [ShardSizes(1, ffn, 64) for ffn in (33, 33, 32, 32)]
    assert shared_sizes(own, None) == (ShardSizes(4, 130, 64),) * 4
    held = shared_sizes(own, 2)
    assert held == (ShardSizes(2, 66, 64),) * 2 + (ShardSizes(2, 64, 64),) * 2


def test_two_groups_of_two_devices_hold_half_of_each_layer() -> None:
    """A whole layer is 82,176 bytes, half of one 41,216 and a quarter 20,736, with all norms."""
    spec = spec_of(tiny_model(8), [host("h", ["d"] * 4)])
    group = cut(spec.model, 4, device_type("d"))
    ways = (Sharing(), Sharing("sp"), Sharing("sp", sp_degree=2), Sharing("shift", 12, 2))
    needs = [memory_needs(spec, StageShape((1, 5), group, sharing=way))[0] for way in ways]
    assert [need.weights_bytes // 4 for need in needs] == [20_736, 82_176, 41_216, 41_216]
    # 64 tokens in a step: 32 rows of 4 x 64 + 3 x 32 + 2 x 64, and all 64 of 3 x 16 + 64.
    assert needs[2].workspace_bytes == 2 * (32 * 480 + 64 * 112)
    tensor, sequence, groups, shift = (
        kv_room_tokens(spec, StageShape((1, 5), group, sharing=way)) for way in ways
    )
    assert sequence < groups < tensor
    assert groups == shift
