"""Measured step times in a profile file: read exactly, refused where they cannot be used."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from support.specs import TWO_NODES

from hexplan.cluster import Profile
from hexplan.errors import SpecError
from hexplan.reading import read_spec

ROOT = Path(__file__).parents[3]
HEAD = """version: 1
model: llama-2-7b
source: made up
stages:
  - device: L4
    tp: 1
    tokens_per_s: [100.0, 90.0]
"""


def _read(folder: Path, fields: str) -> Profile:
    lines = [line for line in TWO_NODES.splitlines() if not line.startswith("profiles:")]
    (folder / "cluster.yaml").write_text("\n".join([*lines, "profiles: profile.yaml", ""]))
    (folder / "profile.yaml").write_text(HEAD + fields)
    profiles = read_spec(folder / "cluster.yaml").cluster.profiles
    return profiles[0]


def test_step_times_are_read_as_they_are_written(tmp_path: Path) -> None:
    profile = _read(
        tmp_path,
        "    prefill_layer_s: [[0, 0], [250, 0.0021]]\n"
        "    decode_layer_s: [[2, 0.0014]]\n"
        "    head_s: [[1, 0.002], [8, 0.003]]\n"
        "    step_s: [[1, 0.0004]]\n"
        "    kv_tokens: [1000, 400]\n"
        "    max_prompts: [3, 1]\n"
        "    max_decode_tokens: [64, 32]\n",
    )
    assert profile.prefill_layer_s == ((0, Decimal(0)), (250, Decimal("0.0021")))
    assert profile.decode_layer_s == ((2, Decimal("0.0014")),)
    assert profile.head_s == ((1, Decimal("0.002")), (8, Decimal("0.003")))
    assert profile.step_s == ((1, Decimal("0.0004")),)
    assert (profile.kv_tokens, profile.max_prompts) == ((1000, 400), (3, 1))
    assert profile.max_decode_tokens == (64, 32)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("    prefill_layer_s: [[5, 1], [5, 2]]\n", "do not rise"),  # twice the same tokens
        ("    prefill_layer_s: [[0, 0]]\n", "above 0"),  # nothing but the origin
        ("    decode_layer_s: [[2, 0.1]]\n", "needed both"),  # half of it
        ("    decode_layer_s: [[2, -0.1]]\n", "decode_layer_s"),  # time below 0
        ("    decode_layer_s: [[2, 0.1, 3]]\n", "decode_layer_s"),  # three of two
        ("    head_s: [[2, 0.1]]\n", "needed them too"),  # a head without layers
        ("    step_s: [[2, 0.1]]\n", "needed them too"),  # nor is what is besides
        ("    kv_tokens: [0]\n", "kv_tokens"),  # no room
    ],
)
def test_wrong_step_times_are_refused_with_their_line(
    tmp_path: Path, fields: str, told: str
) -> None:
    with pytest.raises(SpecError) as error:
        _read(tmp_path, fields)
    assert told in str(error.value)
    assert "profile.yaml:" in str(error.value)


def test_the_helix_profiles_have_step_times_for_every_device() -> None:
    for spec in sorted((ROOT / "cluster_specs").glob("helix-*.yaml")):
        for profile in read_spec(spec).cluster.profiles:
            assert profile.prefill_layer_s and profile.decode_layer_s, spec.name
            assert len(profile.kv_tokens) == len(profile.tokens_per_s), spec.name


GIGA = 10**9
ON = "kv_offload: on, host_memory: 64GB"


def _links(
    folder: Path, techniques: str, *, own: str = "", measured: str = "12e9", devices: str = "L4"
) -> tuple[int, int]:
    """Return the links of an A100 and of an L4 from the memory of their hosts; the L4 is measured.

    Parameters
    ----------
    own
        What the host of the L4 states.
    """
    lines = [line for line in TWO_NODES.splitlines() if not line.startswith("profiles:")]
    text = "\n".join([*lines, "profiles: profile.yaml", f"techniques: {{{techniques}}}", ""])
    text = text.replace("    devices: L4\n", f"    devices: {devices}\n{own}")
    (folder / "cluster.yaml").write_text(text)
    figure = f"    host_link_bytes_per_s: {measured}\n" if measured else ""
    (folder / "profile.yaml").write_text(HEAD + figure)
    cluster = read_spec(folder / "cluster.yaml").cluster
    big, small = (cluster.techniques.link_of(host) for host in cluster.hosts)
    return big, small


@pytest.mark.parametrize(
    ("stated", "own", "measured", "links"),
    [
        ("", "", "", (25, 25)),  # the default
        ("", "", "12e9", (25, 12)),  # measured
        (", host_link: 25GB/s", "", "12e9", (25, 25)),  # stated, though as the default
        (", host_link: 9GB/s", "", "12e9", (9, 9)),
        ("", "    host_link: 50GB/s\n", "12e9", (25, 50)),  # its own
        (", host_link: 9GB/s", "    host_link: 50GB/s\n", "12e9", (9, 50)),
    ],
)
def test_a_measured_link_from_host_memory_counts_where_nobody_states_one(
    tmp_path: Path, stated: str, own: str, measured: str, links: tuple[int, int]
) -> None:
    found = _links(tmp_path, ON + stated, own=own, measured=measured)
    assert found == tuple(link * GIGA for link in links)


@pytest.mark.parametrize(("measured", "slowest"), [("12e9", 12), ("90e9", 25)])
def test_the_slowest_link_to_the_devices_of_a_host_counts(
    tmp_path: Path, measured: str, slowest: int
) -> None:
    devices = "[L4, T4]\n    interconnect: pcie4"
    assert _links(tmp_path, ON, measured=measured, devices=devices)[1] == slowest * GIGA


def test_a_measured_link_changes_nothing_of_specs_that_do_not_use_it(tmp_path: Path) -> None:
    _links(tmp_path, "", measured="")
    plain = read_spec(tmp_path / "cluster.yaml").cluster
    _links(tmp_path, "")
    assert read_spec(tmp_path / "cluster.yaml").cluster.sha256 == plain.sha256
