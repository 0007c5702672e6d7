"""Where the warm-up ends."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hexplan_solver.simulate.recorder import Snapshot

BATCH = 5


def detect_warmup(snapshots: Sequence[Snapshot]) -> int:
    """Return the snapshot at which the rate of tokens has settled, in the first half of the run.

    MSER-5: of the rate's means over five snapshots each, leave out as many as make the standard
    error of the mean of the rest smallest (White, "An effective truncation heuristic for bias
    reduction in simulation output", Simulation 69(6), 1997).
    """
    rates = [
        (after.tokens - before.tokens) / (after.at_s - before.at_s)
        for before, after in pairwise(snapshots)
        if after.at_s > before.at_s
    ]
    means = [sum(rates[i : i + BATCH]) / BATCH for i in range(0, len(rates) - BATCH + 1, BATCH)]
    best, first = float("inf"), 0
    for cut in range(len(means) // 2 + 1):
        rest = means[cut:]
        if len(rest) < 2:
            break
        mean = sum(rest) / len(rest)
        error = sum((value - mean) ** 2 for value in rest) / len(rest) ** 2
        if error < best:
            best, first = error, cut
    return min(first * BATCH, len(snapshots) - 2) if len(snapshots) > 2 else 0
