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
