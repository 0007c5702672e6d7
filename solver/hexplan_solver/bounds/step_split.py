"""How the steps of a target are split over zones, at the least total price."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def split_steps(
    costs: Sequence[NDArray[np.float64]], limits: Sequence[tuple[int, int]], whole: int
) -> tuple[float, list[int]]:
    """Split all steps over the zones, each within its limits, at the least total price.

    Supplying more than is asked is allowed, so sums above the `whole` count as the whole.
    """
    totals = [np.where(np.arange(whole + 1) == 0, 0.0, np.inf)]
    for cost, (low, cap) in zip(costs[:-1], limits[:-1], strict=True):
        total = np.full(whole + 1, np.inf)
        for amount in range(low, cap + 1):
            raised = totals[-1][: whole + 1 - amount] + cost[amount]
            np.minimum(total[amount:], raised, out=total[amount:])
            total[whole] = min(total[whole], totals[-1][whole - amount :].min() + cost[amount])
        totals.append(total)
    splits, wanted, value = [], whole, np.inf
    for i in range(len(costs) - 1, -1, -1):
        low, cap = limits[i]
        amounts = np.arange(low, min(cap, wanted) + 1)
        if not amounts.size:
            return np.inf, []
        best, amount, rest = _last_step(totals[i], costs[i][amounts], amounts, wanted)
        value = best if i == len(costs) - 1 else value
        splits.append(amount)
        wanted = rest
    return value, splits[::-1]


def _last_step(
    before: NDArray[np.float64], cost: NDArray[np.float64], amounts: NDArray[np.int64], wanted: int
) -> tuple[float, int, int]:
    """Return the least price, what the last zone supplies for it, and what those before do."""
    whole = len(before) - 1
    if wanted < whole:
        prices = before[wanted - amounts] + cost
    else:
        prices = np.minimum.accumulate(before[::-1])[::-1][whole - amounts] + cost
    best = int(np.argmin(prices))
    amount = int(amounts[best])
    rest = wanted - amount
    if wanted == whole:
        rest += int(np.argmin(before[rest:]))
    return float(prices[best]), amount, rest
