"""Tiny checkpoints that use every option of the supported families."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from make_tiny_checkpoints import make_config, randomise_vectors
from transformers import AutoModelForCausalLM

YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 128,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
WINDOWED = {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 2}

OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama3": ("llama3", {}),
    "llama-biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-yarn": ("llama", {"rope_parameters": YARN}),
    "llama-linear": ("llama", {"rope_parameters": LINEAR}),
    "mistral": ("mistral", {}),
    "mistral-unwindowed": ("mistral", {"sliding_window": None, "head_dim": 10}),
    "qwen2": ("qwen2", {}),
    "qwen2-windowed": ("qwen2", {**WINDOWED, "layer_types": None}),
    "qwen3": ("qwen3", {}),
    "qwen3-everything": (
        "qwen3",
        {**WINDOWED, "layer_types": None, "attention_bias": True, "tie_word_embeddings": True},
    ),
}


FOUR_HEADS = {
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "hidden_size": 64,
    "intermediate_size": 97,
}
"""For teams of four: 4 KV heads, and channels of which one device has one more than others."""


TWO_HEADS = {**FOUR_HEADS, "num_key_value_heads": 2}
"""For teams of four that hold each of 2 KV heads twice."""


def make_option(name: str, folder: Path, sizes: Mapping[str, int] | None = None) -> Path:
    """Write a checkpoint of one family with some options changed, and return its folder."""
    family, changes = OPTIONS[name]
    start = make_config(family)
    config = type(start)(**{**start.to_dict(), **(sizes or {}), **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(config)
        randomise_vectors(model)
    model.save_pretrained(folder)
    return folder
