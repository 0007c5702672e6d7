"""What a model's config.json says beyond the sizes that a plan carries.

Only the launcher reads it, with transformers; ranks get the result, so that they start without
transformers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hexplan.errors import InputError
from hexplan.frozen_model import FrozenModel
from hexplan.model import Model

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

_CHANGING_ROPE = ("dynamic", "longrope")
"""Frequencies that depend on the length so far; cached keys would have to be turned again."""
_SIZES = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "ffn": "intermediate_size",
    "vocab": "vocab_size",
    "tied_embeddings": "tie_word_embeddings",
}


class Architecture(FrozenModel):
    """What ranks need to run layers, beside the plan."""

    norm_epsilon: float
    """Added to the mean square in every norm."""
    windows: tuple[int | None, ...]
    """For each layer, how many positions a token sees, itself included; None means all."""
    rotary_frequencies: tuple[float, ...]
    """Radians per position of each pair of a head's channels."""
    rotary_scale: float
    """What rotated queries and keys are multiplied by."""


def read_architecture(folder: Path, model: Model) -> Architecture:
    """Read a model folder's config.json, and refuse what the runtime would get wrong.

    Raises
    ------
    InputError
        The config is not that of the plan's model, or needs something that the runtime lacks.
    """
    config = _read_config(folder)
    path = folder / "config.json"
    _check_types(model)
    _check_sizes(path, config, model)
    _check_features(path, config)
    frequencies, scale = _rotary(config)
    return Architecture(
        norm_epsilon=config.rms_norm_eps,
        windows=_windows(config),
        rotary_frequencies=tuple(frequencies.tolist()),
        rotary_scale=scale,
    )


def read_stop_ids(folder: Path) -> tuple[int, ...]:
    """Return the tokens that end a text, from generation_config.json or else config.json."""
    from transformers import GenerationConfig

    if (folder / "generation_config.json").is_file():
        found = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    else:
        found = _read_config(folder).eos_token_id
    if found is None:
        return ()
    return (found,) if isinstance(found, int) else tuple(found)


def _read_config(folder: Path) -> PreTrainedConfig:
    from transformers import AutoConfig

    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        message = f"{folder / 'config.json'}: transformers cannot read it: {error}"
        raise InputError(message) from error
    return config


def _check_types(model: Model) -> None:
    """Refuse kinds of models that can be planned but not run yet."""
    if model.experts is not None:
        message = f"{model.name}: found experts, which the runtime does not run yet"
        raise InputError(message, hint="the plan is still valid: serve it with another engine")
    if model.weights is not None:
        message = (
            f"{model.name}: found {model.weights.name} weights, which the runtime does not run yet"
        )
        raise InputError(message, hint="solve again without `weights`, or serve it elsewhere")
    if model.kv_dtype not in (None, model.dtype):
        message = f"{model.name}: found a {model.kv_dtype} KV cache, needed {model.dtype}"
        raise InputError(message, hint="solve again without `kv_cache`")


def _check_sizes(path: Path, config: PreTrainedConfig, model: Model) -> None:
    """Refuse a config whose sizes are not those that were planned."""
    if config.model_type != model.family:
        message = f"{path}: model_type: {config.model_type}, the plan has {model.family}"
        raise InputError(message)
    found = {ours: getattr(config, theirs) for ours, theirs in _SIZES.items()}
    found["head_dim"] = _head_dim(config)
    for field, value in found.items():
        if value != getattr(model, field):
            message = f"{path}: {field}: {value}, the plan has {getattr(model, field)}"
            raise InputError(message, hint="solve again, or point to the folder that was planned")


def _check_features(path: Path, config: PreTrainedConfig) -> None:
    """Refuse what would run but give wrong tokens."""
    rope = config.rope_parameters["rope_type"]
    if rope in _CHANGING_ROPE:
        message = f"{path}: rope_type: {rope}, which changes with the length, is not supported"
        raise InputError(message)
    if config.hidden_act != "silu":
        message = f"{path}: hidden_act: {config.hidden_act}, must be silu"
        raise InputError(message)
    if getattr(config, "quantization_config", None) is not None:
        message = f"{path}: quantization_config: quantised weights are not supported"
        raise InputError(message)


def _windows(config: PreTrainedConfig) -> tuple[int | None, ...]:
    """Return the sliding window of each layer."""
    window: int | None = getattr(config, "sliding_window", None)
    kinds: list[str] | None = getattr(config, "layer_types", None)
    if kinds is None:
        num_layers: int = config.num_hidden_layers
        return (window,) * num_layers
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _rotary(config: PreTrainedConfig) -> tuple[torch.Tensor, float]:
    """Return rotary frequencies and scale; transformers computes the scaled ones."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = config.rope_parameters
    if rope["rope_type"] != "default":
        frequencies, scale = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config)
        return frequencies, float(scale)
    exponents = torch.arange(0, _head_dim(config), 2, dtype=torch.float) / _head_dim(config)
    return 1.0 / (rope["rope_theta"] ** exponents), 1.0


def _head_dim(config: PreTrainedConfig) -> int:
    explicit: int | None = getattr(config, "head_dim", None)
    return explicit or config.hidden_size // config.num_attention_heads
