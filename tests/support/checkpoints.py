"""Small checkpoints of a model folder, written by safetensors itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]


def plain(rows: int, columns: int) -> Tensors:
    """Return a matrix in 16 bits."""
    return {"weight": torch.zeros(rows, columns, dtype=torch.float16)}


def fp8(rows: int, columns: int) -> Tensors:
    """Return a matrix in fp8 with one scale, as ModelOpt stores it."""
    return {
        "weight": torch.zeros(rows, columns, dtype=torch.float8_e4m3fn),
        "weight_scale": torch.zeros((), dtype=torch.float32),
        "input_scale": torch.zeros((), dtype=torch.float32),
    }


def awq(rows: int, columns: int, group: int = 16) -> Tensors:
    """Return a matrix as AWQ packs it: eight numbers in 32 bits."""
    return {
        "qweight": torch.zeros(columns, rows // 8, dtype=torch.int32),
        "qzeros": torch.zeros(columns // group, rows // 8, dtype=torch.int32),
        "scales": torch.zeros(columns // group, rows, dtype=torch.float16),
    }


def nvfp4(rows: int, columns: int) -> Tensors:
    """Return a matrix as NVFP4 packs it: two numbers in a byte, a scale for 16."""
    return {
        "weight_packed": torch.zeros(rows, columns // 2, dtype=torch.uint8),
        "weight_scale": torch.zeros(rows, columns // 16, dtype=torch.float8_e4m3fn),
        "weight_global_scale": torch.zeros(1, dtype=torch.float32),
    }


Store = Callable[[int, int], Tensors]


def llama_tensors(
    config: Mapping[str, Any], stores: Mapping[str, Store], prefix: str = ""
) -> Tensors:
    """Return a Llama's tensors; `stores` says how matrices whose name has a part are stored."""
    hidden, ffn, vocab = (config[key] for key in ("hidden_size", "intermediate_size", "vocab_size"))
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    shapes = {"model.embed_tokens": (vocab, hidden), "lm_head": (vocab, hidden)}
    if config.get("tie_word_embeddings"):
        del shapes["lm_head"]
    found: Tensors = {f"{prefix}model.norm.weight": torch.zeros(hidden, dtype=torch.float16)}
    for layer in range(config["num_hidden_layers"]):
        path = f"model.layers.{layer}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            weight = torch.zeros(hidden, dtype=torch.float16)
            found[f"{prefix}{path}.{name}.weight"] = weight
        for name, rows in (("q", queries), ("k", keys), ("v", keys)):
            shapes[f"{path}.self_attn.{name}_proj"] = (rows, hidden)
        shapes[f"{path}.self_attn.o_proj"] = (hidden, queries)
        for name in ("gate", "up"):
            shapes[f"{path}.mlp.{name}_proj"] = (ffn, hidden)
        shapes[f"{path}.mlp.down_proj"] = (hidden, ffn)
    for module, (rows, columns) in shapes.items():
        store = next((how for part, how in stores.items() if part in module), plain)
        for name, tensor in store(rows, columns).items():
            found[f"{prefix}{module}.{name}"] = tensor
    return found


def write_tensors(folder: Path, tensors: Tensors, files: int = 1) -> None:
    """Write tensors into one file, or into several with an index."""
    if files == 1:
        save_file(tensors, folder / "model.safetensors")
        return
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for index in range(files):
        file = f"model-{index + 1:05}-of-{files:05}.safetensors"
        part = {name: tensors[name] for name in names[index::files]}
        save_file(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index_file = folder / "model.safetensors.index.json"
    index_file.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def stored_bytes(tensors: Tensors) -> int:
    """Return the bytes of all tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
