"""HexGen's formulas against its own code's figures, its inner search against all splits."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import FAST, device_type, host, spec_of, tiny_model

from hexplan.device import DeviceType
from hexplan_solver.baselines.hexgen_cost import (
    HexgenRequest,
    Speeds,
    Wire,
    compute_s,
    group_comm_s,
    hop_s,
    memory_bytes,
)
from hexplan_solver.baselines.hexgen_pipeline import PipelinePlanner, splits
from hexplan_solver.baselines.stocks import stocks_of
from hexplan_solver.baselines.waterfill import water_fill
from hexplan_solver.problem.problem import build_problem

LLAMA_70B = HexgenRequest(hidden=8192, dtype_bytes=2, prompt_tokens=32, output_tokens=96)
"""The constants of HexGen's code, whose output length counts the prompt's 32 tokens too."""
DEVICE = Speeds(memory_bytes_per_s=1e12, flops_per_s=1e12)
WIRE = Wire(latency_s=1e-6, bytes_per_s=1e11)
GIB = 2**30

LAYERS = 120

REQUEST = HexgenRequest(hidden=64, dtype_bytes=2, prompt_tokens=64, output_tokens=64)
WITHIN_HOST, BETWEEN_HOSTS = Wire(1e-6, FAST), Wire(1e-3, FAST)
"""The tiny clusters of `support.clusters`."""


def test_eighty_layers_compute_as_long_as_in_hexgens_code() -> None:
    assert 80 * compute_s(LLAMA_70B, DEVICE, 1) == pytest.approx(28.99, abs=0.005)


def test_eight_devices_exchange_as_long_as_in_hexgens_code() -> None:
    assert 80 * group_comm_s(LLAMA_70B, WIRE, 8) == pytest.approx(0.223, abs=0.0005)


def test_a_hop_takes_as_long_as_in_hexgens_code() -> None:
    assert hop_s(LLAMA_70B, WIRE) == pytest.approx(0.000118, abs=5e-7)


@pytest.mark.parametrize(
    ("layers", "degree", "gib"), [(80, 8, 15.4), (26, 4, 9.89), (27, 2, 20.39)]
)
def test_memory_is_as_in_hexgens_code(layers: int, degree: int, gib: float) -> None:
    """There, the output length of 128 tokens comes on top of the prompt's 32."""
    request = HexgenRequest(hidden=8192, dtype_bytes=2, prompt_tokens=32, output_tokens=128)
    assert memory_bytes(request, layers, degree) / GIB == pytest.approx(gib, abs=0.05)


@pytest.mark.parametrize(("devices", "ways"), [(3, 3), (4, 5), (8, 18), (16, 74)])
def test_a_machine_is_split_in_as_many_ways_as_in_hexgens_code(devices: int, ways: int) -> None:
    found = splits(devices)
    assert len(found) == len(set(found)) == ways
    assert all(sum(way) == devices for way in found)


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    speeds=st.lists(st.sampled_from([10**11, 3 * 10**11, 10**12]), min_size=3, max_size=3),
)
def test_a_pipeline_is_about_the_fastest_of_all_splits_of_its_devices(
    sizes: list[int], speeds: list[int]
) -> None:
    """The search compares speeds before layers are whole, so rounding may cost it a little."""
    hosts = [host(f"h{i}", [f"d{i}"] * size) for i, size in enumerate(sizes)]
    types = [device_type(f"d{i}", speed=speeds[i]) for i in range(len(sizes))]
    spec = spec_of(tiny_model(LAYERS), hosts, types=types)
    planner = PipelinePlanner(spec, stocks_of(build_problem(spec)))
    found = planner.plan(tuple(sizes))
    assert found is not None
    assert sum(part.layers for part in found.parts) == LAYERS
    best_s = min(total_s(types, ways) for ways in product(*(splits(size) for size in sizes)))
    between_s = (len(sizes) - 1) * hop_s(REQUEST, BETWEEN_HOSTS)
    assert best_s * (1 - 1e-9) <= found.latency_s - between_s <= best_s * 1.05


def total_s(types: Sequence[DeviceType], ways: tuple[tuple[int, ...], ...]) -> float:
    """Seconds of one request on whole layers in proportion to speed, machines side by side."""
    layer_s = [
        compute_s(
            REQUEST,
            Speeds(kind.memory_bandwidth_bytes_per_s, kind.compute_flops_per_s),
            degree,
        )
        + group_comm_s(REQUEST, WITHIN_HOST, degree)
        for kind, way in zip(types, ways, strict=False)
        for degree in way
    ]
    counts = water_fill(LAYERS, [1 / Fraction(s) for s in layer_s], [LAYERS] * len(layer_s))
    assert counts is not None
    return sum(count * seconds for count, seconds in zip(counts, layer_s, strict=True))
