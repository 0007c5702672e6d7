"""Small model folders, as Hugging Face lays them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_folder(tmp_path: Path, config: object, name: str = "some-model") -> Path:
    """Write a folder with a config.json: of a mapping, or of a text as it stands."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text, "utf-8")
    return folder


def small(family: str) -> dict[str, Any]:
    """Return a config of 32 heads, which suits the KV heads that each family assumes."""
    return {
        "architectures": [f"{family}ForCausalLM"],
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "head_dim": 16,
        "intermediate_size": 96,
        "vocab_size": 80,
        "max_position_embeddings": 128,
        "torch_dtype": "float16",
    }
