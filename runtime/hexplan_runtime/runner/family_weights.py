"""A model of transformers without memory, and the weights of some of its layers.

transformers itself says how the names and shapes in a checkpoint become those of its modules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from hexplan.errors import InputError
from hexplan.field_types import Range
from hexplan_runtime.model.foreign import reason
from hexplan_runtime.model.weights import WeightsReader

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LAYER: Final = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_TABLES: Final = ("embed_tokens.weight", "embed_in.weight")
"""Ends of the names of embedding tables, in the families that run."""
_INCOMPLETE: Final = "the download may be incomplete"


@dataclass(frozen=True, slots=True)
class Part:
    """What of a model a stage holds."""

    layers: Range
    """`[first, end)`."""
    is_first: bool
    is_last: bool
    is_tied: bool
    """Whether the output head is the embedding table."""

    def has(self, name: str) -> bool:
        """Say whether a weight of this name, in a file or in a module, belongs to it."""
        layer = _LAYER.search(name)
        if layer:
            return self.layers[0] <= int(layer[1]) < self.layers[1]
        if name.endswith(_TABLES):
            return self.is_first or (self.is_last and self.is_tied)
        return self.is_last


def load_part(whole: PreTrainedModel, part: Part, weights: WeightsReader) -> None:
    """Give a model that has no memory the weights of a part of it.

    Raises
    ------
    InputError
        A weight is missing, or not of the shape that the model needs.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import convert_and_load_state_dict_in_model
    from transformers.modeling_utils import LoadStateDictConfig
    from transformers.utils import logging

    _compute_buffers(whole, part)
    files: dict[str, Any] = weights.lazy(part.has)
    conversions: Any = get_model_conversion_mapping(whole)
    config = LoadStateDictConfig(dtype=whole.dtype, weight_mapping=conversions)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        found, _ = convert_and_load_state_dict_in_model(whole, files, config)
    except (RuntimeError, ValueError, KeyError) as error:
        message = f"{weights.folder}: transformers cannot load its weights: {reason(error)}"
        raise InputError(message, hint=_INCOMPLETE) from error
    whole.tie_weights()
    wrong = [*found.mismatched_keys, *found.conversion_errors, *_missing(whole, part)]
    if wrong:
        name = wrong[0][0] if isinstance(wrong[0], tuple) else wrong[0]
        message = f"{weights.folder}: {name}: found no weight of its shape"
        raise InputError(message, hint=_INCOMPLETE)


def held_bytes(whole: PreTrainedModel, part: Part) -> int:
    """Return the bytes of the weights that a part holds; shared ones count once."""
    held = {id(weight): weight.nbytes for _, weight in _held(whole, part) if not weight.is_meta}
    return sum(held.values())


def _missing(whole: PreTrainedModel, part: Part) -> list[str]:
    return [name for name, weight in _held(whole, part) if weight.is_meta]


def _held(whole: PreTrainedModel, part: Part) -> list[tuple[str, nn.Parameter]]:
    return [(name, weight) for name, weight in whole.named_parameters() if part.has(name)]


def _compute_buffers(whole: PreTrainedModel, part: Part) -> None:
    """Compute what is no weight, such as rotary frequencies; weights have no memory to fill yet."""
    for name, module in whole.named_modules():
        layer = _LAYER.search(f"{name}.")
        if layer and not part.has(f"{name}."):
            continue
        made = {key: value for key, value in module._buffers.items() if value is not None}
        if any(value.is_meta for value in made.values()):
            for key, value in made.items():
                module._buffers[key] = torch.empty_like(value, device=torch.get_default_device())
            whole._init_weights(module)  # type: ignore[no-untyped-call]
