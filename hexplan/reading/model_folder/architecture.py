"""The architectures that can be planned, and what their configs mean where they are silent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from hexplan.model import Experts, Family
from hexplan.wording import found, join_or

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hexplan.reading.model_folder.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Architecture:
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


_ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "LlamaForCausalLM": Architecture("llama", reads_attention_bias=True, reads_mlp_bias=True),
        "MistralForCausalLM": Architecture("mistral", kv_heads=8),
        "Qwen2ForCausalLM": Architecture("qwen2", kv_heads=32, has_qkv_bias=True),
        "Qwen3ForCausalLM": Architecture(
            "qwen3", kv_heads=32, head_dim=128, reads_attention_bias=True, qk_norm=True
        ),
        "MixtralForCausalLM": Architecture(
            "mixtral", kv_heads=8, experts=Experts(total=8, active=2)
        ),
        "Qwen3MoeForCausalLM": Architecture(
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
_BY_FAMILY: Mapping[str, Architecture] = MappingProxyType(
    {kind.family: kind for kind in _ARCHITECTURES.values()}
)
_TEXT = "text_config"
_SHARED = ("dtype", "torch_dtype", "tie_word_embeddings", "quantization_config", "architectures")
"""Fields that a wrapper states for its text model, too."""
_OTHERS = (
    "if all its layers are alike, with full attention and a gated network or experts, write its"
    " sizes under `model` instead (`hexplan schema model`)"
)


def text_config(config: ModelConfig) -> ModelConfig:
    """Return the config of the text model: of a wrapper the part inside, else the config itself.

    The other parts of a wrapper, such as a vision encoder, are not planned.
    """
    inside = config.values.get(_TEXT)
    if not isinstance(inside, dict) or _named(config) is not None:
        return config
    shared = {name: config.values[name] for name in _SHARED if name in config.values}
    stated = {k: v for k, v in inside.items() if v is not None or k not in shared}
    return replace(config, values={**shared, **stated}, prefix=f"{_TEXT}.")


def read_architecture(config: ModelConfig) -> Architecture:
    """Return what the config's architecture means, by its name or else by its model type.

    Raises
    ------
    SpecError
        If it is not one of those that can be planned, or the two names disagree.
    """
    kind = _named(config)
    if kind is None and config.prefix:
        kind = _BY_FAMILY.get(str(config.values.get("model_type")))
    if kind is not None:
        _check(config, kind)
        return kind
    names = config.values.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else names
    inside = ""
    if config.prefix:
        inside = f" with a text model of type {found(config.values.get('model_type'))}"
    problem = f"found {found(name)}{inside}, needed one of {join_or(_ARCHITECTURES)}"
    raise replace(config, prefix="").error("architectures", problem, _OTHERS)


def _check(config: ModelConfig, kind: Architecture) -> None:
    """Refuse what transformers would take for another model, or for one with unlike layers."""
    model_type = config.values.get("model_type")
    if model_type not in (None, kind.family):
        name = next(name for name, known in _ARCHITECTURES.items() if known is kind)
        problem = f"found {found(model_type)}, needed {kind.family!r} as architectures has {name}"
        hint = "transformers goes by `model_type`, other engines by `architectures`: correct one"
        raise config.error("model_type", problem, hint)
    if config.values.get("per_layer_config"):
        raise config.error("per_layer_config", "found settings by layer, needed layers alike")


def _named(config: ModelConfig) -> Architecture | None:
    names = config.values.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else None
    return _ARCHITECTURES.get(name) if isinstance(name, str) else None
