"""The zone bound: a bound for clusters whose zones exchange little (docs/formulation.md 8).

At any layer, the stages of all zones together pass F tokens/s. What one zone passes changes from
layer to layer only by what it exchanges with the others, so over all layers it stays between some
least flow m and m + D, where D is the most that it can exchange. The possible values of m are cut
into boxes; in each box every layer needs a pattern in which no zone adds more than the box allows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan_solver.bounds.params import BOUND_PARAMS, BoundParams
from hexplan_solver.bounds.zone_patterns import Box, ZonePatterns, ZoneSupply
from hexplan_solver.budget import Budget
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone


def zone_bound(
    problem: Problem,
    zones: Sequence[Zone],
    budget: Budget,
    params: BoundParams = BOUND_PARAMS,
) -> int:
    """Lower the budget's bound as far as its time allows, in 1e-6 tokens/s.

    The flow that is `reached` is possible, so no bound is tried below it.
    """
    until = time.monotonic() + budget.seconds
    every = (ZoneSupply.of(problem, zone) for zone in zones)
    supplies = [supply for supply in every if supply.rate.size]
    low, high = budget.reached, budget.bound
    while high - low > high * params.zone_close and time.monotonic() < until:
        target = (low + high + 1) // 2
        if _Boxes(problem.num_layers, supplies, target, params).are_impossible(until):
            high = target
        else:
            low = target
    return high


@dataclass(frozen=True, slots=True)
class _Boxes:
    """All boxes of least flows at one target."""

    num_layers: int
    supplies: Sequence[ZoneSupply]
    target: int
    params: BoundParams

    def are_impossible(self, until: float) -> bool:
        """Say whether it is proved that no box allows the target, halving boxes as needed."""
        boxes: list[Box] = [tuple((0, min(s.alone, self.target)) for s in self.supplies)]
        proofs: list[NDArray[np.float64]] = []
        for _ in range(self.params.zone_max_boxes):
            if not boxes:
                return True
            box = boxes.pop()
            if self._is_empty(box):
                continue
            patterns = ZonePatterns(self.supplies, box, self.target, self.params)
            if patterns.are_too_few(self.num_layers, proofs, until):
                continue
            widest = max(range(len(box)), key=lambda i: box[i][1] - box[i][0])
            low, high = box[widest]
            if high - low < self.params.zone_narrow * self.target or time.monotonic() > until:
                return False
            middle = (low + high) // 2
            for half in ((low, middle), (middle, high)):
                boxes.append((*box[:widest], half, *box[widest + 1 :]))
        return False

    def _is_empty(self, box: Box) -> bool:
        """Say whether the zones' flows cannot sum to the target, at some layer or at all."""
        if sum(low for low, _ in box) > self.target:
            return True
        # At the layer where one zone is at its least, the others have to make up for it.
        most = sum(high + s.drift for s, (_, high) in zip(self.supplies, box, strict=True))
        return any(most - supply.drift < self.target for supply in self.supplies)
