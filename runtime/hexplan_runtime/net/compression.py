"""Activations in 8 bits a number, in blocks that share a scale."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from hexplan.constants import COMPRESSED_BLOCK

_LARGEST: Final = 127


def compress(activations: Tensor) -> Tensor:
    """Return activations of shape (tokens, hidden) as bytes, of shape (tokens, compressed bytes).

    A block's largest number keeps its value; all others are off by at most 1/254 of it.
    """
    tokens, hidden = activations.shape
    numbers = pad(activations.float(), (0, -hidden % COMPRESSED_BLOCK))
    blocks = numbers.view(tokens, _num_blocks(hidden), COMPRESSED_BLOCK)
    scales = blocks.abs().amax(dim=-1) / _LARGEST
    steps = blocks / scales.where(scales > 0, 1.0).unsqueeze(-1)
    # What is no number has a scale that is none, and so stays none.
    whole = steps.nan_to_num(0.0).round().to(torch.int8).view(tokens, -1)[:, :hidden]
    return torch.cat([whole.view(torch.uint8), scales.contiguous().view(torch.uint8)], dim=1)


def restore(packed: Tensor, hidden: int, dtype: torch.dtype) -> Tensor:
    """Return the activations of shape (tokens, hidden) that some bytes stand for."""
    whole = packed[:, :hidden].contiguous().view(torch.int8)
    # A copy begins where words may begin.
    copied = packed[:, hidden:].clone(memory_format=torch.contiguous_format)
    scales = copied.view(torch.float32)
    steps = pad(whole.float(), (0, -hidden % COMPRESSED_BLOCK))
    blocks = steps.view(len(packed), _num_blocks(hidden), COMPRESSED_BLOCK) * scales.unsqueeze(-1)
    return blocks.view(len(packed), -1)[:, :hidden].to(dtype)


def _num_blocks(hidden: int) -> int:
    return -(-hidden // COMPRESSED_BLOCK)
