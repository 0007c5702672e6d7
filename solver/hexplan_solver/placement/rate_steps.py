"""Rates as whole numbers of steps of a target, so that knapsacks over them are small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAFE_BITS = 40
"""Bits of a target that are kept: its product with up to 2**22 steps then fits 64 bits."""


def rate_steps(rates: NDArray[np.int64], target: int, num_steps: int) -> NDArray[np.int64]:
    """Return how many of `num_steps` equal steps of a target each rate has, rounded up.

    A rate above the target has all of them. Of a huge target the last bits are dropped, so some
    rates come out one step too high.
    """
    bits = max(0, target.bit_length() - SAFE_BITS)
    coarse = (np.minimum(rates, target) >> bits) + (bits > 0)
    steps: NDArray[np.int64] = np.minimum(-(-coarse * num_steps // (target >> bits)), num_steps)
    return steps
