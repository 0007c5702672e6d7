"""Findings held against the spec, in numbers, in words, and as an overlay."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.specs import spec_of

from hexplan.catalog.driver_names import CATALOG_NAMES, catalog_name
from hexplan.catalog.shipped import find_device, known_devices
from hexplan.cluster import Cluster
from hexplan.errors import InputError
from hexplan.measured.comparison import Comparison, Counts, compare
from hexplan.measured.findings import Accelerator, Findings, HostFinding, Inventory, LinkFinding
from hexplan.measured.overlay_file import check_target, overlay_text, write_overlay
from hexplan.reading import read_spec
from hexplan.render import probe_json, probe_text

GIB = 2**30
GBIT = 125_000_000
SPEC = """\
version: 1
name: three
model: llama-2-7b
workload: {prompt_tokens: {mean: 512, max: 1024}, output_tokens: 128}
devices: {core: {kind: cpu, memory: 2GiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
hosts:
  - {name: gpu, site: lab, devices: 2 x L4, interconnect: pcie4, nic: 10Gbps}
  - {name: "true", site: lab, devices: L4, nic: {in: 10Gbps, out: 0.5Gbps}}
  - {name: cpu.1, site: far, devices: 2 x core, interconnect: pcie4, nic: 10Gbps}
coordinator: {site: lab, nic: 10Gbps}
links:
  - {within: lab, bandwidth: 1Gbps, latency: 0.2ms}
  - {between: [lab, far], bandwidth: 1Gbps, latency: 20ms, trunk: 0.8Gbps}
"""
L4_BYTES = 23034 * 2**20


def cluster() -> Cluster:
    return spec_of(SPEC).cluster


def machine(*accelerators: Accelerator, cores: int = 8, free_gib: float = 100) -> Inventory:
    return Inventory(
        processor="Some CPU",
        cores=cores,
        memory_bytes=128 * GIB,
        free_bytes=int(free_gib * GIB),
        accelerators=accelerators,
        python="3.11.9",
        torch="2.13.0",
        hexplan="0.1.0",
    )


def device(name: str = "NVIDIA L4", used_gib: float = 0, memory: int = L4_BYTES) -> Accelerator:
    used = int(used_gib * GIB)
    return Accelerator(name=name, kind="cuda", memory_bytes=memory, free_bytes=memory - used)


def measured(
    source: str, target: str, gbps: float = 1.0, latency_s: float = 0.0002, spread: float = 0.1
) -> LinkFinding:
    return LinkFinding(
        source=source,
        target=target,
        latency_s=latency_s,
        latency_spread=spread,
        bandwidth_bytes_per_s=int(gbps * GBIT),
    )


def findings(
    *links: LinkFinding, hosts: tuple[HostFinding, ...] = (), num_links: int | None = None
) -> Findings:
    return Findings(
        is_one_machine=False,
        hosts=hosts,
        links=links,
        num_links=len(links) if num_links is None else num_links,
        torch="2.13.0",
        hexplan="0.1.0",
    )


def of_host(name: str, found: Inventory | None, problem: str | None = None) -> Comparison:
    return compare(
        cluster(), findings(hosts=(HostFinding(host=name, machine=found, problem=problem),))
    )


# A link, what was found of it, what the spec lets it expect, and what is worse.
LINKS = [
    (("gpu", "true"), (1.0, 0.0002), (1.0, 0.0002), ""),
    (("gpu", "true"), (0.81, 0.0002), (1.0, 0.0002), ""),
    (("gpu", "true"), (0.79, 0.0002), (1.0, 0.0002), "slow"),
    (("gpu", "true"), (5.0, 0.00031), (1.0, 0.0002), "late"),
    (("gpu", "true"), (1.0, 0.00029), (1.0, 0.0002), ""),  # less than 0.1 ms over it
    (("gpu", "cpu.1"), (0.8, 0.025), (0.8, 0.02), ""),  # the trunk is narrower than the link
    (("gpu", "cpu.1"), (0.6, 0.031), (0.8, 0.02), "slow late"),
    (("true", "gpu"), (0.5, 0.0002), (0.5, 0.0002), ""),  # the card sends no more
    (("coordinator", "true"), (0.9, 0.0001), (1.0, 0.0002), ""),
]


@pytest.mark.parametrize(("ends", "found", "spec", "worse"), LINKS)
def test_a_link_is_held_against_what_the_spec_lets_it_expect(
    ends: tuple[str, str], found: tuple[float, float], spec: tuple[float, float], worse: str
) -> None:
    (link,) = compare(cluster(), findings(measured(*ends, *found))).links
    assert link.spec_bandwidth_bytes_per_s == int(spec[0] * GBIT)
    assert link.spec_latency_s == spec[1]
    assert link.bandwidth_ratio == pytest.approx(found[0] / spec[0])
    assert link.latency_ratio == pytest.approx(found[1] / spec[1])
    assert (link.is_slow, link.is_late) == ("slow" in worse, "late" in worse)


# A host, its machine, and what is said to differ.
HOSTS = [
    ("gpu", machine(device(), device()), []),
    ("gpu", machine(device()), ["1 accelerator found, 2 in the spec"]),
    ("gpu", machine(), ["0 accelerators found, 2 in the spec"]),
    (
        "gpu",
        machine(device("NVIDIA A10", memory=24 * GIB), device()),
        ["device 0 is A10, and L4 in the spec"],
    ),
    (
        "gpu",
        machine(device("Some GPU", memory=16 * GIB), device()),
        ["device 0 (Some GPU) has 16.0 GiB, 22.5 GiB in the spec"],
    ),
    ("gpu", machine(device("Some GPU"), device()), []),  # unknown, and as large
    (
        "gpu",
        machine(device(), device(used_gib=4)),
        ["device 1: 3.5 GiB are in use; 18.5 GiB are free of the 20.2 GiB to plan with"],
    ),
    ("gpu", machine(device(), device(used_gib=2)), []),
    ("cpu.1", machine(), []),
    ("cpu.1", machine(device()), []),  # an accelerator that nobody plans with
    ("cpu.1", machine(cores=1), ["1 core for 2 CPU devices"]),
    ("cpu.1", machine(free_gib=3), ["3.0 GiB are free of the 3.6 GiB to plan with"]),
    (
        "cpu.1",
        machine().model_copy(update={"torch": "2.12.0"}),
        ["torch 2.12.0, and 2.13.0 on this machine"],
    ),
]


@pytest.mark.parametrize(("name", "found", "differences"), HOSTS)
def test_a_host_is_held_against_its_devices(
    name: str, found: Inventory, differences: list[str]
) -> None:
    (host,) = of_host(name, found).hosts
    assert list(host.differences) == differences


def test_memory_in_use_is_stated_where_the_devices_are_those_of_the_spec() -> None:
    def in_use(name: str, *devices: Accelerator) -> tuple[int, ...] | None:
        return of_host(name, machine(*devices)).hosts[0].in_use_bytes

    # What driver and framework take, 512 MiB, is theirs in a plan, too.
    assert in_use("gpu", device(used_gib=1.5), device()) == (GIB, 0)
    assert in_use("gpu", device(used_gib=0.4), device(used_gib=0.51)) == (0, GIB // 16)
    assert in_use("gpu", device()) is None
    assert in_use("cpu.1") is None
    large = device(memory=48 * GIB, used_gib=40)  # more than the spec's device has at all
    assert in_use("true", large) == (L4_BYTES,)


def test_what_is_unreachable_or_worse_is_counted() -> None:
    lost = HostFinding(host="true", problem="its agent ended")
    seen = HostFinding(host="gpu", machine=machine())
    links = (
        measured("gpu", "true", 0.1),
        LinkFinding(source="true", target="gpu", problem="no connection"),
    )
    comparison = compare(cluster(), findings(*links, hosts=(lost, seen)))
    assert comparison.unreachable == Counts(hosts=1, links=1)
    assert comparison.different == Counts(hosts=1, links=1)


@pytest.mark.parametrize("driver_name", CATALOG_NAMES)
def test_each_driver_name_stands_for_a_device_of_the_catalog(driver_name: str) -> None:
    assert CATALOG_NAMES[driver_name] in known_devices()
    assert catalog_name(f"NVIDIA {driver_name}") == catalog_name(driver_name)


def test_an_unknown_driver_name_stands_for_nothing() -> None:
    assert catalog_name("NVIDIA Z9000") is None
    assert find_device("L4") is not None


figures = st.tuples(st.integers(1000, 10**13), st.floats(1e-7, 10))


@given(st.lists(figures, min_size=2, max_size=2), st.integers(0, L4_BYTES))
def test_an_overlay_reads_back_as_what_was_measured(
    both: list[tuple[int, float]], used_bytes: int
) -> None:
    ends = [("gpu", "true"), ("cpu.1", "coordinator")]
    links = [
        LinkFinding(
            source=a, target=b, latency_s=late, latency_spread=0.0, bandwidth_bytes_per_s=rate
        )
        for (a, b), (rate, late) in zip(ends, both, strict=True)
    ]
    found = Accelerator(
        name="NVIDIA L4", kind="cuda", memory_bytes=L4_BYTES, free_bytes=L4_BYTES - used_bytes
    )
    hosts = (HostFinding(host="true", machine=machine(found)),)
    text = overlay_text(compare(cluster(), findings(*links, hosts=hosts)), "by hand: #1")
    read = parse_with_overlay(text)
    for (a, b), (rate, late) in zip(ends, both, strict=True):
        rule = read.rule(a, b)
        assert rule is not None
        assert rule.bandwidth_bytes_per_s == pytest.approx(rate, rel=1e-3, abs=1)
        assert float(rule.latency_s) == pytest.approx(late, rel=1e-3)
        assert rule.under is not None
    assert '{name: "true", in_use: [' in text


def parse_with_overlay(text: str) -> Cluster:
    with TemporaryDirectory() as folder:
        spec, overlay = Path(folder, "cluster.yaml"), Path(folder, "overlay.yaml")
        spec.write_text(SPEC)
        overlay.write_text(text)
        return read_spec(spec, [overlay]).cluster


def test_an_overlay_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    lost = LinkFinding(source="true", target="gpu", problem="no connection")
    comparison = compare(cluster(), findings(measured("gpu", "true", 0.94), lost))
    write_overlay(comparison, "probe of cluster.yaml, 2026-11-25", tmp_path / "overlay.yaml")
    assert (tmp_path / "overlay.yaml").read_text() == (
        "version: 1\n"
        "overlay: probe of cluster.yaml, 2026-11-25\n"
        "links:\n"
        '- {from: gpu, to: "true", bandwidth: 940Mbps, latency: 0.2ms}\n'
    )


def test_only_an_older_overlay_may_be_overwritten_and_never_the_spec(tmp_path: Path) -> None:
    spec, other = tmp_path / "cluster.yaml", tmp_path / "notes.txt"
    spec.write_text(SPEC + "overlays: []\n")
    other.write_text("not: [yaml\n")
    (tmp_path / "link.yaml").symlink_to(spec)
    older = tmp_path / "overlay.yaml"
    older.write_text("version: 1\noverlay: older\n")
    check_target(tmp_path / "new.yaml", spec, may_overwrite=False)
    check_target(older, spec, may_overwrite=True)
    refused = [
        (older, False, "which is an overlay already"),
        (spec, True, "which is the spec, and probe never changes a spec"),
        (tmp_path / "link.yaml", True, "which is the spec"),
        (other, True, "which is a file, but no overlay"),
        (tmp_path, True, "needed a file"),
        (tmp_path / "no" / "new.yaml", False, f"but there is no folder {tmp_path / 'no'}"),
        (Path("-"), True, "found -, needed a file"),
    ]
    for path, may_overwrite, phrase in refused:
        with pytest.raises(InputError, match="--output: found") as caught:
            check_target(path, spec, may_overwrite=may_overwrite)
        assert phrase in caught.value.message


def everything() -> Comparison:
    hosts = (
        HostFinding(host="gpu", machine=machine(device(used_gib=1.2), device())),
        HostFinding(host="true", problem="its agent ended: ssh: \x1b[31mConnection refused"),
        HostFinding(host="cpu.1", machine=machine(cores=1)),
    )
    links = [
        measured("gpu", "cpu.1", 0.7, 0.02),
        measured("cpu.1", "gpu", 0.2, 0.05, 0.34),
        measured("coordinator", "gpu", 0.94),
    ]
    links += [
        LinkFinding(source="true", target=end, problem="true: its agent ended")
        for end in ("gpu", "cpu.1", "coordinator", "gpu", "cpu.1")
    ]
    return compare(cluster(), findings(*links, hosts=hosts, num_links=12))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_of_a_probe_is_wider_than_the_terminal_and_every_width_tells_the_same(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = probe_text(everything()).splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for fact in (
        "three: 3 hosts, 1 unreachable, 1 unlike the spec",
        "3 of 12 links measured: 1 worse than the spec (*), 5 unreachable",
        "true > gpu, true > cpu.1, true > coordinator, true > gpu and 1 more: unreachable",
        "200 Mbps",
        "25 %*",
        "2.50x*",
        "spreads by at most 34 % (cpu.1 > gpu)",
        "* worse: less than 80 % of the spec's bandwidth; or more than 1.5 times its latency,",
        "2 x L4, 1.2 GiB + 0 B in use; 8 cores (Some CPU), 28.0 GiB of 128.0 GiB in use",
        "cpu.1, unlike the spec: 1 core for 2 CPU devices",
    ):
        assert fact in text


def test_the_worst_link_comes_first_and_no_text_drives_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = probe_text(everything())
    assert "\x1b" not in text
    rows = [line for line in text.splitlines() if "bps" in line]
    assert [row.split("  ")[0] for row in rows] == [
        "cpu.1 > gpu",
        "gpu > cpu.1",
        "coordinator > gpu",
    ]


def test_many_links_that_are_no_worse_are_counted_instead() -> None:
    links = [measured("gpu", "true", 2.0)] * 50 + [measured("true", "gpu", 0.1)]
    text = probe_text(compare(cluster(), findings(*links)))
    assert text.count("gpu > true  ") == 40
    assert "and 10 more that are no worse; `--json` lists them all" in text
    assert text.count("true > gpu  ") == 1


def test_one_machine_is_told_once_and_said_to_be_one() -> None:
    hosts = tuple(HostFinding(host=name, machine=machine()) for name in ("gpu", "true"))
    found = findings(hosts=hosts).model_copy(update={"is_one_machine": True})
    text = probe_text(compare(cluster(), found))
    assert "all figures are those of this machine's own loopback" in " ".join(text.split())
    assert text.count("Some CPU") == 1


def test_the_json_holds_findings_spec_and_verdict() -> None:
    data = json.loads(probe_json(everything()))
    link = data["links"][1]
    assert link["found"]["bandwidth_bytes_per_s"] == GBIT // 5
    assert link["spec_bandwidth_bytes_per_s"] == int(Decimal("0.8") * GBIT)
    assert link["is_slow"] is True
    assert data["hosts"][2]["differences"] == ["1 core for 2 CPU devices"]
    assert Comparison.model_validate_json(probe_json(everything())) == everything()
