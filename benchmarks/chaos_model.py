"""The tiniest plan that has a route left when any of its stages but the first dies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from serve_process import AUSTEN

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve

_LAYERS: Final = 4
_SIZES: Final = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 8,
    "dtype": "float32",
    "tie_word_embeddings": False,
}
SPEC: Final = """
version: 1
name: chaos
model: {{path: {path}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 16, max: 256}}, output_tokens: {{mean: 64, max: 128}}}}
devices:
  core: {{kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
hosts:
  - {{name: ada, site: desk, devices: core, nic: 1GB/s{0}}}
  - {{name: bob, site: desk, devices: core, nic: 1GB/s{1}}}
  - {{name: cyd, site: desk, devices: core, nic: 1GB/s{2}}}
coordinator: {{site: desk, nic: 1GB/s}}
links: [{{within: desk, bandwidth: 1GB/s, latency: 100us}}]
pin:
  - {{host: ada, layers: [0, 2]}}
  - {{host: bob, layers: [2, 4]}}
  - {{host: cyd, layers: [0, 4]}}
"""


def make_model(folder: Path) -> Path:
    """Write a model with random weights and the tokenizer of austen-3m, and return its folder."""
    folder.mkdir(exist_ok=True)
    config = json.loads((AUSTEN / "config.json").read_text()) | _SIZES
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(AUSTEN / name, folder / name)
    hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    kv = config["num_key_value_heads"] * config["head_dim"]
    shapes = {"model.embed_tokens": (vocab, hidden), "lm_head": (vocab, hidden)}
    norms = ["model.norm"]
    for layer in range(_LAYERS):
        name = f"model.layers.{layer}"
        shapes |= {f"{name}.self_attn.{p}_proj": (hidden, hidden) for p in "qo"}
        shapes |= {f"{name}.self_attn.{p}_proj": (kv, hidden) for p in "kv"}
        shapes |= {f"{name}.mlp.{p}_proj": (ffn, hidden) for p in ("gate", "up")}
        shapes[f"{name}.mlp.down_proj"] = hidden, ffn
        norms += [f"{name}.input_layernorm", f"{name}.post_attention_layernorm"]
    generator = torch.Generator().manual_seed(0)
    weights = {
        f"{name}.weight": torch.randn(shape, generator=generator) * 0.2
        for name, shape in shapes.items()
    }
    weights |= {f"{name}.weight": torch.ones(hidden) for name in norms}
    save_file(weights, folder / "model.safetensors")
    return folder


def make_chaos_plan(folder: Path, addresses: tuple[str, ...] = ()) -> Plan:
    """Return a plan of two routes: after a shared stage, bob's, or the upper half of cyd's.

    Parameters
    ----------
    addresses
        Of its three hosts, which are then machines of their own.
    """
    given = [f", address: {address}" for address in addresses] or ["", "", ""]
    text = SPEC.format(*given, path=folder.resolve())
    return solve(parse_spec(text, folder), SolveOptions(time_limit_s=10.0))
