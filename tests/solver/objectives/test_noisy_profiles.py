"""Profiles of a busy machine, where a larger step may seem faster than a smaller one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from support.slow import few_are_fast

from hexplan.check import check_plan
from hexplan.reading import read_spec
from hexplan_solver import SolveOptions, solve

AUSTEN = Path(__file__).parents[3] / "models" / "austen-3m"
CLUSTER = f"""\
version: 1
name: measured
model: {{path: {AUSTEN}, dtype: float32}}
workload: {{prompt_tokens: 64, output_tokens: 64}}
profiles: profile.yaml
devices:
  core: {{kind: cpu, memory: 12MiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
hosts:
  - {{name: "core-[0-2]", site: laptop, devices: core, nic: 2GB/s}}
coordinator: {{site: laptop, nic: 2GB/s}}
links:
  - {{within: laptop, bandwidth: 2GB/s, latency: 100us}}
"""


def noisy_profile(seed: int) -> object:
    """Return a profile whose times are off by a factor of up to 3 each way."""
    rng = random.Random(seed)

    def noise() -> float:
        return rng.uniform(1 / 3, 3)

    prefill = [[tokens, 0.001 * tokens**0.7 / 20 * noise()] for tokens in (16, 32, 64, 128)]
    decode = [[batch, 0.0004 * (1 + batch / 40) * noise()] for batch in (1, 8, 64)]
    stage = {
        "device": "core",
        "tp": 1,
        "tokens_per_s": [2000 / layers * noise() for layers in range(1, 7)],
        "prefill_layer_s": prefill,
        "decode_layer_s": decode,
        "error": 0.2,
    }
    return {"version": 1, "model": "austen-3m", "source": "made up", "stages": [stage]}


@pytest.mark.parametrize("seed", few_are_fast(range(6), 2))
def test_a_plan_by_noisy_measurements_passes_its_check(tmp_path: Path, seed: int) -> None:
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(noisy_profile(seed)))
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    plan = solve(read_spec(tmp_path / "cluster.yaml"), SolveOptions(time_limit_s=5))
    assert check_plan(plan) == ()
    assert {stage.speed_origin for stage in plan.stages} == {"measured profile"}
