"""One zone of a zone proof: what supplying a share of the flow costs there, and may be worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from hexplan.check.bound.curves import GroupKey
from hexplan.check.bound.pattern import UNITS, Prices, all_groups
from hexplan.check.bound.supply import ShapeSupply
from hexplan.constants import ZONE_STEPS


@dataclass(frozen=True, slots=True)
class Item:
    """A stage of some layers: its rate in 1e-6 tokens/s, and what it costs in one layer."""

    rate: int
    cost: int
    """In units of a price, rounded down."""


@dataclass(frozen=True, slots=True)
class ZoneSupply:
    """What the hosts of one zone can do."""

    supply: tuple[ShapeSupply, ...]
    span: int
    """By how much the flow that runs in the zone can differ from layer to layer."""

    def worth(self, prices: Prices) -> int:
        """Return the most that the groups of all hosts are worth, in units rounded up."""
        return all_groups(self.supply, prices)

    def costs(self, prices: Prices, target: int) -> list[int]:
        """Return the least cost in one layer of supplying each number of steps of a target.

        Steps count as supplied if the stages' rates, rounded up to whole steps, sum to them; so a
        flow of less than a step below them may be all there is.
        """
        items = self._items(prices)
        if not items:
            return [0]
        by_steps: dict[int, int] = {}
        for item in items:
            steps = min(ZONE_STEPS, -(-item.rate * ZONE_STEPS // target))
            by_steps[steps] = min(item.cost, by_steps.get(steps, item.cost))
        costs = _covers(by_steps)
        # No stage supplies a token for less than the cheapest one does.
        least = min(Fraction(item.cost, item.rate) for item in items)
        return [
            max(cost, floor((steps - 1) * least * target / ZONE_STEPS) if steps else 0)
            for steps, cost in enumerate(costs)
        ]

    def _items(self, prices: Prices) -> list[Item]:
        return [
            Item(rate, floor(UNITS * _price(each, group, prices) / k))
            for each in self.supply
            for group, curve in each.curves.items()
            for k, rate in enumerate(curve)
            if rate
        ]


def _price(each: ShapeSupply, group: Sequence[str], prices: Prices) -> Fraction:
    return prices.get(GroupKey.of(each.shape, tuple(group)), Fraction(0))


def _covers(cost_of: Mapping[int, int]) -> list[int]:
    """Return the least cost of items whose steps sum to at least 0, 1, 2, ... steps."""
    kept: list[tuple[int, int]] = []
    for steps, cost in sorted(cost_of.items(), reverse=True):
        if not kept or cost < kept[-1][1]:
            kept.append((steps, cost))
    best = [0] * (ZONE_STEPS + 1)
    for need in range(1, ZONE_STEPS + 1):
        best[need] = min(best[max(0, need - steps)] + cost for steps, cost in kept)
    return best
