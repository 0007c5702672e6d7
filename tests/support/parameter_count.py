"""How many parameters a model has: by docs/formulation.md, and by transformers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from torch import nn

    from hexplan.model import Model

_NAMES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "mixtral": "Mixtral",
    "qwen3_moe": "Qwen3Moe",
    "cohere": "Cohere",
    "cohere2": "Cohere2",
    "gemma": "Gemma",
    "gemma2": "Gemma2",
    "gemma3_text": "Gemma3",
    "gpt_neox": "GPTNeoX",
    "granite": "Granite",
    "olmo": "Olmo",
    "olmo2": "Olmo2",
    "olmo3": "Olmo3",
    "phi3": "Phi3",
    "smollm3": "SmolLM3",
    "starcoder2": "Starcoder2",
}


def parameters(model: Model) -> int:
    """Return the count of section 3, for one device that holds all layers."""
    L, h, e, f, v = model.layers, model.hidden, model.head_dim, model.ffn, model.vocab
    a, group = model.kv_heads, model.heads // model.kv_heads
    attention = a * e * h * (2 * group + 2)
    biases = model.qkv_bias * a * e * (group + 2) + model.out_bias * h
    matrices = 3 if model.gated else 2
    biases += model.ffn_bias * ((matrices - 1) * f + h)
    networks = matrices * h * f
    if model.experts is not None:
        networks = model.experts.total * (3 * h * f + h)  # with its row of the router
    norms = 2 * h if model.norm_weights is None else model.norm_weights
    layer = attention + biases + model.qk_norm * 2 * e + norms + networks
    head = 0 if model.tied_embeddings else v * h
    return L * layer + v * h + head + h


def kv_bytes_per_token(model: Model) -> int:
    """Return the bytes of section 3 that one token of context takes, over all layers."""
    return 2 * model.layers * model.kv_heads * model.head_dim * model.dtype_bytes


def transformers_model(model: Model) -> nn.Module:
    """Return the module that transformers builds for these sizes, without memory for weights."""
    sizes: dict[str, Any] = {
        "num_hidden_layers": model.layers,
        "hidden_size": model.hidden,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.head_dim,
        "intermediate_size": model.ffn,
        "vocab_size": model.vocab,
        "tie_word_embeddings": model.tied_embeddings,
    }
    if model.experts is not None:
        sizes |= {
            "num_local_experts": model.experts.total,
            "num_experts": model.experts.total,
            "num_experts_per_tok": model.experts.active,
            "moe_intermediate_size": model.ffn,
        }
    if model.family in ("llama", "qwen3", "qwen3_moe"):
        sizes["attention_bias"] = model.out_bias
    if model.family == "llama":
        sizes["mlp_bias"] = model.ffn_bias
    return module_of({"architectures": [f"{_NAMES[model.family]}ForCausalLM"], **sizes})


def module_of(config: dict[str, Any]) -> nn.Module:
    """Return the module that transformers builds for a config.json, on the meta device."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    (architecture,) = config["architectures"]
    kind = getattr(transformers, architecture)
    with torch.device("meta"):
        module: nn.Module = kind(kind.config_class.from_dict(config))
    return module


def count(module: nn.Module) -> int:
    """Return a module's parameters, shared ones counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


def kv_width(module: nn.Module) -> int:
    """Return the elements of keys and values that a module makes of one token, over all layers."""
    return sum(
        layer.out_features
        for name, layer in module.named_modules()
        if name.endswith(("k_proj", "v_proj"))
    )
