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
class Flag:
    """Something that a family has always, never, or as a field says."""

    default: bool
    """What is so if the field is missing."""
    field: str | None = None

    def of(self, config: ModelConfig) -> bool:
        """Return whether it is so in a config."""
        if self.field is None or config.values.get(self.field) is None:
            return self.default
        return config.flag(self.field)


_NEVER, _ALWAYS = Flag(False), Flag(True)
_ATTENTION_BIAS, _MLP_BIAS = Flag(False, "attention_bias"), Flag(False, "mlp_bias")


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a family's fields mean, and their defaults; the same as in transformers."""

    family: Family
    kv_heads: int | None = None
    """KV heads if the field is missing; None means as many as query heads."""
    groups_queries: bool = True
    """Whether the field counts; else there are as many KV heads as query heads."""
    head_dim: int | None = None
    """Width of a head if the field is missing; None means hidden size / heads."""
    has_qkv_bias: bool = False
    """Whether query, key and value always have biases."""
    attention_bias: Flag = _NEVER
    """Whether all projections of attention have biases, if they do not always have some."""
    ffn_bias: Flag = _NEVER
    ties: bool = False
    """Whether embeddings are tied if the field is missing."""
    qk_norm: bool = False
    gated: bool = True
    num_norms: int | None = None
    """Norms of a layer, by vectors of the hidden width, biases included; None means two."""
    wide_qk_norm: Flag = _NEVER
    """Whether queries and keys are normalised with weights for each head."""
    experts: Experts | None = None
    """Experts of a layer if the fields are missing; None means no experts."""
    ffn_field: str = "intermediate_size"
    """The field with the channels of one network."""
    ffn: int | None = None
    """Channels of one network if the field is missing; None means that it must be there."""


_ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "LlamaForCausalLM": Architecture(
            "llama", attention_bias=_ATTENTION_BIAS, ffn_bias=_MLP_BIAS
        ),
        "MistralForCausalLM": Architecture("mistral", kv_heads=8),
        "Qwen2ForCausalLM": Architecture("qwen2", kv_heads=32, has_qkv_bias=True),
        "Qwen3ForCausalLM": Architecture(
            "qwen3", kv_heads=32, head_dim=128, attention_bias=_ATTENTION_BIAS, qk_norm=True
        ),
        "MixtralForCausalLM": Architecture(
            "mixtral", kv_heads=8, experts=Experts(total=8, active=2)
        ),
        "Qwen3MoeForCausalLM": Architecture(
            "qwen3_moe",
            kv_heads=4,
            attention_bias=_ATTENTION_BIAS,
            qk_norm=True,
            experts=Experts(total=128, active=8),
            ffn_field="moe_intermediate_size",
            ffn=768,
        ),
        "CohereForCausalLM": Architecture(
            "cohere",
            attention_bias=_ATTENTION_BIAS,
            ties=True,
            num_norms=1,
            wide_qk_norm=Flag(False, "use_qk_norm"),
        ),
        "Cohere2ForCausalLM": Architecture(
            "cohere2", attention_bias=_ATTENTION_BIAS, ties=True, num_norms=1
        ),
        "GemmaForCausalLM": Architecture(
            "gemma", kv_heads=16, head_dim=256, attention_bias=_ATTENTION_BIAS, ties=True
        ),
        "Gemma2ForCausalLM": Architecture(
            "gemma2",
            kv_heads=4,
            head_dim=256,
            attention_bias=_ATTENTION_BIAS,
            ties=True,
            num_norms=4,
        ),
        "Gemma3ForCausalLM": Architecture(
            "gemma3_text",
            kv_heads=4,
            head_dim=256,
            attention_bias=_ATTENTION_BIAS,
            ties=True,
            qk_norm=True,
            num_norms=4,
        ),
        "GPTNeoXForCausalLM": Architecture(
            "gpt_neox",
            groups_queries=False,
            attention_bias=Flag(True, "attention_bias"),
            ffn_bias=_ALWAYS,
            gated=False,
            num_norms=4,
        ),
        "GraniteForCausalLM": Architecture(
            "granite", attention_bias=_ATTENTION_BIAS, ffn_bias=_MLP_BIAS
        ),
        "OlmoForCausalLM": Architecture("olmo", attention_bias=_ATTENTION_BIAS, num_norms=0),
        "Olmo2ForCausalLM": Architecture(
            "olmo2", attention_bias=_ATTENTION_BIAS, wide_qk_norm=_ALWAYS
        ),
        "Olmo3ForCausalLM": Architecture(
            "olmo3", attention_bias=_ATTENTION_BIAS, wide_qk_norm=_ALWAYS
        ),
        "Phi3ForCausalLM": Architecture("phi3"),
        "SmolLM3ForCausalLM": Architecture(
            "smollm3", kv_heads=4, attention_bias=_ATTENTION_BIAS, ffn_bias=_MLP_BIAS, ties=True
        ),
        "Starcoder2ForCausalLM": Architecture(
            "starcoder2",
            kv_heads=2,
            attention_bias=Flag(True, "use_bias"),
            ffn_bias=Flag(True, "use_bias"),
            ties=True,
            gated=False,
            num_norms=4,
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
