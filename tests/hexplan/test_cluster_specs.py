from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import pytest

from hexplan.check import check_plan
from hexplan.cluster import COORDINATOR, Cluster, Coordinator
from hexplan.files.yaml_reader import read_yaml
from hexplan.host import Host
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve

FOLDER = Path(__file__).parents[2] / "cluster_specs"
FILES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
HELIX = [name for name in FILES if name.startswith("helix-")]

DEVICES = {
    "helix-single24-llama70b": {"A100-40GB-SXM": 4, "L4": 8, "T4": 12},
    "helix-geo24-llama30b": {"A100-40GB-SXM": 4, "L4": 8, "T4": 12},
    "helix-abl10-llama30b": {"L4": 4, "T4": 6},
    "helix-single24-a100-llama30b": {"A100-40GB-SXM": 4},
    "helix-single24-l4-llama30b": {"L4": 8},
    "helix-single24-t4-llama30b": {"T4": 12},
    "helix-high42-llama70b": {
        "A100-40GB-SXM": 4,
        "V100-SXM2-16GB": 6,
        "L4": 8,
        "T4": 10,
        "L4x2": 4,
        "T4x2": 6,
        "T4x4": 4,
    },
    "hexgen-full58": {"RTX-3090-Ti": 22, "RTX-A5000": 16, "RTX-A6000": 16, "A40": 4},
    "hexgen-half30": {"RTX-3090-Ti": 22, "RTX-A5000": 8},
    "hexgen-a100-16": {"A100-40GB-SXM": 16},
    "four-single-a100s": {"A100-80GB-SXM": 4},
    "home-lab": {"RTX-4090": 1, "RTX-3090": 2, "M2-Ultra": 1},
    "two-datacentres": {"A40": 8, "L4": 6, "A100-40GB-PCIe": 2, "A10": 4},
    "laptop": {"fast-core": 2, "slow-core": 2},
}


def spec(name: str) -> Spec:
    return read_spec(FOLDER / f"{name}.yaml")


def figures(cluster: Cluster, source: str, target: str) -> tuple[int, Decimal]:
    link = cluster.link(source, target)
    assert link is not None
    return link.bandwidth_bytes_per_s, link.latency_s


@pytest.mark.parametrize("name", FILES)
def test_every_file_reads_and_has_the_devices_it_says(name: str) -> None:
    cluster = spec(name).cluster
    assert Counter(kind for host in cluster.hosts for kind in host.devices) == DEVICES[name]
    assert cluster.name == name


@pytest.mark.parametrize("name", FILES)
def test_every_pair_of_hosts_is_connected(name: str) -> None:
    cluster = spec(name).cluster
    ends = [COORDINATOR, *(host.name for host in cluster.hosts)]
    assert all(cluster.link(source, target) for source, target in permutations(ends, 2))


@pytest.mark.parametrize("name", FILES)
def test_every_file_names_its_schema_and_says_what_it_rests_on(name: str) -> None:
    head, _, _ = (FOLDER / f"{name}.yaml").read_text("utf-8").partition("version: 1")
    first, *comments = head.split("\n")
    assert first == "# yaml-language-server: $schema=../docs/reference/cluster.schema.json"
    words = " ".join(comments)
    assert "Measured" in words or "ASSUMED" in words


def test_the_readme_lists_every_file() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert [name for name in FILES if f"`{name}.yaml`" not in readme] == []


@pytest.mark.parametrize("name", HELIX)
def test_a_helix_file_counts_memory_as_the_artifact_does(name: str) -> None:
    gigabytes = {"A100-40GB-SXM": 40, "V100-SXM2-16GB": 16, "L4": 24, "T4": 16}
    gigabytes |= {"L4x2": 2 * 24, "T4x2": 2 * 16, "T4x4": 4 * 16}
    for device in spec(name).cluster.device_types:
        assert device.memory_bytes == gigabytes[device.name] * 10**9


@pytest.mark.parametrize("name", HELIX)
def test_a_helix_file_has_the_artifacts_workload_and_network_cards(name: str) -> None:
    read = spec(name)
    assert (read.workload.prompt_tokens.mean, read.workload.prompt_tokens.max) == (750, 2048)
    assert (read.workload.output_tokens.mean, read.workload.output_tokens.max) == (240, 1000)
    ends: list[Host | Coordinator] = [*read.cluster.hosts, read.cluster.coordinator]
    for end in ends:
        assert end.nic_in_bytes_per_s == end.nic_out_bytes_per_s == 10_000_000_000


@pytest.mark.parametrize(
    ("name", "device", "layers", "tokens_per_s"),
    [
        ("helix-single24-llama70b", "A100-40GB-SXM", 8, "2045.6410473362616"),
        ("helix-single24-llama70b", "L4", 7, "531.7025845523623"),
        ("helix-single24-llama70b", "T4", 4, "757.8531857227841"),
        ("helix-geo24-llama30b", "A100-40GB-SXM", 7, "1517.7373827672375"),
        ("helix-abl10-llama30b", "T4", 7, "231.06190744228817"),
        ("helix-single24-a100-llama30b", "A100-40GB-SXM", 15, "1044.5333450564908"),
        ("helix-single24-l4-llama30b", "L4", 10, "252.6498460282083"),
        ("helix-single24-t4-llama30b", "T4", 5, "397.68506408357825"),
    ],
)
def test_a_measured_speed_stands_where_the_artifact_has_it(
    name: str, device: str, layers: int, tokens_per_s: str
) -> None:
    assert f"- {tokens_per_s}\n" in (FOLDER / "profiles" / f"{name}.yaml").read_text("utf-8")
    (profile,) = (p for p in spec(name).cluster.profiles if p.device == device)
    rounded_off = Decimal(tokens_per_s) - profile.tokens_per_s[layers - 1]
    assert 0 <= rounded_off < Decimal("1e-6")


@pytest.mark.parametrize(
    ("name", "device", "most_layers"),
    [
        ("helix-single24-llama70b", "A100-40GB-SXM", 12),
        ("helix-single24-llama70b", "L4", 7),
        ("helix-single24-llama70b", "T4", 4),
        ("helix-geo24-llama30b", "A100-40GB-SXM", 18),
        ("helix-abl10-llama30b", "L4", 11),
        ("helix-abl10-llama30b", "T4", 7),
    ],
)
def test_a_profile_ends_at_the_layers_that_were_measured(
    name: str, device: str, most_layers: int
) -> None:
    (profile,) = (p for p in spec(name).cluster.profiles if p.device == device)
    assert len(profile.tokens_per_s) == most_layers


def test_hosts_carry_the_machine_numbers_of_the_artifact_in_order() -> None:
    ours = {"helix-high42-llama70b"}  # put together from the artifact's times, with our own names
    for name in sorted(set(HELIX) - ours):
        hosts = spec(name).cluster.hosts
        assert [int(host.name.split("-")[1]) for host in hosts] == list(range(len(hosts)))
    single = spec("helix-single24-llama70b").cluster
    assert [h.name for h in single.hosts if h.devices == ("A100-40GB-SXM",)] == [
        "a100-6",
        "a100-9",
        "a100-10",
        "a100-17",
    ]


def test_the_single_cluster_has_one_kind_of_link() -> None:
    cluster = spec("helix-single24-llama70b").cluster
    expected = (1_000_000_000, Decimal("0.001"))
    assert figures(cluster, COORDINATOR, "l4-0") == expected
    assert figures(cluster, "t4-22", "a100-17") == expected


@pytest.mark.parametrize(
    ("source", "target", "bandwidth_bytes_per_s", "latency_s"),
    [
        (COORDINATOR, "a100-0", 14_200_000, "0.055"),
        (COORDINATOR, "t4-20", 10_000_000, "0.049"),
        ("a100-0", COORDINATOR, 11_200_000, "0.059"),  # the way back has its own figures
        ("t4-23", COORDINATOR, 15_000_000, "0.058"),
        ("a100-0", "l4-4", 11_200_000, "0.054"),
        ("l4-4", "a100-0", 11_200_000, "0.054"),
        ("a100-0", "a100-1", 1_323_000_000, "0.001"),
        ("l4-5", "l4-16", 13_500_000, "0.058"),
        ("t4-6", "t4-7", 1_370_000_000, "0.001"),
        ("t4-7", "l4-14", 15_000_000, "0.054"),
        ("t4-23", "t4-22", 1_204_000_000, "0.001"),
    ],
)
def test_each_pair_of_the_three_regions_has_its_own_link(
    source: str, target: str, bandwidth_bytes_per_s: int, latency_s: str
) -> None:
    cluster = spec("helix-geo24-llama30b").cluster
    assert figures(cluster, source, target) == (bandwidth_bytes_per_s, Decimal(latency_s))


def test_the_three_regions_have_one_rule_for_each_of_324_links() -> None:
    links = read_yaml(FOLDER / "helix-geo24-llama30b.yaml").data["links"]
    assert isinstance(links, list)
    assert len(links) == 24 * 23 // 2 + 24 + 24
    sites = Counter(host.site for host in spec("helix-geo24-llama30b").cluster.hosts)
    assert sites == {"region-0": 4, "region-1": 10, "region-2": 10}


def test_the_two_datacentres_share_one_line() -> None:
    link = spec("two-datacentres").cluster.link("oslo-a40-0", "dublin-a100-0")
    assert link is not None
    assert link.trunk_bytes_per_s == 25_000_000


def test_no_slot_of_the_laptop_holds_the_whole_model() -> None:
    read = spec("laptop")
    assert read.model.path is not None
    assert (Path(read.model.path) / "model.safetensors").exists()
    weights_bytes = 4 * (6 * 442_752 + 2048 * 192 + 192)
    assert all(d.memory_bytes * 0.9 < weights_bytes for d in read.cluster.device_types)


def test_the_laptop_plan_is_asymmetric() -> None:
    plan = solve(spec("laptop"))
    sizes = sorted((stage.tp, stage.layers[1] - stage.layers[0]) for stage in plan.stages)
    assert sizes == [(1, 2), (1, 2), (2, 4)]
    assert check_plan(plan) == ()


@pytest.mark.slow
def test_single_gpu_machines_on_a_quick_network_answer_sooner_when_joined() -> None:
    joined = spec("four-single-a100s")
    limits = joined.cluster.limits.model_copy(update={"join": ()})
    apart = replace(joined, cluster=joined.cluster.model_copy(update={"limits": limits}))
    plans = [solve(one, SolveOptions(time_limit_s=20)) for one in (joined, apart)]
    assert [check_plan(plan) for plan in plans] == [(), ()]
    assert [[stage.tp for stage in plan.stages] for plan in plans] == [[4], [1, 1, 1, 1]]
    token_s, token_apart_s = (plan.predicted.tpot_s for plan in plans)
    assert token_s is not None
    assert token_apart_s is not None
    assert token_s < token_apart_s / 2
