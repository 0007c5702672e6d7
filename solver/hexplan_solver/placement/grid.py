"""Speeds in parts of a target, for knapsacks over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAFE_BITS = 40
"""Bits of a target, so that its product with a grid fits into 64 bits."""


def steps_of(rates: NDArray[np.int64], target: int, grid: int) -> NDArray[np.int64]:
    """Return how many of `grid` parts of a target each speed has, rounded up, at most all.

    Of a huge target the last bits are left out, so that some speeds come out a step too high.
    """
    bits = max(0, target.bit_length() - SAFE_BITS)
    coarse = (np.minimum(rates, target) >> bits) + (bits > 0)
    steps: NDArray[np.int64] = np.minimum(-(-coarse * grid // (target >> bits)), grid)
    return steps
