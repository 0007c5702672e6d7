"""What a cluster.yaml says of devices and types: what is theirs, what others use, what runs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from support.specs import TWO_NODES, spec_of, two_nodes

from hexplan.catalog.shipped import OVERHEAD_BYTES, find_device, find_model
from hexplan.check import check_plan
from hexplan.device import DeviceType, Efficiency
from hexplan.errors import InfeasibleError, SpecError
from hexplan.model import WeightFormat
from hexplan_solver import SolveOptions, solve

GIB = 2**30


def with_devices(text: str) -> str:
    return f"{TWO_NODES}devices: {text}\n"


def device_of(text: str, name: str = "L4") -> DeviceType:
    return spec_of(text).cluster.device_type_by_name[name]


def test_a_device_of_the_catalog_brings_its_generation_types_and_overhead() -> None:
    device = device_of(TWO_NODES)
    assert (device.arch, device.bfloat16) == ("ada", True)
    assert device.fp8_flops_per_s == 242 * 10**12
    assert device.overhead_bytes == OVERHEAD_BYTES["cuda"] == 512 * 2**20
    assert device.efficiency.origin == "calibrated on L4"
    turing = find_device("T4")
    assert turing is not None
    assert (turing.bfloat16, turing.fp8_flops_per_s) == (False, None)


def test_the_file_changes_what_it_names_and_no_more() -> None:
    text = "{L4: {overhead: 2GiB, efficiency: {compute: 60%, bandwidth: 0.8, error: 20%}}}"
    device, listed = device_of(with_devices(text)), find_device("L4")
    assert listed is not None
    assert device.efficiency == Efficiency(
        compute=Decimal("0.6"),
        bandwidth=Decimal("0.8"),
        error=Decimal("0.2"),
        origin="given in the cluster file",
    )
    assert device.origin.endswith("; the cluster file gives overhead, efficiency")
    kept = {"overhead_bytes": listed.overhead_bytes, "efficiency": listed.efficiency}
    assert device.model_copy(update={**kept, "origin": listed.origin}) == listed


@pytest.mark.parametrize(("kind", "overhead"), [("cuda", 512 * 2**20), ("cpu", 0), ("mps", 0)])
def test_a_new_device_has_the_overhead_of_its_kind_and_assumed_efficiencies(
    kind: str, overhead: int
) -> None:
    figures = f"{{kind: {kind}, memory: 16GiB, memory_bandwidth: 300GB/s, compute: 60 TFLOP/s}}"
    text = with_devices(f"{{X1: {figures}}}").replace("devices: L4", "devices: X1")
    device = device_of(text, "X1")
    assert (device.overhead_bytes, device.arch) == (overhead, None)
    assert device.efficiency == Efficiency()


def test_memory_in_use_makes_a_new_type_with_the_same_profile() -> None:
    text = two_nodes("devices: 2 x A100-80GB-SXM", "devices: 2 x A100-80GB-SXM\n    in_use: 3GiB")
    host = spec_of(text).cluster.hosts[0]
    assert host.devices == ("A100-80GB-SXM (3072 MiB in use)",) * 2
    device, listed = device_of(text, host.devices[0]), find_device("A100-80GB-SXM")
    assert listed is not None
    assert (device.in_use_bytes, device.profile_name) == (3 * GIB, "A100-80GB-SXM")
    own = {"name": listed.name, "in_use_bytes": 0, "profiled_as": None}
    assert device.model_copy(update=own) == listed


def test_memory_may_be_in_use_on_some_devices_of_a_host() -> None:
    text = two_nodes(
        "devices: 2 x A100-80GB-SXM", "devices: 2 x A100-80GB-SXM\n    in_use: [0B, 1000B]"
    )
    cluster = spec_of(text).cluster
    assert cluster.hosts[0].devices == ("A100-80GB-SXM", "A100-80GB-SXM (1000 bytes in use)")
    plan = solve(spec_of(text), SolveOptions(time_limit_s=5))
    assert check_plan(plan) == ()
    budgets = {m.budget_bytes for s in plan.stages for m in s.memory if s.host == "big"}
    whole = 81_920 * 2**20
    assert budgets == {whole * 9 // 10, (whole - 1000) * 9 // 10}


def test_a_profile_applies_to_a_device_whose_memory_is_partly_in_use(tmp_path: Path) -> None:
    rates = [3200 / k for k in range(1, 33)]
    (tmp_path / "p.yaml").write_text(
        "version: 1\nmodel: llama-2-7b\nsource: made up\nstages:\n"
        f"  - {{device: L4, tp: 1, tokens_per_s: {rates}, error: 3%}}\n"
    )
    text = two_nodes("devices: L4", "devices: L4\n    in_use: 1GiB")
    text += "profiles: p.yaml\npin: [{exclude: big}]\n"
    plan = solve(spec_of(text, tmp_path), SolveOptions(time_limit_s=5))
    assert check_plan(plan) == ()
    (stage,) = plan.stages
    assert (stage.speed_origin, stage.speed_error) == ("measured profile", Decimal("0.03"))
    assert stage.capacity_tokens_per_s == 100


@pytest.mark.parametrize(
    ("in_use", "problem"),
    [
        ("[1GiB]", "found 1 entries for 2 devices, needed one per device"),
        ("80GiB", "bytes in use of A100-80GB-SXM, which has"),
        ("3", "needed an amount of memory with its unit"),
    ],
)
def test_memory_in_use_that_makes_no_sense_is_refused(in_use: str, problem: str) -> None:
    text = two_nodes(
        "devices: 2 x A100-80GB-SXM", f"devices: 2 x A100-80GB-SXM\n    in_use: {in_use}"
    )
    with pytest.raises(SpecError, match=problem):
        spec_of(text)


def test_a_model_may_run_with_quantised_weights_and_a_small_kv_cache() -> None:
    chosen = "{name: llama-2-7b, dtype: bfloat16, weights: int4, kv_cache: fp8}"
    model, listed = spec_of(two_nodes("llama-2-7b", chosen)).model, find_model("llama-2-7b")
    assert listed is not None
    assert model.weights == WeightFormat(name="int4", block_columns=128, zero_bits=4)
    assert (model.dtype, model.kv_dtype, model.kv_bytes) == ("bfloat16", "fp8", 1)
    own = {"dtype": listed.dtype, "weights": None, "kv_dtype": None}
    assert model.model_copy(update=own) == listed


def test_the_blocks_of_quantised_weights_can_be_given() -> None:
    form = "{name: int8, block_rows: 1, block_columns: 64, scale_bits: 32}"
    model = spec_of(two_nodes("llama-2-7b", f"{{name: llama-2-7b, weights: {form}}}")).model
    assert model.weights == WeightFormat(name="int8", block_columns=64, scale_bits=32)


def test_an_unknown_type_of_weights_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(two_nodes("llama-2-7b", "{name: llama-2-7b, weights: Q4_K_X}"))
    assert "model.weights: found 'Q4_K_X', needed a format of weights: `fp8`" in str(caught.value)
    assert "did you mean `q4_k_s`, `q4_k_m`" in (caught.value.hint or "")


def speed_on_a_b200(chosen: str) -> Decimal:
    """Return the tokens/s of one B200 with long prompts, by a plan that passes the check."""
    text = two_nodes("devices: L4", "devices: B200").replace("mean: 512", "mean: 1000")
    text = text.replace("output_tokens: 128", "output_tokens: 1")
    text = text.replace("model: llama-2-7b", f"model: {{name: llama-2-7b, {chosen}}}")
    text += "pin: [{exclude: big}]\n"
    plan = solve(spec_of(text), SolveOptions(time_limit_s=5))
    assert check_plan(plan) == ()
    (stage,) = plan.stages
    return stage.capacity_tokens_per_s


def test_matrices_are_multiplied_at_the_rate_of_their_operands() -> None:
    """A B200 does 4500 T/s in int8 and fp8, 9000 in fp4, 2250 in 16 bits and 75 in float32."""
    plain = speed_on_a_b200("dtype: bfloat16")
    assert speed_on_a_b200("weights: int8") == pytest.approx(plain, rel=Decimal("0.3"))
    assert speed_on_a_b200("weights: w8a8") > Decimal("1.5") * plain
    # Kernels of 8-bit floats were measured: they reach less of their peak than those of 16 bits.
    assert speed_on_a_b200("weights: fp8") > Decimal("1.1") * plain
    assert speed_on_a_b200("weights: nvfp4") > Decimal("2") * plain
    assert speed_on_a_b200("weights: mxfp4") < Decimal("1.3") * plain  # 16-bit activations
    assert speed_on_a_b200("dtype: float32") < plain / 20


def test_chunks_are_a_limit_of_the_file() -> None:
    spec = spec_of(f"{TWO_NODES}limits: {{chunk_tokens: 256}}\n")
    assert spec.cluster.limits.chunk_tokens == 256


def test_smaller_chunks_leave_more_room_for_the_cache() -> None:
    rooms = []
    for chunk in (256, 1024):
        text = f"{TWO_NODES}limits: {{chunk_tokens: {chunk}}}\npin: [{{exclude: small}}]\n"
        plan = solve(spec_of(text), SolveOptions(time_limit_s=5))
        assert check_plan(plan) == ()
        rooms.append(max(stage.kv_tokens for stage in plan.stages))
    assert rooms[0] > rooms[1]


def test_devices_that_lack_the_type_are_left_out_and_reported() -> None:
    spec = spec_of(two_nodes("devices: L4", "devices: T4"))
    brain = replace(spec, model=spec.model.model_copy(update={"dtype": "bfloat16"}))
    plan = solve(brain, SolveOptions(time_limit_s=5))
    assert check_plan(plan) == ()
    assert {unused.host for unused in plan.unused} == {"small"}
    only = spec_of(two_nodes("devices: L4", "devices: T4") + "pin: [{exclude: big}]\n")
    bare = replace(only, model=only.model.model_copy(update={"dtype": "bfloat16"}))
    with pytest.raises(InfeasibleError, match="T4 left out: no bfloat16") as caught:
        solve(bare)
    assert "dtype: float16" in (caught.value.hint or "")
