"""The tiniest plan of two routes that share no stage, so that one is left whatever dies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from random_llamas import write_llama
from serve_process import AUSTEN
from transformers import LlamaConfig

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve

NUM_HOSTS: Final = 3
_SIZES: Final = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 8,
    "dtype": "float32",
    "tie_word_embeddings": False,
    "initializer_range": 0.2,
}
SPEC: Final = """
version: 1
name: chaos
model: {{path: {path}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 16, max: 256}}, output_tokens: {{mean: 64, max: 128}}}}
devices:
  core: {{kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
  fast: {{kind: cpu, memory: 64MiB, memory_bandwidth: 40GB/s, compute: 400 GFLOP/s}}
hosts:
  - {{name: ada, site: desk, devices: core, nic: 1GB/s{0}}}
  - {{name: bob, site: desk, devices: core, nic: 1GB/s{1}}}
  - {{name: cyd, site: desk, devices: fast, nic: 1GB/s{2}}}
coordinator: {{site: desk, nic: 1GB/s}}
links: [{{within: desk, bandwidth: 1GB/s, latency: 100ms}}]
pin:
  - {{host: ada, layers: [0, 2]}}
  - {{host: bob, layers: [2, 4]}}
  - {{host: cyd, layers: [0, 4]}}
"""


def make_model(folder: Path) -> Path:
    """Write a model with random weights and the tokenizer of austen-3m, and return its folder."""
    austen = json.loads((AUSTEN / "config.json").read_text())
    write_llama(LlamaConfig.from_dict(austen | _SIZES), folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(AUSTEN / name, folder / name)
    return folder


def make_chaos_plan(folder: Path, addresses: Sequence[str] = ()) -> Plan:
    """Return a plan of two routes: ada's lower half and bob's upper one, and cyd's whole model.

    Parameters
    ----------
    addresses
        Of its three hosts, which are then machines of their own.
    """
    given = [f", address: {address}" for address in addresses] or [""] * NUM_HOSTS
    text = SPEC.format(*given, path=folder.resolve())
    plan = solve(parse_spec(text, folder), SolveOptions(time_limit_s=10.0))
    used = [{hop.stage for hop in route.hops} for route in plan.routes]
    assert len(used) == 2, used
    assert used[0].isdisjoint(used[1]), used
    return plan
