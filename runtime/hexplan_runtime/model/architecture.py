"""What a model's config.json says beyond the sizes that a plan carries.

Only the launcher reads it; ranks get the result, so that they start without transformers. What the
model is, hexplan's own reader says, the same that the planner uses. transformers says the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hexplan.errors import InputError
from hexplan.frozen_model import FrozenModel
from hexplan.model import Model, differing_facts
from hexplan.reading.model_folder.folder import CONFIG_NAME, read_model_folder
from hexplan.wording import found
from hexplan_runtime.model.fixed_rope import CHANGING_ROPE, fixed_rope
from hexplan_runtime.model.foreign import read_fields, reading

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PreTrainedConfig

_GENERATION_NAME = "generation_config.json"
OWN_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Families whose layers the runtime has itself; others run through those of transformers."""
_SILU = ("silu", "swish")
_SLIDING, _FULL = "sliding_attention", "full_attention"
_WITHOUT_WINDOWS = ("llama",)
"""Families whose layers see all positions, whatever the config says of windows."""
_ALIKE = ("mistral",)
"""Families whose layers all have the window; transformers reads those with `layer_types` as another
family, unless a wrapper names the family."""
_SOLVE_AGAIN = "solve again, or point to the folder that was planned"


RunnerName = Literal["eager", "compiled", "graph"]
"""One step after another, with compiled parts, or as graphs."""


class Architecture(FrozenModel):
    """What ranks need to run layers, beside the plan."""

    is_own: bool = True
    """Whether the runtime's own layers run it; else those of transformers do, which take nothing
    that follows."""
    runner: RunnerName | None = None
    """How own layers run; null leaves it to the device."""
    norm_epsilon: float = 0.0
    """Added to the mean square in every norm."""
    windows: tuple[int | None, ...] = ()
    """For each layer, how many positions a token sees, itself included; None means all."""
    rotary_frequencies: tuple[float, ...] = ()
    """Radians per position of each pair of a head's channels."""
    rotary_scale: float = 1.0
    """What rotated queries and keys are multiplied by."""


def read_architecture(folder: Path, model: Model) -> Architecture:
    """Read a model folder's config.json, and refuse what the runtime would get wrong.

    Raises
    ------
    InputError
        The folder does not hold the plan's model, or needs something that the runtime lacks.
    """
    _check_types(model)
    _check_model(folder, model)
    config = read_config(folder)
    path = folder / CONFIG_NAME
    _check_features(path, config)
    if model.family not in OWN_FAMILIES:
        return Architecture(is_own=False)
    _check_own_features(path, config)
    frequencies, scale = _rotary(path, config, model)
    return Architecture(
        norm_epsilon=config.rms_norm_eps,
        windows=_windows(path, config, model),
        rotary_frequencies=frequencies,
        rotary_scale=scale,
    )


def read_stop_ids(folder: Path) -> tuple[int, ...]:
    """Return the tokens that end a text, from generation_config.json or else config.json.

    Where the first is there, the second does not count, even if the first names none.

    Raises
    ------
    InputError
        If transformers cannot read the file, or it names something that is no token.
    """
    path = folder / _GENERATION_NAME
    if path.is_file():
        stops = _read_generation(folder).eos_token_id
    else:
        path = folder / CONFIG_NAME
        stops = read_config(folder).eos_token_id
    listed = stops if isinstance(stops, list | tuple) else [] if stops is None else [stops]
    wrong = next((stop for stop in listed if type(stop) is not int), None)
    if wrong is not None:
        message = f"{path}: eos_token_id: found {found(wrong)}, needed ids of tokens"
        raise InputError(message)
    return tuple(listed)


def read_config(folder: Path) -> PreTrainedConfig:
    """Return a folder's config.json as transformers reads it; of a wrapper the text model's part.

    Raises
    ------
    InputError
        transformers cannot read it.
    """
    from transformers import AutoConfig, PreTrainedConfig

    def read() -> PreTrainedConfig:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        inside = config.get_text_config(decoder=True)
        return inside if isinstance(inside, PreTrainedConfig) else config

    def again(values: Mapping[str, object]) -> object:
        rest = {name: value for name, value in values.items() if name != "model_type"}
        return AutoConfig.for_model(str(values["model_type"]), **rest)

    return reading(folder / CONFIG_NAME, read, again)


def _read_generation(folder: Path) -> GenerationConfig:
    from transformers import GenerationConfig

    path = folder / _GENERATION_NAME
    read_fields(path)

    def read() -> GenerationConfig:
        return GenerationConfig.from_pretrained(folder, local_files_only=True)

    return reading(path, read, lambda values: GenerationConfig.from_dict(dict(values)))


def _check_types(model: Model) -> None:
    """Refuse kinds of models that can be planned but not run yet."""
    if model.weights is not None:
        message = (
            f"{model.name}: found {model.weights.name} weights, which the runtime does not run yet"
        )
        raise InputError(message, hint="solve again without `weights`, or serve it elsewhere")
    if model.kv_dtype not in (None, model.dtype):
        message = f"{model.name}: found a {model.kv_dtype} KV cache, needed {model.dtype}"
        raise InputError(message, hint="solve again without `kv_cache`")


def _check_model(folder: Path, model: Model) -> None:
    """Refuse a folder with another model than the one that was planned."""
    path = folder / CONFIG_NAME
    stored = read_model_folder(folder, model.dtype)
    for field in differing_facts(stored, model):
        if field != "max_context":  # a plan may be made for a longer or a shorter one
            value, planned = getattr(stored, field), getattr(model, field)
            message = f"{path}: {field}: {value}, the plan has {planned}"
            raise InputError(message, hint=_SOLVE_AGAIN)
    if stored.weights is not None:
        message = f"{path}: found {stored.weights.words}: quantised weights are not supported"
        raise InputError(message)


def _check_features(path: Path, config: PreTrainedConfig) -> None:
    """Refuse what would run but give wrong tokens, in any layers."""
    if getattr(config, "quantization_config", None) is not None:
        message = f"{path}: quantization_config: quantised weights are not supported"
        raise InputError(message)
    if not getattr(config, "is_causal", True):
        message = f"{path}: is_causal: found false, needed a model whose tokens see those before"
        raise InputError(message)
    if getattr(config, "use_bidirectional_attention", None):
        message = f"{path}: use_bidirectional_attention: found true, needed false"
        raise InputError(message)


def _check_own_features(path: Path, config: PreTrainedConfig) -> None:
    """Refuse what the runtime's own layers would run with wrong tokens."""
    if config.hidden_act not in _SILU:
        message = f"{path}: hidden_act: {config.hidden_act}, must be silu"
        raise InputError(message)
    if not 0 <= config.rms_norm_eps < float("inf"):
        message = f"{path}: rms_norm_eps: found {config.rms_norm_eps}, needed a number >= 0"
        raise InputError(message)


def _windows(path: Path, config: PreTrainedConfig, model: Model) -> tuple[int | None, ...]:
    """Return the sliding window of each layer, as the layers of transformers apply it.

    Layers of Llama apply none. (With `sliding_window` in a Llama's config, `generate` of
    transformers still drops old keys from its cache, and contradicts what its layers compute.)
    """
    window: int | None = getattr(config, "sliding_window", None)
    kinds: list[str] | None = getattr(config, "layer_types", None)
    if kinds is None or config.model_type in _ALIKE:
        kinds = [_FULL if window is None else _SLIDING] * model.layers
    for kind in kinds:
        if kind not in (_SLIDING, _FULL):
            message = f"{path}: layer_types: found {kind}, needed {_SLIDING} or {_FULL}"
            raise InputError(message)
    if config.model_type in _WITHOUT_WINDOWS:
        return (None,) * model.layers
    if _SLIDING in kinds and (window is None or window < 1):
        message = f"{path}: sliding_window: found {found(window)}, needed a whole number > 0"
        raise InputError(message, hint=f"or no {_SLIDING} in layer_types")
    if window is not None and window >= model.max_context:
        window = None  # it never hides a token
    return tuple(window if kind == _SLIDING else None for kind in kinds)


def _rotary(path: Path, config: PreTrainedConfig, model: Model) -> tuple[tuple[float, ...], float]:
    """Return rotary frequencies and scale; transformers computes the scaled ones."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = config.rope_parameters
    kind = rope.get("rope_type")
    if kind is None:
        message = f"{path}: rope_parameters: found settings by layer type, needed one for all"
        raise InputError(message)
    if not isinstance(kind, str) or kind not in ("default", *ROPE_INIT_FUNCTIONS):
        known = ", ".join(ROPE_INIT_FUNCTIONS)
        message = f"{path}: rope_type: found {found(kind)}, needed default, {known}"
        raise InputError(message)

    def compute() -> tuple[torch.Tensor, float]:
        if kind == "default":
            return _plain_frequencies(rope["rope_theta"], model.head_dim), 1.0
        if kind in CHANGING_ROPE:
            return fixed_rope(config, model.max_context)
        frequencies, scale = ROPE_INIT_FUNCTIONS[kind](config)
        return frequencies, float(scale)

    tensor, scale = reading(path, compute, field="rope_parameters")
    frequencies = tuple(tensor.tolist())
    if 2 * len(frequencies) != model.head_dim:
        channels = f"{2 * len(frequencies)} turned channels, needed all {model.head_dim}"
        message = f"{path}: rope_parameters: found {channels}"
        raise InputError(message)
    if not all(map(isfinite, (*frequencies, scale))):
        message = f"{path}: rope_parameters: found frequencies that are not finite"
        raise InputError(message, hint="is `rope_theta` above 0?")
    return frequencies, scale


def _plain_frequencies(theta: float, head_dim: int) -> torch.Tensor:
    import torch

    exponents = torch.arange(0, head_dim, 2, dtype=torch.float) / head_dim
    return 1.0 / (theta**exponents)
