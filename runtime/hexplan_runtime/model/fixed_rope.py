"""Rotary frequencies of the kinds that transformers changes with the length of a batch.

There, a request's tokens then depend on how long its neighbours are, and keys that were cached
keep the frequencies of their time. Here one set of frequencies serves all requests: that for the
longest context of the plan's model. If that is at most the context that the model was first trained
for, transformers uses the same ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

CHANGING_ROPE: Final = ("dynamic", "longrope")
"""The kinds that depend on the length so far."""


def fixed_rope(config: PreTrainedConfig, max_context: int) -> tuple[torch.Tensor, float]:
    """Return the frequencies for such contexts, in radians per position, and the scale."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    kind = config.rope_parameters["rope_type"]
    frequencies, scale = ROPE_INIT_FUNCTIONS[kind](config, seq_len=max_context)
    return frequencies, float(scale)
