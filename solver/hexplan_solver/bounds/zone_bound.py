"""The zone bound: what no placement exceeds where little passes between zones (formulation 8).

At any layer, the stages of all zones together pass F tokens/s. What one zone passes changes from
layer to layer only by what crosses its border, so over all layers it stays between some least flow
m and m + D, where D is what can cross. The values of m are cut into boxes; in each box every layer
needs a pattern in which no zone adds more than the box allows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hexplan_solver.bounds.zone_patterns import Box, ZonePart, ZonePatterns
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone

MAX_BOXES = 400
"""Boxes looked at for one target."""
NARROW = 0.02
"""A box is not cut further once it is narrower than this share of the target."""
CLOSE = 5e-3
"""The bisection ends when it knows the bound to this share."""


def zone_bound(
    problem: Problem, zones: Sequence[Zone], flow: int, bound: int, time_limit_s: float
) -> int:
    """Lower a bound as far as the time allows; all figures in 1e-6 tokens/s.

    Parameters
    ----------
    flow
        A flow that is known to be possible: no bound lies below.
    bound
        A proved bound to start from.
    """
    until = time.monotonic() + time_limit_s
    every = (ZonePart.of(problem, zone) for zone in zones)
    parts = [part for part in every if part.rate.size]
    low, high = flow, bound
    while high - low > high * CLOSE and time.monotonic() < until:
        target = (low + high + 1) // 2
        if _is_impossible(problem.num_layers, parts, target, until):
            high = target
        else:
            low = target
    return high


def _is_impossible(num_layers: int, parts: Sequence[ZonePart], target: int, until: float) -> bool:
    """Say whether no box of least flows allows the target."""
    boxes: list[Box] = [tuple((0, min(part.alone, target)) for part in parts)]
    memory: list[NDArray[np.float64]] = []
    for _ in range(MAX_BOXES):
        if not boxes:
            return True
        box = boxes.pop()
        if _is_empty(parts, box, target):
            continue
        if ZonePatterns(parts, box, target).too_few(num_layers, memory, until):
            continue
        widest = max(range(len(box)), key=lambda i: box[i][1] - box[i][0])
        low, high = box[widest]
        if high - low < NARROW * target or time.monotonic() > until:
            return False
        middle = (low + high) // 2
        for half in ((low, middle), (middle, high)):
            boxes.append((*box[:widest], half, *box[widest + 1 :]))
    return False


def _is_empty(parts: Sequence[ZonePart], box: Box, target: int) -> bool:
    """Say whether the zones' flows cannot sum to the target, at some layer or at all of them."""
    if sum(low for low, _ in box) > target:
        return True
    # At the layer where one zone is at its least, the others have to make up for it.
    most = sum(high + part.drift for part, (_, high) in zip(parts, box, strict=True))
    return any(most - part.drift < target for part in parts)
