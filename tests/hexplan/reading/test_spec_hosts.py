from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from support.specs import TWO_NODES, spec_of, two_nodes

from hexplan import catalog
from hexplan.catalog.shipped import find_device, known_devices
from hexplan.host import Interconnect

DATA = Path(catalog.__file__).parent / "data"


def names_of(name: str) -> list[str]:
    return [host.name for host in spec_of(two_nodes("name: small", name)).cluster.hosts[1:]]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name: a-[0-3]", ["a-0", "a-1", "a-2", "a-3"]),
        ("name: a-[08-11]", ["a-08", "a-09", "a-10", "a-11"]),
        ("name: a-[9-11]", ["a-9", "a-10", "a-11"]),
        ("name: a[7-7].lab2", ["a7.lab2"]),
        ("name: '[0-1]'", ["0", "1"]),
    ],
)
def test_a_range_of_names_makes_as_many_hosts(text: str, names: list[str]) -> None:
    assert names_of(text) == names


def test_a_range_of_addresses_follows_the_range_of_names() -> None:
    spec = spec_of(two_nodes("name: small", "name: a-[0-1]\n    address: 10.0.0.[4-5]"))
    assert [host.address for host in spec.cluster.hosts] == [None, "10.0.0.4", "10.0.0.5"]


@pytest.mark.parametrize("address", ["127.0.0.1", "gpu.example.com", "'fd00::1'", "'::1'"])
def test_several_hosts_may_share_an_address(address: str) -> None:
    spec = spec_of(two_nodes("name: small", f"name: a-[0-1]\n    address: {address}"))
    assert [host.address for host in spec.cluster.hosts[1:]] == [address.strip("'")] * 2


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("L4", ("L4",)),
        ("1 x L4", ("L4",)),
        ("3xL4", ("L4",) * 3),
        ("[2 x L4, T4]", ("L4", "L4", "T4")),
        ("4090", ("RTX-4090",)),
        ("h100", ("H100-SXM",)),
    ],
)
def test_devices_are_listed_one_by_one_under_their_catalog_names(
    text: str, devices: tuple[str, ...]
) -> None:
    quoted = text if text.startswith("[") else f'"{text}"'
    spec = spec_of(two_nodes("devices: L4", f"devices: {quoted}\n    interconnect: pcie4"))
    assert spec.cluster.hosts[1].devices == devices


@pytest.mark.parametrize("name", known_devices())
def test_every_device_of_the_catalog_can_be_written(name: str) -> None:
    assert spec_of(two_nodes("devices: L4", f"devices: {name}")).cluster.hosts[1].devices == (name,)


@pytest.mark.parametrize(
    "text",
    ["2 x NVIDIA GeForce RTX 4090", "2x GeForce RTX 4090", "[NVIDIA GeForce RTX 4090, RTX-4090]"],
)
def test_devices_may_be_called_as_their_driver_calls_them(text: str) -> None:
    new = f"devices: {text}\n    interconnect: pcie4"
    assert spec_of(two_nodes("devices: L4", new)).cluster.hosts[1].devices == ("RTX-4090",) * 2


def test_the_file_can_change_a_device_by_its_drivers_name() -> None:
    text = two_nodes("devices: L4", "devices: RTX-4090")
    text += "devices: {NVIDIA GeForce RTX 4090: {memory: 48GiB, int8_compute: 500 TFLOP/s}}\n"
    device = spec_of(text).cluster.device_type_by_name["RTX-4090"]
    assert (device.memory_bytes, device.int8_ops_per_s) == (48 * 2**30, 500 * 10**12)


def test_the_file_can_change_single_figures_of_a_device() -> None:
    cluster = spec_of(f"{TWO_NODES}devices: {{L4: {{memory: 20GiB}}}}\n").cluster
    listed = find_device("L4")
    assert listed is not None
    changed = cluster.device_type_by_name["L4"]
    assert changed.memory_bytes == 20 * 2**30
    assert changed.compute_flops_per_s == listed.compute_flops_per_s
    assert changed.origin == f"{listed.origin}; the cluster file gives memory"


def test_a_change_under_an_alias_reaches_the_device() -> None:
    text = two_nodes("devices: L4", 'devices: "H100"') + "devices: {H100-SXM: {memory: 70GiB}}\n"
    assert spec_of(text).cluster.device_type_by_name["H100-SXM"].memory_bytes == 70 * 2**30


def test_the_file_can_describe_a_new_device() -> None:
    text = two_nodes("devices: L4", "devices: cpu") + (
        "devices: {cpu: {kind: cpu, memory: 2GiB, memory_bandwidth: 20GB/s,"
        " compute: 100 GFLOP/s}}\n"
    )
    device = spec_of(text).cluster.device_type_by_name["cpu"]
    assert device.kind == "cpu"
    assert device.memory_bytes == 2 * 2**30
    assert device.memory_bandwidth_bytes_per_s == 20 * 10**9
    assert device.compute_flops_per_s == 10**11
    assert device.origin == "given in the cluster file"


def test_described_devices_that_no_host_uses_stay_out() -> None:
    cluster = spec_of(f"{TWO_NODES}devices: {{T4: {{memory: 15GiB}}}}\n").cluster
    assert [device.name for device in cluster.device_types] == ["A100-80GB-SXM", "L4"]


@pytest.mark.parametrize(
    ("devices", "text", "kind", "gigabytes_per_s"),
    [
        ("2 x V100-32GB", "nvlink", "nvlink2", 150),
        ("2 x A800", "nvlink", "nvlink3", 200),  # half of its 400 GB/s
        ("2 x A40", "nvlink", "nvlink3", 56.25),  # a bridge joins two
        ("8 x H100", "nvlink", "nvlink4", 450),
        ("2 x L4", "nvlink2", "nvlink2", 150),
        ("2 x L4", "nvlink3", "nvlink3", 300),
        ("2 x L4", "nvlink4", "nvlink4", 450),
        ("2 x L4", "nvlink5", "nvlink5", 900),
        ("2 x L4", "pcie3", "pcie3", 15.75),
        ("2 x L4", "pcie4", "pcie4", 31.5),
        ("2 x L4", "pcie5", "pcie5", 63),
        ("2 x L4", "pcie6", "pcie6", 121),
        ("2 x L4", "pcie3x1", "pcie3", 15.75 / 16),
        ("2 x L4", "pcie4x8", "pcie4", 31.5 / 2),
        ("2 x L4", "thunderbolt3", "thunderbolt3", 2.75),
        ("2 x L4", "thunderbolt5", "thunderbolt5", 7.88),
    ],
)
def test_an_interconnect_reaches_the_measured_share_of_its_datasheet(
    devices: str, text: str, kind: str, gigabytes_per_s: float
) -> None:
    rows = json.loads((DATA / "interconnects.json").read_text())["kinds"]
    (row,) = (row for row in rows if row["name"] == kind)
    new = f"devices: {devices}\n    interconnect: {text}"
    found = spec_of(two_nodes("devices: L4", new)).cluster.hosts[1].interconnect
    assert found is not None
    assert found.bandwidth_bytes_per_s == pytest.approx(gigabytes_per_s * 1e9 * row["share"])
    assert float(found.latency_s) == pytest.approx(row["latency_us"] * 1e-6)
    assert float(found.device_latency_s) == pytest.approx(row["device_latency_us"] * 1e-6)
    assert (float(found.contention), float(found.error)) == (row["contention"], row["error"])


def test_an_interconnect_with_numbers_is_taken_at_its_word() -> None:
    text = "devices: 2 x L4\n    interconnect: {bandwidth: 300GB/s, latency: 8us}"
    assert spec_of(two_nodes("devices: L4", text)).cluster.hosts[1].interconnect == Interconnect(
        bandwidth_bytes_per_s=300_000_000_000, latency_s=Decimal("0.000008")
    )


def test_one_device_needs_no_interconnect() -> None:
    spec = spec_of(two_nodes("devices: L4", "devices: L4\n    interconnect: pcie4"))
    assert spec.cluster.hosts[1] == spec_of(TWO_NODES).cluster.hosts[1]


def test_a_network_card_may_differ_by_direction() -> None:
    host = spec_of(two_nodes("nic: 25Gbps", "nic: {in: 8Gbps, out: 80Mbps}")).cluster.hosts[0]
    assert (host.nic_in_bytes_per_s, host.nic_out_bytes_per_s) == (10**9, 10**7)
