"""Rotary positions: each pair of a head's channels is one complex number, turned by its position.

Checkpoints put the two halves of a head side by side. Queries and keys are read so that the two
channels of a pair stand next to each other, which changes no product of a query with a key, and one
multiplication in place turns them.

Shapes: T tokens, N heads, E head width, P positions, C pairs of channels of a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_FIRST_POSITIONS = 256


class RotaryTable:
    """The turn of every position so far, computed once and indexed by position."""

    def __init__(self, frequencies: Sequence[float], scale: float) -> None:
        self._frequencies_C = torch.tensor(frequencies, dtype=torch.float32)
        self._scale = scale
        self._turns_PC = self._turns(_FIRST_POSITIONS)

    def __call__(self, positions: Sequence[int]) -> Tensor:
        """Return the turn of each token: `[T, 1, C]`, complex."""
        longest = max(positions) + 1
        if longest > len(self._turns_PC):
            self._turns_PC = self._turns(1 << (longest - 1).bit_length())
        return self._turns_PC.index_select(0, torch.tensor(positions))[:, None]

    def _turns(self, positions: int) -> Tensor:
        angles_PC = torch.arange(positions)[:, None].float() * self._frequencies_C
        return torch.polar(torch.full_like(angles_PC, self._scale), angles_PC)


def pair_channels(weight: Tensor, width: int) -> Tensor:
    """Return the rows of heads of this width with the two channels of each pair side by side."""
    halves = weight.view(-1, 2, width // 2, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


def rotate_(x_TNE: Tensor, turns_T1C: Tensor) -> Tensor:
    """Turn each head by its token's position, in place and in 32 bits, and return x."""
    wide = x_TNE.float()
    torch.view_as_complex(wide.view(*wide.shape[:-1], -1, 2)).mul_(turns_T1C)
    return x_TNE if wide is x_TNE else x_TNE.copy_(wide)
