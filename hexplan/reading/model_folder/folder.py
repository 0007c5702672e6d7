"""Read a model's sizes from the config.json of a Hugging Face folder, without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from hexplan.errors import SpecError
from hexplan.files.bounded import read_bounded
from hexplan.files.json_reader import parse_json
from hexplan.model import DTYPE_BYTES, Dtype, Experts, Family, Model
from hexplan.reading.model_folder.config import ModelConfig
from hexplan.reading.model_folder.context import read_max_context
from hexplan.reading.model_folder.quantisation import read_weight_format
from hexplan.wording import found, join_or

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_NAME = "config.json"
MAX_CONFIG_BYTES = 1 << 20
"""The largest config.json that is read."""


@dataclass(frozen=True, slots=True)
class _Architecture:
    """What a family's fields mean, and their defaults; the same as in transformers."""

    family: Family
    kv_heads: int | None = None
    """KV heads if the field is missing; None means as many as query heads."""
    head_dim: int | None = None
    """Width of a head if the field is missing; None means hidden size / heads."""
    has_qkv_bias: bool = False
    """Whether query, key and value always have biases."""
    reads_attention_bias: bool = False
    reads_mlp_bias: bool = False
    qk_norm: bool = False
    experts: Experts | None = None
    """Experts of a layer if the fields are missing; None means no experts."""
    ffn_field: str = "intermediate_size"
    """The field with the channels of one network."""
    ffn: int | None = None
    """Channels of one network if the field is missing; None means that it must be there."""


_ARCHITECTURES: Mapping[str, _Architecture] = MappingProxyType(
    {
        "LlamaForCausalLM": _Architecture("llama", reads_attention_bias=True, reads_mlp_bias=True),
        "MistralForCausalLM": _Architecture("mistral", kv_heads=8),
        "Qwen2ForCausalLM": _Architecture("qwen2", kv_heads=32, has_qkv_bias=True),
        "Qwen3ForCausalLM": _Architecture(
            "qwen3", kv_heads=32, head_dim=128, reads_attention_bias=True, qk_norm=True
        ),
        "MixtralForCausalLM": _Architecture(
            "mixtral", kv_heads=8, experts=Experts(total=8, active=2)
        ),
        "Qwen3MoeForCausalLM": _Architecture(
            "qwen3_moe",
            kv_heads=4,
            reads_attention_bias=True,
            qk_norm=True,
            experts=Experts(total=128, active=8),
            ffn_field="moe_intermediate_size",
            ffn=768,
        ),
    }
)


def read_model_folder(folder: Path, dtype: Dtype | None = None) -> Model:
    """Return the sizes that the folder's config.json states.

    Parameters
    ----------
    dtype
        Type of weights, activations and KV cache at run time; the config's own if None.

    Raises
    ------
    SpecError
        If the folder or its config.json is missing, lacks a size, or is of a kind that is not
        supported.
    """
    file = _config_file(folder.resolve())
    text = read_bounded(file, MAX_CONFIG_BYTES)
    try:
        values = parse_json(text, str(file))
    except SpecError as error:  # not quoted: a cluster.yaml can name any folder
        problem = f"this is not a model's config.json: {error.needed}"
        raise SpecError(error.where, problem) from error
    if not isinstance(values, dict):
        raise SpecError(str(file), "needed an object with a model's sizes")
    config = ModelConfig(file, values, hashlib.sha256(text.encode()).hexdigest())
    return _model(config, dtype or _dtype(config))


def _config_file(folder: Path) -> Path:
    file = folder / CONFIG_NAME
    if not file.exists():
        problem = f"found no {CONFIG_NAME} in it" if folder.is_dir() else "found no such folder"
        hint = "give the folder that a Hugging Face model was downloaded to, or saved in"
        raise SpecError(str(folder), f"{problem}, needed a model folder", hint=hint)
    return file


def _model(config: ModelConfig, dtype: Dtype) -> Model:
    kind = _architecture(config)
    heads = config.count("num_attention_heads")
    kv_heads = _kv_heads(config, kind, heads)
    attention_bias = kind.reads_attention_bias and config.flag("attention_bias")
    return Model(
        name=config.file.parent.name,
        family=kind.family,
        layers=config.count("num_hidden_layers"),
        hidden=config.count("hidden_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_head_dim(config, kind, heads),
        ffn=config.count(kind.ffn_field, kind.ffn),
        vocab=config.count("vocab_size"),
        tied_embeddings=config.flag("tie_word_embeddings"),
        qkv_bias=kind.has_qkv_bias or attention_bias,
        out_bias=attention_bias,
        ffn_bias=kind.reads_mlp_bias and config.flag("mlp_bias"),
        qk_norm=kind.qk_norm,
        experts=_experts(config, kind),
        dtype=dtype,
        weights=read_weight_format(config),
        max_context=read_max_context(config),
        path=str(config.file.parent),
        config_sha256=config.sha256,
    )


def _architecture(config: ModelConfig) -> _Architecture:
    names = config.values.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else names
    kind = _ARCHITECTURES.get(name) if isinstance(name, str) else None
    if kind is None:
        problem = f"found {found(name)}, needed one of {join_or(_ARCHITECTURES)}"
        raise config.error("architectures", problem)
    return kind


def _experts(config: ModelConfig, kind: _Architecture) -> Experts | None:
    """Return the experts of every layer; refuse a model with dense layers among them."""
    if kind.experts is None:
        return None
    names = ("num_experts", "num_local_experts")
    field = next((name for name in names if config.values.get(name) is not None), names[1])
    if config.count("decoder_sparse_step", 1) != 1 or config.values.get("mlp_only_layers"):
        problem = "found layers with one network among layers with experts, needed layers alike"
        where = "mlp_only_layers" if config.values.get("mlp_only_layers") else "decoder_sparse_step"
        raise config.error(where, problem)
    total = config.count(field, kind.experts.total)
    active = config.count("num_experts_per_tok", kind.experts.active)
    if active > total:
        problem = f"found {active}, needed at most {field} ({total})"
        raise config.error("num_experts_per_tok", problem)
    return Experts(total=total, active=active)


def _kv_heads(config: ModelConfig, kind: _Architecture, heads: int) -> int:
    field = "num_key_value_heads"
    is_null = field in config.values and config.values[field] is None
    kv_heads = config.count(field, heads if is_null else kind.kv_heads or heads)
    if heads % kv_heads:
        problem = f"found {kv_heads}, needed a divisor of num_attention_heads ({heads})"
        raise config.error(field, problem)
    return kv_heads


def _head_dim(config: ModelConfig, kind: _Architecture, heads: int) -> int:
    if kind.head_dim is not None or config.values.get("head_dim") is not None:
        return config.count("head_dim", kind.head_dim)
    hidden = config.count("hidden_size")
    if hidden % heads:
        sum_ = f"hidden_size / num_attention_heads = {hidden} / {heads}"
        raise config.error("head_dim", f"found nothing, needed it, as {sum_} is not whole")
    return hidden // heads


def _dtype(config: ModelConfig) -> Dtype:
    field = "dtype" if config.values.get("dtype") is not None else "torch_dtype"
    value = config.values.get(field)
    for known in DTYPE_BYTES:
        if value == known:
            return known
    problem = f"found {found(value)}, needed one of {join_or(DTYPE_BYTES)}"
    raise config.error(field, problem, "state `dtype` beside the model in the cluster file")
