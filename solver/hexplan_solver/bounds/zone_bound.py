"""The zone bound: a bound for clusters whose zones exchange little (docs/formulation.md 8).

At any layer, the stages of all zones together pass F tokens/s. What one zone passes changes from
layer to layer only by what it exchanges with the others, so over all layers it stays between some
least flow m and m + D, where D is the most that it can exchange. The possible values of m are cut
into boxes; in each box every layer needs a pattern in which no zone adds more than the box allows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from hexplan.bound_proof import GroupPrice, ZoneProof
from hexplan.constants import EMPTY_BOX, HALVED_BOX, MICRO, PRICE_DIGITS, ZONE_BOXES
from hexplan_solver.bounds.group_prices import group_prices
from hexplan_solver.bounds.params import BOUND_PARAMS, BoundParams
from hexplan_solver.bounds.proof import Proved
from hexplan_solver.bounds.zone_patterns import Box, ZonePatterns, ZoneSupply
from hexplan_solver.budget import Budget
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone


def zone_bound(
    problem: Problem,
    zones: Sequence[Zone],
    budget: Budget,
    params: BoundParams = BOUND_PARAMS,
) -> Proved | None:
    """Lower the budget's bound as far as its time allows; None if it is not lowered.

    The flow that is `reached` is possible, so no bound is tried below it.
    """
    until = time.monotonic() + budget.seconds
    every = [ZoneSupply.of(problem, zone) for zone in zones]
    supplies = [supply for supply in every if supply.rate.size]
    low, high, found = budget.reached, budget.bound, None
    while high - low > high * params.zone_close and time.monotonic() < until:
        target = (low + high + 1) // 2
        boxes = _Boxes(problem.num_layers, supplies, target, params)
        if boxes.are_impossible(until):
            high, found = target, boxes
        else:
            low = target
    return None if found is None else Proved(high, found.proof())


@dataclass(slots=True)
class _Boxes:
    """All boxes of least flows at one target, and what rules them out."""

    num_layers: int
    supplies: Sequence[ZoneSupply]
    target: int
    params: BoundParams
    done: list[int] = field(default_factory=list)
    """What was done with each box, as a zone proof states it."""
    proofs: list[NDArray[np.float64]] = field(default_factory=list)

    @property
    def _root(self) -> Box:
        # Raised by more than the check may compute another bound of the zone alone.
        alone = (s.alone + s.alone // 10**9 + len(s.problem.kinds) + 2 for s in self.supplies)
        return tuple((0, min(most, self.target)) for most in alone)

    def are_impossible(self, until: float) -> bool:
        """Say whether it is proved that no box allows the target, halving boxes as needed."""
        boxes: list[Box] = [self._root]
        for _ in range(ZONE_BOXES):
            if not boxes:
                return True
            box = boxes.pop()
            ruled_out = self._ruled_out(box, until)
            if ruled_out is not None:
                self.done.append(ruled_out)
                continue
            widest = max(range(len(box)), key=lambda i: box[i][1] - box[i][0])
            low, high = box[widest]
            if high - low < self.params.zone_narrow * self.target or time.monotonic() > until:
                return False
            middle = (low + high) // 2
            self.done.append(HALVED_BOX)
            for half in ((low, middle), (middle, high)):
                boxes.append((*box[:widest], half, *box[widest + 1 :]))
        return False

    def proof(self) -> ZoneProof:
        """Return all that rules the boxes out, with each list of prices once."""
        site_of = self.supplies[0].problem.spec.cluster.site_of
        hosts = ([name for c in s.problem.classes for name in c.hosts] for s in self.supplies)
        lists = [self._prices(prices) for prices in self.proofs]
        kept = list(dict.fromkeys(lists))
        return ZoneProof(
            zones=tuple(tuple(dict.fromkeys(map(site_of, names))) for names in hosts),
            most_tokens_per_s=tuple(Decimal(high) / MICRO for _, high in self._root),
            prices=tuple(kept),
            boxes=tuple(kept.index(lists[n]) if n >= 0 else n for n in self.done),
        )

    def _prices(self, prices: NDArray[np.float64]) -> tuple[GroupPrice, ...]:
        units = np.rint(prices * 10**PRICE_DIGITS).astype(np.int64)
        listed: list[GroupPrice] = []
        offset = 0
        for supply in self.supplies:
            own = np.append(units[offset : offset + len(supply.groups)], 0)
            listed += group_prices(supply.problem, own[supply.class_of_kind])
            offset += len(supply.groups)
        return tuple(listed)

    def _ruled_out(self, box: Box, until: float) -> int | None:
        """Return what rules a box out, as a zone proof states it; None if nothing does."""
        if self._is_empty(box):
            return EMPTY_BOX
        patterns = ZonePatterns(self.supplies, box, self.target, self.params)
        return patterns.ruled_out(self.num_layers, self.proofs, until)

    def _is_empty(self, box: Box) -> bool:
        """Say whether the zones' flows cannot sum to the target, at some layer or at all."""
        if sum(low for low, _ in box) > self.target:
            return True
        # At the layer where one zone is at its least, the others have to make up for it.
        most = sum(high + s.drift for s, (_, high) in zip(self.supplies, box, strict=True))
        return any(most - supply.drift < self.target for supply in self.supplies)
