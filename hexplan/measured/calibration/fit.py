"""Fit factors to observed times: least absolute relative error, which outliers hardly move."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

_ROUNDS: Final = 60
"""Rounds at most; a few dozen settle."""
_FLOOR: Final = 1e-4
"""Relative errors below this weigh alike, so that every weight is finite."""
_SETTLED: Final = 1e-9
"""The fit ends when no factor changes by more than this share."""


def fit_factors(observed: Array, parts: Array) -> Array:
    """Return f >= 0 that minimises `sum |observed - parts f| / (parts f)`.

    With one part, f is the median of observed over part. Iterates weighted least squares, with
    weights from the errors of the round before.

    Parameters
    ----------
    observed
        Seconds, above 0.
    parts
        The predicted seconds of each part, a row for each observation.
    """
    factors = _solve(observed, parts, 1 / observed)
    for _ in range(_ROUNDS):
        predicted = np.maximum(parts @ factors, 1e-3 * observed)
        error = np.maximum(np.abs(observed - predicted) / predicted, _FLOOR)
        before, factors = factors, _solve(observed, parts, 1 / (predicted * np.sqrt(error)))
        if np.allclose(before, factors, rtol=_SETTLED, atol=0.0):
            break
    return factors


def mean_error(observed: Array, parts: Array, factors: Array) -> float:
    """Return the mean of `|observed - predicted| / predicted`."""
    predicted = np.maximum(parts @ factors, 1e-12)
    return float(np.mean(np.abs(observed - predicted) / predicted))


def _solve(observed: Array, parts: Array, weights: Array) -> Array:
    """Return the weighted least squares, without the columns whose factors would be negative."""
    kept = [column for column in range(parts.shape[1]) if parts[:, column].any()]
    factors = np.zeros(parts.shape[1])
    while kept:
        scale = np.linalg.norm(parts[:, kept] * weights[:, None], axis=0)
        scaled = parts[:, kept] * weights[:, None] / scale
        found = np.linalg.lstsq(scaled, observed * weights, rcond=None)[0] / scale
        if (found >= 0).all():
            factors[kept] = found
            break
        del kept[int(np.argmin(found * scale))]
    return factors
