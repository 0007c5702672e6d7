"""Write Llamas with random weights, of sizes whose speed says something about larger ones.

    python benchmarks/random_llamas.py FOLDER [SIZE ...]

No weight's value changes the time of a step.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SIZES: Final[dict[str, dict[str, Any]]] = {
    "28M": {
        "hidden_size": 512,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "intermediate_size": 1408,
        "vocab_size": 8192,
        "tie_word_embeddings": True,
    },
    "125M": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "intermediate_size": 2048,
        "vocab_size": 32000,
    },
    "495M": {
        "hidden_size": 1280,
        "num_hidden_layers": 24,
        "num_attention_heads": 20,
        "num_key_value_heads": 4,
        "intermediate_size": 3456,
        "vocab_size": 32000,
    },
}
_SHARED: Final[dict[str, Any]] = {
    "max_position_embeddings": 4096,
    "bos_token_id": None,
    "eos_token_id": None,
    "initializer_range": 0.05,
}


def make_llama(size: str, folder: Path) -> Path:
    """Write a model of this size in 32 bits, unless the folder has it, and return the folder."""
    if not (folder / "config.json").exists():
        write_llama(LlamaConfig(**_SHARED, **SIZES[size], dtype="float32"), folder)
    return folder


def write_llama(config: LlamaConfig, folder: Path) -> None:
    """Write a model with random weights, the same ones each time."""
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)


def main() -> None:
    """Write the asked sizes, each into its own folder."""
    parser = argparse.ArgumentParser(description="Write Llamas with random weights.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("sizes", nargs="*", default=list(SIZES), help=f"of {', '.join(SIZES)}")
    arguments = parser.parse_args()
    for size in arguments.sizes:
        print(make_llama(size, arguments.folder / size))


if __name__ == "__main__":
    main()
