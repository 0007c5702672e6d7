"""Overlays: measured figures beside a cluster.yaml; the policy and the trunk of a rule stay."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from support.shell import Shell

from hexplan.check import check_plan
from hexplan.cluster import COORDINATOR, Cluster, Link
from hexplan.errors import InputError, SpecError
from hexplan.files.yaml_reader import read_yaml
from hexplan.plan_file import read_plan
from hexplan.reading import read_spec
from hexplan.reading.schema import schema_json
from hexplan_solver import SolveOptions, solve

SPEC = """\
version: 1
name: measured
model: llama-2-7b
workload: {prompt_tokens: {mean: 512, max: 1024}, output_tokens: 128}
hosts:
  - {name: "a-[0-1]", site: east, devices: L4, nic: 10Gbps}
  - {name: b, site: west, devices: 2 x L4, interconnect: pcie4, nic: 10Gbps}
coordinator: {site: east, nic: 10Gbps}
links:
  - {within: east, bandwidth: 10Gbps, latency: 0.1ms}
  - {between: [east, west], bandwidth: 1Gbps, latency: 5ms, trunk: 2Gbps, allow: tokens}
  - {from: a-1, to: b, bandwidth: 3Gbps, latency: 1ms, trunk: 2Gbps, allow: tokens}
"""
HEAD = "version: 1\noverlay: by hand\n"
GBIT = 125_000_000


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(SPEC)
    return path


def overlay(folder: Path, *lines: str, name: str = "overlay.yaml") -> Path:
    path = folder / name
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines))
    return path


def link(source: str, target: str, gbps: str = "0.5", latency: str = "7ms") -> str:
    return f"  - {{from: {source}, to: {target}, bandwidth: {gbps}Gbps, latency: {latency}}}"


def overlaid(spec_file: Path, *lines: str) -> Cluster:
    return read_spec(spec_file, [overlay(spec_file.parent, *lines)]).cluster


def test_a_pair_of_a_site_rule_gets_a_rule_under_it(spec_file: Path) -> None:
    before = read_spec(spec_file).cluster
    cluster = overlaid(spec_file, "links:", link("a-0", "b"))
    rule = Link(
        source="a-0",
        target="b",
        bandwidth_bytes_per_s=GBIT // 2,
        latency_s=Decimal("0.007"),
        under=("east", "west"),
    )
    assert cluster.links == (*before.links, rule)
    over = cluster.over(rule)
    assert (over.trunk_bytes_per_s, over.allow) == (2 * GBIT, "tokens")
    assert cluster.link("a-0", "b") is None  # activations are as forbidden as before
    assert cluster.rule("b", "a-0") == before.rule("b", "a-0")  # the other way is as it was


def test_a_rule_that_the_file_has_for_the_pair_keeps_all_but_its_figures(spec_file: Path) -> None:
    cluster = overlaid(spec_file, "links:", link("a-1", "b"))
    assert len(cluster.links) == len(read_spec(spec_file).cluster.links)
    rule = cluster.rule("a-1", "b")
    assert rule is not None
    assert (rule.bandwidth_bytes_per_s, rule.latency_s) == (GBIT // 2, Decimal("0.007"))
    assert (rule.trunk_bytes_per_s, rule.allow, rule.under) == (2 * GBIT, "tokens", None)


def test_the_coordinator_can_be_an_end(spec_file: Path) -> None:
    cluster = overlaid(spec_file, "links:", link(COORDINATOR, "a-0"), link("b", COORDINATOR))
    for ends in ((COORDINATOR, "a-0"), ("b", COORDINATOR)):
        found = cluster.link(*ends)
        assert found is not None
        assert found.bandwidth_bytes_per_s == GBIT // 2
    assert cluster.link("b", COORDINATOR) == cluster.rule("b", COORDINATOR)


def test_of_two_overlays_the_later_counts_and_the_rule_over_both_stays(spec_file: Path) -> None:
    first = overlay(spec_file.parent, "links:", link("a-0", "b"), link("b", "a-0"))
    second = overlay(spec_file.parent, "links:", link("a-0", "b", "0.9"), name="second.yaml")
    cluster = read_spec(spec_file, [first, second]).cluster
    there, back = cluster.rule("a-0", "b"), cluster.rule("b", "a-0")
    assert there is not None
    assert back is not None
    assert (there.bandwidth_bytes_per_s, there.under) == (9 * GBIT // 10, ("east", "west"))
    assert back.bandwidth_bytes_per_s == GBIT // 2


def test_a_spec_names_its_overlays_and_those_of_the_command_come_after(spec_file: Path) -> None:
    (spec_file.parent / "found").mkdir()
    overlay(spec_file.parent / "found", "links:", link("a-0", "b"), link("b", "a-0"))
    spec_file.write_text(SPEC + "overlays: [found/overlay.yaml]\n")
    later = overlay(spec_file.parent, "links:", link("a-0", "b", "0.9"), name="later.yaml")
    cluster = read_spec(spec_file, [later]).cluster
    figures = [cluster.rule(*ends) for ends in (("a-0", "b"), ("b", "a-0"))]
    assert [rule and rule.bandwidth_bytes_per_s for rule in figures] == [
        9 * GBIT // 10,
        GBIT // 2,
    ]


def test_a_plan_is_made_from_the_measured_figures_and_holds_its_rules(spec_file: Path) -> None:
    spec_file.write_text(SPEC.replace(", allow: tokens", ""))
    pairs = [(a, b) for a in ("a-0", "a-1", "b") for b in ("a-0", "a-1", "b") if a != b]
    lines = [link(*ends, "9", "90ms") for ends in pairs]
    spec = read_spec(spec_file, [overlay(spec_file.parent, "links:", *lines)])
    plan = solve(spec, SolveOptions(time_limit_s=2))
    assert check_plan(plan) == ()
    assert {rule.latency_s for rule in plan.cluster.links if rule.under} == {Decimal("0.09")}


def test_memory_in_use_makes_types_of_its_own_for_the_devices_of_a_host(spec_file: Path) -> None:
    lines = ["hosts:", "  - {name: a-0, in_use: [0GiB]}", "  - {name: b, in_use: [1.5GiB, 0B]}"]
    before, after = read_spec(spec_file).cluster, overlaid(spec_file, *lines)
    own = before.host_by_name["b"].devices
    shared = f"{own[0]} (1536 MiB in use)"
    assert after.host_by_name["b"].devices == (shared, own[1])
    assert after.host_by_name["a-0"] == before.host_by_name["a-0"]
    device = after.device_type_by_name[shared]
    assert (device.in_use_bytes, device.profile_name) == (3 * 2**29, own[0])
    assert device.used_in_part(0) == before.device_type_by_name[own[0]]


# Lines of an overlay after its head, the line that is wrong, and what is said about it.
BAD = [
    (["links:", link("a-9", "b")], 4, "links[0].from: found 'a-9', needed a host of the cluster"),
    (["links:", link("a-0", "east")], 4, "links[0].to: found 'east', needed a host of the cluster"),
    (["links:", link("a-0", "b"), link("a-0", "b")], 5, "'a-0' to 'b', first at line 4"),
    (["links:", link("b", "b")], 4, "links[0]: found a link from 'b' to 'b', which nothing connec"),
    (["links:", link("'a-[0-1]'", "b")], 4, "links[0].from: found 'a-[0-1]', needed a name"),
    (["links:", link("a-0", "b", "-1")], 4, "links[0].bandwidth: found '-1Gbps'"),
    (["links:", link("a-0", "b", latency="7")], 4, "links[0].latency: found 7, needed a time"),
    (["links:", "  - {from: a-0, to: b, bandwidth: 1Gbps}"], 4, "field `latency` is missing"),
    (["links:", "  - {within: east, bandwidth: 1Gbps, latency: 1ms}"], 4, "within: unknown field"),
    (["hosts:", "  - {name: c, in_use: [0B]}"], 4, "hosts[0].name: found 'c', needed a host"),
    (["hosts:", "  - {name: b, in_use: [0B]}"], 4, "found 1 amounts, needed 2, one per device"),
    (["hosts:", "  - {name: b, in_use: [0B, 99GiB]}"], 4, "in_use[1]: found 106300440576 bytes in"),
    (["hosts:", "  - {name: a-0, in_use: [0]}"], 4, "in_use[0]: found 0, needed an amount of mem"),
    (["hosts:", "  - {name: a-0, in_use: [8Gb]}"], 4, "`Gb` counts bits, and memory is in bytes"),
    (["hosts:", *["  - {name: a-0, in_use: [0B]}"] * 2], 5, "host 'a-0' again, first at line 4"),
    (["hosts: []", "speed: 7"], 4, "speed: unknown field"),
]


@pytest.mark.parametrize(("lines", "line", "phrase"), BAD, ids=[row[2] for row in BAD])
def test_a_wrong_overlay_is_refused_with_its_line(
    spec_file: Path, lines: list[str], line: int, phrase: str
) -> None:
    file = overlay(spec_file.parent, *lines)
    with pytest.raises(SpecError) as caught:
        read_spec(spec_file, [file])
    assert caught.value.message.startswith(f"{file}:{line}: ")
    assert phrase in caught.value.message


def test_a_newer_overlay_is_refused(spec_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text("version: 2\noverlay: x\n")
    with pytest.raises(SpecError, match="new.yaml:1: version: found 2, needed 1"):
        read_spec(spec_file, [file])


def test_a_missing_overlay_is_reported_where_it_is_named(spec_file: Path) -> None:
    spec_file.write_text(SPEC + "overlays: [nowhere.yaml]\n")
    with pytest.raises(SpecError, match=r"cluster.yaml:13: overlays\[0\]: .*cannot read it"):
        read_spec(spec_file)
    spec_file.write_text(SPEC)
    with pytest.raises(InputError, match=r"^/nowhere.yaml: cannot read it"):
        read_spec(spec_file, [Path("/nowhere.yaml")])


def test_a_pair_that_the_spec_does_not_connect_stays_unconnected(spec_file: Path) -> None:
    spec_file.write_text(SPEC.replace("  - {between: [east, west]", "  - {from: west, to: east"))
    with pytest.raises(SpecError, match="'a-0' to 'b', which nothing connects") as caught:
        overlaid(spec_file, "links:", link("a-0", "b"))
    assert "connect them by a rule in the cluster file" in (caught.value.hint or "")


def test_overlays_fit_their_schema_and_the_schema_refuses_what_the_reader_does(
    tmp_path: Path,
) -> None:
    schema = Draft202012Validator(json.loads(schema_json("overlay")))
    good = overlay(tmp_path, "links:", link("a-0", "b"), "hosts: [{name: b, in_use: [0GiB, 1MB]}]")
    schema.validate(read_yaml(good).data)
    for line in ("links: [{from: a, to: b}]", "hosts: [{name: b, in_use: []}]", "more: 1"):
        assert not schema.is_valid(read_yaml(overlay(tmp_path, line)).data)


def test_solve_and_replan_take_overlays(hexplan: Shell, spec_file: Path, tmp_path: Path) -> None:
    file, plan = overlay(tmp_path, "links:", link("a-0", "a-1", "7")), tmp_path / "plan.json"
    options = ("--overlay", file, "-q", "--time-limit", "1s", "-o")
    replan = ("replan", plan, "--spec", spec_file)
    commands = {plan: ("solve", spec_file), tmp_path / "new.json": replan}
    for path, words in commands.items():
        ran = hexplan(*words, *options, path)
        assert ran.code == 0, ran.err
        made = read_plan(path)
        assert check_plan(made) == ()
        found = made.cluster.link("a-0", "a-1")
        assert found is not None
        assert found.bandwidth_bytes_per_s == 7 * GBIT
    ran = hexplan("replan", plan, "--without", "b", "--overlay", file)
    assert ran.code == 2
    assert "--overlay: found it without --spec" in ran.err
