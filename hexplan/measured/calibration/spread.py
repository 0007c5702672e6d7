"""The median of some figures, and how far they spread around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def middle(figures: Sequence[float]) -> tuple[float, float]:
    """Return the median, and the range of the middle half as a share of it."""
    low, median, high = np.quantile(figures, (0.25, 0.5, 0.75))
    return float(median), float((high - low) / median) if median else 0.0
