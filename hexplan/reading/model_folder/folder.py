"""Read a model's sizes and formats from a Hugging Face folder, without torch."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from hexplan.errors import SpecError
from hexplan.files.bounded import read_bounded
from hexplan.files.json_reader import parse_json
from hexplan.model import DTYPE_BYTES, Dtype, Experts, Model
from hexplan.reading.model_folder.architecture import (
    Architecture,
    Flag,
    read_architecture,
    text_config,
)
from hexplan.reading.model_folder.config import ModelConfig
from hexplan.reading.model_folder.context import read_max_context
from hexplan.reading.model_folder.formats import read_formats
from hexplan.reading.model_folder.headers import CONFIG_NAME as CONFIG_NAME
from hexplan.reading.model_folder.headers import MAX_CONFIG_BYTES as MAX_CONFIG_BYTES
from hexplan.wording import found, join_or

if TYPE_CHECKING:
    from pathlib import Path


def read_model_folder(folder: Path, dtype: Dtype | None = None) -> Model:
    """Return the sizes that the folder's config.json states, and the formats of its weights.

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
        values = parse_json(text, str(file), allow_infinity=True)
    except SpecError as error:  # not quoted: a cluster.yaml can name any folder
        problem = f"this is not a model's config.json: {error.needed}"
        raise SpecError(error.where, problem) from error
    if not isinstance(values, dict):
        raise SpecError(str(file), "needed an object with a model's sizes")
    digest = hashlib.sha256(text.encode()).hexdigest()
    config = text_config(ModelConfig(file, values, digest))
    kind = read_architecture(config)
    model = _model(config, kind, dtype or _dtype(config))
    return read_formats(replace(config, prefix=""), model)


def _config_file(folder: Path) -> Path:
    file = folder / CONFIG_NAME
    if not file.exists():
        problem = f"found no {CONFIG_NAME} in it" if folder.is_dir() else "found no such folder"
        hint = "give the folder that a Hugging Face model was downloaded to, or saved in"
        if "~" in folder.parts:
            hint = "write the whole path: `~` does not stand for your home here"
        raise SpecError(str(folder), f"{problem}, needed a model folder", hint=hint)
    return file


def _model(config: ModelConfig, kind: Architecture, dtype: Dtype) -> Model:
    """Return the sizes, without the formats of quantised weights."""
    heads = config.count("num_attention_heads")
    kv_heads, head_dim = _kv_heads(config, kind, heads), _head_dim(config, kind, heads)
    attention_bias, ties = kind.attention_bias.of(config), Flag(kind.ties, "tie_word_embeddings")
    return Model(
        name=config.file.parent.name,
        family=kind.family,
        layers=config.count("num_hidden_layers"),
        hidden=config.count("hidden_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ffn=config.count(kind.ffn_field, kind.ffn),
        vocab=config.count("vocab_size"),
        tied_embeddings=ties.of(config),
        qkv_bias=kind.has_qkv_bias or attention_bias,
        out_bias=attention_bias,
        ffn_bias=kind.ffn_bias.of(config),
        qk_norm=kind.qk_norm,
        gated=kind.gated,
        norm_weights=_norm_weights(config, kind, (heads + kv_heads) * head_dim),
        experts=_experts(config, kind),
        dtype=dtype,
        max_context=read_max_context(config),
        path=str(config.file.parent),
        config_sha256=config.sha256,
    )


def _norm_weights(config: ModelConfig, kind: Architecture, qk_width: int) -> int | None:
    """Return the weights in a layer's norms; None if there are two plain ones."""
    is_wide = kind.wide_qk_norm.of(config)
    if kind.num_norms is None and not is_wide:
        return None
    num_norms = 2 if kind.num_norms is None else kind.num_norms
    return num_norms * config.count("hidden_size") + is_wide * qk_width


def _experts(config: ModelConfig, kind: Architecture) -> Experts | None:
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


def _kv_heads(config: ModelConfig, kind: Architecture, heads: int) -> int:
    field = "num_key_value_heads"
    if not kind.groups_queries:
        return heads
    is_null = field in config.values and config.values[field] is None
    kv_heads = config.count(field, heads if is_null else kind.kv_heads or heads)
    if heads % kv_heads:
        problem = f"found {kv_heads}, needed a divisor of num_attention_heads ({heads})"
        raise config.error(field, problem)
    return kv_heads


def _head_dim(config: ModelConfig, kind: Architecture, heads: int) -> int:
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
