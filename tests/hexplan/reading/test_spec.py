from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from support.specs import TWO_NODES, spec_of, two_nodes

from hexplan.catalog.interconnects import interconnect_of
from hexplan.catalog.shipped import find_device, find_model
from hexplan.cluster import Coordinator, Exclusion, GroupPin, LayerPin, Limits, Link, Profile
from hexplan.host import Host
from hexplan.model import Model
from hexplan.reading import read_spec
from hexplan.workload import Lengths, Workload

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "cluster_specs").glob("*.yaml"))


def test_the_two_nodes_are_read_field_by_field() -> None:
    spec = spec_of(TWO_NODES)
    cluster = spec.cluster
    assert cluster.name == "two-nodes"
    assert cluster.hosts == (
        Host(
            name="big",
            site="lab",
            devices=("A100-80GB-SXM", "A100-80GB-SXM"),
            interconnect=interconnect_of("nvlink3"),
            nic_in_bytes_per_s=3_125_000_000,
            nic_out_bytes_per_s=3_125_000_000,
        ),
        Host(
            name="small",
            site="lab",
            devices=("L4",),
            nic_in_bytes_per_s=1_250_000_000,
            nic_out_bytes_per_s=1_250_000_000,
        ),
    )
    assert cluster.coordinator == Coordinator(
        site="lab", nic_in_bytes_per_s=1_250_000_000, nic_out_bytes_per_s=1_250_000_000
    )
    assert cluster.links == (
        Link(
            source="lab",
            target="lab",
            bandwidth_bytes_per_s=1_250_000_000,
            latency_s=Decimal("0.0001"),
        ),
    )
    assert cluster.device_types == (find_device("A100-80GB-SXM"), find_device("L4"))
    assert (cluster.profiles, cluster.layer_pins, cluster.group_pins) == ((), (), ())
    assert cluster.limits == Limits(
        memory_fraction=Decimal("0.9"),
        solve_time_s=30.0,
        step_overhead_s=Decimal("0.0008"),
        token_overhead_s=Decimal("0.000019"),
        hop_overhead_s=Decimal("0.0002"),
    )
    assert spec.model == find_model("llama-2-7b")
    assert spec.workload == Workload(
        prompt_tokens=Lengths(mean=512, max=1024), output_tokens=Lengths(mean=128, max=128)
    )


def test_the_same_text_gives_the_same_hash() -> None:
    assert spec_of(TWO_NODES).cluster.sha256 == spec_of(TWO_NODES).cluster.sha256
    other = spec_of(two_nodes("0.1ms", "0.2ms"))
    assert spec_of(TWO_NODES).cluster.sha256 != other.cluster.sha256


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_is_read(path: Path) -> None:
    spec = read_spec(path)
    assert spec.cluster.hosts
    assert {name for host in spec.cluster.hosts for name in host.devices} == set(
        spec.cluster.device_type_by_name
    )


def write_config(folder: Path) -> None:
    folder.mkdir()
    config = {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 4,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "vocab_size": 256,
        "max_position_embeddings": 2048,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("mine", "bfloat16"),
        ("./mine", "bfloat16"),
        ("{path: mine}", "bfloat16"),
        ("{path: mine, dtype: float32}", "float32"),
    ],
)
def test_a_path_of_a_model_folder_is_relative_to_the_file(
    tmp_path: Path, text: str, dtype: str
) -> None:
    write_config(tmp_path / "mine")
    (tmp_path / "cluster.yaml").write_text(two_nodes("llama-2-7b", text))
    model = read_spec(tmp_path / "cluster.yaml").model
    assert (model.name, model.layers, model.dtype) == ("mine", 4, dtype)
    assert model.path == str((tmp_path / "mine").resolve())


def test_a_name_of_the_catalog_beats_a_folder(tmp_path: Path) -> None:
    write_config(tmp_path / "llama-2-7b")
    assert spec_of(TWO_NODES, tmp_path).model == find_model("llama-2-7b")


def test_a_model_of_the_catalog_can_run_in_another_type() -> None:
    model = spec_of(two_nodes("llama-2-7b", "{name: llama-2-7b, dtype: float32}")).model
    listed = find_model("llama-2-7b")
    assert listed is not None
    assert model == listed.model_copy(update={"dtype": "float32"})


def test_a_model_can_be_given_by_its_numbers() -> None:
    numbers = (
        "{name: tiny, family: qwen3, layers: 4, hidden: 8, heads: 4, kv_heads: 2, head_dim: 4,"
        " ffn: 16, vocab: 32, qk_norm: true, dtype: float16, max_context: 1152}"
    )
    assert spec_of(two_nodes("llama-2-7b", numbers)).model == Model(
        name="tiny",
        family="qwen3",
        layers=4,
        hidden=8,
        heads=4,
        kv_heads=2,
        head_dim=4,
        ffn=16,
        vocab=32,
        qk_norm=True,
        dtype="float16",
        max_context=1152,
    )


def test_the_request_rate_is_kept_per_second() -> None:
    text = two_nodes("output_tokens: 128", "output_tokens: 128\n  request_rate: 300/min")
    assert spec_of(text).workload.request_rate_per_s == 5.0


def test_limits_are_kept_in_seconds_and_shares() -> None:
    overheads = "step_overhead: 2ms, token_overhead: 5us, hop_overhead: 0s"
    text = f"{TWO_NODES}limits: {{time: 2min, memory_fraction: 95%, {overheads}}}\n"
    assert spec_of(text).cluster.limits == Limits(
        memory_fraction=Decimal("0.95"),
        solve_time_s=120.0,
        step_overhead_s=Decimal("0.002"),
        token_overhead_s=Decimal("0.000005"),
    )


def test_pins_name_hosts_ranges_and_devices() -> None:
    text = two_nodes("name: small", "name: a-[0-2]") + (
        "pin:\n"
        "  - {host: 'a-[0-1]', layers: [0, 20]}\n"
        "  - {same_stage: [big/1, big/0]}\n"
        "  - {exclude: a-2/0}\n"
        "  - {exclude: 'a-[2-2]'}\n"
    )
    cluster = spec_of(text).cluster
    assert cluster.layer_pins == (
        LayerPin(host="a-0", layers=(0, 20)),
        LayerPin(host="a-1", layers=(0, 20)),
    )
    assert cluster.group_pins == (GroupPin(host="big", devices=(0, 1)),)
    assert cluster.exclusions == (Exclusion(host="a-2", device=0), Exclusion(host="a-2"))


def test_a_host_can_be_pinned_to_layers_and_have_one_device_excluded() -> None:
    pins = "pin: [{host: big, layers: [0, 9]}, {exclude: big/1}]\n"
    cluster = spec_of(TWO_NODES + pins).cluster
    assert cluster.layer_pins == (LayerPin(host="big", layers=(0, 9)),)
    assert cluster.exclusions == (Exclusion(host="big", device=1),)


def test_a_path_of_profiles_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "speeds").mkdir()
    (tmp_path / "speeds" / "p.yaml").write_text(
        "version: 1\n"
        "model: llama-2-7b\n"
        "source: made up\n"
        "stages:\n"
        "  - {device: l4, tp: 1, tokens_per_s: [100, 50.123456789]}\n"
        "  - {device: T4, tp: 1, tokens_per_s: [1]}\n"
    )
    cluster = spec_of(f"{TWO_NODES}profiles: speeds/p.yaml\n", tmp_path).cluster
    # The T4 stands in no host; rates are whole millionths.
    assert cluster.profiles == (
        Profile(
            device="L4",
            tp=1,
            tokens_per_s=(Decimal(100), Decimal("50.123456")),
            source="made up",
        ),
    )
