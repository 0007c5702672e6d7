"""A launch of a plan whose longest request only fits with host memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from make_tiny_checkpoints import make_config, randomise_vectors
from support.generating import tokens_of
from support.processes import wait_until
from support.reference import clear_continuations, load_reference
from transformers import AutoModelForCausalLM

from hexplan.check import check_plan
from hexplan.errors import InfeasibleError
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request
from hexplan_solver import SolveOptions, solve

NUM_TOKENS = 12
SPEC = """
version: 1
name: longest
model: {{path: {folder}, dtype: float32}}
workload: {{prompt_tokens: {{mean: 100, max: 7000}}, output_tokens: {{mean: 50, max: 1000}}}}
devices:
  core: {{kind: cpu, memory: {memory}, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
hosts:
  - {{name: here, site: lab, devices: core, nic: 1GB/s, host_memory: 200MB, host_link: 5GB/s}}
coordinator: {{site: lab, nic: 1GB/s}}
links:
  - {{within: lab, bandwidth: 1GB/s, latency: 0.1ms}}
limits: {{time: 5s}}
objective: throughput
techniques: {{kv_offload: {how}, kv_fraction: 1}}
"""


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny model of 24 layers: what is fetched of one is little beside all of them."""
    config = make_config("llama")
    config.update({"num_hidden_layers": 24, "max_position_embeddings": 8192})
    folder = tmp_path_factory.mktemp("deep")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        randomise_vectors(model)
    model.save_pretrained(folder)
    return folder


def planned(folder: Path, how: str, memory: str = "36MB") -> Plan:
    text = SPEC.format(folder=folder, how=how, memory=memory)
    return solve(parse_spec(text, folder / "cluster.yaml"), SolveOptions(effort_s=5))


def test_a_launch_says_what_transformers_says_though_devices_lack_room(deep: Path) -> None:
    with pytest.raises(InfeasibleError):
        planned(deep, "off")
    plan = planned(deep, "on")
    assert check_plan(plan) == ()
    (stage,) = plan.stages
    assert stage.kv_tokens < plan.workload.max_tokens <= stage.room_tokens
    wanted = clear_continuations(load_reference(deep), 3, NUM_TOKENS)
    with Pipeline(plan, deep) as pipeline:
        found = tokens_of(pipeline, [Request(one.prompt_ids, NUM_TOKENS) for one in wanted])
        assert wait_until(lambda: bool(pipeline.core.snapshot().host))
        (told,) = pipeline.core.snapshot().host
    assert told.fetched_bytes >= told.ahead_bytes > 0
    assert found == [one.token_ids for one in wanted]
