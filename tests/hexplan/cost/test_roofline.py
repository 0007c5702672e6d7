"""The forms of the datasheet model: by hand, and as they grow with what a step holds."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clusters import device_type, host, profile, spec_of, tiny_model

from hexplan.catalog.interconnects import interconnect_of, known_links
from hexplan.catalog.shipped import find_device
from hexplan.cost import DeviceShard, ShardSizes, StageShape, stage_speed
from hexplan.cost.collectives import all_reduce_cost, exchange_cost
from hexplan.cost.roofline import Roofline
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.device import DeviceType, Efficiency, KernelEfficiency
from hexplan.host import Interconnect
from hexplan.model import Experts, Model, WeightFormat

WEIGHTS = 4 * 64 * 64 + 3 * 64 * 128 + 2 * 64
"""Of one layer of the tiny model."""
FAST = KernelEfficiency(
    compute=Decimal("0.25"),
    bandwidth=Decimal("0.8"),
    exposed=Decimal(0),
    start_s=Decimal("0.00001"),
    error=Decimal("0.2"),
)
MEASURED = Efficiency(
    compute=Decimal("0.5"),
    bandwidth=Decimal("0.7"),
    exposed=Decimal("0.25"),
    start_s=Decimal("0.00002"),
    error=Decimal("0.1"),
    attention=Decimal("0.4"),
    attention_start_s=Decimal("0.000015"),
    fp8=FAST,
    experts=FAST.model_copy(update={"exposed": Decimal(1), "error": Decimal("0.3")}),
)


def measured() -> DeviceType:
    """Return a device of 1e14 flop/s and 1e12 bytes/s that was calibrated."""
    return device_type("d").model_copy(update={"efficiency": MEASURED})


def whole(model: Model, n: int = 1) -> list[DeviceShard]:
    sizes = ShardSizes(model.kv_heads // n, model.ffn // n, model.vocab // n)
    return [DeviceShard(measured(), sizes)] * n


def test_the_longer_of_work_and_reading_hides_most_of_the_shorter() -> None:
    model = tiny_model(8)
    found = Roofline(model, whole(model), None)
    read_s = 2 * WEIGHTS / 0.7e12
    for tokens in (1, 10_000):
        work_s = 2 * WEIGHTS * tokens / 0.5e14
        longer_s, shorter_s = max(work_s, read_s), min(work_s, read_s)
        expected = longer_s + shorter_s / 4 + 20e-6 + 15e-6
        assert found.layer_s(0, 0.0, tokens, 0.0) == pytest.approx(expected, rel=1e-12)


def test_attention_takes_its_floor_or_its_own_share_of_the_peak() -> None:
    """64 query channels: 4 x 64 operations a position, and 2 x 64 numbers of keys and values."""
    model = tiny_model(8)
    found = Roofline(model, whole(model), None)
    without = found.layer_s(500, 0.0, 0, 0.0)
    short, long = 1000.0, 10.0**7
    assert found.layer_s(500, short, 0, 0.0) == without
    position_s = 4 * 64 / 0.4e14
    assert found.layer_s(500, long, 0, 0.0) == pytest.approx(without - 15e-6 + long * position_s)
    none, many = found.layer_s(0, 0.0, 500, 0.0), found.layer_s(0, 0.0, 500, long)
    assert many - none + 15e-6 == pytest.approx(long * 2 * 64 * 2 / 0.7e12)


def test_weights_of_8_bits_and_experts_have_figures_of_their_own() -> None:
    fp8 = tiny_model(8).model_copy(update={"weights": WeightFormat(name="fp8", block_rows=None)})
    found = Roofline(fp8, whole(fp8), None).layer_s(0, 0.0, 1, 0.0)
    matrices = 4 * 64 * 64 + 3 * 64 * 128
    stored = matrices + 7 * 2 + 2 * 2 * 64  # a scale for each of 7 matrices, and norms in 16 bits
    assert found == pytest.approx(stored / 0.8e12 + 10e-6 + 15e-6)
    mixture = tiny_model(8).model_copy(update={"experts": Experts(total=8, active=2)})
    found = Roofline(mixture, whole(mixture), None).layer_s(0, 0.0, 1, 0.0)
    dense = 4 * 64 * 64 + 2 * 64 + 8 * 64
    dense_s = 2 * dense / 0.7e12 + 2 * dense / 0.5e14 / 4 + 20e-6
    experts_s = 2 * 2 * 3 * 64 * 128 * (1 / 0.8e12 + 1 / 0.25e14) + 10e-6
    assert found == pytest.approx(dense_s + experts_s + 15e-6)


@given(
    prompt=st.integers(0, 4000),
    decode=st.integers(0, 300),
    context=st.integers(0, 10**6),
    n=st.sampled_from([1, 2, 4]),
    more=st.sampled_from(["prompt", "decode", "context"]),
)
def test_a_step_that_holds_more_never_takes_less(
    prompt: int, decode: int, context: int, n: int, more: str
) -> None:
    model = tiny_model(8).model_copy(update={"experts": Experts(total=8, active=2)})
    found = Roofline(model, whole(model, n), interconnect_of("pcie4"))
    step = {"prompt": prompt, "decode": decode, "context": context}
    before, after = (
        found.layer_s(s["prompt"], s["prompt"] ** 2 / 2, s["decode"], s["context"])
        for s in (step, step | {more: step[more] + 1})
    )
    assert after >= before * (1 - 1e-12)


def test_a_reduce_costs_what_was_measured_on_h100s() -> None:
    """aiconfigurator-core 0.12.0: 32 KiB take 4.4 us on two and 5.6 us on eight devices."""
    two, eight = (all_reduce_cost(interconnect_of("nvlink4"), n) for n in (2, 8))
    assert two.start_s + 2**15 * two.byte_s == pytest.approx(4.4e-6, rel=0.1)
    assert eight.start_s + 2**15 * eight.byte_s == pytest.approx(5.6e-6, rel=0.15)
    assert two.start_s + 2**29 * two.byte_s == pytest.approx(1.686e-3, rel=0.1)


def test_devices_beyond_the_second_start_later_and_crowd_the_link() -> None:
    link = Interconnect(
        bandwidth_bytes_per_s=10**9,
        latency_s=Decimal("0.00001"),
        device_latency_s=Decimal("0.000003"),
        contention=Decimal("0.5"),
    )
    assert all_reduce_cost(link, 1).start_s == 0
    two, four = all_reduce_cost(link, 2), all_reduce_cost(link, 4)
    assert (two.start_s, two.byte_s) == pytest.approx((10e-6, 1e-9))
    assert (four.start_s, four.byte_s) == pytest.approx((16e-6, 2 * 3 / 4 * 2e-9))
    exchanged = exchange_cost(link, 4)
    assert (exchanged.start_s, exchanged.byte_s) == pytest.approx((32e-6, 3 / 4 * 2e-9))


@pytest.mark.parametrize("name", known_links())
def test_no_link_reaches_more_than_its_datasheet_says(name: str) -> None:
    peaks = {"nvlink1": 80, "nvlink2": 150, "nvlink3": 300, "nvlink4": 450, "nvlink5": 900}
    peaks |= {"pcie3": 16, "pcie4": 32, "pcie5": 64, "pcie6": 128}
    peaks |= {"thunderbolt3": 2.75, "thunderbolt4": 4, "thunderbolt5": 8}
    assert 0 < interconnect_of(name).bandwidth_bytes_per_s <= peaks[name] * 10**9


def test_the_band_is_that_of_the_kernels_in_use_and_of_the_link() -> None:
    plain, wire = tiny_model(8), interconnect_of("pcie3")
    spec = spec_of(plain, [host("h", ["d"])])
    mixture = plain.model_copy(update={"experts": Experts(total=8, active=2)})
    fp8 = plain.model_copy(update={"weights": WeightFormat(name="fp8")})
    int8 = plain.model_copy(update={"weights": WeightFormat(name="int8")})
    cases = (
        (plain, 1, "0.1"),
        (plain, 2, str(wire.error)),
        (fp8, 1, "0.2"),
        (int8, 1, "0.5"),  # nobody tried them
        (mixture, 1, "0.3"),
    )
    for model, n, error in cases:
        changed = spec_of(model, spec.cluster.hosts)
        shape = StageShape((0, 8), tuple(whole(model, n)), wire)
        assert stage_speed(changed, shape, 10**6).error == Decimal(error)


def test_steps_and_output_tokens_cost_something_besides_unless_they_were_measured() -> None:
    """One inner layer: 64 decode steps and one chunk for a request, at a batch of one."""
    model = tiny_model(8)
    bare = spec_of(model, [host("h", ["d0"])])
    limits = bare.cluster.limits.model_copy(
        update={"step_overhead_s": Decimal("0.001"), "token_overhead_s": Decimal("0.0001")}
    )
    costly = spec_of(model, bare.cluster.hosts, limits=limits)
    group = (DeviceShard(device_type("d0"), ShardSizes(4, 128, 256)),)
    for layers, head_s in (((1, 2), 0.0), ((5, 8), 64 * 0.0001)):
        shape = StageShape(layers, group)
        before, after = (
            128 / stage_speed(s, shape, 128).micro_tokens_per_s * 10**6 for s in (bare, costly)
        )
        assert after - before == pytest.approx(65 * 0.001 + head_s, rel=1e-4)
        quick, slow = (stage_step_times(s, shape) for s in (bare, costly))
        held = layers[1] - layers[0]
        step = (0, 0.0, 1, 96.0)
        assert held * (slow.layer_s(*step) - quick.layer_s(*step)) == pytest.approx(0.001)
        assert slow.head_s(3) - quick.head_s(3) == pytest.approx(0.0003)
        assert slow.layer_s(0, 0.0, 0, 0.0) == 0.0
    profiled = spec_of(model, bare.cluster.hosts, profiles=[profile("d0", [7.25])], limits=limits)
    assert stage_speed(profiled, StageShape((1, 2), group), 128).micro_tokens_per_s == 7_250_000


def test_the_catalog_knows_8_bit_kernels_and_experts_of_the_devices_that_have_them() -> None:
    for name in ("H100-SXM", "H200-SXM", "B200-SXM", "L40S"):
        device = find_device(name)
        assert device is not None
        assert device.efficiency.fp8 is not None
        assert device.efficiency.experts is not None
        assert device.efficiency.fp8_experts is not None
        assert device.efficiency.experts.exposed == 1
