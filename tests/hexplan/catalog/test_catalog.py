from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.parameter_count import (
    count,
    kv_bytes_per_token,
    kv_width,
    parameters,
    transformers_model,
)

from hexplan import catalog
from hexplan.catalog.rates import find_rates
from hexplan.catalog.shipped import (
    LinkInfo,
    close_devices,
    close_models,
    find_device,
    find_link,
    find_model,
    known_devices,
    known_models,
)
from hexplan.model import Model

DATA = Path(catalog.__file__).parent / "data"

PUBLISHED_PARAMETERS = {
    "llama-30b": 32_528_943_616,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
    "qwen3-32b": 32_762_123_264,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "mixtral-8x22b": 140_620_634_112,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
}


def model(name: str) -> Model:
    found = find_model(name)
    assert found is not None
    return found


def test_a_device_is_found_in_si_units() -> None:
    device = find_device("H100-SXM")
    assert device is not None
    assert device.kind == "cuda"
    assert device.memory_bytes == 81_559 * 1_048_576
    assert device.memory_bandwidth_bytes_per_s == 3_350_000_000_000
    assert device.compute_flops_per_s == 989_400_000_000_000
    assert device.origin.startswith("datasheet: NVIDIA H100")


@pytest.mark.parametrize(
    "name", ["RTX-4090", "rtx-4090", "4090", "RTX 4090", "rtx_4090", "RTX4090"]
)
def test_a_device_answers_to_its_aliases_in_any_case_under_one_name(name: str) -> None:
    device = find_device(name)
    assert device is not None
    assert device.name == "RTX-4090"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("T4", "cuda"),
        ("MI300X", "rocm"),
        ("Gaudi3", "hpu"),
        ("Arc-B580", "xpu"),  # the one kind that is not the vendor's
        ("M4-Max", "mps"),
        ("Ascend-910B", "npu"),
        ("TPU-v6e", "tpu"),
        ("CPU-DDR5-8ch-512GB", "cpu"),
    ],
)
def test_the_vendor_decides_the_backend(name: str, kind: str) -> None:
    device = find_device(name)
    assert device is not None
    assert device.kind == kind


def test_every_row_of_the_datasheets_becomes_a_device() -> None:
    rows = json.loads((DATA / "devices.json").read_text())["devices"]
    assert len(rows) == 119
    assert known_devices() == tuple(row["name"] for row in rows)
    for row in rows:
        device = find_device(row["name"])
        assert device is not None
        assert device.memory_bytes == row["memory_mib"] * 1_048_576
        assert device.compute_flops_per_s == round(row["fp16_dense_tflops"] * 1e12)


def test_no_two_devices_share_a_name() -> None:
    rows = json.loads((DATA / "devices.json").read_text())["devices"]
    for row in rows:
        for name in (row["name"], *row["aliases"]):
            device = find_device(name)
            assert device is not None
            assert device.name == row["name"], name


def test_the_datasheets_hold_no_prices() -> None:
    assert "usd" not in (DATA / "devices.json").read_text().casefold()


def test_a_figure_that_no_driver_confirmed_says_so() -> None:
    device = find_device("M2-Ultra")
    assert device is not None
    assert device.memory_bytes == 144 * 2**30
    assert "75 % of 192 GiB" in device.origin


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA GeForce RTX 3090", "RTX-3090"),
        ("GeForce RTX 3090 Ti", "RTX-3090-Ti"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM"),
        ("AMD Instinct MI300X", "MI300X"),
        ("NVIDIA GB10", "DGX-Spark"),
        ("H100-80GB-SXM", "H100-SXM"),
    ],
)
def test_a_device_answers_to_what_its_driver_calls_it(name: str, expected: str) -> None:
    device = find_device(name)
    assert device is not None
    assert device.name == expected


def test_a_mac_is_named_with_its_memory() -> None:
    assert find_device("M3-Ultra") is None
    assert set(close_devices("M3-Ultra")) >= {"M3-Ultra-96GB", "M3-Ultra-256GB", "M3-Ultra-512GB"}


def test_a_processor_reads_memory_as_fast_as_its_channels() -> None:
    device = find_device("CPU-DDR5-12ch-768GB")
    assert device is not None
    assert device.memory_bandwidth_bytes_per_s == 12 * 6400 * 8 * 10**6
    assert device.overhead_bytes == 0


@pytest.mark.parametrize(
    ("name", "float32", "int8", "fp4"),
    [
        ("A100-80GB-SXM", 19.5, 624, None),
        ("B200-SXM", 75, 4500, 9000),
        ("B300-SXM", None, 153.5, 14_000),  # Blackwell Ultra all but dropped int8
        ("T4", 8.1, 130, None),
        ("M4-Max", None, None, None),
    ],
)
def test_a_device_has_the_rates_that_are_known_of_it(
    name: str, float32: float | None, int8: float | None, fp4: float | None
) -> None:
    device = find_device(name)
    assert device is not None
    rates = (device.float32_flops_per_s, device.int8_ops_per_s, device.fp4_flops_per_s)
    assert rates == tuple(
        None if rate is None else round(rate * 1e12) for rate in (float32, int8, fp4)
    )


def test_rates_belong_to_devices_and_are_of_their_size() -> None:
    rows = json.loads((DATA / "rates.json").read_text())["devices"]
    assert len({row["name"] for row in rows}) == len(rows)
    for row in rows:
        device = find_device(row["name"])
        assert device is not None
        assert device.name == row["name"]
        assert row["source"]
        assert (device.float32_flops_per_s or 0) <= device.compute_flops_per_s
        for eight_bits in (device.fp8_flops_per_s, device.compute_flops_per_s):
            if device.fp4_flops_per_s and eight_bits:
                assert device.fp4_flops_per_s > eight_bits


def test_the_network_of_a_device_is_known_where_its_machines_are_alike() -> None:
    assert find_rates("H100-SXM").nic_bytes_per_s == 50 * 10**9  # 400 Gb/s
    assert find_rates("RTX-4090").nic_bytes_per_s is None


def test_an_unknown_device_is_not_guessed() -> None:
    assert find_device("A100") is None
    assert find_link("A100") is None


def test_close_names_begin_with_what_was_typed() -> None:
    assert close_devices("a100") == (
        "A100-80GB-SXM",
        "A100-80GB-PCIe",
        "A100-40GB-SXM",
        "A100-40GB-PCIe",
    )


def test_close_names_forgive_a_slip() -> None:
    assert close_devices("RTX-4O90")[0] == "RTX-4090"
    assert close_models("llama2-70")[0] == "llama-2-70b"
    assert close_devices("abacus") == ()


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("A100-40GB-SXM", LinkInfo("nvlink3", 300_000_000_000)),  # 600 GB/s both ways
        ("RTX-4090", LinkInfo("pcie4", 31_500_000_000)),  # no direct link
        ("T4", LinkInfo("pcie3", 15_750_000_000)),
        ("RTX-A6000", LinkInfo("nvlink3-bridge", 56_250_000_000)),
    ],
)
def test_a_link_counts_one_direction(name: str, link: LinkInfo) -> None:
    assert find_link(name) == link


def test_a_model_answers_to_its_aliases_in_any_case_under_one_name() -> None:
    assert find_model("LLaMA-1-30B") is find_model("llama-30b")
    assert model("llama-1-30b").name == "llama-30b"


def test_an_unknown_model_is_not_guessed() -> None:
    assert find_model("llama") is None


def test_no_two_models_share_a_name() -> None:
    rows = json.loads((DATA / "models.json").read_text())["models"]
    names = [name.casefold() for row in rows for name in (row["model"]["name"], *row["aliases"])]
    assert len(names) == len(set(names))


def test_every_model_has_a_published_count() -> None:
    assert set(known_models()) == set(PUBLISHED_PARAMETERS)


@pytest.mark.parametrize("name", known_models())
def test_the_formula_gives_the_published_parameters(name: str) -> None:
    assert parameters(model(name)) == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize("name", known_models())
def test_the_formula_agrees_with_transformers(name: str) -> None:
    module = transformers_model(model(name))
    assert parameters(model(name)) == count(module)
    assert kv_bytes_per_token(model(name)) == kv_width(module) * model(name).dtype_bytes


def test_the_kv_cache_counts_grouped_heads_only_once() -> None:
    assert kv_bytes_per_token(model("llama-2-70b")) == 327_680
    assert kv_bytes_per_token(model("llama-30b")) == 1_597_440
