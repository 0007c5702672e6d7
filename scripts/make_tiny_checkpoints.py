"""Write tiny random-weight Hugging Face checkpoints, one of each supported model family.

Usage: ``python scripts/make_tiny_checkpoints.py FOLDER [FAMILY ...]``
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

SHARED: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": None,
    "dtype": "float32",
}
LLAMA3_ROPE: dict[str, Any] = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# What each family changes: "llama3" is the tied one with scaled rotary frequencies and without
# grouped queries, "qwen3" has heads wider than hidden size / heads.
FAMILIES: dict[str, tuple[type[PreTrainedConfig], dict[str, Any]]] = {
    "llama": (LlamaConfig, {"vocab_size": 256}),
    "llama3": (
        LlamaConfig,
        {
            "vocab_size": 320,
            "num_key_value_heads": 6,
            "tie_word_embeddings": True,
            "rope_parameters": LLAMA3_ROPE,
        },
    ),
    "qwen2": (Qwen2Config, {"vocab_size": 288, "hidden_size": 60}),
    "qwen3": (Qwen3Config, {"vocab_size": 272, "head_dim": 16}),
    "mistral": (MistralConfig, {"vocab_size": 304, "sliding_window": 16}),
}

_GEMMA: dict[str, Any] = {"head_dim": 10, "sliding_window": 16, "query_pre_attn_scalar": 7}
OTHER_FAMILIES: dict[str, dict[str, Any]] = {
    "cohere": {"use_qk_norm": True, "logit_scale": 1.0, "tie_word_embeddings": True},
    "cohere2": {
        "logit_scale": 1.0,
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "gemma": {"head_dim": 10, "tie_word_embeddings": True},
    "gemma2": {**_GEMMA, "attn_logit_softcapping": 4.0, "final_logit_softcapping": 3.0},
    "gemma3_text": {**_GEMMA, "layer_types": ["full_attention", *["sliding_attention"] * 3]},
    "gpt_neox": {},
    "granite": {
        "embedding_multiplier": 3.0,
        "attention_multiplier": 0.3,
        "residual_multiplier": 0.5,
        "logits_scaling": 2.0,
    },
    "mixtral": {"num_local_experts": 4, "sliding_window": 16},
    "olmo": {"clip_qkv": 2.0},
    "olmo2": {},
    "olmo3": {"sliding_window": 16},
    "phi3": {"sliding_window": 16},
    "qwen3_moe": {
        "num_experts": 5,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 40,
        "head_dim": 10,
        "norm_topk_prob": True,
    },
    "smollm3": {"no_rope_layers": [1, 0, 1, 0]},
    "starcoder2": {"sliding_window": 16},
}
"""Families that run through the layers of transformers, and what each changes."""


def make_config(family: str) -> PreTrainedConfig:
    """Return the configuration of a family's tiny model."""
    if family in OTHER_FAMILIES:
        changed = {**SHARED, "vocab_size": 256, "pad_token_id": None, **OTHER_FAMILIES[family]}
        made: PreTrainedConfig = AutoConfig.for_model(family, **changed)
        return made
    kind, changes = FAMILIES[family]
    return kind(**{**SHARED, **changes})


@torch.no_grad()
def randomise_vectors(model: PreTrainedModel) -> None:
    """Give biases and norm weights, which start at nought and one, values worth testing."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.normal_(0.0, 0.3)
        elif parameter.dim() == 1:
            parameter.uniform_(0.5, 1.5)


def make_tiny(family: str, folder: Path, seed: int = 0) -> Path:
    """Write a family's tiny float32 checkpoint into a folder and return the folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(make_config(family))  # type: ignore[no-untyped-call]
        randomise_vectors(model)
    model.save_pretrained(folder)
    return folder


def main(argv: Sequence[str] | None = None) -> None:
    """Write the asked families, all where none is named, each into its own folder."""
    parser = argparse.ArgumentParser(description="Write tiny random-weight checkpoints.")
    parser.add_argument("folder", type=Path)
    known = (*FAMILIES, *OTHER_FAMILIES)
    parser.add_argument("family", nargs="*", help=f"of {', '.join(known)}")
    options = parser.parse_args(argv)
    for family in options.family or known:
        print(make_tiny(family, options.folder / family))


if __name__ == "__main__":
    main()
