"""Read a model's sizes from the config.json of a Hugging Face folder, without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from hexplan.errors import SpecError
from hexplan.files import read_bounded
from hexplan.json_reader import parse_json
from hexplan.model import DTYPE_BYTES, Dtype, Family, Model
from hexplan.wording import found, join_or

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_NAME = "config.json"
MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Architecture:
    """What a family does where its config.json is silent; the same as transformers does."""

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


_ARCHITECTURES: Mapping[str, _Architecture] = MappingProxyType(
    {
        "LlamaForCausalLM": _Architecture("llama", reads_attention_bias=True, reads_mlp_bias=True),
        "MistralForCausalLM": _Architecture("mistral", kv_heads=8),
        "Qwen2ForCausalLM": _Architecture("qwen2", kv_heads=32, has_qkv_bias=True),
        "Qwen3ForCausalLM": _Architecture(
            "qwen3", kv_heads=32, head_dim=128, reads_attention_bias=True, qk_norm=True
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
    values = parse_json(text, str(file))
    if not isinstance(values, dict):
        raise SpecError(str(file), f"found {found(values)}, needed an object with a model's sizes")
    config = _Config(file, values, hashlib.sha256(text.encode()).hexdigest())
    _check_unquantised(config)
    return _model(config, dtype or _dtype(config))


@dataclass(frozen=True, slots=True)
class _Config:
    """The fields of one config.json; null counts as missing, as it does in transformers."""

    file: Path
    values: Mapping[str, object]
    sha256: str

    def error(self, field: str, problem: str, hint: str | None = None) -> SpecError:
        """Return the error that names this file and one of its fields."""
        return SpecError(f"{self.file}: {field}", problem, hint=hint)

    def count(self, field: str, default: int | None = None) -> int:
        """Return a whole number above 0, or the default where the field is missing."""
        value = self.values.get(field)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.error(field, f"found {found(value)}, needed a whole number > 0")
        return value

    def flag(self, field: str) -> bool:
        """Return a truth value; false where the field is missing."""
        value = self.values.get(field)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self.error(field, f"found {found(value)}, needed true or false")


def _config_file(folder: Path) -> Path:
    file = folder / CONFIG_NAME
    if not file.exists():
        problem = f"found no {CONFIG_NAME} in it" if folder.is_dir() else "found no such folder"
        hint = "give the folder that a Hugging Face model was downloaded to, or saved in"
        raise SpecError(str(folder), f"{problem}, needed a model folder", hint=hint)
    return file


def _check_unquantised(config: _Config) -> None:
    for field in ("quantization_config", "compression_config"):
        if config.values.get(field) is not None:
            problem = "found quantised weights, needed float32, float16 or bfloat16 ones"
            raise config.error(field, problem, "use the folder of the unquantised model")


def _model(config: _Config, dtype: Dtype) -> Model:
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
        ffn=config.count("intermediate_size"),
        vocab=config.count("vocab_size"),
        tied_embeddings=config.flag("tie_word_embeddings"),
        qkv_bias=kind.has_qkv_bias or attention_bias,
        out_bias=attention_bias,
        ffn_bias=kind.reads_mlp_bias and config.flag("mlp_bias"),
        qk_norm=kind.qk_norm,
        dtype=dtype,
        max_context=config.count("max_position_embeddings"),
        path=str(config.file.parent),
        config_sha256=config.sha256,
    )


def _architecture(config: _Config) -> _Architecture:
    names = config.values.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else names
    kind = _ARCHITECTURES.get(name) if isinstance(name, str) else None
    if kind is None:
        problem = f"found {found(name)}, needed one of {join_or(_ARCHITECTURES)}"
        raise config.error("architectures", problem)
    return kind


def _kv_heads(config: _Config, kind: _Architecture, heads: int) -> int:
    field = "num_key_value_heads"
    is_null = field in config.values and config.values[field] is None
    kv_heads = config.count(field, heads if is_null else kind.kv_heads or heads)
    if heads % kv_heads:
        problem = f"found {kv_heads}, needed a divisor of num_attention_heads ({heads})"
        raise config.error(field, problem)
    return kv_heads


def _head_dim(config: _Config, kind: _Architecture, heads: int) -> int:
    if kind.head_dim is not None or config.values.get("head_dim") is not None:
        return config.count("head_dim", kind.head_dim)
    hidden = config.count("hidden_size")
    if hidden % heads:
        sum_ = f"hidden_size / num_attention_heads = {hidden} / {heads}"
        raise config.error("head_dim", f"found nothing, needed it, as {sum_} is not whole")
    return hidden // heads


def _dtype(config: _Config) -> Dtype:
    field = "dtype" if config.values.get("dtype") is not None else "torch_dtype"
    value = config.values.get(field)
    for known in DTYPE_BYTES:
        if value == known:
            return known
    problem = f"found {found(value)}, needed one of {join_or(DTYPE_BYTES)}"
    raise config.error(field, problem, "state `dtype` beside the model in the cluster file")
